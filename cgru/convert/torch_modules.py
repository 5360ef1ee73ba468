"""What a module of PyTorch is as a part of a chain, and what is said of one that is none."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np

from cgru.cells import CELLS
from cgru.checks import real_array
from cgru.convert.chains import NotAChain
from cgru.convert.torch import weights_from_torch
from cgru.convert.torch_activations import ACTIVATIONS, read_activation


class Piece(NamedTuple):
    """A part of a chain.

    Attributes
    ----------
    label : str
        What messages call it.
    method : str
        The method of `ChainBuilder` that takes it.
    arguments : tuple
        Of that method.
    takes : int, optional
        The features that it takes; None where any.
    dtype : numpy.dtype, optional
        Of its numbers; None where it has none.
    one_step : str
        Why it is refused where x has steps; empty where it is not.
    batch_first : bool, optional
        Of a recurrent one; None where it is not known.
    """

    label: str
    method: str
    arguments: tuple
    takes: int | None = None
    dtype: np.dtype | None = None
    one_step: str = ""
    batch_first: bool | None = None


_RECURRENT = tuple(cell.name for cell in CELLS.values())
_CELLS = tuple(f"{name}Cell" for name in _RECURRENT)
_PASSED = ("Identity", "Dropout", "Dropout1d", "AlphaDropout", "FeatureAlphaDropout")
_CONTAINERS = ("Sequential", "ModuleList")
_KNOWN = (*_RECURRENT, *_CELLS, *_PASSED, *_CONTAINERS, *ACTIVATIONS, "Linear", "BatchNorm1d")

#: What cannot be expressed -> the line of NumPy that does it; x is (T, N, features).
_BY_HAND = {
    "Embedding": "x = weight[indices]",
    "LayerNorm": "y = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps) * weight + bias",
    "RMSNorm": "y = x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight",
    "Conv1d": "y = sum(x[k : len(x) - K + 1 + k] @ weight[:, :, k].T for k in range(K)) + bias",
    "MultiheadAttention": "y = softmax(q @ k.T / np.sqrt(q.shape[-1])) @ v, for each head",
    "Bilinear": "y = np.einsum('...i,oij,...j', x1, weight, x2) + bias",
    "LogSoftmax": "y = x - np.log(np.exp(x).sum(-1, keepdims=True))",
    "LogSigmoid": "y = -np.logaddexp(0, -x)",
    "ReLU6": "y = np.clip(x, 0, 6)",
    "Hardtanh": "y = np.clip(x, min_val, max_val)",
    "Hardswish": "y = x * np.clip(x / 6 + 0.5, 0, 1)",
    "Mish": "y = x * np.tanh(np.logaddexp(x, 0))",
    "SELU": "y = 1.0507009873554805 * np.where(x < 0, 1.6732632423543772 * np.expm1(x), x)",
    "CELU": "y = np.where(x < 0, alpha * np.expm1(x / alpha), x)",
    "GLU": "a, b = np.split(x, 2, -1); y = a / (1 + np.exp(-b))",
    "Flatten": "y = x.reshape(len(x), -1)",
}  # fmt: skip
_SELECTS = re.compile(r"last|final|select|take|extract|squeeze", re.IGNORECASE)


def is_module(value: Any) -> bool:
    """Whether it is a module of PyTorch, by its looks."""
    return callable(getattr(value, "named_modules", None)) and callable(getattr(value, "state_dict", None))


def pieces_of(module: Any, name: str) -> list[Piece]:
    """What a module is, or the modules of a Sequential are, in their order.

    Raises
    ------
    NotAChain
        A module is none of those that this package has; it is named.
    """
    kind, label = torch_class(module), labelled(name, module)
    if kind in _CONTAINERS:
        # each in every place where it stands; no name of one has a dot
        inside = [(own, one) for own, one in module.named_modules(remove_duplicate=False) if own and "." not in own]
        return [piece for own, one in inside for piece in pieces_of(one, f"{name}.{own}" if name else own)]
    if kind in _PASSED:
        return []
    if kind in _RECURRENT or kind in _CELLS:
        return [_recurrent(module, kind, label)]
    if kind == "Linear":
        return [dense_piece(label, module.weight, module.bias)]
    if kind == "BatchNorm1d":
        return [_batch_norm(module, label)]
    if kind in ACTIVATIONS:
        return [_activation(module, kind, label)]
    raise NotAChain(refusal(module, label))


def labelled(name: str, module: Any) -> str:
    """Name and class of a module, as messages have it: "'2' (Linear)"."""
    kind = type(module).__name__
    return f"{name!r} ({kind})" if name else kind


def torch_class(module: Any) -> str | None:
    """The class of torch.nn, one that is known here, whose forward the module runs; None where it is another."""
    own = type(module)
    forward = getattr(own, "forward", None)
    if "forward" in vars(module):       # of this one module
        return None
    for one in own.__mro__:
        theirs = one.__module__.startswith("torch.nn.modules.") or one.__module__ == "cgru.torch"
        if theirs and one.__name__ in _KNOWN and getattr(one, "forward", None) is forward:
            return one.__name__
    return None


def dense_piece(label: str, weight: Any, bias: Any) -> Piece:
    """A Linear's."""
    weight = real_array(f"{label}: weight", weight, (None, None))
    arrays = [weight] if bias is None else [weight, real_array(f"{label}: bias", bias, (len(weight),))]
    bias = None if bias is None else arrays[1]
    return Piece(label, "dense", (weight, bias), weight.shape[1], np.result_type(*arrays))


