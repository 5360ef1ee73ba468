"""The plain recurrent network, on the GRU's infrastructure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cgru import engines
from cgru.activations import code, rnn_activations
from cgru.gradients import backpropagate
from cgru.recurrent import Recurrent
from cgru.weights import Config

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Self

    from numpy.typing import ArrayLike, DTypeLike

    from cgru.gradients import Gradients, Tape



class RNN(Recurrent):
    r"""Plain (Elman) recurrent network, PyTorch's `nn.RNN`: one or several layers, one or two directions.

    For every layer and direction::

        h_t = g(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)        g = tanh or relu

    Parameters are drawn uniformly from +-1/sqrt(hidden_size). The BLAS engine computes it.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, bidirectional
        As in `GRU`.
    nonlinearity : {"tanh", "relu"}, default "tanh"
        The function g.
    dtype, engine, rng
        As in `GRU`; `engine` is "auto" or "blas", which are the same here.

    Raises
    ------
    TypeError, ValueError
        As in `GRU`; another nonlinearity.

    Notes
    -----
    A model is immutable and may be shared by any number of threads; the GIL is released while it computes.

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
    _cell = "rnn"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        bidirectional: bool = False,
        *,
        nonlinearity: str = "tanh",
        dtype: DTypeLike = np.float32,
        engine: str = "auto",
        rng: int | Sequence[int] | np.random.Generator | None = None,
    ) -> None:
        engines.check_engine(engine)
        config = Config(
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            bias=bias,
            batch_first=batch_first,
            bidirectional=bidirectional,
            activations=rnn_activations(nonlinearity),
            cell="rnn",
        )
        self._draw(config, dtype, engine, rng)

    @staticmethod
    def _cell_options(config, direction):
        return {"cell": "rnn", "g": code(config.activations[direction][1])}

    @staticmethod
    def _adjoint_options(config):
        return {"cell": "rnn", "relu": config.nonlinearity == "relu"}

    @property
    def nonlinearity(self) -> str:
        """"tanh" or "relu"."""
        return self._weights.config.nonlinearity

    def __call__(
        self,
        x: ArrayLike,
        h_0: ArrayLike | None = None,
        *,
        lengths: ArrayLike | None = None,
        out: np.ndarray | None = None,
        threads: int = 1,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Run over sequences: y, h_n. Arguments, results and errors are those of `GRU.__call__`."""
        y, (h_n,) = self._forward(x, {"h_0": h_0}, lengths, out, threads)
        return y, h_n

    def forward(
        self, x: ArrayLike, h_0: ArrayLike | None = None, *, lengths: ArrayLike | None = None, tape: bool = False
    ) -> Any:
        """Run, and with ``tape=True`` keep what `backward` needs: y, h_n(, tape); as `GRU.forward`.

        The tape holds x and each layer's y; an RNN needs no more.
        """
        return self._forward_with_tape(x, {"h_0": h_0}, lengths, tape)

    def backward(
        self, tape: Tape, dy: ArrayLike | None = None, dh_n: ArrayLike | None = None
    ) -> Gradients:
        """Backpropagation through time; arguments, results and errors are those of `GRU.backward`.

        One step multiplies the gradient that comes from above by dh_t / dh_{t-1} = diag(g') W_hh, so over k steps
        it is a product of k such factors, which vanishes or explodes.
        """
        return backpropagate(self, tape, dy, {"dh_n": dh_n})

    @classmethod
    def from_state_dict(
        cls,
        mapping: Mapping[str, Any],
        *,
        prefix: str = "",
        batch_first: bool = False,
        nonlinearity: str = "tanh",
        dtype: DTypeLike | None = None,
        engine: str = "auto",
    ) -> Self:
        """An RNN from PyTorch's parameter names, weights of (H, I) and (H, H); as `GRU.from_state_dict`.

        Parameters
        ----------
        nonlinearity : {"tanh", "relu"}
            A state dict does not hold it.
        mapping, prefix, batch_first, dtype, engine
            As in `GRU.from_state_dict`.
        """
        return cls._from_state_dict(
            mapping, prefix=prefix, dtype=dtype, engine=engine, batch_first=batch_first,
            activations=rnn_activations(nonlinearity),
        )  # fmt: skip
