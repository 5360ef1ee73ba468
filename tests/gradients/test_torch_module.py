"""cgru.torch.GRU: nn.GRU's parameters and results, gradients that gradcheck accepts, training steps, errors."""

import subprocess
import sys
import weakref

import numpy as np
import pytest

import cgru

LAYOUTS = {
    "one_layer": {},
    "layers": {"num_layers": 3, "bias": False},
    "all": {"num_layers": 2, "bidirectional": True, "batch_first": True},
}
layouts = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


@pytest.fixture
def bridge(torch):
    """The module cgru.torch."""
    import cgru.torch

    torch.manual_seed(3)
    return cgru.torch


def inputs(torch, layout, dtype, T=7, N=4, input_size=3, H=5):
    """Random x and hx that want gradients."""
    directions = layout.get("num_layers", 1) * (2 if layout.get("bidirectional") else 1)
    shape = (N, T, input_size) if layout.get("batch_first") else (T, N, input_size)
    return (
        torch.randn(shape, dtype=dtype, requires_grad=True),
        torch.randn(directions, N, H, dtype=dtype, requires_grad=True),
    )


def all_gradients(torch, module, y, h_n, x, hx):
    """Gradients of a loss that looks at y and h_n."""
    data = y.data if isinstance(y, torch.nn.utils.rnn.PackedSequence) else y
    weight = torch.linspace(-1, 1, data.numel(), dtype=data.dtype).reshape(data.shape)
    loss = (data * weight).sum() + (h_n**2).sum()
    return torch.autograd.grad(loss, (x, hx, *module.parameters()), retain_graph=True)


@layouts
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("packed", [None, "sorted", "unsorted"])
def test_same_as_nn_gru(torch, bridge, layout, dtype, packed):
    dtype = getattr(torch, dtype)
    ours = bridge.GRU(3, 5, dtype=dtype, **layout)
    theirs = torch.nn.GRU(3, 5, dtype=dtype, **layout)
    theirs.load_state_dict(ours.state_dict())
    x, hx = inputs(torch, layout, dtype)
    fed = x
    if packed:
        lengths = [7, 5, 5, 2] if packed == "sorted" else [5, 2, 7, 5]
        fed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, ours.batch_first, enforce_sorted=packed == "sorted")
    found, expected = ours(fed, hx), theirs(fed, hx)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)
    for gradient, other in zip(
        all_gradients(torch, ours, *found, x, hx), all_gradients(torch, theirs, *expected, x, hx), strict=True
    ):
        torch.testing.assert_close(gradient, other, rtol=0, atol=10 * tolerance)
    with torch.no_grad():
        torch.testing.assert_close(ours(fed, hx), expected, rtol=0, atol=tolerance)


@layouts
@pytest.mark.parametrize("lengths", [None, [3, 0, 5, 1]], ids=["full", "lengths"])
@pytest.mark.parametrize("reset_after", [True, False])
def test_gradcheck(torch, bridge, layout, lengths, reset_after):
    module = bridge.GRU(3, 4, dtype=torch.float64, reset_after=reset_after, **layout)
    x, hx = inputs(torch, layout, torch.float64, T=5, H=4)

    def run(x, hx, *parameters):
        named = dict(zip(dict(module.named_parameters()), parameters, strict=True))
        return torch.func.functional_call(module, named, (x, hx), {"lengths": lengths})

    assert torch.autograd.gradcheck(run, (x, hx, *module.parameters()))


def test_parameters_are_nn_gru_s(torch, bridge):
    torch.manual_seed(11)
    ours = bridge.GRU(3, 5, num_layers=2, bidirectional=True)
    torch.manual_seed(11)
    theirs = torch.nn.GRU(3, 5, num_layers=2, bidirectional=True)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value)
    model = cgru.from_torch(ours)
    x = torch.randn(4, 2, 3)
    np.testing.assert_allclose(model(x)[0], ours(x)[0].detach().numpy(), rtol=0, atol=2e-6)


def test_unbatched(torch, bridge):
    module = bridge.GRU(3, 5, dtype=torch.float64, bidirectional=True)
    x = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    y, h_n = module(x)
    assert y.shape == (6, 10) and h_n.shape == (2, 5)
    assert torch.autograd.gradcheck(module, (x,))


