"""Rows of a stream that come and go, its state as it is shown, `run` with out, and what happens at a fork."""

import os
import re
import threading

import numpy as np
import pytest

import cgru
from cgru import forward_chain
from support.compare import assert_same_bits
from support.models import draw, draw_hx, on_planes, planes, zeros_hx
from support.processes import run_python
from support.rows import BAD_FORMS, FORMS, N
from support.variants import WEIGHTS

pytestmark = pytest.mark.variants(weights=WEIGHTS)

T, INPUT, H, LAYERS = 6, 5, 19, 2


@pytest.fixture
def running(best, rng):
    """A stream in the middle of its rows' sequences, and the next chunk."""
    model = best.model(INPUT, H, LAYERS, rng=1)
    x, hx = draw(best, rng, model, 2 * T, N)
    stream = model.stream(N, hx)
    stream.run(x[:T])
    return stream, x[T:]


# ------------------------------------------------------------------------------------------------- state


def test_the_state_cannot_be_assigned_into(best, rng):
    """It is a copy: an assignment that would be lost is an error."""
    for rows in (None, N):
        stream = best.model(INPUT, H, LAYERS, rng=1).stream(rows)
        for plane in planes(stream.state):
            assert not plane.flags.writeable
            with pytest.raises(ValueError, match="read-only"):
                plane[:, 3] = 0
        stream.state = stream.state         # and it is taken back as it is
        model = stream.model
        x = best.cast(rng.normal(size=(T, *(() if rows is None else (rows,)), INPUT)))
        model(x, stream.state)


# ------------------------------------------------------------------------------------------ reset of rows


@pytest.mark.parametrize("form", FORMS)
def test_rows_start_again_and_others_go_on(running, form):
    """From zeros, and from states of the rows' shape; to the bit what whole arrays would give."""
    stream, x = running
    rows = FORMS[form]
    index = np.arange(N)[list(rows) if isinstance(rows, tuple) else rows]
    expected = on_planes(stream.state, np.copy)
    for plane in planes(expected):
        plane[:, index] = 0
    stream.reset(rows=rows)
    assert_same_bits(stream.state, expected)
    other = stream.model.stream(N, expected)
    assert_same_bits(stream.run(x), other.run(x))
    wanted = on_planes(stream.state, np.copy)
    hx = on_planes(wanted, lambda plane: 0.25 - plane[:, index])
    for plane, given in zip(planes(wanted), planes(hx), strict=True):
        plane[:, index] = given
    stream.reset(hx, rows=rows)
    assert_same_bits(stream.state, wanted)
    other.state = wanted
    assert_same_bits(stream.step(x[0]), other.step(x[0]))


def test_rows_start_from_the_stored_state(rng):
    for kind in (cgru.GRU, cgru.RNN):
        stored = rng.uniform(-1, 1, (LAYERS, H)).astype(np.float32)
        stream = kind(INPUT, H, LAYERS, initial_state=stored, rng=1).stream(N)
        stream.run(np.ones((T, N, INPUT), np.float32))
        expected = stream.state.copy()
        expected[:, [1, 4]] = stored[:, None]
        stream.reset(rows=[1, 4])
        assert_same_bits(stream.state, expected)


@pytest.mark.parametrize("form", BAD_FORMS)
def test_bad_rows(running, form):
    stream, _ = running
    before = stream.state
    with pytest.raises(ValueError, match="rows must"):
        stream.reset(rows=BAD_FORMS[form])
    assert_same_bits(stream.state, before)


def test_states_must_fit_the_rows(running):
    stream, _ = running
    before = stream.state
    for rows, count in ((2, ()), ([1, 2], (2,)), ([3], (1,))):
        for wrong in ((N,), (3,), (1, 1)):
            hx = on_planes(before, lambda plane: np.zeros((LAYERS, *wrong, H)))      # noqa: B023
            with pytest.raises(ValueError, match=re.escape(f"expected {(LAYERS, *count, H)}")):
                stream.reset(hx, rows=rows)
    assert_same_bits(stream.state, before)


def test_a_single_row_has_no_rows(best):
    stream = best.model(INPUT, H, rng=1).stream()
    with pytest.raises(ValueError, match="without a batch size"):
        stream.reset(rows=0)


def test_a_client_s_answers_do_not_depend_on_others(rng):
    """Slots of a server: clients come and go at any tick; each sees what it would see alone."""
    model = cgru.GRU(INPUT, H, LAYERS, rng=1)
    if model.engine != "packed":
        pytest.skip("bits are the packed engine's promise")
    stream, slots = model.stream(N), {}
    alone, x = {}, np.zeros((N, INPUT), np.float32)
    for _ in range(60):
        for slot in range(N):
            if slot not in slots and rng.random() < 0.3:
                slots[slot] = model.stream()
                stream.reset(rows=slot)
            elif slot in slots and rng.random() < 0.1:
                del slots[slot]
        x[:] = rng.normal(size=x.shape)
        alone = {slot: client.step(x[slot]) for slot, client in slots.items()}
        y = stream.step(x)
        for slot, wanted in alone.items():
            assert_same_bits(y[slot], wanted)


# --------------------------------------------------------------------------------------------------- out


