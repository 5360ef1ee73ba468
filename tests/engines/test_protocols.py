"""Every engine of every instruction set offers what `cgru.engines.protocols` says that engines offer."""

import inspect
import re
import sys
import threading

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from cgru import engines
from cgru.cells import CELLS
from cgru.config import Config
from cgru.engines import protocols
from cgru.engines.isas import module_row, named
from cgru.quantize import quantized
from support.compare import assert_same_bits

MODULES = [
    (name, isa)
    for name in ("packed", "blas", "backward") for isa in engines.isas_usable()
    if name == "packed" or named(isa).base is None
]  # fmt: skip


@pytest.fixture(params=MODULES, ids="-".join)
def module(request):
    """Each module of each instruction set, with its name."""
    name, isa = request.param
    with engines.using(isa):
        yield name, engines.load(name, types_of(name, isa)[0])


def types_of(engine, isa):
    """The types of weights that a module computes with."""
    types = ("float32", "bfloat16", "int8") if engine == "packed" else ("float32",)
    return [one for one in types if module_row(isa, engine, one).name == isa]


def signature(function):
    """[(name, how it is passed, default)] of a function's parameters but self."""
    parameters = inspect.signature(function).parameters.values()
    return [(p.name, p.kind, p.default) for p in parameters if p.name != "self"]


def names_of(function):
    """[(name, how it is passed)] of a function's parameters but self."""
    return [one[:2] for one in signature(function)]


def constructor_names(cls):
    """Names of a compiled class's arguments, from the signature that Cython puts on top of its docstring."""
    inside = re.fullmatch(rf"{cls.__name__}\((.*)\)", cls.__doc__.partition("\n")[0])[1]
    words = re.sub(r"\([^()]*\)", "", inside).split(",")       # without the commas of defaults
    names = [word.partition("=")[0].split()[-1] for word in words if word.strip()]
    return [name for name in names if name != "*"]


def test_the_classes_are_the_protocols(module):
    """Names and order of every argument of constructor and methods."""
    name, built = module
    backward = name == "backward"
    protocol = protocols.Adjoint if backward else protocols.Direction
    cls = built.Adjoint if backward else built.Direction
    maker = protocols.Backward if backward else protocols.Engine
    methods = [method for method, value in vars(protocol).items() if inspect.isfunction(value) and method[0] != "_"]
    assert methods
    for attribute in getattr(protocol, "__annotations__", {}):
        assert hasattr(cls, attribute)
    for method in methods:
        assert names_of(getattr(cls, method)) == names_of(getattr(protocol, method)), method
    assert maker.__annotations__[cls.__name__] == f"_Maker[{cls.__name__}]"
    assert constructor_names(cls) == [one for one, _ in names_of(protocols._Maker.__call__)]
    if not backward:
        assert isinstance(built.FUSED, bool)
        return
    passes = [built.AdjointPass, built.LinearAdjointPass]
    for method in ("rows", "parameters"):
        expected = names_of(getattr(protocols.AdjointPass, method))
        assert [names_of(getattr(one, method)) for one in passes] == [expected] * 2


def test_the_constructors_take_the_options():
    """Those of `engines.options`."""
    options = engines.options(Config(input_size=3, hidden_size=5, kind="lstm"), False)     # it has every function
    maker = signature(protocols._Maker.__call__)
    assert [name for name, kind, _ in maker if kind is inspect.Parameter.KEYWORD_ONLY] == list(options)


def test_defaults_are_a_plain_gru(module, rng):
    """What a direction does without options: the GRU of PyTorch."""
    name, built = module
    options = engines.options(Config(input_size=3, hidden_size=5), False)
    weights = arrays(CELLS["gru"], rng, np.float32)
    if name == "packed":
        weights = rounded(weights, types_of(name, engines.isa())[0])
    x, results = rng.normal(size=(7, 4, 3)).astype(np.float32), []
    for given in ({}, options):
        if name == "backward":
            y, tape = np.ones((7, 4, 5), np.float32), np.full((7, 4, 20), 0.25, np.float32)
            h, dh, dx = np.zeros((4, 5), np.float32), np.ones((4, 5), np.float32), np.empty_like(x)
            grads = [np.empty_like(array) for array in weights]
            adjoint = built.Adjoint(*weights, **given)
            run_adjoint(adjoint, x, y, tape, None, 0, False, y, (h,), (dh,), dx, False, grads)
            results.append((dx, dh, *grads))
        else:
            y, h = np.empty((7, 4, 5), np.float32), np.zeros((4, 5), np.float32)
            built.Direction(*weights, **given).run(x, y, (h,), None, None, False, None)
            results.append((y, h))
    assert_same_bits(*results)


def options_of(cell, **more):
    """Keyword arguments of a direction of this cell."""
    return engines.options(Config(input_size=3, hidden_size=5, kind=cell.kind, **more), False)


def run_adjoint(adjoint, x, *arguments):
    """All of a pass, in two groups of rows and two parts."""
    N = x.shape[1]
    one = adjoint.begin(x, *arguments, np.empty(x.shape[0] * N * adjoint.width + adjoint.slack, x.dtype))
    one.rows(0, N - 1)
    one.rows(N - 1, N)
    one.parameters(1, 2)
    one.parameters(0, 2)


