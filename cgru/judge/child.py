"""One child process after another until all problems have a verdict: the files of host.c, limits, and how it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cgru.cells import CELLS
from cgru.judge.group import running
from cgru.judge.reports import SANITIZED, report

COMPUTE, SAFE, MEASURE = range(3)
_WEIGHTS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
_VERDICTS = (None, "ok", "refused", "wrote outside", "read outside", "disturbed", "changed mode")   # host.c
_HEAD = np.dtype([
    ("finished", "i4"), ("problem", "i4"), ("phase", "i4"), ("step", "i4"), ("has_run", "i4"), ("trouble", "i4"),
    ("name", "S64"), ("message", "S168"),
])  # fmt: skip
_RECORD = np.dtype([("status", "i4"), ("detail", "S156")])
_PHASES = ("before it was asked anything", "make", "reset", "step", "run", "free", "after its last call")   # host.c
_FIELDS = 13                    # of a Problem in host.c, int64
_CANNOT_LOAD, _LACKS, _OURS = 1, 2, 3
_STDERR = 1 << 16               # bytes of what it printed that are looked at


@dataclass(frozen=True, eq=False)
class Problem:
    """What is asked of a contestant: the arguments of `host.run`, what kind of question it is, and its counts."""

    layer: Mapping[str, np.ndarray]
    cell: str
    x: np.ndarray
    h_0: np.ndarray
    c_0: np.ndarray | None = None
    reset_after: bool = True
    way: str = "step"
    kind: int = COMPUTE
    instances: int = 1
    calls: int = 1
    samples: int = 1


class Found(NamedTuple):
    """What came of a problem: y (T, N, H), or nanoseconds (samples,), where the verdict is "ok"."""

    verdict: str
    detail: str
    numbers: np.ndarray | None


NOT_ASKED = Found("not asked", "after others that did not come to their end", None)


def strikes(found, most):
    """How often a child did not come to its end; a hang, which takes long, counts as all that there may be."""
    ended = [one.verdict for one in found if one.verdict not in ("ok", "refused", NOT_ASKED.verdict)]
    return len(ended) + (0 if most is None else most * ended.count("hung"))


class Facts(NamedTuple):
    """What the host says of a contestant: its own name, or an empty one; trouble in words, or none."""

    has_run: bool
    name: str
    trouble: str


def solve(command, problems, *, timeout, library=None, sanitize=False, each=None, most=None):
    """Have problems solved in child processes: a new one after each that did not come to its end.

    Parameters
    ----------
    command : str
        The host's program.
    problems : sequence of Problem
    timeout : float
        Seconds for each problem.
    library : str, optional
        The contestant, where the program does not hold it.
    sanitize : bool
        Whether it is built with sanitizers.
    each : callable, optional
        Called with the number of problems that are done.
    most : int, optional
        After so many children that did not come to their end, or one that hung, the rest is "not asked".

    Returns
    -------
    facts : Facts
    found : list of Found
    """
    with tempfile.TemporaryDirectory(prefix="cgru_judge_", ignore_cleanup_errors=True) as folder:
        asked, answered = Path(folder, "problems"), Path(folder, "results")
        places, total = _write(asked, problems)
        with open(answered, "wb") as file:
            file.truncate(total)
        results = np.memmap(answered, np.uint8, "r+")
        head = results[: _HEAD.itemsize].view(_HEAD)[0:1]
        found: list[Found] = []
        ends = 0
        while True:
            head["finished"] = head["phase"] = head["trouble"] = 0
            head["problem"] = first = len(found)
            words = [command, str(asked), str(answered), str(first), _seconds(timeout, len(problems) - first)]
            words += [library] if library else []
            timed = any(problem.kind == MEASURE for problem in problems)
            ended = _child(words, head, folder, timeout, _environment(sanitize, timed), each, len(problems))
            facts = Facts(bool(head["has_run"][0]), _text(head["name"][0]), _trouble(head, ended))
            if facts.trouble:
                return facts, found
            last = len(problems) if head["finished"][0] else _last(results, head, places, first)
            for number in range(first, last):
                found.append(_read(results, problems[number], places[number]))
            if head["finished"][0] or not problems:
                return facts, found
            found.append(_end(results, head, places[last], ended, len(problems)))
            ends += strikes(found[-1:], most)
            if most is not None and ends >= most:
                found += [NOT_ASKED] * len(problems)
            if len(found) >= len(problems):
                return facts, found[: len(problems)]


def _last(results, head, places, first):
    """The problem in which a child ended: the head's word, or the first without an answer if that was written over."""
    last = int(head["problem"][0])
    if first <= last < len(places) or not places:
        return last
    return next((n for n in range(first, len(places)) if _record(results, places[n])[0] is None), len(places) - 1)


def _seconds(timeout, many):
    """Of all processors, in all, should nobody be left to end it."""
    return str(int(timeout * (many + 1) * (os.cpu_count() or 1)) + 2)


# ---- the files


def _numbers(problem):
    """The arrays of a problem in the order of host.c."""
    G, H = CELLS[problem.cell].stacked, problem.h_0.shape[1]
    for name in _WEIGHTS:
        yield problem.layer[name] if name in problem.layer else np.zeros(G * H, np.float32)
    yield problem.h_0
    yield np.zeros_like(problem.h_0) if problem.c_0 is None else problem.c_0
    yield problem.x


def _room(problem):
    """Bytes of its answer."""
    T, N, _ = problem.x.shape
    return problem.samples * 8 if problem.kind == MEASURE else T * N * problem.h_0.shape[1] * 4


