"""A contestant in a process of its own, so that its peak of memory is its own: `Child` there, `main` inside.

The child is told lines of JSON, the paths of a set, of the results and of a tiny set, and answers each with its seconds
and its memory. What its libraries print goes into a file, shown where it fails.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[2]))  # the clone, behind what is installed

from bench.common import environment
from bench.common.contestant import Absent
from bench.common.environment import cores, memory
from bench.scale.sets_contestants import RAY, Contestant, make


class Child:
    """A contestant, running and waiting; Absent where it is not installed.

    Parameters
    ----------
    entry : Contestant
    source : path
        A set, for the choice of the size of batches.
    bound : bool
        Whether Ray too is held to as many CPUs as it has workers, with all of its processes. Others always are.

    Attributes
    ----------
    ready : dict
        ``resident``, bytes after the imports and the making of the model, ``cpus`` it may use, ``start_s``, ``ways``.
    """

    def __init__(self, entry, source, bound=False):
        self.entry = entry
        self._said = tempfile.TemporaryFile(mode="w+", encoding="utf-8")  # noqa: SIM115
        threads = 1 if entry.kind == RAY else entry.cores
        command = [sys.executable, __file__, entry.kind, str(entry.cores), str(source), *(["bound"] * bound)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self._said, "text": True}
        self._process = subprocess.Popen(command, env=os.environ | environment.settings(threads), **pipes)
        try:
            self.ready = self._answer()
            if "absent" in self.ready:
                raise Absent(self.ready["absent"])
        except BaseException:
            self.close()
            raise

    def run(self, source, path, tiny):
        """One pass over a set; its answer. `tiny` is a set of a row, for those who first have to start something."""
        self._process.stdin.write(json.dumps([str(source), str(path), str(tiny)]) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._said.seek(0)
            raise SystemExit(f"{self.entry.name} failed:\n{self._said.read()[-4000:]}")
        return json.loads(line)

    def close(self):
        """End the process, and wait for its end."""
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._said.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def main(kind, of_entry, source, bound=""):
    """What the child does."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what is printed is no answer

    def answer(**values):
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    entry = Contestant(kind, int(of_entry))
    if entry.kind != RAY or bound:
        _bind(entry.cores)
    start = time.perf_counter()
    try:
        call = make(entry)
    except (Absent, ImportError) as error:
        answer(absent=str(error))
        return
    import pyarrow as pa
    from pyarrow import parquet  # noqa: F401  before its memory is taken

    pa.set_cpu_count(entry.cores)
    resident = memory("VmRSS")
    ways = call.prepare(source) if hasattr(call, "prepare") else {}
    answer(start_s=time.perf_counter() - start, resident=resident, cpus=cores(), ways=ways)
    for line in sys.stdin:
        source, path, tiny = json.loads(line)
        used, start = os.times(), time.perf_counter()
        found = call(source, path, tiny) if entry.kind == RAY else call(source, path)
        seconds, now = time.perf_counter() - start, os.times()
        cpu = now.user + now.system - used.user - used.system
        answer(**({"seconds": seconds, "cpu_s": cpu, "peak": memory("VmHWM")} | (found if entry.kind == RAY else {})))


def _bind(count):
    """To so many CPUs, for what it starts too."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-count:])


if __name__ == "__main__":
    main(*sys.argv[1:])
