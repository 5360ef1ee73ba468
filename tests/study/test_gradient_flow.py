"""``cgru compare``: counts, exact gradient norms, the product of 1 - z, command line and picture."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

import cgru
from support import reference
from cgru import comparison
from cgru.__main__ import main
from cgru.gradient_flow import Flow, decay, gradient_flow, with_update_bias

NETWORKS = ("RNN", "GRU", "LSTM")
SIZES = {"input_size": 3, "hidden_size": 5}


def build(network, rng=7, **options):
    """A float64 model of odd sizes."""
    return getattr(cgru, network)(*SIZES.values(), dtype=np.float64, rng=rng, **options)


def step_jacobian(step, states, difference=1e-6):
    """Central differences of a step's joint state (S * H,) -> (S * H,)."""
    flat = np.concatenate(states)

    def moved(by):
        return np.concatenate(step(np.split(flat + by, len(states))))

    unit = difference * np.eye(flat.size)
    return np.stack([(moved(e) - moved(-e)) / (2 * difference) for e in unit], axis=1)


def oracle(network, model):
    """A step (x_t, states) -> states of the oracle, each state (H,)."""
    parameters = model.state_dict()

    def step(x_t, states):
        if network == "LSTM":
            hx = tuple(state[None] for state in states)
            return [state[0] for state in reference.lstm(x_t[None], parameters, hx)[1]]
        run = getattr(reference, network.lower())
        return [run(x_t[None], parameters, states[0][None])[1][0]]

    return step


# ---- gradient flow


@pytest.mark.parametrize("with_lengths", [False, True])
@pytest.mark.parametrize("network", NETWORKS)
def test_norms_are_those_of_a_product_of_central_differences(rng, network, with_lengths):
    model, lags, H = build(network), 4, SIZES["hidden_size"]
    x = rng.normal(size=(7, 2, 3))
    lengths = np.array([7, 5]) if with_lengths else np.array([7, 7])
    flow = gradient_flow(model, x, lags, lengths if with_lengths else None)
    step, norms = oracle(network, model), []
    for row, length in enumerate(lengths):
        trace = [[np.zeros(H)] * (2 if network == "LSTM" else 1)]
        for x_t in x[:length, row]:
            trace.append(step(x_t, trace[-1]))
        product, of_row = np.eye(H * len(trace[0])), [(1.0, 0.0)]
        for k in range(1, lags + 1):
            product = product @ step_jacobian(lambda s, t=length - k: step(x[t, row], s), trace[length - k])  # noqa: B023
            of_row.append([np.linalg.norm(part, 2) for part in np.split(product[:H], len(trace[0]), axis=1)])
        norms.append([values[0] for values in of_row])
        if network == "LSTM":
            norms[-1] += [values[1] for values in of_row[1:]]
    expected = np.log(norms).mean(axis=0)
    assert_allclose(flow.h, expected[: lags + 1], rtol=0, atol=1e-7)
    if network == "LSTM":
        assert_allclose(flow.c[1:], expected[lags + 1 :], rtol=0, atol=1e-7)
        assert flow.c[0] == -np.inf
    else:
        assert flow.c is None


def test_norms_are_those_of_a_product_of_jacobians(rng):
    gru, x = build("GRU"), rng.normal(size=(6, 1, 3))
    y, _ = gru(x)
    product, norms = np.eye(5), [1.0]
    for t in range(5, 1, -1):
        product = product @ gru.jacobian(x[t], y[t - 1])[0]
        norms.append(np.linalg.norm(product, 2))
    assert_allclose(gradient_flow(gru, x, 4).h, np.log(norms), rtol=0, atol=1e-12)


@pytest.mark.parametrize("bias", [-4, 0.5, 4])
def test_without_recurrent_weights_the_norm_is_the_product_of_one_minus_z(rng, bias):
    model = build("GRU")
    state = model.state_dict()
    state["weight_hh_l0"][:] = 0
    model = with_update_bias(cgru.GRU.from_state_dict(state), bias)
    x, lags = rng.normal(size=(9, 1, 3)), 6
    flow = gradient_flow(model, x, lags)
    z = 1 / (1 + np.exp(-(x[:, 0] @ -state["weight_ih_l0"][5:10].T + bias)))  # the starting equations' sense
    products = np.cumprod((1 - z)[::-1], axis=0)[:lags]
    expected = np.concatenate([[0], np.log(products.max(axis=1))])
    assert_allclose(flow.h, expected, atol=1e-12)
    assert_allclose(flow.kept, expected, atol=1e-12)


