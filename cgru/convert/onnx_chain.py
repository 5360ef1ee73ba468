"""ONNX: a whole graph that is a chain of recurrent nodes, products, activations and normalisers, as a `Chain`.

The graph is walked once from its inputs to its outputs (`onnx_walk`); each value becomes a link of what the network
does to its features (`onnx_layers`), whatever the nodes that move axes around it (`onnx_moves`). Here the links become
layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cgru.checks import check_dtype
from cgru.convert._errors import NotAChain, naming
from cgru.convert.chains import ChainBuilder
from cgru.convert.onnx import check_opset, differences, model_proto, stacked, warn_of_pytorch
from cgru.convert.onnx_axes import Flow, Link, Parts, significant, width
from cgru.convert.onnx_graph import Graph
from cgru.convert.onnx_layers import LAYERS, recurrent_operator
from cgru.convert.onnx_lengths import LENGTHS
from cgru.convert.onnx_moves import MOVES
from cgru.convert.onnx_pointwise import spelt
from cgru.convert.onnx_walk import Walk, refusal

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from cgru.chain import Chain


def chain_from_onnx(
    source: Any, *, dtype: DTypeLike | None = None, linear_before_reset: bool | None = None
) -> Chain:
    """The network of an ONNX model that is a chain of layers.

    Read are GRU, LSTM and RNN nodes with whatever Transpose, Squeeze, Unsqueeze, Reshape, Identity, Cast, Slice,
    Gather, Split, Concat, Shape and Expand an exporter puts around them; MatMul and Gemm with a constant on either
    side; activations, as nodes or spelt in several (GELU, SiLU and the like: what counts is which function it is);
    affine maps by constants, and BatchNormalization; Dropout is passed over.

    Nodes of one kind and size that follow each other without anything in between become the layers of one model, as
    in `cgru.from_onnx`, unless their initial states are different inputs of the graph.

    Parameters
    ----------
    source : path or onnx.ModelProto
        As in `cgru.from_onnx`.
    dtype : dtype, optional
        float32 or float64; by default float64 where every recurrent layer is, else float32.
    linear_before_reset : bool, optional
        As in `cgru.from_onnx`.

    Returns
    -------
    Chain
        In the layout of the graph's input: (N, T, features) where its Transposes, or ``layout=1``, say so. Where the
        graph takes one step of the output, or a final state in its place, `last` is set; where it adds its input, or
        the first features of it, to the last layer's output, `skip` is. Inputs and outputs that are states of
        recurrent nodes are the chain's hx, and an input sequence_lens is `lengths`. A file with one step, such as a
        policy that is called for each observation, gives the chain that is run over all of them, or as a stream.

    Raises
    ------
    NotAChain
        A ValueError: the graph is whole, but no such chain. It names the node, and what does that node's work in
        NumPy. An embedding, convolution, layer normalisation or attention is none; nor are branches, or several
        outputs that are no states.
    TypeError, ValueError, OSError, ImportError
        As from `cgru.from_onnx`.

    Warns
    -----
    UserWarning
        As `cgru.from_onnx` does of models of PyTorch that say ``linear_before_reset=0``.
    """
    dtype = None if dtype is None else check_dtype(dtype)
    with naming(source):
        model, folder = model_proto(source)
        opset = check_opset(model)
        graph = Graph(model.graph, folder)
        inputs = {
            value.name: [size.dim_value if size.dim_value > 0 else None for size in value.type.tensor_type.shape.dim]
            for value in model.graph.input if not graph.is_stored(value.name)
        }  # fmt: skip
        names = [value.name for value in model.graph.output]
        if not names:
            raise ValueError("the model has no outputs")
        walk = Walk(graph, inputs, opset, MOVES | LAYERS | LENGTHS, recurrent_operator(linear_before_reset))
        name, flow = _main(walk, names, walk.run(names))
        links = _links(flow.link)
        chain = _Emission(walk, links, flow, name, dtype).chain()
        layers = [link.data.layer for link in links if link.kind == "layer"]
        warn_of_pytorch(model, layers, linear_before_reset)
    return chain


def _main(walk, names, values):
    """The one output that is no state, and its name."""
    found = {name: value for name, value in zip(names, values, strict=True) if _is_computed(value)}
    if len(found) > 1:
        found = {name: value for name, value in found.items() if not _is_state(walk, value, found)}
    if not found:
        found = {name: value for name, value in zip(names, values, strict=True) if isinstance(value, Parts)}
        if len(found) > 1:
            found = {name: value for name, value in found.items() if {part.what for part in value.parts} == {"h"}}
    if not found:
        raise NotAChain(f"the outputs {', '.join(names)} do not depend on the inputs by any layer that is known here")
    if len(found) > 1:
        raise NotAChain(
            f"the model has several outputs, {', '.join(found)}, and a chain has one; keep one of them with "
            f"onnx.utils.extract_model, or read the model once for each: y_{len(found)} = net_{len(found)}(x)[0]"
        )
    ((name, value),) = found.items()
    node = walk.graph.maker(name)
    return name, walk.flow(value, node)


def _is_computed(value):
    if isinstance(value, Parts):
        return any(part.what not in ("h", "c") for part in value.parts)
    return isinstance(value, Flow) and value.link.kind not in ("input", "take")


def _is_state(walk, value, others):
    """Whether an output is a recurrent node's Y over one step, which is its state, that another output goes on from."""
    if walk.time or not isinstance(value, Flow) or value.link.kind != "layer":
        return False
    return any(
        isinstance(other, Flow) and other is not value and any(link is value.link for link in _links(other.link))
        for other in others.values()
    )


