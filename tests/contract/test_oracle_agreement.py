"""cgru computes what the oracle, the golden vectors and PyTorch compute, over the grid of configurations."""

import functools
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import cgru
import reference
from cases import float32_values, random_lengths, random_sizes, random_state
from golden import golden_cases
from variants import VARIANTS


def make_problem(
    rng, T, N, input_size, H, *, num_layers=1, bidirectional=False, bias=True, reset_after=True,
    batch_first=False, with_h_0=True, lengths=None,
):  # fmt: skip
    """Parameters, input and the oracle's answer; float64 arrays of float32 numbers. N None: no batch axis."""
    state = random_state(rng, input_size, H, num_layers=num_layers, bidirectional=bidirectional, bias=bias)
    batch = () if N is None else (N,)
    x = float32_values(rng.normal(size=(*batch, T, input_size) if batch_first else (T, *batch, input_size)))
    h_0 = float32_values(rng.uniform(-1, 1, (num_layers * (1 + bidirectional), *batch, H)))
    h_0 = h_0 if with_h_0 else None
    options = {"batch_first": batch_first, "reset_after": reset_after}
    y, h_n = reference.gru(x, state, h_0, lengths, **options)
    return SimpleNamespace(state=state, x=x, h_0=h_0, lengths=lengths, options=options, y=y, h_n=h_n)


def check(variant, problem):
    """The variant's answer to a problem is the oracle's."""
    model = variant.from_state(problem.state, **problem.options)
    x = variant.cast(problem.x)
    h_0 = None if problem.h_0 is None else variant.cast(problem.h_0)
    y, h_n = model(x, h_0, lengths=problem.lengths)
    assert y.dtype == h_n.dtype == variant.dtype
    assert y.shape == problem.y.shape and h_n.shape == problem.h_n.shape
    assert_allclose(y, problem.y, rtol=0, atol=variant.tolerance)
    assert_allclose(h_n, problem.h_n, rtol=0, atol=variant.tolerance)


@functools.cache
def grid_problems(num_layers, bidirectional, bias, reset_after, with_lengths):
    """Four problems of this configuration: both layouts, with and without h_0."""
    rng = np.random.default_rng([num_layers, bidirectional, bias, reset_after, with_lengths])
    problems = []
    for batch_first in (False, True):
        for with_h_0 in (False, True):
            T, N, input_size, H = random_sizes(rng, high=35)
            lengths = random_lengths(rng, T, N) if with_lengths else None
            if with_lengths:
                lengths[N // 2] = 0
            problems.append(
                make_problem(
                    rng, T, N, input_size, H, num_layers=num_layers, bidirectional=bidirectional, bias=bias,
                    reset_after=reset_after, batch_first=batch_first, with_h_0=with_h_0, lengths=lengths,
                )
            )  # fmt: skip
    return problems


@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("reset_after", [True, False], ids=["after", "before"])
@pytest.mark.parametrize("with_lengths", [False, True], ids=["full", "lengths"])
def test_grid(variant, num_layers, bidirectional, bias, reset_after, with_lengths):
    for problem in grid_problems(num_layers, bidirectional, bias, reset_after, with_lengths):
        check(variant, problem)


@st.composite
def configurations(draw):
    """Arguments of make_problem, sizes all different; 0 steps, 0 rows and lengths of 0 included."""
    T, N, input_size, H = draw(st.lists(st.integers(0, 40), min_size=4, max_size=4, unique=True))
    sizes = {"T": T, "N": N, "input_size": max(input_size, 1), "H": max(H, 1)}
    options = {
        "num_layers": draw(st.integers(1, 3)),
        **{
            name: draw(st.booleans())
            for name in ("bidirectional", "bias", "reset_after", "batch_first", "with_h_0")
        },
    }
    if draw(st.booleans()):
        options["lengths"] = np.array(draw(st.lists(st.integers(0, T), min_size=N, max_size=N)), dtype=int)
    elif draw(st.booleans()):
        sizes["N"], options["batch_first"] = None, False
    return sizes | options


@settings(max_examples=100)
@given(
    configuration=configurations(),
    seed=st.integers(0, 2**32 - 1),
    variant=st.sampled_from(VARIANTS),
)
def test_random_configurations(configuration, seed, variant):
    with variant.selected():
        check(variant, make_problem(np.random.default_rng(seed), **configuration))


@functools.cache
def contract_problem(N, input_size, H, reset_after):
    """The largest sizes for which DESIGN.md promises 2e-6: T = 100 and I, H up to 512."""
    rng = np.random.default_rng([N, input_size, H])
    return make_problem(rng, 100, N, input_size, H, reset_after=reset_after)


@pytest.mark.parametrize("sizes", [(1, 40, 100), (3, 512, 511), (1, 511, 512), (33, 24, 70)], ids=str)
@pytest.mark.parametrize("reset_after", [True, False], ids=["after", "before"])
def test_a_hundred_steps(variant, sizes, reset_after):
    check(variant, contract_problem(*sizes, reset_after))


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


def test_a_one_unit_cell_by_hand(variant):
    """Weights that leave one number to work out: r = z = 1/2, n = tanh(1/2 + 1/2 h), h' = (n + h) / 2."""
    state = {
        "weight_ih_l0": [[0.0], [0.0], [0.5]],
        "weight_hh_l0": [[0.0], [0.0], [1.0]],
    }
    x, h_0 = variant.cast([[1.0]]), variant.cast([[0.25]])
    expected = (np.tanh(0.5 + 0.5 * 0.25) + 0.25) / 2
    for reset_after in (True, False):
        y, h_n = variant.from_state(state, reset_after=reset_after)(x, h_0)
        assert_allclose(y, [[expected]], rtol=0, atol=variant.tolerance)
        assert_array_equal(y, h_n)
