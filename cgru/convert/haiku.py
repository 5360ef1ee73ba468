"""Haiku: w_i (I, 3H), w_h (H, 3H), b (3H,). Gates z, r, a; reset before; z takes the new."""

from cgru.convert._build import Cell, build, gates, negated_z, real_array
from cgru.convert._trees import cell_parameters


def weights_from_haiku(params, name=None, *, batch_first=False, dtype=None):
    """`Weights` of a GRU in Haiku's parameters; see `from_haiku`."""
    found = cell_parameters(params, ("w_h", "w_i", "b"), name)
    H = real_array("w_h", found["w_h"], (None, None)).shape[0]
    w_h = real_array("w_h", found["w_h"], (H, 3 * H))
    w_i = real_array("w_i", found["w_i"], (None, 3 * H))
    b = real_array("b", found["b"], (3 * H,))
    cell = Cell(*(negated_z(gates(array, "zrn")) for array in (w_i.T, w_h.T, b)))
    return build([[cell]], dtype=dtype, reset_after=False, batch_first=batch_first)
