"""TensorFlow 1's GRUCell, also in TFLite: kernels over [x, h]. Gates r, u (= z); reset before; z keeps the old h.

* gates/kernel (I + H, 2H)     gates/bias (2H,)     candidate/kernel (I + H, H)     candidate/bias (H,)
"""

from collections.abc import Sequence

import numpy as np

from cgru.convert._build import Cell, build, real_array
from cgru.convert._trees import cell_parameters, flattened

_NEEDED = ("gates/kernel", "gates/bias", "candidate/kernel", "candidate/bias")


def weights_from_tensorflow1(source, name=None, *, activation="tanh", batch_first=True, dtype=None):
    """`Weights` of one cell, or of several as layers; see `from_tensorflow1`."""
    flat = {_renamed(path): array for path, array in flattened(source).items()}
    names = list(name) if isinstance(name, Sequence) and not isinstance(name, str) else [name]
    cells = [[_cell(cell_parameters(flat, _NEEDED, one))] for one in names]
    return build(
        cells, dtype=dtype, reset_after=False, activations=("sigmoid", activation), batch_first=batch_first
    )


def _renamed(path):
    """Before TensorFlow 1.2 the names were weights and biases."""
    above, slash, name = path.rpartition("/")
    return above + slash + {"weights": "kernel", "biases": "bias"}.get(name, name)


def _cell(found):
    candidate = real_array("candidate/kernel", found["candidate/kernel"], (None, None))
    rows, H = candidate.shape
    if rows <= H:
        raise ValueError(f"candidate/kernel has shape {candidate.shape}, expected (I + H, H) with I of at least 1")
    both = real_array("gates/kernel", found["gates/kernel"], (rows, 2 * H))
    b_rz = real_array("gates/bias", found["gates/bias"], (2 * H,))
    b_n = real_array("candidate/bias", found["candidate/bias"], (H,))
    stacked = np.concatenate([both, candidate], axis=1).T      # (3H, I + H)
    return Cell(stacked[:, : rows - H], stacked[:, rows - H :], np.concatenate([b_rz, b_n]))
