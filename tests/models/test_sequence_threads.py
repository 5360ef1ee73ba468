"""``threads=`` for one sequence: directions side by side, and layers as a pipeline over chunks of time.

Rows over threads are in test_batch_threads.py.
"""

import threading
import time

import numpy as np
import pytest

import cgru
from cgru import pipeline, staged
from cgru.engines.interruption import Stop, Stopped
from cgru.pipeline import Stage, run_stages
from cgru.staged import chunk_steps, levels_of, run_models, shares
from support.compare import assert_close, assert_equal, assert_same_bits, flat
from support.few_threads import allow_threads
from support.models import build, draw, draw_hx, random_lengths
from support.networks import planes_of, random_chain, random_hx
from support.variants import WEIGHTS

T, INPUT, H = 37, 5, 19


@pytest.fixture(params=[8, 3, 1])
def chunks(request, monkeypatch):
    """Any sequence is worth threads, in chunks of so many steps of one row."""
    monkeypatch.setattr(staged, "LEAST", 0)
    monkeypatch.setattr(staged, "CHUNK", 0)
    monkeypatch.setattr(staged, "TILE", request.param)
    return request.param


@pytest.fixture
def staged_calls(monkeypatch):
    """How many threads each pass in stages was given."""
    found, run = [], staged.run_stages
    monkeypatch.setattr(staged, "run_stages", lambda stages, threads: [found.append(threads), run(stages, threads)])
    return found


def assert_as_one_thread(variant, found, expected):
    """To the last bit where that is promised."""
    if variant.engine == "packed" and variant.fused:
        assert_same_bits(found, expected)
    else:
        assert_close(found, expected, variant.tolerance)


def net_of(*layers, **around):
    return cgru.Sequential(layers, **around)


def x_of(steps, rows=1, features=INPUT):
    return np.random.default_rng(steps).normal(size=(steps, rows, features)).astype(np.float32)


# ---------------------------------------------------------------------------------------------------- results


@pytest.mark.variants(weights=WEIGHTS)
def test_every_model_as_with_one_thread(variant, configuration, chunks, rng):
    """Every cell, configuration, engine, weight type and instruction set; with and without lengths and hx."""
    model = build(variant, configuration, INPUT, H)
    for rows, threads in ((1, 2), (3, 3), (2, 4)):
        x, hx = draw(variant, rng, model, T, rows)
        given = x.copy()
        lengths = None if rows == 1 else random_lengths(rng, T, rows)
        for options in ({}, {"hx": hx, "lengths": lengths}):
            expected = model(x, **options)
            out = np.full_like(expected[0], np.nan)
            found = model(x, **options, threads=threads, out=out)
            assert found[0] is out
            assert_as_one_thread(variant, found, expected)
        assert_same_bits(x, given)


def test_that_they_go_in_stages(best, chunks, staged_calls, rng):
    """The test above is not one of one thread: directions, stacks, and both with rows."""
    for options, rows, threads, wanted in (
        ({"bidirectional": True}, 1, 2, [2]), ({"num_layers": 2}, 1, 3, [2]), ({"num_layers": 3}, 2, 3, [3]),
        ({"bidirectional": True, "num_layers": 2}, 2, 4, [2, 2]), ({}, 1, 2, []), ({"num_layers": 2}, 8, 2, []),
    ):  # fmt: skip
        model = best.model(H, H, rng=1, **options)
        model(best.cast(rng.normal(size=(T, rows, H))), threads=threads)
        assert staged_calls == wanted
        staged_calls.clear()


def test_lengths_of_all_kinds(best, chunks, rng):
    """Rows without steps, all of them, NaN in the padding, a chunk in which nobody has a step."""
    for options in ({"num_layers": 2}, {"bidirectional": True, "num_layers": 2}):
        model = best.model(INPUT, H, rng=1, **options)
        for lengths in ([0, 0, 0], [5, 0, 2], [0, T, 1], [T, T, T], [9, 16, 8]):
            x, hx = best.cast(rng.normal(size=(T, 3, INPUT))), draw_hx(best, rng, model, 3)
            for row, length in enumerate(lengths):
                x[length:, row] = np.nan
            expected = model(x, hx, lengths=lengths)
            assert_as_one_thread(best, model(x, hx, lengths=lengths, threads=2), expected)
            assert all(np.isfinite(array).all() for array in flat(expected))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("around", [{}, {"last": True}, {"last": "h_n", "batch_first": True}, {"skip": True}], ids=str)
