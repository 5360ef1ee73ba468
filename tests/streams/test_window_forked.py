"""A window that another thread was running while the process forked."""

import os

import pytest

from support.processes import run_python

FORKED = """
import os, sys, threading
import numpy as np
import cgru

model = cgru.GRU(40, 300, rng=0)
window = model.window(200)
x = np.ones(40, np.float32)
started, stop = threading.Event(), threading.Event()

def work():
    while not stop.is_set():
        window.step(x)
        window.settle()
        started.set()

thread = threading.Thread(target=work, daemon=True)
thread.start()
started.wait()
for _ in range(10):
    child = os.fork()
    if child == 0:
        lost = 0
        try:
            window.step(x)
        except RuntimeError as error:
            assert "fork" in str(error) and "reset() it" in str(error), error
            lost = 1
        window.reset()
        assert window.count == 0
        assert (window.step(x) == model(x[None])[0][-1]).all()
        assert (window.step(x) == model(np.ones((2, 40), np.float32))[0][-1]).all()
        os._exit(10 + lost)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
stop.set()
thread.join()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_window_that_ran_in_another_thread_is_lost_in_a_child_and_reset_there():
    done = run_python(FORKED).stdout.split()
    assert len(done) == 10 and set(done) <= {"10", "11"} and "11" in done
