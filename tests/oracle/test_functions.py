"""The oracle's activations and slopes against PyTorch and its autograd in float64, kinks included."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from cgru.activations import DEFAULTS
from support import functions

#: name and parameters -> the same in torch, a function of torch and a tensor
IN_TORCH = {
    ("sigmoid",): lambda torch, x: torch.sigmoid(x),
    ("tanh",): lambda torch, x: torch.tanh(x),
    ("hard_sigmoid", 1 / 6, 0.5): lambda torch, x: torch.nn.functional.hardsigmoid(x),
    ("relu",): lambda torch, x: torch.relu(x),
    ("linear", -0.75, 0.125): lambda torch, x: -0.75 * x + 0.125,
    ("softsign",): lambda torch, x: torch.nn.functional.softsign(x),
    ("leaky_relu",): lambda torch, x: torch.nn.functional.leaky_relu(x),
    ("leaky_relu", 0.25): lambda torch, x: torch.nn.functional.leaky_relu(x, 0.25),
    ("elu",): lambda torch, x: torch.nn.functional.elu(x),
    ("elu", 1.5): lambda torch, x: torch.nn.functional.elu(x, 1.5),
    ("softplus",): lambda torch, x: torch.nn.functional.softplus(x, threshold=700),
    ("scaled_tanh", 1.7, 0.6): lambda torch, x: 1.7 * torch.tanh(0.6 * x),
    ("silu",): lambda torch, x: torch.nn.functional.silu(x),
    ("gelu",): lambda torch, x: torch.nn.functional.gelu(x),
    ("gelu_tanh",): lambda torch, x: torch.nn.functional.gelu(x, approximate="tanh"),
}
each = pytest.mark.parametrize("case", IN_TORCH, ids=repr)


def probe(rng):
    """Numbers of several sizes, and 0, where there are kinks; those of hard_sigmoid, at 3, are apart (below)."""
    return np.concatenate([np.linspace(-9, 9, 400), rng.normal(size=200) * 1e-3, rng.normal(size=50) * 100, [0, -0.0]])


def test_all_are_there():
    assert {case[0] for case in IN_TORCH} == set(DEFAULTS) == set(functions.SLOPES) == set(functions.ACTIVATIONS)


@each
def test_values_and_slopes(torch, rng, case):
    numbers = probe(rng)
    x = torch.tensor(numbers, requires_grad=True)
    y = IN_TORCH[case](torch, x)
    dy = rng.normal(size=numbers.shape)
    y.backward(torch.tensor(dy))
    scale = np.maximum(1, np.abs(numbers))
    assert (np.abs(functions.activation(case)(numbers) - y.detach().numpy()) / scale).max() < 1e-15
    tolerance = 1e-14 if case[0] != "hard_sigmoid" else 3e-8        # whose slope in PyTorch is the 1/6 of float32
    assert_allclose(functions.slope(case)(numbers), x.grad.numpy() / dy, rtol=0, atol=tolerance)
    assert_allclose(functions.through(case, numbers, dy), x.grad.numpy(), rtol=0, atol=tolerance)


@pytest.mark.parametrize("case, at, slope", [
    (("relu",), 0, 0), (("leaky_relu", 0.25), 0, 0.25), (("elu", 1.5), 0, 1.5),
    (("hard_sigmoid", 0.25, 0.5), 2, 0), (("hard_sigmoid", 0.25, 0.5), -2, 0),
])  # fmt: skip
def test_at_a_kink(case, at, slope):
    assert functions.slope(case)(np.array([float(at)])) == slope


def test_hard_sigmoid_has_no_slope_at_its_kinks_in_pytorch_either(torch):
    x = torch.tensor([-3.0, 3.0], requires_grad=True)
    torch.nn.functional.hardsigmoid(x).sum().backward()
    assert_array_equal(x.grad.numpy(), [0, 0])


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_softmax(torch, rng, count):
    numbers, dy = rng.normal(size=(6, count)) * 5, rng.normal(size=(6, count))
    x = torch.tensor(numbers, requires_grad=True)
    y = torch.softmax(x, -1)
    y.backward(torch.tensor(dy))
    assert_allclose(functions.activation("softmax")(numbers), y.detach().numpy(), rtol=0, atol=1e-15)
    assert_allclose(functions.through("softmax", numbers, dy), x.grad.numpy(), rtol=0, atol=1e-15)
    assert_array_equal(functions.activation(("softmax", 0.0, 0.0))(numbers), functions.softmax(numbers))


@pytest.mark.parametrize("row", [
    [1, np.nan, 2], [1, np.inf, 2], [-np.inf, 1, 2], [-np.inf] * 3, [np.inf] * 2, [3e38, -3e38, 0],
], ids=str)  # fmt: skip
def test_softmax_of_what_is_not_finite(torch, row):
    expected = torch.softmax(torch.tensor(row, dtype=torch.float64), 0).numpy()
    assert_allclose(functions.softmax(np.array(row, dtype=np.float64)), expected, rtol=0, atol=1e-15)