def test_networks(chunks, around, dtype, rng):
    """Layers of all kinds in any order, directions that need all of what is below them among them."""
    for number in range(12):
        chain = random_chain(rng, int(rng.integers(1, 6)), special=True, dtype=dtype, **around)
        net = cgru.Sequential.from_chain(chain)
        rows = (1, 3)[number % 2]
        x = rng.normal(size=(rows, T, net.input_size) if net.batch_first else (T, rows, net.input_size)).astype(dtype)
        hx = random_hx(rng, chain, rows, dtype)
        backwards = any(layer.config.go_backwards for layer in chain.layers)
        for lengths in [None] if backwards else [None, rng.integers(0, T + 1, rows)]:
            expected = net(x, hx, lengths=lengths)
            for threads in (2, 3):
                found = net(x, hx, lengths=lengths, threads=threads)
                arrays = [found[0], *planes_of(found[1])], [expected[0], *planes_of(expected[1])]
                if dtype == np.float32 and net.layers[0].engine == "packed":
                    assert_same_bits(*arrays)
                else:
                    assert_close(*arrays, 2e-6 if dtype == np.float32 else 1e-12)


def test_real_sizes(staged_calls):
    """With the sizes of chunks and the least work as they are; unbatched and batch first; a list of sequences."""
    for options, sizes in (({"bidirectional": True}, (40, 96)), ({"num_layers": 3}, (70, 70))):
        model = cgru.GRU(*sizes, rng=1, **options)
        x = x_of(2001, features=sizes[0])
        for given in (x, x[:, 0], x[::2], x[:, :, ::1]):
            assert_same_bits(model(given, threads=2), model(given))
        assert_same_bits(model([x[:, 0], x[:7, 0]], threads=2), model([x[:, 0], x[:7, 0]]))
        first = model.replace(batch_first=True)
        assert_same_bits(first(x.swapaxes(0, 1), threads=2), first(x.swapaxes(0, 1)))
        assert staged_calls == [2] * 6
        staged_calls.clear()


def test_a_stream_and_a_call_in_threads(chunks, rng):
    """A pipeline's final state is one to go on from."""
    model = cgru.LSTM(INPUT, H, num_layers=3, rng=1)
    x = x_of(50)
    stream = model.stream(1)
    expected = stream.run(x), stream.state
    y, hx = model(x[:31], threads=3)
    rest, hx = model(x[31:], hx, threads=2)
    assert_equal((np.concatenate([y, rest]), hx), expected)


def test_record_is_one_thread_s(chunks, staged_calls):
    """And leaves a tape that another model's threads do not touch."""
    model = cgru.GRU(INPUT, H, num_layers=2, bidirectional=True, rng=1)
    y, h_n, _ = model.record(x_of(T))
    assert_equal(model(x_of(T), threads=2), (y, h_n))
    assert staged_calls == [2]


# ---------------------------------------------------------------------------------------------------- choice


