"""PyTorch's modules inside a model become cgru's, and back; a model of cgru's becomes a module."""

import dataclasses
from typing import Any

import torch

from cgru.convert.torch_write import to_torch
from cgru.gradients import refuse_quantized
from cgru.recurrent import Recurrent
from cgru.torch.modules import CLASSES, Through
from cgru.torch.tensors import DTYPES

_NAMES = {theirs.__name__ for theirs in CLASSES}


@dataclasses.dataclass(frozen=True)
class Report:
    """Which modules were swapped; ``print`` it.

    Attributes
    ----------
    swapped : tuple of str
        Names as of `torch.nn.Module.named_modules`: "encoder.gru", and "" for the module itself.
    left : dict of str to str
        Name -> why it was left as it is.
    """

    swapped: tuple[str, ...]
    left: dict[str, str]

    def __str__(self):
        lines = [f"swapped: {', '.join(map(_shown, self.swapped)) or 'nothing'}"]
        return "\n".join(lines + [f"left: {_shown(name)}, which {why}" for name, why in self.left.items()])


def _shown(name):
    return name or "the module itself"


def replace(module):
    """Make every `torch.nn.GRU`, `LSTM` and `RNN` inside a module, or itself, one of cgru.torch's.

    Each remains the object that it is, with its parameters, hooks, training flag and places in the model: only its
    class changes. So optimizers, shared modules and references stay as they are.

    Parameters
    ----------
    module : torch.nn.Module

    Returns
    -------
    Report
        Which were swapped, and which were not, and why: projections, another device or dtype, subclasses, quantised and
        parametrised modules.

    Raises
    ------
    TypeError
        It is no module.

    Examples
    --------
    >>> import torch, cgru.torch
    >>> model = torch.nn.ModuleDict({"gru": torch.nn.GRU(3, 5), "lstm": torch.nn.LSTM(3, 5, proj_size=2)})
    >>> print(cgru.torch.replace(model))
    swapped: gru
    left: lstm, which has proj_size=2, and cgru has no projections
    >>> print(cgru.torch.restore(model))
    swapped: gru
    """
    def choose(one):
        if type(one) in CLASSES:
            why = _reason(one)
            return (None, why) if why else (CLASSES[type(one)], None)
        return None, None if isinstance(one, Through) else _stranger(one)

    return _swap(module, choose)


def restore(module):
    """Make every module of cgru.torch's inside a module, or itself, PyTorch's own again: `replace` the other way.

    Parameters
    ----------
    module : torch.nn.Module

    Returns
    -------
    Report
        Left are those with ``reset_after=False``, which PyTorch does not have, and of subclasses.

    Raises
    ------
    TypeError
        It is no module.
    """
    theirs = {ours: known for known, ours in CLASSES.items()}

    def choose(one):
        if type(one) not in theirs:
            return None, _of_a_subclass(one, "remove the parametrisations first") if isinstance(one, Through) else None
        if not one.reset_after:
            return None, "has reset_after=False, which torch.nn.GRU has not"
        return theirs[type(one)], None

    return _swap(module, choose)


def from_cgru(model):
    """A module of this room with copies of the parameters of a `cgru.GRU`, `cgru.LSTM` or `cgru.RNN`.

    Parameters
    ----------
    model : cgru.GRU, cgru.LSTM or cgru.RNN

    Returns
    -------
    GRU, LSTM or RNN
        Of the model's dtype. `cgru.from_torch` is the way back.

    Raises
    ------
    TypeError
        It is none of them.
    ValueError
        PyTorch's modules cannot have what it has, such as a `clip`; its weights are in 16 or 8 bits.

    Examples
    --------
    >>> import cgru, cgru.torch
    >>> cgru.torch.from_cgru(cgru.GRU(3, 5, reset_after=False, rng=0))
    cgru.torch.GRU(3, 5, reset_after=False)
    """
    if not isinstance(model, Recurrent):
        raise TypeError(f"model must be a cgru.GRU, LSTM or RNN; got {type(model).__name__}")
    refuse_quantized(model)
    weights, reset_after = model.weights, model.config.reset_after
    module = to_torch(weights if reset_after else weights.replace(reset_after=True))
    module.__class__ = CLASSES[type(module)]
    if not reset_after:
        module.reset_after = False
    return module


def _swap(module, choose):
    """Give each module the class that `choose` has for it; ``choose(one)`` is (class, reason), either None."""
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"expected a torch.nn.Module; got {type(module).__name__}")
    chosen = [(name, one, *choose(one)) for name, one in module.named_modules()]
    for _, one, to, _ in chosen:
        if to is not None:
            one.__class__ = to
    return Report(
        tuple(name for name, _, to, _ in chosen if to is not None),
        {name: why for name, _, _, why in chosen if why is not None},
    )


def _reason(one):
    """Why a plain module of PyTorch's is left; None where it is not."""
    if one.proj_size:
        return f"has proj_size={one.proj_size}, and cgru has no projections"
    if "forward" in vars(one):
        return "has a forward of its own"
    for name, tensor in one.named_parameters():
        if not tensor.is_cpu:
            return f"is on {tensor.device} ({name}), and cgru computes on the CPU"
        if tensor.dtype not in DTYPES or tensor.dtype != next(one.parameters()).dtype:
            return f"has {name} in {tensor.dtype}, and cgru trains in float32 or float64"
    return None


def _stranger(one: Any) -> str | None:
    """Why a module that is not plainly one of PyTorch's three, but of their kind, is left; None of any other."""
    if isinstance(one, torch.jit.ScriptModule):
        return "is compiled by TorchScript" if one.original_name in _NAMES else None
    if isinstance(one, torch.nn.RNNBase):
        return _of_a_subclass(one, "replace it first, and register them then")
    if type(one).__name__ in _NAMES and type(one).__module__.startswith("torch."):
        return "is quantised"
    return None


def _of_a_subclass(one, what_to_do):
    if torch.nn.utils.parametrize.is_parametrized(one):
        return f"has parametrised parameters: {what_to_do}"
    return f"is a {type(one).__name__}, a subclass that may compute something else"
