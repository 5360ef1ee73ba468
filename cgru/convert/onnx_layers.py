"""ONNX's operators that compute: products, functions of single numbers, normalisers, recurrent nodes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from cgru.checks import real_array
from cgru.convert.onnx import RecurrentNode, recurrent_node
from cgru.convert.onnx_axes import (
    PARTS,
    UNITS,
    Atom,
    Filled,
    Flow,
    Link,
    Other,
    Part,
    Parts,
    Sizes,
    named,
    product_of_sizes,
    significant,
    width,
)  # fmt: skip
from cgru.convert.onnx_graph import cell_of_node
from cgru.convert.onnx_pointwise import BINARY, UNARY, Pointwise, affine, recent, with_constant
from cgru.convert.onnx_values import attribute
from cgru.convert.onnx_walk import Walk, own_axes, refusal, sizes, taken

_LENGTHS, _STATES = 4, 5      # places of a recurrent node's inputs


class Recurrent(NamedTuple):
    """A recurrent node as a link of a chain.

    Attributes
    ----------
    layer : RecurrentNode
    source : tuple or None
        The name of the graph's input that holds its initial state, and the first row there.
    """

    layer: RecurrentNode
    source: tuple[str, int] | None


# ---- products


def dense(walk: Walk, node, flow: Flow, axis: int, matrix) -> Flow:
    """Features times a matrix (F, O), in the same axis."""
    atoms = walk.features(flow, axis, node)
    matrix = real_array("weight", matrix, (None, None))
    if width(atoms) not in (None, len(matrix)):
        raise ValueError(f"{named(node)} has a weight of shape {matrix.shape} for {width(atoms)} features")
    new = (Atom(f"features of {node.output[0]}", matrix.shape[1]),)
    link = Link("dense", node, flow.link, np.asarray(matrix, np.float64).T, new)
    axis %= len(flow.axes)
    return Flow(link, (*flow.axes[:axis], new, *flow.axes[axis + 1 :]))


def _matrix(node, array):
    """A constant as a matrix: axes of one element in front do nothing."""
    if not isinstance(array, np.ndarray):
        raise refusal(node, "multiplies two values that the network computes, or one that is no constant")
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    if array.ndim not in (1, 2):
        raise refusal(node, f"has a weight of shape {array.shape}, another matrix for each row or step")
    return array


def _matmul(walk, node, a, b):
    left = isinstance(a, np.ndarray)
    flow, matrix = walk.flow(b if left else a, node), _matrix(node, a if left else b)
    rank = len(flow.axes)
    if rank == 0:
        raise ValueError(f"{named(node)} multiplies a single number")
    if matrix.ndim == 1:
        axis = max(rank - 2, 0) if left else rank - 1
        result = dense(walk, node, flow, axis, matrix[:, None])
        return Flow(result.link, (*result.axes[:axis], *result.axes[axis + 1 :]))
    return dense(walk, node, flow, max(rank - 2, 0), matrix.T) if left else dense(walk, node, flow, rank - 1, matrix)


def _gemm(walk, node, a, b, c=None):
    left = isinstance(a, np.ndarray)
    flow, matrix = walk.flow(b if left else a, node), _matrix(node, a if left else b)
    if len(flow.axes) != 2 or matrix.ndim != 2:
        raise ValueError(f"{named(node)} multiplies values of {len(flow.axes)} and {matrix.ndim} axes, expected 2")
    turns = attribute(node, "transA", 0), attribute(node, "transB", 0)
    if turns[1 if left else 0]:
        flow = Flow(flow.link, flow.axes[::-1])
    matrix = matrix.T if turns[0 if left else 1] else matrix
    matrix = attribute(node, "alpha", 1.0) * np.asarray(matrix, np.float64)
    result = dense(walk, node, flow, 0, matrix.T) if left else dense(walk, node, flow, 1, matrix)
    if c is None:
        return result
    beta = attribute(node, "beta", 1.0)
    return binary(walk, node, result, np.asarray(c, np.float64) * beta if isinstance(c, np.ndarray) else c, "Add")


# ---- functions of single numbers


def _pointwise(node, flow: Flow, steps) -> Flow:
    link = flow.link
    for step in steps:
        link = Link("pointwise", node, link, step, link.features)
    return Flow(link, flow.axes)


def _unary(walk, node, value):
    return _pointwise(node, walk.flow(value, node), UNARY[node.op_type](node))


def _prelu(walk, node, value, slope):
    flow = walk.flow(value, node)
    if not isinstance(slope, np.ndarray) or not slope.size or not (slope == slope.flat[0]).all():
        raise refusal(node, "has another slope for each feature")
    alpha = float(slope.flat[0])
    return _pointwise(node, flow, [Pointwise(lambda x: np.where(x >= 0, x, alpha * x), None, ("leaky_relu", alpha))])


def _clip(walk, node, value, low=None, high=None):
    low = attribute(node, "min") if low is None else low
    high = attribute(node, "max") if high is None else high
    bounds: list[Any] = [low, high]
    if any(one is not None and (not isinstance(one, float | np.ndarray) or np.size(one) != 1) for one in bounds):
        raise refusal(node, "has bounds that are no constants")
    least, most = (None if one is None else float(np.reshape(one, ())) for one in bounds)
    if least == 0 and most is None:
        return _pointwise(node, walk.flow(value, node), [Pointwise(lambda x: np.maximum(x, 0), None, ("relu",))])
    return _pointwise(node, walk.flow(value, node), [Pointwise(lambda x: np.clip(x, least, most))])


def _softmax(walk, node, value):
    flow = walk.flow(value, node)
    axis = attribute(node, "axis", -1 if walk.opset >= 13 else 1)
    rank = len(flow.axes)
    if axis not in (-1, rank - 1):
        raise refusal(node, f"goes over axis {axis} of {rank}, and not over the features alone")
    walk.features(flow, rank - 1, node)
    return Flow(Link("softmax", node, flow.link, None, flow.link.features), flow.axes)


def _batch_normalization(walk, node, value, scale, shift, mean, variance):
    flow = walk.flow(value, node)
    arrays = [scale, shift, mean, variance]
    if attribute(node, "training_mode", 0) or not all(isinstance(array, np.ndarray) for array in arrays):
        raise refusal(node, "normalises by what it measures as it runs")
    if len(flow.axes) < 2:
        raise ValueError(f"{named(node)} has an input of {len(flow.axes)} axes")
    size = width(walk.features(flow, 1, node))
    arrays = [np.asarray(array, np.float64) for array in arrays]
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1 or arrays[0].ndim != 1 or size not in (None, len(arrays[0])):
        raise ValueError(f"{named(node)} has parameters of shapes {sorted(shapes)}, expected a number for each feature")
    scale = arrays[0] / np.sqrt(arrays[3] + attribute(node, "epsilon", 1e-5))
    return _pointwise(node, flow, [affine(scale, arrays[1] - arrays[2] * scale)])


# ---- two values


def _binary(walk, node, a, b, *more):
    if more:
        raise refusal(node, "takes more than two values")
    if not any(isinstance(value, Flow | Parts) for value in (a, b)):
        return _on_sizes(node, a, b)
    return binary(walk, node, a, b, node.op_type)


def _on_sizes(node, a, b):
    one, other = sizes(a), sizes(b)
    if node.op_type != "Mul" or one is None or other is None or len(one.dims) != len(other.dims):
        return Filled() if isinstance(a, Filled) and isinstance(b, Filled) else Other(node)
    dims = [product_of_sizes(pair) for pair in zip(one.dims, other.dims, strict=True)]
    return Other(node) if None in dims else Sizes(tuple(dims), one.single and other.single)


def binary(walk: Walk, node, a, b, op: str) -> Flow:
    """An operator of two values, one of which the network computes."""
    if isinstance(a, Parts) and isinstance(b, Parts):
        merged = _merged(walk, node, a, b, op)
        if merged is not None:
            return merged
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        first = isinstance(a, np.ndarray)
        return _with_constant(walk, node, walk.flow(b if first else a, node), a if first else b, op, first)
    one, other = walk.flow(a, node), walk.flow(b, node)
    known = recent(other.link)
    base = next((link for link in recent(one.link) if any(link is item for item in known)), None)
    if base is not None and one.axes == other.axes:
        step = Pointwise(BINARY[op], sides=(one.link, other.link))
        return Flow(Link("pointwise", node, base, step, base.features), one.axes)
    if op == "Add":
        for flow, x in ((one, other), (other, one)):
            if x.link.kind in ("input", "take") and flow.link.kind not in ("input", "take"):
                return Flow(Link("skip", node, flow.link, (x, flow.axes), flow.link.features), flow.axes)
    raise refusal(node, "puts two values together that the network computes, which is a branch")


def _with_constant(walk, node, flow, array, op, first):
    axes = ((),) * max(array.ndim - len(flow.axes), 0) + flow.axes
    flow = Flow(flow.link, axes)
    if array.size != 1:
        shape = (1,) * (len(axes) - array.ndim) + array.shape
        (k, *others) = [k for k, size in enumerate(shape) if size != 1]
        if others:
            raise refusal(node, f"has a constant of shape {array.shape}, another one for each step or row")
        size = width(walk.features(flow, k, node))
        if size not in (None, array.size):
            raise ValueError(f"{named(node)} has a constant of shape {array.shape} for {size} features")
    try:
        step = with_constant(op, real_array("constant", array), first)
    except ValueError as error:
        raise ValueError(f"{named(node)}: {error}") from error
    if step is None:
        raise refusal(node, "goes over the features with a constant for each, and is no affine map")
    return _pointwise(node, flow, [step])


def _merged(walk, node, a, b, op):
    """The two directions of a layer added or multiplied; None where they are something else."""
    parts = (*a.parts, *b.parts)
    link = parts[0].link
    if op not in ("Add", "Mul") or len(parts) != 2 or a.axes != b.axes or any(part.link is not link for part in parts):
        return None
    parts = tuple(sorted(parts, key=lambda part: part.direction))
    if [part.direction for part in parts] != [0, 1]:
        return None
    how = taken(parts, node)
    axes = own_axes(a.axes, link.features[1:], False)
    merge = Link("merge", node, link, "sum" if op == "Add" else "mul", link.features[1:])
    return Flow(walk.selected(merge, how, node), axes)


# ---- recurrent nodes


def recurrent_operator(linear_before_reset):
    """The handler of recurrent nodes; see `cgru.from_onnx` for what it takes."""

    def handler(walk, node, given):
        return _recurrent(walk, node, given, linear_before_reset)

    return handler


def _recurrent(walk, node, given, linear_before_reset):
    if not given or not isinstance(given[0], Flow | Parts):
        raise refusal(node, "runs over what the network does not compute from its input")
    flow = walk.flow(given[0], node)
    if len(flow.axes) != 3:
        raise ValueError(f"{named(node)} runs over a value of {len(flow.axes)} axes, expected 3")
    resets = "reset_after" in cell_of_node(node).options
    layer = recurrent_node(walk.graph, node, linear_before_reset if resets else None)
    time, batch = flow.axes[:2][::-1] if layer.batch_first else flow.axes[:2]
    _bind(walk, node, time, batch)
    takes, gets = layer.parameters[0].w_ih.shape[1], width(walk.features(flow, 2, node))
    if gets not in (None, takes):
        raise ValueError(f"{named(node)} takes {takes} features, and what is before it gives {gets}")
    _check_lengths(walk, node, given[_LENGTHS] if len(given) > _LENGTHS else None)
    sources = [_source(node, value) for value in given[_STATES : _STATES + len(layer.cell.states)]]
    if any(one is not None and one[0] == walk.root(flow.link).data for one in sources):
        raise refusal(node, "has an initial state that comes from the same input as its steps")
    label = node.output[0] if node.output else node.name
    count = len(layer.parameters)
    units = Atom(f"units of {label}", layer.hidden_size)
    both = (Atom(f"directions of {label}", 2),) if count == 2 else ()
    source = next((one for one in sources if one is not None), None)
    link = Link("layer", node, flow.link, Recurrent(layer, source), (*both, units))
    counter, unit = (Atom(PARTS, count),), (Atom(UNITS, layer.hidden_size),)
    axes = (batch, time, both, (units,)) if layer.batch_first else (time, both, batch, (units,))
    found: list[Any] = [Flow(link, axes)]
    for what in layer.cell.states:
        parts = tuple(Part(link, what, d) for d in range(count))
        found.append(Parts(parts, (batch, counter, unit) if layer.batch_first else (counter, batch, unit)))
    return found


def _bind(walk, node, time, batch):
    """Every recurrent node runs over the same axis."""
    if walk.time is None:
        walk.layout = time, batch
    time, batch = significant(time), significant(batch)
    if walk.time is None:
        if len(time) > 1 or len(batch) > 1:
            raise refusal(node, "runs over several axes that are joined to one")
        walk.time, walk.batch = time, batch
    if time not in (walk.time, ()) or batch not in (walk.batch, ()):
        raise refusal(node, "runs over another axis than the recurrent node before it")


def _check_lengths(walk, node, value):
    """sequence_lens: an input of the graph, which is `lengths`, or the whole length for every row."""
    if value is None:
        return
    if isinstance(value, Flow) and value.link.kind == "input":
        walk.with_lengths = True
        return
    whole = walk.time if width(walk.time) is None else width(walk.time)
    dims = value.reshape(-1).tolist() if isinstance(value, np.ndarray) else getattr(value, "dims", ())
    if not dims or any(dim != whole for dim in dims):
        raise refusal(node, "has sequence_lens that are no input of the graph; leave them out and pass lengths")


def _source(node, value):
    """The input of the graph that is an initial state, and the row of its first axis at which it starts."""
    if value is None or isinstance(value, np.ndarray | Filled):
        return None
    if not isinstance(value, Flow) or value.link.kind not in ("input", "take"):
        raise refusal(node, "has an initial state that the network computes; compute it before, and pass it as hx")
    link: Any = value.link
    start = 0
    while link.kind == "take":
        start = link.data[1] if link.prev.kind == "input" else start
        link = link.prev
    return link.data, start


LAYERS = {
    **dict.fromkeys(UNARY, _unary), **dict.fromkeys(BINARY, _binary), "MatMul": _matmul, "Gemm": _gemm,
    "PRelu": _prelu, "Clip": _clip, "Softmax": _softmax, "BatchNormalization": _batch_normalization,
}  # fmt: skip

