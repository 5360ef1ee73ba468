"""What converters share: foreign arrays checked, gates put in order, cells put together to `Weights`."""

from typing import NamedTuple

import numpy as np

from cgru.weights import Config, Weights, as_real_array, check_dtype


class Cell(NamedTuple):
    """One layer in one direction in the canonical form: gates stacked r, z, n on axis 0, z keeps the old h.

    Attributes
    ----------
    w_ih, w_hh : ndarray
        (3H, I) and (3H, H).
    b_ih, b_hh : ndarray or None
        (3H,); None stands for zeros.
    """

    w_ih: np.ndarray
    w_hh: np.ndarray
    b_ih: np.ndarray | None = None
    b_hh: np.ndarray | None = None


def real_array(name, value, shape=None):
    """`value` as an array of real numbers of `shape`, where None leaves a size open.

    Tensors are detached, and bfloat16, which NumPy lacks, becomes float32.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":
            value = value.float()
        value = value.numpy()
    dtype = getattr(value, "dtype", None)
    if getattr(dtype, "name", "") == "bfloat16":
        value = np.asarray(value).astype(np.float32)
    array = as_real_array(name, value)
    if shape is not None:
        fits = array.ndim == len(shape) and all(
            size is None or size == found for size, found in zip(shape, array.shape, strict=True)
        )
        if not fits:
            expected = ", ".join("any" if size is None else str(size) for size in shape)
            raise ValueError(f"{name} has shape {array.shape}, expected ({expected})")
    return array


def gates(array, order):
    """Rows stacked in `order`, such as "zrn", as rows stacked r, z, n."""
    parts = dict(zip(order, np.split(array, len(order)), strict=True))
    return np.concatenate([parts[gate] for gate in "rzn"])


def negated_z(array):
    """The z rows of a stack r, z, n negated: from z that is new to z that keeps, since 1 - s(a) = s(-a)."""
    r, z, n = np.split(array, 3)
    return np.concatenate([r, -as_float(z), n])


def check_negatable(f):
    """Refuse a gate activation f for which 1 - f(a) = f(-a) does not hold."""
    if f.name == "sigmoid" or (f.name == "hard_sigmoid" and f.beta == 0.5):
        return
    raise ValueError(
        f"z takes the new value in this model, which converts exactly for the gate activation sigmoid or "
        f"hard_sigmoid with beta 0.5; got {f}"
    )


def as_float(array):
    """float64 stays, everything else becomes float32."""
    return array.astype(np.float64 if array.dtype == np.float64 else np.float32, copy=False)


def build(layers, *, dtype=None, h_0=None, **options):
    """`Weights` of canonical cells.

    Parameters
    ----------
    layers : sequence of sequences of Cell
        The cells of every layer, one per direction.
    dtype : dtype, optional
        float32 or float64; by default float64 where every array is float64, else float32.
    h_0 : ndarray, optional
        Initial state (num_layers * D, H).
    **options
        Fields of `Config` that do not follow from the arrays.
    """
    cells = [cell for layer in layers for cell in layer]
    bias = any(cell.b_ih is not None or cell.b_hh is not None for cell in cells)
    config = Config(
        input_size=cells[0].w_ih.shape[1],
        hidden_size=cells[0].w_hh.shape[1],
        num_layers=len(layers),
        bias=bias,
        bidirectional=len(layers[0]) == 2,
        initial_state=h_0 is not None,
        **options,
    )
    given = [array for cell in cells for array in cell if array is not None]
    if dtype is None:
        dtype = np.float64 if all(array.dtype == np.float64 for array in given) else np.float32
    dtype = check_dtype(dtype)
    tensors = {}
    for cell, (_, _, suffix) in zip(cells, config.cells(), strict=True):
        tensors[f"weight_ih_{suffix}"] = cell.w_ih
        tensors[f"weight_hh_{suffix}"] = cell.w_hh
        if bias:
            zeros = np.zeros(3 * config.hidden_size)
            tensors[f"bias_ih_{suffix}"] = zeros if cell.b_ih is None else cell.b_ih
            tensors[f"bias_hh_{suffix}"] = zeros if cell.b_hh is None else cell.b_hh
    if h_0 is not None:
        tensors["h_0"] = h_0
    with np.errstate(over="ignore"):      # infinities are warned of by Weights
        return Weights(config, {name: array.astype(dtype, copy=False) for name, array in tensors.items()})


def chosen(found, asked, what, option):
    """The key `asked` of the dict `found`; without one, its only key.

    Raises
    ------
    ValueError
        There is none, no such one, or several and none was asked for; the message lists them.
    """
    names = ", ".join(repr(name) for name in found) or "none"
    if asked is not None:
        if asked not in found:
            raise ValueError(f"{option}={asked!r}: there is no such {what}; there are: {names}")
        return asked
    if len(found) != 1:
        if not found:
            raise ValueError(f"there is no {what} in it")
        raise ValueError(f"there are several {what}s: {names}; choose one with {option}=")
    return next(iter(found))


def missing(package, extra, error):
    """The ImportError of a converter's optional dependency, with the command that installs it."""
    return ImportError(f'{package} is needed for this and is not installed: pip install "{extra}" ({error})')
