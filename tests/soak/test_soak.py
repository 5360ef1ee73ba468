"""Long use: ten million steps, a hundred thousand models, a million streams of a pool; memory stays flat.

Plain pytest does a thousandth of it; all of it is ``pytest tests/soak -m exhaustive -s``, two minutes of one core.
"""

import itertools

import numpy as np
import pytest

import cgru
from soak.usage import Usage, assert_flat, halves, needs_proc, usage
from support.compare import assert_same_bits, flat

pytestmark = needs_proc
size = pytest.mark.parametrize("part", [1000, pytest.param(1, marks=pytest.mark.exhaustive)], ids="1/{}".format)

INPUTS, H = 3, 8


def network():
    """A small network."""
    return cgru.Sequential([cgru.Linear(INPUTS, 5, activation="relu", rng=1), cgru.GRU(5, H, rng=2),
                            cgru.LSTM(H, 6, rng=3), cgru.Linear(6, 2, rng=4)])  # fmt: skip


MAKERS = {
    "GRU": lambda **options: cgru.GRU(INPUTS, H, **options),
    "GRU, int8": lambda **options: cgru.GRU(INPUTS, H, **options).quantize("int8"),
    "GRU, bfloat16": lambda **options: cgru.GRU(INPUTS, H, num_layers=2, **options).quantize("bfloat16"),
    "LSTM": lambda **options: cgru.LSTM(INPUTS, H, **options),
    "RNN, float64": lambda **options: cgru.RNN(INPUTS, H, dtype=np.float64, **options),
    "network": lambda **_: network(),
}


# --------------------------------------------------------------------------------------------------- steps

#: Ten million in all.
STEPS = {"GRU": 3_000_000, "GRU, int8": 2_000_000, "LSTM": 2_000_000, "network": 2_000_000, "RNN, float64": 1_000_000}


@size
@pytest.mark.parametrize("name", STEPS)
def test_steps(name, part):
    """Single steps of one stream: at each checkpoint it is where chunks of the same inputs end, and finite."""
    model, rng = MAKERS[name](**({} if name == "network" else {"rng": 1})), np.random.default_rng(2)
    stream, chunk = model.stream(), min(10_000, STEPS[name] // part // 10)
    outputs = model.output_size if name == "network" else H
    state, out = stream.state, np.empty(outputs, model.dtype)

    def work(begin, end):
        nonlocal state
        for _ in range(begin, end):
            x = rng.standard_normal((chunk, INPUTS)).astype(model.dtype)
            for x_t in x:
                stream.step(x_t, out=out)
            y, state = model(x, state)
            if model.dtype == np.float32:  # engine packed: the same bits
                assert_same_bits((out, stream.state), (y[-1], state))
            else:
                np.testing.assert_allclose(stream.state, state, rtol=0, atol=1e-10)
            assert all(np.isfinite(plane).all() for plane in flat(state))

    count = STEPS[name] // part // chunk
    print(f"\n{count * chunk} steps, {name}: grown by {halves(work, count)}")


# -------------------------------------------------------------------------------------------------- models

MODELS = 100_000


@size
def test_models(part, tmp_path):
    """Made, called, streamed, a part of them saved and loaded, and dropped."""
    makers, x = list(MAKERS.values()), np.ones((2, 3, INPUTS), np.float32)

    def work(begin, end):
        for number in range(begin, end):
            model = makers[number % len(makers)](rng=1)
            y, _ = model(x.astype(model.dtype))
            first = model.stream(3).step(x[0].astype(model.dtype))
            assert first.shape == y[0].shape
            if number % 300 < len(makers):  # each kind in turn
                model.save(tmp_path / "m.safetensors")
                assert cgru.load(tmp_path / "m.safetensors") == model

    count = MODELS // part
    print(f"\n{count} models: grown by {halves(work, count)}")


# --------------------------------------------------------------------------------------------------- pools

STREAMS = 1_000_000


@size
@pytest.mark.parametrize("name", ["GRU", "network"])
def test_streams_of_a_pool(name, part):
    """Opened and closed, all of them stepping; one stays all the time, and is where a stream of its own is."""
    model, rng, burst = MAKERS[name](**({} if name == "network" else {"rng": 1})), np.random.default_rng(3), 20
    pool, beside = model.pool(64), model.stream()
    stays, come = pool.open(), itertools.count(1)

    def work(begin, end):
        for _ in range(begin, end):
            ids = [stays, *(pool.open() for _ in range(burst))]
            x = rng.standard_normal((len(ids), INPUTS), np.float32)
            y = pool.step(ids, x)
            assert_same_bits(y[0], beside.step(x[0]))
            for number in ids[1:]:
                pool.close(number)
            next(come)

    count = STREAMS // 2 // part // burst
    added = halves(work, count)
    assert len(pool) == 1
    assert_same_bits(pool.state(stays), beside.state)
    print(f"\n{(next(come) - 1) * burst} streams of a pool, {name}: grown by {added}")


# ---------------------------------------------------------------------------------------- would it notice?


@pytest.mark.parametrize("each", [100, 1000, 100_000])
def test_a_leak_is_noticed(each):
    """Bytes kept with each of the hundred models that plain pytest makes, in blocks of Python's and of malloc's."""
    kept = []

    def work(begin, end):
        for _ in range(begin, end):
            cgru.GRU(INPUTS, H, rng=1)
            kept.append(bytearray(each) if each > 512 else [bytearray(each) for _ in range(20)])

    with pytest.raises(AssertionError, match=r"grown: \{[^}]*(heap|blocks)"):
        halves(work, 100)


def test_what_has_grown_is_named():
    before = usage()
    after = Usage(before.resident, before.heap, before.blocks, before.files + 1, before.threads + 2)
    with pytest.raises(AssertionError, match=r"grown: \{'files': 1, 'threads': 2\}"):
        assert_flat(before, after)
