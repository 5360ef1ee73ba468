"""The numerical contract of engine "packed": a row's bits depend on that row, not on how it is fed.

Everything is compared with == on the bits. `test_sums.py` has the order of additions itself, and
`test_oracle_agreement.py` the numbers.
"""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.compare import assert_same_bits, flat
from support.models import Configuration, build, configurations, draw, on_planes, pack, planes, random_lengths, row_of
from support.variants import WEIGHTS, variants

T = 11
PACKED, FUSED = (variants(engine="packed", weights=WEIGHTS, fused=fused) for fused in ((True, False), True))
KINDS = list(dict.fromkeys(variant.kind for variant in PACKED))

#: Every remainder of a block of 16, 8 and 4 units, of a tile of 8 and 4 rows, one feature and many; and (I, H, N)
#: that also have units for one or two panels only.
HIDDEN, ROWS, FEATURES = (24, 33, 100), (3, 9, 33), (1, 5, 40)
SMALL = (1, 1, 2), (5, 7, 3), (40, 13, 2), (3, 8, 5), (2, 16, 9), (9, 32, 4)
SIZES = (*itertools.product(FEATURES, HIDDEN, ROWS), *SMALL)

pytestmark = pytest.mark.variants(engine="packed", weights=WEIGHTS)


def in_chunks(run, x, size, axis):
    """Outputs of `run` over consecutive pieces of x, put together."""
    pieces = [x[:, t : t + size] if axis else x[t : t + size] for t in range(0, x.shape[axis], size)]
    return np.concatenate([run(piece) for piece in pieces], axis=axis)


class Carried:
    """The model itself, called on piece after piece, its final state handed on as the next hx."""

    def __init__(self, model, hx):
        self.model, self.hx = model, hx

    def __call__(self, x):
        y, self.hx = self.model(x, self.hx)
        return y


# ------------------------------------------------------------------------------ whole, chunked, stepped


@pytest.mark.configurations(streams=True)
def test_chunks_of_every_size(variant, configuration, rng):
    """The whole sequence = its pieces of 1, 2, ... T steps, through the model and through a stream."""
    for number, (input_size, H, N) in enumerate(SIZES):
        if number % 3 and configuration.layout != "one layer":
            continue
        model = build(variant, configuration, input_size, H)
        axis = int(model.batch_first)
        x, hx = draw(variant, rng, model, T, N)
        whole = model(x, hx)
        stream = model.stream(N)
        for size in range(1, T + 1):
            carried = Carried(model, hx)
            assert_same_bits((in_chunks(carried, x, size, axis), carried.hx), whole)
            stream.state = hx
            assert_same_bits((in_chunks(stream.run, x, size, axis), stream.state), whole)


@pytest.mark.configurations(streams=True)
def test_step_by_step(variant, configuration, rng):
    """The whole sequence = Stream.step after Stream.step, new output or `out`, one row or a batch."""
    for input_size, H, N in SIZES:
        model = build(variant, configuration, input_size, H)
        x, hx = draw(variant, rng, model, T, N)
        whole, final = model(x, hx)
        steps, y = (a.swapaxes(0, 1) if model.batch_first else a for a in (x, whole))
        stream, row, out = model.stream(N, hx), model.stream(None, row_of(hx, 1)), np.empty((N, H), variant.dtype)
        for t in range(T):
            x_t = np.ascontiguousarray(steps[t])
            assert_same_bits(stream.step(x_t, out=out) if t % 2 else stream.step(x_t), y[t])
            assert_same_bits(row.step(x_t[1]), y[t, 1])
        assert_same_bits(stream.state, final)
        assert_same_bits(row.state, row_of(final, 1))


