"""A network in PyTorch, put together of nn.Linear, nn.GRU and the functions of torch; for values and for gradients."""

import numpy as np

from support.chains import of_layer
from support.models import planes
from support.peers import run_torch, torch_network


def function(torch, case, a):
    """A Linear's activation of a tensor."""
    name, *given = (case,) if isinstance(case, str) else case
    f = torch.nn.functional
    if name == "gelu_tanh":
        return f.gelu(a, approximate="tanh")
    if name == "hard_sigmoid":
        alpha, beta = given or (0.2, 0.5)
        return torch.clamp(alpha * a + beta, 0, 1)
    if name == "linear":
        alpha, beta = given or (1.0, 0.0)
        return alpha * a + beta
    if name == "scaled_tanh":
        alpha, beta = given or (1.0, 1.0)
        return alpha * torch.tanh(beta * a)
    if name == "softmax":
        return torch.softmax(a, -1)
    if name == "softplus":
        return f.softplus(a, threshold=700)
    return getattr(f, name)(a, *given)


def torch_modules(torch, recipe, tensors, dtype=None):
    """A module for each layer, with these parameters."""
    dtype, modules = dtype or torch.float64, []
    for number, layer in enumerate(recipe.layers):
        own = of_layer(tensors, number)
        if layer.kind != "linear":
            modules.append(torch_network(torch, layer, own, dtype, batch_first=False))
            continue
        outputs, features = own["weight"].shape
        module = torch.nn.Linear(features, outputs, bias="bias" in own, dtype=dtype)
        module.load_state_dict({name: torch.tensor(np.asarray(a), dtype=dtype) for name, a in own.items()})
        modules.append(module)
    return modules


def run_torch_chain(torch, recipe, modules, x, hx, lengths=None):
    """y and the planes of each recurrent layer's final state, as tensors, of arrays or tensors; lengths from 1."""
    tensor = torch.as_tensor
    x = tensor(x)
    x = x.swapaxes(0, 1) if recipe.batch_first else x
    steps, rows = x.shape[:2]
    ends = torch.full((rows,), steps) if lengths is None else tensor(lengths)
    valid = (torch.arange(steps)[:, None] < ends)[:, :, None]
    last, skip = recipe.options.get("last", False), recipe.options.get("skip", False)
    behind = max((k for k, layer in enumerate(recipe.layers) if layer.kind != "linear"), default=-1) + 1
    y, given, finals = x, iter(hx), []

    def at_the_end(a):
        return a[ends - 1, torch.arange(rows)][None]

    def one_step(y):
        if last is True:
            return at_the_end(y)
        h_n, directions = finals[-1][0], 1 + modules[behind - 1].bidirectional
        return torch.cat(list(h_n[-directions:]), -1)[None]

    for number, (layer, module) in enumerate(zip(recipe.layers, modules, strict=True)):
        if last and number == behind:
            y = one_step(y)
        if layer.kind == "linear":
            y = function(torch, layer.activation, module(y))
        else:
            y, final = run_torch(torch, module, y, next(given), lengths)
            finals.append(planes(final))
    if last and behind == len(recipe.layers):
        y = one_step(y)
    if skip:
        y = y + (at_the_end(x) if last else x)[..., : y.shape[-1]]
    if last:
        return y[0], finals
    y = torch.where(valid, y, torch.zeros((), dtype=y.dtype))
    return (y.swapaxes(0, 1) if recipe.batch_first else y), finals
