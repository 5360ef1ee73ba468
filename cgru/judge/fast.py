"""Fast? Single steps of a contestant, each timed by itself, beside others and beside the limit of the machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cgru.cells import CELLS, GRU, RNN
from cgru.judge import beside, build, host, machine
from cgru.judge.native import NoCompiler
from cgru.judge.points import Point
from cgru.judge.probe import Probe
from cgru.judge.suites import PUBLISHED, SUITES, Published

SIZES = (8, 16, 32, 64, 128, 256)
QUICK_SIZES = (8, 32, 128)
NULL = "copies only"
SAMPLE_NS = 10_000      # a sample of calls in a row is at least this long
QUIET = 0.1             # rounds whose medians differ by more were disturbed
_FEWEST, _MOST = 20, 20_000     # single calls of a round
_QUICK_FLOPS = 1e9      # a quick run leaves out calls of more


@dataclass(frozen=True)
class Options:
    """What is to be timed.

    Attributes
    ----------
    cells : tuple of str
        Of "gru", "lstm" and "rnn".
    sizes : tuple of int
        I = H of one row; of a suite they are its own.
    suite : str or None
        A name of SUITES.
    quick : bool
        Fewer sizes and samples: a look, no record.
    instances : tuple of int
        So many models that take turns.
    peers : bool
        Whether cgru and ONNX Runtime are timed as well.
    cc : str, optional
        The compiler of the null contestant and of the probe; by default $CC, or the first that is there.
    progress : callable, optional
        Called with (done, total).

    Raises
    ------
    ValueError
        A suite that is none, or has no point of these cells; sizes below 1.
    """

    cells: tuple[str, ...] = ("gru", "lstm")
    sizes: tuple[int, ...] | None = None
    suite: str | None = None
    quick: bool = False
    instances: tuple[int, ...] = (1, 4, 16)
    peers: bool = True
    cc: str | None = None
    progress: Callable[[int, int], None] | None = None

    def __post_init__(self) -> None:
        if self.suite is not None and self.suite not in SUITES:
            raise ValueError(f"suite must be one of {', '.join(SUITES)}; got {self.suite!r}")
        if self.sizes is not None and (not self.sizes or min(self.sizes) < 1):
            raise ValueError(f"sizes must be 1 and more; got {self.sizes}")
        if self.suite is not None and not self.points():
            there = ", ".join(dict.fromkeys(point.cell for point in SUITES[self.suite]))
            raise ValueError(f"suite {self.suite} has no point of {', '.join(self.cells)}; it has {there}")

    def points(self) -> list[Point]:
        """The points, in the order of the table."""
        if self.suite is not None:
            return [
                point for point in SUITES[self.suite]
                if point.cell in self.cells or (CELLS[point.cell] is RNN and GRU.kind in self.cells)
            ]  # fmt: skip
        sizes = self.sizes or (QUICK_SIZES if self.quick else SIZES)
        return [Point(1, 1, size, size, cell) for cell in self.cells for size in sizes]


@dataclass
class Times:
    """What was measured of one participant at one point; nanoseconds a call.

    Attributes
    ----------
    single : ndarray
        Of calls timed one by one, of all rounds.
    row : list of float
        Of each round the median of samples of calls in a row, at least SAMPLE_NS long.
    medians : list of float
        Of each round the median of its single calls.
    error : float or None
        Largest difference from float64; None where it is not known.
    instances : dict of int to float
        By the number of models that take turns, a call of one, in a row.
    """

    error: float | None = None
    single: np.ndarray = field(default_factory=lambda: np.empty(0))
    row: list[float] = field(default_factory=list)
    medians: list[float] = field(default_factory=list)
    instances: dict[int, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The figures."""
        median, p99, most = (
            float(value) for value in np.percentile(self.single, (50, 99, 100), method="higher")
        )
        return {
            "median": median, "p99": p99, "max": most, "max_over_median": most / median, "samples": self.single.size,
            "in_a_row": float(np.median(self.row)), "error": self.error, "spread": self.spread,
            "instances": {str(count): ns for count, ns in self.instances.items()},
        }  # fmt: skip

    @property
    def spread(self) -> float:
        """(largest - smallest) / median of the rounds' medians."""
        return (max(self.medians) - min(self.medians)) / float(np.median(self.medians))


@dataclass
class Row:
    """One point.

    Attributes
    ----------
    point : Point
    times : dict of str to Times
        By the name of the participant, those that took part.
    skipped : dict of str to str
        Why the others did not.
    limit : dict or None
        As `cgru.judge.limit.limit` gives it.
    published : list of Published
    hung : set of str
        Who did not end in time.
    """

    point: Point
    times: dict[str, Times] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    limit: dict[str, Any] | None = None
    published: list[Published] = field(default_factory=list)
    hung: set[str] = field(default_factory=set)

    def skip(self, name: str, error: beside.Skipped) -> None:
        """Note why somebody is not timed."""
        self.skipped[name] = str(error)
        self.times.pop(name, None)
        if isinstance(error, beside.Hung):
            self.hung.add(name)


