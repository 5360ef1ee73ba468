"""cgru.torch's modules beside torch.nn's: the same parameters, outputs and gradients, whatever the arguments are."""

import warnings

import numpy as np
import pytest

from support.peers import peer

peer("torch")

from support.torch_pairs import KINDS, LAYOUTS, LENGTHS, H, I, N, T, assert_same, inputs, outcome, pair  # noqa: E402

kinds = pytest.mark.parametrize("kind", KINDS)
layouts = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


@kinds
@layouts
@dtypes
@pytest.mark.parametrize("lengths", [None, *LENGTHS.values()], ids=["tensor", *LENGTHS])
@pytest.mark.parametrize("dropout", [0, 0.4])
def test_outputs_and_gradients(torch, room, kind, layout, dtype, lengths, dropout):
    """With dropout between layers too, of the same masks: PyTorch's generator draws them."""
    if dropout and layout.get("num_layers", 1) == 1:
        dropout, layout = 0.4, layout | {"num_layers": 2}
    ours, theirs = pair(room, kind, dtype=getattr(torch, dtype), dropout=dropout, **layout)
    x, hx = inputs(ours)
    for state in (hx, None):
        assert_same(outcome(ours, x, state, lengths), outcome(theirs, x, state, lengths))
    with torch.no_grad():
        plain = ours.eval()(x, hx)
        torch.testing.assert_close(plain, theirs.eval()(x, hx), rtol=0, atol=1e-5)


@kinds
@layouts
@pytest.mark.parametrize("dropout", [0, 0.3])
def test_unbatched(torch, room, kind, layout, dropout):
    layout = layout | ({"num_layers": 2} if dropout else {})
    ours, theirs = pair(room, kind, dtype=torch.float64, dropout=dropout, **layout)
    x, hx = inputs(ours, batched=False)
    x = x.detach().reshape(T, I).requires_grad_()
    for state in (hx, None):
        assert_same(outcome(ours, x, state), outcome(theirs, x, state))


@kinds
def test_dropout_is_for_training(torch, room, kind):
    ours, theirs = pair(room, kind, num_layers=2, dropout=0.5, dtype=torch.float64)
    x, _ = inputs(ours)
    torch.manual_seed(1)
    first, second = ours(x)[0], ours(x)[0]
    assert not torch.equal(first, second)
    ours.eval(), theirs.eval()
    assert_same(outcome(ours, x), outcome(theirs, x))
    assert torch.equal(ours(x)[0], ours(x)[0])


def test_dropout_of_everything(torch, room):
    ours, theirs = pair(room, "GRU", num_layers=2, dropout=1.0)
    x, _ = inputs(ours)
    assert_same(outcome(ours, x), outcome(theirs, x))


@kinds
def test_large_batches_have_the_same_masks(torch, room, kind):
    ours, theirs = pair(room, kind, num_layers=2, dropout=0.2, bidirectional=True)
    x = torch.randn(50, 33, I, requires_grad=True)
    assert_same(outcome(ours, x), outcome(theirs, x), 1e-3)


@kinds
@pytest.mark.parametrize("lengths", [[3, 0, 5, 1], [7, 7, 7, 7], np.array([2, 7, 4, 4])], ids=["some", "all", "array"])
def test_lengths_are_a_packed_sequence_s(torch, room, kind, lengths):
    ours, theirs = pair(room, kind, num_layers=2, bidirectional=True, dtype=torch.float64)
    x, hx = inputs(ours)
    states = hx if isinstance(hx, tuple) else (hx,)
    y, final = ours(x, hx, lengths=lengths)
    for row, length in enumerate(lengths):
        one = tuple(state[:, row] for state in states)
        if length:
            expected, state = theirs(x[:length, row], one if len(one) == 2 else one[0])
            torch.testing.assert_close(y[:length, row], expected, rtol=0, atol=1e-12)
            one = state if isinstance(state, tuple) else (state,)
        assert not y[length:, row].any()
        for found, plane in zip(final if isinstance(final, tuple) else (final,), one, strict=True):
            torch.testing.assert_close(found[:, row], plane, rtol=0, atol=1e-12)


@kinds
def test_parameters(torch, room, kind):
    name, own = KINDS[kind]
    modules = []
    for where in (room, torch.nn):
        torch.manual_seed(11)
        modules.append(getattr(where, name)(I, H, num_layers=2, bidirectional=True, **own))
    ours, theirs = modules
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value)


def test_positional_arguments(torch, room):
    """In the order that PyTorch has them in."""
    cases = {
        "GRU": (3, 5, 2, False, True, 0.25, True),
        "LSTM": (3, 5, 2, False, True, 0.25, True, 0, "cpu", torch.float64),
        "RNN": (3, 5, 2, "relu", False, True, 0.25, True),
    }
    for name, arguments in cases.items():
        ours, theirs = getattr(room, name)(*arguments), getattr(torch.nn, name)(*arguments)
        assert ours.extra_repr() == theirs.extra_repr() and repr(ours) == f"cgru.torch.{theirs!r}"
        theirs.load_state_dict(ours.state_dict())
        x, hx = inputs(ours)
        assert_same(outcome(ours, x, hx), outcome(theirs, x, hx))
    assert repr(room.GRU(3, 5, reset_after=False)) == "cgru.torch.GRU(3, 5, reset_after=False)"


@pytest.mark.parametrize("kind", ["GRU", "LSTM", "RNN"])
def test_arguments_that_pytorch_refuses(torch, room, kind):
    module = getattr(room, kind)
    for dropout in (-0.1, 1.5, "a", True):
        with pytest.raises((ValueError, TypeError)) as theirs:
            getattr(torch.nn, kind)(3, 5, 2, dropout=dropout)
        with pytest.raises(type(theirs.value)) as ours:
            module(3, 5, 2, dropout=dropout)
        assert str(ours.value) == str(theirs.value)
    with pytest.raises(ValueError, match="hidden_size must be greater than zero"):
        module(3, 0)
    with pytest.raises(ValueError, match="proj_size"):
        module(3, 5, proj_size=2)
    with pytest.warns(UserWarning, match="num_layers greater than 1, but got dropout=0.5 and num_layers=1"):
        module(3, 5, dropout=0.5)
    with pytest.raises(TypeError, match="surprise"):
        module(3, 5, surprise=1)


def test_one_layer_has_no_dropout(torch, room):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = pair(room, "GRU", dropout=0.5)
    x, hx = inputs(ours)
    assert_same(outcome(ours, x, hx), outcome(theirs, x, hx))


def test_arguments_that_only_cgru_has_are_checked(room):
    with pytest.raises(TypeError, match="reset_after must be True or False; got 3"):
        room.GRU(3, 5, reset_after=3)
    with pytest.raises(ValueError, match="Unknown nonlinearity"):
        room.RNN(3, 5, nonlinearity="sine")


def test_no_rows_or_steps(torch, room):
    """cgru's rule: they are legal, where PyTorch refuses no steps."""
    module = room.GRU(I, H, num_layers=2, dropout=0.5)
    for shape in ((0, N, I), (T, 0, I)):
        x = torch.zeros(shape, requires_grad=True)
        y, h_n = module(x)
        assert y.shape == (*shape[:2], H) and h_n.shape == (2, shape[1], H)
        (y.sum() + h_n.sum()).backward()
        assert x.grad.shape == shape and not module.weight_hh_l1.grad.any()
