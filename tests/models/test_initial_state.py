"""``initial_state=`` of a constructor: where rows start that are given no hx; kept and written with the parameters."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import cgru
from cgru.cells import CELLS
from support.compare import assert_close, assert_same_bits, assert_same_model
from support.models import on_planes, pack, planes
from support.variants import WEIGHTS

pytestmark = pytest.mark.variants(weights=WEIGHTS)

T, N, INPUT, H = 7, 4, 5, 19


def drawn(rng, kind, shape):
    """A state of that shape: an array, or a pair."""
    return pack([rng.uniform(-1, 1, shape) for _ in CELLS[kind].states])


def names(kind):
    """h_0, and c_0."""
    return [f"{plane}_0" for plane in CELLS[kind].states]


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_rows_start_there(kind, bidirectional, rng, tmp_path):
    """As with that hx; a given hx comes first; the other parameters are drawn as without it."""
    network, shape = getattr(cgru, CELLS[kind].name), (2 * (1 + bidirectional), H)
    hx = drawn(rng, kind, shape)
    for dtype in (np.float32, np.float64):
        options = {"num_layers": 2, "bidirectional": bidirectional, "dtype": dtype, "rng": 1}
        model, without = network(INPUT, H, initial_state=hx, **options), network(INPUT, H, **options)
        cast = on_planes(hx, lambda plane, dtype=dtype: plane.astype(dtype))
        x = rng.normal(size=(T, N, INPUT)).astype(dtype)
        rows = on_planes(cast, lambda plane: np.repeat(plane[:, None], N, axis=1))
        assert_same_bits(model(x), without(x, rows))
        assert_same_bits(model(x, on_planes(rows, np.zeros_like)), without(x))
        assert_close(model(x[:, 1])[0], without(x[:, 1], cast)[0], 1e-6)
        state = model.state_dict()
        assert list(state)[len(without.state_dict()) :] == names(kind)
        assert_same_bits([state.pop(name) for name in names(kind)], planes(cast))
        assert list(state) == list(without.state_dict())
        for name, values in without.state_dict().items():
            assert_array_equal(state[name], values)
        assert model.num_parameters == without.num_parameters + sum(p.size for p in planes(hx)) and model != without
        model.save(tmp_path / "model.safetensors")
        for other in (
            cgru.load(tmp_path / "model.safetensors"), pickle.loads(pickle.dumps(model)),
            network.from_state_dict(model.state_dict()), model.replace(engine="blas").replace(engine=model.engine),
        ):  # fmt: skip
            assert_same_model(other, model)
        if not bidirectional:
            assert_same_bits(model.stream(N).state, rows)


@pytest.mark.parametrize("kind", CELLS)
def test_it_is_a_copy(kind, rng):
    hx = on_planes(drawn(rng, kind, (1, H)), np.float32)
    model = getattr(cgru, CELLS[kind].name)(INPUT, H, initial_state=hx)
    for name, plane in zip(names(kind), planes(hx), strict=True):
        kept = plane.copy()
        plane[:] = np.nan
        assert_same_bits(model.weights.tensors[name], kept)
    assert "initial_state=True" in repr(model)


BAD = [
    (np.zeros(H), ValueError, r"{} has shape \(19,\), expected \(2, 19\)"),
    (np.zeros((2, N, H)), ValueError, r"{} has shape \(2, 4, 19\)"),
    (np.zeros((2, H), complex), TypeError, "{} has dtype complex128"),
    (True, ValueError, r"{} has shape \(\)"),
    ("zeros", TypeError, "{} has dtype <U5"),
]


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("bad, error, match", BAD)
def test_bad_initial_states(kind, bad, error, match):
    """The error names the plane, where there are two."""
    found = names(kind) if len(names(kind)) > 1 else ["initial_state"]
    for k, name in enumerate(found):
        hx = pack([bad if k == place else np.zeros((2, H)) for place in range(len(found))])
        with pytest.raises(error, match=match.format(name)):
            getattr(cgru, CELLS[kind].name)(INPUT, H, 2, initial_state=hx)


def test_an_lstm_s_is_a_pair(rng):
    for bad in (np.zeros((2, H)), np.zeros((2, 1, H)), (np.zeros((1, H)),), 0.0):
        with pytest.raises(TypeError, match=r"initial_state must be a pair \(h_0, c_0\); got"):
            cgru.LSTM(INPUT, H, initial_state=bad)
    c_0 = rng.normal(size=(1, H)).astype(np.float32)
    model = cgru.LSTM(INPUT, H, initial_state=(None, c_0))
    assert_same_bits([model.state_dict()[name] for name in ("h_0", "c_0")], [np.zeros((1, H), np.float32), c_0])


def test_a_part_of_a_pair_that_is_not_given_is_the_stored_one(rng):
    h_0, c_0 = rng.normal(size=(2, 1, H)).astype(np.float32)
    model, x = cgru.LSTM(INPUT, H, initial_state=(h_0, c_0)), rng.normal(size=(T, INPUT)).astype(np.float32)
    other = 2 * h_0
    assert_same_bits(model(x, (other, None)), model(x, (other, c_0)))
    assert_same_bits(model(x, (None, other)), model(x, (h_0, other)))


def test_both_planes_or_none():
    state = cgru.LSTM(INPUT, H).state_dict()
    with pytest.raises(ValueError, match=r"missing c_0 \(1, 19\)"):
        cgru.LSTM.from_state_dict(state | {"h_0": np.zeros((1, H))})
    with pytest.raises(ValueError, match=r"missing h_0 \(1, 19\)"):
        cgru.LSTM.from_state_dict(state | {"c_0": np.zeros((1, H))})
    with pytest.raises(ValueError, match="unknown c_0"):
        cgru.RNN.from_state_dict(cgru.RNN(INPUT, H).state_dict() | {"c_0": np.zeros((1, H))})


def test_not_finite():
    with pytest.warns(RuntimeWarning, match="h_0"):
        cgru.GRU(INPUT, H, initial_state=np.full((1, H), np.nan))
