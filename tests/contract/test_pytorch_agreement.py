"""cgru computes what PyTorch's nn.GRU computes, and takes and gives its parameters."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import cgru
from cases import random_lengths, random_sizes
from variants import Variant


def run_torch(torch, model, x, h_0, lengths):
    """y and h_n of nn.GRU as arrays; lengths as packed sequences."""
    rnn = torch.nn.utils.rnn
    given, T = torch.from_numpy(x), x.shape[1 if model.batch_first else 0]
    if lengths is not None:
        given = rnn.pack_padded_sequence(
            given, torch.from_numpy(lengths), model.batch_first, enforce_sorted=False
        )
    with torch.no_grad():
        y, h_n = model(given, None if h_0 is None else torch.from_numpy(h_0))
    if lengths is not None:
        y, _ = rnn.pad_packed_sequence(y, model.batch_first, total_length=T)
    return y.numpy(), h_n.numpy()


@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("with_lengths", [False, True], ids=["full", "lengths"])
def test_same_as_pytorch(torch, rng, best: Variant, num_layers, bidirectional, bias, with_lengths):
    config = {"num_layers": num_layers, "bidirectional": bidirectional, "bias": bias}
    torch.manual_seed(20140603)
    for batch_first in (False, True):
        for with_h_0 in (False, True):
            T, N, input_size, H = random_sizes(rng, high=35)
            model = torch.nn.GRU(
                input_size, H, batch_first=batch_first, dtype=getattr(torch, best.name), **config
            )
            x = best.cast(rng.normal(size=(N, T, input_size) if batch_first else (T, N, input_size)))
            h_0 = best.cast(rng.uniform(-1, 1, (num_layers * (1 + bidirectional), N, H)))
            h_0 = h_0 if with_h_0 else None
            lengths = random_lengths(rng, T, N) if with_lengths else None
            expected_y, expected_h_n = run_torch(torch, model, x, h_0, lengths)
            ours = cgru.GRU.from_state_dict(model.state_dict(), batch_first=batch_first, engine=best.engine)
            assert ours.dtype == best.dtype
            y, h_n = ours(x, h_0, lengths=lengths)
            assert y.shape == expected_y.shape and h_n.shape == expected_h_n.shape
            assert_allclose(y, expected_y, rtol=0, atol=best.tolerance)
            assert_allclose(h_n, expected_h_n, rtol=0, atol=best.tolerance)


def test_the_way_back(torch, best):
    """A cgru model's parameters load into nn.GRU, strictly, and give the same numbers."""
    config = {"num_layers": 2, "bidirectional": True}
    ours = best.gru(3, 5, rng=1, **config)
    model = torch.nn.GRU(3, 5, dtype=getattr(torch, best.name), **config)
    model.load_state_dict({name: torch.from_numpy(values) for name, values in ours.state_dict().items()})
    x = best.cast(np.random.default_rng(2).normal(size=(7, 4, 3)))
    y, h_n = ours(x)
    expected_y, expected_h_n = run_torch(torch, model, x, None, None)
    assert_allclose(y, expected_y, rtol=0, atol=best.tolerance)
    assert_allclose(h_n, expected_h_n, rtol=0, atol=best.tolerance)
    assert list(ours.state_dict()) == list(model.state_dict())


def test_defaults_and_drawing_are_pytorch_s(torch):
    theirs, ours = torch.nn.GRU(4, 64), cgru.GRU(4, 64, rng=0)
    for name in ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "bidirectional"):
        assert getattr(ours, name) == getattr(theirs, name)
    for name, values in theirs.state_dict().items():
        drawn = ours.state_dict()[name]
        assert drawn.shape == tuple(values.shape)
        assert 0.9 / 8 < np.abs(drawn).max() <= 1 / 8
        assert_allclose(drawn.std(), values.numpy().std(), rtol=0.2)


def test_tensors_as_input(torch, best):
    """CPU tensors are taken wherever arrays are, parameters that require grad included."""
    model = torch.nn.GRU(3, 5, dtype=getattr(torch, best.name))
    named = dict(model.named_parameters())
    assert named["weight_ih_l0"].requires_grad
    ours = cgru.GRU.from_state_dict(named, engine=best.engine)
    x, h_0, lengths = torch.randn(7, 2, 3, dtype=model.weight_ih_l0.dtype), torch.rand(1, 2, 5), [4, 7]
    h_0 = h_0.to(x.dtype)
    y, h_n = ours(x, h_0, lengths=torch.tensor(lengths))
    expected_y, expected_h_n = ours(x.numpy(), h_0.numpy(), lengths=lengths)
    assert_array_equal(y, expected_y)
    assert_array_equal(h_n, expected_h_n)


def test_parameters_are_copied_out_of_tensors(torch, best):
    model = torch.nn.GRU(3, 5)
    ours = cgru.GRU.from_state_dict(model.state_dict(), dtype=best.dtype, engine=best.engine)
    x = best.cast(np.ones((7, 2, 3)))
    before, _ = ours(x)
    with torch.no_grad():
        for values in model.parameters():
            values.zero_()
    after, _ = ours(x)
    assert_array_equal(before, after)


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_short_floats_are_widened(torch, name):
    """bfloat16 and float16 weights and inputs count as the float32 numbers that they are."""
    model = torch.nn.GRU(3, 5).to(getattr(torch, name))
    x = torch.randn(7, 2, 3).to(getattr(torch, name))
    y, _ = cgru.GRU.from_state_dict(model.state_dict())(x)
    wide = {key: values.float().numpy() for key, values in model.state_dict().items()}
    expected, _ = cgru.GRU.from_state_dict(wide)(x.float().numpy())
    assert_array_equal(y, expected)


def test_tensors_that_are_no_numbers_here_are_named(torch):
    state = torch.nn.GRU(3, 5).state_dict()
    state["bias_hh_l0"] = torch.empty(15, device="meta")
    with pytest.raises((TypeError, ValueError), match="bias_hh_l0"):
        cgru.GRU.from_state_dict(state)
    state["bias_hh_l0"] = torch.zeros(15, dtype=torch.complex64)
    with pytest.raises(TypeError, match=r"bias_hh_l0.*complex64"):
        cgru.GRU.from_state_dict(state)
