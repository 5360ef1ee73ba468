"""What a `Pool` refuses, with a clear error and every stream's state left as it was."""

import itertools
import re

import numpy as np
import pytest

import cgru
from support.arrays import read_only, unaligned
from support.chains import Dense, Recipe, cells, network_of
from support.compare import assert_same_bits, flat
from support.models import pack
from support.pools import Beside
from support.variants import WEIGHTS

pytestmark = pytest.mark.variants(weights=WEIGHTS)

INPUT, H, LAYERS, M, CAPACITY = 5, 19, 2, 4, 70
NAMES = "hx|state|h_0|c_0"
NETWORK = Recipe("network", 6, (cells("gru", 11, num_layers=2), Dense(7, "elu"), cells("lstm", 9), Dense(4)))


@pytest.fixture
def beside(best, rng):
    """A full pool in the middle of its streams' sequences, beside streams."""
    beside = Beside(best.model(INPUT, H, LAYERS, rng=1), CAPACITY, rng)
    beside.fill()
    beside.step(beside.some(CAPACITY))
    return beside


# ------------------------------------------------------------------------------------------------------- ids


def test_an_id_twice(beside):
    """Next to each other, far apart, in any form; the message names it and where it is."""
    numbers = list(beside.streams)
    for first, second in ((0, 1), (0, 69), (3, 66), (63, 64), (68, 69)):
        ids = numbers[:]
        ids[second] = ids[first]
        for given in (ids, tuple(ids), np.array(ids), np.array(ids, np.uint64)):
            x, out = beside.draw(CAPACITY), np.full((CAPACITY, H), np.nan, beside.model.dtype)
            match = rf"ids\[{second}\] = {ids[first]} "
            beside.refused(ValueError, match, beside.pool.step, given, x, out=out)
            assert np.isnan(out).all()
    beside.refused(ValueError, rf"\b{numbers[5]}\b", beside.pool.step, [numbers[5]] * 2, beside.draw(2))


def test_an_id_that_is_closed(beside):
    pool, numbers = beside.pool, list(beside.streams)
    gone = numbers[30]
    beside.close(gone)
    for place in (0, 1, 63, 64, 69):
        ids = [number for number in numbers if number != gone]
        ids.insert(place, gone)
        match = rf"ids\[{place}\] = {gone} "
        beside.refused(ValueError, match, pool.step, ids, beside.draw(CAPACITY))
        beside.refused(ValueError, match, pool.step, np.array(ids), beside.draw(CAPACITY))
    hx = pool.state(numbers[0])
    for call, arguments in ((pool.step, (gone, beside.draw())), (pool.state, (gone,)), (pool.set_state, (gone, hx)),
                            (pool.close, (gone,))):  # fmt: skip
        beside.refused(ValueError, rf"\b{gone}\b", call, *arguments)
        beside.refused(ValueError, rf"\b{gone}\b", call, np.int64(gone), *arguments[1:])
    beside.open()
    beside.refused(ValueError, rf"\b{gone}\b", pool.close, gone)        # its slot is somebody else's now


def test_an_id_of_another_pool(best, beside, rng):
    """Of the same model, with the same slots."""
    other = Beside(beside.model, CAPACITY, rng)
    other.fill()
    for mine, others in zip(list(beside.streams)[:3], list(other.streams)[:3], strict=True):
        beside.refused(ValueError, rf"ids\[1\] = {others} ", beside.pool.step, [mine, others], beside.draw(2))
        beside.refused(ValueError, rf"\b{others}\b", beside.pool.close, others)
        beside.refused(ValueError, rf"\b{others}\b", beside.pool.set_state, others, other.pool.state(others))
        other.refused(ValueError, rf"\b{mine}\b", other.pool.state, mine)
    other.check()


NOBODY = {
    "negative": -1, "minus two": -2, "lowest": -(2**63), "highest": 2**63 - 1, "above int64": 2**63,
    "last of uint64": 2**64 - 1, "above uint64": 2**64, "far above": 10**40, "far below": -(10**40),
}  # fmt: skip


