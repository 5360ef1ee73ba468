"""Does a model reproduce recorded outputs, and if not, which convention was misread on its way here?"""

from __future__ import annotations

import dataclasses
from itertools import combinations, product
from typing import TYPE_CHECKING, Any

import numpy as np

from cgru import engines
from cgru.chain import as_chain, is_network, network_of
from cgru.checks import real_array
from cgru.convert.networks import built
from cgru.model import Model
from cgru.study.networks import applied, changes_of, engine_of, form_of, quantized
from cgru.study.recorded import Difference, Recorded
from cgru.study.views import StateLike

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from cgru.recurrent import Recurrent
    from cgru.sequential import Sequential

CLOSER = 0.9              # a change that does not match is worth a word where its error is this share of the given one
_SMALL = 100_000          # weights; up to here four changes at once are tried, above it and of networks three: seconds


@dataclasses.dataclass(frozen=True)
class Report:
    """What `check` found; `print` it.

    Attributes
    ----------
    matches : bool
        Whether the model as it is gives the expected outputs.
    max_error : float
        Its largest absolute error over the valid steps; inf where its output has another shape, or is NaN somewhere.
    tolerance : float
        The largest absolute error that counts as a match.
    changes : tuple of str
        The changes of convention with which it would match, as few as possible; empty where it matches as it is, and
        where nothing does.
    changes_error : float
        The largest absolute error with these changes; where nothing matches, the least that was found.
    model : GRU, LSTM, RNN, Sequential or None
        The model with these changes made, in float32 where it was quantised; None where nothing matches.
    explanation : str
        All of this in words.
    first : Difference or None
        The first value that is off by more than the tolerance; None where it matches or has another shape.
    """

    matches: bool
    max_error: float
    tolerance: float
    changes: tuple[str, ...]
    changes_error: float
    model: Recurrent | Sequential | None
    explanation: str
    first: Difference | None = None

    def __str__(self):
        kept = self.changes and " That model is in the report's attribute model."
        return self.explanation + (kept or "")


def check(
    model: Recurrent[Any, StateLike, Any] | Sequential,
    x: ArrayLike,
    y_expected: ArrayLike,
    hx: StateLike | tuple[StateLike | None, ...] | None = None,
    *,
    lengths: ArrayLike | None = None,
    tolerance: float | None = None,
) -> Report:
    """Compare a model with recorded outputs and, where they differ, find out which convention was misread.

    Tried are, in every combination of up to four (three above 100,000 weights and for networks): W and U transposed; W
    and U cut from one matrix at columns [h, x] or [x, h]; every order of the gates; sigmoid and both hard sigmoids;
    batch-major and time-major; the direction. Of a GRU also the reset gate before or after the recurrent product, z
    that keeps the old state or takes the new, and the two biases exchanged; of an LSTM 1 more or less in the bias of
    the forget gate; of an RNN tanh and relu. Each change is made to all layers and directions alike. Of a network it
    is made to all recurrent layers that have such a convention, and tried are also x added to y or not (`skip`) and,
    where it takes the last step alone, the other meaning of that. The changes of a quantised model are tried on the
    float32 model of its rounded weights.

    Parameters
    ----------
    model : GRU, LSTM, RNN or Sequential
    x : array_like
        As the model takes it. Random numbers, and T, N, I, H all different, make the answer unique.
    y_expected : array_like
        y as the other system computed it, of the shape that the model returns.
    hx : array_like, or for an LSTM (array_like, array_like), optional
        The initial state that the other system had; of a network a tuple, as it takes it.
    lengths : array_like of int, optional
        Valid steps of each row; what stands past them is not compared, and may be NaN.
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
        `model` is none of these, or an argument that the model refuses.
    ValueError
        x, hx or lengths that the model refuses in every layout; y_expected of no shape that it could return, or
        with NaN or infinity at a valid step; nothing to compare, as there are no valid steps; a tolerance that is
        not positive.

    Examples
    --------
    >>> import numpy as np, cgru
    >>> gru = cgru.GRU(3, 5, rng=0)
    >>> x = np.random.default_rng(0).normal(size=(7, 2, 3))
    >>> y, _ = cgru.GRU.from_state_dict(gru.state_dict(), reset_after=False)(x)
    >>> cgru.check(gru, x, y).changes
    ('the reset gate before the recurrent product, reset_after=False (Keras reset_after=False, ONNX \
linear_before_reset=0, TensorFlow 1)',)
    """
    if not is_network(model) and not (isinstance(model, Model) and model.config.recurrent):
        raise TypeError(f"model must be a cgru.GRU, LSTM, RNN or Sequential; got {type(model).__name__}")
    network = network_of(model)
    recorded = Recorded(real_array("x", x), real_array("y_expected", y_expected), hx, lengths)
    if recorded.x.ndim in (2, 3) and recorded.y.ndim != recorded.x.ndim - form_of(network).last:
        raise _shape_error(model, recorded)
    limit = _tolerance(tolerance, model.dtype, recorded.comparable(network))
    try:
        error, refusal = recorded.error(model), None
        if error is None:
            refusal = _shape_error(model, recorded)
    except ValueError as problem:      # a batch read in the wrong layout, perhaps
        error, refusal = None, problem
    if error is not None and error <= limit:
        text = f"The model matches: {_shown(error)}, tolerance {limit:.3g}."
        return Report(True, error, limit, (), error, model, text)
    if refusal is not None and not _fits_otherwise(model, recorded):
        raise refusal
    found = _search(model, recorded, limit)
    if refusal is not None and not found.matching:
        raise refusal
    return _report(model, error, limit, found, None if error is None else recorded.first(model, limit))


