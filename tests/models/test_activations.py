"""Every activation and clip in every cell, in both engines, equal to the oracle."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import cgru
from cgru.activations import DEFAULTS, Activation, activation, code
from support import functions, reference
from support.compare import flat
from support.models import Configuration, build, draw, float32_values, oracle, random_lengths, random_state

LIMITS = {  # at -inf and +inf, with the default parameters
    "sigmoid": (0, 1), "tanh": (-1, 1), "hard_sigmoid": (0, 1), "relu": (0, np.inf), "linear": (-np.inf, np.inf),
    "softsign": (-1, 1), "leaky_relu": (-np.inf, np.inf), "elu": (-1, np.inf), "softplus": (0, np.inf),
    "scaled_tanh": (-1, 1), "silu": (0, np.inf), "gelu": (0, np.inf), "gelu_tanh": (0, np.inf),
}  # fmt: skip
# name and parameters, all of them float32 numbers; the defaults where the function takes any
CASES = [
    ("sigmoid",), ("tanh",), ("hard_sigmoid",), ("hard_sigmoid", 1 / 6, 0.5), ("hard_sigmoid", 0.25, 0.375), ("relu",),
    ("linear",), ("linear", -0.75, 0.125), ("softsign",), ("leaky_relu",), ("leaky_relu", 0.25), ("elu",),
    ("elu", 1.5), ("softplus",), ("scaled_tanh",), ("scaled_tanh", 1.7159, 0.6667),
    ("silu",), ("gelu",), ("gelu_tanh",),
]  # fmt: skip
gru = pytest.mark.variants(kind="gru")
ACCURACY = {"float32": 2.5e-7, "float64": 1e-15}
T, N, H, INPUTS = 6, 3, 19, 4


def probe(variant, case, x):
    """What an engine makes of x, as gate and as candidate, read from traces."""
    state = {"weight_ih_l0": np.ones((3 * H, 1)), "weight_hh_l0": np.zeros((3 * H, H))}
    for pair, seen in (((case, "tanh"), "r"), ((case, "tanh"), "z"), (("sigmoid", case), "n")):
        gates = variant.from_state(state, activations=pair).trace(variant.cast(x)[None, :, None])[2]
        gate = getattr(gates, seen)
        assert_array_equal(gate, np.broadcast_to(gate[..., :1], gate.shape))      # whole blocks of units and the tail
        yield gate[0, 0, :, 0]


def test_all_are_there():
    assert {case[0] for case in CASES} == set(DEFAULTS) == set(functions.ACTIVATIONS) == set(LIMITS)
    assert {name: values for name, values in DEFAULTS.items() if any(values)} == functions.DEFAULTS


@gru
@pytest.mark.parametrize("case", CASES, ids=repr)
def test_accuracy(variant, case):
    rng = np.random.default_rng(6)
    x = np.concatenate([
        np.linspace(-12, 12, 4001), rng.normal(size=500) * 1e3, rng.normal(size=500) * 1e-6,
        [0, -0.0, 88, -88, 1e30, -1e30, 3e38, -3e38, 1e-40, -1e-40],
    ])  # fmt: skip
    x = variant.cast(x).astype(np.float64)
    with np.errstate(over="ignore"):
        expected = functions.activation(case, variant.dtype)(x)
        product = (case[1] if len(case) > 1 else DEFAULTS[case[0]][0]) * x
    scale = np.maximum(1, np.maximum(np.abs(expected), np.abs(product)))
    for got in probe(variant, case, x):
        assert (np.abs(got - expected) / scale).max() <= ACCURACY[variant.name]


@gru
@pytest.mark.parametrize("name", DEFAULTS)
def test_nan_and_infinity(variant, name):
    for got in probe(variant, (name,), [-np.inf, np.inf, np.nan]):
        assert_allclose(got[:2], LIMITS[name], rtol=0, atol=1e-30)
        assert np.isnan(got[2])


@gru
@pytest.mark.parametrize("name", DEFAULTS)
def test_nan_stays_in_its_row(rng, variant, name):
    gru = variant.model(INPUTS, H, activations=((name, "tanh"), ("sigmoid", name)), bidirectional=True, rng=1)
    x = variant.cast(rng.normal(size=(T, N, INPUTS)))
    clean, _ = gru(x)
    x[2, 1] = np.nan
    y, _ = gru(x)
    assert np.isnan(y[2, 1]).all()
    assert_array_equal(y[:, [0, 2]], clean[:, [0, 2]])


def forward(rng, variant, pairs, *, reset_after, clip=None, lengths=None, **shape):
    """Model and oracle on the same random problem; `pairs` are cases, one (f, g) per direction."""
    bidirectional = len(pairs) == 2
    state = random_state(rng, INPUTS, H, bidirectional=bidirectional, **shape)
    x = float32_values(rng.normal(size=(T, N, INPUTS)))
    h_0 = float32_values(rng.normal(size=(len(pairs) * shape.get("num_layers", 1), N, H)))
    gru = variant.from_state(state, reset_after=reset_after, activations=pairs, clip=clip)
    y, h_n = gru(variant.cast(x), variant.cast(h_0), lengths=lengths)
    f, g = (tuple(functions.activation(pair[k], variant.dtype) for pair in pairs) for k in (0, 1))
    expected = reference.gru(x, state, h_0, lengths, reset_after=reset_after, f=f, g=g, clip=clip)
    for got, want in zip((y, h_n), expected, strict=True):
        # a gate beyond 0..1 makes states grow from step to step, and errors with them
        growth = 1 if all(pair[0][0] in ("sigmoid", "hard_sigmoid") for pair in pairs) else 10
        assert_allclose(got, want, rtol=0, atol=growth * max(1, np.abs(want).max()) * variant.tolerance)


@gru
@pytest.mark.parametrize("case", CASES, ids=repr)
@pytest.mark.parametrize("reset_after", [True, False])
def test_as_candidate_and_as_gate(rng, variant, case, reset_after):
    forward(rng, variant, [(("sigmoid",), case)], reset_after=reset_after)
    forward(rng, variant, [(case, ("tanh",))], reset_after=reset_after)


@gru
@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("clip", [None, 0.25])
def test_each_direction_has_its_own(rng, variant, reset_after, clip):
    pairs = [(("hard_sigmoid",), ("softsign",)), (("sigmoid",), ("scaled_tanh", 1.5, 0.5))]
    lengths = random_lengths(rng, T, N)
    forward(rng, variant, pairs, reset_after=reset_after, clip=clip, lengths=lengths, num_layers=2)


@gru
@pytest.mark.parametrize("reset_after", [True, False])
def test_clip_of_sigmoid_and_tanh(rng, variant, reset_after):
    forward(rng, variant, [(("sigmoid",), ("tanh",))], reset_after=reset_after, clip=0.125)


@pytest.mark.variants(kind="lstm")
@pytest.mark.parametrize("case", CASES, ids=repr)
@pytest.mark.parametrize("clip", [None, 0.75])
def test_each_function_of_an_lstm(rng, variant, case, clip):
    """f, g or h is the case; with (f, g) alone, h is g."""
    for group in ((case, "tanh", "tanh"), ("sigmoid", case, "tanh"), ("sigmoid", "tanh", case), ("sigmoid", case)):
        compare(rng, variant, Configuration("lstm", "", {"activations": group, "clip": clip}))


@pytest.mark.variants(kind="rnn")
@pytest.mark.parametrize("case", CASES, ids=repr)
@pytest.mark.parametrize("clip", [None, 0.75])
def test_each_nonlinearity_of_an_rnn(rng, variant, case, clip):
    compare(rng, variant, Configuration("rnn", "", {"nonlinearity": case, "clip": clip}))


def compare(rng, variant, configuration):
    """A model whose functions may make states grow from step to step, and the oracle: relative to the largest."""
    model = build(variant, configuration, INPUTS, H)
    x, hx = draw(variant, rng, model, T, N)
    lengths = random_lengths(rng, T, N)
    state = {name: array.astype(np.float64) for name, array in model.state_dict().items()}
    expected = oracle(configuration, state, x, hx, lengths, dtype=variant.dtype)
    for got, want in zip(flat(model(x, hx, lengths=lengths)), flat(expected), strict=True):
        assert_allclose(got, want, rtol=0, atol=10 * max(1, np.abs(want).max()) * variant.tolerance)


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_steps_and_batches_give_the_same_bits(rng, case):
    """The contract of `packed` holds for every activation."""
    gru = cgru.GRU(INPUTS, H, activations=(case, case), clip=3, rng=1, engine="packed")
    x = rng.normal(size=(T, 9, INPUTS)).astype(np.float32)
    y, _ = gru(x)
    assert_array_equal(gru(x[:, 4:5])[0], y[:, 4:5])
    stream = gru.stream(9)
    assert_array_equal(np.stack([stream.step(x_t) for x_t in x]), y)


# ---- construction


def test_properties():
    gru = cgru.GRU(INPUTS, 5, activations=(("elu", 2), "linear"), clip=3)
    assert gru.activations == ((Activation("elu", 2.0), Activation("linear", 1.0, 0.0)),)
    assert (gru.clip, gru.reverse, gru.go_backwards, gru.merge_mode) == (3.0, False, False, "concat")
    assert cgru.GRU(INPUTS, 5).clip is None
    lstm = cgru.LSTM(INPUTS, 5, activations=("hard_sigmoid", "relu"))
    assert lstm.activations == ((Activation("hard_sigmoid", 0.2, 0.5), Activation("relu"), Activation("relu")),)
    lstm = cgru.LSTM(INPUTS, 5, bidirectional=True, activations=("sigmoid", "tanh", "relu"))
    assert [[item.name for item in group] for group in lstm.activations] == [["sigmoid", "tanh", "relu"]] * 2
    for given, alpha in (("elu", 1), (("elu", 1.0), 1), (("elu", 2), 2), (Activation("elu", 2.0), 2)):
        rnn = cgru.RNN(INPUTS, 5, nonlinearity=given)
        assert rnn.activations == ((Activation("elu", alpha),),)
        assert rnn.nonlinearity == ("elu" if alpha == 1 else ("elu", 2.0))
    rnn = cgru.RNN(INPUTS, 5, bidirectional=True, nonlinearity=("relu", ("elu", 2)))
    assert rnn.nonlinearity == ("relu", ("elu", 2.0)) and len(rnn.activations) == 2
    assert cgru.RNN(INPUTS, 5, bidirectional=True, nonlinearity=("relu", "relu")).nonlinearity == "relu"
    assert cgru.RNN(INPUTS, 5, nonlinearity=None).nonlinearity == "tanh"


@pytest.mark.parametrize(
    "options, error, words",
    [
        ({"activations": 5}, TypeError, "activations must be"),
        ({"activations": "tanh"}, TypeError, "activations must be"),
        ({"activations": ("tanh",)}, ValueError, "activations must be"),
        ({"activations": (1, 2)}, ValueError, "activations must be"),
        ({"activations": ("sigmoid", "swish")}, ValueError, "must be one of sigmoid, tanh.*'swish'"),
        ({"activations": ("sigmoid", "softmax")}, ValueError, "softmax takes a whole row: only a Linear has it"),
        ({"activations": ("sigmoid", ("silu", 1))}, ValueError, "silu takes 0"),
        ({"activations": ("sigmoid", ("elu", 1, 2))}, ValueError, "elu takes 1"),
        ({"activations": (("sigmoid", "tanh"),) * 2}, ValueError, "there is 1"),
        ({"activations": (("sigmoid", "tanh"),), "bidirectional": True}, ValueError, "there are 2"),
        ({"activations": ("sigmoid", ("elu", np.nan))}, ValueError, "finite"),
        ({"clip": 0}, ValueError, "clip must be a positive number"),
        ({"clip": "1"}, ValueError, "clip must be a positive number"),
        ({"reverse": True, "bidirectional": True}, ValueError, "exclude each other"),
        ({"reverse": 1}, TypeError, "reverse must be True or False"),
        ({"merge_mode": "max", "bidirectional": True}, ValueError, "merge_mode must be one of"),
        ({"merge_mode": "sum"}, ValueError, "one bidirectional layer"),
    ],
)
def test_errors(options, error, words):
    with pytest.raises(error, match=words):
        cgru.GRU(INPUTS, 5, **options)
    if "activations" not in options:
        for network in (cgru.LSTM, cgru.RNN):
            with pytest.raises(error, match=words):
                network(INPUTS, 5, **options)


def test_softmax_is_for_rows():
    assert activation("softmax", rows=True) == activation(("softmax", 0, 0), rows=True) == Activation("softmax")
    assert code(Activation("softmax"))[0] == len(DEFAULTS) and code(Activation("sigmoid"))[0] == 0
    with pytest.raises(ValueError, match="nonlinearity must be a function of one number, and softmax"):
        cgru.RNN(INPUTS, 5, nonlinearity="softmax")
    with pytest.raises(ValueError, match="softmax takes 0"):
        activation(("softmax", 2.0), rows=True)
    with pytest.raises(ValueError, match=r"must be one of sigmoid, .*gelu_tanh, softmax, or"):
        activation("swish", rows=True)


@pytest.mark.parametrize("activations, error", [
    (5, TypeError), ("tanh", TypeError), (("tanh",), ValueError), (("sigmoid", "tanh", "tanh", "tanh"), ValueError),
    ((("sigmoid", "tanh", "tanh"),) * 2, ValueError),
])  # fmt: skip
def test_an_lstm_has_two_or_three(activations, error):
    expected = r"activations must be \(f, g\) or \(f, g, h\), or one such tuple per direction \(there is 1\)"
    with pytest.raises(error, match=expected):
        cgru.LSTM(INPUTS, 5, activations=activations)
