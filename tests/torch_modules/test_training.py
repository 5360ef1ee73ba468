"""Training through cgru.torch's modules: autograd's rules as PyTorch's users know them, and whole training runs."""

import weakref
from functools import partial

import numpy as np
import pytest

from support.peers import peer

peer("torch")

from support.torch_pairs import KINDS, LAYOUTS, assert_same, inputs, outcome, pair, tensors  # noqa: E402

kinds = pytest.mark.parametrize("kind", KINDS)
layouts = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


def functional(torch, module, **options):
    """The module as a function of x, of its state's planes and its parameters, and all of these."""
    x, hx = inputs(module)
    states, named = tensors(hx), dict(module.named_parameters())

    def run(x, *others):
        state, parameters = others[: len(states)], others[len(states) :]
        given = dict(zip(named, parameters, strict=True))
        result = torch.func.functional_call(module, given, (x, state if len(state) > 1 else state[0]), options)
        return tuple(tensors(result))

    return run, (x, *states, *named.values())


@kinds
@layouts
@pytest.mark.parametrize("lengths", [None, [3, 0, 5, 1]], ids=["full", "lengths"])
def test_gradcheck(torch, room, kind, layout, lengths):
    ours, _ = pair(room, kind, dtype=torch.float64, **layout)
    assert torch.autograd.gradcheck(*functional(torch, ours, lengths=lengths), fast_mode=True)


@pytest.mark.parametrize("lengths", [None, [3, 0, 5, 1]], ids=["full", "lengths"])
def test_gradcheck_of_the_equations_of_2014(torch, room, lengths):
    module = room.GRU(3, 5, num_layers=2, bidirectional=True, dtype=torch.float64, reset_after=False)
    assert torch.autograd.gradcheck(*functional(torch, module, lengths=lengths))


@kinds
@pytest.mark.parametrize("batch_first", [False, True], ids=["steps first", "rows first"])
@pytest.mark.parametrize("lengths", [None, [3, 0, 5, 1]], ids=["full", "lengths"])
def test_gradients_of_gradients_are_refused(torch, room, kind, batch_first, lengths):
    """None is silently zero, whatever the first ones came from and the second ones go to."""
    ours, _ = pair(room, kind, batch_first=batch_first, dtype=torch.float64)
    x, hx = inputs(ours)
    leaves = (x, *tensors(hx), *ours.parameters())
    for power in (1, 2):
        y, _ = ours(x, hx, lengths=lengths)
        found = torch.autograd.grad((y**power).sum(), leaves, create_graph=True)
        for one in (found[0], found[1], found[-1]):
            for leaf in (x, tensors(hx)[0], ours.weight_hh_l0):
                with pytest.raises(RuntimeError, match=r"trying to differentiate twice: .*cgru.torch.restore\(model\)"):
                    torch.autograd.grad((one**2).sum(), leaf, retain_graph=True)
    with pytest.raises(RuntimeError, match="trying to differentiate twice"):
        torch.autograd.gradgradcheck(lambda x: ours(x, lengths=lengths)[0], (x,))


def test_a_graph_of_the_gradients_that_nobody_differentiates(torch, room):
    ours, theirs = pair(room, "GRU", dtype=torch.float64)
    x, _ = inputs(ours)
    found, expected = (
        torch.autograd.grad((module(x)[0] ** 2).sum(), (x, *module.parameters()), create_graph=True)
        for module in (ours, theirs)
    )
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@kinds
def test_a_copied_x_may_be_changed(torch, room, kind):
    """As of torch.nn: nobody reads it again."""
    ours, theirs = pair(room, kind, batch_first=True, dtype=torch.float64)
    x, _ = inputs(ours)
    found = []
    for module in (ours, theirs):
        given = x.detach().clone()
        loss = (module(given)[0] ** 2).sum()
        given.zero_()
        found.append(torch.autograd.grad(loss, list(module.parameters())))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@kinds
