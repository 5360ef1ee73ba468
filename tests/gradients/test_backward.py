"""The backward pass against central differences, PyTorch's autograd and a closed form; tapes; errors."""

import dataclasses
import threading

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import cgru
from cgru import engines
from cgru.cells import CELLS
from support.compare import assert_close, flat
from support.gradients import assert_same_gradients, central_differences, random_problem, torch_gradients
from support.models import network, on_planes, pack, planes, random_lengths, random_state

forms = pytest.mark.configurations(layout="one layer")      # every form of every kind, with a layout of the test's own


def lengths_with_zero(T, N):
    """N lengths in no order; one is 0, none is T."""
    return np.array([2, T - 1, 0, 1, 2, T - 1, 1][:N])


# ---- numbers


@pytest.mark.parametrize("lengths", [None, lengths_with_zero], ids=["full", "lengths"])
def test_central_differences(rng, configuration, lengths):
    problem = random_problem(rng, configuration, lengths=lengths)
    assert_same_gradients(problem.gradients(), central_differences(problem), 1e-6)


@pytest.mark.configurations(in_pytorch=True)
@pytest.mark.parametrize("with_lengths", [False, True], ids=["full", "lengths"])
@pytest.mark.parametrize("sizes", [(7, 5, 3, 4), (6, 3, 21, 37)], ids=["small", "wider"])
def test_pytorch_autograd(torch, rng, configuration, with_lengths, sizes):
    lengths = (lambda T, N: random_lengths(rng, T, N)) if with_lengths else None
    problem = random_problem(rng, configuration, lengths=lengths, sizes=sizes)
    expected = torch_gradients(torch, problem, torch.float64)
    assert_same_gradients(problem.gradients(), expected, 1e-10)
    single = problem.astype(np.float32)
    assert_same_gradients(single.gradients(), expected, 1e-4)
    assert_same_gradients(single.gradients(), torch_gradients(torch, single, torch.float32), 1e-4)


@forms
@pytest.mark.variants(engine="blas")        # the backward pass is the same one for every engine
def test_every_instruction_set(rng, variant, configuration):
    problem = random_problem(rng, configuration, sizes=(6, 4, 18, 35), num_layers=2, bidirectional=True)
    with dataclasses.replace(variant, isa=engines.isas_usable()[-1]).selected():
        expected = problem.gradients()
    found = problem.astype(variant.dtype).gradients()
    assert_same_gradients(found, expected, 1e-12 if variant.name == "float64" else 1e-5)


@forms
def test_unbatched_is_a_batch_of_one(rng, configuration):
    problem = random_problem(rng, configuration, sizes=(6, 1, 3, 5), num_layers=2, bidirectional=True)
    expected = problem.gradients()
    problem.x, problem.dy = problem.x[:, 0], problem.dy[:, 0]
    problem.states, problem.dstates = (tuple(s[:, 0] for s in some) for some in (problem.states, problem.dstates))
    found = problem.gradients()
    for name in ("x", *problem.names):
        assert found[name].shape == expected[name][:, 0].shape
        assert_array_equal(found[name], expected[name][:, 0])
    for name in problem.parameters:
        assert_array_equal(found[name], expected[name])


@forms
def test_dy_alone_and_final_states_alone_add_up(rng, configuration):
    problem = random_problem(rng, configuration, num_layers=2)
    model = problem.model()
    _, _, tape = model.record(problem.x, problem.hx)
    both = model.backward(tape, problem.dy, problem.dh_n)
    one = model.backward(tape, problem.dy)
    other = model.backward(tape, dh_n=problem.dh_n)
    assert_allclose(one.x + other.x, both.x, rtol=1e-12, atol=1e-14)
    for name in both:
        assert_allclose(one[name] + other[name], both[name], rtol=1e-12, atol=1e-14)


@forms
@pytest.mark.parametrize("T, N", [(0, 3), (4, 0), (0, 0)])
def test_empty(rng, configuration, T, N):
    problem = random_problem(rng, configuration, sizes=(T, N, 2, 5))
    found = problem.gradients()
    assert found["x"].shape == (T, N, 2)
    for name, given in zip(problem.names, problem.dstates, strict=True):
        assert_array_equal(found[name], given)
    assert all(not found[name].any() for name in problem.parameters)


