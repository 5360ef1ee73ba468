"""``cgru compare``: counts, costs, the table and the picture. The norms are in study/test_gradient_flow.py."""

import numpy as np
import pytest

import cgru
from cgru import engines
from cgru.__main__ import main
from cgru.commands import compare
from cgru.study.gradient_flow import Flow
from support.processes import run_cgru

NETWORKS = ("RNN", "GRU", "LSTM")


# ---- sizes


@pytest.mark.parametrize("network", NETWORKS)
def test_counts_are_the_models(network):
    tensors = getattr(cgru, network)(6, 11).state_dict()
    assert compare.parameters(network, 6, 11) == sum(value.size for value in tensors.values())
    weights = sum(value.size for name, value in tensors.items() if name.startswith("weight"))
    assert compare.multiply_adds(network, 6, 11) == weights


@pytest.mark.parametrize(("inputs", "units"), [(64, 64), (1, 1), (3, 50), (200, 7)])
def test_equal_parameters_are_the_nearest(inputs, units):
    hidden = compare.equal_parameters(inputs, units)
    assert hidden["GRU"] == units
    wanted = compare.parameters("GRU", inputs, units)
    for network, H in hidden.items():
        off = [
            abs(compare.parameters(network, inputs, max(1, size)) - wanted) for size in (H, H - 1, H + 1)
        ]
        assert off[0] == min(off)


def test_numbers_are_legible():
    assert compare.half_life(0.5) == "1.00"
    assert compare.half_life(1.5) == "grows"
    assert compare.power(np.log(0.25)) == "0.2500"
    assert compare.power(-1000.0) == "5.08e-435"
    assert compare.power(-np.inf) == "0"


def test_all_are_timed_alike(monkeypatch):
    """On one engine, which is named, each by steps of a stream and as a sequence."""
    timed = []

    def noting(name):
        function = getattr(compare, name)

        def sampler(model, x):
            timed.append((name, type(model).__name__, model.engine, model.dtype, x.shape))
            return function(model, x)

        monkeypatch.setattr(compare, name, sampler)

    noting("step_sampler")
    noting("sequence_sampler")
    hidden = {"RNN": 9, "GRU": 5, "LSTM": 4}
    head, *rows, last = compare.cost_lines(3, hidden, 0.001)
    engine = engines.choose("auto", np.dtype(np.float32))
    ways = {"step_sampler": (1, 3), "sequence_sampler": (100, 1, 3)}
    assert timed == [(way, name, engine, np.float32, shape) for name in hidden for way, shape in ways.items()]
    assert head.split() == ["H", "parameters", "multiply-adds", "bytes", "step", "100", "steps"]
    for row, (name, H) in zip(rows, hidden.items(), strict=True):
        words = row.split()
        assert words[:2] == [name, str(H)] and len(words) == 9
        assert words[-3] in ("ns", "us", "ms") and words[-1] in ("ns", "us", "ms")
    assert last == f"times on the engine {engine}, {engines.isa()}"


# ---- the command


def test_command_and_picture(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "flow.png"
    arguments = ["compare", "--input-size", "3", "--hidden-size", "5", "--lags", "12", "--plot", str(picture)]
    assert main(arguments, seconds=0.002) == 0
    output, errors = capsys.readouterr()
    assert errors == ""
    for words in ("equal hidden size: I = 3, H = 5", "equal parameter count", "LSTM, c", "product of 1 - z"):
        assert words in output, words
    assert output.count("\ntimes on the engine ") == 2
    for words in ("initialisation", "bias -4", "bias 0", "bias 4", "real utterances", "GRU, untrained"):
        assert words in output, words
    assert max(map(len, output.splitlines())) <= 120
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert 40_000 < picture.stat().st_size < 1_000_000


def test_picture_shows_every_setting():
    pytest.importorskip("matplotlib")
    from cgru.commands import _compare_picture

    flow = Flow(np.array([0, -1.0]), None, np.array([0, -2.0]))
    both = {"RNN": Flow(flow.h), "GRU": flow, "LSTM": Flow(flow.h, np.array([-np.inf, -800.0]))}
    panels = [
        ("equal hidden size", "a", both),
        ("equal hidden size", "b", both),
        ("equal parameter count", "a", both),
    ]
    panels += [("equal parameter count", "b", both), ("demo", "c", {**both, "RNN, untrained": Flow(flow.h)})]
    figure = _compare_picture.figure(panels, 3, {"GRU": 4}, {"GRU": 5})
    assert [axis.get_title().partition("\n")[0] for axis in figure.axes] == ["a", "b", "c", "a", "b", ""]
    assert {axis.get_yscale() for axis in figure.axes[:5]} == {"log"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--lags", "0"], "--lags"),
        (["--hidden-size", "x"], "--hidden-size"),
        (["--plot", "flow.doc"], ".png"),
        (["--plot", "no/such/directory/flow.png"], "there is no folder no/such/directory"),
    ],
)
def test_errors_are_one_line(arguments, words):
    done = run_cgru("compare", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("cgru: error: ") and done.stderr.count("\n") == 1
    assert words in done.stderr
