"""Streams of networks: what they take and give, refuse, keep and share; how they are fed makes no difference."""

import copy
import pickle
import threading

import numpy as np
import pytest

import cgru
from support import chains
from support.chains import Dense, Recipe, cells, draw_input, network_of
from support.compare import assert_same_bits
from support.models import on_planes, planes, row_of
from support.variants import WEIGHTS

T, N = 9, 5
best_of_each = pytest.mark.variants(kind="gru", weights=WEIGHTS)
packed = pytest.mark.variants(kind="gru", engine="packed", weights=WEIGHTS)
each = pytest.mark.parametrize("recipe", chains.recipes(streams=True), ids=str)

#: A network whose features, units and outputs all differ; `skip` and two planes are in it.
MIXED = Recipe(
    "mixed", 6, (Dense(7, "elu"), cells("gru", 11, num_layers=2), cells("lstm", 9), Dense(4, "softmax")), {"skip": True}
)
#: On either side of the work below which a stream of one row goes step by step.
SHORT = Recipe("short", 6, (cells("gru", 12), Dense(8, "elu"), cells("lstm", 10), Dense(4, "softmax")), {"skip": True})
LONG = Recipe("long", 6, (cells("gru", 80), Dense(8, "elu"), cells("lstm", 60), Dense(4, "softmax")), {"skip": True})


def feed(stream, x):
    """Outputs of one step after the other."""
    return np.stack([stream.step(x_t) for x_t in x])


def of_rows(hx, rows):
    """These rows of all states."""
    return tuple(row_of(one, rows) for one in hx)


def all_planes(state):
    """Every array of a network's state."""
    return [plane for one in state for plane in planes(one)]


def stream_of(variant, recipe, rng, rows=N):
    """A stream in the middle of its sequences, and its network."""
    net = network_of(variant, recipe)
    x, _ = draw_input(Recipe(recipe.name, recipe.input_size, recipe.layers), rng, T, N, variant.dtype)
    stream = net.stream(rows)
    for x_t in x:
        stream.step(x_t if rows else x_t[1])
    return stream, net


def refused(stream, error, match, call, *arguments, **options):
    """The call raises this error, and the stream is where it was."""
    before = stream.state
    with pytest.raises(error, match=match):
        call(*arguments, **options)
    assert_same_bits(stream.state, before)


# ---------------------------------------------------------------------------------------------- the same bits


@packed
@pytest.mark.parametrize("recipe", [SHORT, LONG], ids=str)
@pytest.mark.parametrize("rows", [None, 1, N])
def test_short_and_long_mode(best, rng, recipe, rows):
    """A chunk of few multiply-adds goes step by step, another one layer by layer: the whole network's bits."""
    net = network_of(best, recipe)
    x, hx = draw_input(recipe, rng, 200, rows or 1, np.float32)
    y, final = net(x, hx)
    if rows is None:
        x, y, hx, final = x[:, 0], y[:, 0], of_rows(hx, 0), of_rows(final, 0)
    for sizes in ((200,), (1, 63, 64, 65, 7), (0, 199, 0, 1)):
        stream, begin = net.stream(rows, hx), 0
        for size in sizes:
            assert_same_bits(stream.run(x[begin : begin + size]), y[begin : begin + size])
            begin += size
        assert_same_bits(stream.state, final)


@packed
@each
@pytest.mark.parametrize("rows", [None, N])
def test_prewarm_is_steps_of_silence(best, rng, recipe, rows):
    stream, net = stream_of(best, recipe, rng, rows)
    other = stream.copy()
    silence = np.zeros((rows, net.input_size) if rows else net.input_size, np.float32)
    for _ in range(70):
        other.step(silence)
    assert stream.prewarm(70) is None
    assert_same_bits(stream.state, other.state)
    before = stream.state
    stream.prewarm(0)
    assert_same_bits(stream.state, before)
    for bad, error in ((-1, ValueError), (1.5, TypeError), ("3", TypeError), (None, TypeError)):
        refused(stream, error, "n must be", stream.prewarm, bad)


