"""TensorFlow 1's GRUCell: kernels over rows [x, h].

* gates/kernel (I + H, 2H)     gates/bias (2H,)     candidate/kernel (I + H, H)     candidate/bias (H,)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cgru.checks import real_array
from cgru.convert._build import Parameters, build, gru_from
from cgru.convert.conventions import CONVENTIONS
from cgru.convert.untrusted.trees import flattened, gru_parameters

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.typing import DTypeLike

    from cgru.gru import GRU
    from cgru.weights import Weights

_TENSORFLOW1 = CONVENTIONS["tensorflow1"]
_NEEDED = ("gates/kernel", "gates/bias", "candidate/kernel", "candidate/bias")


def from_tensorflow1(
    source: Mapping[str, Any] | str | os.PathLike[str],
    name: str | Sequence[str] | None = None,
    *,
    activation: Any = "tanh",
    batch_first: bool = True,
    dtype: DTypeLike | None = None,
    engine: str = "auto",
) -> GRU:
    """A GRU from TensorFlow 1's `GRUCell`, which resets before the product.

    Parameters
    ----------
    source : mapping or path
        Variable names to arrays, or an .npz file of them: ".../gates/kernel" (I + H, 2H), ".../gates/bias" (2H,),
        ".../candidate/kernel" (I + H, H), ".../candidate/bias" (H,); rows [x, h], gates r, u. The oldest versions'
        names weights and biases, and a ":0" at the end, are understood.
    name : str or sequence of str, optional
        Which cell, where there are several: what stands before "/gates". Several names, in order, are layers.
    activation : str, default "tanh"
        The cell's; see `cgru.activations`.
    batch_first : bool, default True
        As `tf.nn.dynamic_rnn` has it.
    dtype, engine
        As in `from_torch`.

    Raises
    ------
    TypeError
        Neither a mapping nor a path.
    ValueError
        No cell, several (they are listed), or shapes that do not fit.
    OSError
        The file cannot be read.

    Warns
    -----
    UserWarning
        The source holds other arrays than the cell's and an optimizer's, which are left out: they are named. Not where
        `name` is given.
    """
    return gru_from(
        weights_from_tensorflow1, source, name, activation=activation, batch_first=batch_first, dtype=dtype,
        engine=engine,
    )  # fmt: skip


def weights_from_tensorflow1(source, name=None, *, activation="tanh", batch_first=True, dtype=None) -> Weights:
    """`Weights` of one cell, or of several as layers; see `from_tensorflow1`."""
    flat = {_renamed(path): array for path, array in flattened(source).items()}
    names = [name] if name is None or isinstance(name, str) else list(name)
    layers = [[_parameters(gru_parameters(flat, _NEEDED, one))] for one in names]
    return build(
        layers, dtype=dtype, reset_after=_TENSORFLOW1.reset_after, activations=("sigmoid", activation),
        batch_first=batch_first,
    )  # fmt: skip


def _renamed(path):
    """Before TensorFlow 1.2 the names were weights and biases."""
    above, slash, name = path.rpartition("/")
    return above + slash + {"weights": "kernel", "biases": "bias"}.get(name, name)


def _parameters(found):
    candidate = real_array("candidate/kernel", found["candidate/kernel"], (None, None))
    rows, H = candidate.shape
    if rows <= H:
        raise ValueError(f"candidate/kernel has shape {candidate.shape}, expected (I + H, H) with I of at least 1")
    both = real_array("gates/kernel", found["gates/kernel"], (rows, 2 * H))
    b_rz = real_array("gates/bias", found["gates/bias"], (2 * H,))
    b_n = real_array("candidate/bias", found["candidate/bias"], (H,))
    stacked = _TENSORFLOW1.canonical(np.concatenate([both, candidate], axis=1).T)      # (3H, I + H)
    bias = _TENSORFLOW1.canonical(np.concatenate([b_rz, b_n]))
    return Parameters(stacked[:, : rows - H], stacked[:, rows - H :], bias)
