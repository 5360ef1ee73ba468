"""`to_rtneural` of networks: JSON that RTNeural's `json_parser` reads, for whoever ships in C++.

Layers are written in the first form, see `rtneural_chain`. Numbers are written in full: RTNeural reads back every bit
of float32 ones. AIDA-X reads such a file where it is one gru or lstm with 8, 12, 16, 20, 24, 32, 40, 64 or 80 units for
1, 2 or 3 inputs and a dense of one output behind it.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from cgru.activations import plain
from cgru.convert.conventions import CONVENTIONS, reorder
from cgru.convert.rtneural import BIASES
from cgru.convert.rtneural_chain import ACTIVATIONS
from cgru.files import write_whole

if TYPE_CHECKING:
    from cgru.chain import Chain
    from cgru.weights import Weights

_WRITTEN = {here: name for name, here in ACTIVATIONS.items() if here}


def to_rtneural(chain: Chain, path: str | os.PathLike[str]) -> None:
    """Write a network as RTNeural's JSON.

    A GRU or LSTM of several layers becomes several; quantised matrices are written as what they stand for. A skip
    becomes ``"in_skip": 1``, which AIDA-X reads; whoever calls RTNeural itself adds x to the output of `forward`.

    Parameters
    ----------
    chain : Chain
    path : path
        Replaced where it is there; nothing is written where an error is raised.

    Raises
    ------
    ValueError
        What RTNeural has not, by the layer: simple RNNs, reset_after=False, other activations, bidirectional and
        reversed layers, clip, an initial state, `last`, a skip of several features, NaN and infinity.
    OSError
        The file cannot be written.
    """
    if chain.last is not False:
        raise ValueError(
            f"last={chain.last!r} cannot be written: RTNeural runs step by step and gives every step's y; build the "
            "network with last=False, and take the last step there"
        )
    if chain.skip and chain.output_size != 1:
        raise ValueError(
            f"skip=True cannot be written for {chain.output_size} outputs: in_skip adds the first input to one output; "
            f"build the network without it, and by hand: y = y + x[..., :{chain.output_size}]"
        )
    entries: list[dict[str, Any]] = []
    for number, layer in enumerate(chain.layers):
        try:
            entries += _recurrent(layer) if layer.config.recurrent else _linear(layer)
        except ValueError as error:
            name = layer.config.cell.name
            raise ValueError(f"layer {number} ({name}) cannot be written for RTNeural: {error}") from error
    model: dict[str, Any] = {"in_shape": [None, None, chain.input_size]}
    if chain.skip:
        model["in_skip"] = 1
    write_whole(path, json.dumps(model | {"layers": entries}, allow_nan=False).encode())


def _entry(kind: str, activation: str, features: int, *arrays: np.ndarray) -> dict[str, Any]:
    """A layer as RTNeural has it."""
    if not all(np.isfinite(array).all() for array in arrays):
        raise ValueError("it holds NaN or infinity, which JSON has not")
    weights = [array.tolist() for array in arrays]
    return {"type": kind, "activation": activation, "shape": [None, None, features], "weights": weights}


def _linear(layer: Weights) -> list[dict[str, Any]]:
    """A dense, and a prelu where that is its activation."""
    config, ((function,),) = layer.config, layer.config.activations
    kernel = layer.tensors["weight"].T
    bias = layer.tensors["bias"] if config.bias else np.zeros(config.hidden_size, layer.dtype)
    if function.name == "linear":
        kernel = kernel * layer.dtype.type(function.alpha)
        bias = bias * layer.dtype.type(function.alpha) + layer.dtype.type(function.beta)
        return [_entry("dense", "", config.hidden_size, kernel, bias)]
    if function.name == "leaky_relu":
        slopes = np.full((1, config.hidden_size), function.alpha)
        return [_entry("dense", "", config.hidden_size, kernel, bias), _entry("prelu", "", config.hidden_size, slopes)]
    if function.name not in _WRITTEN or (function.name == "elu" and function.alpha != 1):
        alpha = f" with alpha={function.alpha:g}" if function.name == "elu" else ""
        raise ValueError(
            f"the activation {function.name!r}{alpha} is not there; there are {', '.join(_WRITTEN)} (elu with "
            "alpha=1), leaky_relu and none"
        )
    return [_entry("dense", _WRITTEN[function.name], config.hidden_size, kernel, bias)]


def _recurrent(layer: Weights) -> list[dict[str, Any]]:
    """A gru or lstm for each of its layers."""
    config, cell = layer.config, layer.config.cell
    if cell.kind not in BIASES:
        raise ValueError(f"RTNeural has no {cell.name}; there are {' and '.join(BIASES)}")
    refused = [name for name in ("bidirectional", "reverse", "go_backwards") if getattr(config, name)]
    refused += [f"clip={config.clip:g}"] if config.clip is not None else []
    refused += [] if config.reset_after else ["reset_after=False"]
    if set(config.activations) != {plain(cell.functions)}:
        refused.append(f"activations={config.nonlinearity!r}")
    starts = [layer.tensors[f"{state}_0"] for state in cell.states] if config.initial_state else []
    if any(start.any() for start in starts):
        refused.append("initial_state, in whose place it has zeros; there, run some silence first")
    if refused:
        raise ValueError(f"RTNeural has no {', no '.join(refused)}")
    return [_one(layer, suffix) for _, _, suffix in config.directions()]


def _one(layer: Weights, suffix: str) -> dict[str, Any]:
    """The entry of one layer of a GRU or LSTM."""
    cell, tensors = layer.config.cell, layer.tensors
    order = CONVENTIONS["rtneural"].order_of(cell)
    rows = [tensors[f"weight_ih_{suffix}"], tensors[f"weight_hh_{suffix}"]]
    zeros = np.zeros(len(rows[0]), layer.dtype)
    biases = [tensors[f"bias_{side}_{suffix}"] if layer.config.bias else zeros for side in ("ih", "hh")]
    kernel, recurrent, b, c = (reorder(array, cell.gates, order) for array in (*rows, *biases))
    bias = np.stack([b, c]) if BIASES[cell.kind] == 2 else b.astype(np.float64) + c
    return _entry(cell.kind, "tanh", layer.config.hidden_size, kernel.T, recurrent.T, bias)
