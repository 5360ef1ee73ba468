"""From canonical arrays to `Weights`, and from a converter to a model: one build."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from cgru import engines
from cgru.checks import check_dtype, real_array
from cgru.config import Config
from cgru.convert._errors import naming
from cgru.model import model_of
from cgru.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import DTypeLike

    from cgru.gru import GRU
    from cgru.lstm import LSTM
    from cgru.rnn import RNN


class Parameters(NamedTuple):
    """One direction of one layer in the canonical form: rows stacked r, z, n, and z keeps the old h.

    Attributes
    ----------
    w_ih, w_hh : ndarray
        (3H, I) and (3H, H).
    b_ih, b_hh : ndarray or None
        (3H,); None stands for zeros.
    """

    w_ih: np.ndarray
    w_hh: np.ndarray
    b_ih: np.ndarray | None = None
    b_hh: np.ndarray | None = None


def kernels(
    kernel: Any, recurrent: Any, names: tuple[str, str] = ("kernel", "recurrent_kernel")
) -> tuple[np.ndarray, np.ndarray, int]:
    """The kernels (I, 3H) and (H, 3H) of systems that keep a GRU's gates in columns, checked; and H."""
    recurrent = real_array(names[1], recurrent, (None, None))
    H = len(recurrent)
    return real_array(names[0], kernel, (None, 3 * H)), real_array(names[1], recurrent, (H, 3 * H)), H


def build(
    layers: Sequence[Sequence[Parameters]],
    *,
    dtype: Any = None,
    h_0: np.ndarray | None = None,
    **options: Any,
) -> Weights:
    """`Weights` of canonical parameters.

    Parameters
    ----------
    layers : sequence of sequences of Parameters
        Of every layer, one per direction.
    dtype : dtype, optional
        As of `Weights`, which checks everything.
    h_0 : ndarray, optional
        Initial state (num_layers * D, H).
    **options
        Fields of `Config` that do not follow from the arrays.
    """
    flat = [parameters for layer in layers for parameters in layer]
    bias = any(parameters.b_ih is not None or parameters.b_hh is not None for parameters in flat)
    config = Config(
        input_size=flat[0].w_ih.shape[1],
        hidden_size=flat[0].w_hh.shape[1],
        num_layers=len(layers),
        bias=bias,
        bidirectional=len(layers[0]) == 2,
        initial_state=h_0 is not None,
        **options,
    )
    zeros = np.zeros(config.cell.stacked * config.hidden_size)
    tensors = {}
    for parameters, (_, _, suffix) in zip(flat, config.directions(), strict=True):
        tensors[f"weight_ih_{suffix}"] = parameters.w_ih
        tensors[f"weight_hh_{suffix}"] = parameters.w_hh
        if bias:
            tensors[f"bias_ih_{suffix}"] = zeros if parameters.b_ih is None else parameters.b_ih
            tensors[f"bias_hh_{suffix}"] = zeros if parameters.b_hh is None else parameters.b_hh
    if h_0 is not None:
        tensors["h_0"] = h_0
    return Weights(config, tensors, dtype)


def model_from(
    convert: Callable[..., Weights],
    source: Any,
    *arguments: Any,
    dtype: DTypeLike | None,
    engine: str,
    **options: Any,
) -> GRU | LSTM | RNN:
    """The model with the `Weights` that ``convert(source, *arguments, dtype=dtype, **options)`` makes."""
    engines.check_engine(engine)
    dtype = None if dtype is None else check_dtype(dtype)
    with naming(source):
        weights = convert(source, *arguments, dtype=dtype, **options)
    return model_of(weights, engine)


def gru_from(convert: Callable[..., Weights], source: Any, *arguments: Any, **options: Any) -> GRU:
    """`model_from` for a converter that makes weights of GRUs only."""
    return cast("GRU", model_from(convert, source, *arguments, **options))