@pytest.mark.parametrize("rows", [None, N])
@pytest.mark.parametrize("batch_first", [False, True])
def test_run_into_an_array(best, rng, rows, batch_first):
    model = best.model(INPUT, H, LAYERS, batch_first=batch_first, rng=1)
    shape = (T,) if rows is None else (rows, T) if batch_first else (T, rows)
    x = best.cast(rng.normal(size=(*shape, INPUT)))
    stream, other = model.stream(rows), model.stream(rows)
    out = np.full((*shape, H), np.nan, best.dtype)
    assert stream.run(x, out=out) is out
    assert_same_bits((out, stream.state), (other.run(x), other.state))


def test_run_refuses_an_out_that_overlaps(best, rng):
    model = best.model(H, H, rng=1)
    x = best.cast(rng.normal(size=(T, N, H)))
    stream = model.stream(N)
    kept = x.copy()
    for given in (x, memoryview(x), x[::-1]):
        with pytest.raises(ValueError, match="out overlaps x"):
            stream.run(given, out=x)
    for error, bad in ((ValueError, np.empty((T, N, H + 1), best.dtype)), (TypeError, x.tolist())):
        with pytest.raises(error, match="out "):
            stream.run(x, out=bad)
    assert_same_bits(x, kept)
    assert_same_bits(stream.state, zeros_hx(best, model, N))


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("rows", [None, 4])
def test_the_out_of_a_step_may_overlap_its_x(best, rng, num_layers, rows):
    """x has been read when the result is written: in place, shifted, and through another object."""
    model = best.model(H, H, num_layers, rng=1)
    shape = (H,) if rows is None else (rows, H)
    size = int(np.prod(shape))
    memory = best.cast(np.zeros(2 * size))
    for shift in (0, 1, size // 2, size):
        for view in (lambda array: array, memoryview):
            x, out = memory[shift : shift + size].reshape(shape), memory[:size].reshape(shape)
            for given, result in ((x, out), (out, x)):
                given[...] = rng.normal(size=shape)
                stream, other = model.stream(rows), model.stream(rows)
                expected = other.step(given.copy())
                assert_same_bits((stream.step(view(given), out=result), stream.state), (expected, other.state))


# ------------------------------------------------------------------------------------------------- sizes


def test_a_model_that_says_other_sizes_than_it_has():
    """The kernel writes as many numbers as it was built for."""
    for name in ("hidden_size", "input_size"):
        for size in (1, 4097):
            liar = type("Liar", (cgru.GRU,), {name: property(lambda self: size)})      # noqa: B023
            with pytest.raises(ValueError, match=r"this Liar says .* but it was built with"):
                liar(4, 40).stream()


# -------------------------------------------------------------------------------------------------- fork

FORK = """
import os, threading
import numpy as np, cgru
from cgru import forward_chain

model = cgru.{kind}(3, 5, rng=0)
stream, x = model.stream(2), np.ones((4, 2, 3), np.float32)
expected = stream.run(x)
inside, let_go, run = threading.Event(), threading.Event(), forward_chain.run_steps

def held(*arguments):
    inside.set()
    let_go.wait()
    return run(*arguments)

forward_chain.run_steps = held
thread = threading.Thread(target=stream.run, args=(x,))
thread.start()
inside.wait()
child = os.fork()
forward_chain.run_steps = run
if child == 0:
    for call in (lambda: stream.step(x[0]), lambda: stream.run(x), lambda: stream.state, lambda: stream.reset(rows=0)):
        try:
            call()
        except RuntimeError as error:
            assert "forked" in str(error) and "reset()" in str(error), error
        else:
            os._exit(1)
    {again}
    assert (stream.run(x) == expected).all()
    pid = os.fork()                 # an idle stream goes on in a grandchild
    if pid == 0:
        stream.step(x[0])
        os._exit(0)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
try:
    stream.step(x[0])
except RuntimeError as error:
    assert "another thread" in str(error) and "forked" not in str(error)
else:
    raise AssertionError("it is running here")
let_go.set()
thread.join()
stream.step(x[0])
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("kind, again", [
    ("GRU", "stream.reset()"), ("LSTM", "stream.reset()"),
    ("RNN", "stream.state = np.zeros((1, 2, 5))"),
])  # fmt: skip
def test_a_stream_that_was_running_at_a_fork(kind, again):
    """In the child nobody is running it: it says so, and a reset frees it. In the parent nothing changes."""
    result = run_python(FORK.format(kind=kind, again=again))
    assert result.stdout == "done\n"


def test_reset_of_rows_waits_for_nobody(best, rng, monkeypatch):
    """Refused while another thread runs the stream, as everything is."""
    model = best.model(INPUT, H, LAYERS, rng=1)
    x, hx = draw(best, rng, model, T, N)
    stream, inside, let_go = model.stream(N, hx), threading.Event(), threading.Event()
    run = forward_chain.run_steps

    def held(*arguments):
        inside.set()
        assert let_go.wait(60)
        return run(*arguments)

    monkeypatch.setattr(forward_chain, "run_steps", held)
    runner = threading.Thread(target=stream.run, args=(x,))
    runner.start()
    try:
        assert inside.wait(60)
        with pytest.raises(RuntimeError, match="running in another thread"):
            stream.reset(draw_hx(best, rng, model, 1), rows=[3])
    finally:
        let_go.set()
        runner.join()
    assert_same_bits(stream.state, model(x, hx)[1])
