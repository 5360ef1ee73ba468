"""A million steps in bounded memory, and scratch that does not grow with the sequence."""

import os

import pytest

from support.processes import run_python

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the memory is asked of the module resource")

PROGRAM = """
import resource, sys
import numpy as np
import cgru

network, engine, isa, dtype, steps = *sys.argv[1:4], np.dtype(sys.argv[4]), int(sys.argv[5])
with cgru.engines.using(isa):
    model = getattr(cgru, network)(8, 8, rng=1, dtype=dtype, engine=engine)
x = np.random.default_rng(2).standard_normal((steps, 1, 8), dtype=dtype)
model(x[:1])
y, h_n = model(x)
if sys.platform == "linux":  # ru_maxrss there includes what the parent held when it forked
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    peak = int(line.split()[1]) * 1024
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
assert y.shape == (steps, 1, 8)
h_n = h_n[0] if isinstance(h_n, tuple) else h_n
print(peak, x.nbytes + y.nbytes, float(np.abs(y).max()), float(y[-1, 0, 3]), float(h_n[0, 0, 3]))
"""


def test_a_million_steps(variant):
    """The whole process, interpreter and libraries included, stays under input + output + 64 MB.

    OpenBLAS touches memory for every thread that it starts, so their number is fixed.
    """
    arguments = variant.cell.name, variant.engine, variant.isa, variant.name, 1_000_000
    words = run_python(PROGRAM, *arguments, environment={"OPENBLAS_NUM_THREADS": "2"}).stdout.split()
    peak, arrays = int(words[0]), int(words[1])
    largest, last, state = map(float, words[2:])
    print(f"{variant}: {(peak - arrays) / 2**20:.1f} MB over input and output")
    assert peak < arrays + 64 * 2**20
    assert 0.1 < largest <= 1
    assert last == state
