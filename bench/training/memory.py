"""How far training raises the memory of a process, each contestant and point in a process of its own."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np

from bench.common.environment import memory as resident
from bench.training.contestants import CONTESTANTS
from cgru.judge.points import Point

SCRIPT = Path(__file__).with_name("run.py")
CLEAR = Path("/proc/self/clear_refs")
TINY = {"T": 3, "N": 2, "I": 4, "H": 5}
NO_SPINNING = {"OMP_WAIT_POLICY": "passive"}  # several of PyTorch's threads on one processor would wait for each other
STEPS = 2  # the second is taken while the results of the first are there


def measure(points, threads, absent, tick=lambda: None):
    """All of them, as many at a time as there are processors: nothing is timed here.

    Parameters
    ----------
    points : sequence of Point
    threads : sequence of int
    absent : function of a name and a cell
        Whether a contestant is left out.
    tick : callable
        Called after each process.

    Returns
    -------
    dict
        (key of the point, name, threads) -> what `of_this_process` gave; empty where the system does not tell.
    """
    if not CLEAR.exists():
        return {}
    jobs = [
        (point, name, count) for point in points for name in CONTESTANTS for count in threads
        if not absent(name, point.cell)
    ]  # fmt: skip
    with ThreadPoolExecutor(max(threads)) as pool:
        found = {}
        for (point, name, count), one in zip(jobs, pool.map(lambda job: in_process(*job), jobs), strict=True):
            found[point.key, name, count] = one
            tick()
    return found


def in_process(point, name, threads):
    """`of_this_process` in a new process; SystemExit with what it said where it fails."""
    said = json.dumps({"point": asdict(point), "name": name, "threads": threads})
    command = [sys.executable, str(SCRIPT), "--memory-of", said]
    child = subprocess.run(command, env=os.environ | NO_SPINNING, capture_output=True, text=True, check=False)
    if child.returncode:
        raise SystemExit(f"memory of {name} at {point.key} failed:\n{child.stderr[-2000:]}")
    return json.loads(child.stdout)


def of_this_process(point, name, threads):
    """``growth`` and ``peak``, bytes: how far the resident size rises over what it was before, and to where.

    Before means: the library is imported, SciPy's BLAS has made its buffers (some 50 MB at its first product, whoever
    makes it: so everybody's process makes one), and a tiny step has loaded what a step loads. The problem, the model
    and its steps come on top.
    """
    from scipy.linalg.blas import sgemm

    sgemm(1.0, np.ones((64, 64), np.float32), np.ones((64, 64), np.float32))
    make = CONTESTANTS[name]
    tiny = make(Point(**TINY, cell=point.cell), threads)
    tiny.ready()
    tiny.step()
    before = resident("VmRSS")
    CLEAR.write_text("5")  # the high-water mark starts here
    job = make(point, threads)
    job.ready()
    kept = None
    for _ in range(STEPS):
        kept = job.step()
    peak = resident("VmHWM")
    if not all(np.isfinite(value).all() for value in kept.values()):
        raise SystemExit(f"{name} at {point.key}: a result is not finite")
    return {"growth": peak - before, "peak": peak}