def test_update_bias_is_in_the_starting_equations_sense(rng):
    x = rng.normal(size=(30, 2, 3))
    keeps, takes = (gradient_flow(with_update_bias(build("GRU"), bias), x, 20) for bias in (-6, 6))
    assert keeps.kept[20] > np.log(0.9) > np.log(1e-20) > takes.kept[20]
    keeps, takes = (gradient_flow(with_update_bias(build("LSTM"), bias), x, 20) for bias in (-6, 6))
    assert keeps.c[20] > takes.c[20] + 10
    rnn = build("RNN")
    assert with_update_bias(rnn, 4) is rnn


def test_norms_do_not_underflow(rng):
    model = with_update_bias(build("LSTM"), 30)
    flow = gradient_flow(model, rng.normal(size=(400, 1, 3)), 400)
    assert np.isfinite(flow.h).all() and flow.h[-1] < -750


def test_more_lags_than_steps(rng):
    with pytest.raises(ValueError, match="7 lags, and a sequence of 5 steps"):
        gradient_flow(build("GRU"), rng.normal(size=(9, 2, 3)), 7, [9, 5])


def test_decay():
    assert decay(np.log(0.8) * np.arange(8)) == pytest.approx(0.8)
    assert decay(np.array([0, -1, -5, -7.0])) == pytest.approx(np.exp(-3))
    assert decay(np.array([-np.inf, np.log(0.3)])) == pytest.approx(0.3)
    assert comparison.half_life(0.5) == "1.00"
    assert comparison.half_life(1.5) == "grows"


# ---- sizes


@pytest.mark.parametrize("network", NETWORKS)
def test_counts_are_the_models(network):
    tensors = getattr(cgru, network)(6, 11).state_dict()
    assert comparison.parameters(network, 6, 11) == sum(value.size for value in tensors.values())
    weights = sum(value.size for name, value in tensors.items() if name.startswith("weight"))
    assert comparison.multiply_adds(network, 6, 11) == weights


@pytest.mark.parametrize(("inputs", "units"), [(64, 64), (1, 1), (3, 50), (200, 7)])
def test_equal_parameters_are_the_nearest(inputs, units):
    hidden = comparison.equal_parameters(inputs, units)
    assert hidden["GRU"] == units
    wanted = comparison.parameters("GRU", inputs, units)
    for network, H in hidden.items():
        off = [
            abs(comparison.parameters(network, inputs, max(1, size)) - wanted) for size in (H, H - 1, H + 1)
        ]
        assert off[0] == min(off)


def test_numbers_are_legible():
    assert comparison.power(np.log(0.25)) == "0.2500"
    assert comparison.power(-1000.0) == "5.08e-435"
    assert comparison.power(-np.inf) == "0"


# ---- the command


def test_command_and_picture(capsys, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(comparison, "SECONDS", 0.002)
    picture = tmp_path / "flow.png"
    arguments = ["compare", "--input-size", "3", "--hidden-size", "5", "--lags", "12", "--plot", str(picture)]
    assert main(arguments) == 0
    output, errors = capsys.readouterr()
    assert errors == ""
    for words in ("equal hidden size: I = 3, H = 5", "equal parameter count", "LSTM, c", "product of 1 - z"):
        assert words in output, words
    for words in ("initialisation", "bias -4", "bias 0", "bias 4", "real utterances", "GRU, untrained"):
        assert words in output, words
    assert max(map(len, output.splitlines())) <= 120
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert 40_000 < picture.stat().st_size < 1_000_000


def test_picture_shows_every_setting():
    pytest.importorskip("matplotlib")
    from cgru import _comparison_plot

    flow = Flow(np.array([0, -1.0]), None, np.array([0, -2.0]))
    both = {"RNN": Flow(flow.h), "GRU": flow, "LSTM": Flow(flow.h, np.array([-np.inf, -800.0]))}
    panels = [
        ("equal hidden size", "a", both),
        ("equal hidden size", "b", both),
        ("equal parameter count", "a", both),
    ]
    panels += [("equal parameter count", "b", both), ("demo", "c", {**both, "RNN, untrained": Flow(flow.h)})]
    figure = _comparison_plot.figure(panels, 3, {"GRU": 4}, {"GRU": 5})
    assert [axis.get_title().partition("\n")[0] for axis in figure.axes] == ["a", "b", "c", "a", "b", ""]
    assert {axis.get_yscale() for axis in figure.axes[:5]} == {"log"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--lags", "0"], "--lags"),
        (["--hidden-size", "x"], "--hidden-size"),
        (["--plot", "flow.doc"], ".png"),
        (["--plot", "no/such/directory/flow.png"], "no such directory"),
    ],
)
def test_errors_are_one_line(arguments, words):
    environment = {**os.environ, "PYTHONPATH": str(Path(cgru.__file__).parents[1])}
    command = [sys.executable, "-P", "-m", "cgru", "compare", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("cgru: error: ") and done.stderr.count("\n") == 1
    assert words in done.stderr