@pytest.mark.configurations(layout="one layer")
def test_long_sequences(variant, configuration, rng):
    """Longer than the engine's own time chunks (3 steps and 170), and batches beyond its block of rows."""
    for input_size, H, N, steps in ((40, 100, 400, 4), (5, 24, 9, 600), (3, 512, 700, 2)):
        model = build(variant, configuration, input_size, H)
        x, hx = draw(variant, rng, model, steps, N)
        whole = model(x, hx)
        carried = Carried(model, hx)
        assert_same_bits((in_chunks(carried, x, steps // 2 + 1, 0), carried.hx), whole)
        assert_same_bits(model.stream(N, hx).step(x[0]), whole[0][0])
        for row in (0, N // 2, N - 1):
            assert_same_bits(model(x[:, row], row_of(hx, row)), (whole[0][:, row], row_of(whole[1], row)))
        lengths = random_lengths(rng, steps, N)
        cut = model(x, hx, lengths=lengths)
        for row in (0, N // 2, N - 1):
            alone = model(x[: lengths[row], row], row_of(hx, row))
            assert_same_bits((cut[0][: lengths[row], row], row_of(cut[1], row)), alone)


# -------------------------------------------------------------------------------------- alone, in batches


def test_a_row_in_every_batch_at_every_position(variant, configuration, rng):
    """A row alone = that row among 1 to 32 others, wherever it stands."""
    model = build(variant, configuration, 5, 33)
    row_axis = 0 if model.batch_first else 1
    steps = 3
    others, hx_others = draw(variant, rng, model, steps, 32)
    row, hx_row = draw(variant, rng, model, steps, 1)
    y_row, final_row = model(row, hx_row)
    unbatched = model(row.take(0, row_axis), row_of(hx_row, 0))
    assert_same_bits(unbatched, (y_row.take(0, row_axis), row_of(final_row, 0)))
    for N in range(2, 34):
        for position in range(N):
            among = [slice(0, position), slice(position, N - 1)]
            x = np.concatenate([others[cut(among[0], row_axis)], row, others[cut(among[1], row_axis)]], row_axis)
            hx = pack([
                np.concatenate([rest[:, among[0]], own, rest[:, among[1]]], 1)
                for rest, own in zip(planes(hx_others), planes(hx_row), strict=True)
            ])  # fmt: skip
            y, final = model(x, hx)
            assert_same_bits((y.take(position, row_axis), row_of(final, position)), unbatched)


def cut(rows, row_axis):
    """Index of a slice of batch rows."""
    return (rows,) if row_axis == 0 else (slice(None), rows)


def test_every_row_with_lengths(variant, configuration, rng):
    """A batch with lengths = every row alone, cut to its length; over all tails."""
    for number, (input_size, H, N) in enumerate(SIZES):
        if number % 4:
            continue
        model = build(variant, configuration, input_size, H)
        x, hx = draw(variant, rng, model, T, N)
        lengths = random_lengths(rng, T, N)
        lengths[N // 2] = 0
        y, final = model(x, hx, lengths=lengths)
        rows, outputs = (a if model.batch_first else a.swapaxes(0, 1) for a in (x, y))
        for i, length in enumerate(lengths):
            alone = model(rows[i, :length], row_of(hx, i))
            assert_same_bits((outputs[i, valid(configuration, length)], row_of(final, i)), alone)


def valid(configuration, length):
    """Where a row's outputs stand: go_backwards, once or three times, leaves them at the end of a flipped sequence."""
    options = configuration.options
    behind = options.get("go_backwards") and options.get("num_layers", 1) % 2
    return slice(T - length, T) if behind else slice(0, length)


@settings(max_examples=100)
@given(st.data())
def test_any_rows_in_any_order_in_any_pieces(data):
    """Random sizes, rows repeated and exchanged, a sequence cut anywhere, on any number of threads."""
    packed = data.draw(st.sampled_from(PACKED))
    input_size, H, N, steps = (data.draw(st.integers(1, high)) for high in (40, 70, 40, 30))
    form = data.draw(st.sampled_from(configurations(kind=packed.kind, layout="one layer")))
    layers = {"num_layers": data.draw(st.integers(1, 3))}
    model = build(packed, Configuration(packed.kind, "random", form.options | layers), input_size, H)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    x, hx = draw(packed, rng, model, steps, N)
    y, final = model(x, hx)
    rows = np.array(data.draw(st.lists(st.integers(0, N - 1), min_size=1, max_size=40)))
    middle, threads = data.draw(st.integers(0, steps)), data.draw(st.integers(1, 5))
    first, hx = model(x[:middle, rows], row_of(hx, rows), threads=threads)
    second, hx = model(x[middle:, rows], hx)
    assert_same_bits((np.concatenate([first, second]), hx), (y[:, rows], row_of(final, rows)))


# -------------------------------------------------------------------------------------- threads, orders


@pytest.mark.parametrize("with_lengths", [False, True], ids=["full", "lengths"])
def test_threads(variant, configuration, rng, with_lengths):
    """1 to 8 threads, fewer rows than threads and many more."""
    model = build(variant, configuration, 5, 33)
    for N in (1, 3, 9, 33, 130):
        x, hx = draw(variant, rng, model, 6, N)
        lengths = random_lengths(rng, 6, N) if with_lengths and N > 1 else None
        one = model(x, hx, lengths=lengths)
        for threads in range(2, 9):
            out = np.full_like(one[0], np.nan)
            many = model(x, hx, lengths=lengths, threads=threads, out=out if threads % 2 else None)
            assert_same_bits(many, one)


def test_memory_orders(variant, configuration, rng):
    """Views with other strides give the bits of their copies."""
    model = build(variant, configuration, 5, 33)
    x, hx = draw(variant, rng, model, 9, 9)
    wide = variant.cast(rng.normal(size=(18, 27, 11)))
    wide[::2, ::3, 1:6] = x
    fortran = np.asfortranarray(x)
    flipped = np.ascontiguousarray(x[::-1, ::-1, ::-1])[::-1, ::-1, ::-1]
    swapped = np.ascontiguousarray(x.swapaxes(0, 1)).swapaxes(0, 1)
    expected = model(x, hx)
    for view in (wide[::2, ::3, 1:6], fortran, flipped, swapped):
        assert not view.flags.c_contiguous
        assert_same_bits(model(view, on_planes(hx, np.asfortranarray)), expected)
        assert_same_bits(model(view, hx, threads=3), expected)


@pytest.mark.variants(weights="float32")
@pytest.mark.configurations(layout="two layers")
def test_not_a_number_stays_what_and_where_it_is(variant, configuration, rng):
    """NaN and infinity: other rows keep their bits, and pieces give NaN where the whole does.

    Which NaN it is (sign, payload) depends on the order of a processor's operands; nobody promises that.
    """
    model = build(variant, configuration, 5, 33)
    x, hx = draw(variant, rng, model, T, 9)
    clean, _ = model(x, hx)
    x[2, 3, 1], x[4, 5, 2], x[4, 5, 3], x[3, 8, 4] = np.nan, np.inf, -np.inf, np.inf
    y, final = model(x, hx)
    others = [0, 1, 2, 4, 6, 7]
    assert_same_bits(y[:, others], clean[:, others])
    assert np.isnan(y[2:, 3]).all()
    # what saturates makes finite numbers of infinity; of relu's the next product makes inf - inf
    assert np.isnan(y[:, 8]).any() == (configuration.form == "relu")
    carried = Carried(model, hx)
    stepped = in_chunks(carried, x, 1, 0)
    for result, whole in ((stepped, y), (carried.hx, final), (model(x, hx, threads=4)[0], y)):
        for array, wanted in zip(flat(result), flat(whole), strict=True):
            assert np.array_equal(np.isnan(array), np.isnan(wanted))
            assert_same_bits(np.nan_to_num(array), np.nan_to_num(wanted))


# ------------------------------------------------------------------------------------- instruction sets


def fused_ones(configuration, weights):
    """The variants with fused multiply-adds that compute a configuration with these weights, if tests want them."""
    wanted = configuration.quantizes or weights == "float32"
    return [one for one in FUSED if (one.kind, one.weights) == (configuration.kind, weights) and wanted]


ACROSS = [
    pytest.param(fused_ones(one, weights), one, id=f"{one}, {weights}")
    for kind in KINDS for one in configurations(kind=kind) for weights in WEIGHTS
    if len(fused_ones(one, weights)) > 1
]  # fmt: skip


@pytest.mark.skipif(not ACROSS, reason="this machine has one instruction set with fused multiply-adds only")
@pytest.mark.parametrize("fused,configuration", ACROSS)
def test_instruction_sets(rng, fused, configuration):
    """x86-64-v3 = x86-64-v4, and of int8 with VNNI and without: whole and stepped, with lengths and without."""
    for input_size, H, N in SIZES:
        models = [build(variant, configuration, input_size, H) for variant in fused]
        x, hx = draw(fused[0], rng, models[0], T, N)
        lengths = random_lengths(rng, T, N)
        for given_lengths in (None, lengths):
            first, *others = [model(x, hx, lengths=given_lengths) for model in models]
            assert np.isfinite(first[0]).all()
            assert np.ptp(first[0]) > 0.01 or (H == 1 and configuration.form == "relu")     # a unit that is never on
            for other in others:
                assert_same_bits(other, first)


def test_the_instruction_sets_are_the_ones_asked_for():
    """What is compared above comes from different modules."""
    models = [build(variant, configurations(kind=variant.kind)[0], 2, 3) for variant in PACKED]
    modules = [type(model.directions[0]).__module__ for model in models]
    assert modules == [f"cgru.engines._packed_{variant.isa.replace('-', '_')}" for variant in PACKED]
