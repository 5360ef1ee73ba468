"""The oracle's cells and sequences with quantised products: steps written out, and what rounding costs."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from support import quantized, reference
from support.models import pack, planes, random_lengths, random_state

NETWORKS = {
    "gru_after": ("gru", {"reset_after": True}),
    "gru_before": ("gru", {"reset_after": False}),
    "rnn": ("rnn", {"nonlinearity": "tanh"}),
    "lstm": ("lstm", {}),
}


def problem(rng, kind, **options):
    """x (T, N, I) = (7, 3, 5), a state dict with H = 11, an initial state."""
    state = random_state(rng, 5, 11, kind=kind, **options)
    cells = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    hx = pack([rng.uniform(-1, 1, (cells, 3, 11)) for _ in range(1 + (kind == "lstm"))])
    return rng.normal(size=(7, 3, 5)), state, hx


@pytest.mark.parametrize("network", NETWORKS)
def test_bfloat16_is_float32_of_rounded_weights(rng, network):
    kind, options = NETWORKS[network]
    x, state, hx = problem(rng, kind, num_layers=2, bidirectional=True)
    run = getattr(reference, kind)
    y, final = run(x, state, hx, affine=quantized.AFFINE["bfloat16"], **options)
    expected, end = run(x, quantized.dequantized(state, "bfloat16"), hx, **options)
    assert_array_equal(y, expected)
    assert_array_equal(planes(final), planes(end))
    assert 1e-4 < np.abs(y - run(x, state, hx, **options)[0]).max() < 2e-2


def test_gru_step_of_int8_written_out(rng):
    """Gate by gate, each matrix quantised alone; with the reset before, r * h is quantised again."""
    x, state, h_0 = problem(rng, "gru")
    W, U, b, c = (state[f"{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    h = h_0[0]
    i_r, i_z, i_n = np.split(quantized.int8_product(x[0], W, b).astype(float), 3, axis=1)
    h_r, h_z, h_n = np.split(quantized.int8_product(h, U, c).astype(float), 3, axis=1)
    r, z = (1 / (1 + np.exp(-a)) for a in (i_r + h_r, i_z + h_z))
    after = np.tanh(i_n + r * h_n)
    before = np.tanh(i_n + quantized.int8_product(r * h, U[22:], c[22:]))
    for reset_after, n in ((True, after), (False, before)):
        y, _ = reference.gru(x[:1], state, h_0, reset_after=reset_after, affine=quantized.AFFINE["int8"])
        assert_allclose(y[0], z * h + (1 - z) * n, rtol=0, atol=1e-14)
    assert np.abs(after - before).max() > 0.01


def test_lstm_and_rnn_steps_of_int8_written_out(rng):
    for kind in ("lstm", "rnn"):
        x, state, hx = problem(rng, kind)
        h = planes(hx)[0][0]
        W, U, b, c = (state[f"{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        a = quantized.int8_product(x[0], W, b).astype(float) + quantized.int8_product(h, U, c)
        y, _ = getattr(reference, kind)(x[:1], state, hx, affine=quantized.AFFINE["int8"])
        if kind == "rnn":
            expected = np.tanh(a)
        else:
            i, f, o = (1 / (1 + np.exp(-a[:, k : k + 11])) for k in (0, 11, 33))
            expected = o * np.tanh(f * hx[1][0] + i * np.tanh(a[:, 22:33]))
        assert_allclose(y[0], expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("weights", ["bfloat16", "int8"])
def test_sequences_are_near_float32_and_not_the_same(rng, network, weights):
    """Layers, directions and lengths: each row alone gives what it gives in the batch."""
    kind, options = NETWORKS[network]
    x, state, hx = problem(rng, kind, num_layers=2, bidirectional=True)
    lengths = random_lengths(rng, 7, 3)
    run = getattr(reference, kind)
    y, final = run(x, state, hx, lengths, affine=quantized.AFFINE[weights], **options)
    plain, _ = run(x, state, hx, lengths, **options)
    assert 1e-4 < np.abs(y - plain).max() < (2e-2 if weights == "bfloat16" else 5e-2)
    for row, length in enumerate(lengths):
        one = slice(row, row + 1)
        start = pack([plane[:, one] for plane in planes(hx)])
        alone, end = run(x[:length, one], state, start, affine=quantized.AFFINE[weights], **options)
        assert_allclose(y[:length, one], alone, rtol=0, atol=1e-13)
        for plane, wanted in zip(planes(final), planes(end), strict=True):
            assert_allclose(plane[:, one], wanted, rtol=0, atol=1e-13)
