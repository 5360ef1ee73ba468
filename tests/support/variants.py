"""Every kind, engine, instruction set and dtype that this machine can run, so that one set of assertions serves all.

A cell that joins the table joins here by itself. Ask for the fixture `variant` (all of them) or
`best` (each kind, engine and dtype, on the chosen instruction set only); `@pytest.mark.variants(kind="gru")` leaves
those with these values of attributes. Quantised weights are there where they are asked for:
`@pytest.mark.variants(weights="int8")`, or `weights=WEIGHTS` for all of them beside those that are not quantised.
"""

import functools
from dataclasses import dataclass

import numpy as np

import cgru
from cgru import engines
from cgru.cells import CELLS
from cgru.engines.isas import module_row, named

SINGLE_ONLY = ("packed",)
QUANTIZED = ("bfloat16", "int8")
WEIGHTS = ("float32", *QUANTIZED)
TOLERANCE = {"float32": 2e-6, "float64": 1e-12}


@dataclass(frozen=True)
class Variant:
    """One way to compute. Build its models inside the fixture's test, or under `selected`."""

    kind: str
    engine: str
    isa: str
    name: str  # of the dtype
    weights: str = "float32"  # what models are quantised to; "float32": they are not

    def __str__(self):
        return f"{self.kind}-{self.engine}-{self.isa}-{self.weights if self.quantizes else self.name}"

    @property
    def quantizes(self):
        """Whether its models are quantised."""
        return self.weights in QUANTIZED

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
        return self.quantized(self.network(*args, dtype=self.dtype, engine=self.engine, **options))

    def from_state(self, state, **options):
        """A model with these parameters."""
        return self.quantized(self.network.from_state_dict(state, dtype=self.dtype, engine=self.engine, **options))

    def quantized(self, model):
        """The model with this variant's weights."""
        return model.quantize(self.weights) if self.quantizes else model

    def selected(self):
        """A context: models built inside run on this instruction set."""
        return engines.using(self.isa)


@functools.cache
def _fused(isa):
    with engines.using(isa):
        return bool(engines.load("packed").FUSED)


def _modules(weights):
    """The instruction sets that have modules of their own for these weights."""
    return [isa for isa in engines.isas_usable() if module_row(isa, "packed", weights) == named(isa)]


EVERY = [
    Variant(kind, engine, isa, name)
    for kind in CELLS
    for engine in engines.ENGINES
    for isa in _modules("float32")
    for name in (("float32",) if engine in SINGLE_ONLY else ("float32", "float64"))
] + [
    Variant(kind, "packed", isa, "float32", weights)
    for kind in CELLS
    for weights in QUANTIZED
    for isa in _modules(weights)
]  # fmt: skip


def variants(**wanted):
    """Those with these values of attributes: kind, engine, isa, name, fused, weights; a tuple holds several values.

    Quantised ones where `weights` says so.
    """
    wanted = {name: value if isinstance(value, tuple) else (value,) for name, value in wanted.items()}
    wanted.setdefault("weights", ("float32",))
    return [one for one in EVERY if all(getattr(one, name) in values for name, values in wanted.items())]


VARIANTS = variants()
BEST = [
    one for one in EVERY
    if one.isa == module_row(engines.isa(), one.engine, one.weights).name
]  # fmt: skip
