"""Time of the contestants in turns within this process, and memory of each in a process of its own."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from bench.training import goals
from bench.training.contestants import CGRU, CONTESTANTS, RIVAL

SCRIPT = Path(__file__).with_name("run.py")
TOLERANCE = 1e-4  # of a gradient, relative to its largest entry


def measure(H, seconds):
    """One line of the table."""
    times = time_steps(H, seconds)
    contestants = {
        name: {
            "median_ms": float(np.median(values)),
            "p10_ms": float(np.percentile(values, 10)),
            "p90_ms": float(np.percentile(values, 90)),
            "rounds": len(values),
            "memory": memory(name, H),
        }
        for name, values in times.items()
    }
    rival = contestants[RIVAL]["median_ms"]
    ratios = {name: rival / contestants[name]["median_ms"] for name in CONTESTANTS if name != RIVAL}
    line = {"H": H, "contestants": contestants, "ratios": ratios}
    return line | goals.evaluate(line)


def disagreement(found, expected):
    """The largest error of any gradient, relative to that gradient's largest entry."""
    return max(float(np.abs(found[name] - value).max() / np.abs(value).max()) for name, value in expected.items())


def time_steps(H, seconds):
    """Name -> times in milliseconds, in turns; raises where the gradients differ."""
    steps = {name: make(H) for name, make in CONTESTANTS.items()}
    expected = {name: value.copy() for name, value in steps[RIVAL]().items()}
    for name, step in steps.items():
        error = disagreement(step(), expected)
        if error > TOLERANCE:
            raise SystemExit(f"H={H}: {name} and {RIVAL} differ by {error:.1e}")
    times = {name: [] for name in steps}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[CGRU]) < 10:
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            times[name].append((time.perf_counter() - start) * 1e3)
    return times


def memory_of_this_process(name, H):
    """Print the growth and the height of this process's resident memory over three steps, in bytes."""
    step = CONTESTANTS[name](H)
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts here
    for _ in range(3):
        step()
    peak = _resident("VmHWM")
    print(json.dumps({"growth": peak - before, "peak": peak}))


def _resident(key):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"no {key} in /proc/self/status")


def memory(name, H):
    """The same from a process of its own; None where the system does not tell."""
    if not Path("/proc/self/clear_refs").exists():
        return None
    command = [sys.executable, str(SCRIPT), "--memory-of", name, "--hidden-sizes", str(H)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