def test_training_is_that_of_nn_gru(torch, bridge):
    """Twenty steps of an optimiser, from the same parameters, to the same parameters."""
    ours, theirs = bridge.GRU(3, 8, dtype=torch.float64), torch.nn.GRU(3, 8, dtype=torch.float64)
    theirs.load_state_dict(ours.state_dict())
    x, target = torch.randn(9, 4, 3, dtype=torch.float64), torch.randn(9, 4, 8, dtype=torch.float64).tanh()
    losses = []
    for module in (ours, theirs):
        optimiser = torch.optim.Adam(module.parameters(), lr=0.02)
        for _ in range(20):
            optimiser.zero_grad()
            loss = ((module(x)[0] - target) ** 2).mean()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
    assert losses[19] < 0.9 * losses[0]
    np.testing.assert_allclose(losses[:20], losses[20:], rtol=1e-10)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, rtol=0, atol=1e-8)


def test_graph_may_be_retained_and_is_freed(torch, bridge):
    module = bridge.GRU(3, 5)
    loss = module(torch.randn(4, 2, 3))[0].sum()
    loss.backward(retain_graph=True)
    first = module.weight_hh_l0.grad.clone()
    loss.backward()
    torch.testing.assert_close(module.weight_hh_l0.grad, 2 * first)
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_tape_goes_with_the_graph(torch, bridge, monkeypatch):
    kept = []
    record = bridge.record

    def watched(*args, **options):
        result = record(*args, **options)
        kept.extend(weakref.ref(array) for array in result[2].gates)
        return result

    monkeypatch.setattr(bridge, "record", watched)
    module = bridge.GRU(3, 5)
    loss = module(torch.randn(4, 2, 3))[0].sum()
    assert all(ref() is not None for ref in kept)
    loss.backward()
    assert len(kept) == 1 and kept[0]() is None     # although loss, and with it the graph's nodes, are still there


@pytest.mark.parametrize("what", ["x", "y", "weight_hh_l0"])
def test_changes_in_place_are_noticed(torch, bridge, what):
    module = bridge.GRU(3, 5)
    x = torch.randn(4, 2, 3)
    y, _ = module(x)
    loss = (y * 1).sum()
    with torch.no_grad():
        {"x": x, "y": y, "weight_hh_l0": module.weight_hh_l0}[what].mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_no_gradient_of_x_is_computed_unless_wanted(torch, bridge):
    module = bridge.GRU(3, 5)
    x = torch.randn(4, 2, 3)
    module(x)[0].sum().backward()
    assert x.grad is None and module.weight_ih_l0.grad is not None


def test_frozen_parameters(torch, bridge):
    module = bridge.GRU(3, 5).requires_grad_(False)
    x = torch.randn(4, 2, 3)
    assert not module(x)[0].requires_grad
    x.requires_grad_()
    module(x)[0].sum().backward()
    assert x.grad.abs().sum() > 0 and module.weight_ih_l0.grad is None


def test_errors(torch, bridge):
    module = bridge.GRU(3, 5)
    with pytest.raises(ValueError, match="dropout must be 0"):
        bridge.GRU(3, 5, num_layers=2, dropout=0.5)
    with pytest.raises(TypeError, match="input has dtype"):
        module(torch.zeros(4, 2, 3, dtype=torch.float64))
    with pytest.raises(TypeError, match="hx has dtype"):
        module(torch.zeros(4, 2, 3), torch.zeros(1, 2, 5, dtype=torch.float64))
    with pytest.raises(ValueError, match="input_size=3"):
        module(torch.zeros(4, 2, 2))
    with pytest.raises(ValueError, match="input is on meta"):
        module(torch.zeros(4, 2, 3, device="meta"))
    with pytest.raises(TypeError, match="input must be a tensor"):
        module(np.zeros((4, 2, 3), np.float32))
    packed = torch.nn.utils.rnn.pack_sequence([torch.zeros(4, 3), torch.zeros(2, 3)])
    with pytest.raises(ValueError, match="holds its own"):
        module(packed, lengths=[4, 2])


def test_cgru_does_not_import_torch():
    code = "import sys, cgru; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-P", "-c", code], check=True)


def test_without_torch_the_error_says_what_to_install():
    code = (
        "import sys; sys.modules['torch'] = None\nimport cgru\n"
        "try: import cgru.torch\nexcept ImportError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True)
    assert "pip install torch" in run.stdout
