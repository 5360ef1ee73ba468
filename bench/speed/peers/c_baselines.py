"""The contestants in C: judged as anybody's, through cgru_judge.h, in processes of their own, and timed there."""

from pathlib import Path
from typing import ClassVar

from bench.common import cbuild
from bench.common.contestant import Absent, Contestant
from cgru.judge import host

SOURCES = Path(__file__).resolve().parents[1] / "c"

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


class CRunner:
    """A contestant of `cgru.judge.host` on one problem; as :class:`bench.common.timing.PythonRunner`.

    A sequence is the contestant's own run where it has one, and else its steps. Samples that are taken together are of
    a process of their own, and one before them only warms up.
    """

    def __init__(self, contestant, problem, call):
        p = self._point = problem.point
        self._contestant, self._problem = contestant, problem
        self.call = call
        self._states = [plane[0] for plane in problem.states]
        self._way = "step" if p.is_step or not contestant.has_run else "run"

    def _asked(self, x):
        return self._contestant, self._problem.state, self._point.cell, x, *self._states

    def sample(self, calls, count):
        """`count` samples, each the mean nanoseconds of `calls` calls."""
        steps = self._point.T if self._way == "step" else 1
        x = self._problem.x
        return steps * host.measure(*self._asked(x), calls=calls * steps, samples=count, way=self._way)

    def result(self):
        """Output y after the problem's number of calls from h_0."""
        x = self._problem.x
        if self._point.is_step:
            x = x.repeat(self._problem.check_calls, axis=0)
        found = host.run(*self._asked(x), way=self._way)
        if found.verdict != "ok":
            raise RuntimeError(f"{found.verdict}: {found.detail}")
        return found.y[-self._point.T :]


class Baseline(Contestant):
    """A C source and its flags; one thread always."""

    source = ""
    flags = ("-O3",)
    peer = False
    cells = ("gru", "lstm")
    stacks = False

    def load(self):
        try:
            self._contestant = host.Contestant.of(SOURCES / self.source, flags=(*self.flags, *self.more_flags()))
            self._contestant.build(host.Shape("gru", 3, 5))
        except host.BuildError as error:
            raise Absent(str(error)) from error
        self.version = f"{cbuild.compiler_version()}; {' '.join(self.flags)}"

    def more_flags(self):
        """What depends on the machine."""
        return ()

    def runners(self, problem):
        """One runner, or none where the source does not cover the point."""
        return [CRunner(self._contestant, problem, f"{' '.join(self.flags)} {self.source}")]


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

    def more_flags(self):
        names = ('-DBLAS_SGEMV="scipy_sgemv_"', '-DBLAS_SGEMM="scipy_sgemm_"')
        return (f'-DBLAS_LIBRARY="{scipy_blas()}"', *names, "-ldl")


class Panel(Baseline):
    """Packed panels and gate loops in plain C, one row, one step."""

    name, source, flags = "C panels", "panel.c", PANEL_FLAGS
    label = "C: panel and gate loops alone"
    style: ClassVar = {"color": "#333333", "linewidth": 1.2, "linestyle": (0, (3, 1))}

    def runners(self, problem):
        return super().runners(problem) if problem.point.N == problem.point.T == 1 else []


def scipy_blas():
    """Path of the OpenBLAS that SciPy's wheel carries; Absent where it carries none."""
    import scipy

    package = Path(scipy.__file__).resolve().parent
    for folder in (package.with_name("scipy.libs"), package / ".dylibs"):
        for path in sorted(folder.glob("libscipy_openblas*")):
            return path
    raise Absent("this SciPy carries no OpenBLAS of its own")
