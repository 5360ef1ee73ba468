"""What `quantize` and a quantised model refuse, with what to do, and matrices that are put together by hand."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import cgru
from cgru.quantize import MOST_FEATURES, Quantized, quantized
from cgru.weights import Weights
from support.variants import QUANTIZED

NETWORKS = cgru.GRU, cgru.LSTM, cgru.RNN
types = pytest.mark.parametrize("weights", QUANTIZED)
networks = pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.__name__)


def packed(network=cgru.GRU, input_size=5, hidden_size=19, num_layers=2, **options):
    """A float32 model that can be quantised, the same one for the same arguments."""
    return network(input_size, hidden_size, num_layers, engine="packed", rng=7, **options)


NO_TYPES = ["int4", "float16", "INT8", "float32", "", None, np.int8, 8, ["int8"], np.array(["int8", "x"])]


@pytest.mark.parametrize("bad", NO_TYPES, ids=repr)
def test_types_that_are_not_there(bad):
    with pytest.raises(ValueError, match=r"weight_dtype must be 'bfloat16' or 'int8'; got "):
        packed().quantize(bad)


@networks
@types
def test_models_that_are_not_quantised(network, weights):
    """float64 and BLAS, with what to do; and doing it helps."""
    double = network(5, 19, dtype=np.float64, rng=7)
    with pytest.raises(ValueError, match=r"only float32 weights .* got float64: take astype\(numpy\.float32\) first"):
        double.quantize(weights)
    assert double.astype(np.float32, engine="packed").quantize(weights).weight_dtype == weights
    blas = network(5, 19, engine="blas", rng=7)
    with pytest.raises(ValueError, match=rf"engine 'blas' .*{weights} weights: take replace\(engine='packed'\) first"):
        blas.quantize(weights)
    assert blas.replace(engine="packed").quantize(weights).weight_dtype == weights


@types
@pytest.mark.parametrize("again", QUANTIZED)
def test_twice(weights, again):
    """A layer that is quantised already is named; nothing of the rest is done."""
    model = packed(num_layers=3)
    small = model.quantize(weights)
    with pytest.raises(ValueError, match=f"layer 0 is {weights}, layer 1 is {weights}, .*already.*float32 model"):
        small.quantize(again)
    part = model.quantize(weights, layers=[1])
    for layers in (None, [1], [0, -2]):
        with pytest.raises(ValueError, match=f"^layer 1 is {weights} already"):
            part.quantize(again, layers=layers)
    assert part == model.quantize(weights, layers=[1])


@types
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf], ids=str)
@pytest.mark.parametrize("name", ["weight_ih_l0", "weight_hh_l1_reverse"])
@pytest.mark.filterwarnings("ignore:NaN or infinity in:RuntimeWarning")
def test_weights_that_are_no_numbers(weights, odd, name):
    """Of a layer that is not quantised they stay, and so do biases."""
    state = packed(bidirectional=True).state_dict()
    state[name][3, 2] = odd
    model = cgru.GRU.from_state_dict(state, engine="packed")
    with pytest.raises(ValueError, match=f"{name} holds NaN or infinity"):
        model.quantize(weights)
    other = 1 if name.endswith("l0") else 0
    assert model.quantize(weights, layers=[other]).weight_dtypes[other] == weights
    state[name][3, 2], state["bias_hh_l0"][1] = 0, odd
    small = cgru.GRU.from_state_dict(state, engine="packed").quantize(weights)
    assert_array_equal(small.state_dict()["bias_hh_l0"][1], np.float32(odd))


def test_weights_beyond_bfloat16():
    """float32's largest numbers would round to infinity; of int8 they are 127 steps."""
    state = packed().state_dict()
    kept = np.uint32(0x7F7F7FFF).view(np.float32)       # the largest that does not
    state["weight_hh_l0"][2, 1] = kept
    small = cgru.GRU.from_state_dict(state, engine="packed").quantize("bfloat16")
    assert small.state_dict()["weight_hh_l0"][2, 1] == np.uint32(0x7F7F0000).view(np.float32)
    for sign in (1, -1):
        state["weight_hh_l0"][2, 1] = sign * np.nextafter(kept, np.float32(np.inf))
        model = cgru.GRU.from_state_dict(state, engine="packed")
        with pytest.raises(ValueError, match=r"weight_hh_l0 holds numbers that are beyond bfloat16, 3\.3\d+e\+38"):
            model.quantize("bfloat16")
        assert model.quantize("int8").weights.stored["weight_hh_l0"].values[2, 1] == sign * 127


