"""A stream belongs to one caller at a time: use from a second thread is an error and changes nothing."""

import contextlib
import threading
from types import SimpleNamespace

import numpy as np
import pytest

import cgru
from cgru import forward_chain
from support.compare import assert_same_bits
from support.models import draw
from support.users import fight
from support.variants import WEIGHTS

pytestmark = pytest.mark.variants(weights=WEIGHTS)

T, N, INPUT, H, LAYERS = 6, 4, 5, 19, 2


@pytest.fixture
def held(monkeypatch):
    """Every pass over a sequence stops until it is let go."""
    gate = SimpleNamespace(inside=threading.Event(), let_go=threading.Event())
    run = forward_chain.run_steps

    def stopped(*arguments, **options):
        gate.inside.set()
        assert gate.let_go.wait(60)
        return run(*arguments, **options)

    monkeypatch.setattr(forward_chain, "run_steps", stopped)
    yield gate
    gate.let_go.set()


def test_use_from_a_second_thread_is_an_error(best, rng, monkeypatch, held):
    """While a call runs, everything else is refused; the call itself comes to its right end."""
    model = best.model(INPUT, H, LAYERS, rng=1)
    x, hx = draw(best, rng, model, T, N)
    stream, results, out = model.stream(N, hx), [], np.full((N, H), np.nan, best.dtype)
    runner = threading.Thread(target=lambda: results.append(stream.run(x)))
    runner.start()
    try:
        assert held.inside.wait(60)
        for call in (
            lambda: stream.step(x[0]),
            lambda: stream.step(x[0], out=out),
            lambda: stream.step(x[0, :2], rows=[3, 1]),
            lambda: stream.run(x),
            lambda: stream.reset(),
            lambda: stream.state,
            lambda: setattr(stream, "state", hx),
            lambda: stream.__reduce__(),
        ):
            with pytest.raises(RuntimeError, match=r"running in another thread.*give each thread its own"):
                call()
        with pytest.raises(ValueError, match="features"):      # bad input is still told as such
            stream.step(x[0, :, 1:])
        assert np.isnan(out).all()
    finally:
        held.let_go.set()
        runner.join()
    monkeypatch.undo()
    expected, h_n = model(x, hx)
    assert_same_bits(results[0], expected)
    assert_same_bits(stream.state, h_n)
    assert stream.step(x[0]).shape == (N, H)            # free again


@pytest.mark.parametrize(
    "call",
    [
        lambda stream, x: stream.state,
        lambda stream, x: stream.step(x[0, :2], rows=[3, 1]),
        lambda stream, x: stream.reset(rows=[3, 1]),
        lambda stream, x: stream.run(x),
    ],
    ids=["state", "step", "reset", "run"],
)
@pytest.mark.parametrize("allocation", ["empty", "ascontiguousarray"])
def test_no_memory_leaves_the_stream_free(best, rng, monkeypatch, call, allocation):
    def fails(*arguments, **options):
        raise MemoryError("no memory")

    x = best.cast(rng.normal(size=(T, N, INPUT)))
    stream, other = (best.model(INPUT, H, rng=1).stream(N) for _ in range(2))
    with monkeypatch.context() as patch:
        patch.setattr(f"cgru.stream.np.{allocation}", fails)
        with contextlib.suppress(MemoryError):      # not every call wants both
            call(stream, x)
            call(other, x)
    assert_same_bits(stream.step(x[0]), other.step(x[0]))


def test_an_error_inside_run_frees_the_stream(best, rng, monkeypatch):
    def fails(*arguments, **options):
        raise MemoryError("no memory")

    x = best.cast(rng.normal(size=(T, N, INPUT)))
    stream, other = (best.model(INPUT, H, rng=1).stream(N) for _ in range(2))
    stream.step(x[0])
    with monkeypatch.context() as patch:
        patch.setattr(forward_chain, "run_steps", fails)
        before = stream.state
        with pytest.raises(MemoryError, match="no memory"):
            stream.run(x)
        assert_same_bits(stream.state, before)
    other.step(x[0])
    assert_same_bits(stream.step(x[1]), other.step(x[1]))


def test_threads_that_collide_corrupt_nothing(best):
    """Threads that fight over long steps, with the GIL released: each step happens as a whole or not at all."""
    model = best.model(INPUT, 1100, rng=1)                # over a million multiply-adds
    x = best.cast(np.linspace(-1, 1, INPUT))
    stream, alone = model.stream(), model.stream()
    done = sum(fight(*[lambda: stream.step(x)] * 3, times=40))
    assert done
    for _ in range(done):
        alone.step(x)
    assert_same_bits(stream.state, alone.state)


@pytest.mark.parametrize("rows", [None, [1, 0]])
def test_no_short_step_is_lost(rows):
    """A model that counts its steps, whose threads fight wherever there is no GIL: each call counts once, or raises."""
    state = {"weight_ih_l0": np.ones((H, 1)), "weight_hh_l0": np.eye(H), "bias_ih_l0": np.zeros(H),
             "bias_hh_l0": np.zeros(H)}  # fmt: skip
    model = cgru.RNN.from_state_dict(state, nonlinearity="relu", dtype="float32")
    stream, x = model.stream(2), np.ones((2, 1), np.float32)
    done = sum(fight(*[lambda: stream.step(x, rows=rows)] * 3, times=1500))
    assert done and (stream.state == done).all()
