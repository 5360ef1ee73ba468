"""Quantised models keep the contract: near the oracle, near float32, and bfloat16 has the bits of rounded float32.

That they give the same bits however they are fed is in test_same_bits.py, the products to the last bit in
test_quantized_products.py, NaN and infinity in test_quantized_odd_rows.py.
"""

import functools
from types import SimpleNamespace

import numpy as np
import pytest

from support.compare import assert_close, assert_same_bits, flat
from support.models import (
    build,
    configurations,
    draw,
    float32_values,
    on_planes,
    options_of,
    oracle,
    pack,
    random_lengths,
    random_state,
)
from support.quantized import AFFINE, Watched
from support.variants import QUANTIZED, variants

pytestmark = pytest.mark.variants(weights=QUANTIZED)
forms = pytest.mark.configurations(layout="one layer")
T, N, INPUT, H = 6, 4, 5, 17


# ------------------------------------------------------------------------------------------- the oracle

#: How far activations must be from a tie, in steps of int8. An engine's h is off by about 1e-7, and where the largest
#: of a row is 0.2 its multiples a * (127 / m) are off by 127 / 0.2 * 1e-7 * 2 = 1.3e-4. One that falls to the other
#: side of a tie changes y by up to a hundredth though nothing is wrong, so nothing could be said of the gates.
MARGIN = 2e-4


@functools.cache
def problem(configuration, weights, with_lengths):
    """Parameters, x, hx, lengths, and the oracle's answer, drawn again until nothing in it is near a tie."""
    rng = np.random.default_rng([with_lengths, len(configuration.name)])
    sizes = {name: configuration.options[name] for name in ("num_layers", "bidirectional", "bias")
             if name in configuration.options}  # fmt: skip
    cells = sizes.get("num_layers", 1) * (1 + sizes.get("bidirectional", False))
    for _ in range(200):
        state = random_state(rng, INPUT, H, kind=configuration.kind, **sizes)
        x = float32_values(rng.normal(size=(T, N, INPUT)))
        hx = pack([float32_values(rng.uniform(-1, 1, (cells, N, H))) for _ in configuration.cell.states])
        lengths = random_lengths(rng, T, N) if with_lengths else None
        affine = Watched(AFFINE[weights])
        expected = oracle(configuration, state, x, hx, lengths, dtype=np.float32, affine=affine)
        if weights != "int8" or affine.margin > MARGIN:
            return SimpleNamespace(state=state, x=x, hx=hx, lengths=lengths, expected=expected)
    raise AssertionError("no draw is far enough from ties")


@pytest.mark.parametrize("with_lengths", [False, True], ids=["full", "lengths"])
def test_oracle_agreement(variant, configuration, with_lengths):
    """To the contract of float32: what is rounded is rounded alike, and the rest is float32's gates."""
    case = problem(configuration, variant.weights, with_lengths)
    model = variant.from_state(case.state, **options_of(configuration))
    found = model(variant.cast(case.x), on_planes(case.hx, variant.cast), lengths=case.lengths)
    growth = max(1.0, *(np.abs(array).max() for array in flat(case.expected)))
    assert_close(found, case.expected, variant.tolerance * growth)
    plain, _ = oracle(configuration, case.state, case.x, case.hx, case.lengths, dtype=np.float32)
    assert np.abs(found[0] - plain).max() > 50 * variant.tolerance


@forms
@pytest.mark.parametrize("sizes", [(3, 40, 100), (1, 130, 256), (20, 24, 70)], ids=str)
def test_one_step(variant, configuration, sizes):
    """x and h are given, so nothing but r * h, with the reset before, can fall to another side of a tie."""
    N, K, H = sizes
    rng = np.random.default_rng(sizes)
    for _ in range(3):
        state = random_state(rng, K, H, kind=variant.kind)
        x, hx = rng.normal(size=(1, N, K)), pack([rng.uniform(-1, 1, (1, N, H)) for _ in variant.cell.states])
        x, hx = variant.cast(x), on_planes(hx, variant.cast)
        affine = AFFINE[variant.weights]
        expected = oracle(configuration, state, x, hx, dtype=np.float32, affine=affine)
        found = variant.from_state(state, **configuration.options)(x, hx)
        off = np.concatenate([np.abs(a - b).ravel() for a, b in zip(flat(found), flat(expected), strict=True)])
        if (variant.weights, configuration.form) == ("int8", "before"):
            units = 0.5 / np.sqrt(H) / 127      # what one unit of r * h is worth, and more
            assert off.max() < 3 * units and (off > 1e-6).mean() < 0.02
        else:
            assert off.max() < 1e-6


