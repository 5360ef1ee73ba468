"""What a window refuses, after which it goes on as if nothing had been asked; and that it has one caller at a time."""

import copy
import pickle
import re
import threading

import numpy as np
import pytest

import cgru
from support.arrays import read_only, unaligned
from support.chains import Dense, Recipe, cells, network_of
from support.compare import assert_close, assert_same_bits
from support.models import build, draw_hx, pack, planes
from support.users import fight
from support.variants import WEIGHTS

pytestmark = pytest.mark.variants(weights=WEIGHTS)

T, INPUT, H, LAYERS = 4, 5, 19, 2


class Pair:
    """A window in the middle of its samples, and its twin, of which nothing wrong is asked."""

    def __init__(self, best, rng, pending):
        self.model = best.model(INPUT, H, LAYERS, rng=1)
        hx = draw_hx(best, rng, self.model)
        self.window, self.twin = self.model.window(T, hx), self.model.window(T, hx)
        self.x = best.cast(rng.normal(size=(20, INPUT)))
        for sample in self.x[:9]:
            self.window.step(sample)
            self.twin.step(sample)
        if not pending:
            self.window.settle()

    def refused(self, error, match, call, *arguments, **options):
        """The call raises this error."""
        with pytest.raises(error, match=match):
            call(*arguments, **options)
        assert self.window.count == 9

    def goes_on(self):
        """Whether every answer from here on is the twin's."""
        for sample in self.x[9:]:
            assert_same_bits(self.window.step(sample), self.twin.step(sample))


@pytest.fixture(params=["pending", "settled"])
def pair(request, best, rng):
    """Where a sample is still to be settled and where none is; it goes on after the test."""
    pair = Pair(best, rng, request.param == "pending")
    yield pair
    pair.goes_on()


# ------------------------------------------------------------------------------------------------ x, out


@pytest.mark.parametrize("shape", [(INPUT - 1,), (INPUT + 1,), (0,), (), (1,), (INPUT, 1), (H,)])
def test_wrong_feature_count(pair, shape):
    for dtype in (np.float32, np.float64, int):
        pair.refused(ValueError, f"features.*input_size={INPUT}", pair.window.step, np.ones(shape, dtype))


@pytest.mark.parametrize("shape", [(1, INPUT), (T, INPUT), (1, 1, INPUT), (0, INPUT)])
def test_more_than_a_sample(pair, shape):
    expected = re.escape(f"has shape {shape}") + ".*" + re.escape(f"expects ({INPUT},)")
    for dtype in (np.float32, np.float64):
        pair.refused(ValueError, expected, pair.window.step, np.ones(shape, dtype))


@pytest.mark.parametrize("bad", [
    np.ones(INPUT, complex), np.full(INPUT, None), np.full(INPUT, "1.5"), np.zeros(INPUT, "M8[s]"), ["1"] * INPUT, None,
    "0.5", {"x": 1.0},
], ids=str)  # fmt: skip
def test_no_numbers(pair, bad):
    out = np.full(H, np.nan, pair.model.dtype)
    pair.refused(TypeError, "real numbers", pair.window.step, bad)
    pair.refused(TypeError, "real numbers", pair.window.step, bad, out=out)
    assert np.isnan(out).all()


def test_ragged(pair):
    pair.refused(ValueError, "cannot be read as an array", pair.window.step, [1.0, [2.0], 3.0, 4.0, 5.0])


class Subclass(np.ndarray):
    """An ndarray by another name."""


def foreign_outs(dtype):
    """Error, message, and an `out` that cannot be filled in place."""
    plain = np.zeros(H, dtype)
    contiguous = "out must be C-contiguous and aligned"
    other = np.float64 if dtype == np.float32 else np.float32
    return {
        "list": (TypeError, "out must be a NumPy array; got list", plain.tolist()),
        "buffer": (TypeError, "out must be a NumPy array; got memoryview", memoryview(plain)),
        "other float": (TypeError, "out has dtype float.., expected float..", plain.astype(other)),
        "integers": (TypeError, "out has dtype int", np.zeros(H, f"i{dtype.itemsize}")),
        "byte-swapped": (TypeError, "out has dtype >f", plain.astype(dtype.newbyteorder())),
        "too few": (ValueError, "out has shape", np.zeros(H - 1, dtype)),
        "too many": (ValueError, "out has shape", np.zeros(H + 1, dtype)),
        "a row": (ValueError, "out has shape", np.zeros((1, H), dtype)),
        "number": (ValueError, "out has shape", np.zeros((), dtype)),
        "read-only": (ValueError, "out is read-only", read_only(plain)),
        "strided": (ValueError, contiguous, np.zeros(2 * H, dtype)[::2]),
        "reversed": (ValueError, contiguous, plain[::-1]),
        "unaligned": (ValueError, contiguous, unaligned(plain)),
        "subclass": (ValueError, "not of a subclass", plain.view(Subclass)),
    }


