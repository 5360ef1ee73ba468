"""`cgru.check` names the convention that was misread, alone and in combinations, and says so when none was."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import cgru
from support.models import random_state

T, N, H, INPUTS = 7, 3, 5, 4

pytestmark = pytest.mark.variants(kind="gru")


def stacked(state, order):
    """The weights with gates in another order."""
    return {name: np.concatenate([np.split(a, 3)["rzn".index(gate)] for gate in order]) for name, a in state.items()}


def negated(state):
    return {name: np.concatenate([a[:H], -a[H : 2 * H], a[2 * H :]]) for name, a in state.items()}


def each(state, prefix, function):
    return {name: function(a) if name.startswith(prefix) else a for name, a in state.items()}


def blocks_transposed(a):
    return np.concatenate([block.T for block in np.split(a, 3)])


def reshaped(a):
    """What comes of reshaping (columns, 3H) where it should have been transposed."""
    return a.T.reshape(a.shape)


def biases_exchanged(state):
    swap = {"bias_ih": "bias_hh", "bias_hh": "bias_ih"}
    return {swap.get(name[:7], name[:7]) + name[7:]: a for name, a in state.items()}


def directions_exchanged(state):
    return {name[:-8] if name.endswith("_reverse") else f"{name}_reverse": a for name, a in state.items()}


# what went wrong (function of the right state dict, options of the wrong model), and words of each change
MISTAKES = {
    "reset": (lambda s: s, {"reset_after": False}, ["reset gate after"]),
    "z": (negated, {}, ["other sense"]),
    "order zrn": (lambda s: stacked(s, "zrn"), {}, ["gates stacked z, r, n (Keras, ONNX)"]),
    "order nzr": (lambda s: stacked(s, "nzr"), {}, ["gates stacked n, z, r"]),
    "U transposed": (lambda s: each(s, "weight_hh", blocks_transposed), {}, ["U transposed gate by gate"]),
    "W reshaped": (lambda s: each(s, "weight_ih", reshaped), {}, ["W transposed where it was reshaped"]),
    "both reshaped": (lambda s: each(s, "weight", reshaped), {}, ["W and U transposed where"]),
    "biases": (biases_exchanged, {}, ["bias_ih and bias_hh exchanged"]),
    "activation": (lambda s: s, {"activations": ("hard_sigmoid", "tanh")}, ["sigmoid for the gates"]),
    "backwards": (lambda s: s, {"reverse": True}, ["forwards"]),
    "Haiku": (lambda s: stacked(negated(s), "zrn"), {"reset_after": False}, ["gates stacked", "other sense", "reset"]),
}  # fmt: skip


@pytest.fixture(params=[{}, {"num_layers": 2}], ids=repr)
def state(request, rng):
    return random_state(rng, INPUTS, H, **request.param)


@pytest.fixture
def x(rng):
    return 2 * rng.normal(size=(T, N, INPUTS))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_names_the_mistake(best, state, x, mistake):
    spoil, options, words = MISTAKES[mistake]
    right = best.from_state(state)
    h_0 = np.full((right.num_layers, N, H), 0.3, best.dtype)
    y, _ = right(x, h_0)
    wrong = best.from_state(spoil(state), **options)
    report = cgru.check(wrong, x, y, h_0)
    assert not report.matches and report.max_error > 1e-3
    assert len(report.changes) == len(words)
    for change, word in zip(report.changes, words, strict=True):
        assert word in change and change in str(report)
    assert report.changes_error <= report.tolerance
    fixed = report.model
    assert (fixed.engine, fixed.dtype) == (wrong.engine, wrong.dtype)
    assert np.abs(fixed(x, h_0)[0] - y).max() <= report.tolerance


def test_the_initial_state_is_hx_and_converted(best, state, x):
    gru = best.from_state(state)
    h_0 = np.full((gru.num_layers, N, H), 0.3)
    y, _ = gru(x, h_0)
    assert cgru.check(gru, x, y, hx=h_0).matches and not cgru.check(gru, x, y).matches
    with pytest.raises(TypeError, match="h_0"):
        cgru.check(gru, x, y, h_0=h_0)


def test_a_match(best, state, x):
    gru = best.from_state(state)
    report = cgru.check(gru, x, gru(x)[0])
    assert report.matches and report.model is gru and report.changes == () and report.max_error == 0
    assert str(report).startswith("The model matches")


def test_square_input_weights_transposed(best, rng):
    state = random_state(rng, H, H)
    x = rng.normal(size=(T, N, H))
    y, _ = best.from_state(state)(x)
    report = cgru.check(best.from_state(each(state, "weight", blocks_transposed)), x, y)
    assert report.changes == ("W and U transposed gate by gate",)


def test_batch_and_time_exchanged(best, state, x):
    y, _ = best.from_state(state)(x)
    report = cgru.check(best.from_state(state, batch_first=True), x, y)
    assert report.changes == ("x read as (T, N, I), batch_first=False",) and not report.model.batch_first
    report = cgru.check(best.from_state(state), x, y.swapaxes(0, 1))
    assert "first two axes exchanged" in report.changes[0] and report.max_error == np.inf


def test_a_layout_in_which_h_0_does_not_fit(best, state, x):
    right = best.from_state(state)
    h_0 = np.full((right.num_layers, N, H), 0.3, best.dtype)
    report = cgru.check(best.from_state(state, batch_first=True), x, right(x, h_0)[0], h_0)
    assert report.changes == ("x read as (T, N, I), batch_first=False",)


def test_directions_exchanged(best, rng, x):
    state = random_state(rng, INPUTS, H, bidirectional=True, num_layers=2)
    y, _ = best.from_state(state)(x)
    report = cgru.check(best.from_state(directions_exchanged(state)), x, y)
    assert report.changes == ("the two directions' weights exchanged",)
    assert_array_equal(report.model(x)[0], y)


def test_only_valid_steps_are_compared(best, state, x):
    gru = best.from_state(state)
    lengths = [3, 0, T]
    y, _ = gru(x, lengths=lengths)
    y[3:, 0] = 7
    assert cgru.check(gru, x, y, lengths=lengths).matches
    y[2, 0] += 1
    assert not cgru.check(gru, x, y, lengths=lengths).matches


def test_unbatched(best, state, x):
    y, _ = best.from_state(state)(x[:, 0])
    assert cgru.check(best.from_state(stacked(state, "zrn")), x[:, 0], y).changes[0].startswith("gates stacked z, r, n")


def test_ties_are_told(best, rng, x):
    """Where U is zero, nobody can tell whether it was transposed too."""
    state = random_state(rng, INPUTS, H)
    state["weight_hh_l0"][...] = 0
    y, _ = best.from_state(state)(x)
    report = cgru.check(best.from_state(each(state, "weight_ih", reshaped)), x, y)
    assert report.changes[0].startswith("W transposed where it was reshaped")
    assert "cannot tell" in str(report) and "W and U transposed" in str(report)


def test_nothing_matches(best, state, x, rng):
    report = cgru.check(best.from_state(state), x, rng.uniform(-1, 1, (T, N, H)))
    assert not report.matches and report.changes == () and report.model is None
    assert "no combination of changes does" in str(report) and "Closest is" in str(report)


def test_tolerance(best, state, x):
    gru = best.from_state(state)
    y = gru(x)[0] + 1e-3
    assert not cgru.check(gru, x, y).matches
    assert cgru.check(gru, x, y, tolerance=2e-3).matches
    assert cgru.check(gru, x, gru(x)[0].astype(np.float32)).matches


def test_bad_arguments(best, state, x):
    gru = best.from_state(state)
    y, _ = gru(x)
    for arguments, error, words in [
        ((object(), x, y), TypeError, "model must be a cgru.GRU, LSTM, RNN or Sequential"),
        ((gru, x, y[..., :-1]), ValueError, "y_expected has shape"),
        ((gru, x, y * np.nan), ValueError, "NaN or infinity"),
        ((gru, x[..., 1:], y), ValueError, "x has 3 features"),
        ((gru, x, y, np.zeros((9, N, H), best.dtype)), ValueError, "hx has shape"),
    ]:
        with pytest.raises(error, match=words):
            cgru.check(*arguments)
    with pytest.raises(ValueError, match="tolerance must be a positive number"):
        cgru.check(gru, x, y, tolerance=0)
