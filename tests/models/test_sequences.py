"""Sequences of different lengths: lists, PyTorch's PackedSequence, `map`; each as it is alone."""

import os
import threading

import numpy as np
import pytest

import cgru
from cgru.threads import map_in_threads, thread_count
from support.compare import assert_close, assert_same_bits
from support.models import build, draw_hx, on_planes, planes, random_lengths, row_of
from support.variants import WEIGHTS

pytestmark = pytest.mark.variants(weights=WEIGHTS)

INPUT, H = 5, 19
LENGTHS = (4, 9, 0, 1, 9, 6)


def pile(variant, rng, lengths=LENGTHS):
    """Sequences of these lengths."""
    return [variant.cast(rng.normal(size=(T, INPUT))) for T in lengths]


def assert_as_alone(variant, found, expected):
    """To the last bit where that is promised."""
    if variant.engine == "packed" and variant.fused:
        assert_same_bits(found, expected)
    else:
        assert_close(found, expected, variant.tolerance)


# ------------------------------------------------------------------------------------------------- lists


def test_a_list_is_its_sequences_one_by_one(best, configuration, rng):
    """Every configuration, padding in front or behind; with an hx, over threads."""
    model = build(best, configuration, INPUT, H)
    xs, hx = pile(best, rng), draw_hx(best, rng, model, len(LENGTHS))
    for given, options in (None, {}), (hx, {"threads": 2}):
        ys, final = model(xs, given, **options)
        assert type(ys) is list and [y.shape for y in ys] == [(T, model.config.output_size) for T in LENGTHS]
        for row, (x, y) in enumerate(zip(xs, ys, strict=True)):
            alone = model(x, None if given is None else row_of(given, row))
            assert_as_alone(best, (y, row_of(final, row)), alone)
            assert y.flags.c_contiguous and y.flags.owndata and y.flags.writeable


def test_what_a_list_of_sequences_is(best, rng):
    """By its elements' kind, not by their lengths: 2-D arrays are sequences, numbers and 1-D arrays are one array."""
    model = best.model(INPUT, H, rng=1)
    for lengths in ((4,), (4, 4), (0, 0, 0), (4, 2)):
        xs = pile(best, rng, lengths)
        forms = [xs, tuple(xs), [x.astype(np.float64) for x in xs], [np.asfortranarray(x) for x in xs]]
        expected = [model(x)[0] for x in xs]
        for form in forms:
            ys, final = model(form)
            assert_close(ys, expected, best.tolerance)
            assert planes(final)[0].shape == (1, len(xs), H)
    x = best.cast(rng.normal(size=(3, 4, INPUT)))
    for array, form in ((x, x.tolist()), (x[0], list(x[0])), (x[0], tuple(x[0])), (x[0], x[0].tolist())):
        assert_same_bits(model(form), model(array))


def test_bad_lists(best, rng):
    model = best.model(INPUT, H, rng=1)
    xs = pile(best, rng, (4, 2, 3))
    for bad, error, match in (
        ([*xs, np.zeros((3, INPUT + 1))], ValueError, rf"x\[3\] has {INPUT + 1} features"),
        ([xs[0], np.zeros(INPUT)], ValueError, r"x\[1\] has 1 dimensions .*expected one sequence \(T, I\)"),
        ([xs[0], np.zeros((2, 3, INPUT))], ValueError, r"x\[1\] has 3 dimensions"),
        ([xs[0], None], TypeError, r"x\[1\] has dtype object"),
    ):
        with pytest.raises(error, match=match):
            model(bad)
    with pytest.raises(TypeError, match="lengths cannot be given beside a list of sequences"):
        model(xs, lengths=[4, 2, 3])
    with pytest.raises(TypeError, match="out cannot be given beside a list of sequences"):
        model(xs, out=np.empty((4, 3, H), best.dtype))
    with pytest.raises(ValueError, match=r"\(1, 2, 19\), expected \(1, 3, 19\)"):
        model(xs, draw_hx(best, rng, model, 2))
    with pytest.raises(TypeError, match=r"list of sequences, which only a call and map take; pad them, .*lengths="):
        model.record(xs)


