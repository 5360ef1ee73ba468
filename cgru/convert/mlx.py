"""MLX: Wx (3H, I), Wh (3H, H), b (3H,), bhn (H,)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cgru.checks import real_array
from cgru.convert._build import Parameters, build, gru_from
from cgru.convert.conventions import CONVENTIONS
from cgru.convert.untrusted.trees import gru_parameters

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from cgru.gru import GRU
    from cgru.weights import Weights


def from_mlx(
    source: Any,
    name: str | None = None,
    *,
    batch_first: bool = True,
    dtype: DTypeLike | None = None,
    engine: str = "auto",
) -> GRU:
    """A GRU from MLX's `mlx.nn.GRU`.

    Parameters
    ----------
    source : mlx.nn.GRU or module that holds one, mapping or path
        ``module.parameters()``, or an .npz or .safetensors file of ``save_weights``: Wx (3H, I), Wh (3H, H), and
        with bias b (3H,) and bhn (H,).
    name : str, optional
        Which GRU, where there are several: what stands before "Wx".
    batch_first : bool, default True
        As MLX has it.
    dtype, engine
        As in `from_torch`.

    Raises
    ------
    TypeError
        Something else was given.
    ValueError
        No GRU, several (they are listed), shapes that do not fit, or a damaged file.
    OSError
        The file cannot be read.

    Warns
    -----
    UserWarning
        The source holds other arrays, which are left out: they are named. Not where `name` is given.
    """
    return gru_from(weights_from_mlx, source, name, batch_first=batch_first, dtype=dtype, engine=engine)


def weights_from_mlx(source, name=None, *, batch_first=True, dtype=None) -> Weights:
    """`Weights` of an mlx.nn.GRU, its parameters or a file of them; see `from_mlx`."""
    if callable(getattr(source, "parameters", None)):
        source = source.parameters()
    found = gru_parameters(source, ("Wx", "Wh"), name, ("b", "bhn"))
    H = real_array("Wh", found["Wh"], (None, None)).shape[1]
    b_ih = b_hh = None
    mlx = CONVENTIONS["mlx"]
    if "b" in found:
        b_ih = mlx.canonical(real_array("b", found["b"], (3 * H,)))
    if "bhn" in found:
        bhn = real_array("bhn", found["bhn"], (H,))
        b_hh = np.concatenate([np.zeros(2 * H, bhn.dtype), bhn])      # r, z, n
    w_ih = mlx.canonical(real_array("Wx", found["Wx"], (3 * H, None)))
    w_hh = mlx.canonical(real_array("Wh", found["Wh"], (3 * H, H)))
    parameters = Parameters(w_ih, w_hh, b_ih, b_hh)
    return build([[parameters]], dtype=dtype, reset_after=mlx.reset_after, batch_first=batch_first)
