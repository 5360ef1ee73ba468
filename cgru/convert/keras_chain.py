"""Whole networks of Keras that are chains: live models, and files without Keras."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from cgru.checks import check_dtype
from cgru.convert._errors import NotAChain, naming
from cgru.convert.keras import version_of
from cgru.convert.keras_files import read_network
from cgru.convert.keras_layer import RECURRENT, Network
from cgru.convert.keras_steps import chain_of

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from cgru.chain import Chain


def chain_from_keras(source: Any, *, dtype: DTypeLike | None = None) -> Chain:
    """The `Chain` of a whole Keras model, for ``Sequential.from_keras``.

    Parameters
    ----------
    source : keras model, keras layer or path
        A built `Sequential` or functional model, or the path of a ``.keras`` or legacy ``.h5`` file of one, which needs
        h5py (``pip install "cgru[keras]"``) and not Keras. The layers may be GRU, LSTM, SimpleRNN, RNN around one such
        cell, Bidirectional; Dense, TimeDistributed; activations as layers and as options; BatchNormalization,
        Normalization and Rescaling, which become part of a Linear; and models of such layers. Dropout, noise, and what
        else does nothing when a model is used is passed over, as are Flatten and Reshape where they change nothing.
    dtype : dtype, optional
        float32 or float64; by default float64 where every recurrent layer is, else float32.

    Returns
    -------
    Chain
        With ``batch_first=True``: x (N, T, I), y (N, T, O). Where the last recurrent layer has
        ``return_sequences=False``, `last` is True or "h_n" and y (N, O); so is ``x[:, -1]`` in a functional model.
        Where the model adds its input to its output, `skip` is True.

    Raises
    ------
    TypeError
        Something else was given.
    NotAChain
        A ValueError: the model has branches, several inputs or outputs, or a layer that is none of these. The layer
        is named, with the line of NumPy that does it by hand where there is one.
    ValueError
        A damaged file, a configuration that is not supported.
    OSError
        The file cannot be read.
    ImportError
        A file without h5py.

    Notes
    -----
    A Masking layer in front is passed over: of padding at the end, the mask is
    ``lengths = (x != mask_value).any(axis=-1).sum(axis=1)``, an argument of the call. Past a row's length Keras repeats
    the last output or computes with it, so only the valid steps of y are the same. A state that Keras keeps between
    calls (`stateful`) is an argument of the call too.

    The functions selu, hard_tanh, relu6 (also a ReLU with max_value) and log_sigmoid are another one, scaled; the
    scales become part of the Linears around.
    """
    dtype = None if dtype is None else check_dtype(dtype)
    with naming(source):
        network = _network_of(source)
        try:
            return chain_of(network, dtype)
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise ValueError(f"the configuration of this Keras model is incomplete or damaged: {error!r}") from error


def _network_of(source):
    if isinstance(source, str | os.PathLike):
        return read_network(os.fspath(source))
    methods = (getattr(source, name, None) for name in ("get_config", "get_weights"))
    if isinstance(source, type) or not all(callable(method) for method in methods):
        raise TypeError(
            f"expected a Keras model, or the path of a .keras or .h5 file of one; got {type(source).__name__}"
        )
    arrays: dict[str, Any] = {}
    entry = _entry(source, "", arrays)
    if "layers" not in entry["config"]:      # a layer alone
        arrays = {}
        entry = {"config": {"layers": [_entry(source, source.name, arrays)]}}
    return Network(entry, arrays, version_of(source))


def _entry(layer, path, arrays):
    """The entry of a live layer or model at `path` in a configuration; its arrays go into a dict.

    Recurrent subclasses count as what they extend.
    """
    kind = next((base.__name__ for base in type(layer).__mro__ if base.__name__ in RECURRENT), type(layer).__name__)
    own = {"class_name": kind} | ({"module": "keras.layers", "registered_name": None} if kind in RECURRENT else {})
    inner = {one.name: one for one in getattr(layer, "operations", ()) or getattr(layer, "layers", ())}
    try:
        config = layer.get_config()
    except NotImplementedError as error:
        raise NotAChain(
            f"layer {layer.name!r} ({kind}) gives no configuration: what it computes is code of its own"
        ) from error
    config = {"layers": config} if isinstance(config, list) else dict(config)
    if inner and "layers" not in config:
        raise NotAChain(
            f"{layer.name!r} ({kind}) is a model whose call is code of its own; build it as a Sequential or functional "
            "model"
        )
    own.setdefault("module", type(layer).__module__)
    if "layers" in config:
        below = f"{path}/" if path else ""
        config["layers"] = [
            {**entry, **_entry(inner[name], below + name, arrays), "name": name}
            if (name := entry["config"].get("name")) in inner else entry
            for entry in config["layers"]
        ]  # fmt: skip
    elif kind == "TimeDistributed":
        config["layer"] = _entry(layer.layer, path, arrays)
    elif getattr(layer, "weights", ()):
        arrays[path] = layer.get_weights
    return own | {"config": config}