def test_what_is_shared_out():
    """Rows where there are enough, else directions or layers, together with rows; little work is one thread's."""
    stack, both = cgru.GRU(64, 128, num_layers=2, rng=0), cgru.GRU(64, 128, bidirectional=True, rng=0)
    one, head = cgru.GRU(64, 128, rng=0), cgru.Linear(128, 3, rng=0)
    deep = cgru.LSTM(128, 128, num_layers=4, rng=0)
    long = np.full(16, 1000)
    uneven = np.array([1000, *[2] * 15])
    for models, steps, rows, lengths, threads, wanted in (
        ([stack], 1000, 1, None, 2, (1, 2)), ([both], 1000, 1, None, 2, (1, 2)), ([both], 1000, 1, None, 8, (1, 2)),
        ([stack], 1000, 8, None, 2, (2, 1)), ([both], 1000, 32, None, 8, (8, 1)), ([both], 1000, 3, None, 4, (2, 2)),
        ([both], 1000, 8, None, 4, (2, 2)), ([deep], 1000, 1, None, 4, (1, 4)), ([deep], 1000, 1, None, 2, (1, 2)),
        ([deep], 1000, 4, None, 8, (2, 4)), ([one], 1000, 1, None, 2, (1, 1)), ([one], 1000, 3, None, 2, (2, 1)),
        ([one, head], 1000, 1, None, 2, (1, 1)), ([one, head, deep], 1000, 1, None, 2, (1, 2)),
        ([stack], 10, 1, None, 2, (1, 1)), ([both], 100, 1, None, 2, (1, 1)), ([stack], 1, 1, None, 2, (1, 1)),
        ([both], 0, 1, None, 2, (1, 1)), ([both], 1000, 0, None, 2, (1, 1)), ([], 1000, 1, None, 2, (1, 1)),
        ([both], 1000, 16, long, 2, (2, 1)), ([both], 1000, 16, uneven, 2, (1, 2)), ([both], 1000, 1, None, 1, (1, 1)),
    ):  # fmt: skip
        assert shares(models, np.empty((steps, rows, 64)), lengths, threads) == wanted


def test_a_wide_linear_is_split_by_rows_or_time():
    wide = cgru.Linear(1000, 1500, rng=0)
    assert shares([wide], np.empty((1, 3, 1000)), None, 2) == (2, 1)
    assert shares([wide], np.empty((1000, 1, 1000)), None, 3) == (1, 3)
    x = x_of(101, features=1000)
    y = np.empty((101, 1, 1500), np.float32)
    run_models([wide], x, y, [()], threads=3)
    assert_same_bits(y, wide(x))


def test_chunks_are_of_like_work():
    for model in (cgru.GRU(64, 128, num_layers=2, rng=0), cgru.RNN(3, 8, num_layers=3, rng=0)):
        levels = levels_of([model], [()])
        for rows in (1, 2, 7):
            steps = chunk_steps(levels, 10**6, rows, 2)
            work = steps * rows * max(level.nbytes for level in levels)
            assert 0.7 * staged.CHUNK < work <= staged.CHUNK and steps % staged.TILE == 0
            assert chunk_steps(levels, 5, rows, 2) == 5
    assert chunk_steps(levels_of([cgru.GRU(64, 128, rng=0)], [()]), 10**6, 1, 2) == 10**6
    huge = cgru.GRU(600, 600, num_layers=2, rng=0)
    assert [chunk_steps(levels_of([huge], [()]), 100, rows, 2) for rows in (1, 2, 3)] == [8, 4, 3]


def test_little_work_starts_no_thread(monkeypatch):
    def no_thread(*arguments, **options):
        raise AssertionError("a thread was made")

    monkeypatch.setattr(threading, "Thread", no_thread)
    for options in ({"num_layers": 2}, {"bidirectional": True}):
        cgru.GRU(INPUT, H, rng=1, **options)(x_of(T), threads=4)
        net_of(cgru.GRU(INPUT, H, rng=1, **options), last=True)(x_of(T), threads=4)


# ---------------------------------------------------------------------------------------------------- stages


