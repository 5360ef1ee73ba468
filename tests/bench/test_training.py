"""The training benchmark: the contestants' gradients agree, verdicts follow from the figures."""

import numpy as np
import pytest

from bench.training import contestants, goals, measure


def test_contestants_agree(torch):
    """cgru, PyTorch and the bridge between them take the same step."""
    expected = contestants.CONTESTANTS[contestants.RIVAL](8)()
    expected = {name: value.copy() for name, value in expected.items()}
    for make in contestants.CONTESTANTS.values():
        assert measure.disagreement(make(8)(), expected) < measure.TOLERANCE


def test_disagreement_is_relative_to_the_largest_entry():
    a = {"W": np.array([0.0, 2.0]), "b": np.array([1.0])}
    b = {"W": np.array([0.5, 2.0]), "b": np.array([1.0])}
    assert measure.disagreement(a, a) == 0 and measure.disagreement(b, a) == 0.25


def test_wrong_gradients_are_not_timed(torch, monkeypatch):
    wrong = dict(contestants.CONTESTANTS)
    wrong[contestants.CGRU] = lambda H: lambda: {
        name: 2 * value for name, value in contestants.CONTESTANTS[contestants.RIVAL](H)().items()
    }
    monkeypatch.setattr(measure, "CONTESTANTS", wrong)
    with pytest.raises(SystemExit, match=f"H=8: {contestants.CGRU} and {contestants.RIVAL} differ"):
        measure.time_steps(8, 0.01)


@pytest.mark.parametrize("H", [*goals.TARGETS, 7])
@pytest.mark.parametrize("factor", [1.1, 0.9])
@pytest.mark.parametrize("growth", [1, 3, None])
def test_goals(H, factor, growth):
    """As fast as the target, no more memory than PyTorch; no verdict without a goal or a figure."""
    target = goals.TARGETS.get(H)
    memory = {contestants.CGRU: growth and {"growth": growth}, contestants.RIVAL: {"growth": 2}}
    line = {"H": H, "contestants": {name: {"memory": value} for name, value in memory.items()}}
    line["ratios"] = {contestants.CGRU: factor * (target or 2.0)}
    verdict = goals.evaluate(line)
    assert verdict["target"] == target
    assert verdict["fast_enough"] == (None if target is None else factor > 1)
    assert verdict["memory_no_higher"] == {1: True, 3: False, None: None}[growth]
    assert goals.missed(line | verdict) == ((target is not None and factor < 1) or growth == 3)