@pytest.mark.variants(kind="gru")
def test_a_trace_takes_no_list(best, rng):
    with pytest.raises(TypeError, match="pad them"):
        best.model(INPUT, H, rng=1).trace(pile(best, rng))


# --------------------------------------------------------------------------------------- PackedSequence


@pytest.mark.parametrize("enforce_sorted", [True, False])
@pytest.mark.parametrize("layout", [{}, {"num_layers": 2, "bidirectional": True, "batch_first": True}], ids=str)
@pytest.mark.variants(weights="float32")
def test_a_packed_sequence_as_pytorch_has_it(best, rng, torch, layout, enforce_sorted):
    theirs = getattr(torch.nn, best.cell.name)(INPUT, H, dtype=getattr(torch, best.name), **layout)
    options = {"batch_first": True} if layout else {}
    model = best.from_state(theirs.state_dict(), **options)
    lengths = sorted((3, 9, 1, 6), reverse=True) if enforce_sorted else (3, 9, 1, 6)
    packed = torch.nn.utils.rnn.pack_sequence(
        [torch.from_numpy(x).requires_grad_() for x in pile(best, rng, lengths)], enforce_sorted=enforce_sorted
    )
    hx = draw_hx(best, rng, model, 4)
    for given in (None, hx, on_planes(hx, torch.from_numpy)):
        y, final = model(packed, given)
        with torch.no_grad():
            wanted, wanted_final = theirs(packed, on_planes(hx, torch.from_numpy) if given is not None else None)
        assert type(y) is type(packed) and not y.data.requires_grad
        tolerance = {"rtol": 0, "atol": 1e-5 if best.dtype == np.float32 else 1e-12}
        torch.testing.assert_close(y.data, wanted.data, **tolerance)
        torch.testing.assert_close(final, wanted_final, **tolerance)
        for name in ("batch_sizes", "sorted_indices", "unsorted_indices"):
            torch.testing.assert_close(getattr(y, name), getattr(packed, name))
    assert [y.shape for y in torch.nn.utils.rnn.unpack_sequence(y)] == [(T, y.data.shape[1]) for T in lengths]


@pytest.mark.variants(kind="gru")
def test_packed_forms(best, rng, torch):
    """Padding in front; tensors of another dtype; what is refused."""
    model = best.model(INPUT, H, go_backwards=True, rng=1)
    xs = pile(best, rng, (3, 9, 6))
    packed = torch.nn.utils.rnn.pack_sequence([torch.from_numpy(x) for x in xs], enforce_sorted=False)
    y, _ = model(packed)
    for found, x in zip(torch.nn.utils.rnn.unpack_sequence(y), xs, strict=True):
        assert_as_alone(best, found.numpy(), model(x)[0])
    halves, _ = model(packed.half())
    assert halves.data.dtype == getattr(torch, best.name)
    for call, match in (
        (lambda: model(packed, lengths=[3, 9, 6]), "lengths cannot be given beside a PackedSequence"),
        (lambda: model(packed, out=np.empty(1)), "out cannot be given beside a PackedSequence"),
        (lambda: model.map(packed), "model"),
        (lambda: model.record(packed), "pad them"),
    ):
        with pytest.raises(TypeError, match=match):
            call()
    for sizes in ([3, 3, 3], [2, 3, 3, 3, 2, 2, 1, 1, 1], [19], [], [3] * 6 + [0]):
        with pytest.raises(ValueError, match="no valid PackedSequence"):
            model(packed._replace(batch_sizes=torch.tensor(sizes, dtype=torch.int64)))


# --------------------------------------------------------------------------------------------------- map


