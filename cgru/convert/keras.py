"""Keras: layers, models and lists of arrays; what the arrays are: `keras_arrays`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from cgru.cells import CELLS, Cell
from cgru.convert._build import Parameters, build, functions, model_from
from cgru.convert._errors import check_one_name, chosen, networks_in_words, warn_left_out
from cgru.convert.keras_activations import keras_activation
from cgru.convert.keras_arrays import is_keras_1, parameters_of, told_by_arrays
from cgru.convert.keras_files import read_layers
from cgru.convert.keras_layer import RECURRENT, Contents, Layer, kind_of, passes

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from cgru.activations import Activation
    from cgru.gru import GRU
    from cgru.lstm import LSTM
    from cgru.rnn import RNN
    from cgru.weights import Weights


def from_keras(
    source: Any,
    layer: str | None = None,
    *,
    reset_after: bool | None = None,
    activations: Any = None,
    nonlinearity: Any = None,
    go_backwards: bool = False,
    dtype: DTypeLike | None = None,
    engine: str = "auto",
) -> GRU | LSTM | RNN:
    """A GRU from Keras, or an LSTM, or an RNN from a SimpleRNN: a layer, a model, a file or a list of arrays.

    Parameters
    ----------
    source : keras layer, keras model, path or sequence of arrays
        A built `GRU`, `Bidirectional(GRU)` or `RNN(GRUCell)` layer, the same of `LSTM` or `SimpleRNN`; a model that
        holds one; the path of a ``.keras`` or legacy ``.h5`` file of a whole model, which needs h5py
        (``pip install "cgru[keras]"``) and not Keras; or what ``get_weights()`` gives: kernel (I, 3H),
        recurrent_kernel (H, 3H) and maybe bias, with 4H of an LSTM and H of a SimpleRNN; of Keras 1 the nine arrays of
        a GRU, the twelve of an LSTM.
    layer : str, optional
        The layer's name, where a model holds several. Of a layer in an inner model: "inner/name", or "name".
    reset_after : bool, optional
        For a list of a GRU's arrays only: default False for a bias (3H,), True for (2, 3H) and without bias.
    activations : (f, g), optional
        For a list of arrays only, see `cgru.activations`: recurrent_activation and activation; by default sigmoid
        and tanh, for Keras 1 hard_sigmoid and tanh.
    nonlinearity : activation, optional
        For a list of a SimpleRNN's arrays only: its activation, by default "tanh".
    go_backwards : bool, default False
        For a list of arrays only.
    dtype, engine
        As in `from_torch`.

    Returns
    -------
    GRU, LSTM or RNN
        With ``batch_first=True``: x (N, T, I), y (N, T, H), or (N, T, 2H) for merge_mode "concat", and
        h_n (D, N, H), of an LSTM (h_n, c_n). y is what `return_sequences=True` gives, h_n (and c_n) the states of
        `return_state=True`, and
        ``h_n[0]`` (or its two directions merged) what `return_sequences=False` gives. With `go_backwards`, y is in
        reversed order, as in Keras.

    Raises
    ------
    TypeError
        Something else was given, or several layers' names.
    ValueError
        No such layer or several (they are listed), an activation or form that is not supported, a damaged file.
    OSError
        The file cannot be read.
    ImportError
        A file without h5py.

    Warns
    -----
    UserWarning
        There are other layers, with weights or, as a softmax, without, which are left out: they are named, and that
        `cgru.Sequential.from_keras` reads the whole network. Not where `layer` is given.

    Notes
    -----
    A mask of Keras whose padding is at the end is ``lengths=mask.sum(axis=1)``; other masks have no equivalent. Past
    a row's length y is zero, as with ``zero_output_for_mask=True``; Keras by default repeats the last output there.
    Keras's hard_sigmoid is clip(x/6 + 0.5, 0, 1) in version 3 and clip(0.2 x + 0.5, 0, 1) before: which one is meant
    follows from the version that made the layer or file.

    Examples
    --------
    >>> import numpy as np, cgru
    >>> rng = np.random.default_rng(0)
    >>> gru = cgru.from_keras([rng.normal(size=shape) for shape in ((3, 15), (5, 15), (2, 15))])
    >>> gru.input_size, gru.hidden_size, gru.reset_after, gru.batch_first
    (3, 5, True, True)
    """
    return model_from(
        weights_from_keras, source, layer, reset_after=reset_after, activations=activations, nonlinearity=nonlinearity,
        go_backwards=go_backwards, dtype=dtype, engine=engine,
    )  # fmt: skip


def weights_from_keras(
    source, layer=None, *, reset_after=None, activations=None, nonlinearity=None, go_backwards=False, dtype=None
) -> Weights:
    """`Weights` of a layer, a model, a file or a list of arrays; see `from_keras`."""
    check_one_name(layer, "layer")
    if isinstance(source, str | os.PathLike):
        layers, others = read_layers(os.fspath(source))
    elif callable(getattr(source, "get_config", None)) and callable(getattr(source, "get_weights", None)):
        layers, others = _live(source)
    elif isinstance(source, Sequence) and not isinstance(source, Mapping):
        return _from_arrays(list(source), reset_after, activations, nonlinearity, go_backwards, dtype)
    else:
        raise TypeError(
            "expected a Keras layer or model, the path of a .keras or .h5 file, or the arrays of get_weights(); "
            f"got {type(source).__name__}"
        )
    if layer is not None and layer not in layers:      # the last part of a nested layer's name is enough
        nested = [name for name in layers if name.endswith(f"/{layer}")]
        layer = nested[0] if len(nested) == 1 else layer
    cells = {name: CELLS[kind_of(one.kind, one.config)] for name, one in layers.items()}
    name = chosen(layers, layer, networks_in_words(cells.values(), "layer"), "layer")
    warn_left_out(others, name, layer, cells[name].name, door="from_keras")
    return layer_weights(layers[name], dtype)


def _live(source):
    """The `Contents` of a live layer or model; subclasses count as what they extend."""
    kind = next((base.__name__ for base in type(source).__mro__ if base.__name__ in RECURRENT), None)
    if kind is not None:
        config = source.get_config()
        layer = Layer(kind, config, source.get_weights, version_of(source))
        return Contents({source.name: layer}, []) if kind_of(kind, config) else Contents({}, [source.name])
    parts = getattr(source, "operations", ()) or getattr(source, "layers", ())
    if not parts:
        kind = type(source).__name__
        config = source.get_config() if kind == "Activation" else {}
        nothing = not getattr(source, "weights", ()) and passes(kind, config)
        return Contents({}, [] if nothing else [source.name])
    found = Contents({}, [])
    for part in parts:
        layers, others = _live(part)
        found.layers.update({_below(part, name): layer for name, layer in layers.items()})
        found.others.extend(_below(part, name) for name in others)
    return found


def _below(part, name):
    return name if name == part.name else f"{part.name}/{name}"


def version_of(layer: Any) -> str:
    """The version of the Keras that a live layer or model is of."""
    package = sys.modules.get(type(layer).__module__.partition(".")[0])
    version = getattr(package, "__version__", "3")
    return version() if callable(version) else str(version)


class _Direction(NamedTuple):
    """One direction of a layer, and what its configuration says."""

    cell: Cell
    parameters: Parameters
    reset_after: bool | None
    activations: tuple[Activation, ...]
    go_backwards: bool


def layer_weights(layer: Layer, dtype: DTypeLike | None = None) -> Weights:
    """`Weights` of one recurrent layer.

    Raises
    ------
    ValueError
        An activation or form that is not supported; a configuration or arrays that are damaged.
    """
    try:
        return _weights(layer, dtype)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the configuration of this Keras {layer.kind} layer is incomplete: {error!r}") from error


def _weights(layer, dtype):
    arrays = layer.arrays()
    if layer.kind != "Bidirectional":
        one = _direction(layer.kind, layer.config, arrays, layer.version)
        return build(
            [[one.parameters]], cell=one.cell, dtype=dtype, batch_first=True, reset_after=one.reset_after,
            activations=[one.activations], go_backwards=one.go_backwards,
        )  # fmt: skip
    forward = layer.config["layer"]
    backward = layer.config.get("backward_layer") or forward
    half = len(arrays) // 2
    one = _direction(forward["class_name"], forward["config"], arrays[:half], layer.version)
    two = _direction(backward["class_name"], backward["config"], arrays[half:], layer.version)
    merge_mode = layer.config.get("merge_mode", "concat")
    if merge_mode is None:
        raise ValueError("merge_mode=None (two outputs) is not supported; convert the two layers one by one")
    if one.go_backwards:
        raise ValueError("the forward layer of this Bidirectional goes backwards, which is not supported")
    if one.cell is not two.cell:
        raise ValueError(f"the two directions are {one.cell.name} and {two.cell.name}; convert them one by one")
    if one.reset_after != two.reset_after or one.parameters.w_hh.shape != two.parameters.w_hh.shape:
        raise ValueError("the two directions differ in units or reset_after; convert them one by one")
    return build(
        [[one.parameters, two.parameters]], cell=one.cell, dtype=dtype, batch_first=True, reset_after=one.reset_after,
        activations=[one.activations, two.activations], merge_mode=merge_mode,
    )  # fmt: skip


def _direction(kind, config, arrays, version):
    """A GRU, LSTM or SimpleRNN, or an RNN around such a cell."""
    go_backwards = bool(config.get("go_backwards", False))
    cell = CELLS[kind_of(kind, config)]
    if kind == "RNN":
        config = config["cell"]["config"]
    parameters, reset_after = parameters_of(arrays, cell, config.get("reset_after"))
    units = config.get("units", config.get("output_dim"))
    if units is not None and parameters.w_hh.shape[1] != units:
        raise ValueError(f"the layer has units={units}, but its recurrent kernel is for {parameters.w_hh.shape[1]}")
    f = keras_activation(config.get("recurrent_activation", config.get("inner_activation", "sigmoid")), version)
    g = keras_activation(config.get("activation", "tanh"), version)
    activations = tuple(f if letter == "f" else g for letter in cell.functions)
    return _Direction(cell, parameters, reset_after, activations, go_backwards)


def _from_arrays(arrays, reset_after, activations, nonlinearity, go_backwards, dtype):
    """A plain list of `get_weights()`: the configuration is the caller's, or the default of its Keras."""
    cell = told_by_arrays(arrays)
    if reset_after is not None and "reset_after" not in cell.options:
        raise ValueError(f"{cell.name} has no option reset_after; got {reset_after!r}")
    parameters, reset_after = parameters_of(arrays, cell, reset_after)
    activations = functions(cell, activations, nonlinearity)
    if activations is None and is_keras_1(arrays):
        activations = ("hard_sigmoid", "tanh")
    return build(
        [[parameters]], cell=cell, dtype=dtype, batch_first=True, reset_after=reset_after, activations=activations,
        go_backwards=go_backwards,
    )  # fmt: skip
