"""MLX: matrices (out, in).

* GRU    Wx (3H, I)     Wh (3H, H)     b (3H,)        bhn (H,)
* LSTM   Wx (4H, I)     Wh (4H, H)     bias (4H,)
* RNN    Wxh (H, I)     Whh (H, H)     bias (H,)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cgru.checks import real_array
from cgru.convert._build import build, canonical, functions, model_from
from cgru.convert.conventions import CONVENTIONS
from cgru.convert.untrusted.trees import Form, network_parameters

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from cgru.gru import GRU
    from cgru.lstm import LSTM
    from cgru.rnn import RNN
    from cgru.weights import Weights

_FORMS = (
    Form("gru", ("Wx", "Wh"), ("b", "bhn"), stacked="Wh"),
    Form("lstm", ("Wx", "Wh"), ("bias",), stacked="Wh"),
    Form("rnn", ("Wxh", "Whh"), ("bias",)),
)


def from_mlx(
    source: Any,
    name: str | None = None,
    *,
    nonlinearity: Any = None,
    batch_first: bool = True,
    dtype: DTypeLike | None = None,
    engine: str = "auto",
) -> GRU | LSTM | RNN:
    """A GRU from MLX's `mlx.nn.GRU`, an LSTM from its `LSTM`, an RNN from its `RNN`.

    Parameters
    ----------
    source : mlx.nn.GRU, LSTM, RNN or module that holds one, mapping or path
        ``module.parameters()``, or an .npz or .safetensors file of ``save_weights``: Wx (3H, I), Wh (3H, H), and
        with bias b (3H,) and bhn (H,); of an LSTM Wx (4H, I), Wh (4H, H), bias (4H,); of an RNN Wxh (H, I),
        Whh (H, H), bias (H,).
    name : str, optional
        Which network, where there are several: what stands before "Wx".
    nonlinearity : activation, optional
        Of an RNN, see `cgru.activations`; by default "tanh". Parameters do not hold it.
    batch_first : bool, default True
        As MLX has it.
    dtype, engine
        As in `from_torch`.

    Raises
    ------
    TypeError
        Something else was given.
    ValueError
        No such network, several (they are listed), `nonlinearity` without an RNN, shapes that do not fit, or a damaged
        file.
    OSError
        The file cannot be read.

    Warns
    -----
    UserWarning
        The source holds other arrays, which are left out: they are named. Not where `name` is given.
    """
    return model_from(
        weights_from_mlx, source, name, nonlinearity=nonlinearity, batch_first=batch_first, dtype=dtype, engine=engine
    )


def weights_from_mlx(source, name=None, *, nonlinearity=None, batch_first=True, dtype=None) -> Weights:
    """`Weights` of a module, its parameters or a file of them; see `from_mlx`."""
    if callable(getattr(source, "parameters", None)):
        source = source.parameters()
    form, found = network_parameters(source, _FORMS, name)
    cell, (w_x, w_h) = form.cell, form.needed
    H = real_array(w_h, found[w_h], (None, None)).shape[1]
    rows = cell.stacked * H
    biases = {key: real_array(key, found[key], (rows,)) for key in ("b", "bias") if key in found}
    b_hh = None
    if "bhn" in found:      # of n alone: r, z, n
        bhn = real_array("bhn", found["bhn"], (H,))
        b_hh = np.concatenate([np.zeros(2 * H, bhn.dtype), bhn])
    w_ih, w_hh = real_array(w_x, found[w_x], (rows, None)), real_array(w_h, found[w_h], (rows, H))
    parameters = canonical("mlx", cell, w_ih, w_hh, next(iter(biases.values()), None), b_hh)
    return build(
        [[parameters]], cell=cell, dtype=dtype, reset_after=CONVENTIONS["mlx"].reset_after, batch_first=batch_first,
        activations=functions(cell, nonlinearity=nonlinearity),
    )  # fmt: skip
