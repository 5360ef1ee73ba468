"""How fast: what is asked of whom, that everybody timed computes the layer, what is skipped, and the suites."""

import datetime
import os
import platform
import shutil
from pathlib import Path

import numpy as np
import pytest

from cgru._version import __version__
from cgru.judge import beside, fast, host, suites
from cgru.judge.exported import Exported
from cgru.judge.fast import NULL, Options, Times
from cgru.judge.limit import footprints
from cgru.judge.points import Point
from cgru.judge.report import Report

#: A contestant that answers with a constant, does GRUs alone, and crashes from H = 40 on.
SOURCE = """
#include <stdlib.h>
#include <cgru_judge.h>
typedef struct { int size; } Model;
void *cgru_judge_make(const cgru_judge_layer *layer)
{
    Model *model = malloc(sizeof *model);
    if (layer->cell != CGRU_JUDGE_GRU || layer->rows != 1 || !model) return free(model), NULL;
    model->size = layer->hidden_size;
    return model;
}
int cgru_judge_reset(void *model, const float *h_0, const float *c_0)
{
    return (void)model, (void)h_0, c_0 != NULL;
}
void cgru_judge_step(void *model, const float *x, float *y)
{
    if (((Model *)model)->size >= 40) abort();
    for (int j = 0; j < ((Model *)model)->size; j++) y[j] = 0.25f + 0 * x[0];
}
void cgru_judge_free(void *model) { free(model); }
const char *cgru_judge_name(void) { return "a quarter"; }
"""


@pytest.fixture(scope="module")
def quarter(tmp_path_factory):
    path = tmp_path_factory.mktemp("contestant") / "quarter.c"
    path.write_text(SOURCE)
    return made(lambda: host.Contestant.of(path, flags=("-O1",)))


def made(build):
    """What it gives, or skip where there is no compiler."""
    try:
        found = build()
        host.null().build(host.Shape("gru", 3, 5))
        return found
    except host.BuildError as error:
        pytest.skip(str(error))


@pytest.fixture
def short(monkeypatch):
    """So few samples that a test takes no time."""
    monkeypatch.setattr(fast, "_MOST", 20)
    monkeypatch.setattr(fast, "SAMPLE_NS", 500)


# ---- who is timed


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
@pytest.mark.parametrize("T, N", [(1, 1), (7, 1), (1, 3), (7, 3)])
def test_cgru_and_onnx_runtime_compute_the_layer(cell, T, N):
    problem = beside.Problem(Point(T, N, 5, 19, cell))
    peers, missing = beside.peers()
    assert len(peers) + len(missing) == 2
    for one in peers:
        assert one.start(problem) < 2e-6
        assert (one.sample(3, 4) > 0).all()
        one.close()


def test_peers_have_layers_and_directions():
    for point in (Point(1, 1, 5, 19, "lstm", layers=3), Point(6, 2, 5, 19, "gru", directions=2)):
        for one in beside.peers()[0]:
            assert one.start(beside.Problem(point)) is None     # its outputs are those of another test
            assert (one.sample(2, 3) > 0).all()


def test_an_error_is_of_the_steps_that_were_given():
    """Of the last row, from the first step on; a step that is off by 0.1 is seen."""
    problem = beside.Problem(Point(1, 3, 5, 19, "gru"))
    y = problem.model()(problem.x[:4])[0]
    assert problem.error(y) < 2e-6
    y[2, 2, 11] += 0.1
    assert problem.error(y) == pytest.approx(0.1, abs=1e-5)


def test_a_contestant_is_asked_in_its_own_process(quarter):
    child = beside.Child(quarter, "a quarter")
    error = child.start(beside.Problem(Point(1, 1, 5, 19, "gru")))
    assert 0.05 < error < 1.3       # a constant is no GRU
    times = child.sample(10, 6)
    assert times.shape == (6,) and (times > 0).all()
    assert child.sample(10, 5, instances=3).shape == (5,)


