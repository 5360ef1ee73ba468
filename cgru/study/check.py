"""Does a model reproduce recorded outputs, and if not, which convention was misread on its way here?"""

from __future__ import annotations

import dataclasses
from itertools import combinations, product
from typing import TYPE_CHECKING

import numpy as np

from cgru.study.changes import apply, changes
from cgru.gru import GRU
from cgru.weights import as_real_array

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_ROWS, _STEPS = 4, 8      # of the batch that the search looks at
_SMALL = 100_000          # weights; up to here four changes at once are tried, above it three: it takes seconds


@dataclasses.dataclass(frozen=True)
class Report:
    """What `check` found; `print` it.

    Attributes
    ----------
    matches : bool
        Whether the model as it is gives the expected outputs.
    max_error : float
        Its largest absolute error over the valid steps; inf where its output has another shape.
    tolerance : float
        The largest absolute error that counts as a match.
    corner : tuple of str
        The changes of convention with which it would match, as few as possible; empty where it matches as it is, and
        where nothing does.
    corner_error : float
        The largest absolute error with these changes; where nothing matches, the least that was found.
    model : GRU or None
        The model with these changes made; None where nothing matches.
    explanation : str
        All of this in words.
    """

    matches: bool
    max_error: float
    tolerance: float
    corner: tuple[str, ...]
    corner_error: float
    model: GRU | None
    explanation: str

    def __str__(self):
        return self.explanation


def check(
    model: GRU,
    x: ArrayLike,
    y_expected: ArrayLike,
    h_0: ArrayLike | None = None,
    *,
    lengths: ArrayLike | None = None,
    tolerance: float | None = None,
) -> Report:
    """Compare a model with recorded outputs and, where they differ, find out which convention was misread.

    Tried are, in every combination of up to four (three above 100,000 weights): the reset gate before or after the
    recurrent product; z that keeps the old state or takes the new; the six orders of the gates; W and U transposed;
    the two biases exchanged; sigmoid and both hard sigmoids; batch-major and time-major; the direction. Each change
    is made to all layers and directions alike.

    Parameters
    ----------
    model : GRU
    x : array_like
        As the model takes it. Random numbers, and T, N, I, H all different, make the answer unique.
    y_expected : array_like
        y as the other system computed it, of the shape that the model returns.
    h_0 : array_like, optional
        The initial state that the other system had.
    lengths : array_like of int, optional
        Valid steps of each row; what stands past them is not compared.
    tolerance : float, optional
        Largest absolute error that counts as a match, for outputs of size 1 or less, and in proportion above. By
        default 1e-4 where the model or y_expected is float32 or narrower, else 1e-9; a misread convention is some
        0.1 off.

    Returns
    -------
    Report

    Raises
    ------
    TypeError
        `model` is no GRU, or an argument that the model refuses.
    ValueError
        x, h_0 or lengths that the model refuses in every layout; y_expected of no shape that it could return, or
        with NaN or infinity; a tolerance that is not positive.

    Examples
    --------
    >>> import numpy as np, cgru
    >>> gru = cgru.GRU(3, 5, rng=0)
    >>> x = np.random.default_rng(0).normal(size=(7, 2, 3))
    >>> y, _ = cgru.GRU.from_state_dict(gru.state_dict(), reset_after=False)(x)
    >>> cgru.check(gru, x, y).corner
    ('the reset gate before the recurrent product, reset_after=False (Keras reset_after=False, ONNX \
linear_before_reset=0)',)
    """
    if not isinstance(model, GRU):
        raise TypeError(f"model must be a cgru.GRU; got {type(model).__name__}")
    x, y = as_real_array("x", x), as_real_array("y_expected", y_expected)
    if not np.isfinite(y).all():
        raise ValueError("y_expected holds NaN or infinity, which nothing can be compared with; leave such rows out")
    limit = _tolerance(tolerance, model.dtype, y)
    try:
        error, refusal = _error(model, x, y, h_0, lengths), None
        if error is None:
            refusal = _shape_error(model, x, y)
    except ValueError as problem:      # a batch read in the wrong layout, perhaps
        error, refusal = None, problem
    if error is not None and error <= limit:
        return _report(model, error, limit, (), error, model, [])
    if refusal is not None and not _fits_otherwise(model, x, y, h_0, lengths):
        raise refusal
    found = _search(model, x, y, h_0, lengths, limit)
    if refusal is not None and not found.matching:
        raise refusal
    before = np.inf if error is None else error
    if not found.matching:
        return _report(model, before, limit, found.closest, found.error, None, [])
    corner, *others = found.matching
    fixed, swapped = _fixed(model, corner)
    return _report(model, before, limit, corner, _error(fixed, x, _swapped(y, swapped), h_0, lengths), fixed, others)


