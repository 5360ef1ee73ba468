"""The contestants in C: compiled on the spot, called through ctypes, timed inside C."""

import ctypes
from pathlib import Path
from typing import ClassVar

import numpy as np

from bench.common import cbuild
from bench.common.contestant import Contestant

SOURCES = Path(__file__).resolve().parents[1] / "c"

_POINTERS = ("w_ih", "w_hh", "b_ih", "b_hh", "x", "h_0", "h", "y", "scratch", "sgemv", "sgemm")
_ARRAYS = {"w_ih": "weight_ih_l0", "w_hh": "weight_hh_l0", "b_ih": "bias_ih_l0", "b_hh": "bias_hh_l0"}
NAIVE_FLOPS = 1e9
FAST_FLAGS = ("-O3", "-march=native", "-ffast-math")
PANEL_FLAGS = (
    "-O3",
    "-march=native",
    "-mprefer-vector-width=512",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
)


class _Layer(ctypes.Structure):
    """struct layer of harness.h."""

    _fields_ = [(name, ctypes.c_int64) for name in ("steps", "rows", "inputs", "hidden", "carry")] + [
        (name, ctypes.c_void_p) for name in _POINTERS
    ]


class CRunner:
    """A baseline on one problem; same interface as :class:`bench.common.timing.PythonRunner`."""

    def __init__(self, library, problem, blas):
        p = problem.point
        self.call = library.command
        self._library, self._problem = library, problem
        self._arrays = {name: problem.state[key] for name, key in _ARRAYS.items()}
        self._arrays |= {
            "x": problem.x,
            "h_0": np.stack([plane[0] for plane in problem.states]),
            "h": np.stack([plane[0] for plane in problem.states]),
            "y": np.empty((p.T, p.N, p.H), np.float32),
        }
        self._struct = _Layer(p.T, p.N, p.I, p.H, p.is_step)
        for name, array in self._arrays.items():
            setattr(self._struct, name, array.ctypes.data)
        for name, address in blas.items():
            setattr(self._struct, name, address)
        self._scratch = aligned(library.layer_scratch(ctypes.byref(self._struct)))
        self._struct.scratch = self._scratch.ctypes.data
        if hasattr(library, "layer_prepare"):
            library.layer_prepare(ctypes.byref(self._struct))

    def sample(self, calls, count):
        """`count` samples, each the mean nanoseconds of `calls` calls."""
        samples = np.empty(count, np.int64)
        self._library.layer_sample(ctypes.byref(self._struct), calls, count, samples.ctypes.data)
        return samples / calls

    def result(self):
        """Output y after the problem's number of calls from h_0."""
        self._arrays["h"][:] = self._arrays["h_0"]
        self._library.layer_run(ctypes.byref(self._struct), self._problem.check_calls)
        return self._arrays["y"].copy()


def aligned(count, boundary=64):
    """`count` float32 zeros that start on a multiple of `boundary` bytes."""
    raw = np.zeros(4 * count + boundary, np.uint8)
    start = -raw.ctypes.data % boundary
    return raw[start : start + 4 * count].view(np.float32)


class Baseline(Contestant):
    """A C source and the flags it is compiled with, once for each cell; one thread always."""

    source = ""
    flags = ("-O3",)
    peer = False
    cells = ("gru", "lstm")
    stacks = False

    def load(self):
        self._libraries = {"gru": self._build(), "lstm": self._build("-DLSTM")}
        self.version = f"{cbuild.compiler_version()}; {' '.join(self.flags)}"
        self._blas = self.blas()

    def _build(self, *more):
        library = cbuild.build(SOURCES / self.source, (*self.flags, *more))
        library.layer_scratch.restype = ctypes.c_int64
        library.layer_sample.restype = library.layer_run.restype = None
        library.layer_sample.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
        library.layer_run.argtypes = [ctypes.c_void_p, ctypes.c_int64]
        return library

    def blas(self):
        """Addresses of the BLAS functions that it needs."""
        return {}

    def runners(self, problem):
        """One runner, or none where the source does not cover the point."""
        return [CRunner(self._libraries[problem.point.cell], problem, self._blas)]


class Naive(Baseline):
    """The textbook triple loop at -O3."""

    name, source = "C naive", "naive.c"
    label = "C: triple loop, -O3"
    style: ClassVar = {"color": "#777777", "linewidth": 1.2, "linestyle": (0, (1, 1.5))}

    def runners(self, problem):
        """One runner; none where a call would take a second or more."""
        return super().runners(problem) if problem.point.flops < NAIVE_FLOPS else []


class NaiveFast(Naive):
    """The same source with the boldest flags, which no library can use: this machine's ISA, fast-math."""

    name, flags = "C naive fast", FAST_FLAGS
    label = "C: triple loop, native, fast-math"
    style: ClassVar = {"color": "#777777", "linewidth": 1.2, "linestyle": (0, (5, 1.5, 1, 1.5))}


class Blas(Baseline):
    """C on the BLAS that SciPy carries, which is also the one of cgru's engine `blas`; fast-math gates."""

    name, source, flags = "C BLAS", "cblas.c", FAST_FLAGS
    label = "C: SciPy's BLAS, fast-math"
    style: ClassVar = {"color": "#777777", "linewidth": 1.2, "linestyle": (0, (5, 2))}

    def blas(self):
        from scipy.linalg import cython_blas

        return {name: _address(cython_blas.__pyx_capi__[name]) for name in ("sgemv", "sgemm")}


class Panel(Baseline):
    """Packed panels and gate loops in plain C, one row, one step."""

    name, source, flags = "C panels", "panel.c", PANEL_FLAGS
    label = "C: panel and gate loops alone"
    style: ClassVar = {"color": "#333333", "linewidth": 1.2, "linestyle": (0, (3, 1))}

    def runners(self, problem):
        return super().runners(problem) if problem.point.N == problem.point.T == 1 else []


def _address(capsule):
    """Function pointer in a Cython C-API capsule."""
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype = ctypes.c_char_p
    api.PyCapsule_GetName.argtypes = [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    return api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule))
