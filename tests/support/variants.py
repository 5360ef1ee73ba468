"""Every engine, instruction set and dtype that this machine can run, so that one set of assertions serves all.

An engine that appears in `cgru.engines.ENGINES` joins by itself. Ask for the fixture `variant` (all of them) or
`best` (each engine and dtype, on the chosen instruction set only).
"""

import contextlib
import importlib.util
from dataclasses import dataclass

import numpy as np

import cgru
from cgru import engines

SINGLE_ONLY = ("packed",)
TOLERANCE = {"float32": 2e-6, "float64": 1e-12}


@dataclass(frozen=True)
class Variant:
    """One way to compute. Build its models inside the fixture's test, or under `selected`."""

    engine: str
    isa: str
    name: str  # of the dtype

    def __str__(self):
        return f"{self.engine}-{self.isa}-{self.name}"

    @property
    def dtype(self):
        """numpy.dtype."""
        return np.dtype(self.name)

    @property
    def tolerance(self):
        """The contract's absolute error."""
        return TOLERANCE[self.name]

    def cast(self, values):
        """A new C-contiguous array of this dtype."""
        return np.array(values, dtype=self.dtype, order="C")

    def gru(self, *args, **options):
        """A GRU with random parameters."""
        return cgru.GRU(*args, dtype=self.dtype, engine=self.engine, **options)

    def from_state(self, state, **options):
        """A GRU with these parameters."""
        return cgru.GRU.from_state_dict(state, dtype=self.dtype, engine=self.engine, **options)

    @contextlib.contextmanager
    def selected(self):
        """Models built inside run on this instruction set."""
        before = engines.ISA
        engines.ISA = self.isa
        try:
            yield self
        finally:
            engines.ISA = before


def _built(engine, isa):
    return importlib.util.find_spec(f"cgru.engines._{engine}_{isa.replace('-', '_')}") is not None


VARIANTS = [
    Variant(engine, isa, name)
    for engine in engines.ENGINES
    for isa in engines.isas_usable()
    if _built(engine, isa)
    for name in (("float32",) if engine in SINGLE_ONLY else ("float32", "float64"))
]
BEST = [variant for variant in VARIANTS if variant.isa == engines.ISA]
