"""``initial_state=`` of a constructor: where rows start that are given no hx; kept and written with the parameters."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import cgru
from cgru.cells import CELLS
from support.compare import assert_close, assert_same_bits, assert_same_model

T, N, INPUT, H = 7, 4, 5, 19
HAVE_ONE = [kind for kind, cell in CELLS.items() if "initial_state" in cell.options]


@pytest.mark.parametrize("kind", HAVE_ONE)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_rows_start_there(kind, bidirectional, rng, tmp_path):
    """As with that hx; a given hx comes first; the other parameters are drawn as without it."""
    network, shape = getattr(cgru, CELLS[kind].name), (2 * (1 + bidirectional), H)
    h_0 = rng.uniform(-1, 1, shape)
    for dtype in (np.float32, np.float64):
        options = {"num_layers": 2, "bidirectional": bidirectional, "dtype": dtype, "rng": 1}
        model, without = network(INPUT, H, initial_state=h_0, **options), network(INPUT, H, **options)
        cast, x = h_0.astype(dtype), rng.normal(size=(T, N, INPUT)).astype(dtype)
        rows = np.repeat(cast[:, None], N, axis=1)
        assert_same_bits(model(x), without(x, rows))
        assert_same_bits(model(x, 0 * rows), without(x))
        assert_close(model(x[:, 1])[0], without(x[:, 1], cast)[0], 1e-6)
        state = model.state_dict()
        assert_same_bits(state.pop("h_0"), cast)
        assert list(state) == list(without.state_dict())
        for name, values in without.state_dict().items():
            assert_array_equal(state[name], values)
        assert model.num_parameters == without.num_parameters + h_0.size and model != without
        model.save(tmp_path / "model.safetensors")
        for other in (
            cgru.load(tmp_path / "model.safetensors"), pickle.loads(pickle.dumps(model)),
            network.from_state_dict(model.state_dict()), model.replace(engine="blas").replace(engine=model.engine),
        ):  # fmt: skip
            assert_same_model(other, model)
        if not bidirectional:
            assert_same_bits(model.stream(N).state, rows)


@pytest.mark.parametrize("kind", HAVE_ONE)
def test_it_is_a_copy(kind, rng):
    h_0 = rng.uniform(-1, 1, (1, H)).astype(np.float32)
    model = getattr(cgru, CELLS[kind].name)(INPUT, H, initial_state=h_0)
    kept = h_0.copy()
    h_0[:] = np.nan
    assert_same_bits(model.weights.tensors["h_0"], kept)
    assert "initial_state=True" in repr(model)


@pytest.mark.parametrize("kind", HAVE_ONE)
@pytest.mark.parametrize("bad, error, match", [
    (np.zeros(H), ValueError, r"initial_state has shape \(19,\), expected \(2, 19\)"),
    (np.zeros((2, N, H)), ValueError, r"initial_state has shape \(2, 4, 19\)"),
    (np.zeros((2, H), complex), TypeError, "initial_state has dtype complex128"),
    (True, ValueError, r"initial_state has shape \(\)"),
    ("zeros", TypeError, "initial_state has dtype <U5"),
])  # fmt: skip
def test_bad_initial_states(kind, bad, error, match):
    with pytest.raises(error, match=match):
        getattr(cgru, CELLS[kind].name)(INPUT, H, 2, initial_state=bad)


def test_an_lstm_has_none():
    with pytest.raises(TypeError, match="initial_state"):
        cgru.LSTM(INPUT, H, initial_state=np.zeros((1, H)))


def test_not_finite():
    with pytest.warns(RuntimeWarning, match="h_0"):
        cgru.GRU(INPUT, H, initial_state=np.full((1, H), np.nan))
