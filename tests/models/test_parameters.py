"""A model's parameters: state dicts, pickles and copies give the same model back, and nothing changes one."""

import copy
import dataclasses
import pathlib
import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import cgru
from cgru.weights import Weights
from support.compare import assert_equal, assert_same_bits, assert_same_model, sample
from support.models import options_of

# ------------------------------------------------------------------------------------------ state dicts


def test_state_dict_there_and_back(model, configuration):
    options = options_of(configuration) | {"engine": model.engine}
    assert_same_model(type(model).from_state_dict(model.state_dict(), **options), model)
    inside = {f"encoder.{name}": values for name, values in model.state_dict().items()}
    inside |= {"decoder.weight": np.ones(3), "encode": "not ours"}
    assert_same_model(type(model).from_state_dict(inside, prefix="encoder.", **options), model)


@pytest.mark.variants(engine="blas", name="float64")
def test_dtype_is_inferred(best):
    read = best.network.from_state_dict
    state = best.model(3, 5, rng=1).state_dict()
    assert read(state).dtype == np.float64
    assert read(state, dtype=np.float32).dtype == np.float32
    mixed = state | {"bias_ih_l0": state["bias_ih_l0"].astype(np.float32)}
    assert read(mixed).dtype == np.float32
    assert read(mixed, dtype="float64").dtype == np.float64
    half = {name: values.astype(np.float16) for name, values in state.items()}
    assert read(half).dtype == np.float32


def test_parameters_in_any_form(best):
    state = best.model(3, 5, rng=1).state_dict()
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
    model = best.model(40, 100, num_layers=2, bidirectional=True, rng=1)
    model(np.ones((3, 2, 40), best.dtype))
    parameters = sum(values.nbytes for values in model.state_dict().values())
    assert parameters < len(pickle.dumps(model)) < parameters + 4096


def test_an_engine_that_is_not_there_is_replaced(best, monkeypatch):
    model = best.model(3, 5, rng=1)
    pickled = pickle.dumps(model)
    monkeypatch.setattr(cgru.engines, "ENGINES", ("blas",))
    monkeypatch.setattr(cgru.engines, "choose", lambda *_, **__: "blas")
    assert pickle.loads(pickled).engine == "blas"


# ------------------------------------------------------------------------------------------- immutable


def test_nothing_can_be_set(model):
    before = sample(model)
    for name in ("hidden_size", "engine", "weight_hh_l0", "weights", "config", "directions", "anything"):
        with pytest.raises(AttributeError, match=f"immutable.*{name}"):
            setattr(model, name, 1)
    with pytest.raises(AttributeError, match="immutable"):
        del model.directions
    with pytest.raises(AttributeError, match="immutable"):
        setattr(model, model.config.cell.options[0], False)
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.config.bias = False
    for values in model.state_dict().values():
        values[...] = 0
    for values in model.weights.tensors.values():
        with pytest.raises(ValueError, match="read-only"):
            values[...] = 0
    assert_equal(sample(model), before)


@pytest.mark.parametrize("read_only", [False, True])
def test_parameters_are_copied_in(best, read_only):
    """Whoever still holds the arrays, read-only or not, cannot change the model with them."""
    state = best.model(3, 5, rng=1).state_dict()
    for values in state.values():
        values.flags.writeable = not read_only
    model = best.from_state(state)
    before = sample(model)
    for values in state.values():
        values.flags.writeable = True
        values[...] = 0
    assert_equal(sample(model), before)


@pytest.mark.variants(kind="gru")
def test_equations_are_copied_in(best):
    W = best.cast(np.random.default_rng(1).normal(size=(5, 8)))
    model = cgru.GRU.from_equations(W, W, W, dtype=best.dtype, engine=best.engine)
    before = sample(model)
    W[...] = 0
    assert_equal(sample(model), before)


def test_repr():
    assert repr(cgru.GRU(3, 5, engine="blas")) == "GRU(3, 5, dtype=float32, engine='blas')"
    model = cgru.GRU(3, 5, 2, False, True, 0.0, True, reset_after=False, dtype=np.float64)
    assert repr(model) == (
        "GRU(3, 5, num_layers=2, bias=False, batch_first=True, bidirectional=True, reset_after=False, "
        "dtype=float64, engine='blas')"
    )
    rnn = cgru.RNN(3, 5, nonlinearity="relu", engine="blas")
    assert repr(rnn) == "RNN(3, 5, nonlinearity='relu', dtype=float32, engine='blas')"
    assert repr(cgru.LSTM(3, 5, 2, engine="blas")) == "LSTM(3, 5, num_layers=2, dtype=float32, engine='blas')"


@pytest.mark.configurations(constructed=True)
def test_a_repr_builds_the_model(model):
    """But for its parameters."""
    names = {name: getattr(cgru, name) for name in ("GRU", "RNN", "LSTM")}
    again = eval(repr(model).replace("dtype=float", "dtype=np.float"), names | {"np": np})
    assert type(again) is type(model) and again.config == model.config and repr(again) == repr(model)


# ------------------------------------------------------------------------------------------- the same