def _tolerance(tolerance, dtype, y):
    if tolerance is None:
        double = dtype == np.float64 and not (y.dtype.kind == "f" and y.dtype.itemsize < 8)
        tolerance = 1e-9 if double else 1e-4
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float | np.number) or not 0 < tolerance < np.inf:
        raise ValueError(f"tolerance must be a positive number; got {tolerance!r}")
    return float(tolerance) * max(1.0, float(np.abs(y).max()))


def _shape_error(model, recorded):
    found, shape, form = recorded.y.shape, recorded.x.shape, form_of(network_of(model))
    rows = (shape[:-2] if form.batch_first else shape[1:-1]) if form.last else shape[:-1]
    size = as_chain(network_of(model)).output_size
    what = "y at the last step" if form.last else "y at every step"
    return ValueError(f"y_expected has shape {found}, expected {(*rows, size)}: {what}, as the model returns it")


# ---- the search


@dataclasses.dataclass
class _Found:
    matching: list          # (combination, error) of those with the least number of changes that match
    closest: tuple = ()     # the combination with the least error, and that error
    error: float = np.inf


def _changed(model, chosen):
    return built(applied(network_of(model), chosen), engine_of(model))


def _quick_error(model, chosen, recorded):
    network = applied(network_of(model), chosen)
    engine = "blas" if engines.loads("blas") else engine_of(model)      # it packs no weights, but is not everywhere
    return recorded.with_layout(chosen).excerpt(network).error(built(network, engine))


def _fits_otherwise(model, recorded):
    """Whether the arguments fit the model in another layout."""
    for change in changes_of(network_of(model), recorded.x.ndim == 3)[-1]:
        try:
            if _quick_error(model, (change,), recorded) is not None:
                return True
        except ValueError:
            continue
    return False


def _search(model, recorded, limit):
    """Combinations in the order of their number of changes, tried on a few rows and steps, then on everything."""
    dimensions = changes_of(network_of(model), recorded.x.ndim == 3)
    found = _Found([])
    most = 4 if model.num_parameters <= _SMALL and not is_network(model) else 3
    for count in range(1, most + 1):
        for chosen in (chosen for some in combinations(dimensions, count) for chosen in product(*some)):
            try:
                error = _quick_error(model, chosen, recorded)
                if error is not None and error <= limit:
                    error = recorded.with_layout(chosen).error(_changed(model, chosen))
                    found.matching += [(chosen, error)] if error is not None and error <= limit else []
            except ValueError:      # this layout does not fit x, hx or lengths
                continue
            if error is not None and error < found.error:
                found.closest, found.error = chosen, error
        if found.matching:
            break
    return found


# ---- the words


def _report(model, error, limit, found, first):
    """What is said of a model that does not match."""
    text = f"The model does not match: {_shown(error)}, tolerance {limit:.3g}"
    error = np.inf if error is None else error
    begins = f" {first}" if first else ""
    if quantized(network_of(model)):
        begins += " The changes were tried on the float32 model of the rounded weights."
    if not found.matching:
        text += ", and no combination of changes does: "
        text += f"the weights, x or the initial state are not those of these outputs.{begins}"
        if found.error < CLOSER * error:
            text += f" Closest is {_words(found.closest)}, with a largest error of {found.error:.3g}."
        return Report(False, error, limit, (), found.error, None, text, first)
    (chosen, least), *others = found.matching
    text += f". It would match with {_words(chosen)}: "
    text += f"a largest error of {least:.3g}."
    if others:
        alike = "; or with ".join(_words(other) for other, _ in others[:5])
        text += f" These inputs cannot tell that from other changes that match too: with {alike}"
        text += "." if len(others) <= 5 else f"; and {len(others) - 5} more."
    names = tuple(change.text for change in chosen)
    return Report(False, error, limit, names, least, _changed(model, chosen), text + begins, first)


def _shown(error):
    if error is None:
        return "an output of another shape"
    return "an output with NaN or infinity" if error == np.inf else f"a largest error of {error:.3g}"


def _words(chosen):
    return ", and ".join(change.text for change in chosen)
