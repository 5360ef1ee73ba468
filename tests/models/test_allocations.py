"""What a step and a pass ask of memory, counted: every malloc of the process, and Python's own bookkeeping."""

import json
import os
import platform
import shutil
import subprocess
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from support.processes import run_python

COMPILER = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc") or shutil.which("clang")
STEPS = 500


@pytest.fixture(scope="module")
def counter(tmp_path_factory):
    """The preloaded library that counts, compiled here."""
    if COMPILER is None:
        pytest.skip("no C compiler on this machine, so nothing that counts malloc calls")
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("the counter of malloc calls is for glibc")
    library = tmp_path_factory.mktemp("counter") / "count_allocations.so"
    source = Path(__file__).parents[1] / "support" / "count_allocations.c"
    subprocess.run([COMPILER, "-O1", "-shared", "-fPIC", str(source), "-o", str(library)], check=True, timeout=60)
    return library


COUNTING = """
import ctypes, json, sys
import numpy as np
import cgru
from cgru import engines

library = ctypes.CDLL(None)
library.cgru_largest.restype = ctypes.c_size_t
library.cgru_allocations.restype = ctypes.c_long
library.cgru_forget_largest.restype = None

def count(function, *arguments):
    function(*arguments)                        # whatever is set up once
    before = library.cgru_allocations()
    function(*arguments)
    return library.cgru_allocations() - before
"""

STEPPING = COUNTING + """
def idle(step, inputs, out):
    for x_t in inputs:
        pass

def with_out(step, inputs, out):
    for x_t in inputs:
        step(x_t, out=out)

def without_out(step, inputs, out):
    for x_t in inputs:
        step(x_t)

found, steps = {}, int(sys.argv[1])
from cgru import engines
from cgru.cells import CELLS
MODELS = {
    "gru": [(1, 24, {}), (1, 100, {"reset_after": False}), (3, 33, {}), (2, 33, {"reset_after": False}), (1, 700, {})],
    "rnn": [(1, 24, {}), (3, 33, {"nonlinearity": "relu"}), (1, 1200, {})],
    "lstm": [(1, 24, {}), (3, 33, {}), (1, 700, {})],
}
WAYS = [(kind, engine, dtype) for kind in CELLS for engine in engines.ENGINES
        for dtype in (("float32",) if engine == "packed" else ("float32", "float64"))]
for kind, engine, dtype in WAYS:
    for rows in (None, 1, 9, 33):
        for layers, hidden, options in MODELS[kind]:
            if hidden >= 700 and rows is not None:
                continue
            model = getattr(cgru, CELLS[kind].name)(5, hidden, layers, dtype=dtype, engine=engine, rng=1, **options)
            stream = model.stream(rows)
            batch = () if rows is None else (rows,)
            x = np.random.default_rng(2).normal(size=(7, *batch, 5)).astype(dtype)
            inputs = tuple(x[t % 7] for t in range(steps if hidden < 700 else 20))
            out = np.empty((*batch, hidden), dtype)
            name = f"{kind} {engine} {dtype} rows={rows} layers={layers} hidden={hidden} {options}"
            found[name] = [count(way, stream.step, inputs, out) for way in (idle, with_out, without_out)]
            found[name].append(len(inputs))
for engine, dtype in (("packed", "float32"), ("packed", "bfloat16"), ("packed", "int8"), ("blas", "float64")):
    for rows in (None, 1, 9, 33):
        new = {"engine": engine, "rng": 1, "dtype": "float64" if engine == "blas" else "float32"}
        net = cgru.Sequential([
            cgru.Linear(5, 12, activation="elu", **new), cgru.GRU(12, 24, 2, **new), cgru.LSTM(24, 33, **new),
            cgru.Linear(33, 4, activation="softmax", **new),
        ], skip=True)
        net = net.quantize(dtype) if dtype in ("bfloat16", "int8") else net
        stream = net.stream(rows)
        batch = () if rows is None else (rows,)
        x = np.random.default_rng(2).normal(size=(7, *batch, 5)).astype(net.dtype)
        inputs, out = tuple(x[t % 7] for t in range(steps)), np.empty((*batch, 4), net.dtype)
        name = f"network {engine} {dtype} rows={rows}"
        found[name] = [count(way, stream.step, inputs, out) for way in (idle, with_out, without_out)]
        found[name].append(len(inputs))
def pooled(pool, ids):
    return lambda x_t, out=None: pool.step(ids, x_t, out=out)

for engine, dtype in (("packed", "float32"), ("packed", "int8"), ("blas", "float32"), ("blas", "float64")):
    new = {"engine": engine, "rng": 1, "dtype": dtype.replace("int8", "float32")}
    net = cgru.Sequential([cgru.GRU(5, 24, 2, **new), cgru.LSTM(24, 33, **new), cgru.Linear(33, 4, **new)])
    pool = (net.quantize("int8") if dtype == "int8" else net).pool(200)
    numbers = [pool.open() for _ in range(200)]
    for M in (None, 0, 1, 9, 64, 65, 200):
        batch = () if M is None else (M,)
        x = np.random.default_rng(2).normal(size=(7, *batch, 5)).astype(net.dtype)
        out = np.empty((*batch, 4), net.dtype)
        inputs = tuple(x[t % 7] for t in range(steps if M is None else max(20, steps // (M + 1))))
        for form in (list, tuple, np.array):
            step = pooled(pool, numbers[-1] if M is None else form(numbers[::-1][:M]) if M else [])
            name = f"pool {engine} {dtype} M={M} {form.__name__}"
            found[name] = [count(way, step, inputs, out) for way in (idle, with_out, without_out)]
            found[name].append(len(inputs))
print(json.dumps(found))
"""