@pytest.mark.parametrize("name", NOBODY)
def test_ids_of_nobody(beside, name):
    """Also where the lowest 32 or 64 bits would be somebody's."""
    pool, number = beside.pool, beside.some(1)[0]
    bad = NOBODY[name]
    for one in (bad, bad + number, number - 2**32, number + 2**32, number + 2**64, number - 2**64):
        if one in beside.streams:
            continue
        beside.refused(ValueError, re.escape(str(one)), pool.step, one, beside.draw())
        beside.refused(ValueError, re.escape(str(one)), pool.step, [number, one], beside.draw(2))
        beside.refused(ValueError, re.escape(str(one)), pool.state, one)
        beside.refused(ValueError, re.escape(str(one)), pool.close, one)
        assert one not in pool
        if -(2**63) <= one < 2**64:
            array = np.array([one])
            assert array.dtype.kind in "iu"
            beside.refused(ValueError, re.escape(str(one)), pool.step, array, beside.draw(1))


def ids_of_a_wrong_form(number):
    """No integers; and integers in a wrong shape."""
    return {
        "bool": True, "bool of NumPy": np.True_, "fraction": 1.5, "whole fraction": float(number), "text": str(number),
        "None": None, "complex": complex(number), "bytes": bytes([1]), "slice": slice(None), "object": object(),
        "list with bool": [True], "list with bool and id": [number, False], "list with fraction": [float(number)],
        "list with text": [str(number)], "list with None": [None], "list with list": [[number]],
        "bools": np.array([True]), "floats": np.array([float(number)]), "texts": np.array([str(number)]),
        "dates": np.array([number], "M8[s]"), "objects": np.array([object()]),
        "mapping": {number: 0}, "set": {number}, "generator": (n for n in [number]), "float64": np.float64(number),
    }  # fmt: skip


@pytest.mark.parametrize("form", ids_of_a_wrong_form(1))
def test_ids_of_a_wrong_form(beside, form):
    ids = ids_of_a_wrong_form(beside.some(1)[0])[form]
    for shape in ((1,), ()):
        beside.refused((TypeError, ValueError), "id", beside.pool.step, ids, beside.draw(*shape))
    if not isinstance(ids, list | np.ndarray):
        hx = beside.pool.state(beside.some(1)[0])
        for call, more in ((beside.pool.state, ()), (beside.pool.close, ()), (beside.pool.set_state, (hx,))):
            beside.refused((TypeError, ValueError), "id", call, ids, *more)


@pytest.mark.variants(kind="gru")
def test_ids_of_a_wrong_shape(beside):
    numbers = beside.some(4)
    for shape in ((2, 2), (1, 4), (4, 1)):
        ids = np.array(numbers).reshape(shape)
        beside.refused(ValueError, "ids", beside.pool.step, ids, beside.draw(4))


# ------------------------------------------------------------------------------------------------- x and out


def test_x_of_a_wrong_shape(beside):
    """Also of a batch where there is one id, and of one stream where there is a batch."""
    numbers = beside.some(M)
    for ids, shapes in (
        (numbers, [(M, INPUT - 1), (M, INPUT + 1), (M, 1), (M, 0), (INPUT,), (), (M - 1, INPUT), (M + 1, INPUT),
                   (0, INPUT), (1, M, INPUT), (INPUT, M)]),
        (numbers[:1], [(INPUT,), (0, INPUT), (2, INPUT), (1, INPUT + 1)]),
        (numbers[0], [(1, INPUT), (INPUT + 1,), (1,), (0,), (), (M, INPUT)]),
        ([], [(1, INPUT), (INPUT,), (0, INPUT + 1), (0,)]),
    ):  # fmt: skip
        for shape, dtype in itertools.product(shapes, (np.float32, np.float64, int)):
            beside.refused(ValueError, "x", beside.pool.step, ids, np.ones(shape, dtype))


WRONG_X = {
    "complex": np.ones((M, INPUT), np.complex64), "object": np.full((M, INPUT), None), "nothing": None,
    "text": np.full((M, INPUT), "1.5"), "dates": np.zeros((M, INPUT), "M8[s]"), "list of texts": [["1"] * INPUT] * M,
    "mapping": {"x": 1.0},
}  # fmt: skip


@pytest.mark.parametrize("form", WRONG_X)
def test_x_of_a_wrong_form(beside, form):
    beside.refused(TypeError, "x.* real numbers", beside.pool.step, beside.some(M), WRONG_X[form])