class Log:
    """Tasks that write down when they begin and end; the machine decides how they mix."""

    def __init__(self):
        self.events, self.lock = [], threading.Lock()

    def stage(self, stage, tasks, **options):
        def run(number):
            with self.lock:
                self.events.append(("begin", stage, number))
            time.sleep(0.0005 * ((stage + number) % 3))
            with self.lock:
                self.events.append(("end", stage, number))

        return Stage(run, tasks, **options)

    def before(self, first, second):
        """Whether `first` had ended when `second` began."""
        return self.events.index(("end", *first)) < self.events.index(("begin", *second))


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("allowed", [True, False], ids=["", "no thread starts"])
def test_the_order_of_tasks(threads, allowed, monkeypatch):
    """Every task runs once, behind those that it needs, in any number of threads; also where none can be started."""
    def no_start(thread):
        raise RuntimeError("can't start new thread")

    if not allowed:
        monkeypatch.setattr(threading.Thread, "start", no_start)
    log = Log()
    stages = [
        log.stage(0, 2), log.stage(1, 1),
        log.stage(2, 12, room=2), log.stage(3, 12, serial=True, piped=True, room=3),
        log.stage(4, 12, piped=True, room=1), log.stage(5, 12, serial=True, piped=True),
        log.stage(6, 2), log.stage(7, 1, serial=True),
    ]  # fmt: skip
    run_stages(stages, threads)
    every = [(k, number) for k, stage in enumerate(stages) for number in range(stage.tasks)]
    assert sorted(log.events) == sorted((what, *task) for what in ("begin", "end") for task in every)
    for k, number in every:
        stage = stages[k]
        needs = [(k, number - 1)] if stage.serial and number else []
        if k:
            needs += [(k - 1, number)] if stage.piped else [(k - 1, other) for other in range(stages[k - 1].tasks)]
        if stage.room is not None and number >= stage.room:
            needs.append((k + 1, number - stage.room))
        assert all(log.before(other, (k, number)) for other in needs)


def test_tasks_are_side_by_side():
    """Two that meet: neither ends before the other has begun."""
    meeting = threading.Barrier(2)
    run_stages([Stage(lambda _: meeting.wait(60), 2)], 2)
    below, above = threading.Event(), threading.Event()

    def lower(number):
        assert number == 0 or above.wait(60)        # chunk 1 of the lower layer beside chunk 0 of the upper one
        below.set()

    def upper(number):
        above.set()

    run_stages([Stage(lower, 2, serial=True, room=2), Stage(upper, 2, serial=True, piped=True)], 2)
    assert below.is_set()


def test_no_thread_spins(monkeypatch):
    """One that waits for another asks no more often than engines do."""
    asked, begun = [], time.monotonic()
    monkeypatch.setattr(pipeline, "check", lambda: asked.append(1))
    run_stages([Stage(lambda number: time.sleep(0.3 * number), 2, room=None), Stage(lambda _: None, 3)], 2)
    assert len(asked) <= 5 + (time.monotonic() - begun) / pipeline.WAIT


def test_threads_that_are_no_longer_needed_end():
    """In the last stage, of one serial direction, one thread is enough: the others are gone."""
    before, alive = threading.active_count(), []

    def last(number):
        for _ in range(1000):
            if threading.active_count() == before + (threading.current_thread() is not threading.main_thread()):
                break
            time.sleep(0.01)
        alive.append(threading.active_count() - before)

    run_stages([Stage(lambda _: time.sleep(0.001), 4), Stage(last, 3, serial=True)], 4)
    assert len(alive) == 3 and max(alive) <= 1


# ---------------------------------------------------------------------------------------------------- failures


class Failing:
    """A direction of a model that raises an error in one of its runs."""

    def __init__(self, direction, error, call):
        self.direction, self.error, self.left = direction, error, call

    def run(self, *arguments):
        self.left -= 1
        if self.left < 0:
            raise self.error
        self.direction.run(*arguments)