# --------------------------------------------------------------------------------------------- accuracy

#: Of y, by kind. No gate of a plain RNN damps what is rounded, so with 256 features and more it is further off.
GATED = {"bfloat16": 6e-3, "int8": 2e-2}
LARGEST_ERROR = {"gru": GATED, "lstm": GATED, "rnn": {"bfloat16": 8e-3, "int8": 3e-2}}


@functools.cache
def hundred_steps(kind, form, input_size, hidden_size):
    """A float32 model with PyTorch's initial weights, x of 100 steps, and its y."""
    (one,) = configurations(kind=kind, form=form, layout="one layer")
    plain = variants(kind=kind, engine="packed", fused=True)[0]
    with plain.selected():
        model = plain.model(input_size, hidden_size, rng=[input_size, hidden_size], **one.options)
    x = np.random.default_rng(hidden_size).normal(size=(100, 3, input_size)).astype(np.float32)
    return model, x, model(x)[0]


@pytest.mark.variants(fused=True)
@pytest.mark.parametrize("sizes", [(24, 32), (40, 130), (512, 511), (100, 512)], ids=str)
def test_accuracy_over_a_hundred_steps(best, sizes):
    """The largest error of y against float32; not much less than is promised, so the promise says something."""
    promised = LARGEST_ERROR[best.kind][best.weights]
    for one in configurations(kind=best.kind, layout="one layer"):
        if one.form != "relu":          # not bounded, so no absolute error says anything
            model, x, expected = hundred_steps(best.kind, one.form, *sizes)
            error = np.abs(best.quantized(model)(x)[0] - expected).max()
            assert promised / 20 < error <= promised


# ------------------------------------------------------------------------------------------------ bfloat16


@pytest.mark.variants(weights="bfloat16")
def test_bfloat16_has_the_bits_of_its_float32_model(variant, configuration, rng):
    """Whole, on threads, with lengths, stepped; sizes with every rest of a pair, a vector and a tile."""
    for input_size, hidden, rows in ((5, 19, 3), (40, 33, 9), (1, 1, 2), (7, 48, 5), (24, 100, 33)):
        model = build(variant, configuration, input_size, hidden)
        with variant.selected():
            float32 = model.dequantize()
        assert (model.weight_dtype, float32.weight_dtype) == ("bfloat16", "float32")
        x, hx = draw(variant, rng, model, 7, rows)
        lengths = random_lengths(rng, 7, rows)
        for options in ({}, {"threads": 3}, {"lengths": lengths}):
            assert_same_bits(model(x, hx, **options), float32(x, hx, **options))
        if configuration.streams:
            ours, theirs = model.stream(rows, hx), float32.stream(rows, hx)
            for x_t in x.swapaxes(0, 1) if model.batch_first else x:
                assert_same_bits(ours.step(x_t.copy()), theirs.step(x_t.copy()))


# ------------------------------------------------------------------------------------------ mixed models


@pytest.mark.parametrize("chosen", [[0], [1], [-1], [0, 2]], ids=str)
def test_some_layers(variant, rng, chosen):
    """Each layer computes what it computes alone, quantised or not."""
    with variant.selected():
        model = variant.network(5, 19, 3, bidirectional=True, rng=3, engine="packed")
        mixed = model.quantize(variant.weights, layers=chosen)
        x, hx = draw(variant, rng, model, 7, 4)
        y, final, below = *mixed(x, hx), x
        for layer in range(3):
            state = {
                name.replace(f"_l{layer}", "_l0"): values
                for name, values in model.state_dict().items() if f"_l{layer}" in name
            }  # fmt: skip
            alone = variant.network.from_state_dict(state, engine="packed")
            if layer in [number % 3 for number in chosen]:
                alone = alone.quantize(variant.weights)
            cells = slice(2 * layer, 2 * layer + 2)
            below, end = alone(below, row_of_layer(hx, cells))
            assert_same_bits(end, row_of_layer(final, cells))
        assert_same_bits(y, below)
        assert not np.array_equal(y, model(x, hx)[0])


def row_of_layer(hx, cells):
    """The planes of some layers and directions."""
    return on_planes(hx, lambda plane: plane[cells])