def arrays(cell, rng, dtype, K=3, H=5):
    """w_ih, w_hh, b_ih, b_hh."""
    shapes = ((cell.stacked * H, K), (cell.stacked * H, H), (cell.stacked * H,), (cell.stacked * H,))
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def rounded(weights, weight_dtype):
    """The same with matrices of this type."""
    if weight_dtype == "float32":
        return weights
    return [quantized("w", array, weight_dtype) if array.ndim == 2 else array for array in weights]


WAYS = [(engine, isa, one) for engine, isa in MODULES if engine != "backward" for one in types_of(engine, isa)]


@pytest.mark.parametrize("engine, isa, weight_dtype", WAYS, ids=str)
@pytest.mark.parametrize("kind", CELLS)
def test_the_table_s_codes_shapes_and_tapes(rng, engine, isa, weight_dtype, kind):
    """A row's code means that cell to the engine: shapes of its weights, planes of its state, planes of its tape."""
    cell = CELLS[kind]
    T, N, K, H = 7, 4, 3, 5
    with engines.using(isa):
        module, backward = engines.load(engine, weight_dtype), engines.load("backward")
    weights = arrays(cell, rng, np.float32)
    direction = module.Direction(*rounded(weights, weight_dtype), **options_of(cell))
    x = rng.normal(size=(T, N, K)).astype(np.float32)
    states = tuple(rng.normal(size=(N, H)).astype(np.float32) for _ in cell.states)
    starts = tuple(state.copy() for state in states)
    y, tape = np.empty((T, N, H), np.float32), np.full((T, N, len(cell.tape) * H), np.nan, np.float32)
    direction.run(x, y, states, None, None, False, tape if cell.tape else None)
    assert_array_equal(states[0], y[-1])
    assert np.isfinite(tape).all(), "every plane of the tape is filled"
    gates = [letter for letter in cell.tape if letter in cell.gates]
    for letter, plane in zip(cell.tape, np.split(tape, max(1, len(cell.tape)), axis=2), strict=False):
        if letter in cell.gates and letter not in "ng":
            assert (plane > 0).all() and (plane < 1).all(), f"{letter} is a gate"
    assert len(gates) == len(cell.gates)
    grads = [np.empty_like(array) for array in weights]
    dstates = tuple(rng.normal(size=(N, H)).astype(np.float32) for _ in cell.states)
    adjoint = backward.Adjoint(*weights, **options_of(cell))
    dx = np.empty_like(x)
    run_adjoint(adjoint, x, y, tape if cell.tape else None, None, 0, False, y, starts, dstates, dx, False, grads)
    assert all(np.isfinite(array).all() for array in (dx, *grads, *dstates))


@pytest.mark.parametrize("isa", [isa for isa in engines.isas_usable() if named(isa).base is not None])
def test_a_module_of_int8_weights_refuses_others(rng, isa):
    with engines.using(isa):
        module = engines.load("packed", "int8")
    weights = arrays(CELLS["gru"], rng, np.float32)
    for other in (weights, rounded(weights, "bfloat16")):
        with pytest.raises(TypeError, match="this module computes int8 weights only"):
            module.Direction(*other, **options_of(CELLS["gru"]))


@pytest.mark.parametrize("kind", CELLS)
def test_a_keeping_gate_keeps(rng, kind):
    """The gate that `keeps` names is the share of the old state: at 1 the state stays."""
    cell = CELLS[kind]
    if not cell.keeps:
        return
    T, N, H = 3, 2, 5
    w_ih, w_hh, b_ih, b_hh = arrays(cell, rng, np.float64)
    rows = slice(cell.gates.index(cell.keeps) * H, (cell.gates.index(cell.keeps) + 1) * H)
    w_ih[rows], w_hh[rows], b_ih[rows], b_hh[rows] = 0, 0, 1000, 0
    if kind == "lstm":      # nothing new comes in
        new = slice(cell.gates.index("i") * H, (cell.gates.index("i") + 1) * H)
        w_ih[new], w_hh[new], b_ih[new], b_hh[new] = 0, 0, -1000, 0
    direction = engines.load("blas").Direction(w_ih, w_hh, b_ih, b_hh, **options_of(cell))
    states = tuple(rng.normal(size=(N, H)) for _ in cell.states)
    kept = states[-1].copy()
    direction.run(rng.normal(size=(T, N, 3)), np.empty((T, N, H)), states, None, None, False, None)
    assert_allclose(states[-1], kept, rtol=1e-14)


def in_a_thread(function):
    """What it returns there."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]


def test_using_another_instruction_set():
    """Only inside the block and in its thread, also after an error; unknown ones are refused."""
    before, inherited = engines.isa(), getattr(sys.flags, "thread_inherit_context", False)
    for isa in engines.isas_usable():
        with engines.using(isa):
            assert engines.isa() == isa
            assert in_a_thread(engines.isa) == (isa if inherited else before)
            assert engines.load("packed", "int8").__name__ == f"cgru.engines._packed_{isa.replace('-', '_')}"
            for weight_dtype in ("float32", "bfloat16", "int8"):
                for name in engines.ENGINES:
                    row = engines.row_of(name, weight_dtype)
                    assert engines.load(name, weight_dtype).__name__ == row.module(name)
                    assert row.name in (isa, named(isa).base)
        assert engines.isa() == before
        with pytest.raises(KeyError), engines.using(isa):
            raise KeyError
        assert engines.isa() == before
    for bad in ("x86-64-v9", "", None, "blas"):
        with pytest.raises(ValueError, match=r"offer .*; got"), engines.using(bad):
            raise AssertionError("never here")
    assert engines.isa() == before
