"""The adding problem: its sequences, its learner, its command."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from bench.adding import run as adding
from bench.adding.learner import Learner, train
from bench.adding.problem import sequences
from bench.adding.settings import CHANCE, NETWORKS, Settings

BRIEF = Settings(hidden_size=9, steps=60, batch=8, rate=1e-2)


@pytest.mark.parametrize("length", [2, 7, 50])
def test_sequences(rng, length):
    x, target = sequences(rng, length, 11)
    assert x.shape == (length, 11, 2) and x.dtype == target.dtype == np.float32
    assert ((x[:, :, 0] >= 0) & (x[:, :, 0] < 1)).all()
    half = length // 2
    assert_array_equal(x[:half, :, 1].sum(axis=0), np.ones(11))
    assert_array_equal(x[half:, :, 1].sum(axis=0), np.ones(11))
    assert_allclose(target, (x[:, :, 0] * x[:, :, 1]).sum(axis=0), rtol=1e-6)


def test_chance_is_what_the_constant_one_gives(rng):
    _, target = sequences(rng, 20, 200_000)
    assert np.mean((target - 1.0) ** 2) == pytest.approx(CHANCE, abs=2e-3)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_step_goes_down_the_gradient(rng, network):
    x, target = sequences(rng, 6, 30)
    learner = Learner(network, Settings(hidden_size=5, max_norm=1e9), 1)
    before = {name: value.copy() for name, value in learner.parameters.items()}
    taken = {}
    learner._optimizer.update = lambda tensors, gradients, rate: taken.update(gradients)
    assert learner.learn(x, target) == pytest.approx(learner.error(x, target), rel=1e-5)
    for name, gradient in taken.items():
        direction, step = gradient / np.linalg.norm(gradient), np.float32(1e-2)
        ends = []
        for sign in (1, -1):
            learner.parameters = {**before, name: before[name] + sign * step * direction}
            ends.append(learner.error(x, target))
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(np.linalg.norm(gradient), rel=1e-2, abs=1e-4)
    assert taken.keys() == before.keys()


@pytest.mark.parametrize("network", NETWORKS)
def test_training_is_deterministic(network):
    once, again, other = (train(network, 10, seed, BRIEF) for seed in (3, 3, 4))
    assert once["error"] == again["error"] != other["error"]
    assert once["steps"] == list(range(61))


def test_a_short_run_learns():
    run = train("GRU", 10, 0, Settings(hidden_size=16, steps=400, batch=32, rate=1e-2))
    assert run["error"][-1] < CHANCE / 3 < run["error"][0]
    assert run["parameters"] == 3 * 16 * (2 + 16 + 2) + 17


def test_command(tmp_path, capsys):
    arguments = [
        "--lengths",
        "6",
        "4",
        "--seeds",
        "2",
        "--steps",
        "9",
        "--hidden-size",
        "3",
        "--workers",
        "1",
    ]
    assert adding.main([*arguments, "--networks", "LSTM", "GRU", "--output", str(tmp_path / "new")]) == 0
    output, errors = capsys.readouterr()
    assert errors == ""
    results = json.loads((tmp_path / "new" / "results.json").read_text())
    kinds = [(run["length"], run["network"], run["seed"]) for run in results["runs"]]
    assert kinds == [(T, name, seed) for T in (4, 6) for name in ("GRU", "LSTM") for seed in (0, 1)]
    assert results["settings"]["steps"] == 9 and results["settings"]["hidden_size"] == 3
    assert output.count("never") == 8
    if "no picture" not in output:
        assert (tmp_path / "new" / "curves.png").read_bytes()[:4] == b"\x89PNG"


def test_bad_arguments(capsys):
    for arguments in (["--lengths", "1"], ["--seeds", "0"], ["--rate", "-1"]):
        with pytest.raises(SystemExit):
            adding.main(arguments)
        assert arguments[0] in capsys.readouterr().err
