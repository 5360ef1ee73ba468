"""Gradients of Linear and Sequential: against finite differences of the oracle in float64, and PyTorch's autograd."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import cgru
from support import chains
from support.chains import ACTIVATIONS, RECIPES, draw_chain, draw_input, recipes
from support.compare import assert_equal
from support.gradients import assert_same_gradients
from support.models import on_planes, pack, planes, random_lengths
from support.torch_chains import function, run_torch_chain, torch_modules

pytest.importorskip("scipy")
T, N = 5, 3
each = pytest.mark.parametrize("recipe", RECIPES, ids=str)
with_and_without = pytest.mark.parametrize("with_lengths", [False, True], ids=["full", "lengths"])


# ---------------------------------------------------------------------------------------------- a Linear


def linear_problem(rng, bias=True, leading=(2, 3)):
    """A state dict, x and dy; no a is at a kink."""
    state = {"weight": rng.normal(size=(5, 4))} | ({"bias": rng.normal(size=5)} if bias else {})
    return state, rng.normal(size=(*leading, 4)), rng.normal(size=(*leading, 5))


def linear_gradients(model, x, dy):
    """y, and name -> gradient."""
    y, tape = model.record(x)
    grads = model.backward(tape, dy)
    return y, dict(grads) | {"x": grads.x}


def differences(values, loss, step=1e-6):
    """dL/dv for every entry of the array, which is moved in place: (L(v + step) - L(v - step)) / 2 step."""
    gradient = np.empty_like(values)
    for index in np.ndindex(values.shape):
        kept, ends = values[index], []
        for moved in (kept + step, kept - step):
            values[index] = moved
            ends.append(loss())
        values[index] = kept
        gradient[index] = (ends[0] - ends[1]) / (2 * step)
    return gradient


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_a_linear_by_finite_differences(rng, activation, bias):
    state, x, dy = linear_problem(rng, bias)
    model = cgru.Linear.from_state_dict(state, activation=activation, dtype=np.float64)

    def loss():
        return np.sum(dy * chains.linear(x, state["weight"], state.get("bias"), activation))

    expected = {name: differences(values, loss) for name, values in {**state, "x": x}.items()}
    y, found = linear_gradients(model, x, dy)
    assert_equal(y, model(x))
    assert_same_gradients(found, expected, 1e-7)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_linear_by_autograd(torch, rng, activation, dtype):
    """Of every shape of x; float32 against PyTorch's float64."""
    for leading in ((), (7,), (2, 3), (4, 1, 9), (301,)):
        state, x, dy = linear_problem(rng, leading=leading)
        state, x, dy = {name: np.float32(a) for name, a in state.items()}, np.float32(x), np.float32(dy)
        model = cgru.Linear.from_state_dict(state, activation=activation, dtype=dtype)
        arrays = state | {"x": x}
        tensors = {name: torch.tensor(a, dtype=torch.float64, requires_grad=True) for name, a in arrays.items()}
        y = function(torch, activation, torch.nn.functional.linear(tensors["x"], tensors["weight"], tensors["bias"]))
        y.backward(torch.tensor(dy, dtype=torch.float64))
        expected = {name: tensor.grad.numpy() for name, tensor in tensors.items()}
        assert_same_gradients(linear_gradients(model, x, dy)[1], expected, {"float32": 3e-6, "float64": 1e-12}[dtype])


@pytest.mark.parametrize("activation, slope", [
    ("relu", 0), (("leaky_relu", 0.25), 0.25), (("elu", 1.5), 1.5), ("hard_sigmoid", 0.2), ("silu", 0.5), ("gelu", 0.5),
])  # fmt: skip
def test_the_slope_at_zero(activation, slope):
    model = cgru.Linear.from_state_dict({"weight": [[2.0], [0.0]]}, activation=activation, dtype=np.float64)
    _, found = linear_gradients(model, np.zeros((3, 1)), np.ones((3, 2)))
    assert_array_equal(found["x"], np.full((3, 1), 2 * slope))


# --------------------------------------------------------------------------------------------- a network


def network_problem(recipe, rng, with_lengths):
    """tensors, x, hx, lengths, and the gradients that come from above: dy and dhx."""
    tensors = {name: array.copy() for name, array in draw_chain(recipe).tensors.items()}
    x, hx = draw_input(recipe, rng, T, N)
    lengths = random_lengths(rng, T, N) if with_lengths else None
    y, finals = chains.chain(recipe, tensors, x, hx, lengths)
    dhx = tuple(pack([rng.normal(size=plane.shape) for plane in final]) for final in finals)
    return tensors, x, hx, lengths, rng.normal(size=y.shape), dhx


def network_gradients(recipe, problem, dtype="float64", dy=True, dhx=True):
    """The network, and name -> gradient."""
    tensors, x, hx, lengths, d, dfinal = problem
    net = cgru.Sequential.from_chain(draw_chain(recipe, dtype))
    assert set(net.state_dict()) == set(tensors)
    cast = np.dtype(dtype).type
    _, _, tape = net.record(cast(x), tuple(on_planes(one, cast) for one in hx), lengths=lengths)
    grads = net.backward(
        tape, cast(d) if dy else None, tuple(on_planes(one, cast) for one in dfinal) if dhx else None
    )
    named = {"x": grads.x}
    for number, state in enumerate(grads.hx):
        named |= {f"hx {number} {k}": plane for k, plane in enumerate(planes(state))}
    return net, dict(grads) | named


