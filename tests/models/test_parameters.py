"""A model's parameters: state dicts, pickles and copies give the same model back, and nothing changes one."""

import copy
import pathlib
import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import cgru
from support.compare import assert_same_model, sample

# ------------------------------------------------------------------------------------------ state dicts


def test_state_dict_there_and_back(model):
    options = {name: getattr(model, name) for name in ("batch_first", "reset_after", "engine")}
    assert_same_model(cgru.GRU.from_state_dict(model.state_dict(), **options), model)
    inside = {f"encoder.{name}": values for name, values in model.state_dict().items()}
    inside |= {"decoder.weight": np.ones(3), "encode": "not ours"}
    assert_same_model(cgru.GRU.from_state_dict(inside, prefix="encoder.", **options), model)


def test_dtype_is_inferred():
    state = cgru.GRU(3, 5, rng=1, dtype=np.float64).state_dict()
    assert cgru.GRU.from_state_dict(state).dtype == np.float64
    assert cgru.GRU.from_state_dict(state, dtype=np.float32).dtype == np.float32
    mixed = state | {"bias_ih_l0": state["bias_ih_l0"].astype(np.float32)}
    assert cgru.GRU.from_state_dict(mixed).dtype == np.float32
    assert cgru.GRU.from_state_dict(mixed, dtype="float64").dtype == np.float64
    half = {name: values.astype(np.float16) for name, values in state.items()}
    assert cgru.GRU.from_state_dict(half).dtype == np.float32


def test_parameters_in_any_form(best):
    state = best.gru(3, 5, rng=1).state_dict()
    expected = best.from_state(state)
    for form in (
        np.asfortranarray,
        np.ndarray.tolist,
        lambda a: a.astype(a.dtype.newbyteorder()),
        lambda a: np.repeat(a, 2, axis=0)[::2],
        lambda a: a[::-1].copy()[::-1],
    ):
        assert_same_model(best.from_state({name: form(values) for name, values in state.items()}), expected)


# -------------------------------------------------------------------------------------- pickle and copies


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(model, protocol):
    assert_same_model(pickle.loads(pickle.dumps(model, protocol)), model)


def test_copies(model):
    assert_same_model(copy.copy(model), model)
    assert_same_model(copy.deepcopy(model), model)


def test_pickles_carry_no_packed_copies(best):
    model = best.gru(40, 100, num_layers=2, bidirectional=True, rng=1)
    sample_of_it = np.ones((3, 2, 40), best.dtype)
    model(sample_of_it)
    parameters = sum(values.nbytes for values in model.state_dict().values())
    assert parameters < len(pickle.dumps(model)) < parameters + 4096


def test_an_engine_that_is_not_there_is_replaced(best, monkeypatch):
    model = best.gru(3, 5, rng=1)
    pickled = pickle.dumps(model)
    monkeypatch.setattr(cgru.engines, "ENGINES", ("blas",))
    monkeypatch.setattr(cgru.engines, "choose", lambda *_: "blas")
    assert pickle.loads(pickled).engine == "blas"


# ------------------------------------------------------------------------------------------- immutable


def test_nothing_can_be_set(model):
    before = sample(model)
    for name in ("hidden_size", "reset_after", "engine", "weight_hh_l0", "_weights", "anything"):
        with pytest.raises(AttributeError, match=f"immutable.*{name}"):
            setattr(model, name, 1)
    with pytest.raises(AttributeError, match="immutable"):
        del model._cells
    for values in model.state_dict().values():
        values[...] = 0
    for one, other in zip(sample(model), before, strict=True):
        assert_array_equal(one, other)


@pytest.mark.parametrize("read_only", [False, True])
def test_parameters_are_copied_in(best, read_only):
    """Whoever still holds the arrays, read-only or not, cannot change the model with them."""
    state = best.gru(3, 5, rng=1).state_dict()
    for values in state.values():
        values.flags.writeable = not read_only
    model = best.from_state(state)
    W = best.cast(np.random.default_rng(1).normal(size=(5, 8)))
    equations = cgru.GRU.from_equations(W, W, W, dtype=best.dtype, engine=best.engine)
    before = sample(model), sample(equations)
    for values in (*state.values(), W):
        values.flags.writeable = True
        values[...] = 0
    for kept, now in zip(before, (sample(model), sample(equations)), strict=True):
        assert_array_equal(kept[0], now[0])


def test_repr():
    assert repr(cgru.GRU(3, 5, engine="blas")) == "GRU(3, 5, dtype=float32, engine='blas')"
    model = cgru.GRU(3, 5, 2, False, True, True, reset_after=False, dtype=np.float64)
    assert repr(model) == (
        "GRU(3, 5, num_layers=2, bias=False, batch_first=True, bidirectional=True, reset_after=False, "
        "dtype=float64, engine='blas')"
    )


# ------------------------------------------------------------------------------------------ odd weights


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_warn(best, odd, tmp_path):
    """They are accepted; the warning names them and points at the caller's line."""
    state = best.gru(3, 5, 2, rng=1).state_dict()
    state["weight_hh_l1"][2, 3] = odd
    with pytest.warns(RuntimeWarning, match="NaN or infinity in weight_hh_l1$") as caught:
        model = best.from_state(state, reset_after=False)
    assert {pathlib.Path(warning.filename).name for warning in caught} == {"variants.py"}
    model.save(tmp_path / "model")
    with pytest.warns(RuntimeWarning, match="weight_hh_l1") as caught:
        loaded = cgru.load(tmp_path / "model", engine=best.engine)
    assert [warning.filename for warning in caught] == [__file__]
    assert_array_equal(loaded.state_dict()["weight_hh_l1"], state["weight_hh_l1"])
    with pytest.warns(RuntimeWarning, match="W_h|weight_hh_l0"):
        cgru.GRU.from_equations(*[np.full((5, 8), odd)] * 3, engine=best.engine, dtype=best.dtype)


def test_finite_weights_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pickle.loads(pickle.dumps(cgru.GRU(3, 5)))
