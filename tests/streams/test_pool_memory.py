"""What a pool takes of memory: that of its capacity, and nothing of streams that have gone."""

import gc
import sys
import tracemalloc

import numpy as np
import pytest

from support.processes import run_python
from support.variants import WEIGHTS

INPUT, H = 5, 19


@pytest.mark.variants(weights=WEIGHTS)
def test_coming_and_going_takes_no_memory(best, rng):
    """5,000 streams through a pool of 8: nothing is left of those that went."""
    pool = best.model(INPUT, H, rng=1).pool(8)
    x, out = best.cast(rng.normal(size=INPUT)), np.empty(H, best.dtype)
    seen = {pool.open() for _ in range(7)}

    def churn(times):
        for _ in range(times):
            number = pool.open()
            pool.step(number, x, out=out)
            pool.close(number)

    churn(300)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        churn(5_000)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 4096
    assert set(pool.ids.tolist()) == seen


FOOTPRINT = """
import resource, sys
import numpy as np
import cgru

def peak():
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024

capacity, H = 200_000, 64
model = cgru.GRU(4, H, rng=0, engine=sys.argv[1])
x, out, ids = np.ones((capacity, 4), np.float32), np.ones((capacity, H), np.float32), np.ones(capacity, np.int64)
marks = [peak()]
for _ in range(3):                          # the memory of one that is gone is given back
    pool = model.pool(capacity)
    for k in range(capacity):
        ids[k] = pool.open()
    marks.append(peak())
    pool.step(ids, x, out=out)
    pool.step(ids[::-1], x, out=out)
    marks.append(peak())
    del pool
print(marks[1] - marks[0], marks[2] - marks[1], marks[-1] - marks[2])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is asked of /proc")
@pytest.mark.parametrize("engine", ["packed", "blas"])
def test_memory_is_that_of_capacity(engine):
    """200,000 streams: their states, 60 bytes beside each one's, and a step of all takes no array of all."""
    filled, stepped, later = map(int, run_python(FOOTPRINT, engine).stdout.split())
    assert 200_000 * 64 * 4 < filled < 200_000 * (64 * 4 + 60) and stepped < 8 << 20 and later < 4 << 20