def _tolerance(tolerance, dtype, y):
    if tolerance is None:
        double = dtype == np.float64 and not (y.dtype.kind == "f" and y.dtype.itemsize < 8)
        tolerance = 1e-9 if double else 1e-4
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float | np.number) or not 0 < tolerance < np.inf:
        raise ValueError(f"tolerance must be a positive number; got {tolerance!r}")
    return float(tolerance) * max(1.0, float(np.abs(y).max(initial=0.0)))


def _shape_error(model, x, y):
    expected = (*x.shape[:-1], model._weights.config.output_size)
    return ValueError(f"y_expected has shape {y.shape}, expected {expected}: y at every step, as the model returns it")


def _error(model, x, y, h_0, lengths):
    """Largest absolute error at valid steps; None where the shapes differ."""
    got, _ = model(x, h_0, lengths=lengths)
    if got.shape != y.shape:
        return None
    error = np.abs(got.astype(np.float64) - y)
    if lengths is not None:
        valid = np.arange(len(y) if not model.batch_first else y.shape[1])[:, None] < np.asarray(lengths)
        error = error[valid.T if model.batch_first else valid]
    worst = float(error.max(initial=0.0))
    return np.inf if np.isnan(worst) else worst


def _swapped(y, swap):
    return y.swapaxes(0, 1) if swap else y


def _fixed(model, corner):
    """The model with the changes of a corner, and whether y_expected's axes are then to be exchanged."""
    swapped = any(change.swap_y for change in corner)
    return GRU._from_weights(apply(model._weights, corner), model.engine), swapped


# ---- the search


@dataclasses.dataclass
class _Found:
    matching: list          # corners of the least number of changes that match
    closest: tuple = ()
    error: float = np.inf


def _fits_otherwise(model, x, y, h_0, lengths):
    """Whether the arguments fit the model in another layout."""
    for change in changes(model._weights.config, x.ndim == 3)[-1]:
        try:
            if _quick_error(model, (change,), x, y, h_0, lengths) is not None:
                return True
        except ValueError:
            continue
    return False


def _search(model, x, y, h_0, lengths, limit):
    """Corners in the order of their number of changes, tried on a few rows and steps, then on everything."""
    dimensions = changes(model._weights.config, x.ndim == 3)
    found = _Found([])
    size = sum(array.size for array in model._weights.tensors.values())
    for count in range(1, 5 if size <= _SMALL else 4):
        for chosen in combinations(dimensions, count):
            for corner in product(*chosen):
                try:
                    error = _quick_error(model, corner, x, y, h_0, lengths)
                    if error is not None and error <= limit:
                        fixed, swapped = _fixed(model, corner)
                        error = _error(fixed, x, _swapped(y, swapped), h_0, lengths)
                        found.matching += [corner] if error <= limit else []
                except ValueError:      # this layout does not fit x, h_0 or lengths
                    continue
                if error is not None and error < found.error:
                    found.closest, found.error = corner, error
        if found.matching:
            break
    return found


def _quick_error(model, corner, x, y, h_0, lengths):
    """The error of a corner on the first rows, and on the first steps where the later ones cannot matter."""
    weights = apply(model._weights, corner)
    config = weights.config
    y = _swapped(y, any(change.swap_y for change in corner))
    if x.ndim == 3:
        rows = np.s_[:_ROWS] if config.batch_first else np.s_[:, :_ROWS]
        x, y = x[rows], y[rows]
        h_0 = None if h_0 is None else np.asarray(h_0)[:, :_ROWS]
        lengths = None if lengths is None else np.asarray(lengths)[:_ROWS]
    if lengths is None and not (config.bidirectional or config.reverse or config.go_backwards):
        steps = np.s_[:, :_STEPS] if x.ndim == 3 and config.batch_first else np.s_[:_STEPS]
        x, y = x[steps], y[steps]
    return _error(GRU._from_weights(weights, "blas"), x, y, h_0, lengths)


# ---- the words


def _report(model, error, limit, corner, corner_error, fixed, others):
    matches = fixed is model
    shown = "an output of another shape" if error == np.inf else f"a largest error of {error:.3g}"
    if matches:
        text = f"The model matches: {shown}, tolerance {limit:.3g}."
    elif fixed is not None:
        text = f"The model does not match: {shown}, tolerance {limit:.3g}. It would match with {_words(corner)}: "
        text += f"a largest error of {corner_error:.3g}. That model is in the report's attribute model."
        if others:
            alike = "; or with ".join(_words(other) for other in others[:5])
            text += f" These inputs cannot tell that from other corners that match too: with {alike}"
            text += "." if len(others) <= 5 else f"; and {len(others) - 5} more."
    else:
        text = f"The model does not match: {shown}, tolerance {limit:.3g}, and no other corner does: "
        text += "the weights, x or h_0 are not those of these outputs."
        if corner:
            text += f" Closest is {_words(corner)}, with a largest error of {corner_error:.3g}."
    names = tuple(change.text for change in corner) if fixed is not None else ()
    return Report(matches, error, limit, names, corner_error, fixed, text)


def _words(corner):
    return ", and ".join(change.text for change in corner)
