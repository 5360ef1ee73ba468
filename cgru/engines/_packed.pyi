# The interface of packed.pyx, for each build of it.
from typing import Any

import numpy as np

FUSED: bool

class Layer:
    def __init__(
        self,
        w_ih: np.ndarray,
        w_hh: np.ndarray,
        b_ih: np.ndarray,
        b_hh: np.ndarray,
        *,
        reset_after: bool,
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
    ) -> None: ...
    def step_kernel(self) -> Any: ...

def pack(matrix: np.ndarray, bias: np.ndarray, units: int) -> tuple[np.ndarray, np.ndarray]: ...
def aligned(size: int) -> np.ndarray: ...
