"""`quantize` and `dequantize`: what they make, what it says of itself, and that it is a model like any other."""

import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import cgru
from cgru import engines
from cgru.quantize import Quantized
from support.compare import assert_equal, assert_same_bits, sample
from support.models import build, configurations, draw, pack, planes
from support.quantized import bfloat16_bits, dequantized, int8_weights
from support.variants import QUANTIZED, variants

NETWORKS = cgru.GRU, cgru.LSTM, cgru.RNN
types = pytest.mark.parametrize("weights", QUANTIZED)
networks = pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.__name__)


def packed(network=cgru.GRU, input_size=5, hidden_size=19, num_layers=2, **options):
    """A float32 model that can be quantised, the same one for the same arguments."""
    return network(input_size, hidden_size, num_layers, engine="packed", rng=7, **options)


# ------------------------------------------------------------------------------------------- what it makes


@networks
@types
def test_a_new_model_of_the_same_class(network, weights):
    """What is quantised are the matrices, row by row as the oracle has it; the model itself stays as it was."""
    model = packed(network, bidirectional=True)
    before = model.state_dict()
    small = model.quantize(weights)
    assert type(small) is network and small is not model and small.config == model.config
    assert small.engine == "packed" and small.dtype == np.float32
    assert (small.weight_dtype, small.weight_dtypes) == (weights, (weights, weights))
    assert (model.weight_dtype, model.weight_dtypes) == ("float32", ("float32", "float32"))
    assert_equal(tuple(model.state_dict().values()), tuple(before.values()))
    for name, value in small.weights.stored.items():
        if name.startswith("bias"):
            assert_same_bits(value, before[name])
        elif weights == "int8":
            q, scale = int8_weights(before[name])
            assert value.values.dtype == np.int8 and value.weight_dtype == "int8"
            assert_array_equal(value.values, q)
            assert_same_bits(value.scale, scale)
        else:
            assert value.scale is None and value.weight_dtype == "bfloat16"
            assert_same_bits(value.values, bfloat16_bits(before[name]))


@types
def test_state_dict_has_new_float32_arrays(weights):
    model = packed()
    small = model.quantize(weights)
    state = small.state_dict()
    for name, values in dequantized(model.state_dict(), weights).items():
        assert_same_bits(state[name], values)
        state[name][...] = 0
    assert_same_bits(small.state_dict()["weight_hh_l1"], dequantized(model.state_dict(), weights)["weight_hh_l1"])


@networks
@types
def test_numbers_and_bytes(network, weights):
    """int8: a byte a weight and four a row; bfloat16: two a weight; biases four."""
    model = packed(network)
    small = model.quantize(weights)
    state = model.state_dict()
    matrices = [values for name, values in state.items() if name.startswith("weight")]
    biases = sum(values.size for name, values in state.items() if name.startswith("bias"))
    count = sum(values.size for values in matrices)
    assert small.num_parameters == model.num_parameters == count + biases
    rows = sum(len(values) for values in matrices)
    assert small.nbytes == 4 * biases + (count + 4 * rows if weights == "int8" else 2 * count)
    top = model.quantize(weights, layers=[1])
    above = small.nbytes - model.quantize(weights, layers=[0]).nbytes
    assert above < 0 and top.nbytes == model.nbytes + above


@types
def test_dequantize(weights):
    """The float32 model of the rounded weights: other outputs of int8 only. Of a float32 model itself."""
    model = packed(bidirectional=True, reset_after=False)
    small = model.quantize(weights)
    plain = small.dequantize()
    assert type(plain) is type(model) and plain.config == model.config and plain.engine == "packed"
    assert plain.weight_dtype == "float32" and plain.num_parameters == model.num_parameters
    assert plain.nbytes == model.nbytes
    assert plain == cgru.GRU.from_state_dict(small.state_dict(), reset_after=False, engine="packed")
    assert plain != model and plain != small and plain.dequantize() == plain and model.dequantize() == model
    assert all(np.array_equal(a, b) for a, b in zip(sample(plain), sample(small), strict=True)) == (weights != "int8")
    if weights == "bfloat16":
        assert plain.quantize(weights) == small


# ------------------------------------------------------------------------------------------------- layers


