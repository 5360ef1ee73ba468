"""Right? A contestant against the published cases, and where it is wrong, which convention was misread."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cgru.cells import CELLS
from cgru.judge import host
from cgru.judge.cases import CASES, Case, run
from cgru.judge.misread import explain, unsuited

LIMIT = 1e-5            # largest absolute error of float32 that is right
_STOP = 3               # a contestant that failed so often in a group is asked no more in it
#: Of a few cases, for contestants that are compiled for each shape and for the quick run.
_FEW = {"h1_i3", "h5_i3", "h17_i70", "h32_i5", "h33_i12", "zero_state", "lengths", "saturated"}


@dataclass(frozen=True)
class Outcome:
    """What a contestant made of one case.

    Attributes
    ----------
    case, group : str
        Names of the case and of its kind of layer: "GRU, reset after".
    way : str
        "step" or "run".
    verdict : str
        "right", "wrong" or "nan", or the host's: "refused", "crashed", "hung", ...
    detail : str
        In words, where it is not right.
    error : float or None
        Largest absolute error at valid steps, in proportion where outputs are above 1.
    where : tuple of int or None
        Step, row and unit of that error, or of the first NaN or infinity.
    """

    case: str
    group: str
    way: str
    verdict: str
    detail: str = ""
    error: float | None = None
    where: tuple[int, int, int] | None = None


@dataclass
class Group:
    """What is said of one kind of layer."""

    name: str
    outcomes: list[Outcome] = field(default_factory=list)
    alone: bool = False             # rows had to be given one by one
    from_zero: bool = False         # only the zero state is taken
    apart: float | None = None      # of run and step, the most; None where there is no run
    unasked: int = 0                # cases after too many failures
    misread: str = ""
    explanation: str = ""

    @property
    def done(self):
        """The outcomes that are no refusal."""
        return [outcome for outcome in self.outcomes if outcome.verdict != "refused"]

    @property
    def failed(self):
        """The outcomes that are neither right nor a refusal."""
        return [outcome for outcome in self.done if outcome.verdict != "right"]


@dataclass(frozen=True)
class Right:
    """What `right` found; `text` says it.

    Attributes
    ----------
    groups : list of Group
    limit : float
    """

    groups: list[Group]
    limit: float = LIMIT

    @property
    def passed(self) -> bool:
        """Whether it computed something, and nothing wrong."""
        return any(group.done for group in self.groups) and not any(group.failed for group in self.groups)

    @property
    def text(self) -> str:
        """A few lines for each kind of layer."""
        lines = [line for group in self.groups for line in _group_lines(group, self.limit)]
        if not any(group.done for group in self.groups):
            lines.append("it did none of the cases")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {"passed": self.passed, "limit": self.limit, "groups": [_group_dict(group) for group in self.groups]}


def right(contestant, cases=None, *, kinds=None, quick=False, limit=LIMIT, progress=None):
    """Hold a contestant against the cases that its interface can express: PyTorch's z, sigmoid and tanh.

    Parameters
    ----------
    contestant : Contestant
    cases : list of Case, optional
        Those of seed 0 by default.
    kinds : collection of str, optional
        Kinds of cells to ask for; all by default.
    quick : bool
        A few cases of each kind. So it is too for a contestant that is compiled anew for each shape.
    limit : float
        Largest absolute error that is right; in proportion where outputs are above 1.
    progress : callable, optional
        Called with (done, total).

    Returns
    -------
    Right

    Raises
    ------
    BuildError
        It cannot be built.
    """
    few = quick or getattr(contestant, "fixed", False)
    groups: dict[str, Group] = {}
    plan: list[tuple[Case, Group]] = []
    wrong: dict[str, tuple[Group, list]] = {}       # a group, and its wrong cases with their y
    for case in CASES(0) if cases is None else cases:
        wanted = kinds is None or case.cell in kinds
        if wanted and case.is_usual and case.z_keeps is not False and (not few or _is_of_few(case)):
            group = groups.setdefault(_group_name(case), Group(_group_name(case)))
            plan.append((case, group))
    for number, (case, group) in enumerate(plan, 1):
        if _strikes(group) < _STOP:
            y = _judge(contestant, case, group, limit)
            if y is not None:
                wrong.setdefault(group.name, (group, []))[1].append((case, y))
        else:
            group.unasked += 1
        if progress is not None:
            progress(number, len(plan))
    for group, found in wrong.values():
        case, y = min(found, key=unsuited)
        searched = 2 * len(found) > len({outcome.case for outcome in group.done})
        group.misread, group.explanation = explain(case, y, group.from_zero, search=searched)
    return Right(list(groups.values()), limit)


def _strikes(group):
    """How often it failed altogether; a hang, which takes long, counts three times."""
    kinds = [outcome.verdict for outcome in group.failed if outcome.verdict not in ("wrong", "nan")]
    return len(kinds) + (_STOP - 1) * kinds.count("hung")


def _is_of_few(case):
    return any(case.name.endswith(f"_{name}") for name in _FEW)


def _group_name(case):
    name = CELLS[case.cell].name
    return name if case.reset_after is None else f"{name}, reset {'after' if case.reset_after else 'before'}"


# ---- one case


def _judge(contestant, case, group, limit):
    """Step it and run it, note both; return y where it is wrong with finite numbers."""
    stepped = _attempt(contestant, case, group)
    expected = case.y if not group.from_zero else _from_zero(case)
    outcome = _outcome(case, group, "step", stepped, expected, limit)
    group.outcomes.append(outcome)
    if stepped.verdict == "ok" and getattr(contestant, "has_run", True):
        ran = _ask(contestant, case, group, "run")
        if ran.verdict != "refused":
            group.outcomes.append(_outcome(case, group, "run", ran, expected, limit))
        if ran.verdict == "ok":
            with np.errstate(invalid="ignore"):
                apart = np.abs(ran.y.astype(np.float64) - stepped.y)[_valid(case)]
            apart[np.isnan(apart)] = np.inf
            same = np.array_equal(ran.y[_valid(case)], stepped.y[_valid(case)], equal_nan=True)
            group.apart = max(group.apart or 0.0, 0.0 if same else float(apart.max()))
    return stepped.y if outcome.verdict == "wrong" else None


def _attempt(contestant, case, group):
    """The stepped result, as the contestant takes it: rows one by one, or from zero, where it refuses otherwise."""
    known = group.alone, group.from_zero
    result = first = _ask(contestant, case, group, "step")
    for alone, from_zero in ((True, False), (False, True), (True, True)):
        if result.verdict != "refused":
            break
        if (alone and case.N == 1) or (from_zero and not _has_state(case)) or (alone, from_zero) == known:
            continue
        group.alone, group.from_zero = alone or known[0], from_zero or known[1]
        result = _ask(contestant, case, group, "step")
    if result.verdict == "refused":
        group.alone, group.from_zero = known
        return first
    return result


def _has_state(case):
    return case.h_0.any() or (case.c_0 is not None and case.c_0.any())


def _ask(contestant, case, group, way):
    """The host's result of a case, of all rows together or one by one."""
    states = [state for state in (case.h_0, case.c_0) if state is not None]
    if group.from_zero:
        states = [np.zeros_like(state) for state in states]
    options = {"way": way, "reset_after": case.reset_after is not False}
    if not group.alone:
        return host.run(contestant, case.weights, case.cell, case.x, *states, **options)
    rows = []
    for row in range(case.N):
        own = [np.ascontiguousarray(state[row : row + 1]) for state in states]
        x = np.ascontiguousarray(case.x[:, row : row + 1])
        rows.append(host.run(contestant, case.weights, case.cell, x, *own, **options))
        if rows[-1].verdict != "ok":
            return rows[-1]
    return host.Result("ok", "", np.concatenate([one.y for one in rows], axis=1))


