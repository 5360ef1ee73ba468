"""cgru.RNN and cgru.LSTM: agreement with the oracle and PyTorch, and the infrastructure that they share."""

import copy
import itertools
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import cgru
from support import reference
from support.models import random_lengths, random_state
from cgru import engines
from support.gradients import KINDS, random_problem, torch_network
from support.variants import TOLERANCE

OTHERS = [kind for kind in KINDS if kind.cell != "gru"]
kinds = pytest.mark.parametrize("kind", OTHERS, ids=lambda kind: kind.name)
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


@pytest.fixture(params=engines.isas_usable())
def isa(request, monkeypatch):
    """Every instruction set of this machine in turn."""
    monkeypatch.setattr(engines, "ISA", request.param)
    return request.param


def oracle(kind, x, state, states, lengths=None, batch_first=False):
    """y and the tuple of final states."""
    if kind.cell == "lstm":
        return reference.lstm(x, state, states, lengths, batch_first=batch_first)
    y, h_n = reference.rnn(x, state, states[0], lengths, batch_first=batch_first, **kind.options)
    return y, (h_n,)


def flat(result):
    """y and every final state in one tuple."""
    y, final = result
    return (y, *(final if isinstance(final, tuple) else (final,)))


# ---- numbers


@kinds
@dtypes
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
def test_same_as_the_oracle(rng, isa, kind, dtype, bidirectional):
    for num_layers, bias, with_lengths, batch_first, H in itertools.product(
        (1, 2), (True, False), (False, True), (False, True), (5, 16, 37)
    ):
        layout = {"num_layers": num_layers, "bidirectional": bidirectional, "bias": bias}
        T, N, input_size = 7, 4, 3
        lengths = (lambda T, N: np.array([3, T, 0, 1])) if with_lengths else None
        problem = random_problem(
            rng, kind, sizes=(T, N, input_size, H), lengths=lengths, batch_first=batch_first, **layout
        )
        expected = flat(oracle(kind, problem.x, problem.parameters, problem.states, problem.lengths, batch_first))
        single = problem.astype(dtype)
        model = single.model()
        found = flat(model(single.x, kind.pack(single.states), lengths=problem.lengths))
        for array, value in zip(found, expected, strict=True):
            assert array.shape == value.shape and array.dtype == dtype
            # the oracle saw float64 inputs: rounding them to float32 is part of the difference
            assert_allclose(array, value, rtol=0, atol=TOLERANCE[dtype] * (3 if dtype == "float32" else 1))