@forms
def test_all_lengths_zero(rng, configuration):
    problem = random_problem(rng, configuration, lengths=lambda T, N: np.zeros(N, int))
    found = problem.gradients()
    for name, given in zip(problem.names, problem.dstates, strict=True):
        assert_array_equal(found[name], given)
    assert not found["x"].any() and not found["weight_hh_l0"].any()


def test_closed_form_without_recurrent_weights(rng):
    """U = 0, reset after: d h_T / d h_0 is the product of (1 - z), z in the starting equations' sense."""
    T, N, input_size, H = 9, 2, 3, 20
    state = random_state(rng, input_size, H)
    state["weight_hh_l0"][:] = 0
    model = cgru.GRU.from_state_dict(state)
    x, h_0 = rng.normal(size=(T, N, input_size)), rng.normal(size=(1, N, H))
    _, _, tape = model.record(x, h_0)
    a = x @ state["weight_ih_l0"][H : 2 * H].T + (state["bias_ih_l0"] + state["bias_hh_l0"])[H : 2 * H]
    z_new = 1 / (1 + np.exp(a))         # takes the new state; PyTorch's z is 1 - this
    product = np.prod(1 - z_new, axis=0)
    dh_n = rng.normal(size=(1, N, H))
    assert_allclose(model.backward(tape, dh_n=dh_n).h_0[0], dh_n[0] * product, rtol=1e-13)


# ---- tapes


@forms
@pytest.mark.parametrize("with_lengths", [False, True], ids=["full", "lengths"])
def test_a_record_is_a_call(rng, configuration, with_lengths):
    lengths = lengths_with_zero if with_lengths else None
    for batch_first in (False, True):
        problem = random_problem(
            rng, configuration, sizes=(6, 5, 3, 18), num_layers=2, bidirectional=True, lengths=lengths,
            batch_first=batch_first,
        )  # fmt: skip
        model = problem.model()
        y, final = model(problem.x, problem.hx, lengths=problem.lengths)
        taped_y, taped_final, tape = problem.record(model)
        assert isinstance(tape, cgru.gradients.Tape)
        assert_close((taped_y, taped_final), (y, final), 1e-14)


@forms
@pytest.mark.parametrize("with_lengths", [False, True], ids=["full", "lengths"])
def test_a_tape_stays_right(rng, configuration, with_lengths):
    """Whatever becomes of x, the states, lengths, y and earlier gradients, and however often it is used."""
    lengths = lengths_with_zero if with_lengths else None
    problem = random_problem(rng, configuration, sizes=(6, 5, 3, 4), num_layers=2, lengths=lengths)
    expected = problem.gradients()
    model = problem.model()
    x, states = problem.x.copy(), tuple(state.copy() for state in problem.states)
    given = None if problem.lengths is None else problem.lengths.copy()
    y, final, tape = model.record(x, pack(states), lengths=given)
    for array in (x, *states, *flat((y, final))):
        array[...] = np.nan
    if given is not None:
        given[:] = 1
    for _ in range(3):
        grads = model.backward(tape, problem.dy, problem.dh_n)
        for name in grads:
            assert_array_equal(grads[name], expected[name])
            grads[name][...] = np.nan
        for name in ("x", *problem.names):
            assert_array_equal(getattr(grads, name), expected[name])
            getattr(grads, name)[...] = np.nan


@forms
def test_padding_is_not_looked_at(rng, configuration):
    problem = random_problem(rng, configuration, sizes=(6, 5, 3, 4), bidirectional=True, lengths=lengths_with_zero)
    expected = problem.gradients()
    for row, length in enumerate(problem.lengths):
        problem.x[length:, row] = np.nan
        problem.dy[length:, row] = np.nan
    for plane in problem.states:                # nobody reads the state that a row without steps begins in
        plane[:, problem.lengths == 0] = np.nan
    assert_same_gradients(problem.gradients(), expected, 1e-15)
    assert not expected["x"][problem.lengths[0] :, 0].any()


@forms
def test_arguments_are_not_changed_and_may_be_read_only(rng, configuration):
    problem = random_problem(rng, configuration, sizes=(5, 4, 3, 6), num_layers=2)
    expected = problem.gradients()
    arrays = (problem.x, problem.dy, *problem.states, *problem.dstates)
    for array in arrays:
        array.flags.writeable = False
    assert_same_gradients(problem.gradients(), expected, 1e-15)
    problem.dy = np.asfortranarray(problem.dy)
    problem.x = np.asfortranarray(problem.x)
    assert_same_gradients(problem.gradients(), expected, 1e-15)