def test_equality_and_hash(model, configuration):
    """One kind, configuration, dtype and the same parameters, whatever computes them."""
    twin = type(model).from_weights(model.weights)
    read = type(model).from_state_dict(model.state_dict(), **options_of(configuration))
    for other in (twin, read, copy.deepcopy(model), model.replace(engine="blas")):
        assert other == model and hash(other) == hash(model)
        assert not other != model  # noqa: SIM202   both operators are meant
    assert {model: 1}[read] == 1
    name, values = next(iter(model.state_dict().items()))
    values[0, 0] += 1
    changed = type(model).from_state_dict(model.state_dict() | {name: values}, **options_of(configuration))
    for other in (changed, model.replace(batch_first=not model.batch_first), None, 3, model.state_dict()):
        assert other != model
        assert not other == model  # noqa: SIM201


def test_models_of_other_kinds_and_dtypes_are_others(best):
    model = best.model(3, 5, rng=1)
    for network in (cgru.GRU, cgru.RNN, cgru.LSTM):
        for dtype in (np.float32, np.float64):
            same = network is best.network and dtype == best.dtype
            assert (network(3, 5, rng=1, dtype=dtype) == model) == same


# --------------------------------------------------------------------------------------- other forms


def test_numbers_and_bytes(model):
    state = model.state_dict()
    assert model.num_parameters == sum(values.size for values in state.values())
    assert model.nbytes == sum(values.nbytes for values in state.values())


def test_summary(model):
    """What `cgru info` prints: test_info_and_convert.py looks at every line."""
    text = model.summary()
    assert repr(model) in text
    assert f"{model.num_parameters:,} numbers of {model.dtype}, {model.nbytes:,} bytes" in text
    assert max(len(line) for line in text.splitlines() if repr(model) not in line) <= 160


def test_astype(model):
    for name in ("float32", "float64"):
        other = model.astype(name)
        assert type(other) is type(model) and other.dtype == name and other.config == model.config
        for key, values in model.state_dict().items():
            assert_array_equal(other.state_dict()[key], values.astype(name))
    assert_same_bits(sample(model.astype(model.dtype, engine=model.engine)), sample(model))
    for bad in (np.float16, int, "nonsense", None):
        with pytest.raises(TypeError, match="dtype must be float32 or float64"):
            model.astype(bad)
    with pytest.raises(ValueError, match="engine"):
        model.astype("float64", engine="packed")


def test_replace(model):
    """The same arrays, not copied, under another layout or engine."""
    other = model.replace(batch_first=not model.batch_first)
    assert other.batch_first != model.batch_first and other.engine == model.engine
    assert all(other.weights.tensors[name] is values for name, values in model.weights.tensors.items())
    x = np.random.default_rng(5).normal(size=(4, 4, 3)).astype(model.dtype)
    y, h_n = model(x)
    other_y, other_h_n = other(x.swapaxes(0, 1))
    assert_same_bits((np.ascontiguousarray(other_y.swapaxes(0, 1)), other_h_n), (y, h_n))
    blas = model.replace(engine="blas")
    assert blas.engine == "blas" and blas.config == model.config and blas == model
    assert model.replace() == model
    with pytest.raises(TypeError, match="batch_first must be True or False"):
        model.replace(batch_first=1)
    with pytest.raises(ValueError, match="engine must be one of"):
        model.replace(engine="abacus")


def test_weights_are_public(model):
    """A model of its own weights is itself; those of another kind are refused."""
    weights = model.weights
    assert weights.config is model.config and weights.dtype == model.dtype
    assert type(model).from_weights(weights, model.engine) == model
    assert Weights(model.config, model.state_dict()) == weights
    for network in (cgru.GRU, cgru.RNN, cgru.LSTM):
        if network is not type(model):
            words = f"these are {type(model).__name__} weights, not those of {network.__name__}"
            with pytest.raises(ValueError, match=words):
                network.from_weights(weights)


# ------------------------------------------------------------------------------------------ odd weights


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_warn(best, odd, tmp_path):
    """They are accepted; the warning names them and points at the caller's line."""
    state = best.model(3, 5, 2, rng=1).state_dict()
    state["weight_hh_l1"][2, 3] = odd
    with pytest.warns(RuntimeWarning, match="NaN or infinity in weight_hh_l1$") as caught:
        model = best.from_state(state)
    assert {pathlib.Path(warning.filename).name for warning in caught} == {"variants.py"}
    model.save(tmp_path / "model")
    with pytest.warns(RuntimeWarning, match="weight_hh_l1") as caught:
        loaded = cgru.load(tmp_path / "model", engine=best.engine)
    assert [warning.filename for warning in caught] == [__file__]
    assert_array_equal(loaded.state_dict()["weight_hh_l1"], state["weight_hh_l1"])
    with pytest.warns(RuntimeWarning, match="W_h|weight_hh_l0"):      # of a GRU, whatever is tested
        cgru.GRU.from_equations(*[np.full((5, 8), odd)] * 3, dtype=best.dtype)


def test_finite_weights_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for network in (cgru.GRU, cgru.RNN, cgru.LSTM):
            pickle.loads(pickle.dumps(network(3, 5)))
