"""Tapes and gradients in several threads, and in blocks: float32's bits do not depend on it."""

import threading

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import cgru
from cgru import gradients_stages
from cgru.engines.interruption import Stop, Stopped
from support.compare import flat
from support.few_threads import allow_threads
from support.gradients import assert_same_gradients, random_problem
from support.models import configuration, random_lengths

GRU = configuration("gru", "after, one layer")
forms = pytest.mark.configurations(layout="one layer")


@pytest.fixture
def eager(monkeypatch):
    """However little the work, it is shared out, and down to single rows."""
    monkeypatch.setattr(gradients_stages, "LEAST", 0)
    monkeypatch.setattr(gradients_stages, "ROWS", 1)


def with_threads(problem, threads):
    """y and the final state, and all gradients by name."""
    model = problem.model()
    y, final, tape = model.record(problem.x, problem.hx, lengths=problem.lengths, threads=threads)
    grads = model.backward(tape, problem.dy, problem.dh_n, threads=threads)
    return flat((y, final)), dict(grads) | {name: getattr(grads, name) for name in ("x", *problem.names)}


@pytest.mark.parametrize("with_lengths", [False, True], ids=["full", "lengths"])
def test_same_bits_in_any_number_of_threads(rng, eager, configuration, with_lengths):
    lengths = (lambda T, N: random_lengths(rng, T, N)) if with_lengths else None
    problem = random_problem(rng, configuration, sizes=(45, 7, 5, 19), lengths=lengths).astype(np.float32)
    expected_y, expected = with_threads(problem, 1)
    for threads in (2, 3, 5, 40):
        y, found = with_threads(problem, threads)
        for one, other in zip(y, expected_y, strict=True):
            assert_array_equal(one, other)
        for name, gradient in expected.items():
            assert np.abs(gradient).max() > 0
            assert_array_equal(found[name], gradient, err_msg=name)


def test_no_more_threads_than_there_is_work_for(eager, rng):
    model = cgru.GRU(3, 5, rng=1)
    x = rng.normal(size=(4, 7, 3)).astype(np.float32)
    groups, threads = gradients_stages.groups_of(model.weights, x, None, 10**30)
    assert len(groups) == 7 and threads == 15           # rows, and then gates
    y, _, tape = model.record(x, threads=10**30)
    assert_array_equal(model.backward(tape, y, threads=10**30).x, model.backward(tape, y).x)


@forms
@pytest.mark.parametrize("sizes", [(9, 300, 21, 5), (130, 5, 1, 33), (21, 17, 67, 50)], ids=["rows", "steps", "wide"])
def test_float32_is_close_to_float64(rng, eager, configuration, sizes):
    """Over several blocks of sums, over rows and columns that fill no tile."""
    problem = random_problem(rng, configuration, sizes=sizes, bidirectional=True)
    expected = problem.gradients()
    single = problem.astype(np.float32)
    assert_same_gradients(with_threads(single, 2)[1], expected, 1e-5)
    assert_same_gradients(with_threads(problem, 3)[1], expected, 1e-12)


@pytest.mark.parametrize("activation", ["linear", "tanh", "softmax"])
@pytest.mark.parametrize("sizes", [(301, 3, 16), (40, 70, 5), (1, 2, 3)])
def test_a_linear_s(rng, eager, activation, sizes):
    M, inputs, outputs = sizes
    model = cgru.Linear(inputs, outputs, activation=activation, rng=3)
    x, dy = rng.normal(size=(M, inputs)).astype(np.float32), rng.normal(size=(M, outputs)).astype(np.float32)
    double = cgru.Linear.from_state_dict(
        {name: value.astype(np.float64) for name, value in model.state_dict().items()}, activation=activation
    )
    _, tape = double.record(x.astype(np.float64))
    grads = double.backward(tape, dy.astype(np.float64))
    expected = {"x": grads.x, **grads}
    first = None
    for threads in (1, 2, 3, 40):
        y, tape = model.record(x, threads=threads)
        grads = model.backward(tape, dy, threads=threads)
        found = {"x": grads.x, **grads}
        assert_same_gradients(found, expected, 1e-5)
        first = (y, found) if first is None else first
        assert_array_equal(y, first[0])
        for name, gradient in first[1].items():
            assert_array_equal(found[name], gradient)


def test_a_network_s(rng, eager):
    net = cgru.Sequential(
        [cgru.GRU(5, 19, rng=1), cgru.LSTM(19, 9, bidirectional=True, rng=2), cgru.Linear(18, 3, rng=3)]
    )
    x, dy = rng.normal(size=(45, 7, 5)).astype(np.float32), rng.normal(size=(45, 7, 3)).astype(np.float32)
    lengths = random_lengths(rng, 45, 7)
    results = []
    for threads in (1, 2, -1):
        y, hx, tape = net.record(x, lengths=lengths, threads=threads)
        grads = net.backward(tape, dy, threads=threads)
        results.append([y, *flat(hx), grads.x, *flat(grads.hx), *grads.values()])
    for found in results[1:]:
        for one, other in zip(found, results[0], strict=True):
            assert_array_equal(one, other)


def test_little_work_takes_one_thread(rng, monkeypatch):
    model = cgru.GRU(3, 5, rng=0)
    started = allow_threads(monkeypatch, 0)
    y, _, tape = model.record(rng.normal(size=(7, 9, 3)), threads=8)
    model.backward(tape, y, threads=8)
    assert not started


@pytest.mark.parametrize("allowed", [0, 1])
def test_fewer_threads_than_asked_for(rng, eager, monkeypatch, allowed):
    problem = random_problem(rng, GRU, sizes=(20, 9, 3, 5), num_layers=2).astype(np.float32)
    _, expected = with_threads(problem, 1)
    started = allow_threads(monkeypatch, allowed)
    _, found = with_threads(problem, 4)
    assert len(started) == allowed
    for name, gradient in expected.items():
        assert_array_equal(found[name], gradient)


def test_an_error_in_a_thread_reaches_the_caller(rng, eager, monkeypatch):
    problem = random_problem(rng, GRU, sizes=(20, 9, 3, 5))
    model, begin = problem.model(), gradients_stages._Sweep.begin
    _, _, tape = problem.record(model)

    def broken(sweep, *where):
        begin(sweep, *where)
        sweep.one = None

    monkeypatch.setattr(gradients_stages._Sweep, "begin", broken)
    with pytest.raises(AttributeError, match="rows"):
        model.backward(tape, problem.dy, threads=3)
    monkeypatch.undo()
    model.backward(tape, problem.dy, threads=3)


def test_a_stopped_computation_ends(rng, eager):
    """As other computations do: `Stop` reaches the threads inside."""
    model = cgru.GRU(64, 64, rng=0)
    x = rng.normal(size=(600, 32, 64)).astype(np.float32)
    y, _, tape = model.record(x)
    stop, seen = Stop(), []

    def work():
        try:
            with stop.under():
                while True:
                    model.backward(tape, y, threads=2)
        except Stopped:
            seen.append("stopped")

    thread = threading.Thread(target=work)
    thread.start()
    stop.set()
    thread.join(60)
    assert seen == ["stopped"]


@pytest.mark.parametrize("threads, error", [(0, ValueError), (-2, ValueError), (1.5, TypeError), ("2", TypeError)])
def test_threads_that_are_none(rng, threads, error):
    model = cgru.GRU(3, 5, rng=0)
    x = rng.normal(size=(7, 2, 3))
    y, _, tape = model.record(x)
    for call in (lambda: model.record(x, threads=threads), lambda: model.backward(tape, y, threads=threads)):
        with pytest.raises(error, match="threads"):
            call()