def test_a_sequence_without_a_run_is_all_its_steps(quarter):
    """A call is a sequence: 500 steps of a contestant without `run` take more than ten."""
    child = beside.Child(quarter, "a quarter")
    medians = []
    for T in (10, 500):
        child.start(beside.Problem(Point(T, 1, 5, 19, "gru")))
        medians.append(np.median(child.sample(20, 9)))
    assert medians[1] > 5 * medians[0]


@pytest.mark.parametrize(
    "point, reason",
    [
        (Point(1, 1, 5, 19, "lstm"), "refused: cgru_judge_make"),
        (Point(1, 2, 5, 19, "gru"), "refused: cgru_judge_make"),
        (Point(1, 1, 5, 19, "gru", layers=2), "more than one layer"),
        (Point(6, 1, 5, 19, "gru", directions=2), "more than one layer or direction"),
        (Point(1, 1, 5, 41, "gru"), "crashed"),
    ],
)
def test_what_a_contestant_does_not_do(quarter, point, reason):
    with pytest.raises(beside.Skipped, match=reason):
        beside.Child(quarter, "a quarter").start(beside.Problem(point))


# ---- an exported layer


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
def test_an_exported_layer_is_a_contestant(cell):
    """The bits of cgru's steps, from a state that is not zero, by step and by run."""
    problem = beside.Problem(Point(1, 1, 5, 19, cell))
    contestant = made(lambda: Exported(flags=("-O2", "-march=native")).of_layer(problem.weights, cell))
    rng = np.random.default_rng(5)
    states = [rng.uniform(-1, 1, (1, 19)).astype(np.float32) for _ in problem.states]
    hx = tuple(state[None] for state in states) if cell == "lstm" else states[0][None]
    expected = problem.model()(problem.x, hx)[0]
    for way in ("step", "run"):
        found = host.run(contestant, problem.weights, cell, problem.x, *states, way=way)
        assert found.verdict == "ok", found.detail
        np.testing.assert_allclose(found.y, expected, rtol=0, atol=2e-6)


def test_an_exported_layer_is_no_other():
    problem = beside.Problem(Point(1, 1, 5, 19, "gru"))
    contestant = made(lambda: Exported(flags=("-O1",)).of_layer(problem.weights, "gru"))
    assert host.run(contestant, problem.weights, "gru", problem.x, problem.states[0][0]).verdict == "ok"
    for name in problem.weights:
        other = {key: array.copy() for key, array in problem.weights.items()}
        other[name].flat[-1] += 0.01
        assert host.run(contestant, other, "gru", problem.x, problem.states[0][0]).verdict == "refused"
    for reset_after in (False, True):
        found = host.run(
            contestant, problem.weights, "gru", problem.x, problem.states[0][0], reset_after=reset_after
        )
        assert found.verdict == ("ok" if reset_after else "refused")
    wider = beside.Problem(Point(1, 1, 6, 19, "gru"))
    assert host.run(contestant, wider.weights, "gru", wider.x, wider.states[0][0]).verdict == "refused"
    rows = np.repeat(problem.x, 2, axis=1)
    assert host.run(contestant, problem.weights, "gru", rows, np.zeros((2, 19))).verdict == "refused"


# ---- the whole


def test_everybody_is_timed(quarter, short):
    told = []
    options = Options(
        cells=("gru", "lstm"), sizes=(5, 41), quick=True, instances=(1, 3), progress=lambda *words: told.append(words)
    )
    found = fast.fast(quarter, options)
    assert found.name == "a quarter" and told == [(n, 4) for n in range(5)]
    assert [(row.point.cell, row.point.H) for row in found.rows] == [("gru", 5), ("gru", 41), ("lstm", 5), ("lstm", 41)]
    first, second, *others = found.rows
    assert set(first.times) == {"a quarter", NULL, *found.python} and not first.skipped
    assert first.times["a quarter"].error > 0.05 and first.times["cgru"].error < 2e-6
    assert first.times[NULL].error is None
    assert set(first.times["a quarter"].instances) == {1, 3}
    assert "crashed" in second.skipped["a quarter"] and "a quarter" not in second.times
    assert all("refused" in row.skipped["a quarter"] and "cgru" in row.times for row in others)
    for row in found.rows:
        assert ("limit" in found.missing) is (row.limit is None)
        if row.limit:
            assert row.limit["ns"] > 0 and row.limit["bytes"] == footprints(row.point).pop()