@pytest.mark.parametrize("form", foreign_outs(np.dtype(np.float32)))
def test_foreign_out(pair, form):
    error, match, out = foreign_outs(pair.model.dtype)[form]
    kept = np.array(out)
    for x in (np.ones(INPUT, pair.model.dtype), [1] * INPUT):
        pair.refused(error, match, pair.window.step, x, out=out)
        assert np.array_equal(np.array(out), kept)


def test_wrong_calls(pair):
    """Arguments that there are none of."""
    x = np.ones(INPUT, pair.model.dtype)
    for call in (lambda: pair.window.step(), lambda: pair.window.step(x, None, None), lambda: pair.window.settle(1),
                 lambda: pair.window.step(x, rows=[0]), lambda: pair.window.step(x, lengths=[1])):  # fmt: skip
        pair.refused(TypeError, None, call)
    for name in ("T", "model", "count", "anything"):
        pair.refused(AttributeError, None, setattr, pair.window, name, 1)


# ------------------------------------------------------------------------------------------------- states


def bad_states(dtype):
    """Error, message, and what cannot be a plane of a state (LAYERS, H)."""
    good = np.zeros((LAYERS, H), dtype)
    shape = re.escape(f"expected {(LAYERS, H)}")
    return {
        "one layer": (ValueError, shape, good[:1]),
        "with a batch": (ValueError, shape, good[:, None]),
        "a row of each sample": (ValueError, shape, np.zeros((LAYERS, T, H), dtype)),
        "too few units": (ValueError, shape, good[:, 1:]),
        "number": (ValueError, shape, 0.0),
        "complex": (TypeError, "real numbers", good.astype(complex)),
        "ragged": (ValueError, "cannot be read as an array", [[0.0] * H, [0.0]]),
    }


@pytest.mark.parametrize("form", bad_states(np.dtype(np.float32)))
def test_bad_state(pair, form):
    error, match, bad = bad_states(pair.model.dtype)[form]
    states = pair.model.config.cell.states
    good = np.ones((LAYERS, H), pair.model.dtype)
    for plane in range(len(states)):
        hx = pack([bad if number == plane else good for number in range(len(states))])
        pair.refused(error, match, pair.window.reset, hx)
        pair.refused(error, match, pair.model.window, T, hx)


@pytest.mark.variants(kind="lstm")
def test_an_lstm_s_state_is_a_pair(pair):
    for hx in (np.zeros((LAYERS, H)), (None,) * 3, "h", 0.0):
        pair.refused(TypeError, r"hx must be a pair \(h_0, c_0\)", pair.window.reset, hx)
        pair.refused(TypeError, r"hx must be a pair \(h_0, c_0\)", pair.model.window, T, hx)


@pytest.mark.variants(kind="gru", weights=WEIGHTS)
def test_states_of_a_network(best):
    net = network_of(best, Recipe("two", 6, (Dense(7), cells("gru", 11), cells("lstm", 9), Dense(4))))
    gru, pair = np.zeros((1, 11)), (np.zeros((1, 9)), np.zeros((1, 9)))
    window = net.window(3, (gru, pair))
    for bad, error, match in (
        (gru, TypeError, "must be a tuple with the state of each recurrent layer"), ((gru,), ValueError, "1 of them"),
        ((gru, gru), TypeError, r"layer 2 \(LSTM\): .*must be a pair"),
        ((gru[:, 1:], pair), ValueError, r"layer 1 \(GRU\): .*expected \(1, 11\)"),
    ):  # fmt: skip
        for call in (window.reset, lambda hx: net.window(3, hx)):
            with pytest.raises(error, match=match):
                call(bad)


# ------------------------------------------------------------------------------------------- construction