def _write(path, problems):
    """Write the file of problems; where their records go, and the size of the file of results."""
    table = np.zeros((len(problems), _FIELDS), np.int64)
    start, place, places = 8 + table.nbytes, _HEAD.itemsize, []
    for row, problem in zip(table, problems, strict=True):
        T, N, I = problem.x.shape   # noqa: E741
        row[:] = (
            start, place, CELLS[problem.cell].code, I, problem.h_0.shape[1], N, problem.reset_after,
            T, problem.way == "run", problem.kind, problem.instances, problem.calls, problem.samples,
        )  # fmt: skip
        start += 4 * sum(array.size for array in _numbers(problem))
        places.append(place)
        place += -(-(_RECORD.itemsize + _room(problem)) // 8) * 8
    with open(path, "wb") as file:
        file.write(np.int64(len(problems)).tobytes() + table.tobytes())
        for problem in problems:
            for array in _numbers(problem):
                file.write(np.ascontiguousarray(array, np.float32).tobytes())
    return places, place


def _read(results, problem, place):
    status, detail = _record(results, place)
    if status != "ok":
        return Found(status or "crashed", detail or "no answer came of it", None)
    start = place + _RECORD.itemsize
    kind = np.float64 if problem.kind == MEASURE else np.float32
    numbers = results[start : start + _room(problem)].view(kind).copy()
    if problem.kind != MEASURE:
        numbers = numbers.reshape(*problem.x.shape[:2], problem.h_0.shape[1])
    return Found(status, detail, np.asarray(numbers))


def _record(results, place):
    record = results[place : place + _RECORD.itemsize].view(_RECORD)[0]
    return _VERDICTS[record["status"]] if 0 <= record["status"] < len(_VERDICTS) else None, _text(record["detail"])


def _text(value):
    """Up to its zero, on one line, without what a terminal would take for a command."""
    text = bytes(value).split(b"\0")[0].decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()


# ---- the process


class _Ended(NamedTuple):
    status: int | None          # as subprocess has it; None: it was ended, for its time was up
    printed: str
    seconds: float


def _environment(sanitize, timed):
    """Memory that is not zero by chance, and sanitizers that end the process at the first report."""
    more = {} if timed else {"MALLOC_PERTURB_": "165"}
    if sanitize:
        common = f"halt_on_error=1:exitcode={SANITIZED}"
        more["ASAN_OPTIONS"] = f"{common}:detect_leaks=0:allocator_may_return_null=1"
        if "SC_PHYS_PAGES" in os.sysconf_names:
            most = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 21      # in MB, half of what there is
            more["ASAN_OPTIONS"] += f":hard_rss_limit_mb={most}"
        more["UBSAN_OPTIONS"] = f"{common}:print_stacktrace=0"
    return {**os.environ, **more}


def _child(words, head, folder, timeout, environment, each, many):
    """Run the host until it ends or stays too long with one problem. Nothing of it is left."""
    with open(Path(folder, "stderr"), "w+b") as stderr:
        given = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": stderr}
        with running(words, cwd=folder, env=environment, **given) as child:
            status = _wait(child, head, timeout, each, many)
        stderr.seek(0)
        return _Ended(status, stderr.read(_STDERR).decode("utf-8", "replace"), timeout)


def _wait(child, head, timeout, each, many):
    """Its exit status; None where a problem took longer than that."""
    at, since, pause = -1, time.monotonic(), 0.001
    while True:
        try:
            status = child.wait(pause)
        except subprocess.TimeoutExpired:
            status = None
        now = time.monotonic()
        if int(head["problem"][0]) != at:
            at, since = int(head["problem"][0]), now
            if each is not None and 0 <= at < max(many, 1):
                each(at)
        if status is not None or now - since > timeout:
            return status
        pause = min(2 * pause, 0.05)


def _end(results, head, place, ended, many):
    """The verdict of the problem in which a child ended."""
    said, detail = _record(results, place)
    if not (0 <= head["phase"][0] < len(_PHASES) and 0 <= head["problem"][0] < many):
        return Found("wrote outside", "into the file of results, which is the host's; then it ended", None)
    where = _where(head)
    reported = report(ended.printed) if ended.status == SANITIZED else ""
    if reported:
        return Found("sanitizer", f"{reported}, {where}", None)
    if said not in (None, "ok"):
        return Found(said, detail, None)
    if ended.status is None:
        return Found("hung", f"not done after {ended.seconds:g} s, {where}", None)
    if ended.status < 0:
        try:
            name = signal.Signals(-ended.status).name
        except ValueError:
            name = f"signal {-ended.status}"
        if name == "SIGXCPU":
            return Found("hung", f"used all the time of the processor that there was, {where}", None)
        return Found("crashed", f"{name}, {where}", None)
    return Found("exited", f"exit status {ended.status}, {where}", None)


def _where(head):
    """The call that did not come back."""
    phase = int(head["phase"][0])
    name = _PHASES[phase]
    if phase in (3, 4):
        return f"in cgru_judge_{name}, step {int(head['step'][0])}" if phase == 3 else "in cgru_judge_run"
    return f"in cgru_judge_{name}" if phase in (1, 2, 5) else name


def _trouble(head, ended):
    kind, message = int(head["trouble"][0]), _text(head["message"][0])
    if kind == _CANNOT_LOAD:
        return f"cannot be loaded: {message}"
    if kind == _LACKS:
        return f"lacks the function {message}: declare it as cgru_judge.h does; in C++ include the header"
    if kind == _OURS:
        return f"{message} (exit status {ended.status})"
    return ""
