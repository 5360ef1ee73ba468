"""cgru computes what the oracle and the golden vectors compute, over every configuration and the grid of options."""

import functools
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import cgru
from golden import golden_cases
from support import reference
from support.compare import assert_close, flat
from support.models import (
    FORMS,
    Configuration,
    build,
    configurations,
    draw,
    float32_values,
    oracle,
    pack,
    planes,
    random_lengths,
    random_sizes,
    random_state,
)
from support.variants import VARIANTS

forms = pytest.mark.configurations(layout="one layer")


def make_problem(
    rng, configuration, T, N, input_size, H, *, num_layers=1, bidirectional=False, bias=True, batch_first=False,
    with_hx=True, lengths=None,
):  # fmt: skip
    """Parameters, input and the oracle's answer; float64 arrays of float32 numbers. N None: no batch axis."""
    cell = configuration.cell
    state = random_state(
        rng, input_size, H, num_layers=num_layers, bidirectional=bidirectional, bias=bias, kind=cell.kind
    )
    batch = () if N is None else (N,)
    x = float32_values(rng.normal(size=(*batch, T, input_size) if batch_first else (T, *batch, input_size)))
    shape = (num_layers * (1 + bidirectional), *batch, H)
    hx = pack([float32_values(rng.uniform(-1, 1, shape)) for _ in cell.states]) if with_hx else None
    options = configuration.options | {"batch_first": batch_first}
    expected = getattr(reference, cell.kind)(x, state, hx, lengths, **options)
    return SimpleNamespace(state=state, x=x, hx=hx, lengths=lengths, options=options, expected=expected)


def check(variant, problem):
    """The variant's answer to a problem is the oracle's."""
    model = variant.from_state(problem.state, **problem.options)
    hx = None if problem.hx is None else pack([variant.cast(plane) for plane in planes(problem.hx)])
    y, final = model(variant.cast(problem.x), hx, lengths=problem.lengths)
    assert y.dtype == variant.dtype and all(plane.dtype == variant.dtype for plane in planes(final))
    assert_close((y, final), problem.expected, variant.tolerance * growth(problem.expected))


def growth(expected):
    """1, or the largest of the outputs where they are not bounded: errors grow with them."""
    return max(1.0, *(np.abs(array).max(initial=0) for array in flat(expected)))


