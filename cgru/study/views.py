"""Looking into a model: the methods `trace` and `jacobian` of all recurrent ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from cgru.study.jacobian import jacobian
from cgru.study.trace import trace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

State = TypeVar("State")            # what a call returns as the final state
StateLike = TypeVar("StateLike")    # what it takes as the initial one
Gates = TypeVar("Gates")            # what a trace shows


class Views(Generic[State, StateLike, Gates]):
    """What a recurrent model shows of its inside."""

    __slots__ = ()

    def trace(
        self, x: ArrayLike, hx: StateLike | None = None, *, lengths: ArrayLike | None = None
    ) -> tuple[np.ndarray, State, Gates]:
        """Run as a call does and return what happened at every step, in every layer and direction, too.

        Parameters
        ----------
        x, hx, lengths
            As in a call; no list of sequences.

        Returns
        -------
        y, h_n
            As from a call.
        gates : GRUGates, LSTMGates or RNNGates
            Of a GRU ``gates.r``, ``gates.z``, ``gates.n``. Of an LSTM ``gates.i``, ``gates.f``, ``gates.g``,
            ``gates.o`` and the cell state after the step, ``gates.c``. An RNN has no gates: of it ``gates.h``, the
            states of all layers. Each is (num_layers * D, T, N, H), the first axis as in h_n, the others in the layout
            of x; a step stands at the time of the input that it reads.

        Raises
        ------
        TypeError, ValueError
            As a call.

        Examples
        --------
        >>> import numpy as np, cgru
        >>> y, (h_n, c_n), gates = cgru.LSTM(3, 5, num_layers=2, rng=0).trace(np.zeros((7, 4, 3), np.float32))
        >>> gates.f.shape
        (2, 7, 4, 5)
        """
        return trace(self, x, hx, lengths)

    def jacobian(self, x_t: ArrayLike, hx: StateLike) -> np.ndarray:
        """The matrix of one step, of a model with one layer and one direction: d state_t / d state_{t-1}.

        With U_* the recurrent weights::

            GRU    J = diag(z) + diag((h - n) z (1 - z)) U_z + diag((1 - z) (1 - n^2)) M
                   M = diag(r) U_n + diag(q r (1 - r)) U_r                 reset_after=True, q = U_n h + c_n
                   M = U_n (diag(r) + diag(h r (1 - r)) U_r)               reset_after=False
            RNN    J = diag(g') U                                          g' = 1 - h_t^2, or of relu h_t > 0

            LSTM   J = | d h_t / d h_{t-1}   d h_t / d c_{t-1} |   = | A + B M   B diag(f) |
                       | d c_t / d h_{t-1}   d c_t / d c_{t-1} |     | M         diag(f)   |
                   A = diag(tanh(c_t) o (1 - o)) U_o
                   B = diag(o (1 - tanh(c_t)^2))
                   M = diag(g i (1 - i)) U_i + diag(c_{t-1} f (1 - f)) U_f + diag(i (1 - g^2)) U_g

        A GRU's diag(z), which is diag(1 - z) in the equations of 2014, and an LSTM's diag(f) are what keeps a
        gradient alive. With other activations than sigmoid and tanh (and an RNN's relu), or with a `clip`, their slopes
        stand in place of v (1 - v) and 1 - v^2; then the matrix is computed by `backward`.

        Parameters
        ----------
        x_t : array_like
            (N, I) or (I,): one step of x, whatever `batch_first` says.
        hx : array_like, or for an LSTM (array_like, array_like)
            (N, H) or (H,): the state before it, h_{t-1}, and of an LSTM the pair (h_{t-1}, c_{t-1}).

        Returns
        -------
        ndarray
            (N, H, H) or (H, H); entry [i, j] is d h_t[i] / d h_{t-1}[j]. Of an LSTM (N, 2H, 2H) or (2H, 2H): its state
            is the 2H numbers of h and c, one after the other.

        Raises
        ------
        TypeError, ValueError
            As from `record`; several layers or directions.
        ImportError
            SciPy, which `backward` needs, is missing or cannot be used.
        """
        return jacobian(self, x_t, hx)