@pytest.mark.parametrize("steps, error", [
    (0, ValueError), (-1, ValueError), (2**31, ValueError), (2**62, ValueError), (2**80, ValueError), (1.5, TypeError),
    (2.0, TypeError), (True, TypeError), ("4", TypeError), ((4,), TypeError), (None, TypeError),
])  # fmt: skip
def test_bad_T(best, steps, error):
    model = best.model(INPUT, H, rng=1)
    with pytest.raises(error, match=rf"\bT\b.*{re.escape(str(steps))}"):
        model.window(steps)
    for missing in (lambda: model.window(), lambda: model.window(3, None, None)):
        with pytest.raises(TypeError):
            missing()


def test_a_T_of_numpy(best):
    assert best.model(INPUT, H, rng=1).window(np.int16(3)).T == 3


@pytest.mark.configurations(streams=False)
def test_models_that_need_the_future(best, configuration):
    model = build(best, configuration, INPUT, H)
    with pytest.raises(ValueError, match="bidirectional" if model.bidirectional else "revers"):
        model.window(T)


def test_networks_that_need_the_future():
    both, back = cgru.LSTM(4, 3, bidirectional=True), cgru.GRU(4, 3, reverse=True)
    for layer, way in ((both, "bidirectional"), (back, "revers")):
        with pytest.raises(ValueError, match=f"layer 1: a {way}"):
            cgru.Sequential([cgru.Linear(5, 4), layer]).window(T)


def test_a_linear_has_no_window():
    with pytest.raises((AttributeError, TypeError), match=r"window|Linear"):
        cgru.Linear(4, 3).window(T)


def test_too_many_layers(best):
    assert best.model(2, 3, 64, rng=1).window(2).step([0.5, -0.5]).shape == (3,)
    with pytest.raises(ValueError, match="at most 64 layers; this model has 65"):
        best.model(2, 3, 65, rng=1).window(2)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, pickle.dumps], ids=["copy", "deepcopy", "pickle"])
def test_no_copies(pair, again):
    pair.refused(TypeError, "a window cannot be pickled or copied", again, pair.window)


# ------------------------------------------------------------------------------------------- one caller


def test_threads_that_collide_corrupt_nothing(best):
    """Threads that fight over long steps and settles: each call happens as a whole or not at all."""
    model = best.model(INPUT, {"rnn": 1100}.get(best.kind, 640), rng=1)       # over a million multiply-adds
    x = best.cast(np.linspace(-1, 1, INPUT))
    window = model.window(3)
    done = fight(*[lambda: window.step(x)] * 2, window.settle, times=40)
    assert window.count == done[0] + done[1] > 0
    y, _ = model(np.tile(x, (min(3, window.count + 1), 1)))
    assert_close(window.step(x), y[-1], 0 if best.engine == "packed" and best.fused else best.tolerance)


@pytest.mark.variants(kind="gru", weights=WEIGHTS)
def test_use_from_a_second_thread_is_an_error(best):
    """While it settles, everything is refused; it comes to its right end."""
    model = best.model(INPUT, 1000, rng=1)
    x = best.cast(np.linspace(-1, 1, INPUT))
    window, out = model.window(40), np.empty(1000, best.dtype)
    for _ in range(39):
        window.step(x)
    refused = set()
    for _ in range(60):
        window.step(x)
        runner = threading.Thread(target=window.settle)
        runner.start()
        for name, call in (("step", lambda: window.step(x, out=out)), ("settle", window.settle)):
            while runner.is_alive() and name not in refused:
                count = window.count
                try:
                    call()
                except RuntimeError as error:
                    assert re.search("running in another thread.*give each thread its own", str(error))
                    assert window.count == count
                    refused.add(name)
                else:
                    break       # it has settled already, or not begun
        runner.join()
        if refused == {"step", "settle"}:
            break
    assert refused == {"step", "settle"}
    y, _ = model(np.tile(x, (40, 1)))
    assert_close(window.step(x), y[-1], 0 if best.engine == "packed" and best.fused else best.tolerance)
    for call in (lambda: window.step(x[1:]), lambda: window.reset("h")):      # free again, and bad input told as such
        with pytest.raises((TypeError, ValueError)):
            call()


def test_what_it_has_seen_is_no_secret(best, rng):
    """`count` and `T` are read, planes of states are not shared."""
    model = best.model(INPUT, H, LAYERS, rng=1)
    hx = draw_hx(best, rng, model)
    window = model.window(T, hx)
    kept = [plane.copy() for plane in planes(hx)]
    for k in range(1, 8):
        window.step([1.0] * INPUT)
        window.settle()
        assert (window.count, window.T) == (k, T)
    assert_same_bits(planes(hx), tuple(kept))
