"""Sequences per second and peak memory of everybody who goes over the generated set, each in a process of its own.

A job is the whole way: read the set's Parquet files, compute, write the last y of every row into a Parquet file.
"""

import contextlib
import math
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

import cgru
from bench.common import progress
from bench.common.contestant import Absent
from bench.scale import sets_data
from bench.scale.sets_child import Child
from bench.scale.sets_contestants import CGRU, RAY, READ, Contestant, cores, entries, ray_entries

TOLERANCE = 1e-5  # of y, absolute
CHECK_FILES = 2
FEW_FILES, MANY_FILES = 2, 20  # memory over so many, and ten times as many
LONGEST_MINUTE = 10_000  # files


def measure(options):
    """The part "sets": `rows`, `rounds`, `minute` (seconds; 0: leave it out) and `without` of the options."""
    with tempfile.TemporaryDirectory(prefix="cgru-scale-") as folder:
        base = sets_data.make(Path(folder) / "set", options.rows)
        jobs = Jobs(base, folder)
        found = {
            "rows": len(base),
            "rounds": options.rounds,
            "what": f"GRU({sets_data.I}, {sets_data.H}), float32, {sets_data.SHORTEST} to {sets_data.LONGEST} steps",
            "cores": cores(),
            "versions": versions(),
        }
        found |= throughput(jobs, chosen(options.without), options.rounds)
        found["memory"] = memory(jobs, found["contestants"])
        if options.minute:
            found["minute"] = minute(jobs, found["contestants"], options.minute, options.rounds)
    return found


def chosen(without):
    """Who takes part: all but those whose names have one of the words between the commas."""
    words = [word.strip().lower() for word in without.split(",") if word.strip()]
    everybody = [*entries(cores()), *ray_entries()]
    return [entry for entry in everybody if not any(word in entry.name.lower() for word in words)]