def grid_problems(configuration, num_layers, bidirectional, bias, with_lengths):
    """Four problems of this configuration: both layouts, with and without an initial state."""
    rng = np.random.default_rng([num_layers, bidirectional, bias, with_lengths])
    problems = []
    for batch_first in (False, True):
        for with_hx in (False, True):
            T, N, input_size, H = random_sizes(rng, high=35)
            lengths = random_lengths(rng, T, N) if with_lengths else None
            if with_lengths:
                lengths[N // 2] = 0
            problems.append(
                make_problem(
                    rng, configuration, T, N, input_size, H, num_layers=num_layers, bidirectional=bidirectional,
                    bias=bias, batch_first=batch_first, with_hx=with_hx, lengths=lengths,
                )
            )  # fmt: skip
    return problems


_grid_problems = functools.cache(grid_problems)


@forms
@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("with_lengths", [False, True], ids=["full", "lengths"])
def test_grid(variant, configuration, num_layers, bidirectional, bias, with_lengths):
    for problem in _grid_problems(configuration, num_layers, bidirectional, bias, with_lengths):
        check(variant, problem)


@pytest.mark.parametrize("with_lengths", [False, True], ids=["full", "lengths"])
def test_every_configuration(variant, configuration, rng, with_lengths):
    """Activations, clip, directions, merge modes and stored states too; on two threads, for good measure."""
    T, N, input_size, H = 7, 5, 4, 19
    model = build(variant, configuration, input_size, H)
    x, hx = draw(variant, rng, model, T, N)
    lengths = random_lengths(rng, T, N) if with_lengths else None
    for given_hx in (hx, None):
        expected = oracle(configuration, model.state_dict(), x, given_hx, lengths, dtype=variant.dtype)
        found = model(x, given_hx, lengths=lengths, threads=2)
        assert_close(found, expected, variant.tolerance * growth(expected))


@st.composite
def problems(draw):
    """Arguments of make_problem, sizes all different; 0 steps, 0 rows and lengths of 0 included."""
    T, N, input_size, H = draw(st.lists(st.integers(0, 40), min_size=4, max_size=4, unique=True))
    sizes = {"T": T, "N": N, "input_size": max(input_size, 1), "H": max(H, 1)}
    options = {
        "num_layers": draw(st.integers(1, 3)),
        **{name: draw(st.booleans()) for name in ("bidirectional", "bias", "batch_first", "with_hx")},
    }
    if draw(st.booleans()):
        options["lengths"] = np.array(draw(st.lists(st.integers(0, T), min_size=N, max_size=N)), dtype=int)
    elif draw(st.booleans()):
        sizes["N"], options["batch_first"] = None, False
    return sizes | options


@settings(max_examples=100 * len(FORMS))
@given(
    problem=problems(),
    form=st.integers(0, 1),
    seed=st.integers(0, 2**32 - 1),
    variant=st.sampled_from(VARIANTS),
)
def test_random_configurations(problem, form, seed, variant):
    forms_of_it = configurations(kind=variant.kind, layout="one layer")
    with variant.selected():
        check(variant, make_problem(np.random.default_rng(seed), forms_of_it[form % len(forms_of_it)], **problem))


@functools.cache
def contract_problem(configuration: Configuration, N, input_size, H):
    """The largest sizes for which the contract promises 2e-6: T = 100 and I, H up to 512."""
    rng = np.random.default_rng([N, input_size, H])
    return make_problem(rng, configuration, 100, N, input_size, H)


@forms
@pytest.mark.parametrize("sizes", [(1, 40, 100), (3, 512, 511), (1, 511, 512), (33, 24, 70)], ids=str)
def test_a_hundred_steps(variant, configuration, sizes):
    check(variant, contract_problem(configuration, *sizes))


@pytest.mark.variants(kind="gru")
@pytest.mark.parametrize("case", golden_cases(), ids=str)
def test_golden(variant, case):
    """The wrong reset placement or gate order would be off by 0.01 and more."""
    model = variant.from_state(case.state, batch_first=case.config["batch_first"])
    y, h_n = model(variant.cast(case.x), variant.cast(case.h_0), lengths=case.lengths)
    assert_allclose(y, case.y, rtol=0, atol=variant.tolerance)
    assert_allclose(h_n, case.h_n, rtol=0, atol=variant.tolerance)
    if variant.name == "float32":
        assert_allclose(y, case.y_float32, rtol=0, atol=variant.tolerance)
        assert_allclose(h_n, case.h_n_float32, rtol=0, atol=variant.tolerance)


@pytest.mark.variants(kind="gru")
@pytest.mark.parametrize("batch_first", [False, True])
def test_starting_equations(variant, rng, batch_first):
    """from_equations computes the equations of 2014 in their own form, [h, x] side by side."""
    T, N, input_size, H = 11, 4, 6, 21
    matrices = [float32_values(rng.uniform(-1, 1, (H, H + input_size)) / np.sqrt(H)) for _ in range(3)]
    biases = [float32_values(rng.uniform(-1, 1, H)) for _ in range(3)]
    x, h_0 = float32_values(rng.normal(size=(T, N, input_size))), float32_values(rng.uniform(-1, 1, (1, N, H)))
    for given_biases in (biases, [], [None, biases[1]]):
        expected, h = [], h_0[0]
        filled = [0.0 if b is None else b for b in given_biases]
        for x_t in x:
            h = reference.starting_equations(x_t, h, *matrices, *filled)
            expected.append(h)
        model = cgru.GRU.from_equations(
            *matrices, *given_biases, batch_first=batch_first, dtype=variant.dtype, engine=variant.engine
        )
        assert not model.reset_after
        y, h_n = model(variant.cast(x.swapaxes(0, 1) if batch_first else x), variant.cast(h_0))
        y = y.swapaxes(0, 1) if batch_first else y
        assert_allclose(y, np.stack(expected), rtol=0, atol=variant.tolerance)
        assert_array_equal(h_n[0], y[-1])


def by_hand(kind):
    """Weights that leave one number to work out, and h' of it for x = 1, h = 1/4 (c = 1/2).

    GRU: r = z = 1/2, n = tanh(1/2 + 1/2 h), h' = (n + h) / 2. RNN: h' = tanh(1/2 + h). LSTM: i = f = o = 1/2,
    g = tanh(1/2 + h), c' = (c + g) / 2, h' = tanh(c') / 2.
    """
    if kind == "gru":
        return [0, 0, 0.5], [0, 0, 1], (np.tanh(0.5 + 0.5 * 0.25) + 0.25) / 2
    if kind == "rnn":
        return [0.5], [1], np.tanh(0.5 + 0.25)
    return [0, 0, 0.5, 0], [0, 0, 1, 0], np.tanh((0.5 + np.tanh(0.5 + 0.25)) / 2) / 2


@forms
def test_a_one_unit_cell_by_hand(variant, configuration):
    W, U, expected = by_hand(variant.kind)
    state = {"weight_ih_l0": np.array(W)[:, None], "weight_hh_l0": np.array(U)[:, None]}
    x = variant.cast([[1.0]])
    hx = pack([variant.cast([[0.25]]), variant.cast([[0.5]])][: len(variant.cell.states)])
    if configuration.form == "relu":
        expected = 0.75
    y, final = variant.from_state(state, **configuration.options)(x, hx)
    assert_allclose(y, [[expected]], rtol=0, atol=variant.tolerance)
    assert_array_equal(y, planes(final)[0])
