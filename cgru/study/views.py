"""Looking into a GRU: its methods `trace` and `jacobian`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgru.study.jacobian import gru_jacobian
from cgru.study.trace import trace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

    from cgru.study.trace import Gates


class Views:
    """What a GRU shows of its inside."""

    __slots__ = ()

    def trace(
        self, x: ArrayLike, hx: ArrayLike | None = None, *, lengths: ArrayLike | None = None, z_is: str = "keep"
    ) -> tuple[np.ndarray, np.ndarray, Gates]:
        """Run as a call does and return the gates of every step, layer and direction too.

        Parameters
        ----------
        x, hx, lengths
            As in a call.
        z_is : {"keep", "new"}, default "keep"
            What z is the share of: of the old state, h' = z h + (1 - z) n, as in PyTorch, or of the new one,
            h' = (1 - z) h + z n, as in the equations of 2014. It changes nothing but the z that is returned.

        Returns
        -------
        y, h_n : ndarray
            As from a call.
        gates : Gates
            ``gates.r``, ``gates.z``, ``gates.n``.

        Raises
        ------
        TypeError
            As a call.
        ValueError
            As a call; another `z_is`.

        Examples
        --------
        >>> import numpy as np, cgru
        >>> y, h_n, gates = cgru.GRU(3, 5, num_layers=2, rng=0).trace(np.zeros((7, 4, 3), np.float32))
        >>> gates.z.shape
        (2, 7, 4, 5)
        """
        return trace(self, x, hx, lengths, z_is)

    def jacobian(self, x_t: ArrayLike, h: ArrayLike) -> np.ndarray:
        """The matrix d h_t / d h_{t-1} of one step, of a model with one layer and one direction.

        With z keeping the old state, U_* the recurrent weights, q = U_n h + c_n::

            J = diag(z) + diag((h - n) z (1 - z)) U_z + diag((1 - z) (1 - n^2)) M
            M = diag(r) U_n + diag(q r (1 - r)) U_r                 reset_after=True
            M = U_n (diag(r) + diag(h r (1 - r)) U_r)               reset_after=False

        diag(z), which is diag(1 - z) in the equations of 2014, is what keeps a gradient alive.

        Parameters
        ----------
        x_t : array_like
            (N, I) or (I,): one step of x, whatever `batch_first` says.
        h : array_like
            (N, H) or (H,): the state before it.

        Returns
        -------
        ndarray
            (N, H, H) or (H, H); entry [i, j] is d h_t[i] / d h_{t-1}[j].

        Raises
        ------
        TypeError, ValueError
            As from `record`; several layers or directions.
        """
        return gru_jacobian(self, x_t, h)
