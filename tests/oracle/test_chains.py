"""The oracle of a Linear and of a network, against PyTorch in float64 and by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from support import chains, functions
from support.chains import Recipe, cells, draw_chain, draw_input, recipes
from support.compare import assert_close
from support.models import pack, random_lengths
from support.torch_chains import run_torch_chain, torch_modules

TOLERANCE = 2e-14
T, N = 7, 4


def test_a_linear_by_hand():
    x = [[1.0, 2.0], [-1.0, 0.5]]
    weight, bias = [[1.0, 0.0], [0.5, -1.0], [2.0, 1.0]], [0.5, 0.0, -4.0]
    assert_array_equal(chains.linear(x, weight, bias), [[1.5, -1.5, 0.0], [-0.5, -1.0, -5.5]])
    assert_array_equal(chains.linear(x, weight), [[1.0, -1.5, 4.0], [-1.0, -1.0, -1.5]])
    assert_array_equal(chains.linear(x, weight, bias, "relu"), [[1.5, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert_array_equal(chains.linear([x], weight, bias, ("leaky_relu", 0.5))[0, 1], [-0.25, -0.5, -2.75])
    e = np.exp([1.5, -1.5, 0.0])
    assert_allclose(chains.linear(x, weight, bias, "softmax")[0], e / e.sum(), rtol=1e-15)


#: A network that sums up its input: h' = x + h; and a Linear y = 2 h + 1.
SUMS = {
    "0.weight_ih_l0": [[1.0]], "0.weight_hh_l0": [[1.0]], "0.bias_ih_l0": [0.0], "0.bias_hh_l0": [0.0],
    "1.weight": [[2.0]], "1.bias": [1.0],
}  # fmt: skip
X = np.array([[1.0, 10.0, 7.0], [2.0, 20.0, 7.0], [3.0, np.nan, 7.0]])[:, :, None]
LENGTHS = [3, 2, 0]


def sums(**options):
    """That network on X: y, and the final state of its cell."""
    recipe = Recipe("sums", 1, (cells("rnn", 1, nonlinearity="linear"), chains.Dense(1)), options)
    x = X.swapaxes(0, 1) if recipe.batch_first else X
    y, ((h_n,),) = chains.chain(recipe, SUMS, x, (np.array([[[0.0], [100.0], [5.0]]]),), LENGTHS)
    assert_array_equal(h_n[0, :, 0], [6, 130, 5])
    return y[..., 0]


def test_a_network_by_hand():
    assert_array_equal(sums(), [[3, 221, 0], [7, 261, 0], [13, 0, 0]])
    assert_array_equal(sums(skip=True), [[4, 231, 0], [9, 281, 0], [16, 0, 0]])
    assert_array_equal(sums(batch_first=True, skip=True), [[4, 9, 16], [231, 281, 0], [0, 0, 0]])
    assert_array_equal(sums(last=True), [13, 261, 0])
    assert_array_equal(sums(last="h_n"), [13, 261, 0])
    assert_array_equal(sums(last="h_n", skip=True), [16, 281, 0])


@pytest.mark.parametrize("behind", [(), (chains.Dense(6, "sigmoid"),)], ids=["nothing", "a Linear"])
@pytest.mark.parametrize("options", [{"last": True}, {"last": "h_n"}, {}], ids=str)
@pytest.mark.parametrize("skip", [False, True], ids=["", "skip"])
def test_no_step_at_all(rng, behind, options, skip):
    """A last step is zeros, whatever stands behind it; the states are those that were given."""
    recipe = Recipe("", 7, (cells("lstm", 8), cells("gru", 6), *behind), {**options, "skip": skip})
    x, hx = draw_input(recipe, rng, 0, N)
    for lengths in (None, np.zeros(N, int)):
        y, finals = chains.chain(recipe, draw_chain(recipe).tensors, x, hx, lengths)
        assert_array_equal(y, np.zeros((N, 6) if options else (0, N, 6)))
        assert_array_equal(pack(finals[0]), hx[0])
        assert_array_equal(finals[1][0], hx[1])


def test_the_last_step_and_the_last_state_are_two_things(rng):
    """Of a layer both ways the backward one's state is at the first step."""
    layers = (cells("gru", 3, bidirectional=True),)
    tensors = draw_chain(Recipe("", 2, layers)).tensors
    x, _ = draw_input(Recipe("", 2, layers), rng, T, N)
    (every, _), (step, _), (state, _) = (
        chains.chain(Recipe("", 2, layers, {"last": last}), tensors, x) for last in (False, True, "h_n")
    )
    assert_array_equal(step, every[-1])
    assert_array_equal(state, np.concatenate([every[-1, :, :3], every[0, :, 3:]], axis=1))


IN_TORCH = recipes(in_pytorch=True)


@pytest.mark.parametrize("recipe", IN_TORCH, ids=str)
@pytest.mark.parametrize("with_lengths", [False, True], ids=["full", "lengths"])
def test_same_as_pytorch(torch, rng, recipe, with_lengths):
    tensors = draw_chain(recipe).tensors
    x, hx = draw_input(recipe, rng, T, N)
    lengths = random_lengths(rng, T, N) if with_lengths else None
    y, finals = run_torch_chain(torch, recipe, torch_modules(torch, recipe, tensors), x, hx, lengths)
    expected = y.detach().numpy(), tuple(pack([a.detach().numpy() for a in final]) for final in finals)
    found = chains.chain(recipe, tensors, x, hx, lengths)
    assert_close((found[0], tuple(pack(final) for final in found[1])), expected, TOLERANCE)


def test_most_recipes_are_compared_with_pytorch():
    assert len(IN_TORCH) >= 9 and {one.options.get("last", False) for one in IN_TORCH} == {False, True, "h_n"}
    used = {name if isinstance(name, str) else name[0] for one in IN_TORCH for name in (
        layer.activation for layer in one.layers if layer.kind == "linear")}  # fmt: skip
    assert len(used & set(functions.ACTIVATIONS)) >= 10
