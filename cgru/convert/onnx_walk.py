"""From the nodes of an ONNX graph to the links of a chain: each value is computed once, as what it is to a chain."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from cgru.cells import CELLS
from cgru.convert._errors import NotAChain
from cgru.convert.onnx_axes import (
    PARTS,
    UNITS,
    Atom,
    Axis,
    Flow,
    Link,
    Other,
    Part,
    Parts,
    Sizes,
    named,
    significant,
)  # fmt: skip
from cgru.convert.onnx_graph import Graph, is_recurrent
from cgru.convert.onnx_pointwise import BINARY, UNARY

_ATTENTION = (
    "w = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1]); w = np.exp(w - w.max(-1, keepdims=True)); "
    "y = w / w.sum(-1, keepdims=True) @ v"
)
_NORMALIZATION = "y = (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + epsilon) * scale + bias"
_CONVOLUTION = (
    "x = np.einsum('tik,oik->to', np.lib.stride_tricks.sliding_window_view(x, K, axis=0), W) + b, with x (T, I) and W "
    "(O, I, K)"
)
#: What a node does that no chain can, by hand in NumPy.
_BY_HAND = {
    "Conv": _CONVOLUTION, "ConvInteger": _CONVOLUTION, "LayerNormalization": _NORMALIZATION,
    "SkipLayerNormalization": _NORMALIZATION, "Attention": _ATTENTION, "MultiHeadAttention": _ATTENTION,
    "Gather": "x = table[tokens], or of a value y = y.take(places, axis)",
    "Concat": "y = np.concatenate([a, b], axis=-1)", "ArgMax": "y = y.argmax(-1)",
    "LogSoftmax": "y = y - np.log(np.exp(y).sum(-1, keepdims=True))", "ReduceMean": "y = y.mean(axis)",
    "ReduceSum": "y = y.sum(axis)", "ReduceMax": "y = y.max(axis)", "Clip": "y = np.clip(y, low, high)",
    "Slice": "y = y[..., start:end]", "Split": "a, b = np.split(y, 2, axis=-1)", "Where": "y = np.where(mask, a, b)",
    "Add": "y = a + b", "Sub": "y = a - b", "Mul": "y = a * b", "Div": "y = a / b", "Pow": "y = a ** b",
    "Max": "y = np.maximum(a, b)", "Min": "y = np.minimum(a, b)", "MatMul": "y = a @ b", "Gemm": "y = a @ b + c",
    "Softmax": "y = np.exp(y - y.max(axis, keepdims=True)); y = y / y.sum(axis, keepdims=True)",
    "Equal": "mask = a == b", "Greater": "mask = a > b", "Less": "mask = a < b", "Not": "mask = ~mask",
    "Reshape": "y = y.reshape(shape)", "Transpose": "y = y.transpose(axes)", "Expand": "y = np.broadcast_to(y, shape)",
    "Pad": "y = np.pad(y, widths)", "Tile": "y = np.tile(y, times)", "CumSum": "y = y.cumsum(axis)",
    "PRelu": "y = np.where(y >= 0, y, slope * y)", "Squeeze": "y = y.squeeze(axis)",
}  # fmt: skip
_ELSEWHERE = {
    **dict.fromkeys(("Loop", "Scan"), "it is a loop over steps, as tf2onnx writes those recurrent layers of Keras that "
                    "it has no node for; read the .keras file with cgru.Sequential.from_keras"),
    **dict.fromkeys((cell.name for cell in CELLS.values()), "read its node alone with cgru.from_onnx(path, node=...)"),
}  # fmt: skip
_DOMAINS = ("", "ai.onnx", "com.microsoft")
_GRAPH = 5      # AttributeProto.GRAPH


def refusal(node, why="is no layer of a chain") -> NotAChain:
    """The error for a node that a chain cannot have, with the line of NumPy that does it."""
    line = _BY_HAND.get(node.op_type, f"y = np.{node.op_type.lower()}(y), or what else ONNX's {node.op_type} says")
    what = _ELSEWHERE.get(node.op_type, f"cut the network there, and do it by hand: {line}")
    return NotAChain(f"{named(node)} {why}; {what}")


class Walk:
    """The values of a graph, and what is found out on the way.

    Parameters
    ----------
    graph : Graph
    inputs : dict of str to tuple
        Name -> sizes of axes, None for those that are known at run time only.
    opset : int
    operators : dict of str to callable
        By ONNX's name: ``f(walk, node, *inputs)``, which gives a value or a list of one for each output.
    recurrent : callable
        The same for recurrent nodes: ``f(walk, node, inputs)``.
    """

    def __init__(self, graph: Graph, inputs, opset, operators: Mapping[str, Callable], recurrent: Callable):
        self.graph, self.opset = graph, opset
        self._operators, self._recurrent = operators, recurrent
        self.inputs: dict[str, Flow] = {}
        #: The atoms of each input's features, once a node works on them.
        self.bound: dict[int, Axis] = {}
        #: The axes of time and batch, once there is a recurrent node.
        self.time: Axis | None = None
        self.batch: Axis | None = None
        #: Both as the first recurrent node has them, with atoms of one element.
        self.layout: tuple[Axis, Axis] = ((), ())
        #: Whether a recurrent node is given lengths.
        self.with_lengths = False
        self.values: dict[str, Any] = {}
        self._selected: dict[tuple[Link, str], Link] = {}
        for name, sizes in inputs.items():
            axes = tuple((Atom(f"{name}.{k}", size),) for k, size in enumerate(sizes))
            self.values[name] = self.inputs[name] = Flow(Link("input", None, None, name), axes)

    # ---- the order of nodes

    def run(self, outputs: list[str]) -> list[Any]:
        """The values of the graph's outputs."""
        for node in self._ordered(outputs):
            found = self._evaluated(node)
            several = found if isinstance(found, list) else [found]
            for name, value in zip(node.output, several, strict=False):
                if name:
                    self.values[name] = value
        return [self._value(name, None) for name in outputs]

    def _ordered(self, outputs):
        """The nodes that the outputs depend on, each behind those it depends on."""
        waiting = [node for node in map(self.graph.maker, outputs) if node is not None]
        entered, done, ordered = set(), set(), []
        while waiting:
            node = waiting[-1]
            if id(node) in done:
                waiting.pop()
                continue
            before = [maker for maker in map(self.graph.maker, node.input) if maker is not None]
            missing = [maker for maker in before if id(maker) not in done]
            if any(id(maker) in entered for maker in missing):
                raise ValueError(f"{named(node)} depends on its own output: the graph goes in a circle")
            entered.add(id(node))
            if missing:
                waiting += missing
                continue
            waiting.pop()
            entered.discard(id(node))
            done.add(id(node))
            ordered.append(node)
        return ordered

    def _value(self, name, node):
        """The value of a name; None for an input that is left out."""
        if not name:
            return None
        if name not in self.values:
            stored = self.graph.constant(name) if self.graph.is_stored(name) else None
            if stored is None:
                who = "the graph has the output" if node is None else f"{named(node)} takes"
                raise ValueError(f"{who} {name!r}, which nothing in the model makes")
            self.values[name] = stored
        return self.values[name]

    # ---- one node

    def _evaluated(self, node):
        given = [self._value(name, node) for name in node.input]
        if any(item.type == _GRAPH for item in node.attribute):
            raise refusal(node, "runs a graph of its own, which is no layer of a chain")
        computed = any(isinstance(value, Flow | Parts) for value in given)
        if node.domain not in _DOMAINS and computed:
            raise refusal(node, f"is of the domain {node.domain!r}, which is unknown here")
        if node.domain not in _DOMAINS:
            return [Other(node)] * len(node.output)
        if is_recurrent(node):
            return self._recurrent(self, node, given)
        if all(value is None or isinstance(value, np.ndarray) for value in given):
            return self._constant(node, given)
        handler = self._operators.get(node.op_type)
        if handler is None and computed:
            raise refusal(node)
        if handler is None:
            return [Other(node)] * len(node.output)
        self._check_count(node, handler, given)
        return handler(self, node, *given)

    def _check_count(self, node, handler, given):
        """Refuse fewer inputs than an operator has, or more."""
        parameters = list(inspect.signature(handler).parameters.values())[2:]
        least = sum(one.default is one.empty and one.kind is not one.VAR_POSITIONAL for one in parameters)
        most = 10**9 if any(one.kind is one.VAR_POSITIONAL for one in parameters) else len(parameters)
        if not max(least, 1) <= len(given) <= most or any(value is None for value in given[: max(least, 1)]):
            raise ValueError(f"{named(node)} has {len(given)} inputs, which are too many or too few, or one is missing")

    def _constant(self, node, given):
        """What constants make: the reader's own operators, and arithmetic."""
        op = node.op_type
        if op == "ConstantOfShape":
            return self._operators[op](self, node, *given)
        value = self.graph.constant(node.output[0]) if node.output else None
        if value is not None:
            return value
        present = [np.asarray(value) for value in given if value is not None]
        try:
            if op in BINARY and len(present) == 2:
                check_size(np.broadcast_shapes(*(array.shape for array in present)))
                with np.errstate(all="ignore"):
                    return BINARY[op](*present)
            if op in UNARY and len(present) == 1 and len(steps := UNARY[op](node)) == 1 and steps[0].function:
                with np.errstate(all="ignore"):
                    return np.asarray(steps[0].function(np.asarray(present[0], np.float64)))
        except ValueError as error:
            raise ValueError(f"{named(node)} cannot be evaluated: {error}") from error
        return [Other(node)] * len(node.output)

    # ---- features, time, directions

    def is_time(self, value: Flow | Parts, axis: int) -> bool:
        """Whether an axis is that of time, behind a recurrent node."""
        link: Link | None = value.link if isinstance(value, Flow) else value.parts[0].link
        while link is not None and link.kind != "layer":
            link = link.prev
        return link is not None and bool(self.time) and significant(value.axes[axis]) == self.time

    def features(self, flow: Flow, axis: int, node) -> Axis:
        """The atoms of an axis, which must hold all features and nothing else."""
        atoms = significant(flow.axes[axis])
        known = self.features_of(flow.link)
        if known is None:
            self.bound[id(self.root(flow.link))] = atoms
        elif significant(known) != atoms:
            raise refusal(node, "does not work on the features, but on another axis")
        return atoms

    def features_of(self, link: Link) -> Axis | None:
        """What the features of a link are made of, where that is known."""
        return self.bound.get(id(self.root(link))) if link.features is None else link.features

    @staticmethod
    def root(link: Link) -> Link:
        """The input that a link starts from."""
        while link.prev is not None:
            link = link.prev
        return link

    def flow(self, value, node) -> Flow:
        """A value as the whole output of what makes it: directions of a layer are put together."""
        if isinstance(value, Flow):
            return value
        if not isinstance(value, Parts):
            raise refusal(node, "takes what the network does not compute from its input")
        link = value.parts[0].link
        how, count = taken(value.parts, node), directions(link)
        if [part.direction for part in value.parts] != list(range(count)):
            raise refusal(node, f"takes some of the directions of {named(link.node)}, or in another order")
        return Flow(self.selected(link, how, node), own_axes(value.axes, link.features or (), count == 2))

    def selected(self, link: Link, how: str, node) -> Link:
        """A link, or what takes one step of it: the same one for all nodes that take this step."""
        if how == "y":
            return link
        last = Link("last", node, link, "h_n" if how == "h_n" else True, link.features)
        return self._selected.setdefault((link, how), last)