def test_a_step_with_out_allocates_nothing(counter):
    """Not one malloc in 500 steps, Python's objects included (PYTHONMALLOC=malloc); every new output is seen."""
    environment = {"LD_PRELOAD": str(counter), "PYTHONMALLOC": "malloc"}
    found = json.loads(run_python(STEPPING, STEPS, environment=environment).stdout)
    assert len(found) >= 3 * (4 * 4 + 1) + 2 * (4 * 2 + 1) + 2 * (4 * 2 + 1) + 4 * 4
    assert sum(name.startswith("network") for name in found) == 4 * 4
    assert sum(name.startswith("pool") for name in found) == 4 * 7 * 3
    for name, (idle, with_out, without_out, steps) in found.items():
        assert with_out == idle, f"{with_out - idle} allocations in {steps} steps of {name}"
        assert without_out >= idle + steps, "the counter misses new arrays"


WINDOWS = COUNTING + """
def idle(window, inputs, out):
    for x_t in inputs:
        pass

def with_out(window, inputs, out):
    for x_t in inputs:
        window.step(x_t, out=out)
        window.settle()

def unsettled(window, inputs, out):
    for x_t in inputs:
        window.step(x_t, out=out)

def without_out(window, inputs, out):
    for x_t in inputs:
        window.step(x_t)

def models(engine, dtype):
    new = {"engine": engine, "rng": 1, "dtype": "float64" if engine == "blas" else "float32"}
    yield cgru.GRU(5, 33, 2, **new)
    yield cgru.GRU(5, 100, reset_after=False, **new)
    yield cgru.LSTM(5, 24, **new)
    yield cgru.RNN(5, 40, 3, **new)
    yield cgru.LSTM(5, 400, **new)              # releases the GIL
    yield cgru.Sequential([
        cgru.Linear(5, 12, activation="elu", **new), cgru.GRU(12, 24, 2, **new), cgru.LSTM(24, 33, **new),
        cgru.Linear(33, 4, activation="softmax", **new),
    ], skip=True)

found, steps = {}, int(sys.argv[1])
for engine, dtype in (("packed", "float32"), ("packed", "bfloat16"), ("packed", "int8"), ("blas", "float64")):
    for model in models(engine, dtype):
        model = model.quantize(dtype) if dtype in ("bfloat16", "int8") else model
        for T in (1, 4, 40):
            if T == 40 and "400" in repr(model):
                continue
            window = model.window(T)
            x = np.random.default_rng(2).normal(size=(7, 5)).astype(model.dtype)
            inputs, out = tuple(x[t % 7] for t in range(steps)), window.step(x[0])
            ways = (idle, with_out, unsettled, without_out)
            found[f"{model} {dtype} T={T}"] = [count(way, window, inputs, out) for way in ways]
print(json.dumps(found))
"""


