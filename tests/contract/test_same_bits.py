"""The numerical contract of engine "packed": a row's bits depend on that row, not on how it is fed.

Everything is compared with == on the bits. `test_contract_sums.py` has the order of additions itself, and
`test_oracle_agreement.py` the numbers.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bits import BOTH_WAYS, FUSED, PACKED, SIZES, STACKS, assert_same_bits, build, draw
from cases import random_lengths

T = 11


@pytest.fixture(params=PACKED, ids=lambda variant: variant.isa)
def packed(request):
    """Engine "packed" on each instruction set."""
    return request.param


def in_chunks(run, x, size, axis):
    """Outputs of `run` over consecutive pieces of x, put together."""
    pieces = [x[:, t : t + size] if axis else x[t : t + size] for t in range(0, x.shape[axis], size)]
    return np.concatenate([run(piece) for piece in pieces], axis=axis)


class Carried:
    """The model itself, called on piece after piece, its h_n handed on as the next h_0."""

    def __init__(self, model, h):
        self.model, self.h = model, h

    def __call__(self, x):
        y, self.h = self.model(x, self.h)
        return y


# ------------------------------------------------------------------------------ whole, chunked, stepped


@pytest.mark.parametrize("stack", STACKS)
def test_chunks_of_every_size(packed, rng, stack):
    """The whole sequence = its pieces of 1, 2, ... T steps, through the model and through a stream."""
    for number, (input_size, H, N) in enumerate(SIZES):
        if number % 3 and stack not in ("after", "before"):
            continue
        model = build(packed, input_size, H, **STACKS[stack])
        axis = int(model.batch_first)
        x, h_0 = draw(packed, rng, model, T, N)
        whole = model(x, h_0)
        stream = model.stream(N)
        for size in range(1, T + 1):
            carried = Carried(model, h_0)
            assert_same_bits((in_chunks(carried, x, size, axis), carried.h), whole)
            stream.state = h_0
            assert_same_bits((in_chunks(stream.run, x, size, axis), stream.state), whole)


@pytest.mark.parametrize("stack", STACKS)
def test_step_by_step(packed, rng, stack):
    """The whole sequence = Stream.step after Stream.step, new output or `out`, one row or a batch."""
    for input_size, H, N in SIZES:
        model = build(packed, input_size, H, **STACKS[stack])
        x, h_0 = draw(packed, rng, model, T, N)
        whole, h_n = model(x, h_0)
        steps, y = (a.swapaxes(0, 1) if model.batch_first else a for a in (x, whole))
        stream, row, out = model.stream(N, h_0), model.stream(h_0=h_0[:, 1]), np.empty((N, H), packed.dtype)
        for t in range(T):
            x_t = np.ascontiguousarray(steps[t])
            assert_same_bits(stream.step(x_t, out=out) if t % 2 else stream.step(x_t), y[t])
            assert_same_bits(row.step(x_t[1]), y[t, 1])
        assert_same_bits(stream.state, h_n)
        assert_same_bits(row.state, h_n[:, 1])


def test_long_sequences(packed, rng):
    """Longer than the engine's own time chunks (3 steps and 170), and batches beyond its block of rows."""
    for input_size, H, N, steps in ((40, 100, 400, 4), (5, 24, 9, 600), (3, 512, 700, 2)):
        for reset_after in (True, False):
            model = build(packed, input_size, H, reset_after=reset_after)
            x, h_0 = draw(packed, rng, model, steps, N)
            whole = model(x, h_0)
            carried = Carried(model, h_0)
            assert_same_bits((in_chunks(carried, x, steps // 2 + 1, 0), carried.h), whole)
            assert_same_bits(model.stream(N, h_0).step(x[0]), whole[0][0])
            for row in (0, N // 2, N - 1):
                assert_same_bits(model(x[:, row], h_0[:, row]), (whole[0][:, row], whole[1][:, row]))
            lengths = random_lengths(rng, steps, N)
            cut = model(x, h_0, lengths=lengths)
            for row in (0, N // 2, N - 1):
                alone = model(x[: lengths[row], row], h_0[:, row])
                assert_same_bits((cut[0][: lengths[row], row], cut[1][:, row]), alone)


# -------------------------------------------------------------------------------------- alone, in batches


@pytest.mark.parametrize("options", [*STACKS.values(), *BOTH_WAYS.values()], ids=[*STACKS, *BOTH_WAYS])
def test_a_row_in_every_batch_at_every_position(packed, rng, options):
    """A row alone = that row among 1 to 32 others, wherever it stands."""
    model = build(packed, 5, 33, **options)
    row_axis = 0 if model.batch_first else 1
    steps = 3
    others, h_others = draw(packed, rng, model, steps, 32)
    row, h_row = draw(packed, rng, model, steps, 1)
    y_row, h_n_row = model(row, h_row)
    unbatched = model(row.take(0, row_axis), h_row[:, 0])
    assert_same_bits(unbatched, (y_row.take(0, row_axis), h_n_row[:, 0]))
    for N in range(2, 34):
        for position in range(N):
            among = [slice(0, position), slice(position, N - 1)]
            x = np.concatenate([others[cut(among[0], row_axis)], row, others[cut(among[1], row_axis)]], row_axis)
            h_0 = np.concatenate([h_others[:, among[0]], h_row, h_others[:, among[1]]], 1)
            y, h_n = model(x, h_0)
            assert_same_bits((y.take(position, row_axis), h_n[:, position]), unbatched)


def cut(rows, row_axis):
    """Index of a slice of batch rows."""
    return (rows,) if row_axis == 0 else (slice(None), rows)


@pytest.mark.parametrize("options", [*STACKS.values(), *BOTH_WAYS.values()], ids=[*STACKS, *BOTH_WAYS])
def test_every_row_with_lengths(packed, rng, options):
    """A batch with lengths = every row alone, cut to its length; over all tails."""
    for number, (input_size, H, N) in enumerate(SIZES):
        if number % 4:
            continue
        model = build(packed, input_size, H, **options)
        x, h_0 = draw(packed, rng, model, T, N)
        lengths = random_lengths(rng, T, N)
        lengths[N // 2] = 0
        y, h_n = model(x, h_0, lengths=lengths)
        rows, outputs = (a if model.batch_first else a.swapaxes(0, 1) for a in (x, y))
        for i, length in enumerate(lengths):
            alone = model(rows[i, :length], h_0[:, i])
            assert_same_bits((outputs[i, valid(model, length)], h_n[:, i]), alone)


def valid(model, length):
    """Where a row's outputs stand: go_backwards, once or three times, leaves them at the end of a flipped sequence."""
    return slice(T - length, T) if model._weights.config.go_backwards and model.num_layers % 2 else slice(0, length)


@settings(max_examples=60)
@given(st.data())
def test_any_rows_in_any_order_in_any_pieces(data):
    """Random sizes, rows repeated and exchanged, a sequence cut anywhere, on any number of threads."""
    packed = data.draw(st.sampled_from(PACKED))
    input_size, H, N, steps = (data.draw(st.integers(1, high)) for high in (40, 70, 40, 30))
    options = {"num_layers": data.draw(st.integers(1, 3)), "reset_after": data.draw(st.booleans())}
    model = build(packed, input_size, H, **options)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    x, h = draw(packed, rng, model, steps, N)
    y, h_n = model(x, h)
    rows = np.array(data.draw(st.lists(st.integers(0, N - 1), min_size=1, max_size=40)))
    middle, threads = data.draw(st.integers(0, steps)), data.draw(st.integers(1, 5))
    first, h = model(x[:middle, rows], h[:, rows], threads=threads)
    second, h = model(x[middle:, rows], h)
    assert_same_bits((np.concatenate([first, second]), h), (y[:, rows], h_n[:, rows]))


# -------------------------------------------------------------------------------------- threads, orders


@pytest.mark.parametrize("options", [*STACKS.values(), *BOTH_WAYS.values()], ids=[*STACKS, *BOTH_WAYS])
@pytest.mark.parametrize("with_lengths", [False, True], ids=["full", "lengths"])
def test_threads(packed, rng, options, with_lengths):
    """1 to 8 threads, fewer rows than threads and many more."""
    model = build(packed, 5, 33, **options)
    for N in (1, 3, 9, 33, 130):
        x, h_0 = draw(packed, rng, model, 6, N)
        lengths = random_lengths(rng, 6, N) if with_lengths and N > 1 else None
        one = model(x, h_0, lengths=lengths)
        for threads in range(2, 9):
            out = np.full_like(one[0], np.nan)
            many = model(x, h_0, lengths=lengths, threads=threads, out=out if threads % 2 else None)
            assert_same_bits(many, one)


@pytest.mark.parametrize("options", [STACKS["before"], STACKS["batch first"], BOTH_WAYS["bidirectional"]], ids=repr)
def test_memory_orders(packed, rng, options):
    """Views with other strides give the bits of their copies."""
    model = build(packed, 5, 33, **options)
    x, h_0 = draw(packed, rng, model, 9, 9)
    wide = packed.cast(rng.normal(size=(18, 27, 11)))
    wide[::2, ::3, 1:6] = x
    fortran = np.asfortranarray(x)
    flipped = np.ascontiguousarray(x[::-1, ::-1, ::-1])[::-1, ::-1, ::-1]
    swapped = np.ascontiguousarray(x.swapaxes(0, 1)).swapaxes(0, 1)
    expected = model(x, h_0)
    for view in (wide[::2, ::3, 1:6], fortran, flipped, swapped):
        assert not view.flags.c_contiguous
        assert_same_bits(model(view, np.asfortranarray(h_0)), expected)
        assert_same_bits(model(view, h_0, threads=3), expected)


def test_not_a_number_stays_what_and_where_it_is(packed, rng):
    """NaN and infinity: other rows keep their bits, and pieces give NaN where the whole does.

    Which NaN it is (sign, payload) depends on the order of a processor's operands; nobody promises that.
    """
    for stack in ("after", "before"):
        model = build(packed, 5, 33, num_layers=2, **STACKS[stack])
        x, h_0 = draw(packed, rng, model, T, 9)
        clean, _ = model(x, h_0)
        x[2, 3, 1], x[4, 5, 2], x[4, 5, 3], x[3, 8, 4] = np.nan, np.inf, -np.inf, np.inf
        y, h_n = model(x, h_0)
        others = [0, 1, 2, 4, 6, 7]
        assert_same_bits(y[:, others], clean[:, others])
        assert np.isnan(y[2:, 3]).all() and not np.isnan(y[:, 8]).any()
        carried = Carried(model, h_0)
        stepped = in_chunks(carried, x, 1, 0)
        for result, whole in ((stepped, y), (carried.h, h_n), (model(x, h_0, threads=4)[0], y)):
            assert np.array_equal(np.isnan(result), np.isnan(whole))
            assert_same_bits(np.nan_to_num(result), np.nan_to_num(whole))


# ------------------------------------------------------------------------------------- instruction sets


@pytest.mark.skipif(len(FUSED) < 2, reason="this machine has one instruction set with fused multiply-adds only")
@pytest.mark.parametrize("options", [*STACKS.values(), *BOTH_WAYS.values()], ids=[*STACKS, *BOTH_WAYS])
def test_instruction_sets(rng, options):
    """x86-64-v3 = x86-64-v4: whole and stepped, with lengths and without."""
    for input_size, H, N in SIZES:
        models = [build(variant, input_size, H, **options) for variant in FUSED]
        x, h_0 = draw(FUSED[0], rng, models[0], T, N)
        lengths = random_lengths(rng, T, N)
        for given_lengths in (None, lengths):
            first, *others = [model(x, h_0, lengths=given_lengths) for model in models]
            assert np.isfinite(first[0]).all() and np.ptp(first[0]) > 0.01
            for other in others:
                assert_same_bits(other, first)


def test_the_instruction_sets_are_the_ones_asked_for():
    """What is compared above comes from different modules."""
    modules = [type(build(variant, 2, 3)._cells[0]).__module__ for variant in PACKED]
    assert modules == [f"cgru.engines._packed_{variant.isa.replace('-', '_')}" for variant in PACKED]
