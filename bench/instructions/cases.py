"""What is counted: a step, a sequence and a training step of every cell, with every weight type. Run under callgrind.

    valgrind --tool=callgrind --instr-atstart=no python cases.py

Every case is called once before it is counted, so that what the first call of
its kind prepares is not in it.
"""

import sys
from functools import partial
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # the clone, behind what is installed: cgru is found there

I, H, T, N = 40, 64, 30, 8  # noqa: E741
STEPS = 20
WEIGHTS = ("float32", "bfloat16", "int8", "float64")


def cases():
    """(name, call, how many times the thing it is named for happens in a call)."""
    import numpy as np

    import cgru

    for kind in (cgru.GRU, cgru.LSTM, cgru.RNN):
        for weights in WEIGHTS:
            dtype = "float64" if weights == "float64" else "float32"
            model = kind(I, H, rng=0, dtype=dtype)
            if weights in ("bfloat16", "int8"):
                model = model.quantize(weights)
            x = np.random.default_rng(1).standard_normal((T, N, I)).astype(dtype)
            name = f"{kind.__name__} {weights}"
            yield f"{name} step", partial(steps, model.stream(), x[:STEPS, 0].copy(), np.empty(H, dtype)), STEPS
            yield f"{name} sequence", partial(model, x), 1
            if weights in ("float32", "float64"):
                yield f"{name} training step", partial(trained, model, x, np.ones((T, N, H), dtype)), 1


def steps(stream, x, out):
    """One step for each row of x."""
    for x_t in x:
        stream.step(x_t, out=out)


def trained(model, x, dy):
    """All gradients."""
    *_, tape = model.record(x)
    model.backward(tape, dy)


def main():
    """Count every case; callgrind writes a file for each, with its name in it."""
    from bench.common import cbuild

    try:
        marks = cbuild.build(Path(__file__).with_name("marks.c"), ["-O1"])
    except cbuild.NoCompiler as error:
        raise SystemExit(f"the marks of marks.c: {error}") from error
    if not marks.under_valgrind():
        raise SystemExit("this runs under valgrind alone: python bench/instructions/run.py starts it")
    for name, call, times in cases():
        call()
        marks.count_begin()
        call()
        marks.count_end(f"{name}|{times}".encode())


if __name__ == "__main__":
    main()
