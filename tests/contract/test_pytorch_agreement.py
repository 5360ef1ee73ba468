"""cgru computes what PyTorch's nn.GRU computes, and takes and gives its parameters."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import cgru
from support.compare import assert_close, assert_equal, flat
from support.models import build, draw, on_planes, pack, random_lengths, random_sizes
from support.peers import torch_arrays, torch_network

TOLERANCE = {"float32": 2e-6, "float64": 1e-13}
forms = pytest.mark.configurations(layout="one layer", in_pytorch=True)


@forms
@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("with_lengths", [False, True], ids=["full", "lengths"])
def test_same_as_pytorch(torch, rng, best, configuration, num_layers, bidirectional, bias, with_lengths):
    config = {"num_layers": num_layers, "bidirectional": bidirectional, "bias": bias}
    torch.manual_seed(20140603)
    for batch_first in (False, True):
        for with_hx in (False, True):
            T, N, input_size, H = random_sizes(rng, high=35)
            theirs = getattr(torch.nn, best.cell.name)(
                input_size, H, batch_first=batch_first, dtype=getattr(torch, best.name), **config,
                **configuration.options,
            )  # fmt: skip
            ours = best.network.from_state_dict(
                theirs.state_dict(), batch_first=batch_first, engine=best.engine, **configuration.options
            )
            assert ours.dtype == best.dtype
            x, hx = draw(best, rng, ours, T, N)
            lengths = random_lengths(rng, T, N) if with_lengths else None
            hx = hx if with_hx else None
            expected = torch_arrays(torch, theirs, x, hx, lengths)
            # relu is not bounded, and errors grow with it
            tolerance = TOLERANCE[best.name] * max(1.0, *(np.abs(array).max() for array in flat(expected)))
            assert_close(ours(x, hx, lengths=lengths), expected, tolerance)


@pytest.mark.configurations(layout="both ways, two layers", in_pytorch=True)
def test_the_way_back(torch, best, configuration):
    """A cgru model's parameters load into PyTorch's module, strictly, and give the same numbers."""
    ours = build(best, configuration, 3, 5)
    theirs = torch_network(torch, configuration, ours.state_dict(), getattr(torch, best.name))
    x = best.cast(np.random.default_rng(2).normal(size=(7, 4, 3)))
    assert_close(ours(x), torch_arrays(torch, theirs, x), best.tolerance)
    assert list(ours.state_dict()) == list(theirs.state_dict())


def test_defaults_and_drawing_are_pytorch_s(torch, best):
    theirs, ours = getattr(torch.nn, best.cell.name)(4, 64), best.model(4, 64, rng=0)
    for name in ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "bidirectional"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for name, values in theirs.state_dict().items():
        drawn = ours.state_dict()[name]
        assert drawn.shape == tuple(values.shape)
        assert 0.9 / 8 < np.abs(drawn).max() <= 1 / 8
        assert_allclose(drawn.std(), values.numpy().std(), rtol=0.2)


def test_tensors_as_input(torch, best):
    """CPU tensors are taken wherever arrays are, parameters that require grad included."""
    theirs = getattr(torch.nn, best.cell.name)(3, 5, dtype=getattr(torch, best.name))
    named = dict(theirs.named_parameters())
    assert named["weight_ih_l0"].requires_grad
    ours = best.network.from_state_dict(named, engine=best.engine)
    x, lengths = torch.randn(7, 2, 3, dtype=theirs.weight_ih_l0.dtype), [4, 7]
    hx = pack([torch.rand(1, 2, 5).to(x.dtype) for _ in best.cell.states])
    found = ours(x, hx, lengths=torch.tensor(lengths))
    assert_equal(found, ours(x.numpy(), on_planes(hx, lambda plane: plane.numpy()), lengths=lengths))


def test_parameters_are_copied_out_of_tensors(torch, best):
    model = getattr(torch.nn, best.cell.name)(3, 5)
    ours = best.from_state(model.state_dict())
    x = best.cast(np.ones((7, 2, 3)))
    before, _ = ours(x)
    with torch.no_grad():
        for values in model.parameters():
            values.zero_()
    after, _ = ours(x)
    assert_array_equal(before, after)


@pytest.mark.variants(name="float32")
@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_short_floats_are_widened(torch, best, name):
    """bfloat16 and float16 weights and inputs count as the float32 numbers that they are."""
    model = getattr(torch.nn, best.cell.name)(3, 5).to(getattr(torch, name))
    x = torch.randn(7, 2, 3).to(getattr(torch, name))
    ours = best.network.from_state_dict(model.state_dict(), engine=best.engine)
    wide = best.from_state({key: values.float().numpy() for key, values in model.state_dict().items()})
    assert ours.dtype == np.float32
    assert_equal(ours(x), wide(x.float().numpy()))


def test_tensors_that_are_no_numbers_here_are_named(torch):
    state = torch.nn.GRU(3, 5).state_dict()
    state["bias_hh_l0"] = torch.empty(15, device="meta")
    with pytest.raises((TypeError, ValueError), match="bias_hh_l0"):
        cgru.GRU.from_state_dict(state)
    state["bias_hh_l0"] = torch.zeros(15, dtype=torch.complex64)
    with pytest.raises(TypeError, match=r"bias_hh_l0.*complex64"):
        cgru.GRU.from_state_dict(state)