@types
@pytest.mark.parametrize("layers", [[], (), [2], [-3], [0, 5], iter(())], ids=str)
def test_layers_that_are_not_there(weights, layers):
    with pytest.raises(ValueError, match="layers must be from -2 to 1, at least one of them; got "):
        packed().quantize(weights, layers=layers)


@types
@pytest.mark.parametrize("layers", [0, "0", ["0"], [0.0], [None], 1.5, [[0]], [True, False]], ids=repr)
def test_layers_that_are_no_numbers(weights, layers):
    with pytest.raises(TypeError, match=r"layers must be the numbers of layers, such as \[0\]; got "):
        packed().quantize(weights, layers=layers)


def test_too_many_features():
    """A sum of 127 * 127 for each must be an int32."""
    assert MOST_FEATURES == 133_144 and 127**2 * MOST_FEATURES < 2**31 <= 127**2 * (MOST_FEATURES + 1)
    model = packed(cgru.RNN, MOST_FEATURES + 1, 2, 1)
    with pytest.raises(ValueError, match="weight_ih_l0 has 133145 columns; int8 weights take at most 133144"):
        model.quantize("int8")
    assert model.quantize("bfloat16").weight_dtype == "bfloat16"
    assert packed(cgru.RNN, MOST_FEATURES, 2, 1).quantize("int8").weight_dtype == "int8"


@networks
@types
def test_what_a_quantised_model_does_not_do(network, weights):
    """Train, compute in float64 or with BLAS; each with what to do."""
    small = packed(network).quantize(weights)
    x = np.ones((3, 2, 5), np.float32)
    with pytest.raises(ValueError, match=rf"{weights} weights is for inference: train in float32, then quantize\(\)"):
        small.record(x)
    mixed = packed(network).quantize(weights, layers=[1])
    with pytest.raises(ValueError, match=r"a model with mixed weights .* dequantize\(\) gives the float32 model"):
        mixed.record(x)
    with pytest.raises(ValueError, match=r"dequantize\(\) the model before it becomes float64"):
        small.astype(np.float64)
    with pytest.raises(ValueError, match=r"engine 'blas' .*quantised weights: take 'packed', or dequantize\(\)"):
        small.replace(engine="blas")
    with pytest.raises(ValueError, match=r"engine 'blas' .*quantised weights"):
        network.from_weights(small.weights, "blas")
    with pytest.raises(ValueError, match=r"engine 'blas' .*quantised weights"):
        small.astype(np.float32, engine="blas")
    assert small.dequantize().record(x) is not None
    assert small.dequantize().astype(np.float64).dtype == np.float64
    assert small.dequantize().replace(engine="blas").engine == "blas"


# ---------------------------------------------------------------------------------------- Weights by hand


def stored_of(weights="int8"):
    """The parameters of a quantised model, to be changed."""
    small = packed().quantize(weights)
    return small.config, dict(small.weights.stored)


def test_weights_by_hand():
    config, stored = stored_of()
    assert cgru.GRU.from_weights(Weights(config, stored)) == packed().quantize("int8")
    assert Weights(config, stored).dtype == np.float32
    with pytest.raises(ValueError, match=r"beside quantised weights .* float32; got dtype float64"):
        Weights(config, stored, np.float64)
    half = stored | {"weight_hh_l0": stored["weight_hh_l0"].float32()}
    with pytest.raises(ValueError, match="matrices of layer 0 are float32 and int8, expected one type"):
        Weights(config, half)
    both = stored | {"weight_hh_l1": stored_of("bfloat16")[1]["weight_hh_l1"]}
    with pytest.raises(ValueError, match="matrices of layer 1 are bfloat16 and int8, expected one type"):
        Weights(config, both)
    turned = Quantized(stored["weight_hh_l0"].values.T.copy(), np.ones(19, np.float32))
    with pytest.raises(ValueError, match=r"weight_hh_l0 has shape \(19, 57\), expected \(57, 19\)"):
        Weights(config, stored | {"weight_hh_l0": turned})


