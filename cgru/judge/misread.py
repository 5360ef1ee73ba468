"""What was misread: which convention a contestant's outputs have, found by `cgru.check`."""

from itertools import combinations, product

import numpy as np

import cgru
from cgru import engines
from cgru.cells import CELLS
from cgru.convert.networks import built
from cgru.study.check import check
from cgru.study.networks import applied, changes_of
from cgru.study.recorded import Recorded

NEAR = 1e-4             # up to here no convention is misread: digits are lost
_NO_STATE = "the initial state left out"
_NO_BIASES = ("b_hh left out", "b_ih left out", "both biases left out")
_TOGETHER = 2           # other conventions that are tried with something left out besides the whole state
_UNEXPLAINED = (
    "unexplained: tried were the conventions that cgru.check knows, up to four together; and with the initial state or "
    f"a bias left out, up to {_TOGETHER}"
)


def unsuited(pair):
    """How little a case tells conventions apart: sizes alike, one row, one unit, or many."""
    case, _ = pair
    alike = 4 - len({case.T, case.N, case.I, case.H})
    special = not case.h_0.any() or np.abs(case.weights["bias_ih_l0"]).max() > 1
    return (special, case.N == 1, alike, case.I == 1, case.H < 4, case.H > 20, case.H)


def explain(case, y, from_zero=False, search=True):
    """Which convention was misread by whoever computed y, in one line, and the words of `cgru.check`.

    Parameters
    ----------
    case : Case
    y : ndarray, (T, N, H)
    from_zero : bool
        Whether it started from zeros, as it should.
    search : bool
        Whether to try other conventions than that of the initial state, which takes seconds.

    Returns
    -------
    line, explanation : str
    """
    left_out = _left_out(case, from_zero)
    for words, model, hx in left_out:
        error = Recorded(case.x, y, hx, case.lengths).error(model)
        if error is not None and error <= NEAR:
            text = f"A model of these weights agrees to {error:.3g}"
            if not words:
                return "no convention: digits are lost", f"{text}."
            return _computes_with(words), f"{text} with {', and '.join(words)}."
    if not search:
        return "no convention, for most cases are right", ""
    explanation = ""
    for words, model, hx in left_out:
        if words in ((), (_NO_STATE,)):
            report = check(model, case.x, y, hx, lengths=case.lengths, tolerance=NEAR)
            explanation = explanation or report.explanation
            if report.changes:
                return _computes_with([*words, *report.changes]), report.explanation
    for words, model, hx in left_out:
        changes, error = _changed(model, Recorded(case.x, y, hx, case.lengths)) if words else ((), None)
        if changes:
            words = [*words, *changes]
            return _computes_with(words), f"A model of these weights agrees to {error:.3g} with {', and '.join(words)}."
    return _UNEXPLAINED, explanation


def _computes_with(words):
    return f"it computes with {', and '.join(words)}"


def _changed(model, recorded):
    """The fewest changes of convention with which a model agrees, up to _TOGETHER, and the error; none, and None."""
    weights = model.weights
    dimensions = changes_of(weights, recorded.x.ndim == 3)
    engine = "blas" if engines.loads("blas") else model.engine      # it packs no weights
    for count in range(1, _TOGETHER + 1):
        for chosen in (chosen for some in combinations(dimensions, count) for chosen in product(*some)):
            try:
                other = applied(weights, chosen)
                error = recorded.with_layout(chosen).error(built(other, engine))
            except ValueError:      # this layout does not fit x, hx or lengths
                continue
            if error is not None and error <= NEAR:
                return tuple(change.text for change in chosen), error
    return (), None


def _left_out(case, from_zero):
    """What may have been left out, the least first: (words, the model without it, the state that is left)."""
    cell = CELLS[case.cell]
    options = {"reset_after": case.reset_after} if "reset_after" in cell.options else {}
    found = []
    for bias, state in product(("", *_NO_BIASES), (starts := _starts(case, from_zero))):
        gone = {"bias_hh_l0": bias != _NO_BIASES[1], "bias_ih_l0": bias != _NO_BIASES[0]} if bias else {}
        weights = {name: array * 0 if gone.get(name) else array for name, array in case.weights.items()}
        model = getattr(cgru, cell.name).from_state_dict(weights, **options)
        found.append((tuple(word for word in (state, bias) if word), model, starts[state]))
    return sorted(found, key=lambda one: len(one[0]))


def _starts(case, from_zero):
    """What may be left out of the initial state -> the state that is left."""
    given = tuple(state[None] for state in (case.h_0, case.c_0) if state is not None)
    zeros = tuple(np.zeros_like(state) for state in given)
    starts = {"": zeros} if from_zero else {"": given, _NO_STATE: zeros}
    if len(given) > 1 and not from_zero:
        starts["the initial cell state c_0 left out"] = (given[0], zeros[1])
        starts["the initial state h_0 left out"] = (zeros[0], given[1])
    return {name: state[0] if len(state) == 1 else state for name, state in starts.items()}