@types
@pytest.mark.parametrize(
    "layers,expected",
    [([0], "qff"), ([-1], "ffq"), ((1, 2), "fqq"), (range(3), "qqq"), ({-3, 0}, "qff"), (np.array([2, 0]), "qfq")],
    ids=str,
)
def test_layers(weights, layers, expected):
    """Both directions of a layer, however the numbers come."""
    model = packed(num_layers=3, bidirectional=True)
    small = model.quantize(weights, layers=layers)
    assert small.weight_dtypes == tuple(weights if letter == "q" else "float32" for letter in expected)
    assert small.weight_dtype == (weights if set(expected) == {"q"} else "mixed")
    for name, value in small.weights.stored.items():
        layer = int(name.split("_l")[1][0])
        assert isinstance(value, Quantized) == (name.startswith("weight") and expected[layer] == "q")
    assert_equal(sample(pickle.loads(pickle.dumps(small))), sample(small))


@types
def test_a_generator_of_layers_is_read_once(weights):
    small = packed().quantize(weights, layers=(number for number in (1,)))
    assert small.weight_dtypes == ("float32", weights)


def test_layer_after_layer():
    """Layers may be quantised one after another, each to its own type: the order does not matter."""
    model = packed(num_layers=3)
    one = model.quantize("int8", layers=[0]).quantize("bfloat16", layers=[2])
    other = model.quantize("bfloat16", layers=[-1]).quantize("int8", layers=[0])
    assert one == other and one.weight_dtypes == ("int8", "float32", "bfloat16") and one.weight_dtype == "mixed"
    assert_same_bits(sample(one), sample(other))
    assert one.quantize("int8", layers=[1]).weight_dtypes == ("int8", "int8", "bfloat16")
    assert model.quantize("int8", layers=[0, 1]).quantize("int8", layers=[2]) == model.quantize("int8")


# ------------------------------------------------------------------------------------------- other forms of it


@networks
@types
def test_pickles_and_copies(network, weights):
    """The same model, in the bytes of its own numbers."""
    small = packed(network, 40, 100, bidirectional=True).quantize(weights)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        read = pickle.loads(pickle.dumps(small, protocol))
        assert read == small and read.weight_dtypes == small.weight_dtypes and read.engine == "packed"
        assert_same_bits(sample(read), sample(small))
    assert small.nbytes < len(pickle.dumps(small)) < small.nbytes + 6144
    for other in (copy.copy(small), copy.deepcopy(small)):
        assert other == small and repr(other) == repr(small)
        assert_same_bits(sample(other), sample(small))


@types
def test_equality_and_hash(weights):
    """Equal are models of the same quantised numbers, whatever they came from."""
    model = packed()
    small, twin = model.quantize(weights), packed().quantize(weights)
    assert small == twin and hash(small) == hash(twin) and {small: 1}[twin] == 1
    assert small == cgru.GRU.from_weights(small.weights)
    other = QUANTIZED[1 - QUANTIZED.index(weights)]
    for different in (model, small.dequantize(), model.quantize(other), model.quantize(weights, layers=[0]), None, 3):
        assert small != different
        assert not small == different  # noqa: SIM201   both operators are meant
    state = model.state_dict()
    state["weight_hh_l1"][4] *= 1.01        # int8: the same q, another scale
    assert cgru.GRU.from_state_dict(state, engine="packed").quantize(weights) != small
    state = model.state_dict()
    state["weight_hh_l1"][4, 3] = -state["weight_hh_l1"][4, 3]
    assert cgru.GRU.from_state_dict(state, engine="packed").quantize(weights) != small
    state = model.state_dict()
    state["bias_hh_l1"][4] += 1
    assert cgru.GRU.from_state_dict(state, engine="packed").quantize(weights) != small


@types
def test_other_forms(weights):
    """astype(float32), from_weights and replace keep what is quantised."""
    small = packed().quantize(weights)
    x = np.random.default_rng(3).normal(size=(7, 4, 5)).astype(np.float32)
    y, h_n = small(x)
    for same in (
        small.astype(np.float32), small.replace(engine="packed"), small.replace(engine="auto"),
        cgru.GRU.from_weights(small.weights), cgru.GRU.from_weights(small.weights, "packed"),
    ):  # fmt: skip
        assert same == small and same.weight_dtype == weights and same.engine == "packed"
        assert_same_bits(same(x), (y, h_n))
    first = small.replace(batch_first=True)
    assert first.batch_first and first.weight_dtypes == small.weight_dtypes and first != small
    y_first, h_first = first(np.ascontiguousarray(x.swapaxes(0, 1)))
    assert_same_bits((np.ascontiguousarray(y_first.swapaxes(0, 1)), h_first), (y, h_n))
    assert first.replace(batch_first=False) == small


