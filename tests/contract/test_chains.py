"""Linear and Sequential keep the contract: near the oracle, and on engine `packed` the same bits however they are fed.

That includes: the bits of a network are those of its layers called one after the other.
"""

import functools

import numpy as np
import pytest

import cgru
from support import chains, quantized
from support.chains import ACTIVATIONS, RECIPES, Dense, Recipe, cells, draw_chain, draw_input, network_of
from support.compare import assert_close, assert_same_bits, flat
from support.models import float32_values, on_planes, planes, random_lengths, row_of
from support.quantized import AFFINE
from support.variants import WEIGHTS, variants

T, N = 11, 7
gru = pytest.mark.variants(kind="gru")          # each engine, instruction set and dtype once: the kind is the recipe's
packed = pytest.mark.variants(kind="gru", engine="packed", weights=WEIGHTS)
each = pytest.mark.parametrize("recipe", RECIPES, ids=str)
streaming = pytest.mark.parametrize("recipe", chains.recipes(streams=True), ids=str)
whole = pytest.mark.parametrize("recipe", [one for one in RECIPES if not one.options.get("last")], ids=str)


@functools.cache
def problem(recipe, with_lengths, with_hx, dtype):
    """Parameters, x, hx, lengths with a 0 in them, and the oracle's answer."""
    rng = np.random.default_rng([with_lengths, with_hx, len(recipe.name)])
    x, hx = draw_input(recipe, rng, T, N)
    lengths = random_lengths(rng, T, N) if with_lengths else None
    if with_lengths:
        lengths[N // 2] = 0
    hx = hx if with_hx else None
    return x, hx, lengths, chains.chain(recipe, draw_chain(recipe).tensors, x, hx, lengths, dtype=np.dtype(dtype))


def cast(variant, hx):
    """The states of a network in a variant's dtype."""
    return None if hx is None else tuple(on_planes(one, variant.cast) for one in hx)


@gru
@each
@pytest.mark.parametrize("with_lengths", [False, True], ids=["full", "lengths"])
@pytest.mark.parametrize("with_hx", [False, True], ids=["no hx", "hx"])
def test_oracle_agreement(variant, recipe, with_lengths, with_hx):
    x, hx, lengths, expected = problem(recipe, with_lengths, with_hx, variant.name)
    net = network_of(variant, recipe)
    growth = max(1.0, *(np.abs(array).max() for array in flat(expected)))
    for threads in (1, 3):
        found = net(variant.cast(x), cast(variant, hx), lengths=lengths, threads=threads)
        assert found[0].dtype == variant.dtype
        assert_close(found, (expected[0], expected[1]), variant.tolerance * growth)


def one_after_the_other(net, x, hx, lengths=None):
    """What the layers make of x, called by themselves; `last` and `skip` done in NumPy."""
    axis = int(net.batch_first)
    x = x.swapaxes(0, 1) if axis else x
    steps = x.shape[0]
    ends = np.full(x.shape[1], steps) if lengths is None else lengths
    valid = (np.arange(steps)[:, None] < ends)[:, :, None]
    behind = max((k for k, layer in enumerate(net.layers) if layer.config.recurrent), default=-1) + 1
    y, given, finals = np.where(valid, x, 0), iter(hx), []

    def one_step(y):
        if net.last is True:
            return y[ends - 1, np.arange(y.shape[1])][None]
        h_n = planes(finals[-1])[0]
        config = net.layers[behind - 1].config
        if config.num_directions == 1:
            return h_n[-1:]
        pair = h_n[-2], h_n[-1]
        return (np.concatenate(pair, -1) if config.merge_mode == "concat" else (pair[0] + pair[1]) / 2)[None]

    for number, layer in enumerate(net.layers):
        if net.last and number == behind:
            y = one_step(y)
        y = np.ascontiguousarray(y)
        if layer.config.recurrent:
            y = y.swapaxes(0, 1) if axis else y
            y, final = layer(np.ascontiguousarray(y), next(given), lengths=lengths)
            y = y.swapaxes(0, 1) if axis else y
            finals.append(final)
        else:
            y = layer(y)
            y = y if net.last and number >= behind else np.where(valid, y, 0)
    if net.last and behind == len(net.layers):
        y = one_step(y)
    if net.skip:
        skipped = x[ends - 1, np.arange(x.shape[1])][None] if net.last else np.where(valid, x, 0)
        y = np.where(valid, y + skipped[:, :, : y.shape[2]], 0) if not net.last else y + skipped[:, :, : y.shape[2]]
    if net.last:
        return y[0], tuple(finals)
    return (y.swapaxes(0, 1) if axis else y), tuple(finals)


@packed
@each
@pytest.mark.parametrize("with_lengths", [False, True], ids=["full", "lengths"])
def test_the_bits_of_the_layers_one_after_the_other(variant, recipe, rng, with_lengths):
    net = network_of(variant, recipe)
    x, hx = draw_input(recipe, rng, T, N, np.float32)
    lengths = random_lengths(rng, T, N) if with_lengths else None
    expected = one_after_the_other(net, x, hx, lengths)
    assert_same_bits(net(x, hx, lengths=lengths), expected)
    assert_same_bits(net(x, hx, lengths=lengths, threads=3), expected)
    out = np.full(expected[0].shape, np.nan, np.float32)
    assert net(x, hx, lengths=lengths, out=out)[0] is out
    assert_same_bits(out, expected[0])


@packed
@each
def test_a_row_alone_and_in_a_batch(variant, recipe, rng):
    net = network_of(variant, recipe)
    x, hx = draw_input(recipe, rng, T, 33, np.float32)
    lengths = random_lengths(rng, T, 33)
    y, final = net(x, hx)
    cut, cut_final = net(x, hx, lengths=lengths)
    rows = 0 if recipe.batch_first or recipe.options.get("last") else 1
    for row in (0, 8, 32):
        own = x[row] if recipe.batch_first else x[:, row]
        states = tuple(on_planes(one, lambda plane, row=row: plane[:, row]) for one in hx)
        alone = net(own, states)
        assert_same_bits(alone[0], y.take(row, rows))
        assert_same_bits(alone[1], tuple(on_planes(one, lambda plane, row=row: plane[:, row]) for one in final))
        shorter = net(own[: lengths[row]], states)
        part = cut.take(row, rows)
        assert_same_bits(shorter[0], part if recipe.options.get("last") else part[: lengths[row]])
        assert_same_bits(shorter[1], tuple(on_planes(one, lambda plane, row=row: plane[:, row]) for one in cut_final))


@packed
@streaming
def test_streams_and_pieces(variant, recipe, rng):
    """The whole = steps, of a batch and of one row, = pieces of every size through a stream. It ignores `last`."""
    net = network_of(variant, recipe)
    every = cgru.Sequential(net.layers, skip=net.skip, batch_first=net.batch_first)
    axis = int(recipe.batch_first)
    x, hx = draw_input(recipe, rng, T, N, np.float32)
    y, final = every(x, hx)
    steps, wanted = (array.swapaxes(0, 1) if axis else array for array in (x, y))
    row_state = tuple(row_of(one, 2) for one in hx)
    stream, row, out = net.stream(N, hx), net.stream(None, row_state), np.empty((N, net.output_size), np.float32)
    for t in range(T):
        x_t = np.ascontiguousarray(steps[t])
        assert_same_bits(stream.step(x_t, out=out) if t % 2 else stream.step(x_t), wanted[t])
        assert_same_bits(row.step(x_t[2]), wanted[t, 2])
    assert_same_bits(stream.state, final)
    assert_same_bits(row.state, tuple(row_of(one, 2) for one in final))
    for size in range(1, T + 1):
        stream.state = hx
        pieces = [x[:, t : t + size] if axis else x[t : t + size] for t in range(0, T, size)]
        assert_same_bits(np.concatenate([stream.run(piece) for piece in pieces], axis), y)
        assert_same_bits(stream.state, final)
        carried, got = hx, []
        for piece in pieces:
            part, carried = every(piece, carried)
            got.append(part)
        assert_same_bits((np.concatenate(got, axis), carried), (y, final))


@each
@pytest.mark.parametrize("weights", WEIGHTS)
def test_every_instruction_set_gives_the_same_bits(recipe, rng, weights):
    x, hx = draw_input(recipe, rng, T, N, np.float32)
    lengths = random_lengths(rng, T, N)
    found = [
        network_of(variant, recipe)(x, hx, lengths=lengths)
        for variant in variants(kind="gru", engine="packed", weights=weights, fused=True)
    ]
    for one in found[1:]:
        assert_same_bits(one, found[0])


@whole
def test_long_batches_go_in_blocks(recipe, rng):
    """More rows and steps than an engine takes at once."""
    for variant in variants(kind="gru", engine="packed", fused=True)[:1]:
        net = network_of(variant, recipe)
        for steps, rows in ((700, 3), (2, 900)):
            x, hx = draw_input(recipe, rng, steps, rows, np.float32)
            assert_same_bits(net(x, hx, threads=2), one_after_the_other(net, x, hx))


@gru
def test_go_backwards(variant, rng):
    """Without lengths as by the oracle; with them where nothing reads its y, whose padding stands in front."""
    layers = (cells("gru", 9, go_backwards=True), Dense(4, "elu"), cells("lstm", 5, go_backwards=True))
    plain, state = Recipe("backwards", 3, layers), Recipe("state", 3, layers[:2], {"last": "h_n", "skip": False})
    x, hx = draw_input(plain, rng, T, N)
    lengths = random_lengths(rng, T, N)
    for recipe, given_hx, given_lengths in ((plain, hx, None), (state, hx[:1], lengths)):
        expected = chains.chain(recipe, draw_chain(recipe).tensors, x, given_hx, given_lengths, dtype=variant.dtype)
        found = network_of(variant, recipe)(variant.cast(x), cast(variant, given_hx), lengths=given_lengths)
        assert_close(found, expected, variant.tolerance)
    alone = Recipe("alone", 3, layers[:1])
    assert_close(network_of(variant, alone)(variant.cast(x), lengths=lengths),
                 chains.chain(alone, draw_chain(alone).tensors, x, None, lengths), variant.tolerance)
    for options in ({}, {"last": True}, {"skip": True}):
        recipe = Recipe("refused", 9, layers[: 2 if "skip" not in options else 1], options)
        net = network_of(variant, recipe)
        with pytest.raises(ValueError, match=r"layer 0 \(GRU\) has go_backwards=True: with lengths"):
            net(variant.cast(rng.normal(size=(T, N, 9))), lengths=lengths)


# ---------------------------------------------------------------------------------------------- a Linear

#: (rows, in, out): every rest of a block, a panel and a tile.
SIZES = (3, 5, 19), (9, 40, 33), (33, 1, 100), (2, 7, 1), (1, 3, 16), (700, 12, 50)


def random_linear(variant, activation, features, outputs, bias=True):
    """A Linear and its parameters, float64 arrays of float32 numbers."""
    rng = np.random.default_rng([features, outputs])
    weight, b = (float32_values(rng.normal(size=shape)) for shape in ((outputs, features), (outputs,)))
    state = {"weight": weight / 2} | ({"bias": b} if bias else {})
    with variant.selected():
        model = cgru.Linear.from_state_dict(
            state, activation=activation, dtype=variant.dtype, engine=variant.engine
        )
        return variant.quantized(model), state


@gru
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_a_linear_agrees_with_the_oracle(variant, rng, activation):
    for rows, features, outputs in SIZES:
        for bias in (True, False):
            model, state = random_linear(variant, activation, features, outputs, bias)
            x = rng.normal(size=(2, rows, features)).astype(np.float32)
            expected = chains.linear(x, state["weight"], state.get("bias"), activation, dtype=variant.dtype)
            y = model(variant.cast(x))
            assert y.dtype == variant.dtype
            scale = max(1, np.abs(expected).max())
            assert_close(y, expected, variant.tolerance * scale)
            assert_close(model(variant.cast(x)[1], threads=2), expected[1], variant.tolerance * scale)


@pytest.mark.variants(kind="gru", engine="packed", weights="int8")
def test_an_int8_linear_is_its_oracle_to_the_last_bit(variant, rng):
    for rows, features, outputs in SIZES:
        model, state = random_linear(variant, None, features, outputs)
        x = rng.normal(size=(rows, features)).astype(np.float32)
        assert_same_bits(model(x), quantized.int8_product(x, state["weight"], state["bias"]))


@pytest.mark.variants(kind="gru", engine="packed", weights=("bfloat16", "int8"))
@pytest.mark.parametrize("activation", ["elu", "softmax", "gelu"])
def test_a_quantised_linear_agrees_with_the_oracle(variant, rng, activation):
    for rows, features, outputs in SIZES:
        model, state = random_linear(variant, activation, features, outputs)
        x = rng.normal(size=(rows, features)).astype(np.float32)
        affine = AFFINE[variant.weights]
        expected = chains.linear(x, state["weight"], state["bias"], activation, dtype=np.float32, affine=affine)
        assert_close(model(x), expected, variant.tolerance * max(1, np.abs(expected).max()))


@packed
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_a_linear_has_the_same_bits_however_it_is_fed(variant, rng, activation):
    for rows, features, outputs in SIZES:
        model, _ = random_linear(variant, activation, features, outputs)
        x = rng.normal(size=(4, rows, features)).astype(np.float32)
        y = model(x)
        assert_same_bits(model(x, threads=3), y)
        assert_same_bits(model(x[1]), y[1])
        assert_same_bits(model(x[2, -1]), y[2, -1])
        assert_same_bits(model(x.reshape(2, 2, rows, 1, features)), y.reshape(2, 2, rows, 1, outputs))
        assert_same_bits(model(np.asfortranarray(x)), y)
        net = cgru.Sequential([model])
        assert_same_bits(net(x)[0], y)
        stream = net.stream(rows)
        assert_same_bits(np.stack([stream.step(x_t) for x_t in x]), y)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
@pytest.mark.parametrize("weights", WEIGHTS)
def test_a_linear_has_the_same_bits_on_every_instruction_set(rng, weights, activation):
    for rows, features, outputs in SIZES:
        x = rng.normal(size=(rows, features)).astype(np.float32)
        found = [
            random_linear(variant, activation, features, outputs)[0](x)
            for variant in variants(kind="gru", engine="packed", weights=weights, fused=True)
        ]
        for one in found[1:]:
            assert_same_bits(one, found[0])


@gru
@pytest.mark.filterwarnings("ignore:NaN or infinity in bias")
@pytest.mark.parametrize("row", [
    [1, np.nan, 2], [1, np.inf, 2], [-np.inf, 1, 2], [-np.inf] * 3, [3e38, -3e38, 0.0], [np.nan] * 40,
], ids=str)  # fmt: skip
def test_softmax_of_what_is_not_finite(variant, row):
    """In its own row alone."""
    outputs = len(row)
    model = cgru.Linear.from_state_dict(
        {"weight": np.zeros((outputs, 1)), "bias": np.array(row)}, activation="softmax", dtype=variant.dtype,
        engine=variant.engine,
    )  # fmt: skip
    y = model(variant.cast(np.zeros((2, 1))))
    assert_close(y, np.broadcast_to(chains.functions.softmax(np.array(row)), (2, outputs)), variant.tolerance)


@gru
def test_softmax_rows_do_not_touch_each_other(variant, rng):
    model, _ = random_linear(variant, "softmax", 5, 19)
    x = variant.cast(rng.normal(size=(6, 5)))
    clean = model(x)
    assert_close(clean.sum(axis=1), np.ones(6), 1e-6)
    x[2, 3] = np.nan
    y = model(x)
    assert np.isnan(y[2]).all()
    kept = [0, 1, 3, 4, 5]
    assert_same_bits(y[kept], clean[kept])
