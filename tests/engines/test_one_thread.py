"""threads=1 is one thread: no call wakes a pool of BLAS threads, and a process may fork while others compute.

A thread that sleeps does not switch context. So each program counts the context switches of all threads but its own.
"""

import os
import sys

import pytest

from support.processes import run_python

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or (os.cpu_count() or 1) < 2, reason="needs /proc and two cores"
)
THREADS = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "")     # unset, as by default

COUNT = """
import os, sys, threading, time
import numpy as np
import scipy.linalg             # brings the pool
import cgru

def switches():
    total = 0
    for task in os.listdir("/proc/self/task"):
        if int(task) != threading.get_native_id():
            with open(f"/proc/self/task/{task}/status") as file:
                total += sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)
    return total

def settled():
    # until the pool sleeps
    before = switches()
    for _ in range(100):
        time.sleep(0.1)
        now = switches()
        if now == before:
            return now
        before = now
    raise SystemExit("the pool never sleeps")

def wakes(work):
    before = settled()
    work()
    time.sleep(0.02)
    return switches() - before
"""
CASES = COUNT + """
big = np.ones((1500, 1500))
if len(os.listdir("/proc/self/task")) < 2 or not wakes(lambda: scipy.linalg.blas.dgemm(1.0, big, big)):
    print("no pool"); sys.exit()

def calls(dtype, kind, **options):
    for T, N, H in ((20, 1, 64), (3, 1, 1024), (20, 2, 300), (20, 8, 512), (20, 64, 512), (100, 32, 128), (30, 33, 7)):
        model = getattr(cgru, kind)(65, H, rng=0, dtype=dtype, engine="blas", **options)
        x = np.ones((T, N, 65), dtype)
        yield f"{kind} {np.dtype(dtype)} {options} {T, N, H} forward", lambda: model(x)
        yield "record and backward", lambda: (lambda y, h_n, tape: model.backward(tape, y))(*model.record(x))

for dtype in (np.float32, np.float64):
    for kind, options in (("GRU", {}), ("GRU", {"reset_after": False}), ("LSTM", {}), ("RNN", {})):
        name = ""
        for part, work in calls(dtype, kind, **options):
            name = part if "forward" in part else f"{name}, {part}"
            woken = wakes(work)
            if woken:
                print(name, woken)
print("done")
"""


def test_no_call_wakes_the_pool():
    out = run_python(CASES, environment=THREADS).stdout
    if out == "no pool\n":
        pytest.skip("this SciPy's BLAS has no pool of threads")
    assert out == "done\n"


STUDIES = COUNT + """
from cgru.demo.data import load_network, load_utterances
from cgru.study.gradient_flow import gradient_flow

big = np.ones((1500, 1500))
if len(os.listdir("/proc/self/task")) < 2 or not wakes(lambda: big @ big):
    print("no pool"); sys.exit()

def report(name, work):
    woken = max(wakes(work) for _ in range(3))
    if woken:
        print(name, woken)

for H in (64, 100, 300):
    for reset_after in (True, False):
        gru = cgru.GRU(65, H, reset_after=reset_after, rng=0, dtype=np.float64)
        x, h = np.ones((2, 65)), np.ones((2, H))
        report(f"jacobian {H, reset_after}", lambda: gru.jacobian(x, h))
for H in (64, 100, 130):
    x = np.random.default_rng(0).normal(size=(5, 2, 65))
    for kind in (cgru.GRU, cgru.LSTM):
        model = kind(65, H, rng=0, dtype=np.float64)
        report(f"gradient flow {kind, H}", lambda: gradient_flow(model, x, 3))
demo, utterances = load_network(), load_utterances("test")
report("demo", lambda: demo(utterances.frames, lengths=utterances.lengths))
print("done")
"""


def test_no_study_wakes_the_pool():
    """Those compute with NumPy, which has a BLAS of its own."""
    out = run_python(STUDIES, environment=THREADS).stdout
    if out == "no pool\n":
        pytest.skip("this NumPy's BLAS has no pool of threads")
    assert out == "done\n"


FORK = """
import os, threading
import numpy as np
import cgru

model = cgru.GRU(64, 300, rng=0, dtype=np.float64)
x = np.ones((50, 16, 64))

def busy():
    while True:
        model(x)

for _ in range(3):
    threading.Thread(target=busy, daemon=True).start()
for i in range(8):
    child = os.fork()
    if child == 0:
        model(x)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
print("done", flush=True)
os._exit(0)
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_process_forks_while_threads_compute():
    """It hung in OpenBLAS's fork handler, which waits for a pool that was at work."""
    assert run_python(FORK, environment=THREADS).stdout == "done\n"