@dataclass
class Fast:
    """Everything that was timed.

    Attributes
    ----------
    name : str
        Of the contestant.
    rows : list of Row
    options : Options
    python : list of str
        Names of those that were called from Python.
    missing : dict of str to str
        Who or what is not here, and why.
    load : float or None
        Of the machine before, in runnable processes.
    machine : dict
        As `cgru.judge.machine.describe` gives it, and how the probe was compiled.
    """

    name: str
    rows: list[Row]
    options: Options
    python: list[str]
    missing: dict[str, str]
    load: float | None
    machine: dict[str, Any] = field(default_factory=dict)

    def noise(self) -> str:
        """What speaks against the figures; empty on a quiet machine."""
        spreads = [one.spread for row in self.rows for one in row.times.values()]
        said, cores = [], os.cpu_count() or 1
        if self.load is not None and self.load > cores / 2:
            said.append(f"the load was {self.load:.1f} on {cores} cores before")
        if spreads and np.median(spreads) > QUIET:
            said.append(f"the medians of the rounds differ by {np.median(spreads):.0%}")
        return "; ".join(said)


def fast(contestant: Any, options: Options | None = None) -> Fast:
    """Time a contestant.

    Parameters
    ----------
    contestant : host.Contestant
    options : Options, optional

    Raises
    ------
    BuildError
        It cannot be compiled.
    """
    options = options or Options()
    found, missing = beside.peers() if options.peers else ([], {})
    child = beside.Child(contestant, contestant.name)
    if child.name in {NULL, *missing, *(one.name for one in found)}:
        child.name += " (contestant)"
    null = _tried(NULL, missing, lambda: _null(options.cc))
    everybody = [child, *([] if null is None else [null]), *found]
    probe = _tried("limit", missing, lambda: Probe(cc=options.cc))
    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    about = machine.describe() | {"probe": probe and probe.command}
    points, rows = options.points(), []
    hung: dict[str, str] = {}       # kind of cell -> point
    for number, point in enumerate(points):
        if options.progress is not None:
            options.progress(number, len(points))
        rows.append(_row(point, everybody, probe, options, hung.get(point.cell)))
        if child.name in rows[-1].hung:
            hung[point.cell] = point.key
    if options.progress is not None:
        options.progress(len(points), len(points))
    return Fast(child.name, rows, options, [one.name for one in found], missing, load, about)


def _tried(name, missing, make):
    """What is made, or None, and why in `missing`: the contestant is timed all the same."""
    try:
        return make()
    except (NoCompiler, host.BuildError, OSError) as error:
        missing[name] = str(error).splitlines()[0]
    return None


def _null(cc):
    """The null contestant, built: one that cannot be is known before anything is timed."""
    null = host.Contestant.of(build.NULL, cc=cc)
    null.facts()
    return beside.Null(null, NULL)


def _row(point, everybody, probe, options, hung):
    row = Row(point, published=PUBLISHED.get(point, []) if options.suite else [])
    if options.quick and point.flops > _QUICK_FLOPS:
        row.skipped = {"everybody": "left out of a quick run: it takes too long"}
        return row
    problem, plans = beside.Problem(point), {}
    if hung is not None:
        row.skipped[everybody[0].name] = f"not asked, for it hung at {hung}"
    for one in everybody:
        if one.name in row.skipped:
            continue
        try:
            row.times[one.name] = Times(one.start(problem))
            plans[one.name] = _Plan(one, 0.02e9 if options.quick else 0.1e9)
        except beside.Skipped as error:
            row.skip(one.name, error)
    watch = probe.watch(point) if probe else None
    order = np.random.default_rng(0)
    for turn in range(2 if options.quick else 5):
        if watch:
            watch.look()
        for name in order.permutation(list(plans)).tolist():
            try:
                plans[name].round(row.times[name])
                if turn == 0 and name == everybody[0].name and point.is_step:
                    plans[name].instances(row.times[name], options.instances)
            except beside.Skipped as error:     # it did it before: not every time, then
                row.skip(name, error)
                del plans[name]
    for one in everybody:
        one.close()
    row.limit = watch.limit(point) if watch else None
    return row


class _Plan:
    """How the time of one participant in a round is spent: half on single calls, half on calls in a row."""

    def __init__(self, one, budget_ns):
        self._one, self._budget = one, budget_ns
        each = max(1.0, float(one.sample(1, 3).min()))
        if each < 1e6:
            each = max(1.0, float(one.sample(max(1, int(2e5 / each)), 3).min()))
        self._calls = max(1, int(np.ceil(SAMPLE_NS / each)))
        self._single = int(np.clip(budget_ns / 2 / each, 1 if each > budget_ns else _FEWEST, _MOST))
        self._row = max(1, int(budget_ns / 2 / each / self._calls))

    def round(self, times):
        single = self._one.sample(1, self._single)
        times.single = np.concatenate([times.single, single])
        times.medians.append(float(np.median(single)))
        times.row.append(float(np.median(self._one.sample(self._calls, self._row))))

    def instances(self, times, counts):
        for count in counts:
            samples = self._one.sample(self._calls, self._row, instances=count)
            times.instances[count] = float(np.median(samples))


