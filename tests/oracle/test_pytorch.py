"""The oracle against PyTorch in float64: nn.GRU, nn.RNN and nn.LSTM over the whole grid of configurations."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import reference
from cases import random_lengths, random_sizes, random_state
from golden import golden_cases

TOLERANCE = 2e-14


def torch_model(torch, kind, state, input_size, H, **config):
    """nn.GRU, nn.RNN or nn.LSTM in float64 with these parameters."""
    options = {"nonlinearity": kind[4:]} if kind.startswith("rnn_") else {}
    network = getattr(torch.nn, kind.split("_")[0].upper())
    model = network(input_size, H, dtype=torch.float64, **options, **config)
    model.load_state_dict({name: torch.from_numpy(values) for name, values in state.items()})
    return model


def run_torch(torch, model, x, starts, lengths):
    """y and the tuple of last states. starts: a tuple of arrays, or None; x in the model's layout."""
    x = torch.from_numpy(x)
    hx = None if starts is None else tuple(torch.from_numpy(start) for start in starts)
    hx = hx[0] if hx is not None and len(hx) == 1 else hx
    T = x.shape[1 if model.batch_first else 0]
    pack, pad = torch.nn.utils.rnn.pack_padded_sequence, torch.nn.utils.rnn.pad_packed_sequence
    if lengths is not None:
        x = pack(x, torch.from_numpy(lengths), model.batch_first, enforce_sorted=False)
    with torch.no_grad():
        y, ends = model(x, hx)
    if lengths is not None:
        y, _ = pad(y, model.batch_first, total_length=T)
    return y.numpy(), tuple(end.numpy() for end in (ends if isinstance(ends, tuple) else (ends,)))


def run_reference(kind, x, state, starts, lengths, batch_first):
    """The same from the oracle."""
    if kind == "lstm":
        return reference.lstm(x, state, starts, lengths, batch_first=batch_first)
    h_0 = None if starts is None else starts[0]
    if kind == "gru":
        y, h_n = reference.gru(x, state, h_0, lengths, batch_first=batch_first)
    else:
        y, h_n = reference.rnn(x, state, h_0, lengths, nonlinearity=kind[4:], batch_first=batch_first)
    return y, (h_n,)


@pytest.mark.parametrize("kind", ["gru", "rnn_tanh", "rnn_relu", "lstm"])
@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("with_lengths", [False, True], ids=["full", "lengths"])
def test_same_as_pytorch(torch, rng, kind, num_layers, bidirectional, bias, with_lengths):
    config = {"num_layers": num_layers, "bidirectional": bidirectional, "bias": bias}
    for batch_first in (False, True):
        for with_start in (False, True):
            T, N, input_size, H = random_sizes(rng)
            state = random_state(rng, input_size, H, kind=kind.split("_")[0], **config)
            x = rng.normal(size=(N, T, input_size) if batch_first else (T, N, input_size))
            shape = (num_layers * (1 + bidirectional), N, H)
            starts = tuple(rng.normal(size=shape) for _ in range(2 if kind == "lstm" else 1))
            starts = starts if with_start else None
            lengths = random_lengths(rng, T, N) if with_lengths else None
            model = torch_model(torch, kind, state, input_size, H, batch_first=batch_first, **config)
            expected_y, expected_ends = run_torch(torch, model, x, starts, lengths)
            y, ends = run_reference(kind, x, state, starts, lengths, batch_first)
            assert y.shape == expected_y.shape
            assert_allclose(y, expected_y, rtol=0, atol=TOLERANCE)
            for end, expected in zip(ends, expected_ends, strict=True):
                assert end.shape == expected.shape
                assert_allclose(end, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("kind", ["gru", "rnn_tanh", "lstm"])
def test_same_as_pytorch_without_a_batch(torch, rng, kind):
    T, _, input_size, H = random_sizes(rng)
    config = {"num_layers": 2, "bidirectional": True}
    state = random_state(rng, input_size, H, kind=kind.split("_")[0], **config)
    x = rng.normal(size=(T, input_size))
    starts = tuple(rng.normal(size=(4, H)) for _ in range(2 if kind == "lstm" else 1))
    model = torch_model(torch, kind, state, input_size, H, **config)
    expected_y, expected_ends = run_torch(torch, model, x, starts, None)
    y, ends = run_reference(kind, x, state, starts, None, False)
    for got, expected in zip((y, *ends), (expected_y, *expected_ends), strict=True):
        assert got.shape == expected.shape
        assert_allclose(got, expected, rtol=0, atol=TOLERANCE)


def test_same_as_pytorch_at_the_contract_s_size(torch, rng):
    """T = 100 and H, I of some hundreds: rounding does not add up over the steps."""
    T, N, input_size, H = 100, 3, 200, 300
    state = random_state(rng, input_size, H)
    x, h_0 = rng.normal(size=(T, N, input_size)), rng.normal(size=(1, N, H))
    expected_y, _ = run_torch(torch, torch_model(torch, "gru", state, input_size, H), x, (h_0,), None)
    y, _ = reference.gru(x, state, h_0)
    assert_allclose(y, expected_y, rtol=0, atol=1e-13)


def test_parameters_may_be_torch_tensors(torch, rng):
    model = torch.nn.GRU(3, 5, num_layers=2, bidirectional=True)  # float32
    x = rng.normal(size=(4, 2, 3)).astype(np.float32)
    y, _ = reference.gru(x, model.state_dict())
    assert y.dtype == np.float64
    expected, _ = model(torch.from_numpy(x))
    assert_allclose(y, expected.detach().numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("case", golden_cases(), ids=str)
def test_golden_files_are_what_their_script_makes(torch, case):
    from golden.make_golden import CONFIGURATIONS, make_case

    made = make_case(case.name, seed=list(CONFIGURATIONS).index(case.name))
    assert_allclose(case.y, made["y"], rtol=0, atol=1e-14)
    assert_allclose(case.h_n, made["h_n"], rtol=0, atol=1e-14)
    assert_allclose(case.x, made["x"], rtol=0, atol=0)
    assert {f"state.{name}" for name in case.state} == {key for key in made if key.startswith("state.")}