@types
def test_words(weights):
    """repr and summary say which type, and of several layers which has which."""
    model = packed(input_size=40, hidden_size=96)
    small = model.quantize(weights)
    assert repr(small) == f"GRU(40, 96, num_layers=2, dtype=float32, engine='packed', weight_dtype='{weights}')"
    assert f"{small.num_parameters:,} numbers of {weights} and, in biases, float32, {small.nbytes:,} bytes" in (
        small.summary()
    )
    assert "weight_dtype" not in repr(model)
    assert f"{model.num_parameters:,} numbers of float32, {model.nbytes:,} bytes" in model.summary()
    mixed = model.quantize(weights, layers=[1])
    assert repr(mixed).endswith("weight_dtype='mixed')")
    assert f"numbers of float32 in layer 0, {weights} in layer 1 and, in biases, float32, " in mixed.summary()
    assert small.summary().splitlines()[-1] == model.summary().splitlines()[-1].replace(model.isa, small.isa)


def test_the_instruction_set_is_that_of_its_modules():
    """int8 may have a row of its own: then the float32 model of the same choice runs on the base of that row."""
    for isa in engines.isas_usable():
        with engines.using(isa):
            model = packed()
            base = next(row.base or row.name for row in engines.isas.ISAS if row.name == isa)
            assert (model.isa, model.quantize("bfloat16").isa, model.quantize("int8").isa) == (base, base, isa)


@types
def test_nothing_can_be_set(weights):
    small = packed().quantize(weights)
    before = sample(small)
    for name in ("weight_dtype", "weight_dtypes", "weights"):
        with pytest.raises(AttributeError):
            setattr(small, name, "float32")
    stored = small.weights.stored["weight_hh_l0"]
    with pytest.raises(AttributeError):
        stored.values = None
    for array in (stored.values, stored.scale):
        if array is not None:
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0
    assert_equal(sample(small), before)


# -------------------------------------------------------------------------------- used as any other model


@types
@networks
def test_trace(network, weights, rng):
    """y and the state of a plain call; gates of all layers, and those of the first layer as it traces alone."""
    model = packed(network)
    small = model.quantize(weights)
    x = rng.normal(size=(6, 3, 5)).astype(np.float32)
    y, final, gates = small.trace(x)
    assert_same_bits((y, final), small(x))
    _, _, plain = model.trace(x)
    for gate, other in zip(gates, plain, strict=True):
        assert gate.shape == (2, 6, 3, 19) and gate.dtype == np.float32
        assert 1e-5 < np.abs(gate - other).max() < 5e-2
    if network is cgru.GRU:
        h = np.concatenate([np.zeros_like(y[:1]), y[:-1]])
        np.testing.assert_allclose(gates.z[1] * h + (1 - gates.z[1]) * gates.n[1], y, rtol=0, atol=1e-6)


@types
def test_no_steps_and_no_rows(weights):
    small = packed(bidirectional=True).quantize(weights)
    hx = np.random.default_rng(1).normal(size=(4, 2, 19)).astype(np.float32)
    y, h_n = small(np.ones((0, 2, 5), np.float32), hx)
    assert y.shape == (0, 2, 38)
    assert_same_bits(h_n, hx)
    y, h_n = small(np.ones((3, 0, 5), np.float32))
    assert y.shape == (3, 0, 38) and h_n.shape == (4, 0, 19)


UNUSUAL = [
    pytest.param(one, id=str(one)) for one in configurations() if not one.form or one.options.get("bias") is False
]


@types
@pytest.mark.parametrize("configuration", UNUSUAL)
def test_unusual_models(configuration, weights, rng):
    """No bias, stored states, merge modes, clip, other functions, backwards: near float32, and all forms of it work."""
    way = variants(kind=configuration.kind, engine="packed", isa=packed().isa)[0]
    model = build(way, configuration, 5, 23)
    small = model.quantize(weights)
    assert small.config == model.config and small.weight_dtype == weights
    x, _ = draw(way, rng, model, 6, 4)
    (y, final), (plain, _) = small(x), model(x)
    grown = max(1.0, np.abs(plain).max())
    assert 1e-6 < np.abs(y - plain).max() / grown < 5e-2
    if configuration.options.get("initial_state"):
        stored = small.state_dict()
        hx = pack([np.repeat(stored[f"{plane}_0"][:, None], 4, 1) for plane in configuration.cell.states])
        assert_same_bits(small(x, hx), (y, final))
        assert all(np.abs(plane).max() > 0.05 for plane in planes(hx))
    for other in (pickle.loads(pickle.dumps(small)), small.replace(engine="auto")):
        assert other == small
        assert_same_bits(other(x, threads=2), (y, final))
    assert len(planes(final)) == len(configuration.cell.states)
