"""Front doors: a model trained elsewhere, as a `GRU` in that system's own layout.

The converters are imported when they are called, so that ``import cgru`` stays fast.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from cgru import engines
from cgru.gru import GRU
from cgru.models import CLASSES
from cgru.weights import check_dtype

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike


def model_from(convert, source, *arguments, dtype, engine, **options):
    """The model with the `Weights` that ``convert(source, *arguments, dtype=dtype, **options)`` makes.

    Whatever a file's content runs into is a ValueError that names the file: the caller's own types were right.
    """
    engines.check_engine(engine)
    dtype = None if dtype is None else check_dtype(dtype)
    try:
        weights = convert(source, *arguments, dtype=dtype, **options)
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
        if not isinstance(source, str | os.PathLike):
            raise
        if isinstance(error, ValueError) and os.fspath(source) in str(error):
            raise
        raise ValueError(f"{os.fspath(source)}: {error}") from error
    return CLASSES[weights.config.cell]._from_weights(weights, engine)


def from_torch(
    source: Any,
    *,
    prefix: str | None = None,
    batch_first: bool | None = None,
    nonlinearity: str | None = None,
    dtype: DTypeLike | None = None,
    engine: str = "auto",
) -> Any:
    """A GRU from PyTorch, or an LSTM or RNN: from a module, a state dict or a file.

    Parameters
    ----------
    source : torch.nn.GRU, torch.nn.GRUCell, torch.nn.Module, mapping or path
        A module that is or contains a GRU (or, where there is no GRU, an nn.LSTM, an nn.RNN or one of their cells);
        a state dict, which may lie inside other dicts, as in checkpoints; the path of a ``.safetensors`` file, or of
        a ``.pt`` file of `torch.save`, which needs PyTorch and is read with ``weights_only=True``: no code in it is
        run.
    prefix : str, optional
        Which GRU, where there are several: what stands before ``weight_ih_l0`` (a GRUCell's ``weight_ih``), such
        as "encoder.gru.".
    batch_first : bool, optional
        As in `GRU`; by default as in the module, and False for a state dict, which does not hold it.
    nonlinearity : {"tanh", "relu"}, optional
        Of an RNN; by default as in the module, and "tanh" for a state dict, which does not hold it.
    dtype : dtype, optional
        float32 or float64; by default float64 where all parameters are float64, else float32.
    engine : str, default "auto"
        As in `GRU`.

    Returns
    -------
    GRU, LSTM or RNN
        With PyTorch's shapes. A GRUCell is a GRU of one layer: ``gru(x_t[None], h[None])`` is its step.

    Raises
    ------
    TypeError
        Something else was given.
    ValueError
        No such network, several (their prefixes are listed), `nonlinearity` without an RNN, or a file that is
        damaged or needs code run.
    OSError
        The file cannot be read.
    ImportError
        A ``.pt`` file without PyTorch.

    Examples
    --------
    >>> import torch, cgru
    >>> gru = cgru.from_torch(torch.nn.GRU(3, 5, batch_first=True))
    >>> gru.batch_first
    True
    """
    from cgru.convert.torch import weights_from_torch

    return model_from(
        weights_from_torch, source, prefix=prefix, batch_first=batch_first, nonlinearity=nonlinearity,
        dtype=dtype, engine=engine,
    )  # fmt: skip


def from_keras(
    source: Any,
    layer: str | None = None,
    *,
    reset_after: bool | None = None,
    activations: Any = None,
    go_backwards: bool = False,
    dtype: DTypeLike | None = None,
    engine: str = "auto",
) -> GRU:
    """A GRU from Keras: a layer, a model, a file or a list of arrays.

    Parameters
    ----------
    source : keras layer, keras model, path or sequence of arrays
        A built `GRU`, `Bidirectional(GRU)` or `RNN(GRUCell)` layer; a model that holds one; the path of a ``.keras``
        or legacy ``.h5`` file of a whole model, which needs h5py (``pip install "cgru[keras]"``) and not Keras; or
        what ``get_weights()`` gives: kernel (I, 3H), recurrent_kernel (H, 3H) and maybe bias, or the nine arrays of
        Keras 1.
    layer : str, optional
        The layer's name, where a model holds several. Of a layer in an inner model: "inner/name", or "name".
    reset_after : bool, optional
        For a list of arrays only: default False for a bias (3H,), True for (2, 3H) and without bias.
    activations : (f, g), optional
        For a list of arrays only, see `cgru.activations`: recurrent_activation and activation; by default sigmoid
        and tanh, for Keras 1 hard_sigmoid and tanh.
    go_backwards : bool, default False
        For a list of arrays only.
    dtype, engine
        As in `from_torch`.

    Returns
    -------
    GRU
        With ``batch_first=True``: x (N, T, I), y (N, T, H), or (N, T, 2H) for merge_mode "concat", and
        h_n (D, N, H). y is what `return_sequences=True` gives, h_n the states of `return_state=True`, and
        ``h_n[0]`` (or its two directions merged) what `return_sequences=False` gives. With `go_backwards`, y is in
        reversed order, as in Keras.

    Raises
    ------
    TypeError
        Something else was given.
    ValueError
        No such layer or several (they are listed), an activation or form that is not supported, a damaged file.
    OSError
        The file cannot be read.
    ImportError
        A file without h5py.

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
    from cgru.convert.keras import weights_from_keras

    return model_from(
        weights_from_keras, source, layer, reset_after=reset_after, activations=activations,
        go_backwards=go_backwards, dtype=dtype, engine=engine,
    )  # fmt: skip


def from_onnx(
    source: Any,
    node: str | Sequence[str] | None = None,
    *,
    linear_before_reset: bool | None = None,
    dtype: DTypeLike | None = None,
    engine: str = "auto",
) -> GRU:
    """A GRU from the GRU nodes of an ONNX model, opset 7 or later.

    Parameters
    ----------
    source : path or onnx.ModelProto
        Weights may be initializers, Constant nodes, external data in the model's own folder, or Slice, Concat,
        Transpose and the like of these.
    node : str or sequence of str, optional
        The GRU node's name, or the names of several that feed each other, as layers. By default the only one, or
        all where each feeds the next.
    linear_before_reset : bool, optional
        Overrides the nodes' attribute, which some versions of PyTorch's exporter leave out: see Warns.
    dtype, engine
        As in `from_torch`.

    Returns
    -------
    GRU
        In the node's layout: ``batch_first=True`` for ``layout=1``, else False. y holds the directions side by side,
        (T, N, D * H), where ONNX has (T, D, N, H); h_n is (num_layers * D, N, H) in either layout. A constant
        initial_h is stored with the model; an initial_h that the graph computes or is given is `h_0` here, and
        sequence_lens is `lengths`.

    Raises
    ------
    TypeError
        Neither a path nor a ModelProto.
    ValueError
        No such node or several that are no chain (they are listed), weights that are no constants, an activation
        that is not supported, or a damaged file.
    OSError
        The file cannot be read.
    ImportError
        The package onnx is not installed: ``pip install "cgru[onnx]"``.

    Warns
    -----
    UserWarning
        PyTorch wrote the model and it says ``linear_before_reset=0``, which is no GRU of PyTorch: the outputs would
        be off by about 0.1. Pass True where the model comes from `torch.nn.GRU`.

    Notes
    -----
    For a row of length 0, h_n is the initial state here and 0 in ONNX Runtime.

    References
    ----------
    https://onnx.ai/onnx/operators/onnx__GRU.html
    """
    from cgru.convert.onnx import weights_from_onnx

    return model_from(
        weights_from_onnx, source, node, linear_before_reset=linear_before_reset, dtype=dtype, engine=engine
    )  # fmt: skip
