"""Frameworks to compare with: a test without its framework skips, and must not skip where CGRU_REQUIRE_PEERS=1."""

import importlib
import os

import numpy as np
import pytest

REQUIRED = os.environ.get("CGRU_REQUIRE_PEERS") == "1"
TOLERANCE = 2e-6


def peer(name):
    """The module `name`, or a skipped test."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    return importlib.import_module(name) if REQUIRED else pytest.importorskip(name)


def single(a):
    """A float32 array, of whatever array this is."""
    return np.asarray(a, np.float32)


def assert_same(got, expected, tolerance=TOLERANCE):
    """Same shape, and equal within the contract's float32 tolerance."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance)


def torch_network(torch, configuration, state, dtype=None, **options):
    """torch.nn.GRU, RNN or LSTM with these parameters; the configuration is one that PyTorch has."""
    first = state["weight_ih_l0"]
    two = "weight_ih_l0_reverse" in state
    layers = sum(name.startswith("weight_ih") for name in state) // (1 + two)
    own = {name: value for name, value in configuration.options.items() if name in ("nonlinearity", "batch_first")}
    dtype = dtype or torch.float64
    network = getattr(torch.nn, configuration.cell.name)(
        first.shape[1], len(first) // configuration.cell.stacked, layers, bias="bias_ih_l0" in state,
        bidirectional=two, dtype=dtype, **(own | options),
    )  # fmt: skip
    network.load_state_dict({name: torch.tensor(np.asarray(value), dtype=dtype) for name, value in state.items()})
    return network


def run_torch(torch, network, x, hx, lengths):
    """y and the final state of a network, on arrays or tensors; lengths as packed sequences."""
    rnn = torch.nn.utils.rnn
    tensor = torch.as_tensor
    given, T = tensor(x), x.shape[1 if network.batch_first else 0]
    if hx is not None:
        hx = tuple(map(tensor, hx)) if isinstance(hx, tuple) else tensor(hx)
    if lengths is not None:
        given = rnn.pack_padded_sequence(given, tensor(lengths), network.batch_first, enforce_sorted=False)
    y, final = network(given, hx)
    if lengths is not None:
        y, _ = rnn.pad_packed_sequence(y, network.batch_first, total_length=T)
    return y, final


def torch_arrays(torch, network, x, hx=None, lengths=None):
    """The same as arrays, without gradients."""
    with torch.no_grad():
        y, final = run_torch(torch, network, x, hx, lengths)
    final = tuple(part.numpy() for part in final) if isinstance(final, tuple) else final.numpy()
    return y.numpy(), final
