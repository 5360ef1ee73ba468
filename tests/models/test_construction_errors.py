"""A model that cannot be built gets a clear error: the argument or parameter, what was expected, what came."""

import inspect
from functools import partial

import numpy as np
import pytest

import cgru
from cgru.cells import CELLS
from cgru.config import Config
from support.arrays import ones

INPUT, H = 3, 5
networks = pytest.mark.parametrize("network", [cgru.GRU, cgru.RNN, cgru.LSTM], ids=lambda network: network.__name__)


BAD_SIZES = [(0, ValueError), (-3, ValueError), (2.0, TypeError), (True, TypeError), ("3", TypeError)]


@networks
@pytest.mark.parametrize("name", ["input_size", "hidden_size", "num_layers"])
@pytest.mark.parametrize(("value", "error"), BAD_SIZES, ids=str)
def test_bad_sizes(network, name, value, error):
    with pytest.raises(error, match=rf"{name} must be .*; got {value!r}"):
        network(**({"input_size": INPUT, "hidden_size": H} | {name: value}))


@networks
def test_sizes_over_the_limit_of_blas(network):
    rows = CELLS[network.kind].stacked
    for sizes in ((2**31, H), (INPUT, 2**31), (INPUT, 2**31 // rows + 1), (10**30, H)):
        with pytest.raises(ValueError, match=r"size=\d+.*limit.*2147483647"):
            network(*sizes)


@networks
@pytest.mark.parametrize("name", ["bias", "batch_first", "bidirectional"])
@pytest.mark.parametrize("value", [1, 0, None, "yes"])
def test_flags_are_bools(network, name, value):
    with pytest.raises(TypeError, match=rf"{name} must be True or False; got {value!r}"):
        network(INPUT, H, **{name: value})


@networks
@pytest.mark.parametrize("name", ["reset_after", "reverse", "go_backwards"])
@pytest.mark.parametrize("value", [1, 0, None, "yes"])
def test_optional_flags_are_bools(network, name, value):
    if name in network(INPUT, H).config.cell.options:
        with pytest.raises(TypeError, match=rf"{name} must be True or False; got {value!r}"):
            network(INPUT, H, **{name: value})


@pytest.mark.parametrize("nonlinearity, match", [
    ("relu ", "nonlinearity must be one of sigmoid, tanh, .*, or \\(name, alpha, beta\\); got 'relu '"),
    (3, "nonlinearity must be one of .* got 3"),
    (True, "nonlinearity must be one of .* got True"),
    ((), "nonlinearity must be one activation, or one per direction \\(there is 1\\); got ()"),
    (("tanh", "relu"), "nonlinearity must be one activation, or one per direction"),
    (("sigmoid", 0.5), "nonlinearity sigmoid takes 0 finite parameters"),
    (("elu", np.inf), "nonlinearity elu takes 1 finite parameters"),
])  # fmt: skip
def test_unknown_nonlinearity(nonlinearity, match):
    for make in (partial(cgru.RNN, INPUT, H), partial(cgru.RNN.from_state_dict, cgru.RNN(INPUT, H).state_dict())):
        with pytest.raises(ValueError, match=match):
            make(nonlinearity=nonlinearity)


@networks
def test_options_of_other_kinds(network):
    """Neither as an argument nor, where it is one, as a field of the configuration."""
    cell = network(INPUT, H).config.cell
    for name in {option for other in CELLS.values() for option in other.options} - set(cell.options):
        with pytest.raises(TypeError, match=name):
            network(INPUT, H, **{name: False})
        with pytest.raises(TypeError, match=name):
            network.from_state_dict(network(INPUT, H).state_dict(), **{name: False})
    if "reset_after" not in cell.options:
        with pytest.raises(ValueError, match=f"{network.__name__} has no option reset_after; got False"):
            Config(input_size=INPUT, hidden_size=H, kind=network.kind, reset_after=False)


def test_unknown_kind():
    for kind in ("cell", "GRU", "", None, 3):
        with pytest.raises(ValueError, match=f"kind must be one of gru, rnn, lstm, linear; got {kind!r}"):
            Config(input_size=INPUT, hidden_size=H, kind=kind)


# ------------------------------------------------------------------------------- PyTorch's order, dropout


@networks
def test_positional_arguments_are_pytorch_s(torch, network):
    """Name for name, place for place, default for default, as far as there are places."""
    theirs = getattr(torch.nn, network.__name__)
    given = {"RNN": "tanh"}.get(network.__name__)
    more = (3, 5, 2, *([given] if given else []), False, True, 0.0, True)
    module, model = theirs(*more), network(*more)
    for name in ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional"):
        if name != "dropout":
            assert getattr(model, name) == getattr(module, name)
    parameters = list(inspect.signature(network).parameters.values())
    placed = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert placed == [
        "input_size", "hidden_size", "num_layers", *(["nonlinearity"] if given else []), "bias", "batch_first",
        "dropout", "bidirectional",
    ]  # fmt: skip
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters[len(placed) :])


def test_the_fourth_of_an_rnn_is_its_nonlinearity():
    model = cgru.RNN(3, 5, 2, "relu")
    assert model.nonlinearity == "relu" and model.bias
    with pytest.raises((TypeError, ValueError), match=r"nonlinearity must be one of .*; got True"):
        cgru.RNN(3, 5, 2, True)


@networks
def test_dropout(network):
    """In its place, only 0; a bool there is what used to be bidirectional."""
    before = (INPUT, H, 1, "tanh", True, False) if network is cgru.RNN else (INPUT, H, 1, True, False)
    for zero in (0.0, 0, np.float32(0), np.int64(0)):
        assert not network(*before, zero).bidirectional
        assert network(*before, zero, True).bidirectional
        assert network(INPUT, H, dropout=zero).bias
    for some in (0.5, 1, -0.1, np.float64(0.2), float("nan")):
        for build in (lambda: network(*before, some), lambda: network(INPUT, H, dropout=some)):      # noqa: B023
            with pytest.raises(ValueError, match=r"dropout must be 0\.0 here; got .*there is none between the layers"):
                build()
    for flag in (True, False, np.True_):
        with pytest.raises(TypeError, match=rf"dropout must be 0\.0; got {flag}.*bidirectional={flag} by name"):
            network(*before, flag)
    for other in ("0.5", None, [0.0]):
        with pytest.raises(TypeError, match=r"dropout must be 0\.0"):
            network(INPUT, H, dropout=other)


# -------------------------------------------------------------------------------------- dtypes and engines


@networks
@pytest.mark.parametrize("dtype", ["nonsense", None, np.int32, np.float16, np.complex64, ">f4", object()])
def test_unknown_dtypes(network, dtype):
    with pytest.raises(TypeError, match="dtype must be float32 or float64; got "):
        network(INPUT, H, dtype=dtype)
    if dtype is not None:
        with pytest.raises(TypeError, match="dtype must be float32 or float64; got "):
            network.from_state_dict(network(INPUT, H, rng=1).state_dict(), dtype=dtype)


@networks
@pytest.mark.parametrize("engine", ["cuda", "avx", "", "BLAS", "PACKED", "Auto", None, 3])
def test_unknown_engines(network, engine, tmp_path):
    model = network(INPUT, H, rng=1)
    state = model.state_dict()
    W = np.ones((H, H + INPUT))
    model.save(tmp_path / "model.safetensors")
    for build in (
        lambda: network(INPUT, H, engine=engine),
        lambda: network.from_state_dict(state, engine=engine),
        lambda: network.from_weights(model.weights, engine),
        lambda: cgru.GRU.from_equations(W, W, W, engine=engine),
        lambda: cgru.load(tmp_path / "model.safetensors", engine=engine),
    ):
        with pytest.raises(ValueError, match=f"engine must be one of 'auto', 'blas', 'packed'; got {engine!r}"):
            build()


@networks
def test_an_engine_that_does_not_compute_float64(network):
    with pytest.raises(ValueError, match="packed"):
        network(INPUT, H, dtype=np.float64, engine="packed")


@networks
@pytest.mark.parametrize("rng", ["seed", -1, 1.5, object()])
def test_seeds_that_are_none(network, rng):
    with pytest.raises((TypeError, ValueError), match="rng must be a seed"):
        network(INPUT, H, rng=rng)


# ------------------------------------------------------------------------------------------ state dicts


def changed(**changes):
    """A good state dict with entries replaced; None removes one."""
    state = cgru.GRU(INPUT, H, bidirectional=True, rng=1).state_dict() | changes
    return {name: value for name, value in state.items() if value is not None}


BAD_STATES = {
    "missing bias": (lambda: changed(bias_hh_l0=None), ValueError, ["missing bias_hh_l0 (15,)"]),
    "missing weight": (lambda: changed(weight_hh_l0=None), ValueError, ["no weight_hh_l0", "prefix=''"]),
    "missing direction": (lambda: changed(weight_hh_l0_reverse=None), ValueError, ["missing weight_hh_l0_reverse"]),
    "missing layer": (lambda: changed(bias_ih_l2=ones(15)), ValueError, ["missing weight_ih_l1 (15, 10)"]),
    "far layer": (lambda: changed(bias_ih_l99999999=ones(15)), ValueError, ["missing weight_ih_l1", "and more"]),
    "surplus": (lambda: changed(fc_weight=ones(2)), ValueError, ["unknown fc_weight"]),
    "shape": (lambda: changed(bias_ih_l0=ones(14)), ValueError, ["bias_ih_l0 has shape (14,), expected (15,)"]),
    "transposed": (lambda: changed(weight_ih_l0=ones(3, 15)), ValueError, ["weight_ih_l0 has shape (3, 15)"]),
    "LSTM": (
        lambda: {"weight_ih_l0": ones(20, 3), "weight_hh_l0": ones(20, 5)},
        ValueError, ["weight_ih_l0 has shape (20, 3), expected (15, 3)", "weight_hh_l0 has shape (20, 5)"],
    ),
    "rank": (lambda: changed(weight_ih_l0=ones(15)), ValueError, ["weight_ih_l0 has shape (15,)", "two dimensions"]),
    "empty": (dict, ValueError, ["no weight_ih_l0", "holds nothing"]),
    "no mapping": (lambda: [1, 2], TypeError, ["mapping", "list"]),
    "complex": (lambda: changed(bias_ih_l0=ones(15) * 1j), TypeError, ["bias_ih_l0 has dtype complex64"]),
    "strings": (lambda: changed(bias_ih_l0=["a"] * 15), TypeError, ["bias_ih_l0 has dtype <U1"]),
    "objects": (lambda: changed(bias_ih_l0=[object()] * 15), TypeError, ["bias_ih_l0 has dtype object"]),
    "no units": (
        lambda: {"weight_ih_l0": ones(0, 3), "weight_hh_l0": ones(0, 0)},
        ValueError, ["hidden_size must be at least 1"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_STATES)
def test_bad_state_dicts(case):
    make, error, words = BAD_STATES[case]
    with pytest.raises(error) as caught:
        cgru.GRU.from_state_dict(make())
    for word in words:
        assert word in str(caught.value)


@networks
@pytest.mark.parametrize("kind", CELLS)
def test_weights_of_another_kind(network, kind):
    """The error says what they do not make, and which rows were expected."""
    rows = CELLS[kind].stacked * H
    state = {"weight_ih_l0": ones(rows, INPUT), "weight_hh_l0": ones(rows, H)}
    if kind == network.kind:
        assert network.from_state_dict(state).hidden_size == H
        return
    own = CELLS[network.kind].stacked * H
    with pytest.raises(ValueError, match=rf"do not fit {network.__name__} .*\({rows}, 3\), expected \({own}, 3\)"):
        network.from_state_dict(state)


def test_a_forgotten_prefix_is_suggested():
    state = {f"encoder.gru.{name}": value for name, value in changed().items()}
    with pytest.raises(ValueError, match=r"no weight_ih_l0 .* holds encoder\.gru\.weight_ih_l0.* prefix=''"):
        cgru.GRU.from_state_dict(state)
    with pytest.raises(ValueError, match=r"no decoder\.weight_ih_l0 .* prefix='decoder\.'"):
        cgru.GRU.from_state_dict(state, prefix="decoder.")
    state["encoder.gru.bias_ih_l0"] = ones(3)
    with pytest.raises(ValueError, match=r"bias_ih_l0 has shape \(3,\)"):
        cgru.GRU.from_state_dict(state, prefix="encoder.gru.")


MATRIX = ones(H, H + INPUT)
BAD_EQUATIONS = {
    "other H": ((MATRIX, ones(4, 8), MATRIX), ValueError, ["W_z has shape (4, 8)", "(5, 8)"]),
    "no x": ((ones(5, 5),) * 3, ValueError, ["W_r has shape (5, 5)", "(H, H + I)"]),
    "rank": ((ones(5),) * 3, ValueError, ["W_r has shape (5,)", "(H, H + I)"]),
    "bias": ((MATRIX, MATRIX, MATRIX, None, ones(4)), ValueError, ["b_z has shape (4,)", "(5,)"]),
    "complex": ((MATRIX, MATRIX, MATRIX * 1j), TypeError, ["W_h has dtype complex64", "real numbers"]),
    "None": ((MATRIX, None, MATRIX), TypeError, ["W_z has dtype object", "real numbers"]),
}


@pytest.mark.parametrize("case", BAD_EQUATIONS)
def test_bad_equations(case):
    arguments, error, words = BAD_EQUATIONS[case]
    with pytest.raises(error) as caught:
        cgru.GRU.from_equations(*arguments)
    for word in words:
        assert word in str(caught.value)