@kinds
@dtypes
def test_long_sequences_stay_within_the_tolerance(rng, kind, dtype):
    T, N, input_size, H = 100, 2, 30, 70
    state = random_state(rng, input_size, H, kind=kind.cell)
    x = rng.normal(size=(T, N, input_size)).astype(np.float32)
    states = tuple(rng.normal(size=(1, N, H)).astype(np.float32) for _ in kind.states)
    model = kind.model(state, dtype=dtype)
    found = flat(model(x, kind.pack(tuple(s.astype(dtype) for s in states))))
    for array, value in zip(found, flat(oracle(kind, x, state, states)), strict=True):
        assert_allclose(array, value, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@kinds
@pytest.mark.parametrize("num_layers, bidirectional", [(1, False), (3, True)])
def test_same_as_pytorch(torch, rng, kind, num_layers, bidirectional):
    for batch_first in (False, True):
        problem = random_problem(
            rng, kind, num_layers=num_layers, bidirectional=bidirectional, batch_first=batch_first
        )
        network = torch_network(torch, problem, torch.float64)
        with torch.no_grad():
            expected = network(torch.tensor(problem.x), kind.pack([torch.tensor(s) for s in problem.states]))
        model = kind.model(network.state_dict(), batch_first=batch_first)
        assert model.dtype == np.float64
        for array, value in zip(
            flat(model(problem.x, kind.pack(problem.states))), flat(expected), strict=True
        ):
            assert_allclose(array, value.numpy(), rtol=0, atol=1e-13)


@kinds
def test_chunks_steps_threads_and_one_row(rng, kind):
    problem = random_problem(rng, kind, sizes=(9, 6, 3, 18), num_layers=2)
    model = problem.model()
    y, final = model(problem.x, kind.pack(problem.states))
    carried, parts = kind.pack(problem.states), []
    for x_t in problem.x:
        part, carried = model(x_t[None], carried)
        parts.append(part)
    assert_allclose(np.concatenate(parts), y, rtol=0, atol=1e-13)
    assert_allclose(carried, final, rtol=0, atol=1e-13)
    lengths = random_lengths(rng, 9, 6)
    for given in (None, lengths):
        one = flat(model(problem.x, kind.pack(problem.states), lengths=given))
        many = flat(model(problem.x, kind.pack(problem.states), lengths=given, threads=3))
        for array, value in zip(many, one, strict=True):
            assert_allclose(array, value, rtol=0, atol=1e-13)
    row = flat(model(problem.x[:, 2], kind.pack([state[:, 2] for state in problem.states])))
    for array, value in zip(row, (y[:, 2], *(s[:, 2] for s in flat((y, final))[1:])), strict=True):
        assert_allclose(array, value, rtol=0, atol=1e-13)


@kinds
def test_states_default_to_zero_and_are_not_changed(rng, kind):
    problem = random_problem(rng, kind)
    model = problem.model()
    zeros = tuple(np.zeros_like(state) for state in problem.states)
    assert_array_equal(model(problem.x)[0], model(problem.x, kind.pack(zeros))[0])
    before = [state.copy() for state in problem.states]
    for state in problem.states:
        state.flags.writeable = False
    model(problem.x, kind.pack(problem.states))
    for state, value in zip(problem.states, before, strict=True):
        assert_array_equal(state, value)


@kinds
def test_out(rng, kind):
    problem = random_problem(rng, kind)
    model = problem.model()
    y, _ = model(problem.x, kind.pack(problem.states))
    out = np.empty_like(y)
    assert model(problem.x, kind.pack(problem.states), out=out)[0] is out
    assert_array_equal(out, y)
    with pytest.raises(ValueError, match="overlaps"):
        model(problem.x, kind.pack([out[:1].reshape(1, *out.shape[1:])] * len(problem.states)), out=out)


def test_nan_stays_in_its_row(rng):
    for kind in OTHERS:
        problem = random_problem(rng, kind, sizes=(5, 4, 3, 20))
        expected, _ = problem.model()(problem.x)
        problem.x[2, 1] = np.nan
        y, _ = problem.model()(problem.x)
        assert np.isnan(y[2:, 1]).all()
        assert_array_equal(np.delete(y, 1, axis=1), np.delete(expected, 1, axis=1))


# ---- what they share


def construct(kind, *args, **options):
    """A model with random parameters."""
    return getattr(cgru, kind.network)(*args, **kind.options, **options)


@kinds
def test_parameters_are_drawn_as_pytorch_s(torch, kind):
    model = construct(kind, 3, 5, num_layers=2, bidirectional=True, rng=0)
    theirs = getattr(torch.nn, kind.network)(3, 5, num_layers=2, bidirectional=True).state_dict()
    assert {k: v.shape for k, v in model.state_dict().items()} == {k: tuple(v.shape) for k, v in theirs.items()}
    values = np.concatenate([value.ravel() for value in model.state_dict().values()])
    assert np.abs(values).max() <= 1 / np.sqrt(5) and np.abs(values).max() > 0.9 / np.sqrt(5)
    assert_array_equal(values, np.concatenate(
        [v.ravel() for v in construct(kind, 3, 5, num_layers=2, bidirectional=True, rng=0).state_dict().values()]
    ))  # fmt: skip


@kinds
@dtypes
def test_files_pickles_copies_and_state_dicts(rng, tmp_path, kind, dtype):
    model = construct(kind, 3, 5, num_layers=2, bidirectional=True, batch_first=True, dtype=dtype, rng=1)
    path = tmp_path / "model.safetensors"
    model.save(path)
    again = kind.model(model.state_dict(), batch_first=True)
    x = rng.normal(size=(2, 7, 3)).astype(dtype)
    expected = flat(model(x))
    for other in (cgru.load(path), pickle.loads(pickle.dumps(model)), copy.deepcopy(model), again):
        assert type(other) is type(model) and repr(other) == repr(model)
        for array, value in zip(flat(other(x)), expected, strict=True):
            assert_array_equal(array, value)


@kinds
def test_engine_is_blas(kind):
    assert construct(kind, 3, 5).engine == "blas"
    assert construct(kind, 3, 5, engine="blas").engine == "blas"
    with pytest.raises(ValueError, match="computes GRUs only"):
        construct(kind, 3, 5, engine="packed")
    with pytest.raises(ValueError, match="engine must be one of"):
        construct(kind, 3, 5, engine="abacus")


def test_names_and_properties():
    rnn, lstm = cgru.RNN(3, 5, nonlinearity="relu"), cgru.LSTM(3, 5)
    assert rnn.nonlinearity == "relu" and cgru.RNN(3, 5).nonlinearity == "tanh"
    assert "nonlinearity='relu'" in repr(rnn)
    assert repr(lstm).startswith("LSTM(3, 5")
    assert rnn.state_dict()["weight_hh_l0"].shape == (5, 5)
    assert lstm.state_dict()["weight_hh_l0"].shape == (20, 5)


@kinds
def test_models_are_immutable(kind):
    model = construct(kind, 3, 5)
    with pytest.raises(AttributeError, match="immutable"):
        model.bias = False


# ---- errors


@pytest.mark.parametrize("nonlinearity", ["sigmoid", None, 3])
def test_unknown_nonlinearity(nonlinearity):
    with pytest.raises(ValueError, match="nonlinearity must be 'tanh' or 'relu'"):
        cgru.RNN(3, 5, nonlinearity=nonlinearity)


@kinds
def test_state_dict_of_another_cell(rng, kind):
    state = random_state(rng, 3, 5, kind="gru")
    with pytest.raises(ValueError, match=f"do not make an? {kind.network}"):
        kind.model(state)


@pytest.mark.parametrize("hx", [np.zeros((1, 2, 5), np.float32), (None,), (None, None, None), "h"])
def test_lstm_states_come_in_pairs(hx):
    x = np.zeros((4, 2, 3), np.float32)
    with pytest.raises(TypeError, match=r"hx must be a pair \(h_0, c_0\)"):
        cgru.LSTM(3, 5)(x, hx)


def test_lstm_gradients_come_in_pairs():
    model = cgru.LSTM(3, 5)
    _, (h_n, _), tape = model.forward(np.zeros((4, 2, 3), np.float32), tape=True)
    with pytest.raises(TypeError, match=r"dh_n must be a pair \(dh_n, dc_n\)"):
        model.backward(tape, dh_n=h_n)
    with pytest.raises(ValueError, match=r"dc_n has shape \(2, 5\)"):
        model.backward(tape, dh_n=(h_n, h_n[0]))


def test_lstm_state_errors_name_the_state():
    x, good, bad = np.zeros((4, 2, 3), np.float32), np.zeros((1, 2, 5), np.float32), np.zeros((2, 2, 5), np.float32)
    model = cgru.LSTM(3, 5)
    with pytest.raises(ValueError, match=r"c_0 has shape \(2, 2, 5\), expected \(1, 2, 5\)"):
        model(x, (good, bad))
    with pytest.raises(ValueError, match=r"h_0 has shape \(2, 2, 5\), expected \(1, 2, 5\)"):
        model(x, (bad, good))
    with pytest.raises(TypeError, match="c_0 has dtype float64"):
        model(x, (good, good.astype(np.float64)))


def test_a_tape_of_another_cell_is_refused(rng):
    x = np.zeros((4, 2, 3), np.float32)
    *_, tape = cgru.RNN(3, 5).forward(x, tape=True)
    with pytest.raises(ValueError, match="another model"):
        cgru.GRU(3, 5).backward(tape, np.zeros((4, 2, 5), np.float32))


def test_what_has_no_backward_pass():
    from cgru.weights import Config, Weights

    def gru(**options):
        config = Config(input_size=3, hidden_size=5, **options)
        rng = np.random.default_rng(0)
        tensors = {name: rng.normal(size=shape) for name, shape in config.shapes().items()}
        return cgru.GRU._from_weights(Weights(config, tensors))

    x = np.zeros((4, 2, 3))
    for options in (
        {"activations": ("hard_sigmoid", "tanh")}, {"clip": 2.0}, {"reverse": True}, {"go_backwards": True},
        {"initial_state": True}, {"bidirectional": True, "merge_mode": "sum"},
    ):  # fmt: skip
        model = gru(**options)
        model.forward(x)
        with pytest.raises(ValueError, match="there is no backward pass for"):
            model.forward(x, tape=True)
