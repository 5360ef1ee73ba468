# The interface of blas.pyx, for each build of it.
from typing import Any

import numpy as np

class Layer:
    def __init__(
        self,
        w_ih: np.ndarray,
        w_hh: np.ndarray,
        b_ih: np.ndarray,
        b_hh: np.ndarray,
        *,
        cell: str = "gru",
        reset_after: bool = True,
        f: tuple[int, float, float] = ...,
        g: tuple[int, float, float] = ...,
        clip: float = 0,
    ) -> None: ...
    def run(
        self,
        x: np.ndarray,
        h_0: np.ndarray,
        y: np.ndarray,
        h_n: np.ndarray,
        lengths: np.ndarray | None,
        order: np.ndarray | None,
        reverse: bool,
        tape: np.ndarray | None = None,
        c: np.ndarray | None = None,
    ) -> None: ...
    def step_kernel(self) -> Any: ...

def evaluate(hyperbolic: bool, x: np.ndarray, out: np.ndarray) -> None: ...