@pytest.mark.parametrize("kind, numbers", [("gru", 4), ("lstm", 5), ("rnn", 0)])
def test_tape_says_its_size(kind, numbers):
    T, N, input_size, H = 9, 4, 3, 8
    model = network(kind)(input_size, H, num_layers=2, rng=0)
    *_, tape = model.record(np.zeros((T, N, input_size), np.float32))
    gates, ys, states = 2 * T * N * numbers * H, 2 * T * N * H, 2 * N * H * len(CELLS[kind].states)
    assert tape.nbytes == 4 * (T * N * input_size + gates + ys + states)
    assert str(tape.nbytes) in repr(tape)


@forms
def test_one_tape_in_several_threads(rng, configuration):
    problem = random_problem(rng, configuration, sizes=(20, 6, 5, 33), num_layers=2)
    expected, model = problem.gradients(), problem.model()
    *_, tape = problem.record(model)
    found = []

    def work():
        for _ in range(10):
            found.append(model.backward(tape, problem.dy, problem.dh_n))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 40
    for grads in found:
        assert_allclose(grads.x, expected["x"], rtol=1e-12, atol=1e-14)


# ---- errors


@pytest.fixture(params=CELLS)
def taped(request, rng):
    """A model of each kind, its tape, and y."""
    model = network(request.param)(3, 5, rng=1)
    y, _, tape = model.record(rng.normal(size=(7, 2, 3)))
    return model, tape, y


def test_a_tape_from_another_model_is_refused(taped):
    model, tape, y = taped
    other = type(model).from_state_dict(model.state_dict())
    with pytest.raises(ValueError, match="another model"):
        other.backward(tape, y)
    for kind in CELLS:
        with pytest.raises(ValueError, match="another model"):
            network(kind)(3, 5).backward(tape, y)
    model.backward(tape, y)


@pytest.mark.parametrize("wrong", [None, "tape", np.zeros(3)])
def test_backward_without_a_tape(taped, wrong):
    model, _, y = taped
    with pytest.raises(TypeError, match=r"what record\(\.\.\.\) returned"):
        model.backward(wrong, y)


def test_gradients_of_wrong_shape(taped):
    model, tape, y = taped
    with pytest.raises(ValueError, match=r"dy has shape \(7, 2, 4\), expected \(7, 2, 5\)"):
        model.backward(tape, y[..., :4])
    bad, good = y[0], y[:1]
    count = len(planes(model(np.zeros((1, 2, 3)))[1]))
    with pytest.raises(ValueError, match=r"dh_n has shape \(2, 5\), expected \(1, 2, 5\)"):
        model.backward(tape, dh_n=pack([bad, good][:count]))
    if count == 2:
        with pytest.raises(ValueError, match=r"dc_n has shape \(2, 5\), expected \(1, 2, 5\)"):
            model.backward(tape, dh_n=(good, bad))
    with pytest.raises(ValueError, match="pass dy"):
        model.backward(tape)


def test_gradients_of_another_float_are_converted(taped):
    """As x and the states are."""
    model, tape, y = taped
    expected = model.backward(tape, y, on_planes(model(np.zeros((1, 2, 3)))[1], np.ones_like))
    for dtype in (np.float64, np.float16, int):
        dy = y.astype(dtype)
        dh_n = on_planes(model(np.zeros((1, 2, 3)))[1], lambda plane: np.ones(plane.shape, dtype))      # noqa: B023
        found = model.backward(tape, dy, dh_n)
        assert found.x.dtype == model.dtype
        if dtype == np.float64:
            assert_array_equal(found.x, expected.x)
    for bad in (y * 1j, y.astype(object), "dy"):
        with pytest.raises(TypeError, match=r"dy .*real numbers"):
            model.backward(tape, bad)


def test_gradients_of_an_lstm_s_states_come_in_pairs():
    model = cgru.LSTM(3, 5)
    _, (h_n, _), tape = model.record(np.zeros((4, 2, 3), np.float32))
    for bad in (h_n, (h_n,), (h_n, h_n, h_n)):
        with pytest.raises(TypeError, match=r"dh_n must be a pair \(dh_n, dc_n\)"):
            model.backward(tape, dh_n=bad)


def test_unknown_parameter_name(taped):
    model, tape, y = taped
    grads = model.backward(tape, y)
    assert list(grads) == list(model.state_dict())
    with pytest.raises(KeyError, match="weight_ih_l0"):
        grads["weight_ih_l7"]