BAD = {
    "another type": (TypeError, "dtype int16", lambda q, s: (q.astype(np.int16), s)),
    "one axis": (ValueError, "expected two dimensions", lambda q, s: (q[0], s)),
    "no scale": (TypeError, "scale of int8 weights must be float32; got none", lambda q, s: (q, None)),
    "a scale of float64": (TypeError, "must be float32; got float64", lambda q, s: (q, s.astype(float))),
    "a short scale": (ValueError, r"shape \(56,\), expected \(57,\)", lambda q, s: (q, s[1:])),
    "NaN in the scale": (ValueError, "not finite or too large", lambda q, s: (q, np.where(s == s[3], np.nan, s))),
    "a negative scale": (ValueError, "not finite or too large", lambda q, s: (q, -s)),
    "an infinite scale": (ValueError, "not finite or too large", lambda q, s: (q, s * np.float32(np.inf))),
    "-128": (ValueError, "is -128, expected -127 to 127", lambda q, s: (np.where(q == 127, np.int8(-128), q), s)),
    "weights with no scale": (ValueError, "scale 0, and weights other than 0", lambda q, s: (q, s * np.float32(0))),
    "a list": (TypeError, "must be an array; got list", lambda q, s: (q.tolist(), s)),
    "bfloat16 with a scale": (TypeError, "have no scale", lambda q, s: (q.astype(np.uint16), s)),
    "NaN in bfloat16": (ValueError, "NaN or infinity", lambda q, s: (np.full((3, 4), 0x7FC0, np.uint16), None)),
    "infinity in bfloat16": (ValueError, "NaN or infinity", lambda q, s: (np.full((3, 4), 0xFF80, np.uint16), None)),
}


@pytest.mark.parametrize("case", BAD)
def test_quantised_matrices_that_are_none(case):
    error, words, change = BAD[case]
    stored = stored_of()[1]["weight_hh_l0"]
    with pytest.raises(error, match=words):
        Quantized(*change(stored.values, stored.scale))


def test_quantised_matrices_are_copied_in():
    stored = stored_of()[1]["weight_hh_l0"]
    values, scale = stored.values.copy(), stored.scale.copy()
    one = Quantized(values, scale)
    values[...] = 0
    scale[...] = 1
    assert one == stored and one.shape == (57, 19) and one.size == 57 * 19 and one.nbytes == 57 * 19 + 57 * 4
    other = Quantized(np.asfortranarray(stored.values), np.repeat(stored.scale, 2)[::2])
    assert other == stored and other.values.flags.c_contiguous and other.scale.flags.c_contiguous
    half = stored_of("bfloat16")[1]["weight_hh_l0"]
    swapped = Quantized(half.values.astype(">u2"))
    assert swapped == half and swapped.values.dtype.isnative


def test_the_greatest_of_all_numbers():
    """127 times its scale would be infinite."""
    state = packed().state_dict()
    state["weight_hh_l0"][3, 2] = np.finfo(np.float32).max
    model = cgru.GRU.from_state_dict(state, engine="packed")
    with pytest.raises(ValueError, match="too large"):
        model.quantize("int8")
    with pytest.raises(ValueError, match="weight_hh_l0 holds numbers that are beyond bfloat16"):
        model.quantize("bfloat16")


@pytest.mark.parametrize("matrix, message", [
    (np.ones((3, 4)), r"w must be a float32 matrix to be quantised; got float64 \(3, 4\)"),
    (np.ones(3, np.float32), r"w must be a float32 matrix .* got float32 \(3,\)"),
    ([[1.0]], "w must be a float32 matrix .* got list"),
])  # fmt: skip
def test_what_is_no_float32_matrix_is_not_quantised(matrix, message):
    with pytest.raises(TypeError, match=message):
        quantized("w", matrix, "int8")