def test_training_is_that_of_torch(torch, room, kind):
    """Twenty steps of an optimizer, with dropout, from the same parameters to the same parameters."""
    ours, theirs = pair(room, kind, num_layers=2, dropout=0.25, dtype=torch.float64)
    x, target = torch.randn(9, 4, 3, dtype=torch.float64), torch.randn(9, 4, 5, dtype=torch.float64).tanh()
    losses = []
    for module in (ours, theirs):
        torch.manual_seed(5)
        optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
        for _ in range(20):
            optimizer.zero_grad()
            loss = ((module(x)[0] - target) ** 2).mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert losses[19] < 0.9 * losses[0]
    np.testing.assert_allclose(losses[:20], losses[20:], rtol=1e-9)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, rtol=0, atol=1e-8)


@kinds
@pytest.mark.parametrize("which", [0, 1, -1], ids=["y", "h_n", "last state"])
def test_a_part_of_the_outputs(torch, room, kind, which):
    ours, theirs = pair(room, kind, num_layers=2, dtype=torch.float64)
    x, hx = inputs(ours)
    found, expected = (
        torch.autograd.grad((tensors(module(x, hx))[which] ** 3).sum(), (x, *tensors(hx), *module.parameters()))
        for module in (ours, theirs)
    )
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@kinds
def test_frozen_parameters(torch, room, kind):
    ours, theirs = pair(room, kind, num_layers=2, dtype=torch.float64)
    x, hx = inputs(ours)
    for module in (ours, theirs):
        module.weight_hh_l0.requires_grad_(False)
        module.bias_ih_l1.requires_grad_(False)
    assert_same(outcome(ours, x, hx), outcome(theirs, x, hx))
    ours(x)[0].sum().backward()
    assert ours.weight_hh_l0.grad is None and ours.weight_ih_l0.grad is not None
    ours.requires_grad_(False)
    assert not ours(x.detach())[0].requires_grad
    x.grad = None
    ours(x)[0].sum().backward()
    assert x.grad.any()


@kinds
def test_x_without_gradient(torch, room, kind):
    ours, theirs = pair(room, kind, dtype=torch.float64)
    x, hx = inputs(ours)
    assert_same(outcome(ours, x.detach(), hx), outcome(theirs, x.detach(), hx))
    ours(x.detach())[0].sum().backward()
    assert x.grad is None and ours.weight_ih_l0.grad is not None


@kinds
def test_graph_may_be_retained_and_is_freed(torch, room, kind):
    ours, _ = pair(room, kind)
    x, _ = inputs(ours)
    loss = (ours(x)[0] ** 2).sum()
    loss.backward(retain_graph=True)
    first = ours.weight_hh_l0.grad.clone()
    loss.backward()
    torch.testing.assert_close(ours.weight_hh_l0.grad, 2 * first)
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        loss.backward()


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_tape_goes_with_the_graph(torch, room, kind, monkeypatch):
    from cgru.torch import recurrence

    kept, record = [], recurrence.record

    def watched(*args, **options):
        result = record(*args, **options)
        kept.extend(weakref.ref(array) for array in result[2].gates)
        return result

    monkeypatch.setattr(recurrence, "record", watched)
    ours, _ = pair(room, kind)
    x, _ = inputs(ours)
    loss = ours(x)[0].sum()
    assert len(kept) == 1 and kept[0]() is not None
    loss.backward()
    assert kept[0]() is None            # although loss, and with it the graph's nodes, are still there


@kinds
@layouts
@pytest.mark.parametrize("lengths", [None, [7, 7, 7, 7], [7, 5, 5, 2]], ids=["full", "packed", "lengths"])
def test_y_may_be_changed_in_place(torch, room, kind, layout, lengths):
    ours, theirs = pair(room, kind, dtype=torch.float64, **layout)
    x, hx = inputs(ours)

    def changed(module):
        def run(x, hx):
            y, final = module(x, hx)
            one = y if lengths is None else y.data
            one += 0.5
            one[1:].relu_()
            return y, final

        return run

    found, expected = (outcome(module, x, hx, lengths, call=changed(module)) for module in (ours, theirs))
    assert_same(found, expected)


