"""Which engine computes: the automatic choice, on every instruction set, and models that move between them."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose

from cgru import engines
from cgru.cells import CELLS
from cgru.engines.isas import module_row
from support.compare import assert_same_bits, flat
from support.models import build, configurations
from support.processes import run_python
from support.variants import variants

#: Layers, directions, and whatever form of the cell stands last in the list.
LAYERED = {kind: configurations(kind=kind, layout="both ways, two layers")[-1] for kind in CELLS}

MADE = """
import pickle, sys
import numpy as np, cgru
networks = (cgru.GRU, cgru.RNN, cgru.LSTM)
models = [network(3, 5, dtype=dtype, rng=1) for network in networks for dtype in ("float32", "float64")]
models += [cgru.GRU(3, 5, rng=1, engine="packed").quantize(weights) for weights in ("bfloat16", "int8")]
print(cgru.engines.isa())
print(*[model.engine for model in models])
print(*[type(model.directions[0]).__module__ for model in models])
print(*[model.isa for model in models])
for model in models:
    assert np.isfinite(model(np.ones((4, 2, 3)), threads=2)[0]).all()
    assert np.isfinite(model.stream().step(np.ones(3))).all()
"""


@pytest.mark.parametrize("isa", engines.isas_usable())
def test_the_automatic_choice(isa):
    """packed for float32 where multiply-adds are fused, else blas; of the forced instruction set, or of its base."""
    forced, chosen, modules, isas = run_python(MADE, environment={"CGRU_ISA": isa}).stdout.splitlines()
    assert forced == isa
    expected = []
    for kind in ("gru", "rnn", "lstm"):
        (fused,) = {variant.fused for variant in variants(isa=module_row(isa, "packed", "float32").name, kind=kind)}
        expected += [("packed" if fused else "blas", "float32"), ("blas", "float64")]
    expected += [("packed", "bfloat16"), ("packed", "int8")]
    assert chosen.split() == [engine for engine, _ in expected]
    rows = [module_row(isa, *one) for one in expected]
    assert modules.split() == [row.module(engine) for row, (engine, _) in zip(rows, expected, strict=True)]
    assert isas.split() == [row.name for row in rows]
    assert rows[-1].name == isa


def test_fused_is_what_the_contract_says():
    """x86-64-v3 and v4 have fused multiply-adds, x86-64-v2 has not; the engines say so themselves."""
    for isa in engines.isas_usable():
        with engines.using(isa):
            for engine in engines.ENGINES:
                fused = engines.load(engine).FUSED
                assert isinstance(fused, bool)
                if isa.startswith("x86-64"):
                    assert fused == (isa != "x86-64-v2")


def test_the_choice_here(variant):
    best = "packed" if variant.fused and variant.dtype == np.float32 else "blas"
    assert variant.network(3, 5, dtype=variant.dtype).engine == best
    assert engines.choose("auto", variant.dtype) == best
    assert variant.model(3, 5).engine == variant.engine


def test_pickles_keep_their_engine(variant, rng):
    """The engine by name, on the instruction set of the machine that reads; the same bits on the same one."""
    model = build(variant, LAYERED[variant.kind], 5, 33)
    x = variant.cast(rng.normal(size=(7, 3, 5)))
    again = pickle.loads(pickle.dumps(model))
    assert again.engine == variant.engine
    assert type(again.directions[0]) is type(model.directions[0])
    assert_same_bits(again(x), model(x))


@pytest.mark.parametrize("isa", engines.isas_usable())
def test_pickles_cross_instruction_sets(best, rng, isa, tmp_path):
    """A model pickled here computes the same, within the contract, where another instruction set is taken."""
    model = best.model(5, 33, num_layers=2, rng=1)
    x = best.cast(rng.normal(size=(7, 3, 5)))
    program = """
import pathlib, pickle, sys
sent, back = map(pathlib.Path, sys.argv[1:])
model, x = pickle.loads(sent.read_bytes())
back.write_bytes(pickle.dumps(model(x)))
print(model.engine)
"""
    sent, back = tmp_path / "sent", tmp_path / "back"
    sent.write_bytes(pickle.dumps((model, x)))
    assert run_python(program, sent, back, environment={"CGRU_ISA": isa}).stdout == f"{best.engine}\n"
    (fused,) = {variant.fused for variant in variants(isa=module_row(isa, "packed", "float32").name)}
    for given, wanted in zip(flat(pickle.loads(back.read_bytes())), flat(model(x)), strict=True):
        assert given.dtype == best.dtype
        assert_allclose(given, wanted, rtol=0, atol=best.tolerance)
        if best.engine == "packed" and fused and best.fused:
            assert_same_bits(given, wanted)


MODE = """
import ctypes, platform, sys
libm = ctypes.CDLL(None)
UPWARD = 0x800 if platform.machine() == "x86_64" else 0x400000

def facts():
    environment = ctypes.create_string_buffer(64)
    libm.fegetenv(environment)
    control = environment.raw[:2] + environment.raw[28:32] if platform.machine() == "x86_64" else environment.raw[:4]
    return libm.fegetround(), (libm.fegetexcept() if hasattr(libm, "fegetexcept") else 0), mask(control)

def mask(control):
    # the last six bits of MXCSR are sticky flags, which any division may raise
    return control[:-4] + bytes([control[-4] & 0xC0]) + control[-3:] if len(control) == 6 else control

def changed(setting):
    if setting == "upward":
        assert libm.fesetround(UPWARD) == 0
    if setting == "flush" and platform.machine() == "x86_64":
        environment = ctypes.create_string_buffer(64)
        libm.fegetenv(environment)
        word = int.from_bytes(environment.raw[28:32], "little") | 0x8040        # flush to zero, denormals are zero
        environment[28:32] = word.to_bytes(4, "little")
        libm.fesetenv(environment)
    return facts()

import numpy as np
before = changed(sys.argv[1])
import cgru
assert facts() == before, ("import", facts(), before)
x = np.random.default_rng(0).normal(size=(5, 19, 4)) * 1e3
x[0, 0, 0], x[1, 1, 1] = np.inf, 1e-42
with np.errstate(all="ignore"):
    for network, engine in [("GRU", "packed"), ("GRU", "blas"), ("RNN", "blas"), ("LSTM", "blas")]:
        model = getattr(cgru, network)(4, 19, num_layers=2, rng=1, engine=engine)
        model(x)
        model(x, threads=3)
        model.stream(19).step(x[0])
        assert facts() == before, (engine, facts(), before)
print("untouched", before[0])
"""


@pytest.mark.parametrize("setting", ["default", "upward", "flush"])
def test_the_callers_floating_point_mode_is_kept(setting):
    """Whatever rounding, exception masks and flush mode a program has chosen: import and calls leave them."""
    result = run_python(MODE, setting)
    assert result.stdout.startswith("untouched") and result.stderr == ""
    assert (result.stdout.split()[1] == "0") == (setting != "upward")