def changed(recipe, problem):
    """Name -> the array of the problem that it is the gradient of."""
    tensors, x, hx, *_ = problem
    states = {f"hx {number} {k}": plane for number, state in enumerate(hx) for k, plane in enumerate(planes(state))}
    return tensors | {"x": x} | states


@each
@with_and_without
def test_a_network_by_finite_differences(rng, recipe, with_lengths):
    problem = network_problem(recipe, rng, with_lengths)
    tensors, x, hx, lengths, dy, dhx = problem

    def loss():
        y, finals = chains.chain(recipe, tensors, x, hx, lengths)
        pairs = [pair for one, final in zip(dhx, finals, strict=True) for pair in zip(planes(one), final, strict=True)]
        return np.sum(dy * y) + sum(np.sum(d * a) for d, a in pairs)

    _, found = network_gradients(recipe, problem)
    values = changed(recipe, problem)
    assert set(found) == set(values)
    for name, array in values.items():          # some entries of each: a few hundred passes of the oracle
        for flat_index in rng.choice(array.size, min(array.size, 6), replace=False):
            index = np.unravel_index(flat_index, array.shape)
            view = array[tuple(slice(k, k + 1) for k in index)]
            expected = differences(view, loss).item()
            assert abs(found[name][index] - expected) < 1e-7 * max(1, np.abs(found[name]).max()), name


@pytest.mark.parametrize("recipe", recipes(in_pytorch=True), ids=str)
@with_and_without
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_network_by_autograd(torch, rng, recipe, with_lengths, dtype):
    problem = network_problem(recipe, rng, with_lengths)
    for dy, dhx in ((True, True), (True, False), (False, True)):
        if dhx and not recipe.recurrent:
            continue
        net, found = network_gradients(recipe, problem, dtype, dy, dhx)
        expected = autograd(torch, recipe, problem, dy, dhx)
        assert_same_gradients(found, expected, {"float32": 2e-5, "float64": 1e-12}[dtype])
        for name, array in net.state_dict().items():
            assert found[name].shape == array.shape and found[name].dtype == np.dtype(dtype)


def autograd(torch, recipe, problem, dy=True, dhx=True):
    """Name -> gradient by PyTorch; zeros where it has none."""
    tensors, x, hx, lengths, d, dfinal = problem
    modules = torch_modules(torch, recipe, tensors)
    x = torch.tensor(x, requires_grad=True)
    hx = tuple(on_planes(one, lambda a: torch.tensor(a, requires_grad=True)) for one in hx)
    y, finals = run_torch_chain(torch, recipe, modules, x, hx, lengths)
    given = [(y, d)] if dy else []
    if dhx:
        for one, final in zip(dfinal, finals, strict=True):
            given += zip(final, planes(one), strict=True)
    torch.autograd.backward([a for a, _ in given], [torch.tensor(a) for _, a in given])
    leaves = {"x": x}
    leaves |= {f"hx {number} {k}": plane for number, state in enumerate(hx) for k, plane in enumerate(planes(state))}
    leaves |= {f"{number}.{name}": a for number, module in enumerate(modules) for name, a in module.named_parameters()}
    return {name: (torch.zeros_like(a) if a.grad is None else a.grad).numpy() for name, a in leaves.items()}


@each
@with_and_without
def test_record_gives_what_a_call_gives(rng, recipe, with_lengths):
    """To the last bit in float32, on the engine that packs."""
    _, x, hx, lengths, *_ = network_problem(recipe, rng, with_lengths)
    net = cgru.Sequential.from_chain(draw_chain(recipe, np.float32))
    x, hx = np.float32(x), tuple(on_planes(one, np.float32) for one in hx)
    y, final, tape = net.record(x, hx, lengths=lengths)
    assert_equal((y, final), net(x, hx, lengths=lengths))
    assert tape.nbytes > 0


@each
def test_padding_is_not_looked_at(rng, recipe):
    problem = network_problem(recipe, rng, True)
    _, clean = network_gradients(recipe, problem)
    tensors, x, hx, lengths, dy, dhx = problem
    x, dy = x.copy(), dy.copy()
    padding = np.arange(T)[:, None] >= lengths
    for array in (x,) if recipe.options.get("last") else (x, dy):
        (array.swapaxes(0, 1) if recipe.batch_first else array)[padding] = np.nan
    _, found = network_gradients(recipe, (tensors, x, hx, lengths, dy, dhx))
    for name, array in clean.items():
        assert_array_equal(found[name], array)


@each
def test_rows_without_steps(rng, recipe):
    """They give nothing to a parameter, and their states' gradients go through."""
    tensors, x, hx, _, dy, dhx = network_problem(recipe, rng, False)
    lengths = np.array([T, 0, 3])
    _, found = network_gradients(recipe, (tensors, x, hx, lengths, dy, dhx))
    kept = [0, 2]

    def rows(array, axis):
        return np.take(array, kept, axis)

    axis = 0 if recipe.batch_first else 1
    own = [tuple(on_planes(one, lambda a: rows(a, 1)) for one in states) for states in (hx, dhx)]
    short = dy[kept] if recipe.options.get("last") else rows(dy, axis)
    _, expected = network_gradients(recipe, (tensors, rows(x, axis), own[0], lengths[kept], short, own[1]))
    for name in tensors:
        assert np.abs(found[name] - expected[name]).max() < 1e-12 * max(1, np.abs(expected[name]).max())
    gone = found["x"][1] if recipe.batch_first else found["x"][:, 1]
    assert not gone.any()
    for number, state in enumerate(dhx):
        for k, plane in enumerate(planes(state)):
            assert_array_equal(found[f"hx {number} {k}"][:, 1], plane[:, 1])
