"""What is timed: a layer, or a stack of them, and the sizes of a call."""

from dataclasses import dataclass

import numpy as np

from cgru.cells import CELLS


@dataclass(frozen=True)
class Point:
    """One shape: T steps, N rows, I inputs, H hidden units; a cell, and how many layers and directions of it."""

    T: int
    N: int
    I: int  # noqa: E741
    H: int
    cell: str = "gru"
    layers: int = 1
    directions: int = 1

    @property
    def shape(self) -> str:
        """Its name without the cell, like ``T100-N1-I64-H64``, ``T50-N1-I100-H100-L2`` and ``T9-N1-I4-H8-L1-D2``."""
        name = f"T{self.T}-N{self.N}-I{self.I}-H{self.H}"
        if self.is_stack:
            name += f"-L{self.layers}"
        return name + ("-D2" if self.directions == 2 else "")

    @property
    def key(self) -> str:
        """Its name, like ``gru-T100-N1-I64-H64``."""
        return f"{self.cell}-{self.shape}"

    @property
    def is_step(self) -> bool:
        """Whether a call is one step that carries the state to the next call."""
        return self.T == 1

    @property
    def is_stack(self) -> bool:
        """Whether there is more than one layer or direction."""
        return self.layers * self.directions > 1

    @property
    def columns(self) -> int:
        """Columns of the products of one direction: H for each gate."""
        return CELLS[self.cell].stacked * self.H

    @property
    def inputs(self) -> list[int]:
        """Features that each layer gets, as a list."""
        return [self.I] + [self.H * self.directions] * (self.layers - 1)

    @property
    def flops(self) -> int:
        """Floating-point operations of the matrix products of one call."""
        widths = sum(inputs + self.H for inputs in self.inputs)
        return self.T * self.N * self.directions * 2 * self.columns * widths

    def draw_weights(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Its layers by PyTorch's names, float32, uniform within 1 / sqrt(H) as PyTorch draws them."""
        bound = 1 / np.sqrt(self.H)

        def draw(*shape):
            return rng.uniform(-bound, bound, shape).astype(np.float32)

        weights: dict[str, np.ndarray] = {}
        for layer, inputs in enumerate(self.inputs):
            for suffix in ("", "_reverse")[: self.directions]:
                weights |= {
                    f"weight_ih_l{layer}{suffix}": draw(self.columns, inputs),
                    f"weight_hh_l{layer}{suffix}": draw(self.columns, self.H),
                    f"bias_ih_l{layer}{suffix}": draw(self.columns),
                    f"bias_hh_l{layer}{suffix}": draw(self.columns),
                }
        return weights
