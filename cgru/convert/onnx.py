"""ONNX: GRU, LSTM and RNN nodes, opset 7 on; a GRU's linear_before_reset is reset_after.

    W (D, G, I)     R (D, G, H)     B (D, 2G) = Wb then Rb     initial_h, an LSTM's initial_c (D, N, H)

One node is one layer; nodes that feed each other are layers. Specification: https://onnx.ai/onnx/operators/onnx__GRU.html
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cgru.checks import real_array, warn
from cgru.convert._build import Parameters, build, canonical, model_from
from cgru.convert._errors import missing, warn_left_out
from cgru.convert.onnx_activations import read_activations
from cgru.convert.onnx_graph import Graph, cell_of_node
from cgru.convert.onnx_values import attribute
from cgru.convert.untrusted.files import file_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike

    from cgru.activations import Activation
    from cgru.cells import Cell
    from cgru.gru import GRU
    from cgru.lstm import LSTM
    from cgru.rnn import RNN
    from cgru.weights import Weights

#: Places of inputs: the first state, and what only an LSTM has.
_STATES, _PEEPHOLES = 5, 7
_DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}


def from_onnx(
    source: Any,
    node: str | Sequence[str] | None = None,
    *,
    linear_before_reset: bool | None = None,
    dtype: DTypeLike | None = None,
    engine: str = "auto",
) -> GRU | LSTM | RNN:
    """A GRU from the GRU nodes of an ONNX model, opset 7 or later; an LSTM from LSTM nodes, an RNN from RNN nodes.

    Parameters
    ----------
    source : path or onnx.ModelProto
        Weights may be initializers, Constant nodes, external data in the model's own folder, or Slice, Concat,
        Transpose and the like of these.
    node : str or sequence of str, optional
        The node's name, or the names of several that feed each other, as layers. By default the only one, or
        all where each feeds the next.
    linear_before_reset : bool, optional
        Overrides the attribute of GRU nodes, which some versions of PyTorch's exporter leave out: see Warns.
    dtype, engine
        As in `from_torch`.

    Returns
    -------
    GRU, LSTM or RNN
        In the node's layout: ``batch_first=True`` for ``layout=1``, else False. y holds the directions side by side,
        (T, N, D * H), where ONNX has (T, D, N, H); h_n is (num_layers * D, N, H) in either layout. A constant
        initial_h or initial_c is stored with the model; one that the graph computes or is given is in `hx` here, and
        sequence_lens is `lengths`.

    Raises
    ------
    TypeError
        Neither a path nor a ModelProto.
    ValueError
        No such node or several that are no chain (they are listed), weights that are no constants, an activation
        that is not supported, an LSTM with peepholes (P) or input_forget=1, or a damaged file.
    OSError
        The file cannot be read.
    ImportError
        The package onnx is not installed: ``pip install "cgru[onnx]"``.

    Warns
    -----
    UserWarning
        PyTorch wrote the model and it says ``linear_before_reset=0``, which is no GRU of PyTorch: the outputs would
        be off by about 0.1. Pass True where the model comes from `torch.nn.GRU`.
    UserWarning
        The model's outputs depend on other nodes that compute, such as a MatMul or Softmax, which are left out: they
        are named, and `cgru.Sequential.from_onnx` reads them. Not where `node` is given.

    Notes
    -----
    For a row of length 0, h_n is the initial state here and 0 in ONNX Runtime.

    References
    ----------
    https://onnx.ai/onnx/operators/onnx__GRU.html, onnx__LSTM.html, onnx__RNN.html
    """
    return model_from(
        weights_from_onnx, source, node, linear_before_reset=linear_before_reset, dtype=dtype, engine=engine
    )  # fmt: skip


def weights_from_onnx(source, node=None, *, linear_before_reset=None, dtype=None) -> Weights:
    """`Weights` of the recurrent nodes of a model; see `from_onnx`."""
    model, folder = model_proto(source)
    check_opset(model)
    graph = Graph(model.graph, folder)
    recurrent = graph.recurrent()
    nodes = graph.chain(recurrent, node)
    layers = [recurrent_node(graph, one, linear_before_reset) for one in nodes]
    outputs = [value.name for value in model.graph.output]
    names = [name for name, one in recurrent.items() if one in nodes]
    left = graph.other_nodes(outputs, nodes)
    name = names[0] if len(names) == 1 else names
    warn_left_out(left, name, node, layers[0].cell.name, door="from_onnx")
    warn_of_pytorch(model, layers, linear_before_reset)
    return stacked(nodes, layers, dtype)


def warn_of_pytorch(model, layers, linear_before_reset):
    """Warn where PyTorch's exporter left the attribute of its GRUs out, and nobody said what it is."""
    left_out = any(layer.reset_after is False for layer in layers)
    if left_out and linear_before_reset is None and "pytorch" in model.producer_name.lower():
        warn(
            "this model was written by PyTorch and says linear_before_reset=0, which PyTorch's GRU never computes: "
            "some of its exporters leave the attribute out, and the outputs are then wrong by about 0.1 "
            "(pytorch issue 189225). If it comes from torch.nn.GRU, pass linear_before_reset=True; False silences "
            "this warning",
            UserWarning,
        )


