"""TensorFlow 1's cells: kernels over rows [x, h].

* GRUCell                  gates/kernel (I + H, 2H)  gates/bias (2H,)  candidate/kernel (I + H, H)  candidate/bias (H,)
* BasicLSTMCell, LSTMCell  kernel (I + H, 4H)        bias (4H,)
* BasicRNNCell             kernel (I + H, H)         bias (H,)

An LSTM's cell adds its forget_bias, which is not among the variables, when it runs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cgru.cells import CELLS
from cgru.checks import real_array
from cgru.convert._build import build, canonical, joint_kernel, model_from
from cgru.convert.conventions import CONVENTIONS
from cgru.convert.untrusted.trees import Form, flattened, network_parameters

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.typing import DTypeLike

    from cgru.gru import GRU
    from cgru.lstm import LSTM
    from cgru.rnn import RNN
    from cgru.weights import Weights

_TENSORFLOW1 = CONVENTIONS["tensorflow1"]
_REFUSED = {
    "w_i_diag": "peepholes", "w_f_diag": "peepholes", "w_o_diag": "peepholes", "projection/kernel": "a projection",
}  # fmt: skip
#: A kernel and a bias may be anybody's: the scope, or the caller, says whose they are.
_FORMS = (
    Form("gru", ("gates/kernel", "gates/bias", "candidate/kernel", "candidate/bias")),
    Form("lstm", ("kernel", "bias"), tuple(_REFUSED), named=r"(basic_)?lstm_cell(_\d+)?"),
    Form("rnn", ("kernel", "bias"), named=r"(basic_)?rnn_cell(_\d+)?"),
)


def from_tensorflow1(
    source: Mapping[str, Any] | str | os.PathLike[str],
    name: str | Sequence[str] | None = None,
    *,
    kind: str | None = None,
    activation: Any = "tanh",
    forget_bias: float = 1.0,
    batch_first: bool = True,
    dtype: DTypeLike | None = None,
    engine: str = "auto",
) -> GRU | LSTM | RNN:
    """A GRU from TensorFlow 1's `GRUCell`, an LSTM from its `BasicLSTMCell` or `LSTMCell`, an RNN from `BasicRNNCell`.

    Parameters
    ----------
    source : mapping or path
        Variable names to arrays, or an .npz file of them: ".../gates/kernel" (I + H, 2H), ".../gates/bias" (2H,),
        ".../candidate/kernel" (I + H, H), ".../candidate/bias" (H,); rows [x, h], gates r, u. Of an LSTM
        ".../basic_lstm_cell/kernel" (I + H, 4H) and "bias" (4H,), gates i, j, f, o; of an RNN
        ".../basic_rnn_cell/kernel" (I + H, H) and "bias" (H,). The oldest versions' names weights and biases, and a
        ":0" at the end, are understood.
    name : str or sequence of str, optional
        Which cell, where there are several: what stands before "/gates" or "/kernel". Several names, in order, are
        layers.
    kind : {"gru", "lstm", "rnn"}, optional
        What the cell is, where its scope has a name that does not say so: shapes may not tell an LSTM from an RNN.
    activation : str, default "tanh"
        The cell's; see `cgru.activations`.
    forget_bias : float, default 1.0
        An LSTM's, as it was made with: it is added to the bias.
    batch_first : bool, default True
        As `tf.nn.dynamic_rnn` has it.
    dtype, engine
        As in `from_torch`.

    Returns
    -------
    GRU, LSTM or RNN
        A GRU resets before the product, ``reset_after=False``.

    Raises
    ------
    TypeError
        Neither a mapping nor a path.
    ValueError
        No cell, several (they are listed), shapes that do not fit, or an LSTM with peepholes or a projection.
    OSError
        The file cannot be read.

    Warns
    -----
    UserWarning
        The source holds other arrays than the cell's and an optimizer's, which are left out: they are named. Not where
        `name` is given.
    """
    return model_from(
        weights_from_tensorflow1, source, name, kind=kind, activation=activation, forget_bias=forget_bias,
        batch_first=batch_first, dtype=dtype, engine=engine,
    )  # fmt: skip


def weights_from_tensorflow1(
    source, name=None, *, kind=None, activation="tanh", forget_bias=_TENSORFLOW1.forget, batch_first=True, dtype=None
) -> Weights:
    """`Weights` of one cell, or of several as layers; see `from_tensorflow1`."""
    if kind is not None and kind not in CELLS:
        raise ValueError(f"kind must be one of {', '.join(CELLS)}; got {kind!r}")
    flat = {_renamed(path): array for path, array in flattened(source).items()}
    names = [name] if name is None or isinstance(name, str) else list(name)
    found = [_cell(flat, one, kind) for one in names]
    cell = found[0][0].cell
    for one, (form, _) in zip(names, found, strict=True):
        if form.cell is not cell:
            kinds = f"{names[0]!r} is {cell.name} and {one!r} is {form.cell.name}"
            raise ValueError(f"{kinds}: they are no layers of one model")
    activations = activation if "nonlinearity" in cell.options else ("sigmoid", activation)
    return build(
        [[_parameters(form.cell, arrays, forget_bias)] for form, arrays in found], cell=cell, dtype=dtype,
        reset_after=_TENSORFLOW1.reset_after, activations=activations, batch_first=batch_first,
    )  # fmt: skip


def _renamed(path):
    """Before TensorFlow 1.2 the names were weights and biases."""
    above, slash, name = path.rpartition("/")
    return above + slash + {"weights": "kernel", "biases": "bias"}.get(name, name)


def _cell(flat, name, kind):
    """Form and parameters of one cell."""
    said = [Form(form.kind, form.needed, form.optional) for form in _FORMS if form.kind == kind]
    form, found = network_parameters(flat, said or _FORMS, name)
    if name is not None and kind is None:
        form = _told(form, found, name)
    refused = next((why for key, why in _REFUSED.items() if key in found), None)
    if refused:
        raise ValueError(f"this {form.cell.name} has {refused}, which is not supported: {', '.join(found)}")
    return form, found


def _told(form, found, name):
    """The form of a cell that was asked for by a name which may not say what it is; its kernel's shape may."""
    last = name.replace(".", "/").strip("/").rpartition("/")[2]
    if not form.named or re.fullmatch(form.named, last):
        return form
    rows, columns = real_array("kernel", found["kernel"], (None, None)).shape
    fitting = [
        one for one in _FORMS if one.named and columns % one.cell.stacked == 0 < columns < one.cell.stacked * rows
    ]
    if len(fitting) != 1:
        raise ValueError(
            f"name={name!r}: a kernel {rows, columns} may be an LSTM's or an RNN's; say kind='lstm' or kind='rnn'"
        )
    return fitting[0]


def _parameters(cell, found, forget_bias):
    if "kernel" in found:
        w_x, w_h, H = joint_kernel("kernel", found["kernel"], cell)
        bias = real_array("bias", found["bias"], (cell.stacked * H,))
        return canonical("tensorflow1", cell, w_x.T, w_h.T, bias, forget=forget_bias if "f" in cell.gates else 0.0)
    candidate = real_array("candidate/kernel", found["candidate/kernel"], (None, None))
    rows, H = candidate.shape
    if rows <= H:
        raise ValueError(f"candidate/kernel has shape {candidate.shape}, expected (I + H, H) with I of at least 1")
    both = real_array("gates/kernel", found["gates/kernel"], (rows, 2 * H))
    b_rz = real_array("gates/bias", found["gates/bias"], (2 * H,))
    b_n = real_array("candidate/bias", found["candidate/bias"], (H,))
    w_x, w_h, _ = joint_kernel("gates and candidate", np.concatenate([both, candidate], axis=1), cell)
    return canonical("tensorflow1", cell, w_x.T, w_h.T, np.concatenate([b_rz, b_n]))
