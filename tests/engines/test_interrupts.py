"""Ctrl-C ends every call soon, with KeyboardInterrupt, and changes neither model nor stream."""

import os
import subprocess
import sys

import pytest

from support.processes import ROOT

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends a signal")

PROGRAM = """
import os, signal, sys, threading, time
import numpy as np
import cgru

kind, engine, T, N, H, what, threads = sys.argv[1:]
T, N, H, threads = int(T), int(N), int(H), int(threads)
dtype = np.float64 if engine == "float64" else np.float32
new = {"rng": 0, "dtype": dtype, "engine": "blas" if engine == "float64" else engine}
if kind == "network":
    model = cgru.Sequential([cgru.GRU(4, H, **new), cgru.Linear(H, 4, activation="elu", **new),
                             cgru.LSTM(4, H, **new), cgru.Linear(H, 2, activation="softmax", **new)], skip=True)
elif kind == "stack":
    model = cgru.GRU(H, H, num_layers=3, **new)
elif kind == "both ways":
    model = cgru.LSTM(H, H, bidirectional=True, **new)
else:
    model = getattr(cgru, kind)(4, H, **new)
planes = lambda state: [plane for one in state for plane in planes(one)] if isinstance(state, tuple) else [state]
x = np.zeros((T, N, model.input_size), dtype)
stream = model.stream(N) if what in ("stream", "prewarm") else None
if stream is not None:
    stream.run(np.ones((3, N, 4), dtype))
before = [plane.copy() for plane in planes(stream.state)] if stream is not None else None
if what == "backward":
    y, h_n, tape = model.record(x)
work = {
    "call": lambda: model(x, threads=threads),
    "record": lambda: model.record(x),
    "stream": lambda: stream.run(x),
    "prewarm": lambda: stream.prewarm(100000000),
    "backward": lambda: model.backward(tape, y),
}[what]
signal.signal(signal.SIGINT, signal.default_int_handler)      # a background job starts with it ignored
model(x[:1])
sent = []
def interrupt():
    time.sleep(0.3)
    sent.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt, daemon=True).start()
begun = time.monotonic()
try:
    work()
except KeyboardInterrupt:
    late = time.monotonic() - sent[0]
    assert late < 0.5, f"{late:.2f} s late"
    if stream is not None:
        assert all(map(np.array_equal, planes(stream.state), before)) and before[0].any()
    model(x[:1])
    time.sleep(0.1)
    print("interrupted")
else:
    print(f"not interrupted, {time.monotonic() - begun:.2f} s")
"""

CASES = {
    "packed": ("GRU", "packed", 2000000, 1, 64, "call", 1),
    "packed-wide": ("GRU", "packed", 300, 20000, 64, "call", 1),
    "blas": ("GRU", "blas", 2000000, 1, 64, "call", 1),
    "blas-wide": ("GRU", "blas", 200, 20000, 64, "call", 1),
    "float64": ("GRU", "float64", 1000000, 1, 64, "call", 1),
    "LSTM": ("LSTM", "blas", 1000000, 1, 64, "call", 1),
    "small": ("RNN", "blas", 20000000, 1, 1, "call", 1),
    "record": ("GRU", "packed", 500000, 1, 64, "record", 1),
    "stream": ("GRU", "packed", 2000000, 1, 64, "stream", 1),
    "network": ("network", "packed", 1000000, 1, 64, "call", 1),
    "network-blas": ("network", "blas", 500000, 1, 64, "call", 1),
    "network-threads": ("network", "packed", 200000, 16, 64, "call", 2),
    "network-stream": ("network", "packed", 1000000, 1, 100, "stream", 1),
    "network-short": ("network", "packed", 5000000, 1, 24, "stream", 1),
    "network-prewarm": ("network", "packed", 10, 1, 64, "prewarm", 1),
    "network-backward": ("network", "packed", 100000, 1, 64, "backward", 1),
    "threads": ("GRU", "packed", 200000, 16, 64, "call", 2),
    "threads-blas": ("GRU", "blas", 100000, 16, 64, "call", 2),
    "directions": ("both ways", "packed", 500000, 1, 64, "call", 2),
    "directions-blas": ("both ways", "blas", 500000, 2, 64, "call", 4),
    "pipeline": ("stack", "packed", 1000000, 1, 64, "call", 2),
    "pipeline-blas": ("stack", "float64", 500000, 2, 64, "call", 5),
    "backward": ("GRU", "packed", 200000, 1, 64, "backward", 1),
    "backward-wide": ("LSTM", "blas", 100, 2000, 64, "backward", 1),
}


@pytest.mark.parametrize("case", CASES)
def test_an_interrupt_ends_a_call(case):
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, *map(str, CASES[case])],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("interrupted\n", "")
