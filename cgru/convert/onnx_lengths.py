"""An ONNX graph's input of lengths, as `to_onnx` uses it, for a mask and each row's last step; products of sizes."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from cgru.convert.onnx_axes import Flow, Other, Parts, Sizes, product_of_sizes, significant, width
from cgru.convert.onnx_layers import LAYERS
from cgru.convert.onnx_moves import MOVES
from cgru.convert.onnx_values import attribute
from cgru.convert.onnx_walk import refusal, sizes

_INTEGERS = (6, 7)      # int32 and int64 in TensorProto


class Counted(NamedTuple):
    """Numbers of steps: each row's "lengths", its "last" one, all "steps", or the "valid" ones of them."""

    what: str


def _or(operator, handler):
    """A handler for lengths, where an input is one, before the operator's own."""
    own: Any = MOVES.get(operator) or LAYERS.get(operator)

    @functools.wraps(own)
    def both(walk, node, *given):
        found = handler(walk, node, *given)
        if found is not None:
            return found
        return Other(node) if any(isinstance(value, Counted) for value in given) else own(walk, node, *given)

    return both


def _is(value, number):
    return isinstance(value, np.ndarray) and value.size == 1 and value.reshape(-1)[0] == number


def _cast(walk, node, value):
    raw = isinstance(value, Flow) and value.link.kind == "input" and len(value.axes) == 1
    if isinstance(value, Counted) or (raw and attribute(node, "to", 1) in _INTEGERS):
        return value if isinstance(value, Counted) else Counted("lengths")
    return None


def _same(walk, node, value, *_):
    return value if isinstance(value, Counted) else None


def _less_one(walk, node, a, b, *_):
    return Counted("last") if a == Counted("lengths") and _is(b, 1) else None


def _at_least_0(walk, node, a, b=None, *_):
    return a if isinstance(a, Counted) and a.what == "last" and _is(b, 0) else None


def _range(walk, node, start, end, step):
    """All steps of the sequence, where they are that."""
    whole = walk.time if width(walk.time or ()) is None else width(walk.time or ())
    given = sizes(end)
    every = _is(start, 0) and _is(step, 1) and isinstance(given, Sizes) and len(given.dims) == 1
    return Counted("steps") if every and given is not None and given.dims[0] == whole else Other(node)


def _less(walk, node, a, b):
    if b == Counted("lengths") and (a == Counted("steps") or _is(a, 0)):
        return Counted("valid")
    if isinstance(a, Flow) or isinstance(b, Flow):
        raise refusal(node)
    return Other(node)


def _where(walk, node, mask, value, other):
    """Zeros in the padding, which a network gives anyway."""
    if mask == Counted("valid") and isinstance(value, Flow) and _is(other, 0):
        return value
    if any(isinstance(one, Flow) for one in (mask, value, other)):
        raise refusal(node)
    return Other(node)


def _gather_nd(walk, node, value, index):
    if not isinstance(value, Flow):
        return Other(node)
    rows = len(value.axes) == 3 and attribute(node, "batch_dims", 0) == 1 and walk.is_time(value, 1)
    if index != Counted("last") or not rows or significant(value.axes[0]) != walk.batch:
        raise refusal(node, "takes elements by an index that is known at run time only")
    return Flow(walk.selected(value.link, "last", node), (value.axes[0], value.axes[2]))


def _reduced(walk, node, value, axes=None):
    if isinstance(value, Flow | Parts):
        raise refusal(node)
    product = product_of_sizes(value.dims) if isinstance(value, Sizes) else None
    return Other(node) if product is None else Sizes((product,), not attribute(node, "keepdims", 1))


LENGTHS = {
    "Cast": _or("Cast", _cast), "Unsqueeze": _or("Unsqueeze", _same), "Squeeze": _or("Squeeze", _same),
    "Identity": _or("Identity", _same), "Reshape": _or("Reshape", _same), "Sub": _or("Sub", _less_one),
    "Max": _or("Max", _at_least_0), "Range": _range, "Less": _less, "Where": _where, "GatherND": _gather_nd,
    "ReduceProd": _reduced,
}  # fmt: skip
