# The interface of backward.pyx, for each build of it.
from collections.abc import Sequence

import numpy as np

class Layer:
    def __init__(
        self,
        w_ih: np.ndarray,
        w_hh: np.ndarray,
        *,
        cell: str = "gru",
        reset_after: bool = True,
        relu: bool = False,
    ) -> None: ...
    def run(
        self,
        x: np.ndarray,
        y: np.ndarray,
        tape: np.ndarray | None,
        lengths: np.ndarray | None,
        half: int,
        reverse: bool,
        dy: np.ndarray | None,
        states: tuple[np.ndarray, ...],
        dstates: tuple[np.ndarray, ...],
        dx: np.ndarray | None,
        add_dx: bool,
        grads: Sequence[np.ndarray],
    ) -> None: ...