@packed
@each
def test_rows_alone_and_together(best, rng, recipe):
    """Each row has its own pace; the others keep their states."""
    net = network_of(best, recipe)
    x, hx = draw_input(Recipe(recipe.name, recipe.input_size, recipe.layers), rng, T, N, np.float32)
    stream, alone = net.stream(N, hx), [net.stream(None, of_rows(hx, row)) for row in range(N)]
    picks = [slice(None), [3, 0], 2, np.array([True, False, True, False, True]), [4], slice(1, 5, 2), [], -1]
    for t, rows in enumerate(picks):
        chosen = np.arange(N)[slice(0) if isinstance(rows, list) and not rows else rows]
        x_t = x[t][chosen].copy()
        shape = (*chosen.shape, net.output_size)
        out = np.full(shape, np.nan, np.float32) if t % 2 else None
        y = stream.step(x_t, out=out, rows=rows)
        assert y.shape == shape and (out is None or y is out)
        wanted = [alone[row].step(x[t, row]) for row in np.atleast_1d(chosen)]
        assert_same_bits(y.reshape(-1, net.output_size), np.array(wanted, np.float32).reshape(-1, net.output_size))
    for row, one in enumerate(alone):
        assert_same_bits(of_rows(stream.state, row), one.state)


@packed
@each
def test_rows_start_again(best, rng, recipe):
    """From zeros or stored states, or from given ones; the others go on."""
    stream, net = stream_of(best, recipe, rng)
    _, hx = draw_input(recipe, rng, 1, 2, np.float32)
    before, fresh = stream.state, net.stream(N).state
    stream.reset(rows=[1, 3])
    expected = [plane.copy() for plane in all_planes(before)]
    for plane, new in zip(expected, all_planes(fresh), strict=True):
        plane[:, [1, 3]] = new[:, [1, 3]]
    assert_same_bits(all_planes(stream.state), expected)
    stream.reset(hx, rows=[4, 0])
    for plane, new in zip(expected, all_planes(hx), strict=True):
        plane[:, [4, 0]] = new
    assert_same_bits(all_planes(stream.state), expected)
    stream.reset(of_rows(hx, 1), rows=2)
    for plane, new in zip(expected, all_planes(hx), strict=True):
        plane[:, 2] = new[:, 1]
    assert_same_bits(all_planes(stream.state), expected)
    stream.reset()
    assert_same_bits(stream.state, fresh)


# ---------------------------------------------------------------------------------------- arrays and states


@best_of_each
@pytest.mark.parametrize("rows", [None, N])
def test_other_forms_of_x(best, rng, rows):
    net = network_of(best, MIXED)
    x = best.cast(rng.normal(size=(T, *([rows] if rows else []), 6)))
    forms = [
        np.ndarray.tolist, tuple, np.asfortranarray, lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
        lambda a: a.astype(a.dtype.newbyteorder()), lambda a: a.astype(np.longdouble), memoryview,
    ]  # fmt: skip
    plain = net.stream(rows)
    wanted = feed(plain, x)
    for form in forms:
        stream = net.stream(rows)
        assert_same_bits(np.stack([stream.step(form(x_t)) for x_t in x]), wanted)
        assert_same_bits(stream.state, plain.state)
    other = net.stream(rows)
    assert_same_bits(np.stack([other.step(x_t.astype(np.int8)) for x_t in x * 3]),
                     feed(net.stream(rows), np.ascontiguousarray((x * 3).astype(np.int8).astype(x.dtype))))  # fmt: skip


@best_of_each
@pytest.mark.parametrize("rows", [None, N])
def test_out_and_new_arrays(best, rng, rows):
    """`out` may be where x is, as x has been read by then; the skip still adds what was there."""
    square = Recipe("square", 6, (cells("gru", 11), Dense(6, "tanh")), {"skip": True})
    net = network_of(best, square)
    x = best.cast(rng.normal(size=(T, *([rows] if rows else []), 6)))
    results = [y for stream in [net.stream(rows)] for y in map(stream.step, x)]
    assert not any(np.shares_memory(a, b) for a in results for b in results if a is not b)
    stream, other = net.stream(rows), net.stream(rows)
    out = np.empty_like(x)
    for x_t, y_t, wanted in zip(x, out, results, strict=True):
        assert other.step(x_t, out=y_t) is y_t
        assert stream.step(x_t, out=x_t) is x_t
        assert_same_bits(x_t, wanted)
    assert_same_bits(out, np.stack(results))