def own_axes(axes: tuple[Axis, ...], features: Axis, both: bool) -> tuple[Axis, ...]:
    """The axes of parts with their layer's features for what counts directions, where there are both, and units."""
    own = {UNITS: (features[-1],), PARTS: features[:1] if both else ()}
    return tuple(tuple(new for atom in axis for new in own.get(atom.label, (atom,))) for axis in axes)


def directions(link: Link) -> int:
    """1 or 2, of a recurrent link."""
    return len(link.data.layer.parameters)


def taken(parts: tuple[Part, ...], node) -> str:
    """What parts of one recurrent link are: "y", "last" or "h_n"."""
    link = parts[0].link
    if any(part.link is not link for part in parts):
        raise refusal(node, "puts outputs of several recurrent nodes together, which is no chain")
    layer = link.data.layer
    kinds = [part.what for part in parts]
    if "c" in kinds:
        raise refusal(node, f"computes with the cell state of {named(link.node)}, which no layer passes on")
    if all(kind == kinds[0] for kind in kinds) and kinds[0] in ("y", "last"):
        if kinds[0] == "last" and len(parts) == 1 and not layer.reverse and not layer.bidirectional:
            return "last"
        return kinds[0]
    backwards = [part.direction == 1 or layer.reverse for part in parts]
    if all(kind in ("h", "first" if back else "last") for kind, back in zip(kinds, backwards, strict=True)):
        return "h_n" if any(backwards) else "last"
    raise refusal(node, f"takes steps of the directions of {named(link.node)} that are neither the last nor the final")


def check_size(shape) -> None:
    """Refuse what constants may not make."""
    if np.prod([float(size) for size in shape], initial=1) > 1 << 24:
        raise ValueError(f"it makes an array of shape {tuple(shape)}: too large")


def sizes(value) -> Sizes | None:
    """A constant or Sizes as Sizes; None for anything else."""
    if isinstance(value, Sizes):
        return value
    if isinstance(value, np.ndarray) and value.ndim <= 1 and value.size <= 16 and value.dtype.kind in "iu":
        return Sizes(tuple(int(size) for size in value.reshape(-1)), value.ndim == 0)
    return None
