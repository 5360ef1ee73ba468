"""The arrays of Keras's `get_weights()`: kernel (I, G), recurrent kernel (H, G), maybe a bias; gates in columns.

G is 3H for a GRU, 4H for an LSTM, H for a SimpleRNN. A GRU's bias is (2, 3H) = input, recurrent with reset_after; else
a bias is (G,). Keras 1 has three arrays for each gate, W (I, H), U (H, H), b (H,): nine for z, r, h of a GRU, twelve
for i, c, f, o of an LSTM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cgru.cells import CELLS, Cell
from cgru.checks import real_array
from cgru.convert._build import Parameters, canonical, kernels, told
from cgru.convert.conventions import CONVENTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

#: How many arrays an old Keras has -> whose they are.
_OLD = {3 * cell.stacked: cell for cell in CELLS.values() if cell.gates}


def is_keras_1(arrays: Sequence[Any]) -> bool:
    """Whether there are as many arrays as only Keras 1 had."""
    return len(arrays) in _OLD


def told_by_arrays(arrays: Sequence[Any]) -> Cell:
    """The cell to which the arrays of `get_weights()` belong."""
    if is_keras_1(arrays):
        return _OLD[len(arrays)]
    _check_count(arrays)
    return told("recurrent_kernel", real_array("recurrent_kernel", arrays[1], (None, None)))


def _check_count(arrays):
    if len(arrays) not in (2, 3):
        raise ValueError(
            f"a GRU, LSTM or SimpleRNN has 2 or 3 arrays, in Keras 1 a GRU nine and an LSTM twelve; got {len(arrays)}"
        )


def parameters_of(arrays: Sequence[Any], cell: Cell, reset_after: bool | None) -> tuple[Parameters, bool | None]:
    """The parameters in `arrays`, and where a GRU's reset gate acts if `reset_after` does not say it; else None."""
    system = "keras"
    if _OLD.get(len(arrays)) is cell:
        arrays, system = _by_kind(arrays), "keras1"
        reset_after = CONVENTIONS[system].reset_after
    _check_count(arrays)
    kernel, recurrent, H = kernels(arrays[0], arrays[1], cell)
    rows = cell.stacked * H
    biases: Sequence[np.ndarray] = ()
    if "reset_after" not in cell.options:
        reset_after = None
        biases = [real_array("bias", bias, (rows,)) for bias in arrays[2:]]
    elif len(arrays) == 3:
        bias = real_array("bias", arrays[2])
        reset_after = bool(bias.ndim == 2 if reset_after is None else reset_after)
        bias = real_array("bias", bias, (2, rows) if reset_after else (rows,))
        biases = list(bias) if reset_after else [bias]
    else:
        reset_after = reset_after is None or bool(reset_after)
    return canonical(system, cell, kernel.T, recurrent.T, *biases), reset_after


def _by_kind(arrays):
    """The arrays of Keras 1, three for each gate, as kernel (I, G), recurrent kernel (H, G) and bias (G,)."""
    parts = [real_array(f"weights[{i}]", array) for i, array in enumerate(arrays)]
    shape, H = parts[0].shape, parts[0].shape[-1] if parts[0].ndim else 0
    for i, part in enumerate(parts):
        expected = (shape, (H, H), (H,))[i % 3]
        if part.ndim != len(expected) or part.shape != expected:
            raise ValueError(f"weights[{i}] of Keras 1 has shape {part.shape}, expected {expected}")
    return [np.concatenate(parts[kind::3], axis=-1) for kind in range(3)]
