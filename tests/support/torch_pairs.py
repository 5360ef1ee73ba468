"""Modules of cgru.torch beside PyTorch's with the same parameters: what they give, and the gradients of a loss."""

import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

T, N, I, H = 7, 4, 3, 5  # noqa: E741
KINDS = {"GRU": ("GRU", {}), "LSTM": ("LSTM", {}), "RNN": ("RNN", {}), "RNN relu": ("RNN", {"nonlinearity": "relu"})}
LAYOUTS = {
    "one_layer": {},
    "layers": {"num_layers": 3, "bias": False},
    "all": {"num_layers": 2, "bidirectional": True, "batch_first": True},
}
LENGTHS = {"sorted": [7, 5, 5, 2], "unsorted": [5, 2, 7, 5], "equal": [7, 7, 7, 7]}
TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-12}


def pair(room, kind, **options):
    """(ours, theirs) of a key of KINDS; `room` is the module cgru.torch."""
    name, own = KINDS[kind]
    ours, theirs = (getattr(where, name)(I, H, **own, **options) for where in (room, torch.nn))
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def inputs(module, dtype=None, batched=True):
    """Random x and hx, which want gradients."""
    dtype = dtype or module.weight_ih_l0.dtype
    planes = module.num_layers * (2 if module.bidirectional else 1)
    batch = (N,) if batched else ()
    shape = (*batch, T, I) if module.batch_first else (T, *batch, I)
    x = torch.randn(shape, dtype=dtype, requires_grad=True)
    states = [torch.randn(planes, *batch, H, dtype=dtype, requires_grad=True) for _ in "hc"]
    return x, tuple(states) if isinstance(module, torch.nn.LSTM) else states[0]


def tensors(value):
    """The tensors of a call's result, or of a state."""
    if value is None:
        return []
    if isinstance(value, PackedSequence):
        return [value.data]
    return [value] if isinstance(value, torch.Tensor) else [one for part in value for one in tensors(part)]


def loss_of(result):
    """A number that depends on every element of y and of the final state, on each in its own way."""
    return sum((one * torch.linspace(-1, 1, one.numel(), dtype=one.dtype).reshape(one.shape)).sum() + (one**2).sum()
               for one in tensors(result))


def outcome(module, x, hx=None, lengths=None, seed=11, call=None):
    """{name: tensor} of what a module (or `call` in its place) gives, and of the gradients; lengths are packed."""
    fed = x
    if lengths is not None:
        ordered = sorted(lengths, reverse=True) == lengths
        fed = pack_padded_sequence(x, torch.tensor(lengths), module.batch_first, enforce_sorted=ordered)
    torch.manual_seed(seed)
    result = (call or module)(fed, hx)
    names = [f"output {number}" for number in range(len(tensors(result)))]
    leaves = {"x": x} | {f"state {number}": state for number, state in enumerate(tensors(hx))}
    leaves = {name: leaf for name, leaf in (leaves | dict(module.named_parameters())).items() if leaf.requires_grad}
    found = dict(zip(names, tensors(result), strict=True))
    grads = torch.autograd.grad(loss_of(result), list(leaves.values()))
    return found | {f"d {name}": grad for name, grad in zip(leaves, grads, strict=True)}


def assert_same(found, expected, tolerance=None):
    """Two outcomes are equal up to rounding."""
    assert list(found) == list(expected) and any(name.startswith("d ") for name in found)
    for name, value in expected.items():
        atol = tolerance or TOLERANCES[value.dtype]
        torch.testing.assert_close(found[name], value, rtol=atol, atol=atol, msg=lambda text: f"{name}: {text}")  # noqa: B023