def _links(link):
    """All links, first to last."""
    found = []
    while link is not None:
        found.append(link)
        link = link.prev
    return found[::-1]


class _Emission:
    """Makes a chain of links."""

    def __init__(self, walk: Walk, links: list[Link], flow: Flow, name: str, dtype):
        self._walk, self._links, self._flow, self._name, self._dtype = walk, links, flow, name, dtype
        self._builder = ChainBuilder()
        self._input = walk.inputs[links[0].data]
        if walk.features_of(links[0]) is None and self._input.axes:      # nothing but functions of single numbers
            walk.bound[id(links[0])] = significant(self._input.axes[-1])

    def chain(self) -> Chain:
        links = self._links
        skip = links[-1] if links[-1].kind == "skip" else None
        body = links[1:-1] if skip else links[1:]
        k = 0
        while k < len(body):
            k = self._emit(body, k)
        if not len(self._builder):
            raise NotAChain(f"the output {self._name} is made of its input without any layer")
        chain = self._builder.chain(skip=skip is not None, batch_first=self._batch_first(), dtype=self._dtype)
        if skip is not None:
            self._check_skip(skip, chain)
        self._check_order(chain)
        return chain

    # ---- one link, or several that are one layer

    def _emit(self, body, k):
        """Add the layer that starts at place k; the place behind it."""
        link = body[k]
        end = k + 1
        if link.kind == "pointwise":
            while end < len(body) and body[end].kind == "pointwise":
                end += 1
            for kind, what in spelt(body[k:end]):
                features = self._features()
                if kind == "affine":
                    scale, shift = what
                    self._builder.affine(scale, shift, features=features)
                else:
                    self._builder.activation(what if len(what) > 1 else what[0], features=features)
        elif link.kind == "softmax":
            self._builder.activation("softmax", features=self._features())
        elif link.kind == "dense":
            self._builder.dense(link.data)
        elif link.kind == "layer":
            end = self._recurrent(body, k)
        elif link.kind == "last":
            self._builder.last_step(link.data)
        elif link.kind == "take":
            raise refusal(link.node, "takes a part of the input, which the network goes on with; pass that part as x")
        elif link.kind == "skip":
            raise refusal(link.node, "adds the network's input in the middle, which is a branch")
        else:
            raise refusal(link.node, "turns the order of the steps around")
        return end

    def _features(self):
        """How many features there are before the first layer."""
        if len(self._builder):
            return None
        features = self._walk.features_of(self._links[0])
        known = None if features is None else width(features)
        for link in self._links[1:]:
            if known is not None:
                break
            if link.kind == "dense":
                known = link.data.shape[1]
            elif link.kind == "layer":
                known = link.data.layer.parameters[0].w_ih.shape[1]
            elif link.kind == "pointwise" and link.data.affine:
                known = max((part.size for part in link.data.affine if getattr(part, "ndim", 0)), default=None)
        return known

    def _recurrent(self, body, k):
        """Add recurrent nodes that follow each other as one model, or the first of them."""
        end = k + 1
        while end < len(body) and body[end].kind == "layer" and _alike(body[k:end], body[end]):
            end += 1
        special = body[end].kind if end < len(body) else ""
        if special == "merge" and end - k > 1:
            end, special = end - 1, ""
        group = body[k:end]
        weights = stacked([link.node for link in group], [link.data.layer for link in group], None)
        if special == "merge":
            return self._merged(body, end, weights)
        if special == "flip":
            if len(group) > 1 or not weights.config.reverse:
                raise refusal(body[end].node, "turns the order of the steps around")
            weights = weights.replace(reverse=False, go_backwards=True)
            end += 1
        self._builder.recurrent(weights)
        return end

    def _merged(self, body, k, weights):
        """Add a layer whose two directions become one; a Mul by 0.5 behind their sum makes it their mean."""
        mode = body[k].data
        after = k + 2 if [link.kind for link in body[k + 1 : k + 2]] == ["last"] else k + 1
        halves = after < len(body) and body[after].kind == "pointwise" and body[after].data
        if mode == "sum" and halves and halves.function is not None and halves.affine == (0.5, 0.0):
            mode = "ave"
            del body[after]
        self._builder.recurrent(weights.replace(merge_mode=mode))
        return k + 1

    # ---- layout

    def _steps(self):
        """The axes of the input that are not its features."""
        features = significant(self._walk.features_of(self._links[0]) or ())
        return [atom for axis in self._input.axes for atom in axis if atom not in features]

    def _batch_first(self):
        steps = self._steps()
        if any(atom not in steps for atom in (*(self._walk.time or ()), *(self._walk.batch or ()))):
            raise NotAChain(f"the recurrent nodes run over the features of the input {self._links[0].data}")
        time, batch = ([steps.index(atom) for atom in axis if atom in steps] for axis in self._walk.layout)
        return bool(time and batch) and batch[0] < time[0]

    def _check_order(self, chain):
        """The output's axes are the input's, in their order, and the features are last."""
        walk, flow = self._walk, self._flow
        features = significant(walk.features_of(flow.link) or ())
        found = [atom for axis in flow.axes for atom in significant(axis)]
        time = walk.time or ()
        wanted = [atom for atom in self._steps() if atom.size != 1 and (chain.last is False or atom not in time)]
        raw = flow.link.kind == "layer"      # ONNX's own Y, directions before rows
        axes = [significant(axis) for axis in flow.axes if significant(axis)]
        if any(len(axis) > 1 and axis != features for axis in axes):
            raise NotAChain(f"the output {self._name} joins axes to one; cut that Reshape off: y = y.reshape(shape)")
        if sorted(found) != sorted([*wanted, *features]) and not self._dropped(found, wanted, features):
            raise NotAChain(f"the output {self._name} does not have the axes of the input {self._links[0].data}")
        kept = [atom for atom in wanted if atom in found]
        if [atom for atom in found if atom not in features] != kept or (
            not raw and features and found[len(found) - len(features) :] != list(features)
        ):
            raise NotAChain(
                f"the output {self._name} has its axes in another order than the input {self._links[0].data}; cut the "
                "last Transpose off, and do it by hand: y = y.swapaxes(0, 1)"
            )

    @staticmethod
    def _dropped(found, wanted, features):
        """Whether only axes are missing whose size the graph does not say, which a Squeeze took for 1."""
        rest = [atom for atom in wanted if atom not in found]
        return all(atom.size is None for atom in rest) and sorted([*found, *rest]) == sorted([*wanted, *features])

    def _check_skip(self, skip, chain):
        """What is added is the input, or its first features, step by step."""
        (x, axes), root = skip.data, self._links[0]
        features = significant(self._walk.features_of(root) or ())
        if _links(x.link)[0] is not root or chain.last is not False:
            raise refusal(skip.node, "adds to the output what is not the whole sequence of the same input")
        taken = [link.data for link in _links(x.link) if link.kind == "take"]
        count = chain.input_size
        if len(taken) > 1 or (taken and (taken[0][0] != features or taken[0][1] != 0)):
            raise refusal(skip.node, "adds other features of the input than the first")
        if taken:
            count = taken[0][2]
        if count != chain.output_size:
            raise refusal(skip.node, f"adds {count} features of the input to {chain.output_size}")
        own = significant(self._walk.features_of(skip) or ())
        left = [tuple(a for a in axis if a.size != 1 and a not in own) for axis in axes]
        right = [
            tuple(a for a in axis if a.size != 1 and a not in features and not a.label.startswith("some of "))
            for axis in x.axes
        ]
        if left != right:
            raise refusal(skip.node, "adds the input with its axes in another order")


def _alike(group, link):
    """Whether a recurrent node can be one more layer of a model, by its options and where its state comes from."""
    first = group[0].data
    if first.layer.cell is not link.data.layer.cell or differences(first.layer, link.data.layer):
        return False
    if link.data.layer.parameters[0].w_ih.shape[1] != len(first.layer.parameters) * first.layer.hidden_size:
        return False
    before, here = first.source, link.data.source
    if before is None or here is None:
        return before is here
    rows = len(group) * len(first.layer.parameters)
    return before[0] == here[0] and here[1] == before[1] + rows