@pytest.mark.parametrize(
    "line",
    [
        "static int steps; if (++steps > 1000) abort();",       # when it has long been right
        "static void *one; if (one && one != model) abort(); one = model;",     # when another model is stepped
    ],
)
def test_a_crash_in_the_midst_is_a_verdict(tmp_path, short, line):
    """The others are timed all the same."""
    path = tmp_path / "later.c"
    path.write_text(SOURCE.replace("if (((Model *)model)->size >= 40) abort();", line))
    contestant = made(lambda: host.Contestant.of(path, flags=("-O1",)))
    found = fast.fast(contestant, Options(cells=("gru",), sizes=(5,), quick=True, instances=(1, 3), peers=False))
    (row,) = found.rows
    assert row.skipped["a quarter"].startswith("crashed") and set(row.times) == {NULL}


def test_without_peers(quarter, short):
    found = fast.fast(quarter, Options(cells=("gru",), sizes=(5,), quick=True, peers=False))
    assert set(found.rows[0].times) == {"a quarter", NULL} and found.python == []


def test_a_contestant_may_be_called_as_a_peer_is(quarter, short, monkeypatch):
    monkeypatch.setattr(type(quarter), "name", "cgru")
    found = fast.fast(quarter, Options(cells=("gru",), sizes=(5,), quick=True))
    assert found.name == "cgru (contestant)"
    assert {"cgru", found.name} <= set(found.rows[0].times)


def test_a_contestant_may_be_called_as_the_null_is(quarter, short, monkeypatch):
    """Its figures are its own."""
    monkeypatch.setattr(type(quarter), "name", NULL)
    found = fast.fast(quarter, Options(cells=("gru",), sizes=(5,), quick=True, peers=False))
    times = found.rows[0].times
    assert found.name == f"{NULL} (contestant)" and set(times) == {NULL, found.name}
    assert times[found.name].error > 0.05 and times[NULL].error is None


def test_after_a_hang_no_more_of_the_kind_is_asked(tmp_path, short, monkeypatch):
    """Another kind is; the others are timed at every point."""
    path = tmp_path / "hangs.c"
    hangs = SOURCE.replace("if (layer->cell != CGRU_JUDGE_GRU", "while (layer->cell == CGRU_JUDGE_GRU) ;\n    if (0")
    assert hangs != SOURCE
    path.write_text(hangs.replace("c_0 != NULL", "(void)c_0, 0"))
    contestant = made(lambda: host.Contestant.of(path, flags=("-O1",)))
    asked, run = [], host.run
    monkeypatch.setattr(host, "run", lambda one, *words: asked.append(one) or run(one, *words, timeout=1.5))
    options = Options(sizes=(5, 7, 9), quick=True, peers=False)
    found = fast.fast(contestant, options)
    reasons = [row.skipped.get("a quarter", "") for row in found.rows]
    first = found.rows[0].point.key
    assert reasons[0].startswith("hung: ") and reasons[1:3] == 2 * [f"not asked, for it hung at {first}"]
    assert reasons[3:] == ["", "", ""] and asked.count(contestant) == 1 + 3
    assert all(NULL in row.times for row in found.rows) and "a quarter" in found.rows[3].times


@pytest.fixture
def nothing_on_the_path(quarter, monkeypatch, tmp_path):
    """No compiler is found by its name; gives the whole path of one, which finds its assembler and linker."""
    gcc = shutil.which("gcc")
    tools = [shutil.which(name) for name in ("as", "ld")]
    if gcc is None or None in tools:
        pytest.skip("needs gcc, as, ld")
    for tool in tools:
        (tmp_path / Path(tool).name).symlink_to(tool)
    quarter.facts()
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("CC", "CXX"):
        monkeypatch.delenv(name, raising=False)
    return gcc


def test_the_compiler_is_that_of_the_null_contestant_and_the_probe(quarter, short, nothing_on_the_path):
    options = {"cells": ("gru",), "sizes": (5,), "quick": True, "peers": False}
    found = fast.fast(quarter, Options(**options, cc=nothing_on_the_path))
    assert not found.missing and NULL in found.rows[0].times and found.rows[0].limit["ns"] > 0
    assert found.machine["probe"].startswith("gcc ")


