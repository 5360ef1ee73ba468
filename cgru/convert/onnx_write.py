"""`to_onnx`: models of GRU, LSTM or RNN nodes, and of whole networks, that ONNX Runtime runs to the same numbers."""

from __future__ import annotations

import os
from typing import Any

from cgru.chain import Chain
from cgru.convert._errors import missing
from cgru.convert.onnx_chain_write import linear_model, network_model
from cgru.convert.onnx_nodes import Nodes, Recurrent
from cgru.files import write_whole
from cgru.weights import Weights


def write_onnx(
    model: Weights | Chain, path: str | os.PathLike[str], *, h_0: bool = True, lengths: bool = False
) -> None:
    """Write an ONNX model; see `Recurrent.to_onnx`.

    Parameters
    ----------
    model : Weights or Chain
        A recurrent layer, a Linear, or a network; quantised weights are written as what they stand for.
    path : path
        Written atomically.
    h_0, lengths : bool
        Whether the ONNX model has inputs for the initial states, and for lengths. A Linear has neither.

    Raises
    ------
    ValueError
        Lengths and a network with a layer that leaves its output in reversed order.
    ImportError
        The package onnx is not installed.
    OSError
        The file cannot be written.

    Notes
    -----
    A network's inputs are ``x``, then ``h_0_0`` for its first recurrent layer, (L*D, N, H), an LSTM's ``c_0_0`` behind
    it, ``h_0_1`` for the second and so on, and ``lengths``; its outputs are ``y`` and ``h_n_0``, ... in the same way.
    A Linear's are ``x`` (N, I) and ``y`` (N, O).
    """
    try:
        import onnx
    except ImportError as error:
        raise missing("onnx", "cgru[onnx]", error) from error
    if isinstance(model, Chain):
        written = network_model(onnx, model, h_0, lengths)
    elif model.config.recurrent:
        written = _recurrent_model(onnx, model.dequantize(), h_0, lengths)
    else:
        written = linear_model(onnx, model)
    onnx.checker.check_model(written)
    write_whole(path, written.SerializeToString())


def _recurrent_model(onnx: Any, weights: Weights, h_0: bool, lengths: bool) -> Any:
    """A recurrent layer alone: inputs x, h_0, outputs y, h_n."""
    nodes, config = Nodes(onnx, weights.dtype), weights.config
    steps = ["N", "T"] if config.batch_first else ["T", "N"]
    states = [config.num_layers * config.num_directions, "N", config.hidden_size]
    inputs = [nodes.value("x", [*steps, config.input_size])]
    if h_0:
        inputs += [nodes.value(f"{plane}_0", states) for plane in config.cell.states]
    if lengths:
        inputs.append(nodes.value("lengths", ["N"], onnx.TensorProto.INT32))
    outputs = [nodes.value("y", [*steps, config.output_size])]
    outputs += [nodes.value(f"{plane}_n", states) for plane in config.cell.states]

    layer = Recurrent(nodes, weights, lengths="lengths" if lengths else "")
    x = nodes.node("Transpose", "x", perm=[1, 0, 2]) if config.batch_first else "x"      # (T, N, I)
    if h_0:
        starts = [f"{plane}_0" for plane in config.cell.states]
    else:
        starts = [layer.stored_start(plane, x) if config.initial_state else "" for plane in config.cell.states]
    y, ends = layer.write(x, starts)
    if config.batch_first:
        y = nodes.node("Transpose", y, perm=[1, 0, 2])
    nodes.node("Identity", y, output="y")
    for plane, parts in zip(config.cell.states, ends, strict=True):
        nodes.node("Concat", *parts, output=f"{plane}_n", axis=0)
    return nodes.model(inputs, outputs)
