"""What PyTorch's users do with modules beside calling them: copies, files, moves, workers, hooks, other parameters."""

import copy
import io
import pickle

import pytest

from support.peers import peer

peer("torch")

import torch as pytorch  # noqa: E402

from support.torch_pairs import KINDS, assert_same, inputs, outcome, pair, tensors  # noqa: E402

kinds = pytest.mark.parametrize("kind", KINDS)


@kinds
def test_copies(torch, room, kind):
    ours, theirs = pair(room, kind, num_layers=2, dropout=0.25)
    x, hx = inputs(ours)
    expected = outcome(theirs, x, hx)
    for twin in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours)), copy.copy(ours)):
        assert type(twin) is type(ours) and repr(twin) == repr(ours)
        assert_same(outcome(twin, x, hx), expected)
    twin = copy.deepcopy(ours)
    with torch.no_grad():
        twin.weight_hh_l0.zero_()
    assert_same(outcome(ours, x, hx), expected)


@kinds
def test_files(torch, room, kind):
    ours, theirs = pair(room, kind, num_layers=2)
    x, hx = inputs(ours)
    expected = outcome(theirs, x, hx)
    file = io.BytesIO()
    torch.save(ours, file)
    assert b"cgru.torch\n" in file.getvalue() and b"cgru.torch.modules" not in file.getvalue()
    file.seek(0)
    assert_same(outcome(torch.load(file, weights_only=False), x, hx), expected)
    for source, target in ((ours, copy.deepcopy(theirs)), (theirs, copy.deepcopy(ours))):
        with torch.no_grad():
            for one in target.parameters():
                one.zero_()
        file = io.BytesIO()
        torch.save(source.state_dict(), file)
        file.seek(0)
        assert not target.load_state_dict(torch.load(file)).missing_keys
        assert_same(outcome(target, x, hx), expected)


def test_equations_of_2014_are_copied_and_saved(torch, room):
    module = room.GRU(3, 5, reset_after=False)
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    x = torch.randn(4, 2, 3)
    for twin in (copy.deepcopy(module), torch.load(file, weights_only=False)):
        assert twin.reset_after is False and torch.equal(twin(x)[0], module(x)[0])


@kinds
def test_moves(torch, room, kind):
    ours, theirs = pair(room, kind)
    x, hx = inputs(ours)
    ours, theirs = ours.double().float().double().to("cpu"), theirs.double()
    wide = x.double(), tuple(one.double() for one in hx) if isinstance(hx, tuple) else hx.double()
    assert_same(outcome(ours, *wide), outcome(theirs, *wide))
    ours.flatten_parameters()
    assert ours.share_memory() is ours and ours(wide[0])[0].dtype == torch.float64


@kinds
def test_without_gradients(torch, room, kind):
    ours, theirs = pair(room, kind, num_layers=2, bidirectional=True)
    x, hx = inputs(ours)
    expected = tensors(theirs(x, hx))
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            found = tensors(ours(x, hx))
        assert not any(one.requires_grad for one in found)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other.detach(), rtol=0, atol=1e-5)
    with torch.no_grad():           # what is changed in a way that PyTorch does not count, is seen all the same
        before = ours(x)[0]
        ours.weight_hh_l0.data.mul_(2)
        ours.bias_ih_l0.detach().numpy()[:] += 1
        theirs.load_state_dict(ours.state_dict())
        assert not torch.equal(ours(x)[0], before)
        torch.testing.assert_close(ours(x)[0], theirs(x)[0], rtol=0, atol=1e-5)


@kinds
def test_autocast(torch, room, kind):
    """The module computes in float32 there, and gives float32."""
    ours, _ = pair(room, kind, num_layers=2, dropout=0.25)
    x, hx = inputs(ours)
    expected = outcome(ours, x, hx)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = outcome(ours, x, hx)
        short = torch.nn.Linear(3, 3)(x)
        assert short.dtype == torch.bfloat16
        y, final = ours(short, hx)
        y.sum().backward()
    assert {one.dtype for one in (y, *tensors(final))} == {torch.float32} and x.grad.dtype == torch.float32
    assert_same(found, expected)
    packed = torch.nn.utils.rnn.pack_sequence([short[:4, 0], short[:2, 1]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ours(packed)[0].data.dtype == torch.float32
        with pytest.raises(TypeError, match=r"input has dtype torch\.float64"):
            ours(x.double())


@kinds
def test_parametrised_weights(torch, room, kind):
    """Those of today are asked for at each call, and gradients go to what they are made of."""
    for register in (torch.nn.utils.parametrizations.weight_norm, torch.nn.utils.parametrizations.orthogonal):
        modules = pair(room, kind, dtype=torch.float64)
        x, hx = inputs(modules[0])
        for module in modules:
            torch.manual_seed(1)
            register(module, "weight_hh_l0")
        ours, theirs = modules
        theirs.load_state_dict(ours.state_dict())
        assert_same(outcome(ours, x, hx), outcome(theirs, x, hx), 1e-9)
        with torch.no_grad():
            for one in ours.parameters():
                one.mul_(1.5)
        theirs.load_state_dict(ours.state_dict())
        assert_same(outcome(ours, x, hx), outcome(theirs, x, hx), 1e-9)


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_parameters_that_a_hook_computes(torch, room):
    modules = pair(room, "LSTM", dtype=torch.float64)
    x, hx = inputs(modules[0])
    for module in modules:
        torch.nn.utils.weight_norm(module, "weight_hh_l0")
    assert_same(*(outcome(module, x, hx) for module in modules))


@kinds
def test_functional_call(torch, room, kind):
    modules = pair(room, kind, dtype=torch.float64)
    x, hx = inputs(modules[0])
    other = {name: torch.randn_like(one) for name, one in modules[0].named_parameters()}
    found, expected = (torch.func.functional_call(module, other, (x, hx)) for module in modules)
    for one, theirs in zip(tensors(found), tensors(expected), strict=True):
        torch.testing.assert_close(one, theirs, rtol=0, atol=1e-12)


class Features(pytorch.utils.data.Dataset):
    """Items that a module computes."""

    def __init__(self, module):
        self.module = module

    def __len__(self):
        return 6

    def __getitem__(self, number):
        x = pytorch.linspace(-1, 1, 4 * 2 * 3).reshape(4, 2, 3) * number
        y = self.module(x)[0]
        (y**2).sum().backward()
        return y.detach()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*fork:RuntimeWarning")        # JAX's, where another test has loaded it
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@kinds
def test_workers(torch, room, kind, dtype):
    """Forked while the parent has used the module in several threads."""
    ours, _ = pair(room, kind)
    ours = ours.to(getattr(torch, dtype))
    torch.set_default_dtype(getattr(torch, dtype))
    torch.set_num_threads(2)
    try:
        items = Features(ours)
        expected = torch.stack([items[number] for number in range(6)])
        loader = torch.utils.data.DataLoader(items, batch_size=3, num_workers=2, multiprocessing_context="fork")
        found = torch.cat(list(loader))
    finally:
        torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