def failing(model, place, error, call=0):
    """The model, its direction number `place` failing from its call number `call` on."""
    directions = list(model.directions)
    directions[place] = Failing(directions[place], error, call)
    object.__setattr__(model, "directions", tuple(directions))
    return model


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("options, place", [
    ({"num_layers": 3}, 0), ({"num_layers": 3}, 1), ({"num_layers": 3}, 2), ({"bidirectional": True}, 0),
    ({"bidirectional": True}, 1), ({"bidirectional": True, "num_layers": 2}, 3),
], ids=str)  # fmt: skip
@pytest.mark.parametrize("threads", [2, 3])
def test_an_error_in_any_layer(chunks, error, options, place, threads):
    """It is raised where the call was made, all threads have ended, and nobody writes to `out` any more."""
    call = 0 if "bidirectional" in options else 2
    model = failing(cgru.GRU(INPUT, H, rng=1, **options), place, error("this one"), call)
    out = np.full((T, 1, model.config.output_size), np.nan, np.float32)
    before = threading.enumerate()
    with pytest.raises(error, match="this one"):
        model(x_of(T), threads=threads, out=out)
    assert threading.enumerate() == before
    written = out.copy()
    assert np.isnan(written).any() or place == 3
    time.sleep(0.01)
    assert_equal(out, written)


@pytest.mark.parametrize("rows, threads", [(1, 2), (3, 4)])
def test_no_threads_are_left(chunks, rows, threads):
    before = threading.enumerate()
    for options in ({"num_layers": 3}, {"bidirectional": True, "num_layers": 2}):
        cgru.GRU(INPUT, H, rng=1, **options)(x_of(T, rows), threads=threads)
        assert threading.enumerate() == before


@pytest.mark.parametrize("allowed", [0, 1, 2])
@pytest.mark.parametrize("options", [{"num_layers": 4}, {"bidirectional": True, "num_layers": 2}], ids=str)
def test_without_threads_it_is_computed_all_the_same(chunks, monkeypatch, allowed, options):
    """A process that may start no more threads gets its result, just later."""
    model, x = cgru.GRU(INPUT, H, rng=1, **options), x_of(T, 3)
    expected, started = model(x), allow_threads(monkeypatch, allowed)
    assert_same_bits(model(x, threads=4), expected)
    assert len(started) == allowed


def test_a_late_thread_is_not_waited_for_and_does_nothing(chunks, monkeypatch):
    """A thread that begins when all is done finds nothing to do."""
    model, x, late = cgru.GRU(INPUT, H, num_layers=3, rng=1), x_of(T), []
    expected = model(x)
    monkeypatch.setattr(threading.Thread, "start", lambda thread: late.append(thread))
    y, h_n = model(x, threads=3)
    assert_same_bits((y, h_n), expected)
    y[...], h_n[...] = 7, 7
    assert 1 <= len(late) <= 2
    for thread in late:
        thread.run()
    assert (y == 7).all() and (h_n == 7).all()


def test_an_interrupt_ends_a_thread_that_waits(monkeypatch):
    """Ctrl-C where this thread computes and the other has nothing to do, or the other way round."""
    for interrupted in range(2):
        meeting, before = threading.Barrier(2), threading.enumerate()

        def work(number, interrupted=interrupted, meeting=meeting):
            meeting.wait(60)
            if number == interrupted:
                time.sleep(0.1)         # the other one waits by now
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_stages([Stage(work, 2), Stage(lambda _: pytest.fail("it went on"), 2)], 2)
        assert threading.enumerate() == before


def test_an_interrupt_inside_start(monkeypatch):
    """The thread that runs already ends soon, though its tasks are too short for engines to ask."""
    start, started, ends = threading.Thread.start, [], []
    running = threading.Event()

    def interrupted(thread):
        started.append(thread)
        start(thread)
        assert running.wait(60)
        raise KeyboardInterrupt

    def work(number):
        running.set()
        time.sleep(0.001)
        ends.append(number)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_stages([Stage(work, 10**4)], 2)
    assert not started[0].is_alive()
    assert 0 < len(ends) < 10**4


def test_a_call_that_is_no_longer_wanted_stops():
    """As the calls that `map` computes ahead, when nobody wants their results."""
    begun, flag = [], Stop()
    with pytest.raises(Stopped), flag.under():
        run_stages([Stage(lambda number: [begun.append(number), flag.set()], 10**4, serial=True)], 1)
    assert begun == [0]
    with pytest.raises(Stopped), flag.under():
        run_stages([Stage(begun.append, 3)], 2)
    assert begun == [0]
