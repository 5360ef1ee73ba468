"""What the compiled modules offer: engines, and the backward pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from cgru.quantize import Quantized


class Direction(Protocol):
    """One direction of a layer, ready to run: what an engine's class `Direction` makes.

    Immutable: any number of threads may `run` one at a time.
    """

    def run(
        self,
        x: np.ndarray,
        y: np.ndarray,
        states: tuple[np.ndarray, ...],
        lengths: np.ndarray | None,
        order: np.ndarray | None,
        reverse: bool,
        tape: np.ndarray | None,
    ) -> None:
        """One pass over all time steps, with the GIL released; everything is checked by the caller.

        Parameters
        ----------
        x, y : ndarray
            (T, N, K), and (T, N, H), which is filled: 0 past a row's length. T and N are at least 1. Features are
            contiguous.
        states : tuple of ndarray
            The planes of state, (N, H) each, C-contiguous: h, and an LSTM's c. The initial states go in and are
            replaced by the final ones.
        lengths, order : ndarray of intp, or None and None
            (N,) steps of each row, and the rows by falling length.
        reverse : bool
            From the end of each row to its start.
        tape : ndarray or None
            (T, N, planes * H), features contiguous, with the planes of `Config.tape`: what the backward pass needs of
            every step. It is left alone past a row's length.
        """

    def kernel(self) -> Any:
        """A capsule of this direction's Kernel (_kernel.pxd): one step, without Python."""


class AdjointPass(Protocol):
    """The gradients of one pass of a direction: first of all rows, then all parts, each once, in any threads."""

    def rows(self, begin: int, end: int) -> None:
        """Of the rows begin..end of the batch: what goes on to dx and to the initial states."""

    def parameters(self, part: int, parts: int) -> None:
        """Part number `part` of so many of the gradients of weights and biases."""


class Adjoint(Protocol):
    """The backward pass of one direction of a layer."""

    width: int
    """Numbers of scratch memory for each row of each step."""
    slack: int
    """Numbers of it behind all rows."""

    def begin(
        self,
        x: np.ndarray,
        y: np.ndarray,
        tape: np.ndarray | None,
        lengths: np.ndarray | None,
        column: int,
        reverse: bool,
        dy: np.ndarray | None,
        states: tuple[np.ndarray, ...],
        dstates: tuple[np.ndarray, ...],
        dx: np.ndarray | None,
        add_dx: bool,
        grads: Sequence[np.ndarray],
        da: np.ndarray,
    ) -> AdjointPass:
        """The gradients of one pass, to be computed; everything is C-contiguous and checked by the caller.

        Parameters
        ----------
        x, y, tape : ndarray
            (T, N, K), (T, N, D * H), (T, N, planes * H) of the forward pass, with D directions; zero past a row's
            length. Without planes the tape is None.
        lengths : ndarray of intp or None
            (N,) falling.
        column : int
            Which H columns of y and dy are this direction's: 0 for the first H, 1 for the second.
        reverse : bool
            As in the forward pass.
        dy : ndarray or None
            (T, N, D * H).
        states, dstates : tuple of ndarray
            (N, H) each: the initial states; dL/d(final states), replaced by dL/d(initial states).
        dx : ndarray or None
            (T, N, K); `add_dx` adds to what is there.
        grads : sequence of ndarray
            dL/d of w_ih, w_hh, b_ih, b_hh: overwritten.
        da : ndarray
            At least T * N * width + slack numbers of scratch memory.
        """


_Made = TypeVar("_Made", covariant=True)


class _Maker(Protocol[_Made]):
    """The constructor of a `Direction`, and that of an `Adjoint`, which takes the same; see `options`."""

    def __call__(
        self,
        w_ih: np.ndarray | Quantized,
        w_hh: np.ndarray | Quantized,
        b_ih: np.ndarray,
        b_hh: np.ndarray,
        *,
        kind: int = ...,
        reset_after: bool = ...,
        f: tuple[int, float, float] = ...,
        g: tuple[int, float, float] = ...,
        h: tuple[int, float, float] = ...,
        clip: float = ...,
    ) -> _Made: ...


class Engine(Protocol):
    """A module that computes forward: "packed" or "blas"."""

    FUSED: bool
    """Whether its multiply-adds are fused, as the numerical contract has them."""
    Direction: _Maker[Direction]


class Backward(Protocol):
    """The module "backward"."""

    Adjoint: _Maker[Adjoint]
    LinearAdjoint: Any
    """Of a Linear: ``LinearAdjoint(weight, activation).begin(x, a, y, dy, dx, dW, db, da)`` is an `AdjointPass`."""
