"""Safe? Sizes 1 to 70 under guard pages and sanitizers, held against float64; resets, other models change nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cgru.activations import plain
from cgru.cells import CELLS, GRU
from cgru.judge import host
from cgru.judge.build import BuildError
from cgru.judge.cases import run
from cgru.judge.child import SAFE, Problem
from cgru.judge.contestant import ANY
from cgru.judge.right import LIMIT

LARGEST = 70
TIMEOUT = 10.0              # seconds for a size
_MOST = 3                   # a contestant that was ended so often in a kind of layer is asked no more of that kind
_SHOWN = 2                  # of its failures
_STEPS = 4
_SEVERAL = 3                # rows
#: Sizes (H, I) of a quick look, and of contestants that are compiled for each.
_FEW = ((1, 1), (5, 3), (8, 1), (13, 7), (32, 33), (70, 2))


@dataclass(frozen=True)
class Outcome:
    """What came of one size in one way.

    Attributes
    ----------
    H, I, rows : int
    way : str
        "step" or "run".
    watched : str
        "guards" or "sanitizers".
    verdict : str
        Of `host.Result`, "wrong" or "nan" where its outputs are, or "not asked".
    detail : str
    """

    H: int
    I: int                  # noqa: E741
    rows: int
    way: str
    watched: str
    verdict: str
    detail: str = ""


@dataclass
class Group:
    """What is said of one kind of layer.

    Attributes
    ----------
    name : str
        "GRU, reset after".
    outcomes : list of Outcome
    from_zero : bool
        Whether it takes the zero state alone.
    """

    name: str
    outcomes: list[Outcome] = field(default_factory=list)
    from_zero: bool = False

    @property
    def done(self) -> list[Outcome]:
        """What was not refused, nor left out."""
        return [one for one in self.outcomes if one.verdict not in ("refused", "not asked")]

    @property
    def failed(self) -> list[Outcome]:
        """What was not safe."""
        return [one for one in self.done if one.verdict != "ok"]


@dataclass
class Safe:
    """Whether a contestant is safe.

    Attributes
    ----------
    groups : list of Group
    watched : str
        By what, in words.
    """

    groups: list[Group]
    watched: str

    @property
    def passed(self) -> bool:
        """Whether it did something, and nothing unsafe."""
        return any(group.done for group in self.groups) and not any(group.failed for group in self.groups)

    @property
    def text(self) -> str:
        """A few lines for each kind of layer."""
        lines = [f"watched by {self.watched}"]
        lines += [line for group in self.groups for line in _lines(group)]
        if not any(group.done for group in self.groups):
            lines.append("it did none of the sizes")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        groups = [
            {"name": group.name, "from_zero_alone": group.from_zero, "outcomes": [vars(one) for one in group.outcomes]}
            for group in self.groups
        ]
        return {"passed": self.passed, "watched": self.watched, "groups": groups}


def safe(contestant, *, kinds=None, quick=False, progress=None) -> Safe:
    """Ask a contestant for layers of many sizes, and watch what it touches.

    Each size is computed several times: after one reset and after two, with another model beside it whose steps come in
    between, after that one was freed, and by a model that was made again; a run also in two parts. All must give the
    same outputs, up to 1e-4, and the first ones are held against float64, up to the limit of `right`.

    Parameters
    ----------
    contestant : Contestant
    kinds : collection of str, optional
        Kinds of cells to ask for; all by default.
    quick : bool
        Six sizes of each kind. So it is too for a contestant that is compiled anew for each shape.
    progress : callable, optional
        Called with (done, total).

    Returns
    -------
    Safe

    Raises
    ------
    BuildError
        It cannot be built.
    """
    watches, missing = _watches(contestant)
    plan = [
        (Group(_name(cell, reset_after)), cell, reset_after, watched)
        for cell, reset_after in _families(kinds) for watched in watches
    ]  # fmt: skip
    groups: dict[str, Group] = {}
    sizes = _sizes(quick or contestant.fixed)
    done, total = 0, len(plan) * len(sizes)
    for group, cell, reset_after, watched in plan:
        group = groups.setdefault(group.name, group)

        def each(count, done=done):
            if progress is not None:
                progress(min(done + count, total), total)

        _ask(contestant, group, cell, reset_after, sizes, watched, each)
        done += len(sizes)
        each(0, done)
    guards = "guard pages and canaries around its arrays"
    return Safe(list(groups.values()), f"{guards} alone: {missing}" if missing else f"{guards}, then by the sanitizers")


def _watches(contestant):
    """By what it is watched, and why not by sanitizers."""
    if contestant.library:
        return ("guards",), "sanitizers need its source"
    if not contestant.sanitizes:
        return ("guards",), "this compiler's sanitizers do not link"
    if not contestant.fixed:
        contestant.build(ANY)
        try:
            contestant.build(ANY, sanitize=True)
        except BuildError as error:
            return ("guards",), f"with sanitizers it cannot be built ({error.reason})"
    return ("guards", "sanitizers"), ""


def _families(kinds):
    for kind, cell in CELLS.items():
        if kinds is None or kind in kinds:
            yield from ((kind, after) for after in ((True, False) if cell is GRU else (True,)))


def _name(kind, reset_after):
    cell = CELLS[kind]
    return f"{cell.name}, reset {'after' if reset_after else 'before'}" if cell is GRU else cell.name


def _sizes(few):
    """(H, I, rows, way): every H stepped and run, and some of them with several rows."""
    if few:
        sizes = [(*size, 1) for size in _FEW] + [(*_FEW[1], _SEVERAL), (*_FEW[3], _SEVERAL)]
    else:
        sizes = [(H, H * 37 % LARGEST + 1, 1) for H in range(1, LARGEST + 1)]
        sizes += [(*size[:2], _SEVERAL) for size in sizes[::6]]
        sizes += [(1, LARGEST, 1), (LARGEST, 1, 1), (16, 16, 1), (64, 64, _SEVERAL), (33, 1, 2)]
    return [(*size, way) for size in sizes for way in ("step", "run")]


def _problem(cell, reset_after, size, zero):
    H, I, rows, way = size  # noqa: E741
    rng = np.random.default_rng([H, I, rows])
    G = CELLS[cell].stacked * H

    def some(*shape):
        return rng.uniform(-0.5, 0.5, shape).astype(np.float32)

    layer = {
        "weight_ih_l0": some(G, I), "weight_hh_l0": some(G, H), "bias_ih_l0": some(G), "bias_hh_l0": some(G),
    }  # fmt: skip
    x, *states = some(_STEPS, rows, I), *(some(rows, H) for _ in CELLS[cell].states)
    if zero:
        states = [np.zeros_like(state) for state in states]
    c_0 = states[1] if len(states) > 1 else None
    return Problem(layer, cell, x, states[0], c_0, reset_after, way, SAFE)


def _ask(contestant, group, cell, reset_after, sizes, watched, each):
    """All sizes of a kind of layer; from zero states, where it refuses others."""
    options = {"sanitize": watched == "sanitizers", "timeout": TIMEOUT, "each": each, "most": _MOST}
    for zero in (group.from_zero, True):
        problems = [_problem(cell, reset_after, size, zero) for size in sizes]
        if any(one.verdict == "hung" for one in group.outcomes):
            results = [host.Result("not asked", "it hung before")] * len(problems)
        else:
            results = host.run_all(contestant, problems, **options)
        stepped = [result for result, size in zip(results, sizes, strict=True) if size[3] == "step"]
        if zero or not all(result.verdict == "refused" for result in stepped):
            break
    if any(result.verdict not in ("refused", "not asked") for result in results):
        group.from_zero = zero
    for (H, I, rows, way), problem, result in zip(sizes, problems, results, strict=True):  # noqa: E741
        verdict, detail = result.verdict, result.detail
        if verdict == "ok":
            verdict, detail = _compared(problem, result)
        group.outcomes.append(Outcome(H, I, rows, way, watched, verdict, detail))


def _compared(problem, result):
    """Verdict and detail of a result that is safe: its outputs against float64."""
    finite = np.isfinite(result.y)
    if not finite.all():
        step, row, unit = np.argwhere(~finite)[0]
        return "nan", f"gives {result.y[step, row, unit]} first at step {step}, row {row}, unit {unit}"
    cell = CELLS[problem.cell]
    states = [state for state in (problem.h_0, problem.c_0) if state is not None]
    form = {"reset_after": problem.reset_after, "z_keeps": True}
    expected, _ = run(cell, problem.layer, problem.x, states, None, plain(cell.functions), **form)
    errors = np.abs(result.y - expected) / max(1.0, np.abs(expected).max())
    step, row, unit = np.unravel_index(errors.argmax(), errors.shape)
    error = errors[step, row, unit]
    if error <= LIMIT:
        return "ok", result.detail
    return "wrong", f"is {error:.3g} off at step {step}, row {row}, unit {unit} (at most {LIMIT:g} is right)"


# ---- the words


def _lines(group):
    refused = [one for one in group.outcomes if one.verdict == "refused"]
    if not group.done:
        yield f"{group.name}: refused ({refused[0].detail})"
        return
    counts = []
    for watched in dict.fromkeys(one.watched for one in group.outcomes):
        asked = [one for one in group.done if one.watched == watched]
        counts.append(f"{sum(one.verdict == 'ok' for one in asked)} of {len(asked)} with {watched}")
    yield f"{group.name}: safe {', '.join(counts)}"
    if group.from_zero:
        yield "  from zero states alone: it refuses others"
    yield from _refusals(refused, group)
    for watched in dict.fromkeys(one.watched for one in group.failed):
        failed = [one for one in group.failed if one.watched == watched]
        for one in failed[:_SHOWN]:
            size = f"H {one.H}, I {one.I}, rows {one.rows}, {one.way}"
            yield f"  {watched}: {size}: {one.verdict}: {one.detail}"
        if len(failed) > _SHOWN:
            yield f"  {watched}: and {len(failed) - _SHOWN} more"
    left = [one for one in group.done if one.verdict == "ok" and one.detail]
    if left:
        most = max(left, key=lambda one: one.H * (one.H + one.I))
        yield f"  H {most.H}, I {most.I}, rows {most.rows}, {most.way}: {most.detail}"
    unasked = sum(one.verdict == "not asked" for one in group.outcomes)
    if unasked:
        yield f"  {unasked} were not asked, after so many failures"


def _refusals(refused, group):
    """Why some were refused, where that is not the whole of a group: no run, several rows, or sizes."""
    runs = [one for one in refused if one.way == "run"]
    if runs and not any(one.way == "run" for one in group.done):
        yield f"  run: refused ({runs[0].detail})"
        refused = [one for one in refused if one.way != "run"]
    if refused and all(one.rows > 1 for one in refused) and not any(one.rows > 1 for one in group.done):
        yield "  several rows: refused"
        refused = []
    if refused:
        sizes = ", ".join(dict.fromkeys(f"H {one.H} I {one.I} rows {one.rows}" for one in refused[:4]))
        yield f"  refused {len(refused)}: {sizes} ({refused[0].detail})"