def test_ragged_x(beside):
    beside.refused(ValueError, "x.* cannot be read", beside.pool.step, beside.some(M), [[1.0] * INPUT] * 3 + [[1.0]])


def test_x_is_converted(best, rng):
    """What a stream's step takes, a pool's takes."""
    model = best.model(INPUT, H, rng=1)
    x = best.cast(rng.normal(size=(M, INPUT)))
    forms = (np.ndarray.tolist, np.asfortranarray, unaligned, read_only, memoryview, lambda a: a.astype(np.longdouble),
             lambda a: a.astype(a.dtype.newbyteorder()), lambda a: np.repeat(a, 2, axis=0)[::2])  # fmt: skip
    for form in forms:
        pool = model.pool(9)
        ids = [pool.open() for _ in range(M)]
        wanted = [model.stream().step(row) for row in x]
        assert_same_bits(pool.step(ids, form(x)), np.stack(wanted))
    pool = model.pool(1)
    assert_same_bits(pool.step(pool.open(), x[0].tolist()), wanted[0])


class Subclass(np.ndarray):
    """An ndarray by another name."""


def foreign_outs(dtype):
    """Error, message, and an `out` that cannot be filled in place."""
    plain = np.full((M, H), 0.5, dtype)
    other = np.dtype(np.float64 if dtype == np.float32 else np.float32)
    return {
        "list": (TypeError, "out must be a NumPy array; got list", plain.tolist()),
        "buffer": (TypeError, "out must be a NumPy array; got memoryview", memoryview(plain)),
        "other float": (TypeError, "out has dtype float.., expected float..", plain.astype(other)),
        "integers": (TypeError, "out has dtype int", plain.astype(f"i{dtype.itemsize}")),
        "byte-swapped": (TypeError, "out has dtype >f", plain.astype(dtype.newbyteorder())),
        "transposed": (ValueError, "out has shape", plain.T.copy()),
        "one row": (ValueError, "out has shape", plain[0]),
        "a row too few": (ValueError, "out has shape", plain[1:]),
        "of the pool": (ValueError, "out has shape", np.full((CAPACITY, H), 0.5, dtype)),
        "too many units": (ValueError, "out has shape", np.full((M, H + 1), 0.5, dtype)),
        "with time": (ValueError, "out has shape", plain[None]),
        "read-only": (ValueError, "out is read-only", read_only(plain)),
        "strided": (ValueError, "C-contiguous", np.full((M, 2 * H), 0.5, dtype)[:, ::2]),
        "Fortran": (ValueError, "C-contiguous", np.asfortranarray(plain)),
        "reversed": (ValueError, "C-contiguous", plain[::-1]),
        "unaligned": (ValueError, "C-contiguous and aligned", unaligned(plain)),
        "subclass": (ValueError, "not of a subclass", plain.view(Subclass)),
    }


@pytest.mark.parametrize("form", foreign_outs(np.dtype(np.float32)))
def test_foreign_out(beside, form):
    error, match, out = foreign_outs(beside.model.dtype)[form]
    beside.refused(error, match, beside.pool.step, beside.some(M), beside.draw(M), out=out)
    assert (np.asarray(out) == np.asarray(out).dtype.type(0.5)).all()