def test_a_window_s_step_with_out_allocates_nothing(counter):
    """Nor does `settle`, called or left to the next step."""
    environment = {"LD_PRELOAD": str(counter), "PYTHONMALLOC": "malloc"}
    found = json.loads(run_python(WINDOWS, 100, environment=environment).stdout)
    assert len(found) == 4 * (6 * 3 - 1)
    for name, (idle, with_out, unsettled, without_out) in found.items():
        assert with_out == unsettled == idle, f"{with_out - idle} and {unsettled - idle} allocations of {name}"
        assert without_out >= idle + 100, "the counter misses new arrays"


SCRATCH = COUNTING + """
found = {}
SIZES = (3000, 1, 40, 100), (500, 32, 24, 256), (3, 1024, 5, 512), (2, 5000, 33, 100), (40, 3, 512, 511)
for reset_after in (True, False):
    for T, N, features, hidden in SIZES:
        x = np.zeros((T, N, features), "f4")
        out = np.empty((T, N, hidden), "f4")
        model = cgru.GRU(features, hidden, reset_after=reset_after, engine="packed", rng=1)
        library.cgru_forget_largest()
        model(x, out=out)
        found[f"{T} {N} {features} {hidden} {reset_after}"] = library.cgru_largest()
print(json.dumps(found))
"""


def test_scratch_of_a_pass_stays_under_4_mb(counter):
    """The largest single request of a call with `out`, whatever T and N: that is the scratch space, or h_n."""
    found = json.loads(run_python(SCRATCH, environment={"LD_PRELOAD": str(counter)}).stdout)
    for shape, largest in found.items():
        assert 16 << 10 < largest < 4 << 20, f"{largest} bytes for T N I H reset_after = {shape}"


REFUSED = COUNTING + """
rng = np.random.default_rng(0)
for network, engine in [("GRU", "packed"), ("GRU", "blas"), ("LSTM", "blas"), ("RNN", "blas")]:
    model = getattr(cgru, network)(24, 100, engine=engine, rng=1)
    stream, x, out = model.stream(9), rng.normal(size=(50, 9, 24)).astype("f4"), np.empty((50, 9, 100), "f4")
    stream.step(x[0])
    before, expected = np.array(stream.state), model(x)[0]
    model(x, threads=2)                     # NumPy imports what it needs for that
    for threads in (1, 2, 3) if network != "RNN" else (1, 2):       # an RNN of 3 rows needs less
        library.cgru_refuse_above(100_000)
        try:
            model(x, out=out, threads=threads)
        except MemoryError as error:
            print(error)
        finally:
            library.cgru_refuse_above(0)
    library.cgru_refuse_above(190_000)      # above the output, below the scratch space
    try:
        stream.run(x)
    except MemoryError as error:
        print(error)
    finally:
        library.cgru_refuse_above(0)
    assert np.array_equal(np.array(stream.state), before)
    assert np.array_equal(model(x, out=out)[0], expected)
"""


def test_no_memory_is_an_error(counter):
    """MemoryError, in whichever thread it happens; model and stream are as before and work again."""
    result = run_python(REFUSED, environment={"LD_PRELOAD": str(counter)})
    assert result.stdout.splitlines() == ["no memory for the scratch space of the time loop"] * (4 * 4 - 1)


@pytest.mark.parametrize("rows", [None, 9])
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.configurations(layout="one layer")
def test_python_sees_no_allocation_in_a_step(variant, configuration, rng, rows, num_layers):
    """tracemalloc's peak over 500 steps is that of an empty loop."""
    stream = variant.model(5, 33, num_layers, rng=1, **configuration.options).stream(rows)
    batch = () if rows is None else (rows,)
    inputs = tuple(variant.cast(rng.normal(size=(STEPS, *batch, 5))))
    out = np.empty((*batch, 33), variant.dtype)

    def peak(loop):
        loop()
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        loop()
        return tracemalloc.get_traced_memory()[1] - before

    def idle():
        for _ in inputs:
            pass

    def with_out():
        for x_t in inputs:
            stream.step(x_t, out=out)

    def without_out():
        for x_t in inputs:
            stream.step(x_t)

    tracemalloc.start()
    try:
        empty, stepping, control = peak(idle), peak(with_out), peak(without_out)
    finally:
        tracemalloc.stop()
    assert stepping <= empty
    assert control >= empty + out.nbytes