def versions():
    """Of everybody who may take part; None where it is not installed."""
    found = {"cgru": cgru.__version__}
    for name in ("numpy", "pyarrow", "torch", "onnxruntime", "ray"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


class Jobs:
    """Sets in a folder, their right answers, and passes over them that are compared with these."""

    def __init__(self, base, folder):
        self.base, self._folder = base, Path(folder)
        self.tiny = sets_data.make(self._folder / "tiny", 1, files=1)  # a row: what reading files costs is no start
        self._sets, self._answers = {base.files: base}, {}

    def of(self, files):
        """The set of so many files."""
        if files not in self._sets:
            self._sets[files] = self.base.linked(self._folder / f"of-{files}", files)
        return self._sets[files]

    def run(self, child, files):
        """A pass of a child over so many files, compared; its answer. SystemExit where it is wrong."""
        chosen, path = self.of(files), self._folder / "results.parquet"
        path.unlink(missing_ok=True)
        answer = child.run(chosen.folder, path, self.tiny.folder)
        if child.entry.kind != READ:
            self._compare(child.entry, chosen, path)
        return answer

    def _compare(self, entry, chosen, path):
        """Right before fast: every row is there, y is that of float64, and cgru's has the bits of ``model(row)``."""
        numbers = chosen.sample()
        count, y = sets_data.results_of(path, numbers)
        if count != len(chosen):
            raise SystemExit(f"{entry.name}: {count} results of {len(chosen)} rows")
        right, alone = self._right(chosen, numbers)
        error = float(np.abs(y - right).max())
        if not error <= TOLERANCE:
            raise SystemExit(f"{entry.name}: differs from the truth by {error:.1e}")
        if entry.kind in (CGRU, RAY) and not np.array_equal(y, alone):
            raise SystemExit(f"{entry.name}: other bits than model(row)")

    def _right(self, chosen, numbers):
        """The last y of each row in float64, and by cgru for the row alone."""
        if chosen.files not in self._answers:
            model, sequences = cgru.GRU.from_state_dict(sets_data.state()), list(chosen.sequences(numbers))
            alone = np.array([model(x)[0][-1] for x in sequences])
            self._answers[chosen.files] = sets_data.expected(sequences), alone
        return self._answers[chosen.files]


@contextlib.contextmanager
def children(jobs, wanted, absent, bound=False):
    """Contestant -> its child, of those who are there; why the others are not goes into `absent`.

    `bound`: to as many CPUs as each has cores, Ray with all of its processes too.
    """
    with contextlib.ExitStack() as stack:
        found = {}
        for entry in wanted:
            try:
                found[entry] = stack.enter_context(Child(entry, jobs.base.folder, bound))
            except Absent as reason:
                absent[entry.name] = str(reason)
        yield found


def throughput(jobs, wanted, rounds):
    """All of them in turns: one pass over a part of the set, then `rounds` passes over it, in a new order each round.

    Returns
    -------
    dict
        "contestants": name -> ``seconds`` of every round, ``rows_per_s`` of their median, ``peak`` and ``resident`` in
        bytes (None: not known), ``cpus`` allowed, ``ways`` tried, and what Ray says of itself. "absent": name -> why.
    """
    order, answers, absent = np.random.default_rng(0), {}, {}
    with children(jobs, wanted, absent) as running:
        bar = progress.bar(len(running) * (rounds + 1), unit="pass")
        for entry, child in running.items():
            bar.set_description(entry.name)
            jobs.run(child, min(CHECK_FILES, jobs.base.files))
            bar.update()
        for _ in range(rounds):
            for number in order.permutation(len(running)):
                entry, child = list(running.items())[number]
                bar.set_description(entry.name)
                answers.setdefault(entry, []).append(jobs.run(child, jobs.base.files))
                bar.update()
        bar.close()
        found = {e.name: summary(e, child.ready, answers[e], len(jobs.base)) for e, child in running.items()}
    return {"contestants": found, "absent": absent}


def summary(entry, ready, answers, rows):
    """What is kept of a contestant's rounds; ``seconds`` are without ``start_s``."""
    seconds = [answer["seconds"] - answer.get("start_s", 0) for answer in answers]
    return {
        "kind": entry.kind,
        "cores": entry.cores,
        "cpus": ready["cpus"],
        "seconds": seconds,
        "rows_per_s": rows / float(np.median(seconds)),
        "cpu_s": float(np.median([answer["cpu_s"] for answer in answers])),
        "resident": ready["resident"],
        "peak": answers[-1]["peak"],
        "ways": ready["ways"],
    } | {key: [answer[key] for answer in answers] for key in ("init_s", "start_s", "cpu") if key in answers[0]}


def memory(jobs, contestants):
    """Peaks of fresh processes over FEW_FILES and MANY_FILES: cgru's on all cores, and Ray's where it took part.

    Returns
    -------
    dict
        "rows"; "local" and "ray": ``contestant``, and in the same order ``before`` (of Ray with its cluster, in bytes)
        and ``peak``; None where it is not there or the system does not tell.
    """
    rays = [entry for entry in ray_entries() if entry.name in contestants]
    found = {"rows": [len(jobs.of(files)) for files in (FEW_FILES, MANY_FILES)]}
    return found | {"local": peaks(jobs, Contestant(CGRU, cores())), "ray": peaks(jobs, rays[-1]) if rays else None}


def peaks(jobs, entry):
    """What `memory` says of a contestant."""
    found = {"contestant": entry.name, "before": [], "peak": []}
    for files in (FEW_FILES, MANY_FILES):
        with children(jobs, [entry], {}) as running:
            if not running:
                return None
            answer = jobs.run(running[entry], files)
            found["before"].append(answer.get("before", running[entry].ready["resident"]))
            found["peak"].append(answer["peak"])
    return None if None in found["before"] + found["peak"] else found


def minute(jobs, contestants, seconds, rounds):
    """A job of about so many seconds: the local run on two cores and Ray with two workers, in turns.

    On a machine of one core with one. Both are bound to as many CPUs, Ray with all that it starts.

    Returns
    -------
    dict or None
        "rows", and "contestants" as in `throughput`; None where one of them is not there.
    """
    workers = min(cores(), max(entry.cores for entry in ray_entries()))
    pair = [Contestant(CGRU, workers), Contestant(RAY, workers)]
    if any(entry.name not in contestants for entry in pair):
        return None
    rate = contestants[pair[0].name]["rows_per_s"]
    files = min(LONGEST_MINUTE, max(1, math.ceil(seconds * rate / jobs.base.rows)))
    answers = {entry: [] for entry in pair}
    with children(jobs, pair, {}, bound=True) as running:
        for turn in range(rounds):
            for entry in pair[:: 1 if turn % 2 else -1]:
                answers[entry].append(jobs.run(running[entry], files))
        rows = len(jobs.of(files))
        found = {entry.name: summary(entry, running[entry].ready, answers[entry], rows) for entry in pair}
    return {"rows": rows, "local": pair[0].name, "ray": pair[1].name, "contestants": found}