@best_of_each
@each
@pytest.mark.parametrize("rows", [None, N])
def test_states_go_both_ways(best, rng, recipe, rows):
    net = network_of(best, recipe)
    plain = Recipe(recipe.name, recipe.input_size, recipe.layers)
    x, hx = draw_input(plain, rng, T, N, best.dtype)
    x, hx = (x, hx) if rows else (x[:, 1], of_rows(hx, 1))
    x = np.ascontiguousarray(x)
    stream = net.stream(rows)
    stream.state = hx
    kept = copy.deepcopy(hx)
    for plane in all_planes(hx):
        plane[...] = np.nan
    assert_same_bits(stream.state, kept)
    first, saved = feed(stream, x[:4]), stream.state
    assert isinstance(saved, tuple) and len(saved) == len(recipe.recurrent)
    for plane in all_planes(saved):
        assert plane.dtype == best.dtype and not plane.flags.writeable
    then = feed(stream, x[4:])
    stream.state = saved
    assert_same_bits(feed(stream, x[4:]), then)
    stream.state = [on_planes(one, np.ndarray.tolist) for one in kept]
    assert_same_bits(feed(stream, x[:4]), first)
    stream.reset((None,) * len(recipe.recurrent))
    assert_same_bits(stream.state, net.stream(rows).state)


@best_of_each
@pytest.mark.parametrize("rows", [None, N])
@pytest.mark.parametrize("how", ["copy", "deepcopy", "pickle", "method"])
def test_copies(best, rng, rows, how):
    again = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": lambda s: pickle.loads(pickle.dumps(s)),
             "method": cgru.Stream.copy}[how]  # fmt: skip
    stream, net = stream_of(best, MIXED, rng, rows)
    other = again(stream)
    assert type(other) is cgru.Stream and other.batch_size == rows and repr(other) == repr(stream)
    assert other.model == net and (other.model is net) == (how in ("copy", "method"))
    assert_same_bits(other.state, stream.state)
    x = best.cast(rng.normal(size=(T, *([rows] if rows else []), 6)))
    before = other.state
    wanted = feed(stream, x)
    assert_same_bits(other.state, before)
    assert_same_bits(feed(other, x), wanted)


@best_of_each
def test_streams_share_a_network_and_nothing_else(best, rng):
    net = network_of(best, MIXED)
    x = best.cast(rng.normal(size=(3, T, 6)))
    alone = [feed(net.stream(), one) for one in x]
    streams = [net.stream() for _ in x]
    del net
    found = [[stream.step(one[t]) for stream, one in zip(streams, x, strict=True)] for t in range(T)]
    assert_same_bits(np.array(found).swapaxes(0, 1), np.array(alone))


@best_of_each
def test_a_network_without_a_state(best, rng):
    """Linears alone: the state is the empty tuple, and every step is for itself."""
    net = network_of(best, Recipe("Linears", 6, (Dense(7, "elu"), Dense(4, "softmax")), {"skip": True}))
    x = best.cast(rng.normal(size=(T, N, 6)))
    stream = net.stream(N)
    assert stream.state == ()
    y = feed(stream, x)
    stream.prewarm(3)
    stream.state = ()
    stream.reset((), rows=[1])
    assert_same_bits(feed(stream.copy(), x), y)
    assert_same_bits(stream.step(x[0, [2, 1]], rows=[2, 1]), y[0, [2, 1]])
    refused(stream, ValueError, "here none; got 1 of them", setattr, stream, "state", (None,))


# ------------------------------------------------------------------------------------------------- errors


@best_of_each
def test_wrong_arrays(best, rng):
    stream, _ = stream_of(best, MIXED, rng)
    x, out = best.cast(np.ones((N, 6))), best.cast(np.ones((N, 4)))
    refused(stream, ValueError, "x_t has 5 features.*input_size=6", stream.step, x[:, 1:])
    refused(stream, ValueError, r"x_t has shape \(4, 6\), this stream expects \(5, 6\)", stream.step, x[1:])
    refused(stream, ValueError, r"x has shape \(2, 4, 6\), this stream expects \(T, 5, 6\)", stream.run, [x[1:]] * 2)
    refused(stream, TypeError, "x_t .*real numbers", stream.step, x.astype(complex))
    refused(stream, ValueError, r"out has shape \(5, 6\), expected \(5, 4\)", stream.step, x, out=x)
    refused(stream, TypeError, "out has dtype int", stream.step, x, out=out.astype(int))
    refused(stream, ValueError, "out has shape", stream.step, x[:2], out=out, rows=[0, 1])
    refused(stream, ValueError, "out must be C-contiguous", stream.step, x, out=np.asfortranarray(out))
    refused(stream, ValueError, "out overlaps x", stream.run, np.broadcast_to(x, (1, N, 6)), out=x.ravel()[:20]
            .reshape(1, N, 4))  # fmt: skip
    refused(stream, ValueError, "rows must each be named once", stream.step, x[:2], rows=[1, 1])
    refused(stream, (IndexError, ValueError), "row", stream.step, x[:1], rows=[N])
    assert (out == 1).all()