@pytest.mark.parametrize("threads", [-1, 1, 2, 7])
def test_map(best, rng, threads):
    """In order, each as alone; LSTM's pairs too."""
    model = best.model(INPUT, H, 2, batch_first=True, bidirectional=True, rng=1)
    xs = pile(best, rng, [*random_lengths(rng, 30, 40), 0])
    results = list(model.map((x for x in xs), threads=threads))
    assert len(results) == len(xs)
    for x, result in zip(xs, results, strict=True):
        assert_same_bits(result, model(x))
    assert list(model.map([], threads=threads)) == []
    stacked = np.stack(pile(best, rng, (4, 4, 4)))
    assert [y.shape for y, _ in model.map(stacked, threads=threads)] == [(4, 2 * H)] * 3


def test_map_takes_only_so_many_ahead():
    """From an endless iterator; nothing before the first result is asked for, nothing ahead for one thread."""
    model, taken = cgru.GRU(INPUT, H, rng=1), []

    def endless():
        while True:
            taken.append(1)
            yield np.ones((3, INPUT), np.float32)

    for threads, ahead in ((1, 1), (2, 5), (3, 7)):
        taken.clear()
        results = model.map(endless(), threads=threads)
        assert not taken
        for number in range(4):
            next(results)
            assert len(taken) == ahead + number
        results.close()


def test_map_s_threads_end_with_it(rng):
    before = threading.active_count()
    model = cgru.GRU(INPUT, H, rng=1)
    for _ in model.map(np.ones((9, 3, INPUT)), threads=3):
        break
    list(model.map(np.ones((9, 3, INPUT)), threads=3))
    assert threading.active_count() == before


@pytest.mark.parametrize("threads", [1, 3])
def test_errors_of_map_come_in_their_turn(rng, threads):
    """The results before it first, then the error, which says which sequence it was."""
    model = cgru.GRU(INPUT, H, rng=1)
    good = np.ones((3, INPUT), np.float32)

    def broken():
        yield good
        yield good
        raise OSError("the disk is gone")

    for pieces, error, match in (
        ([good, good, good[:, 1:], good], ValueError, r"sequences\[2\] has 4 features"),
        ([good, good, good[None], good], ValueError, r"sequences\[2\] has 3 dimensions .*one sequence \(T, I\)"),
        ([good, good, "text"], TypeError, r"sequences\[2\] has dtype <U4"),
        (broken(), OSError, "the disk is gone"),
    ):
        results = model.map(pieces, threads=threads)
        assert_same_bits([next(results), next(results)], [model(good), model(good)])
        with pytest.raises(error, match=match):
            next(results)
    for bad in (None, 3, model):
        with pytest.raises(TypeError):
            model.map(bad, threads=threads)


def test_map_is_refused_at_once(rng):
    model = cgru.GRU(INPUT, H, rng=1)
    for threads, error in ((0, ValueError), (-2, ValueError), (None, TypeError), (1.0, TypeError), (True, TypeError)):
        with pytest.raises(error, match="threads must be"):
            model.map([], threads=threads)


def test_an_interrupt_ends_a_map():
    """Ctrl-C while the caller waits for a result: what has not begun is left."""
    began, let_go = [], threading.Event()

    def work(number):
        began.append(number)
        assert let_go.wait(60)
        return number

    def numbers():
        yield from range(3)
        let_go.set()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(map_in_threads(work, numbers(), 2))
    assert len(began) <= 3


# --------------------------------------------------------------------------------------------- all cores


def test_all_cores(best, rng, monkeypatch):
    """-1 is what this process may use, of any integer type; the result is that of one thread."""
    model = best.model(3, H, 2, rng=1)
    x = best.cast(rng.normal(size=(6, 40, 3)))
    for threads in (-1, np.int8(-1)):
        assert_as_alone(best, model(x, threads=threads), model(x))
    if hasattr(os, "process_cpu_count"):
        monkeypatch.setattr(os, "process_cpu_count", lambda: 5)
    else:
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(5)), raising=False)
    assert thread_count(-1) == 5
    assert thread_count(3) == 3
    with pytest.raises(ValueError, match="at least 1, or -1 for all cores; got 0"):
        model(x, threads=0)