def model_proto(source):
    """A ModelProto, and the folder in which it lies, where it is a file."""
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise missing("onnx", "cgru[onnx]", error) from error
    if hasattr(source, "graph") and hasattr(source, "opset_import"):
        return source, None
    if not isinstance(source, str | os.PathLike):
        raise TypeError(f"expected the path of an ONNX model or a ModelProto; got {type(source).__name__}")
    path = os.fspath(source)
    file_size(path)
    try:
        with open(path, "rb") as file:
            return onnx.ModelProto.FromString(file.read()), os.path.dirname(os.path.abspath(path))
    except (DecodeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a complete ONNX model: {error}") from error


def check_opset(model):
    """The version of ONNX's own operators; older ones than 7 are refused."""
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if not versions or max(versions) < 7:
        raise ValueError(
            f"the model uses opset {max(versions, default='none')}, expected 7 or later, where recurrent nodes have "
            "their present meaning; convert it with onnx.version_converter"
        )
    return max(versions)


class RecurrentNode(NamedTuple):
    """One node: its parameters, one for each direction, and everything that it says."""

    cell: Cell
    parameters: list[Parameters]
    initial: list[np.ndarray | None]      # one for each of `Cell.states`
    hidden_size: int
    bidirectional: bool
    reset_after: bool | None
    activations: tuple[tuple[Activation, ...], ...] | None
    clip: float | None
    reverse: bool
    batch_first: bool


_OPTIONS = ("reset_after", "activations", "clip", "reverse", "batch_first")


def differences(first, layer):
    """In words, what keeps two nodes from being layers of one model."""
    return [
        f"{name} {getattr(layer, name)} and {getattr(first, name)}"
        for name in (*_OPTIONS, "bidirectional", "hidden_size")
        if getattr(layer, name) != getattr(first, name)
    ]


def stacked(nodes, layers, dtype):
    """Layers as one `Weights`; they must agree in everything that a model has only once."""
    first = layers[0]
    for node, layer in zip(nodes, layers, strict=True):
        differing = differences(first, layer)
        if differing:
            raise ValueError(
                f"the {node.op_type} nodes {nodes[0].name!r} and {node.name!r} follow each other but differ in "
                f"{', '.join(differing)}: they cannot be layers of one {node.op_type}; choose them one by one with "
                "node="
            )
    initial = None
    if any(plane is not None for layer in layers for plane in layer.initial):
        zeros = np.zeros((len(first.parameters), first.hidden_size), np.float32)
        rows = [[zeros if plane is None else plane for plane in layer.initial] for layer in layers]
        initial = [np.concatenate(planes) for planes in zip(*rows, strict=True)]
    options = {name: getattr(first, name) for name in _OPTIONS}
    return build([layer.parameters for layer in layers], cell=first.cell, dtype=dtype, initial=initial, **options)


def recurrent_node(graph, node, linear_before_reset):
    """The `RecurrentNode` of a node."""
    cell, what = cell_of_node(node), f"{node.op_type} {node.name!r}"
    direction = attribute(node, "direction", "forward")
    if direction not in _DIRECTIONS:
        raise ValueError(f"{what} has direction {direction!r}, expected {', '.join(_DIRECTIONS)}")
    D = _DIRECTIONS[direction]
    layout = attribute(node, "layout", 0)
    clip = attribute(node, "clip")
    if layout not in (0, 1) or (clip is not None and not clip > 0):
        raise ValueError(f"{what} has layout {layout} and clip {clip}, expected 0 or 1 and a positive clip")
    _check_no_more(graph, node, what)
    parameters = _parameters(graph, node, cell, D)
    H = parameters[0].w_hh.shape[1]
    return RecurrentNode(
        cell=cell,
        parameters=parameters,
        initial=[_initial_state(graph, node, number, D, H, layout) for number in range(len(cell.states))],
        hidden_size=H,
        bidirectional=D == 2,
        reset_after=_reset_after(node, cell, linear_before_reset),
        activations=read_activations(node, cell, D),
        clip=clip if clip is None or np.isfinite(clip) else None,
        reverse=direction == "reverse",
        batch_first=layout == 1,
    )


def _reset_after(node, cell, linear_before_reset):
    """Where a GRU's reset gate acts; None for others, which have none."""
    if "reset_after" in cell.options:
        return bool(attribute(node, "linear_before_reset", 0) if linear_before_reset is None else linear_before_reset)
    if linear_before_reset is not None:
        raise ValueError(f"{cell.name} has no option linear_before_reset; got {linear_before_reset!r}")
    return None


def _check_no_more(graph, node, what):
    """Refuse what only some LSTMs have: peepholes, unless they are zero, and gates that hang together."""
    if attribute(node, "input_forget", 0):
        raise ValueError(f"{what} has input_forget=1, coupled input and forget gates, which is not supported")
    name = node.input[_PEEPHOLES] if len(node.input) > _PEEPHOLES else ""
    value = graph.constant(name) if name else np.zeros(1)
    if value is None or np.any(value):
        raise ValueError(f"{what} has peepholes (its input P, {name!r}), which are not supported")


def _parameters(graph, node, cell, D):
    """The node's `Parameters`, one for each of D directions."""
    R = real_array("R", graph.weight(node, 2, "R"), (D, None, None))
    H = R.shape[2]
    if attribute(node, "hidden_size", H) != H:
        raise ValueError(f"R has shape {R.shape}, but hidden_size is {attribute(node, 'hidden_size', H)}")
    rows = cell.stacked * H
    W = real_array("W", graph.weight(node, 1, "W"), (D, rows, None))
    R = real_array("R", R, (D, rows, H))
    B = graph.weight(node, 3, "B", optional=True)
    B = None if B is None else real_array("B", B, (D, 2 * rows))
    return [canonical("onnx", cell, W[d], R[d], *(() if B is None else np.split(B[d], 2))) for d in range(D)]


def _initial_state(graph, node, number, D, H, layout):
    """initial_h or initial_c as (D, H) where it is a constant that is the same for every batch row; None otherwise, or
    if zero.

    What a graph computes, or takes as an input, is the caller's hx.
    """
    place, name = _STATES + number, ("initial_h", "initial_c")[number]
    value = graph.constant(node.input[place]) if len(node.input) > place and node.input[place] else None
    if value is None:
        return None
    value = real_array(name, value, (None, D, H) if layout else (D, None, H))
    rows = value if layout else value.swapaxes(0, 1)
    if len(rows) == 0 or not (rows == rows[0]).all():
        raise ValueError(
            f"{name} of {node.op_type} {node.name!r} is a constant of shape {value.shape} that differs from batch row "
            f"to batch row; remove it from the model and pass it as {'hx' if number else 'h_0'}"
        )
    return rows[0] if rows[0].any() else None
