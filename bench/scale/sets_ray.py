"""cgru on Ray, on this machine: the job, what starting costs, and where the processor's time goes."""

import contextlib
import os
import threading
import time
from pathlib import Path

from bench.common.contestant import Absent
from bench.common.environment import cores

EVERY = 0.5  # seconds between two looks at the processes


def on_ray(workers):
    """A function of a folder, the path of the results and a tiny set; each call starts Ray and ends it.

    So nothing of Ray runs while others are timed. The tiny set goes through twice first: once so that everything has
    been started, the workers too, and once for ``start_s``, what a job costs beside its rows.
    """
    try:
        import ray

        import cgru
        from cgru.batch.ray import run
    except ImportError as error:
        raise Absent(str(error)) from error
    from bench.scale.sets_data import COLUMN, state

    model = cgru.GRU.from_state_dict(state())

    def job(source, path, tiny):
        start = time.perf_counter()
        # the workers look for modules in the current folder first: they shall find the cgru that is timed here
        with contextlib.chdir(Path(cgru.__file__).parents[1]):
            ray.init("local", num_cpus=max(workers, cores()), include_dashboard=False, log_to_driver=False)
        try:
            run(model, tiny, path, column=COLUMN, workers=workers)
            started = time.perf_counter()
            run(model, tiny, path, column=COLUMN, workers=workers)
            begin = time.perf_counter()
            with Processes() as processes:
                run(model, source, path, column=COLUMN, workers=workers)
            end = time.perf_counter()
        finally:
            ray.shutdown()
        return {
            "init_s": started - start,
            "start_s": begin - started,
            "seconds": end - begin,
            "cpu": processes.cpu(),
            "before": processes.before or None,
            "peak": processes.peak or None,
        }

    return job


class Processes:
    """Looks again and again at its process and all below it: who used the processor, the first and the peak of memory.

    Shared memory counts once: it is the sum of the proportional sizes (Pss).
    """

    def __init__(self):
        self.before, self.peak, self._first, self._last, self._names = 0, 0, {}, {}, {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self._look()
        self.before, self._first = self.peak, dict(self._last)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()
        self._look()

    def cpu(self):
        """Seconds of the processor since the beginning, by the name of the process, the most first."""
        found = {}
        for pid, seconds in list(self._last.items()):       # the thread may be adding one
            name = self._names[pid]
            found[name] = found.get(name, 0.0) + seconds - self._first.get(pid, 0.0)
        return {name: round(found[name], 2) for name in sorted(found, key=found.get, reverse=True)}

    def _watch(self):
        while not self._end.wait(EVERY):
            self._look()

    def _look(self):
        memory = 0
        for pid in _family(os.getpid()):
            try:
                seconds = _cpu_seconds(pid)
                name = "this process" if pid == os.getpid() else _name(pid)
                if pid not in self._names or name != "ray::IDLE":
                    self._names[pid] = name
                self._last[pid] = seconds       # last of all: what is here has a name, also in the eyes of `cpu`
                memory += _proportional(pid)
            except (OSError, ValueError, IndexError):  # it has ended meanwhile
                continue
        self.peak = max(self.peak, memory)


def _family(first):
    """A process and all that descend from it."""
    below = {}
    for entry in Path("/proc").iterdir() if Path("/proc/self/stat").exists() else ():
        if entry.name.isdigit():
            try:
                below.setdefault(int(_fields(entry.name)[1]), []).append(int(entry.name))
            except (OSError, ValueError, IndexError):
                continue
    found = [first] if below else []
    for pid in found:
        found += below.get(pid, [])
    return found


def _fields(pid):
    """/proc/PID/stat from the state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _cpu_seconds(pid):
    fields = _fields(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _name(pid):
    """The title of a process of Ray, the file name of another program."""
    words = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").split()
    first = words[0]
    if first.startswith("ray::"):
        return first
    if "python" in first.rpartition("/")[2] and len(words) > 1:
        first = next((word for word in words[1:] if word.endswith(".py")), first)
    return first.rpartition("/")[2]


def _proportional(pid):
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
