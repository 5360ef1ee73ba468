"""`model.window(T)`: every answer is that of the model over the last T samples, however it is settled.

Other forms of x and `out` are in test_window_arrays.py; what it refuses, and who may use it when, in
test_window_errors.py.
"""

import gc

import numpy as np
import pytest

import cgru
from support import chains, reference
from support.chains import Dense, Recipe, cells, network_of
from support.compare import assert_close, assert_same_bits
from support.models import build, draw_hx, float32_values, on_planes, pack, planes, random_state
from support.variants import WEIGHTS
from support.windows import afresh, feed, network_input, same, signal

pytestmark = pytest.mark.variants(weights=WEIGHTS)

SAMPLES, INPUT, H, LAYERS = 23, 5, 19, 2
networks = pytest.mark.variants(kind="gru", weights=WEIGHTS)

#: What a window does otherwise than a stream: layers before the first recurrent one, behind the last, in between.
RECIPES = [
    *chains.recipes(streams=True),
    Recipe("Linears all around", 6, (Dense(7, "elu"), Dense(9, "softmax"), cells("gru", 11, num_layers=2),
                                     Dense(8, "silu"), cells("lstm", 10), Dense(12), Dense(4, "softmax")),
           {"skip": True}),
    Recipe("last, Linears before", 6, (Dense(7, "relu"), cells("rnn", 11), Dense(5)), {"last": True, "skip": True}),
    Recipe("h_n, stored", 4, (Dense(9), cells("lstm", 8, initial_state=True, num_layers=2), Dense(3)), {"last": "h_n"}),
    Recipe("nothing behind", 3, (Dense(8, "sigmoid"), cells("gru", 7), cells("rnn", 9))),
    Recipe("as wide as x", 6, (cells("lstm", 10), Dense(6, "tanh")), {"skip": True}),
]  # fmt: skip
each = pytest.mark.parametrize("recipe", RECIPES, ids=str)


# ------------------------------------------------------------------------------------------- what it answers


@pytest.mark.parametrize("T", [1, 2, 7, SAMPLES, SAMPLES + 7])
def test_the_last_samples(variant, rng, T):
    """From a zero state and from a given one; before T samples have come, over those that have."""
    model = variant.model(INPUT, H, LAYERS, rng=1)
    x = signal(variant, rng, SAMPLES, INPUT)
    for hx in (None, draw_hx(variant, rng, model)):
        window = model.window(T, hx=hx)
        assert window.T == T and window.model is model and window.count == 0
        y = feed(window, x)
        assert window.count == SAMPLES and y.dtype == variant.dtype
        same(variant)(y, afresh(model, x, T, hx))


@pytest.mark.variants(weights="float32")
@pytest.mark.parametrize("num_layers", [1, 3])
def test_oracle_agreement(variant, rng, num_layers):
    """The oracle over every window, in float64."""
    state = random_state(rng, INPUT, H, num_layers=num_layers, kind=variant.kind)
    x = float32_values(rng.normal(size=(SAMPLES, INPUT)))
    hx = pack([float32_values(rng.normal(size=(num_layers, H))) for _ in variant.cell.states])
    y = feed(variant.from_state(state).window(6, on_planes(hx, variant.cast)), variant.cast(x))
    for end in range(1, SAMPLES + 1):
        expected, _ = getattr(reference, variant.kind)(x[max(0, end - 6) : end], state, hx)
        assert_close(y[end - 1], expected[-1], variant.tolerance)


@pytest.mark.configurations(streams=True)
def test_every_configuration(variant, configuration, rng):
    """Other activations, clip, no bias, batch_first, stored initial states."""
    model = build(variant, configuration, INPUT, H)
    x = signal(variant, rng, 15, INPUT)
    for hx in (None, draw_hx(variant, rng, model)):
        expected = afresh(model, x, 4, hx)
        tolerance = variant.tolerance * max(1.0, float(np.abs(expected).max()))  # relu is not bounded
        if variant.engine == "packed" and variant.fused:
            tolerance = 0
        assert_close(feed(model.window(4, hx), x, rng.integers(0, 2, 15)), expected, tolerance)


@networks
@each
@pytest.mark.parametrize("T", [1, 4])
def test_networks(variant, rng, recipe, T):
    """Linears before, between and behind, skip, `last`, stored states and given ones."""
    net = network_of(variant, recipe)
    x, hx = network_input(variant, recipe, rng, 14)
    for start in (None, hx):
        window = net.window(T, start)
        y = feed(window, x, rng.integers(0, 3, 14))
        assert y.shape == (14, net.output_size)
        same(variant)(y, afresh(net, x, T, start))


def test_networks_of_few_layers(best, rng):
    """Linears alone, which look at the last sample only; one layer twice."""
    linears = network_of(best, Recipe("Linears", 5, (Dense(7, "elu"), Dense(4, "softmax")), {"skip": True}))
    layer = best.model(INPUT, INPUT, rng=1)
    for net in (linears, cgru.Sequential([layer, layer])):
        x = signal(best, rng, 14, INPUT)
        same(best)(feed(net.window(4), x, rng.integers(0, 3, 14)), afresh(net, x, 4))


