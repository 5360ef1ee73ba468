"""MLX: Wx (3H, I), Wh (3H, H), b (3H,), bhn (H,). Gates r, z, n; reset after; z keeps the old h."""

import numpy as np

from cgru.convert._build import Cell, build, real_array
from cgru.convert._trees import cell_parameters


def weights_from_mlx(source, name=None, *, batch_first=True, dtype=None):
    """`Weights` of an mlx.nn.GRU, its parameters or a file of them; see `from_mlx`."""
    if callable(getattr(source, "parameters", None)):
        source = source.parameters()
    found = cell_parameters(source, ("Wx", "Wh"), name, ("b", "bhn"))
    H = real_array("Wh", found["Wh"], (None, None)).shape[1]
    Wh = real_array("Wh", found["Wh"], (3 * H, H))
    Wx = real_array("Wx", found["Wx"], (3 * H, None))
    b = real_array("b", found["b"], (3 * H,)) if "b" in found else None
    b_hh = None
    if "bhn" in found:
        bhn = real_array("bhn", found["bhn"], (H,))
        b_hh = np.concatenate([np.zeros(2 * H, bhn.dtype), bhn])
    return build([[Cell(Wx, Wh, b, b_hh)]], dtype=dtype, batch_first=batch_first)
