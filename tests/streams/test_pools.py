"""Pools: each stream gives exactly what a `Stream` of its own would, whoever else joins, leaves or is silent."""

import re

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

import cgru
from support import chains
from support.chains import Dense, Recipe, cells, network_of
from support.compare import assert_same_bits, flat
from support.models import build
from support.pools import Beside
from support.variants import WEIGHTS

pytestmark = pytest.mark.variants(weights=WEIGHTS)
best_of_each = pytest.mark.variants(kind="gru", weights=WEIGHTS)

INPUT, H, LAYERS = 5, 19, 2
CAPACITY = 200      # more than the rows that go through together
COUNTS = 200, 0, 1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 128, 129, 191, 192, 193, 199, 200
MIXED = Recipe(
    "mixed", 6, (Dense(7, "elu"), cells("gru", 11, num_layers=2), cells("lstm", 9), Dense(4, "softmax")), {"skip": True}
)


def walk(beside, ticks, most=12):
    """Streams that come, go, are silent, get states, and step in any order: `ticks` times."""
    rng = beside.rng
    for tick in range(ticks):
        for _ in range(rng.integers(most)):
            if len(beside.streams) < beside.pool.capacity:
                beside.open(random=bool(rng.integers(2)))
        for number in beside.some(rng.integers(most // 2)):
            beside.close(number)
        for number in beside.some(rng.integers(3)):
            beside.set_state(number)
        beside.step(beside.some(rng.integers(len(beside.streams) + 1)), with_out=bool(tick % 2))
        for number in beside.some(1):
            beside.step_one(number)
        if tick % 4 == 0:
            beside.check()
    beside.check()


# ---------------------------------------------------------------------------------------------- the same bits


def test_a_walk(variant, rng):
    """Every cell, engine, instruction set and type of weights."""
    walk(Beside(variant.model(INPUT, H, LAYERS, rng=1), CAPACITY, rng), 30)


def test_any_number_at_once(variant, rng):
    beside = Beside(variant.model(INPUT, H, LAYERS, rng=1), CAPACITY, rng)
    beside.fill()
    for count in COUNTS:
        beside.step(beside.some(count), with_out=bool(count % 2))
    beside.check()


@pytest.mark.configurations(streams=True)
def test_every_configuration(best, configuration, rng):
    """Stored initial states, clips, activations, layouts."""
    walk(Beside(build(best, configuration, INPUT, H), 70, rng), 12, 30)


@best_of_each
@pytest.mark.parametrize("recipe", [*chains.recipes(streams=True), MIXED], ids=str)
def test_networks(variant, recipe, rng):
    """Of Linears alone too, as they have a stream; theirs is a state without arrays."""
    walk(Beside(network_of(variant, recipe), 70, rng), 12, 30)


@best_of_each
@pytest.mark.parametrize("H", [1, 2, 16, 47, 130])
def test_sizes(best, H, rng):
    for layers, features in ((1, 1), (3, 40)):
        beside = Beside(best.model(features, H, layers, rng=1), 67, rng)
        beside.fill()
        for count in (67, 1, 66, 3):
            beside.step(beside.some(count))
        beside.check()


def test_wide_models(best, rng):
    """Whose step is long, so that another thread may run meanwhile."""
    beside = Beside(best.model(40, 300, rng=1), 150, rng)
    beside.fill()
    for count in (150, 1, 64, 149):
        beside.step(beside.some(count))
    beside.check()


@pytest.mark.variants(engine="packed", fused=True, weights=WEIGHTS)
def test_the_whole_model_s_bits(best, rng):
    """Not only the stream's: a sequence through a pool is the call's, on `packed`."""
    model = best.model(INPUT, H, LAYERS, rng=1)
    pool, x = model.pool(80), rng.normal(size=(11, 80, INPUT)).astype(np.float32)
    ids = [pool.open() for _ in range(80)]
    y, final = model(x)
    for x_t, y_t in zip(x, y, strict=True):
        assert_same_bits(pool.step(ids, x_t), y_t)
    for row, number in enumerate(ids):
        for plane, wanted in zip(flat(pool.state(number)), flat(final), strict=True):
            assert_same_bits(plane, wanted[:, row])


def test_others_nans_stay_theirs(best, rng):
    """A stream that was given NaN and infinities gives no other a different number."""
    beside = Beside(best.model(INPUT, H, LAYERS, rng=1), 70, rng)
    numbers = beside.fill()
    ill, well = numbers[::7], [number for number in numbers if number not in numbers[::7]]
    pool = beside.pool
    for _ in range(3):
        order = beside.some(70)
        x = beside.draw(70)
        with np.errstate(all="ignore"):
            bad = [np.nan, np.inf, -np.inf, 3e38]
            for place, number in enumerate(order):
                if number in ill:
                    x[place] = bad[number % 4]
            y = pool.step(order, x)
        for place, number in enumerate(order):
            if number in well:
                assert_same_bits(y[place], beside.streams[number].step(x[place]))
    for number in well:
        assert_same_bits(pool.state(number), beside.streams[number].state)


# -------------------------------------------------------------------------------------------- a state machine


class Machine(RuleBasedStateMachine):
    """Whatever is done, in whatever order: the pool is its streams."""

    ids = Bundle("ids")

    def __init__(self):
        super().__init__()
        self.beside = Beside(self.model, 5, np.random.default_rng(3))
        self.gone = []

    @rule(target=ids, random=st.booleans())
    def open(self, random):
        if len(self.beside.streams) == 5:
            self.beside.refused(RuntimeError, "5", self.beside.pool.open)
            return self.beside.some(1)[0]
        return self.beside.open(random=random)

    @rule(number=consumes(ids))
    def close(self, number):
        if number in self.beside.streams:
            self.beside.close(number)
            self.gone.append(number)
        else:
            self.beside.refused(ValueError, str(number), self.beside.pool.close, number)

    @rule(number=ids)
    def set_state(self, number):
        if number in self.beside.streams:
            self.beside.set_state(number)

    @rule(numbers=st.lists(ids, max_size=7), with_out=st.booleans())
    def step(self, numbers, with_out):
        alive = all(number in self.beside.streams for number in numbers)
        if alive and len(set(numbers)) == len(numbers):
            self.beside.step(numbers, with_out=with_out)
        else:
            self.beside.refused(ValueError, "id", self.beside.pool.step, numbers, self.beside.draw(len(numbers)))

    @rule(number=ids)
    def step_one(self, number):
        if number in self.beside.streams:
            self.beside.step_one(number)

    @invariant()
    def same(self):
        self.beside.check()
        assert not any(number in self.beside.pool for number in self.gone)


@pytest.mark.parametrize("recipe", [None, MIXED], ids=["lstm", "network"])
def test_anything_in_any_order(recipe):
    if recipe is None:
        made = cgru.LSTM(3, 4, 2, rng=1)
    else:
        made = cgru.Sequential.from_chain(chains.draw_chain(recipe, np.float32))
    machine = type("Machine", (Machine,), {"model": made})
    run_state_machine_as_test(machine, settings=settings(max_examples=60, stateful_step_count=30))


# ----------------------------------------------------------------------------------------------- construction


@pytest.mark.configurations(streams=False)
def test_models_that_need_the_future(best, configuration):
    model = build(best, configuration, INPUT, H)
    way = "bidirectional" if model.bidirectional else "reversed"
    for make in (lambda: model.pool(4), lambda: cgru.Pool(model, 4)):
        with pytest.raises(ValueError, match=f"a {way} {best.cell.name} cannot be streamed"):
            make()


def test_networks_that_cannot_be_streamed():
    both, back = cgru.LSTM(4, 3, bidirectional=True), cgru.GRU(4, 3, reverse=True)
    for layer, way in ((both, "bidirectional"), (back, "reversed")):
        with pytest.raises(ValueError, match=f"layer 1: a {way} .* cannot be streamed"):
            cgru.Sequential([cgru.Linear(5, 4), layer]).pool(4)
    for model in (cgru.Linear(5, 4), None, "model.safetensors", np.zeros(3), cgru.GRU):
        with pytest.raises(TypeError, match="model must be a GRU"):
            cgru.Pool(model, 4)


@pytest.mark.variants(kind="gru")
@pytest.mark.parametrize("size, error", [
    (0, ValueError), (-1, ValueError), (2**24 + 1, ValueError), (2**31, ValueError), (2**62, ValueError),
    (2**80, ValueError),
    (2.5, TypeError), (2.0, TypeError), (True, TypeError), ("4", TypeError), (None, TypeError), ((4,), TypeError),
])  # fmt: skip
def test_bad_capacity(best, size, error):
    with pytest.raises(error, match=f"capacity.*{re.escape(str(size))}"):
        best.model(INPUT, H, rng=1).pool(size)


@pytest.mark.variants(kind="gru")
@pytest.mark.parametrize("threads, error", [
    (0, ValueError), (-2, ValueError), (2.0, TypeError), (True, TypeError), ("2", TypeError), (None, TypeError),
])  # fmt: skip
def test_bad_threads(best, threads, error):
    with pytest.raises(error, match=f"threads.*{re.escape(str(threads))}"):
        best.model(INPUT, H, rng=1).pool(4, threads=threads)


@pytest.mark.variants(kind="gru", engine="packed", weights="float32")
def test_arguments_by_name(best):
    model = best.model(INPUT, H, rng=1)
    for call in (model.pool, lambda: model.pool(4, 2), lambda: model.pool(4, size=2), cgru.Pool):
        with pytest.raises(TypeError):
            call()
