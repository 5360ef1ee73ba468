"""Pools: how streams are named, what a slot holds that is used again, states that come and go."""

import pickle

import numpy as np
import pytest

import cgru
from support.chains import Dense, Recipe, cells, network_of
from support.compare import assert_same_bits, flat
from support.models import build
from support.pools import Beside, fresh_hx
from support.processes import run_python
from support.variants import WEIGHTS

pytestmark = pytest.mark.variants(weights=WEIGHTS)

INPUT, H, LAYERS = 5, 19, 2
MIXED = Recipe(
    "mixed", 6, (Dense(7, "elu"), cells("gru", 11, num_layers=2), cells("lstm", 9), Dense(4, "softmax")), {"skip": True}
)

FORMS = {
    "list": list,
    "tuple": tuple,
    "list of NumPy's": lambda numbers: [np.int64(number) for number in numbers],
    "list of unsigned ones": lambda numbers: [np.uint64(number) for number in numbers],
    "mixed": lambda numbers: tuple(number if place % 2 else np.uint64(number) for place, number in enumerate(numbers)),
    "int64": lambda numbers: np.array(numbers, np.int64),
    "uint64": lambda numbers: np.array(numbers, np.uint64),
    "byte-swapped": lambda numbers: np.array(numbers, ">i8"),
    "read-only": lambda numbers: np.frombuffer(np.array(numbers, np.int64).tobytes(), np.int64),
    "every other one": lambda numbers: np.repeat(np.array(numbers, np.int64), 2)[::2],
    "from the end": lambda numbers: np.array(numbers[::-1], np.int64)[::-1],
    "a column": lambda numbers: np.array([numbers, numbers], np.int64).T.copy()[:, 1],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.variants(kind="lstm")
def test_forms_of_ids(best, form, rng):
    beside = Beside(best.model(INPUT, H, rng=1), 70, rng)
    beside.fill()
    for count in (70, 1, 0, 33):
        numbers = beside.some(count)
        ids = FORMS[form](numbers)
        beside.step(numbers, ids)
    beside.check()


@pytest.mark.variants(kind="gru")
def test_one_id(best, rng):
    """x without a batch, y without one; also in an array, and a batch of one is another thing."""
    beside = Beside(best.model(INPUT, H, LAYERS, rng=1), 3, rng)
    for number in beside.fill():
        for given in (number, np.int64(number), np.uint64(number), np.array(number)):
            beside.step_one(number, given)
        beside.step([number])
        x, out = beside.draw(), np.full(H, np.nan, best.dtype)
        assert beside.pool.step(number, x, out=out) is out
        assert_same_bits(out, beside.streams[number].step(x))
        state = beside.pool.state(np.int64(number))
        beside.pool.set_state(np.uint64(number), state)
        assert np.int64(number) in beside.pool
    beside.check()
    for number in [*beside.streams]:
        beside.pool.close(np.uint64(number))
    assert len(beside.pool) == 0 and beside.pool.ids.tolist() == []


@pytest.mark.configurations(name="initial state")
def test_a_slot_is_used_again(best, configuration, rng):
    """Whoever comes starts at the stored state or the given one; the old id names nobody."""
    model = build(best, configuration, INPUT, H)
    beside = Beside(model, 3, rng)
    seen = set(beside.fill())
    for _ in range(12):
        beside.step(beside.some(3))
        (leaving,) = beside.some(1)
        beside.close(leaving)
        assert leaving not in beside.pool
        beside.refused(ValueError, str(leaving), beside.pool.step, [leaving], beside.draw(1))
        new = beside.open()
        assert_same_bits(beside.pool.state(new), model.stream().state)
        assert any(plane.any() for plane in flat(beside.pool.state(new)))
        assert new not in seen
        seen.add(new)
        beside.refused(ValueError, str(leaving), beside.pool.state, leaving)
        beside.close(new)
        beside.open(random=True)
        seen.add(list(beside.streams)[-1])
        beside.check()


def test_ids_are_unique_in_the_process(best):
    model = best.model(INPUT, H, rng=1)
    pools = [model.pool(3), model.pool(2), best.model(INPUT, H, rng=2).pool(4)]
    seen = [pool.open() for _ in range(2) for pool in pools]
    for pool in pools:
        pool.close(int(pool.ids[0]))
    seen += [pool.open() for pool in pools]
    assert len(set(seen)) == len(seen)


def test_what_a_pool_says(best):
    model = best.model(INPUT, H, rng=1)
    pool = model.pool(4)
    assert isinstance(pool, cgru.Pool) and pool.model is model
    assert pool.capacity == 4 and pool.threads == 1 and len(pool) == 0 and pool.ids.shape == (0,)
    assert model.pool(np.int32(4), threads=2).threads == 2
    ids = [pool.open() for _ in range(3)]
    pool.ids[:] = 0         # a copy
    assert pool.ids.tolist() == ids
    pool.close(ids[0])
    assert pool.ids.tolist() == ids[1:] and ids[0] not in pool and -1 not in pool and 2**70 not in pool
    for name in ("capacity", "model", "threads", "ids", "anything"):
        with pytest.raises(AttributeError):
            setattr(pool, name, 1)
    assert repr(model) in repr(pool)


# ------------------------------------------------------------------------------------------------------- states


def test_states_are_copies(best, rng):
    """Both ways: what was given and what was got are nobody's memory."""
    model = best.model(INPUT, H, LAYERS, rng=1)
    hx = fresh_hx(model, rng)
    kept = pickle.loads(pickle.dumps(hx))
    pool = model.pool(2)
    number, other = pool.open(hx), pool.open()
    pool.set_state(other, hx)
    for plane in flat(hx):
        plane[...] = np.nan
    for one in (number, other):
        assert_same_bits(pool.state(one), kept)
    before = pool.state(number)
    pool.step([number], np.ones((1, INPUT)))
    assert_same_bits(before, kept)
    assert all((a != b).any() for a, b in zip(flat(pool.state(number)), flat(kept), strict=True))
    assert_same_bits(pool.state(other), kept)
    pool.set_state(number, before)
    assert_same_bits(pool.state(number), kept)


def test_forms_of_states(best, rng):
    """As a stream takes them: lists, other dtypes, other strides."""
    model = best.model(INPUT, H, LAYERS, rng=1)
    hx = fresh_hx(model, rng)

    def made(function):
        return tuple(map(function, hx)) if isinstance(hx, tuple) else function(hx)

    for function in (np.ndarray.tolist, np.asfortranarray, lambda a: a.astype(np.longdouble), lambda a: a[::-1, ::-1],
                     lambda a: (9 * a).astype(np.int8)):  # fmt: skip
        given = made(function)
        pool, wanted = model.pool(2), model.stream(hx=given).state
        first, second = pool.open(given), pool.open()
        pool.set_state(second, given)
        assert_same_bits((pool.state(first), pool.state(second)), (wanted, wanted))


MOVED = """
import pickle, sys
import numpy as np, cgru
state, x = pickle.loads(open("state", "rb").read())
net = cgru.load("model.safetensors", engine=sys.argv[1])
pool = net.pool(90)
ids = [pool.open() for _ in range(90)]
pool.close(ids[40])
number = pool.open(state)
later = pool.open() if len(pool) < 90 else ids[3]
ys = []
for t, x_t in enumerate(x):
    everyone = np.random.default_rng(t).permutation(pool.ids)
    y = pool.step(everyone, np.where((everyone == number)[:, None], x_t, np.float32(t)))
    ys.append(y[everyone == number][0])
    if t == 3:
        pool.set_state(later, pool.state(number))       # it moves once more, inside
        pool.close(number)
        number = later
open("result", "wb").write(pickle.dumps((np.stack(ys), pool.state(number))))
"""


@pytest.mark.variants(kind="gru", weights=WEIGHTS)
def test_a_stream_moves_to_another_process(best, rng, folder):
    net = network_of(best, MIXED)
    beside = Beside(net, 66, rng)
    beside.fill()
    for _ in range(3):
        beside.step(beside.some(66))
    number = beside.some(1)[0]
    x = beside.draw(9)
    net.save("model.safetensors")
    with open("state", "wb") as file:
        pickle.dump((beside.pool.state(number), x), file)
    run_python(MOVED, best.engine)
    with open("result", "rb") as file:
        y, state = pickle.load(file)
    stream = beside.streams[number]
    assert_same_bits((y, state), (np.stack([stream.step(x_t) for x_t in x]), stream.state))


@pytest.mark.variants(weights="float32")
def test_a_pool_keeps_what_it_needs(best, rng):
    """The model may be forgotten."""
    beside = Beside(best.model(INPUT, H, LAYERS, rng=1), 70, rng)
    beside.model = None
    beside.streams = {}
    pool, x = beside.pool, rng.normal(size=(70, INPUT)).astype(best.dtype)
    stream = best.model(INPUT, H, LAYERS, rng=1).stream()
    garbage = [best.model(INPUT, H, LAYERS, rng=seed) for seed in range(5)]
    assert len(garbage) == 5
    ids = [pool.open() for _ in range(70)]
    assert_same_bits(pool.step(ids, x)[69], stream.step(x[69]))