def test_wide_models(variant, rng):
    """So many multiply-adds that a step releases the GIL, and more samples in a window than rows of a block."""
    model = variant.model(40, {"gru": 333, "lstm": 333, "rnn": 500}[variant.kind], rng=1)
    x = signal(variant, rng, 13, 40)
    same(variant)(feed(model.window(9), x), afresh(model, x, 9))
    small = variant.model(3, 8, rng=1)
    x = signal(variant, rng, 160, 3)
    same(variant)(feed(small.window(131), x)[-40:], afresh(small, x, 131)[-40:])


def test_round_and_round(best, rng):
    """Many times T samples: every row starts again in its turn."""
    model = best.model(INPUT, H, LAYERS, rng=1)
    x = signal(best, rng, 400, INPUT)
    hx = draw_hx(best, rng, model)
    same(best)(feed(model.window(3, hx), x), afresh(model, x, 3, hx))


@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf, 3e38])
def test_what_is_over_is_forgotten(best, rng, strange):
    """A sample of NaN or infinity is in T answers and in no more."""
    model = best.model(INPUT, H, LAYERS, rng=1)
    x = signal(best, rng, 30, INPUT)
    plain = feed(model.window(5), x)
    x[11, 2] = strange
    with np.errstate(all="ignore"):
        y, expected = feed(model.window(5), x), afresh(model, x, 5)
    assert np.array_equal(np.isnan(y), np.isnan(expected))
    assert_same_bits(y[:11], plain[:11])
    assert_same_bits(y[16:], plain[16:])
    if np.isnan(strange):
        assert np.isnan(y[11:16]).any(axis=1).all()


# -------------------------------------------------------------------------------------------- settle, reset


def test_settling_changes_nothing_but_when(best, rng):
    """Never, at once, twice, before any step, now and then: the same answers."""
    model = best.model(INPUT, H, LAYERS, rng=1)
    x, hx = signal(best, rng, SAMPLES, INPUT), draw_hx(best, rng, model)
    expected = feed(model.window(4, hx), x)
    early = model.window(4, hx)
    assert early.settle() is None
    early.settle()
    assert early.count == 0
    for settles in (np.ones(SAMPLES, int), np.full(SAMPLES, 2), rng.integers(0, 3, SAMPLES)):
        assert_same_bits(feed(early, x, settles), expected)
        assert early.count == SAMPLES
        early.reset(hx)
        early.settle()


def test_reset(best, rng):
    """As new, from zeros or from a given state; also where the last sample has not been settled."""
    model = best.model(INPUT, H, LAYERS, rng=1)
    x, hx = signal(best, rng, SAMPLES, INPUT), draw_hx(best, rng, model)
    from_zeros, from_hx = (feed(model.window(6, start), x) for start in (None, hx))
    assert not np.array_equal(from_zeros, from_hx)
    for fed in (0, 1, 4, 6, 7, SAMPLES):
        for settles in (0, 1):
            window = model.window(6, hx)
            if fed:
                feed(window, x[:fed] + 1, np.full(fed, settles))
            assert window.reset() is None and window.count == 0
            assert_same_bits(feed(window, x), from_zeros)
            window.reset(on_planes(hx, np.asfortranarray))
            assert_same_bits(feed(window, x), from_hx)


def test_states_of_other_forms(best, rng):
    """Converted as a stream's; a window keeps a copy."""
    model = best.model(INPUT, H, LAYERS, rng=1)
    x, hx = signal(best, rng, SAMPLES, INPUT), draw_hx(best, rng, model)
    expected = feed(model.window(6, hx), x)
    assert_same_bits(feed(model.window(6, on_planes(hx, np.ndarray.tolist)), x), expected)
    given = on_planes(hx, np.copy)
    window = model.window(6, given)
    for plane in planes(given):
        plane[...] = np.nan
    assert_same_bits(feed(window, x), expected)


def test_a_stored_initial_state(best, rng):
    """Every row starts again from what the model brings, unless another state was given."""
    state = random_state(rng, INPUT, H, num_layers=LAYERS, kind=best.kind)
    names = [f"{plane}_0" for plane in best.cell.states]
    stored = {name: float32_values(rng.uniform(-1, 1, (LAYERS, H))) for name in names}
    model, bare = best.from_state(state | stored), best.from_state(state)
    hx = pack([best.cast(stored[name]) for name in names])
    x = signal(best, rng, SAMPLES, INPUT)
    window, zeros = model.window(4), on_planes(hx, np.zeros_like)
    from_stored, from_zeros = (feed(bare.window(4, start), x) for start in (hx, zeros))
    assert_same_bits(feed(window, x), from_stored)
    window.reset(zeros)
    assert_same_bits(feed(window, x), from_zeros)
    window.reset()
    assert_same_bits(feed(window, x), from_stored)
    assert not np.array_equal(from_stored, from_zeros)


# ---------------------------------------------------------------------------------------------- by itself


def test_windows_share_a_model_and_nothing_else(best, rng):
    """Several of them and a stream, in turns; the model may be forgotten."""
    model = best.model(INPUT, H, LAYERS, rng=1)
    x = best.cast(rng.normal(size=(3, SAMPLES, INPUT)))
    lengths = (2, 5, 30)
    alone = [feed(model.window(T), one) for T, one in zip(lengths, x, strict=True)]
    streamed = model.stream().run(x[0])
    windows, stream = [model.window(T) for T in lengths], model.stream()
    del model
    gc.collect()
    for t in range(SAMPLES):
        for window, one, wanted in zip(windows, x, alone, strict=True):
            assert_same_bits(window.step(one[t]), wanted[t])
        assert_close(stream.step(x[0, t]), streamed[t], best.tolerance)
