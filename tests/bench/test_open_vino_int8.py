"""OpenVINO's LSTM in 8 bits, which is told by hand what to quantise."""

import importlib.util

import pytest

from bench.common.problem import Problem
from bench.speed.peers import open_vino_int8
from bench.speed.peers.onnx_model import onnx_model
from cgru.judge.points import Point

pytestmark = [
    pytest.mark.skipif(
        not all(importlib.util.find_spec(name) for name in ("onnx", "openvino")),
        reason="onnx or openvino is not installed",
    ),
    pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning"),    # of JAX, where tests before this have loaded it
]


@pytest.mark.parametrize("shape", [(1, 1, 40, 100), (7, 3, 40, 100), (30, 4, 60, 33)])
def test_it_is_right_and_in_8_bits(shape):
    """Within what one scale for x and h leaves; float32 would be right to 1e-5."""
    problem = Problem(Point(*shape, "lstm"))
    (runner,) = open_vino_int8.OpenVinoInt8().runners(problem)
    for _ in range(2):      # the second time after a run: it starts afresh
        error = abs(runner.result().reshape(problem.expected.shape) - problem.expected).max()
        assert 1e-4 < error < 0.05
        assert (runner.sample(3, 4) > 0).all()


def test_it_has_no_gru():
    contestant = open_vino_int8.OpenVinoInt8()
    assert contestant.takes(Point(7, 3, 5, 19, "lstm"))
    assert not contestant.takes(Point(7, 3, 5, 19, "gru"))
    assert not contestant.takes(Point(7, 3, 5, 19, "lstm", layers=2))


def test_another_type_is_no_answer(monkeypatch):
    """A model that was not quantised is refused, though its answer is right."""
    problem = Problem(Point(7, 3, 40, 100, "lstm"))
    contestant = open_vino_int8.OpenVinoInt8()
    plain = contestant._core.read_model(onnx_model(problem))
    monkeypatch.setattr(contestant, "_sequence", lambda problem: plain)
    with pytest.raises(RuntimeError, match="not in 8 bits"):
        contestant.runners(problem)
