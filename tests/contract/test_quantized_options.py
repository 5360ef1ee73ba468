"""Quantised models give the same bits under every other option too: functions, clip, stored states, merge modes, ends.

`test_same_bits.py` has the plain layouts, over many sizes; here each of the other configurations, at one.
"""

import numpy as np
import pytest

from support.compare import assert_same_bits
from support.models import CONFIGURATIONS, build, draw, random_lengths, row_of
from support.variants import QUANTIZED, variants

T, N, INPUTS, H = 7, 9, 6, 35
OTHERS = [one for one in CONFIGURATIONS if not one.quantizes]


def each(weights, configurations=OTHERS):
    """Parametrise a test: every instruction set with the configurations of its kind."""
    pairs = [
        pytest.param(way, one, id=f"{way}-{one.name}")
        for way in variants(weights=weights) for one in configurations if one.kind == way.kind
    ]  # fmt: skip
    return pytest.mark.parametrize("variant,configuration", pairs, indirect=["variant"])


def time_first(configuration, x):
    """x or y with time in front, and back."""
    return x.swapaxes(0, 1) if configuration.options.get("batch_first") else x


@each(QUANTIZED)
def test_rows_threads_and_lengths(variant, configuration, rng):
    """A row alone = in its batch = on threads; with lengths = cut to its own."""
    model = build(variant, configuration, INPUTS, H)
    assert model.weight_dtype == variant.weights and model.isa == variant.isa
    x, hx = draw(variant, rng, model, T, N)
    y, final = model(x, hx)
    assert np.isfinite(y).all() and np.ptp(y) > 0.01
    assert_same_bits(model(x, hx, threads=3), (y, final))
    lengths = random_lengths(rng, T, N)
    lengths[4] = 0
    cut, end = model(x, hx, lengths=lengths)
    assert_same_bits(model(x, hx, lengths=lengths, threads=2), (cut, end))
    steps, outputs, short = (time_first(configuration, a) for a in (x, y, cut))
    behind = configuration.options.get("go_backwards") and configuration.options.get("num_layers", 1) % 2
    for row, length in enumerate(lengths):
        assert_same_bits(model(steps[:, row], row_of(hx, row)), (outputs[:, row], row_of(final, row)))
        valid = slice(T - length, T) if behind else slice(0, length)
        assert_same_bits(model(steps[:length, row], row_of(hx, row)), (short[valid, row], row_of(end, row)))


@each(QUANTIZED, [one for one in OTHERS if one.streams])
def test_pieces(variant, configuration, rng):
    """The whole = pieces of 1, 3 and 4 steps through the model = steps of streams, of the batch and of one row."""
    model = build(variant, configuration, INPUTS, H)
    x, hx = draw(variant, rng, model, T, N)
    y, final = model(x, hx)
    steps, whole = (time_first(configuration, a) for a in (x, y))
    for size in (1, 3, 4):
        state, parts = hx, []
        for start in range(0, T, size):
            part, state = model(time_first(configuration, steps[start : start + size]), state)
            parts.append(time_first(configuration, part))
        assert_same_bits((np.concatenate(parts), state), (whole, final))
    stream, one = model.stream(N, hx), model.stream(None, row_of(hx, 3))
    for t in range(T):
        x_t = np.ascontiguousarray(steps[t])
        assert_same_bits(stream.step(x_t), whole[t])
        assert_same_bits(one.step(x_t[3]), whole[t, 3])
    assert_same_bits((stream.state, one.state), (final, row_of(final, 3)))


ACROSS = [
    pytest.param(ways, one, id=f"{weights}-{one}")
    for weights in QUANTIZED for one in OTHERS
    if len(ways := variants(kind=one.kind, weights=weights, fused=True)) > 1
]  # fmt: skip


@pytest.mark.skipif(not ACROSS, reason="this machine has one instruction set with fused multiply-adds only")
@pytest.mark.parametrize("ways,configuration", ACROSS)
def test_instruction_sets(rng, ways, configuration):
    """All with fused multiply-adds, and of int8 with VNNI and without."""
    for input_size, hidden_size, rows in ((INPUTS, H, N), (40, 100, 1), (66, 20, 34)):
        models = [build(way, configuration, input_size, hidden_size) for way in ways]
        x, hx = draw(ways[0], rng, models[0], T, rows)
        lengths = random_lengths(rng, T, rows) if rows > 1 else None
        first, *others = [model(x, hx, lengths=lengths) for model in models]
        assert np.isfinite(first[0]).all() and np.ptp(first[0]) > 0.01
        for other in others:
            assert_same_bits(other, first)
