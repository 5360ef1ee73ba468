"""What a step costs apart from its products: the gates, against the same arithmetic in a plain loop of vector code.

Three figures for each cell, in nanoseconds per hidden unit and step:

* the *loop*: `../common/c/gates.c`, written with intrinsics, over contiguous arrays in the nearest cache;
* *outside*: cgru's time for a sequence, less the flops of its products at the FMA peak measured between the rounds;
* the *pass*: the engine's own loop over the gates by itself, built on the spot from `c/gate_pass.pyx`.
"""

import ctypes
from pathlib import Path
from statistics import median

import numpy as np

from bench.common import cbuild, timing
from bench.common.problem import GATES, Problem
from cgru.judge.points import Point

ROOT = Path(__file__).resolve().parents[2]
LOOPS = ROOT / "bench" / "common" / "c" / "gates_timed.c"
PASS = Path(__file__).resolve().parent / "c" / "gate_pass.pyx"

CELLS = ("gru", "lstm", "rnn")
WIDTHS = (128, 64, 32, 16)
STEPS, ROWS = 100, 32
UNITS = 512  # of the loop and the pass: 16 to 24 KB of sums and states

INLINE = "-DCYTHON_INLINE=inline __attribute__((always_inline))"     # as in setup.py


class _Runner:
    """A loop in C over ready sums; same interface as :class:`bench.common.timing.PythonRunner`."""

    def __init__(self, cell):
        self._memory = memory = np.zeros((2 * GATES[cell] + 4) * UNITS + 16, np.float32)
        start = -memory.ctypes.data % 64 // 4
        self.values = memory[start : start + (2 * GATES[cell] + 4) * UNITS].reshape(-1, UNITS)
        self.values[:] = np.random.default_rng(0).uniform(-1, 1, self.values.shape)
        self.cell = cell

    def sample(self, calls, count):
        """`count` samples, each the mean nanoseconds of `calls` passes."""
        samples = np.empty(count, np.int64)
        self.call(calls, count, samples)
        return samples / calls


class Loop(_Runner):
    """The plain loop."""

    def __init__(self, cell, library):
        super().__init__(cell)
        self._library = library

    def call(self, calls, count, samples):
        self._library.gates_sample(GATES[self.cell], UNITS, self.values.ctypes.data, calls, count, samples.ctypes.data)


class Pass(_Runner):
    """The engine's, over rows of H units."""

    def __init__(self, cell, hidden, module):
        super().__init__(cell)
        self._module, self._hidden = module, hidden

    def call(self, calls, count, samples):
        self._module.sample(
            self.cell, UNITS // self._hidden, self._hidden, self.values.ctypes.data, calls, count, samples.ctypes.data
        )


def loops():
    """The library of the plain loops."""
    library = cbuild.build(LOOPS, ["-O3", "-march=native"])
    library.gates_sample.restype = None
    library.gates_sample.argtypes = [
        ctypes.c_int, ctypes.c_long, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p,
    ]  # fmt: skip
    return library


def engine_pass():
    """The module of the engine's pass, for the instruction set that cgru runs on: as gcc would build it."""
    from cgru.engines import row_of
    from cgru.engines.isas import FLAGS

    return cbuild.build_cython(PASS, (*FLAGS["gcc"], *row_of("packed").flags["gcc"], INLINE), ROOT)


def measure(contestant, probe, budget=0.3):
    """All of it for every cell; see the head of this file.

    Parameters
    ----------
    contestant : CgruPacked
    probe : Probe
    budget : float
        Seconds for each figure.

    Returns
    -------
    dict
        ``units``, ``steps``, ``rows``, ``pass_missing`` (why there is no pass, or None), and ``cells``: for each one
        ``loop_ns`` and ``widths``, by H: ``call_ns``, ``products_ns``, ``outside_ns``, ``pass_ns`` (None: missing).
    """
    library = loops()
    try:
        module, reason = engine_pass(), None
    except cbuild.NoCompiler as error:
        module, reason = None, str(error)
    found = {"units": UNITS, "steps": STEPS, "rows": ROWS, "pass_missing": reason, "cells": {}}
    for cell in CELLS:
        found["cells"][cell] = _measure_cell(cell, contestant, probe, library, module, budget)
    return found


def _measure_cell(cell, contestant, probe, library, module, budget):
    points = {hidden: Point(STEPS, ROWS, 1, hidden, cell) for hidden in WIDTHS}
    runners = {str(hidden): timing.fastest(contestant.runners(Problem(point)))[0] for hidden, point in points.items()}
    runners["loop"] = Loop(cell, library)
    if module is not None:
        runners |= {f"pass {hidden}": Pass(cell, hidden, module) for hidden in WIDTHS}
    peaks = []
    times = timing.interleave(runners, budget, between=lambda: peaks.append(probe.glance_peak()))
    peak, widths = median(peaks), {}
    for hidden, point in points.items():
        units = STEPS * ROWS * hidden
        call, products = times[str(hidden)]["median"] / units, point.flops / peak / units
        alone = times.get(f"pass {hidden}")
        widths[str(hidden)] = {
            "call_ns": call,
            "products_ns": products,
            "outside_ns": call - products,
            "pass_ns": alone["median"] / UNITS if alone else None,
        }
    return {"loop_ns": times["loop"]["median"] / UNITS, "gflops": peak, "widths": widths}