def _from_zero(case):
    """What is right from the zero state."""
    states = [np.zeros_like(state) for state in (case.h_0, case.c_0) if state is not None]
    form = {"reset_after": case.reset_after, "z_keeps": case.z_keeps}
    y, _ = run(CELLS[case.cell], case.weights, case.x, states, case.lengths, case.activations, **form)
    return y


def _valid(case):
    steps = np.arange(case.T)[:, None]
    return np.broadcast_to(steps < (case.T if case.lengths is None else case.lengths), (case.T, case.N))


def _outcome(case, group, way, result, expected, limit):
    if result.verdict != "ok":
        return Outcome(case.name, group.name, way, result.verdict, result.detail)
    valid = _valid(case)[..., None]
    bad = ~np.isfinite(result.y) & valid
    if bad.any():
        step, row, unit = (int(index[0]) for index in np.nonzero(bad))
        where = step, row, unit
        detail = f"gives {result.y[where]} first at step {step}, row {row}, unit {unit}"
        return Outcome(case.name, group.name, way, "nan", detail, None, where)
    errors = np.where(valid, np.abs(np.where(valid, result.y, 0).astype(np.float64) - expected), 0)
    step, row, unit = where = _place(errors)
    error = float(errors[where] / max(1.0, np.abs(expected).max()))
    detail = f"is {error:.3g} off at step {step}, row {row}, unit {unit}"
    return Outcome(case.name, group.name, way, "right" if error <= limit else "wrong", detail, error, where)


