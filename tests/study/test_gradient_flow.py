"""How much of a gradient survives the steps back: exact norms, and the product of 1 - z."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import cgru
from cgru.study.gradient_flow import decay, gradient_flow, with_update_bias
from support import reference

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


# ---- options


@pytest.mark.parametrize("network, options", [
    ("GRU", {"clip": 0.3}), ("GRU", {"activations": ("hard_sigmoid", "tanh"), "reset_after": False}),
    ("LSTM", {"activations": ("softsign", "elu", "softplus")}),
    ("RNN", {"nonlinearity": "gelu"}), ("RNN", {"initial_state": True}),
])  # fmt: skip
def test_of_other_activations_a_clip_and_a_stored_state(rng, network, options):
    """It is that of a product of Jacobians, and the states start at zero."""
    parameters = build(network).state_dict()
    if options.pop("initial_state", False):
        parameters["h_0"] = rng.normal(size=(1, SIZES["hidden_size"]))
    model = getattr(cgru, network).from_state_dict(parameters, **options)
    x, lags = rng.normal(size=(6, 2, 3)), 4
    planes, H = len(model.config.cell.states), SIZES["hidden_size"]
    hx, steps = [np.zeros((2, H))] * planes, []
    for x_t in x:
        given = tuple(hx) if planes > 1 else hx[0]
        steps.append(model.jacobian(x_t, given))
        _, final = model(x_t[None], tuple(plane[None] for plane in hx) if planes > 1 else hx[0][None])
        hx = [plane[0] for plane in (final if planes > 1 else (final,))]
    found, row = gradient_flow(model, x, lags), np.broadcast_to(np.eye(H * planes)[:H], (2, H, H * planes))
    for k in range(1, lags + 1):
        row = row @ steps[-k]
        for plane, norms in enumerate((found.h, found.c)[:planes]):
            expected = np.log(np.linalg.norm(row[:, :, plane * H :][:, :, :H], 2, axis=(1, 2))).mean()
            assert norms[k] == pytest.approx(expected, abs=1e-9)


def test_what_is_kept_with_a_clip_and_without_shares(rng):
    x = rng.normal(size=(6, 2, 3)) * 3
    kept = gradient_flow(build("GRU", clip=0.25), x, 5).kept
    sigmoid = 1 / (1 + np.exp(0.25))
    assert (np.diff(kept) >= np.log(sigmoid) - 1e-12).all() and (np.diff(kept) <= np.log(1 - sigmoid) + 1e-12).all()
    assert gradient_flow(build("GRU", activations=("softsign", "tanh")), x, 3).kept is None


@pytest.mark.parametrize("options", [
    {"num_layers": 2}, {"bidirectional": True}, {"reverse": True}, {"go_backwards": True},
], ids=repr)  # fmt: skip
def test_a_model_that_does_not_run_forwards_in_one_layer(rng, options):
    with pytest.raises(ValueError, match=f"one layer which runs forwards; .*{next(iter(options))}="):
        gradient_flow(build("GRU", **options), rng.normal(size=(6, 2, 3)), 3)