def test_out_that_overlaps_x(best, rng):
    """In place, shifted by numbers, rows and blocks of rows, and through another object: x was read before."""
    count, rows = 150, best.model(H, H, rng=1)
    size = count * H
    memory = np.zeros(2 * size, best.dtype)
    for model in (rows, cgru.Sequential([rows, best.model(H, H, rng=2)], skip=True)):
        beside = Beside(model, count, rng)
        beside.fill()
        for shift in (0, 1, H, 64 * H, size // 2):
            low, high = memory[:size].reshape(count, H), memory[shift : shift + size].reshape(count, H)
            for x, out, view in ((low, high, np.asarray), (high, low, np.asarray), (high, low, memoryview)):
                x[...] = rng.normal(size=x.shape)
                numbers = beside.some(count)
                wanted = [beside.streams[number].step(row) for number, row in zip(numbers, x.copy(), strict=True)]
                assert beside.pool.step(numbers, view(x), out=out) is out
                assert_same_bits(out, np.stack(wanted))
        beside.check()


def test_out_in_the_memory_of_ids(best, rng):
    """Ids are read before anything is written."""
    beside = Beside(best.model(INPUT, 2 * 8 // best.dtype.itemsize, rng=1), 70, rng)
    beside.fill()
    numbers = beside.some(70)
    ids = np.zeros((70, 2), np.int64)
    given, out = ids.ravel()[:70], ids.view(best.dtype)
    given[:] = numbers
    x = beside.draw(70)
    wanted = [beside.streams[number].step(row) for number, row in zip(numbers, x, strict=True)]
    assert_same_bits(beside.pool.step(given, x, out=out), np.stack(wanted))
    beside.check()


def test_the_first_error_counts_not(beside):
    """A step with several things wrong is refused too, whichever is named."""
    numbers = beside.some(M)
    out = np.full((M, H), np.nan, beside.model.dtype)
    good = beside.draw(M)
    for ids, x in (([*numbers[:3], -1], good), ([*numbers[:3], numbers[0]], good), (numbers, good[:, 1:]),
                   (numbers, good[1:]), ([True] * M, good), (numbers, None)):  # fmt: skip
        beside.refused((TypeError, ValueError), ".", beside.pool.step, ids, x, out=out)
        beside.refused((TypeError, ValueError), ".", beside.pool.step, ids, x, out=out[1:])
    assert np.isnan(out).all()


# ----------------------------------------------------------------------------------------------------- states


def test_wrong_states(beside):
    """`open` and `set_state` name the shape that they want; a refused `open` takes no place and no id."""
    pool = beside.pool
    number, leaving = beside.some(2)
    beside.close(leaving)
    right = pool.state(number)
    planes = flat(right)
    for shape in ((LAYERS, 1, H), (H,), (LAYERS, H + 1), (LAYERS + 1, H), (H, LAYERS), (0, H), ()):
        hx = pack([np.ones(shape, np.float32) for _ in planes])
        for call in (lambda hx=hx: pool.open(hx), lambda hx=hx: pool.set_state(number, hx)):
            beside.refused(ValueError, re.escape(f"{(LAYERS, H)}"), call)
    wrong = ("h", {"h": 1}, pack([np.ones((LAYERS, H), complex) for _ in planes]), [], 1 + 2j)
    for hx in wrong:
        beside.refused((TypeError, ValueError), NAMES, pool.open, hx)
        beside.refused((TypeError, ValueError), NAMES, pool.set_state, number, hx)
    beside.open()
    beside.refused(RuntimeError, str(CAPACITY), pool.open)
    beside.refused(RuntimeError, str(CAPACITY), pool.open, right)


@pytest.mark.variants(kind="lstm")
def test_an_lstm_s_state_is_a_pair(beside):
    h, c = beside.pool.state(beside.some(1)[0])
    beside.close(beside.some(1)[0])
    for hx in (h, (h,), (h, c, c), (h, c[:1]), (h[:, 1:], c)):
        beside.refused((TypeError, ValueError), NAMES, beside.pool.open, hx)
        beside.refused((TypeError, ValueError), NAMES, beside.pool.set_state, beside.some(1)[0], hx)


@pytest.mark.variants(kind="gru", weights=WEIGHTS)
def test_a_network_s_state_is_a_tuple(best, rng):
    """One of a later layer that is wrong leaves the earlier layers' as they were."""
    beside = Beside(network_of(best, NETWORK), 3, rng)
    numbers = beside.fill()
    beside.step(numbers)
    gru, lstm = beside.pool.state(numbers[1])
    beside.close(numbers[2])
    new = gru + 1
    for hx in (gru, (gru,), (new, lstm, gru), "ab", (lstm, gru), (new, gru), (new, (lstm[0] + 1, lstm[1][:, 1:])),
               (new[:1], lstm), (new.astype(complex), lstm)):  # fmt: skip
        beside.refused((TypeError, ValueError), f"{NAMES}|layer", beside.pool.set_state, numbers[1], hx)
        beside.refused((TypeError, ValueError), f"{NAMES}|layer", beside.pool.open, hx)
