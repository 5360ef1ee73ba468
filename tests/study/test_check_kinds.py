"""`cgru.check` of LSTM and RNN: each misread convention is named, alone and beside another."""

import numpy as np
import pytest

import cgru
from support.models import network, pack, random_state, row_of

T, N, H, INPUTS = 7, 3, 5, 4
pytestmark = pytest.mark.variants(engine="blas")


def stacked(state, order):
    """The weights of an LSTM with gates in another order."""
    return {name: np.concatenate([np.split(a, 4)["ifgo".index(gate)] for gate in order]) for name, a in state.items()}


def each(state, prefix, function):
    return {name: function(a) if name.startswith(prefix) else a for name, a in state.items()}


def blocks_transposed(a):
    return np.concatenate([block.T for block in np.split(a, len(a) // H)])


def reshaped(a):
    """What comes of reshaping (columns, G) where it should have been transposed."""
    return a.T.reshape(a.shape)


def forgetting(state, amount):
    def more(a):
        a = a.copy()
        a[H : 2 * H] += amount
        return a

    return each(state, "bias_ih", more)


def without_biases(state):
    return {name: a for name, a in state.items() if "bias" not in name}


MISTAKES = {
    "lstm": {
        "order iofg": (lambda s: stacked(s, "iofg"), {}, ["gates stacked i, o, f, g"]),
        "order ifog": (lambda s: stacked(s, "ifog"), {}, ["gates stacked i, f, o, g"]),
        "order igfo": (lambda s: stacked(s, "igfo"), {}, ["gates stacked i, g, f, o"]),
        "forget bias left out": (lambda s: forgetting(s, -1), {}, ["1 added to the bias of the forget gate"]),
        "forget bias added twice": (lambda s: forgetting(s, 1), {}, ["1 taken from the bias of the forget gate"]),
        "TensorFlow 1": (
            lambda s: stacked(forgetting(s, -1), "igfo"), {}, ["gates stacked i, g, f, o", "1 added to the bias"]
        ),
        "U transposed": (lambda s: each(s, "weight_hh", blocks_transposed), {}, ["U transposed gate by gate"]),
        "both reshaped": (lambda s: each(s, "weight", reshaped), {}, ["from (columns, 4H) to (4H, columns)"]),
        "Keras 1": (lambda s: s, {"activations": ("hard_sigmoid", "tanh")}, ["sigmoid for the gates"]),
        "Keras 3": (lambda s: s, {"activations": (("hard_sigmoid", 1 / 6, 0.5), "tanh")}, ["sigmoid for the gates"]),
        "backwards": (lambda s: s, {"reverse": True}, ["the sequence read forwards"]),
        "backwards, iofg": (
            lambda s: stacked(s, "iofg"), {"reverse": True}, ["gates stacked i, o, f, g", "the sequence read forwards"]
        ),
    },
    "rnn": {
        "nonlinearity": (lambda s: s, {"nonlinearity": "relu"}, ["the nonlinearity tanh"]),
        "U transposed": (lambda s: each(s, "weight_hh", np.transpose), {}, ["U transposed where it was reshaped"]),
        "both": (
            lambda s: each(s, "weight_ih", reshaped), {"nonlinearity": "relu"},
            ["W transposed where it was reshaped, from (columns, H) to (H, columns)", "the nonlinearity tanh"],
        ),
        "backwards": (lambda s: s, {"go_backwards": True}, ["the sequence read forwards"]),
    },
}  # fmt: skip
EVERY = [(kind, mistake) for kind, those in MISTAKES.items() for mistake in those]


@pytest.fixture
def x(rng):
    return 2 * rng.normal(size=(T, N, INPUTS))


@pytest.mark.parametrize("kind, mistake", EVERY)
@pytest.mark.parametrize("num_layers", [1, 2])
def test_names_the_mistake(rng, x, kind, mistake, num_layers):
    spoil, options, words = MISTAKES[kind][mistake]
    state = random_state(rng, INPUTS, H, kind=kind, num_layers=num_layers)
    right = network(kind).from_state_dict(state)
    hx = pack([rng.uniform(-1, 1, (num_layers, N, H)) for _ in right.config.cell.states])
    y, _ = right(x, hx)
    assert cgru.check(right, x, y, hx).matches
    wrong = network(kind).from_state_dict(spoil(state), **options)
    report = cgru.check(wrong, x, y, hx)
    assert not report.matches and len(report.changes) == len(words), str(report)
    for change, word in zip(report.changes, words, strict=True):
        assert word in change and change in str(report)
    assert type(report.model) is type(wrong)
    assert np.abs(report.model(x, hx)[0] - y).max() <= report.tolerance


def test_a_model_without_biases_may_lack_the_forget_bias(rng, x):
    state = without_biases(random_state(rng, INPUTS, H, kind="lstm"))
    zeros = {f"bias_{part}_l0": np.zeros(4 * H) for part in ("ih", "hh")}
    y, _ = cgru.LSTM.from_state_dict(forgetting(state | zeros, 1))(x)
    report = cgru.check(cgru.LSTM.from_state_dict(state), x, y)
    assert "1 added to the bias" in report.changes[0] and report.model.bias


@pytest.mark.parametrize("kind", ["lstm", "rnn"])
def test_what_makes_no_difference_is_not_tried(rng, kind):
    """Where the two biases are only ever added, nobody can have exchanged them; there is no reset gate and no z."""
    from cgru.study.changes import changes

    config = network(kind)(INPUTS, H).config
    texts = [change.text for some in changes(config, True) for change in some]
    assert texts and not [text for text in texts if "bias_ih" in text or "reset" in text or "z in" in text]


@pytest.mark.parametrize("kind", ["lstm", "rnn"])
def test_layouts_directions_lengths_and_a_part_of_the_state(rng, x, kind):
    state = random_state(rng, INPUTS, H, kind=kind, bidirectional=True)
    right = network(kind).from_state_dict(state)
    hx = pack([rng.uniform(-1, 1, (2, N, H)) for _ in right.config.cell.states])
    lengths = [3, 0, T]
    y, _ = right(x, hx, lengths=lengths)
    y[3:, 0] = np.nan
    assert cgru.check(right, x, y, hx, lengths=lengths).matches
    other = {name[:-8] if name.endswith("_reverse") else f"{name}_reverse": a for name, a in state.items()}
    report = cgru.check(network(kind).from_state_dict(other), x, y, hx, lengths=lengths)
    assert report.changes == ("the two directions' weights exchanged",)
    y, _ = right(x, hx)
    report = cgru.check(right.replace(batch_first=True), x, y, hx)
    assert report.changes == ("x read as (T, N, I), batch_first=False",)
    unbatched = row_of(hx, 1)
    assert cgru.check(right, x[:, 1], right(x[:, 1], unbatched)[0], unbatched).matches
    if kind == "lstm":
        y, _ = right(x, (None, hx[1]))
        assert cgru.check(right, x, y, (None, hx[1])).matches
        with pytest.raises(TypeError, match="hx must be a pair"):
            cgru.check(right, x, y, hx[0])
