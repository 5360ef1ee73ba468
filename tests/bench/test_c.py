"""bench/c: exported C, cgru's own kernel and RTNeural's adapter; goals; what a run prints."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from bench.c import goals, kernel, measure, run
from bench.common import cbuild, results
from cgru.judge import beside, host
from cgru.judge.points import Point

#: Clones of others, if somebody has them: RTNeural's, and the headers of Eigen and xsimd.
PLACES = {name: os.environ.get(f"CGRU_{name.upper()}") for name in ("rtneural", "eigen", "xsimd")}


def options(*words):
    found = run.arguments(["--quick", *words])
    found.budget = 0.005
    return found


@pytest.mark.parametrize("cell", goals.CELLS)
def test_the_kernel_is_cgru(cell):
    """Bit for bit the steps of a stream; and its loop is timed."""
    problem = beside.Problem(Point(1, 1, 5, 19, cell))
    try:
        one = kernel.Kernel(problem)
    except cbuild.NoCompiler as error:
        pytest.skip(str(error))
    stream = problem.model().stream()
    for k in range(6):
        np.testing.assert_array_equal(one.step(k), stream.step(problem.x[k, 0]))
    times = one.sample(4, 5)
    assert times.shape == (5,) and (times > 0).all()
    one.close()


def test_a_point_is_checked_and_timed():
    try:
        found = measure.measure_point("lstm", 8, {}, 0.005, 3)
    except host.BuildError as error:
        pytest.skip(str(error))
    assert set(found["medians"]) == {goals.EXPORTED, goals.KERNEL} and not found["failures"]
    assert max(one["error"] for one in found["contestants"].values()) < 1e-6


def test_who_is_missing_is_said():
    contestants, missing = measure.rtneural(options())
    assert not contestants and "--rtneural" in missing[goals.RTNEURAL]
    contestants, missing = measure.rtneural(options("--rtneural", str(Path(__file__).parent)))
    assert list(contestants) == ["RTNeural, plain C++"] and "--eigen" in missing["RTNeural, Eigen"]
    assert [one.fixed for one in contestants["RTNeural, plain C++"]] == [True] * len(measure.FLAGS["plain C++"])


def test_what_does_not_compile_is_a_failure(tmp_path):
    """The adapter without RTNeural."""
    contestants, _ = measure.rtneural(options("--rtneural", str(tmp_path)))
    found = measure.measure_point("gru", 8, contestants, 0.005, 3)
    assert "RTNeural/RTNeural.h" in found["failures"]["RTNeural, plain C++"]
    assert "RTNeural, plain C++" not in found["medians"]


@pytest.mark.skipif(not PLACES["rtneural"], reason="CGRU_RTNEURAL does not say where RTNeural is")
@pytest.mark.parametrize("size", [5, 16])
@pytest.mark.parametrize("cell", goals.CELLS)
def test_rtneural_computes_the_layer(cell, size):
    words = [word for name, path in PLACES.items() if path for word in (f"--{name}", path)]
    contestants, _ = measure.rtneural(options(*words))
    problem = beside.Problem(Point(1, 1, size, size, cell))
    for name, ones in contestants.items():
        child = beside.Child(ones[0], name)
        assert child.start(problem) < 1e-6
        one = np.ones((1, size), np.float32)        # no other state than zeros
        states = [one] * len(problem.states)
        assert host.run(ones[0], problem.weights, cell, problem.x[:4], *states).verdict == "refused"


# ---- goals


def test_goals():
    point = {
        "cell": "gru", "H": 64,
        "medians": {goals.EXPORTED: 105.0, goals.KERNEL: 80.0, "RTNeural, Eigen": 100.0, "RTNeural, xsimd": 140.0},
    }  # fmt: skip
    first, second = goals.evaluate([point])
    assert first["against"] == "RTNeural, Eigen" and first["figure"] == 1.05 and first["met"]
    assert second["figure"] == pytest.approx(1.3125) and second["met"] is False
    assert len(goals.evaluate([point | {"H": 8}])) == len(goals.evaluate([point | {"H": 256}])) == 1
    (alone,) = goals.evaluate([point | {"H": 8, "medians": {goals.EXPORTED: 9.0, goals.KERNEL: 8.0}}])
    assert alone["figure"] is alone["met"] is alone["against"] is None


def test_the_readme_has_the_goals():
    text = (Path(run.__file__).parent / "README.md").read_text(encoding="utf-8")
    for bound in (goals.AGAINST_RTNEURAL, goals.AGAINST_KERNEL):
        assert re.search(rf"\b{bound}\b", text)


def test_a_run_without_rtneural(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(run, "QUICK", (64,))
    try:
        assert run.main(["--quick", "--budget", "0.005", "--output", str(tmp_path)]) == 0
    except host.BuildError as error:
        pytest.skip(str(error))
    text = capsys.readouterr().out
    assert "RTNeural: MISSING" in text and "GRU H=64: exported C over RTNeural: -, at most 1.05: not measured" in text
    found = results.read(tmp_path)
    assert [(point["cell"], point["H"]) for point in found["points"]] == [("gru", 64), ("lstm", 64)]
    assert {goal["met"] is None for goal in found["goals"]} == {True, False}


@pytest.mark.parametrize("words", [["--record", "--quick"], ["--rtneural", "/no/such/folder"], ["--budget", "0"]])
def test_what_cannot_be_asked(words):
    with pytest.raises(SystemExit):
        run.arguments(words)