def test_without_a_compiler_the_contestant_is_timed_all_the_same(quarter, short, nothing_on_the_path):
    found = fast.fast(quarter, Options(cells=("gru",), sizes=(5,), quick=True, peers=False))
    assert "no C compiler" in found.missing[NULL] and "no C compiler" in found.missing["limit"]
    assert set(found.rows[0].times) == {"a quarter"} and found.rows[0].limit is None
    assert found.machine["probe"] is None
    assert f"{NULL}: no C compiler" in Report(found).text


def test_what_is_noted_of_the_machine(quarter, short):
    found = fast.fast(quarter, Options(cells=("gru",), sizes=(5,), quick=True, peers=False)).machine
    assert found["cpu"] and found["cores"] == os.cpu_count() and found["system"].startswith(platform.system())
    assert found["versions"]["NumPy"] == np.__version__ and found["versions"]["cgru"] == __version__
    assert {"ONNX Runtime", "onnx"} < set(found["versions"]) and found["probe"].endswith(" probe.c")
    age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(found["time"])
    assert datetime.timedelta(seconds=-2) < age < datetime.timedelta(hours=1)


def test_figures():
    """p99 is the time of a call that there was; the spread is of the rounds."""
    times = Times(0.5, np.arange(1.0, 201), [4.0, 6.0, 5.0], [90.0, 100.0, 120.0], {4: 7.0})
    found = times.as_dict()
    assert found["median"] == 101 and found["p99"] == 199 and found["max"] == 200
    assert found["max_over_median"] == 200 / 101 and found["in_a_row"] == 5 and found["samples"] == 200
    assert found["spread"] == 0.3 and found["instances"] == {"4": 7.0} and found["error"] == 0.5


# ---- what is asked


def test_points():
    whole, quick = Options().points(), Options(quick=True).points()
    assert [point.H for point in whole] == 2 * list(fast.SIZES) and {point.cell for point in whole} == {"gru", "lstm"}
    assert set(quick) < set(whole) and all((p.T, p.N, p.layers) == (1, 1, 1) and p.I == p.H for p in whole)
    assert Options(cells=("lstm",), suite="audio").points() == [
        point for point in suites.SUITES["audio"] if point.cell == "lstm"
    ]
    for name, points in suites.SUITES.items():
        assert Options(cells=("gru", "lstm", "rnn"), suite=name).points() == points


@pytest.mark.parametrize(
    "words", [{"suite": "movies"}, {"sizes": ()}, {"sizes": (8, 0)}, {"suite": "audio", "cells": ("rnn",)}]
)
def test_what_cannot_be_asked(words):
    with pytest.raises(ValueError, match=next(iter(words))):
        Options(**words)


def test_a_quick_suite_leaves_out_what_takes_long(quarter, short, monkeypatch):
    monkeypatch.setattr(fast, "_QUICK_FLOPS", 1)
    found = fast.fast(quarter, Options(suite="markets", quick=True))
    assert all("quick" in row.skipped["everybody"] and not row.times for row in found.rows)
    assert any(row.published for row in found.rows)


def test_published_figures_have_a_point_and_a_source():
    points = {point for of_suite in suites.SUITES.values() for point in of_suite}
    assert set(suites.PUBLISHED) <= points
    figures = [figure for found in suites.PUBLISHED.values() for figure in found]
    assert {figure.source for figure in figures} == set(suites.SOURCES) and min(figure.ns for figure in figures) > 0
    best = {
        point.H: figure.ns for point, found in suites.PUBLISHED.items() if point.cell == "lstm" and point.is_step
        for figure in found if figure.what.startswith("RTNeural")
    }  # fmt: skip
    assert best == {4: 78, 8: 148, 16: 320, 32: 884, 64: 3225}


def test_the_probe_finds_its_sources():
    """They are data of the package."""
    from cgru.judge import probe

    assert probe.SOURCE.is_file() and Path(probe.SOURCE).with_name("dots.h").is_file()
