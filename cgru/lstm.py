"""The LSTM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cgru.recurrent import Recurrent
from cgru.study.trace import LSTMGates

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from numpy.typing import ArrayLike, DTypeLike

    from cgru.model import Rng

    PairLike = tuple[ArrayLike | None, ArrayLike | None]


class LSTM(Recurrent[tuple[np.ndarray, np.ndarray], "PairLike", LSTMGates], kind="lstm"):
    r"""Long short-term memory, PyTorch's `nn.LSTM`: one or several layers, one or two directions.

    For every layer and direction, with s the logistic function and * elementwise::

        i_t = s(W_ii x_t + b_ii + W_hi h_{t-1} + b_hi)
        f_t = s(W_if x_t + b_if + W_hf h_{t-1} + b_hf)
        g_t = tanh(W_ig x_t + b_ig + W_hg h_{t-1} + b_hg)
        o_t = s(W_io x_t + b_io + W_ho h_{t-1} + b_ho)
        c_t = f_t * c_{t-1} + i_t * g_t
        h_t = o_t * tanh(c_t)

    Its state is the pair (h, c): given as ``hx``, returned as ``(h_n, c_n)``. Parameters are drawn uniformly from
    +-1/sqrt(hidden_size); their rows come in the order i, f, g, o. There are no
    projections (PyTorch's `proj_size`) and no peepholes.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        As in `GRU`.
    activations : (f, g) or (f, g, h), or one such tuple per direction, optional
        f in place of s, g in place of the tanh of g_t, h in place of that of c_t: each as in `GRU`. Without an h it is
        g, as in Keras.
    clip, reverse, go_backwards, merge_mode
        As in `GRU`; `clip` clamps the sums of the four gates, and not c_t on its way into h_t, as ONNX Runtime does it.
    initial_state : (array_like, array_like), optional
        The pair (h_0, c_0), (num_layers * D, H) each, kept with the parameters as "h_0" and "c_0"; either may be None,
        for zeros. See `GRU`.
    dtype, engine, rng
        As in `GRU`.

    Raises
    ------
    TypeError, ValueError, ImportError
        As in `GRU`.

    References
    ----------
    Hochreiter and Schmidhuber, "Long short-term memory", 1997; the forget gate: Gers, Schmidhuber and Cummins,
    "Learning to forget", 2000.

    Examples
    --------
    >>> import numpy as np, cgru
    >>> lstm = cgru.LSTM(3, 5, rng=0)
    >>> y, (h_n, c_n) = lstm(np.zeros((7, 2, 3), np.float32))
    >>> y.shape, h_n.shape, c_n.shape
    ((7, 2, 5), (1, 2, 5), (1, 2, 5))
    """

    __slots__ = ()

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        activations: Any = None,
        clip: float | None = None,
        reverse: bool = False,
        go_backwards: bool = False,
        merge_mode: str = "concat",
        initial_state: PairLike | None = None,
        dtype: DTypeLike = np.float32,
        engine: str = "auto",
        rng: Rng = None,
    ) -> None:
        self._draw(
            dropout, dtype, engine, rng, initial_state, input_size=input_size, hidden_size=hidden_size,
            num_layers=num_layers, bias=bias, batch_first=batch_first, bidirectional=bidirectional,
            activations=activations, clip=clip, reverse=reverse, go_backwards=go_backwards, merge_mode=merge_mode,
        )  # fmt: skip

    @classmethod
    def from_state_dict(
        cls,
        mapping: Mapping[str, Any],
        *,
        prefix: str = "",
        batch_first: bool = False,
        activations: Any = None,
        clip: float | None = None,
        reverse: bool = False,
        go_backwards: bool = False,
        merge_mode: str = "concat",
        dtype: DTypeLike | None = None,
        engine: str = "auto",
    ) -> Self:
        """An LSTM from PyTorch's parameter names, weights of (4H, I) and (4H, H); as `GRU.from_state_dict`.

        Gate order i, f, g, o; maybe an ``h_0`` and a ``c_0`` (num_layers * D, H), both or none.

        Parameters
        ----------
        mapping, prefix, dtype, engine
            As in `GRU.from_state_dict`.
        batch_first, activations, clip, reverse, go_backwards, merge_mode
            As in `LSTM`; a state dict does not hold them.
        """
        return cls._from_state_dict(
            mapping,
            prefix=prefix,
            dtype=dtype,
            engine=engine,
            batch_first=batch_first,
            activations=activations,
            clip=clip,
            reverse=reverse,
            go_backwards=go_backwards,
            merge_mode=merge_mode,
        )