def recurrent_piece(label: str, weights: Any, batch_first: bool | None) -> Piece:
    """A recurrent layer's."""
    return Piece(label, "recurrent", (weights,), weights.config.input_size, weights.dtype, batch_first=batch_first)


def _recurrent(module, kind, label):
    if getattr(module, "proj_size", 0):
        raise NotAChain(
            f"{label} has proj_size={module.proj_size}, which no layer here has; in NumPy its h is h @ weight_hr.T"
        )
    return recurrent_piece(label, weights_from_torch(module), module.batch_first if kind in _RECURRENT else None)


def _batch_norm(module, label):
    if module.running_mean is None:
        raise NotAChain(f"{label} keeps no running statistics: what it does depends on the batch")
    mean, var = (np.asarray(real_array(label, one), np.float64) for one in (module.running_mean, module.running_var))
    scale, shift = 1 / np.sqrt(var + module.eps), 0.0
    if module.affine:
        scale = scale * real_array(f"{label}: weight", module.weight)
        shift = real_array(f"{label}: bias", module.bias)
    why = (
        "takes the second axis for features, and that is no axis of features while there are steps: it can be read "
        "behind 'last' alone; in NumPy: y = (x - mean) / np.sqrt(var + eps) * weight + bias"
    )
    dtype = real_array(label, module.running_mean).dtype
    return Piece(label, "affine", (scale, shift - mean * scale), len(mean), dtype, why)


def _activation(module, kind, label):
    try:
        activation = read_activation(kind, module)
    except NotAChain as error:
        raise NotAChain(f"{label} {error}") from None
    why = ""
    if kind == "Softmax" and module.dim != -1:
        by_hand = "e = np.exp(x - x.max(axis, keepdims=True)); y = e / e.sum(axis, keepdims=True)"
        why = f"has dim={module.dim}, and features are the last one: take dim=-1; in NumPy: {by_hand}"
        if module.dim not in (1, 2):
            raise NotAChain(f"{label} {why}")
    # dim=2 is the last one while there are steps, dim=1 where there are none
    if kind == "Softmax" and module.dim == 2:
        return Piece(label, "activation", (activation,))
    return Piece(label, "activation", (activation,), one_step=why)


def refusal(module: Any, label: str) -> str:
    """Why this module is no part of a chain, and what to do."""
    by_hand = next((_BY_HAND[one.__name__] for one in type(module).__mro__ if one.__name__ in _BY_HAND), None)
    if by_hand:
        return f"{label} is no layer of a cgru.Sequential; run what is before and behind it, and in NumPy: {by_hand}"
    inside = {name: one for name, one in module.named_modules() if name}
    networks = [name for name, one in inside.items() if torch_class(one) in _RECURRENT]
    parameters = list(module.state_dict())
    if len(networks) == 1 and all(name.startswith(f"{networks[0]}.") for name in parameters):
        return (
            f"{label} wraps a recurrent layer, and what it passes on cannot be read: give that layer, its "
            f".{networks[0]}, in its place, and behind it 'last' where it passes on the last step alone"
        )
    if inside:
        names = [name for name in inside if "." not in name]
        return (
            f"{label} has a forward of its own, which cannot be read: give its modules in the order in which they run, "
            f"such as layers={names}, with the names of the activations between them, and 'last' where the last step "
            "is taken"
        )
    if not parameters and _SELECTS.search(type(module).__name__):
        return (
            f"{label} cannot be read: give 'last' in its place where it takes the last step, 'h_n' where it takes the "
            "final state, and leave it out where it takes the first of a pair (y, h_n)"
        )
    holds = f"with {', '.join(parameters)}" if parameters else "which has no parameters"
    return (
        f"{label}, {holds}, is no layer of a cgru.Sequential; where it is an activation, give its name, such as 'tanh'"
    )
