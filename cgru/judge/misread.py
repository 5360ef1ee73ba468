"""What was misread: which convention a contestant's outputs have, found by `cgru.check`."""

import numpy as np

import cgru
from cgru.cells import CELLS
from cgru.study.check import check
from cgru.study.recorded import Recorded

NEAR = 1e-4             # up to here no convention is misread: digits are lost
_NO_STATE = "the initial state left out"


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
    cell = CELLS[case.cell]
    options = {"reset_after": case.reset_after} if "reset_after" in cell.options else {}
    model = getattr(cgru, cell.name).from_state_dict(case.weights, **options)
    starts = _starts(case, from_zero)
    for left_out, hx in starts.items():
        error = Recorded(case.x, y, hx, case.lengths).error(model)
        if error is not None and error <= NEAR:
            text = f"A model of these weights agrees to {error:.3g}"
            if not left_out:
                return "no convention: digits are lost", f"{text}."
            return f"it computes with {left_out}", f"{text} with {left_out}."
    if not search:
        return "no convention, for most cases are right", ""
    explanation = ""
    for left_out in ("", _NO_STATE):
        if left_out in starts:
            report = check(model, case.x, y, starts[left_out], lengths=case.lengths, tolerance=NEAR)
            explanation = explanation or report.explanation
            if report.changes:
                words = [left_out] * bool(left_out) + list(report.changes)
                return f"it computes with {', and '.join(words)}", report.explanation
    return "no convention that is known, nor several together, explains it", explanation


def _starts(case, from_zero):
    """What may be left out of the initial state -> the state that is left."""
    given = tuple(state[None] for state in (case.h_0, case.c_0) if state is not None)
    zeros = tuple(np.zeros_like(state) for state in given)
    starts = {"": zeros} if from_zero else {"": given, _NO_STATE: zeros}
    if len(given) > 1 and not from_zero:
        starts["the initial cell state c_0 left out"] = (given[0], zeros[1])
        starts["the initial state h_0 left out"] = (zeros[0], given[1])
    return {name: state[0] if len(state) == 1 else state for name, state in starts.items()}