@pytest.mark.parametrize("which", [0, 1], ids=["ours", "theirs"])
def test_y_of_an_lstm_in_float32_may_not(torch, room, which):
    y, _ = pair(room, "LSTM")[which](torch.randn(4, 2, 3))
    y += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@kinds
@pytest.mark.parametrize("what", ["x", "weight_hh_l0", "bias_ih_l0"])
def test_changes_in_place_are_noticed(torch, room, kind, what):
    ours, _ = pair(room, kind)
    x = torch.randn(4, 2, 3)
    y, _ = ours(x)
    loss = (y * 1).sum()
    with torch.no_grad():
        ({"x": x} | dict(ours.named_parameters()))[what].mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@kinds
def test_parameters_replaced_between_forward_and_backward(torch, room, kind):
    """The graph works on those that it was made of, as torch.nn's does."""
    ours, theirs = pair(room, kind, dtype=torch.float64)
    x, _ = inputs(ours)
    grads = []
    for module in (ours, theirs):
        old, loss = module.weight_hh_l0, (module(x)[0] ** 2).sum()
        module.weight_hh_l0 = torch.nn.Parameter(torch.zeros_like(old))
        grads.append(torch.autograd.grad(loss, (x, old)))
    torch.testing.assert_close(*grads)
    assert not torch.equal(ours(x)[0], x) and ours.weight_hh_l0.grad is None


@kinds
def test_any_number_of_threads_gives_the_same_bits(torch, room, kind):
    ours, _ = pair(room, kind, num_layers=2)
    wide = type(ours)(40, 96, num_layers=2, **KINDS[kind][1])
    x = torch.randn(60, 48, 40, requires_grad=True)
    one = outcome(wide, x)
    torch.set_num_threads(2)
    two = outcome(wide, x)
    assert all(torch.equal(one[name], two[name]) for name in one)


@kinds
@pytest.mark.parametrize("threads", [1, 2])
def test_as_many_threads_as_torch_has(torch, room, kind, threads, monkeypatch):
    from cgru.torch import recurrence

    asked = []

    def watched(old, *args, **options):
        asked.append(options["threads"] if "threads" in options else args[-1])
        return old(*args, **options)

    for name in ("call", "record", "backpropagate"):
        monkeypatch.setattr(recurrence, name, partial(watched, getattr(recurrence, name)))
    ours, _ = pair(room, kind)
    x, hx = inputs(ours)
    torch.set_num_threads(threads)
    outcome(ours, x, hx)
    with torch.no_grad():
        ours(x)
    assert asked == [threads] * 3


@pytest.mark.filterwarnings("ignore")
def test_transforms_of_torch_func_are_refused(torch, room):
    ours, _ = pair(room, "GRU")
    x, _ = inputs(ours)
    with pytest.raises(RuntimeError, match="functorch transforms"):
        torch.func.grad(lambda x: ours(x)[0].sum())(x.detach())


@kinds
def test_checkpoint(torch, room, kind):
    from torch.utils.checkpoint import checkpoint

    ours, _ = pair(room, kind, num_layers=2, dropout=0.3)
    x, hx = inputs(ours)
    again = outcome(ours, x, hx, call=lambda x, hx: checkpoint(ours, x, hx, use_reentrant=False))
    assert_same(again, outcome(ours, x, hx))


@kinds
def test_saved_tensors_may_lie_elsewhere(torch, room, kind):
    """Hooks that pack saved tensors get the tape too."""
    ours, _ = pair(room, kind)
    x, hx = inputs(ours)
    packed = []

    def pack(tensor):
        packed.append(tensor.numel())
        return tensor.detach().clone()

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        found = outcome(ours, x, hx)
    assert_same(found, outcome(ours, x, hx))
    assert sum(packed) > x.numel() + sum(one.numel() for one in ours.parameters())
