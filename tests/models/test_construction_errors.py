"""A model that cannot be built gets a clear error: the argument or parameter, what was expected, what came."""

import numpy as np
import pytest

import cgru

INPUT, H = 3, 5


def ones(*shape):
    return np.ones(shape, np.float32)


BAD_SIZES = [(0, ValueError), (-3, ValueError), (2.0, TypeError), (True, TypeError), ("3", TypeError)]


@pytest.mark.parametrize("name", ["input_size", "hidden_size", "num_layers"])
@pytest.mark.parametrize(("value", "error"), BAD_SIZES, ids=str)
def test_bad_sizes(name, value, error):
    with pytest.raises(error, match=rf"{name} must be .*; got {value!r}"):
        cgru.GRU(**({"input_size": INPUT, "hidden_size": H} | {name: value}))


@pytest.mark.parametrize("sizes", [(2**31, H), (INPUT, 2**31), (INPUT, 2**30), (10**30, H)])
def test_sizes_over_the_limit_of_blas(sizes):
    with pytest.raises(ValueError, match=r"size=\d+.*limit.*2147483647"):
        cgru.GRU(*sizes)


@pytest.mark.parametrize("name", ["bias", "batch_first", "bidirectional", "reset_after"])
@pytest.mark.parametrize("value", [1, 0, None, "yes"])
def test_flags_are_bools(name, value):
    with pytest.raises(TypeError, match=rf"{name} must be True or False; got {value!r}"):
        cgru.GRU(INPUT, H, **{name: value})


@pytest.mark.parametrize("dtype", ["nonsense", None, np.int32, np.float16, np.complex64, ">f4", object()])
def test_unknown_dtypes(dtype):
    with pytest.raises(TypeError, match="dtype must be float32 or float64; got "):
        cgru.GRU(INPUT, H, dtype=dtype)
    if dtype is not None:
        with pytest.raises(TypeError, match="dtype must be float32 or float64; got "):
            cgru.GRU.from_state_dict(cgru.GRU(INPUT, H, rng=1).state_dict(), dtype=dtype)


@pytest.mark.parametrize("engine", ["cuda", "", "BLAS", None, 3])
def test_unknown_engines(engine, tmp_path):
    state = cgru.GRU(INPUT, H, rng=1).state_dict()
    W = np.ones((H, H + INPUT))
    cgru.GRU(INPUT, H, rng=1).save(tmp_path / "model")
    for build in (
        lambda: cgru.GRU(INPUT, H, engine=engine),
        lambda: cgru.GRU.from_state_dict(state, engine=engine),
        lambda: cgru.GRU.from_equations(W, W, W, engine=engine),
        lambda: cgru.load(tmp_path / "model", engine=engine),
    ):
        with pytest.raises(ValueError, match=r"engine must be one of 'auto', 'blas'.*; got"):
            build()


@pytest.mark.parametrize("rng", ["seed", -1, 1.5, object()])
def test_seeds_that_are_none(rng):
    with pytest.raises((TypeError, ValueError), match="rng must be a seed"):
        cgru.GRU(INPUT, H, rng=rng)


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
