"""The plain recurrent network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cgru.recurrent import Recurrent
from cgru.study.trace import RNNGates

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from numpy.typing import ArrayLike, DTypeLike

    from cgru.model import Rng

    StateLike = ArrayLike


class RNN(Recurrent[np.ndarray, "StateLike", RNNGates], kind="rnn"):
    r"""Plain (Elman) recurrent network, PyTorch's `nn.RNN`: one or several layers, one or two directions.

    For every layer and direction::

        h_t = g(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)        g = tanh, relu, ...

    Parameters are drawn uniformly from +-1/sqrt(hidden_size).

    Parameters
    ----------
    input_size, hidden_size, num_layers
        As in `GRU`.
    nonlinearity : activation, or one per direction, default "tanh"
        The function g: "tanh", "relu" or any other name, or (name, alpha, beta); see `cgru.activations.DEFAULTS`.
    bias, batch_first, dropout, bidirectional
        As in `GRU`.
    clip, reverse, go_backwards, merge_mode, initial_state
        As in `GRU`.
    dtype, engine, rng
        As in `GRU`.

    Raises
    ------
    TypeError, ValueError, ImportError
        As in `GRU`; another nonlinearity.

    References
    ----------
    Elman, "Finding structure in time", 1990.

    Examples
    --------
    >>> import numpy as np, cgru
    >>> rnn = cgru.RNN(3, 5, nonlinearity="relu", rng=0)
    >>> y, h_n = rnn(np.zeros((7, 2, 3), np.float32))
    >>> y.shape, h_n.shape
    ((7, 2, 5), (1, 2, 5))
    """

    __slots__ = ()

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: Any = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        clip: float | None = None,
        reverse: bool = False,
        go_backwards: bool = False,
        merge_mode: str = "concat",
        initial_state: ArrayLike | None = None,
        dtype: DTypeLike = np.float32,
        engine: str = "auto",
        rng: Rng = None,
    ) -> None:
        self._draw(
            dropout, dtype, engine, rng, initial_state, input_size=input_size, hidden_size=hidden_size,
            num_layers=num_layers, bias=bias, batch_first=batch_first, bidirectional=bidirectional,
            activations=nonlinearity, clip=clip, reverse=reverse, go_backwards=go_backwards, merge_mode=merge_mode,
        )  # fmt: skip

    @property
    def nonlinearity(self) -> Any:
        """The function g as the constructor takes it: a name, with its parameters where they are not the default."""
        return self.config.nonlinearity

    @classmethod
    def from_state_dict(
        cls,
        mapping: Mapping[str, Any],
        *,
        prefix: str = "",
        batch_first: bool = False,
        nonlinearity: Any = "tanh",
        clip: float | None = None,
        reverse: bool = False,
        go_backwards: bool = False,
        merge_mode: str = "concat",
        dtype: DTypeLike | None = None,
        engine: str = "auto",
    ) -> Self:
        """An RNN from PyTorch's parameter names, weights of (H, I) and (H, H); as `GRU.from_state_dict`.

        Parameters
        ----------
        mapping, prefix, dtype, engine
            As in `GRU.from_state_dict`.
        batch_first, nonlinearity, clip, reverse, go_backwards, merge_mode
            As in `RNN`; a state dict does not hold them.
        """
        return cls._from_state_dict(
            mapping,
            prefix=prefix,
            dtype=dtype,
            engine=engine,
            batch_first=batch_first,
            activations=nonlinearity,
            clip=clip,
            reverse=reverse,
            go_backwards=go_backwards,
            merge_mode=merge_mode,
        )