@best_of_each
def test_wrong_states(best, rng):
    """The layer is named, and where another network's state was given, how many there are."""
    stream, net = stream_of(best, MIXED, rng)
    gru, lstm = stream.state
    tuples = r"must be a tuple with the state of each recurrent layer, here layer 1 \(GRU\), layer 2 \(LSTM\); got "
    for bad, error, match in (
        (gru, TypeError, f"{tuples}ndarray"), ((gru,), ValueError, f"{tuples}1 of them"),
        ((gru, lstm, gru), ValueError, f"{tuples}3 of them"), ("ab", TypeError, f"{tuples}str"),
        ((lstm, gru), (TypeError, ValueError), r"layer 1 \(GRU\): "),
        ((gru, gru), TypeError, r"layer 2 \(LSTM\): .*must be a pair"),
        ((gru[:1], lstm), ValueError, r"layer 1 \(GRU\): .*expected \(2, 5, 11\)"),
        ((gru, (lstm[0], lstm[1][:, 1:])), ValueError, r"layer 2 \(LSTM\): .*expected \(1, 5, 9\)"),
        ((gru.astype(complex), lstm), TypeError, r"layer 1 \(GRU\): .*real numbers"),
    ):  # fmt: skip
        refused(stream, error, match, setattr, stream, "state", bad)
        refused(stream, error, match, stream.reset, bad)
        with pytest.raises(error, match=match):
            net.stream(N, bad)
        with pytest.raises(error, match=match):
            net(np.ones((T, N, 6)), bad)
    refused(stream, TypeError, "got None", setattr, stream, "state", None)
    refused(stream, ValueError, r"layer 1 \(GRU\)", stream.reset, (gru, lstm), rows=[0, 1])
    refused(stream, AttributeError, "model", setattr, stream, "model", net)


def test_what_cannot_be_streamed():
    both, back = cgru.LSTM(4, 3, bidirectional=True), cgru.GRU(4, 3, reverse=True)
    for layer, way in ((both, "bidirectional"), (back, "reversed")):
        net = cgru.Sequential([cgru.Linear(5, 4), layer])
        for make in (net.stream, lambda net=net: cgru.Stream(net)):
            with pytest.raises(ValueError, match=f"layer 1: a {way} .* cannot be streamed"):
                make()
    many = cgru.Sequential([cgru.Linear(2, 2, rng=k) for k in range(64)])
    assert many.stream().step([1, -1]).shape == (2,)
    more = cgru.Sequential([*many.layers, cgru.GRU(2, 2, 3)])
    with pytest.raises(ValueError, match="at most 64 layers; this model has 67"):
        more.stream()


@pytest.mark.variants(kind="gru", engine="packed")
def test_one_caller(best):
    """While a chunk runs, whatever else is asked of the stream is refused."""
    net = network_of(best, Recipe("slow", 6, (cells("gru", 200), Dense(300, "elu"), cells("lstm", 120), Dense(4))))
    stream, x = net.stream(40), np.ones((40, 6), np.float32)
    chunk, done = np.ones((400, 40, 6), np.float32), []
    expected = net.stream(40).run(chunk)
    runner = threading.Thread(target=lambda: done.append(stream.run(chunk)))
    runner.start()
    refusals = 0
    while runner.is_alive():
        for call in (lambda: stream.state, lambda: stream.step(x), stream.reset, stream.copy):
            if done:
                break
            try:
                call()
            except RuntimeError as error:
                assert "running in another thread" in str(error)
                refusals += 1
    runner.join()
    assert refusals
    assert_same_bits(done[0][-1], expected[-1])