def _place(errors):
    """Step, row and unit of the largest."""
    step, row, unit = np.unravel_index(errors.argmax(), errors.shape)
    return int(step), int(row), int(unit)


# ---- the words


def _group_lines(group, limit):
    total = len({outcome.case for outcome in group.outcomes})
    done = {outcome.case for outcome in group.done}
    failed = {outcome.case for outcome in group.failed}
    refused = [outcome for outcome in group.outcomes if outcome.verdict == "refused"]
    if not done:
        yield f"{group.name}: refused ({refused[0].detail})"
        return
    line = f"{group.name}: {len(done) - len(failed)} of {len(done)} cases right"
    measured = [outcome for outcome in group.done if outcome.error is not None]
    if measured:
        worst = max(measured, key=lambda outcome: outcome.error)
        step, row, unit = worst.where
        line += f", largest error {worst.error:.2g} (at most {limit:g} is right)"
        line += f", in {worst.case}, {worst.way}, at step {step}, row {row}, unit {unit}"
    yield line
    if len(done) < total:
        yield f"  refused {total - len(done)} more: {refused[0].case} ({refused[0].detail})"
    if group.alone:
        yield "  rows were given one by one: it refuses several"
    if group.from_zero:
        yield "  from zero states alone: it refuses others"
    others = [outcome for outcome in group.failed if outcome.verdict != "wrong"]
    for outcome in others[:_STOP]:
        yield f"  {outcome.case}, {outcome.way}: {outcome.verdict}: {outcome.detail}"
    if len(others) > _STOP:
        yield f"  and {len(others) - _STOP} more like that"
    if group.unasked:
        yield f"  {group.unasked} cases were not asked, after so many failures"
    if 0 < len(failed) < len(done):
        names = sorted(failed)
        yield f"  wrong in {', '.join(names[:4])}" + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    if group.misread:
        yield f"  misread: {group.misread}"
    if group.apart is not None:
        yield "  run: " + ("the bits of step" if group.apart == 0 else f"off step by at most {group.apart:.2g}")


def _group_dict(group):
    return {
        "name": group.name, "rows_one_by_one": group.alone, "from_zero_alone": group.from_zero,
        "run_off_step": None if group.apart is None or not np.isfinite(group.apart) else group.apart,
        "not_asked": group.unasked, "misread": group.misread, "explanation": group.explanation,
        "outcomes": [
            {
                "case": outcome.case, "way": outcome.way, "verdict": outcome.verdict, "detail": outcome.detail,
                "error": outcome.error, "where": outcome.where,
            }
            for outcome in group.outcomes
        ],
    }  # fmt: skip
