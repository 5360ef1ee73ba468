"""The LSTM, on the GRU's infrastructure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cgru import engines
from cgru.gradients import backpropagate
from cgru.recurrent import Recurrent
from cgru.weights import Config

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Self

    from numpy.typing import ArrayLike, DTypeLike

    from cgru.gradients import Gradients, Tape

    States = tuple[ArrayLike | None, ArrayLike | None]


class LSTM(Recurrent):
    r"""Long short-term memory, PyTorch's `nn.LSTM`: one or several layers, one or two directions.

    For every layer and direction, with s the logistic function and * elementwise::

        i_t = s(W_ii x_t + b_ii + W_hi h_{t-1} + b_hi)
        f_t = s(W_if x_t + b_if + W_hf h_{t-1} + b_hf)
        g_t = tanh(W_ig x_t + b_ig + W_hg h_{t-1} + b_hg)
        o_t = s(W_io x_t + b_io + W_ho h_{t-1} + b_ho)
        c_t = f_t * c_{t-1} + i_t * g_t
        h_t = o_t * tanh(c_t)

    Parameters are drawn uniformly from +-1/sqrt(hidden_size); their rows come in the order i, f, g, o. The BLAS
    engine computes it. There are no projections (PyTorch's `proj_size`) and no peepholes.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, bidirectional
        As in `GRU`.
    dtype, engine, rng
        As in `GRU`; `engine` is "auto" or "blas", which are the same here.

    Raises
    ------
    TypeError, ValueError
        As in `GRU`.

    Notes
    -----
    A model is immutable and may be shared by any number of threads; the GIL is released while it computes.

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
    _cell = "lstm"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        bidirectional: bool = False,
        *,
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
            cell="lstm",
        )
        self._draw(config, dtype, engine, rng)

    @staticmethod
    def _cell_options(config, direction):
        return {"cell": "lstm"}

    @staticmethod
    def _adjoint_options(config):
        return {"cell": "lstm"}

    def __call__(
        self,
        x: ArrayLike,
        hx: States | None = None,
        *,
        lengths: ArrayLike | None = None,
        out: np.ndarray | None = None,
        threads: int = 1,
    ) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """Run over sequences.

        Parameters
        ----------
        x, lengths, out, threads
            As in `GRU.__call__`.
        hx : (h_0, c_0), optional
            Initial states (num_layers * D, N, H) each, of the model's dtype; either may be None for zeros.

        Returns
        -------
        y : ndarray
            The last layer's h, as in `GRU.__call__`.
        (h_n, c_n) : tuple of ndarray
            Final states, shaped as the initial ones.

        Raises
        ------
        TypeError, ValueError
            As in `GRU.__call__`; hx is no pair.
        """
        return self._forward(x, _pair("hx", hx, ("h_0", "c_0")), lengths, out, threads)

    def forward(
        self, x: ArrayLike, hx: States | None = None, *, lengths: ArrayLike | None = None, tape: bool = False
    ) -> Any:
        """Run, and with ``tape=True`` keep what `backward` needs: y, (h_n, c_n)(, tape); as `GRU.forward`.

        The tape holds x, each layer's y, and per layer and direction (T, N, 5H) numbers.
        """
        return self._forward_with_tape(x, _pair("hx", hx, ("h_0", "c_0")), lengths, tape)

    def backward(
        self, tape: Tape, dy: ArrayLike | None = None, dh_n: States | None = None
    ) -> Gradients:
        """Backpropagation through time.

        One step multiplies the gradient of the cell state by dc_t / dc_{t-1} = diag(f_t) + (through the gates).

        Parameters
        ----------
        tape, dy
            As in `GRU.backward`.
        dh_n : (dL/dh_n, dL/dc_n), optional
            Of the final states' shapes; either may be None for zeros.

        Returns
        -------
        cgru.gradients.Gradients
            ``grads.x``, ``grads.h_0``, ``grads.c_0`` and ``grads[name]`` for every name of `state_dict`.

        Raises
        ------
        TypeError, ValueError
            As in `GRU.backward`; dh_n is no pair.
        """
        return backpropagate(self, tape, dy, _pair("dh_n", dh_n, ("dh_n", "dc_n")))

    @classmethod
    def from_state_dict(
        cls,
        mapping: Mapping[str, Any],
        *,
        prefix: str = "",
        batch_first: bool = False,
        dtype: DTypeLike | None = None,
        engine: str = "auto",
    ) -> Self:
        """An LSTM from PyTorch's parameter names, weights of (4H, I) and (4H, H); as `GRU.from_state_dict`.

        Gate order i, f, g, o.
        """
        return cls._from_state_dict(
            mapping, prefix=prefix, dtype=dtype, engine=engine, batch_first=batch_first
        )


def _pair(name, value, names):
    """`value`, a pair or None, as a mapping."""
    if value is None:
        return dict.fromkeys(names)
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise TypeError(f"{name} must be a pair ({', '.join(names)}); got {type(value).__name__}")
    return dict(zip(names, value, strict=True))
