"""Every kind, engine, instruction set and dtype that this machine can run, so that one set of assertions serves all.

A cell that joins the table joins here by itself. Ask for the fixture `variant` (all of them) or
`best` (each kind, engine and dtype, on the chosen instruction set only); `@pytest.mark.variants(kind="gru")` leaves
those with these values of attributes.
"""

import functools
from dataclasses import dataclass

import numpy as np

import cgru
from cgru import engines
from cgru.cells import CELLS

SINGLE_ONLY = ("packed",)
TOLERANCE = {"float32": 2e-6, "float64": 1e-12}


@dataclass(frozen=True)
class Variant:
    """One way to compute. Build its models inside the fixture's test, or under `selected`."""

    kind: str
    engine: str
    isa: str
    name: str  # of the dtype

    def __str__(self):
        return f"{self.kind}-{self.engine}-{self.isa}-{self.name}"

    @property
    def dtype(self):
        """numpy.dtype."""
        return np.dtype(self.name)

    @property
    def tolerance(self):
        """The contract's absolute error."""
        return TOLERANCE[self.name]

    @property
    def cell(self):
        """Row of the table of cells."""
        return CELLS[self.kind]

    @property
    def network(self):
        """The class: cgru.GRU, ..."""
        return getattr(cgru, self.cell.name)

    @property
    def fused(self):
        """Whether its instruction set has the contract's fused multiply-add."""
        return _fused(self.isa)

    def cast(self, values):
        """A new C-contiguous array of this dtype."""
        return np.array(values, dtype=self.dtype, order="C")

    def model(self, *args, **options):
        """A model with random parameters."""
        return self.network(*args, dtype=self.dtype, engine=self.engine, **options)

    def from_state(self, state, **options):
        """A model with these parameters."""
        return self.network.from_state_dict(state, dtype=self.dtype, engine=self.engine, **options)

    def selected(self):
        """A context: models built inside run on this instruction set."""
        return engines.using(self.isa)


@functools.cache
def _fused(isa):
    with engines.using(isa):
        return bool(engines.load("packed").FUSED)


VARIANTS = [
    Variant(kind, engine, isa, name)
    for kind in CELLS
    for engine in engines.ENGINES
    for isa in engines.isas_usable()
    for name in (("float32",) if engine in SINGLE_ONLY else ("float32", "float64"))
]


def variants(**wanted):
    """Those with these values of attributes: kind, engine, isa, name, fused."""
    return [one for one in VARIANTS if all(getattr(one, name) == value for name, value in wanted.items())]


BEST = variants(isa=engines.isa())
