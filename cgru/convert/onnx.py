"""ONNX: GRU nodes, opset 7 on. Gate order z, r, h; linear_before_reset is reset_after; z keeps the old h.

    W (D, 3H, I)     R (D, 3H, H)     B (D, 6H) = Wb then Rb     initial_h (D, N, H)

One node is one layer; nodes that feed each other are layers. Specification: https://onnx.ai/onnx/operators/onnx__GRU.html
"""

import os
import warnings

import numpy as np

from cgru.activations import DEFAULTS, activation
from cgru.convert._build import Cell, build, gates, missing, real_array
from cgru.convert._files import file_size
from cgru.convert.onnx_graph import Graph
from cgru.convert.onnx_values import attribute

#: ONNX's name in lower case -> (name here, takes alpha, takes beta, alpha and beta where none are given).
#: The defaults are ONNX Runtime's: 0 where the specification has none.
_ACTIVATIONS = {
    "sigmoid": ("sigmoid", False, False, ()),
    "tanh": ("tanh", False, False, ()),
    "relu": ("relu", False, False, ()),
    "softsign": ("softsign", False, False, ()),
    "softplus": ("softplus", False, False, ()),
    "hardsigmoid": ("hard_sigmoid", True, True, (0.2, 0.5)),
    "affine": ("linear", True, True, (0.0, 0.0)),
    "scaledtanh": ("scaled_tanh", True, True, (0.0, 0.0)),
    "leakyrelu": ("leaky_relu", True, False, (0.01, 0.0)),
    "elu": ("elu", True, False, (1.0, 0.0)),
}
_DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}


def weights_from_onnx(source, node=None, *, linear_before_reset=None, dtype=None):
    """`Weights` of the GRU nodes of a model; see `from_onnx`."""
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise missing("onnx", "cgru[onnx]", error) from error
    folder = None
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        file_size(path)
        folder = os.path.dirname(os.path.abspath(path))
        with open(path, "rb") as file:
            data = file.read()
        try:
            model = onnx.ModelProto.FromString(data)
        except (DecodeError, ValueError, RecursionError) as error:
            raise ValueError(f"{path} is not a complete ONNX model: {error}") from error
        del data
    elif hasattr(source, "graph") and hasattr(source, "opset_import"):
        model = source
    else:
        raise TypeError(f"expected the path of an ONNX model or a ModelProto; got {type(source).__name__}")
    _check_opset(model)
    graph = Graph(model.graph, folder)
    nodes = graph.chain(graph.grus(), node)
    layers = [_layer(graph, one, linear_before_reset) for one in nodes]
    if not layers[0]["reset_after"] and linear_before_reset is None and "pytorch" in model.producer_name.lower():
        warnings.warn(
            "this model was written by PyTorch and says linear_before_reset=0, which PyTorch's GRU never computes: "
            "some of its exporters leave the attribute out, and the outputs are then wrong by about 0.1 "
            "(pytorch issue 189225). If it comes from torch.nn.GRU, pass linear_before_reset=True; False silences "
            "this warning",
            UserWarning,
            stacklevel=4,
        )
    return _stack(nodes, layers, dtype)


def _check_opset(model):
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if not versions or max(versions) < 7:
        raise ValueError(
            f"the model uses opset {max(versions, default='none')}, expected 7 or later, where GRU has its present "
            "meaning; convert it with onnx.version_converter"
        )


def _stack(nodes, layers, dtype):
    """Layers as one `Weights`; they must agree in everything that a model has only once."""
    first = layers[0]
    same = ("reset_after", "activations", "clip", "reverse", "bidirectional", "batch_first", "hidden_size")
    for node, layer in zip(nodes, layers, strict=True):
        differing = [f"{name} {layer[name]} and {first[name]}" for name in same if layer[name] != first[name]]
        if differing:
            raise ValueError(
                f"the GRU nodes {nodes[0].name!r} and {node.name!r} follow each other but differ in "
                f"{', '.join(differing)}: they cannot be layers of one GRU; choose them one by one with node="
            )
    h_0 = None
    if any(layer["h_0"] is not None for layer in layers):
        directions, H = len(first["cells"]), first["hidden_size"]
        h_0 = np.concatenate(
            [np.zeros((directions, H), np.float32) if layer["h_0"] is None else layer["h_0"] for layer in layers]
        )
    options = {name: first[name] for name in ("reset_after", "activations", "clip", "reverse", "batch_first")}
    return build([layer["cells"] for layer in layers], dtype=dtype, h_0=h_0, **options)


def _layer(graph, node, linear_before_reset):
    """One GRU node: its cells and everything that it says."""
    direction = attribute(node, "direction", "forward")
    if direction not in _DIRECTIONS:
        raise ValueError(f"GRU {node.name!r} has direction {direction!r}, expected {', '.join(_DIRECTIONS)}")
    D = _DIRECTIONS[direction]
    W = real_array("W", graph.weight(node, 1, "W"), (D, None, None))
    R = real_array("R", graph.weight(node, 2, "R"), (D, None, None))
    H = R.shape[2]
    if attribute(node, "hidden_size", H) != H:
        raise ValueError(f"R has shape {R.shape}, but hidden_size is {attribute(node, 'hidden_size', H)}")
    if not W.size or not R.size:
        raise ValueError(f"W {W.shape} and R {R.shape} are empty")
    W = real_array("W", W, (D, 3 * H, None))
    R = real_array("R", R, (D, 3 * H, H))
    B = graph.weight(node, 3, "B", optional=True)
    B = None if B is None else real_array("B", B, (D, 6 * H))
    cells = []
    for d in range(D):
        b_ih, b_hh = (None, None) if B is None else (gates(half, "zrn") for half in np.split(B[d], 2))
        cells.append(Cell(gates(W[d], "zrn"), gates(R[d], "zrn"), b_ih, b_hh))
    layout = attribute(node, "layout", 0)
    clip = attribute(node, "clip")
    if layout not in (0, 1) or (clip is not None and not clip > 0):
        raise ValueError(f"GRU {node.name!r} has layout {layout} and clip {clip}, expected 0 or 1 and a positive clip")
    after = attribute(node, "linear_before_reset", 0)
    return {
        "cells": cells,
        "hidden_size": H,
        "reset_after": bool(after if linear_before_reset is None else linear_before_reset),
        "activations": _activations(node, D),
        "clip": clip if clip is None or np.isfinite(clip) else None,
        "reverse": direction == "reverse",
        "bidirectional": D == 2,
        "batch_first": layout == 1,
        "h_0": _initial_state(graph, node, D, H, layout),
    }


def _initial_state(graph, node, D, H, layout):
    """initial_h as (D, H) where it is a constant that is the same for every batch row; None otherwise, or if zero.

    What a graph computes, or takes as an input, is the caller's h_0.
    """
    value = graph.constant(node.input[5]) if len(node.input) > 5 and node.input[5] else None
    if value is None:
        return None
    value = real_array("initial_h", value, (None, D, H) if layout else (D, None, H))
    rows = value if layout else value.swapaxes(0, 1)
    if len(rows) == 0 or not (rows == rows[0]).all():
        raise ValueError(
            f"initial_h of GRU {node.name!r} is a constant of shape {value.shape} that differs from batch row to "
            "batch row; remove it from the model and pass it as h_0"
        )
    return rows[0] if rows[0].any() else None


def _activations(node, directions):
    """(f, g) per direction; alpha and beta are consumed in order, by the functions that take them."""
    names = attribute(node, "activations")
    alphas, betas = iter(attribute(node, "activation_alpha", ())), iter(attribute(node, "activation_beta", ()))
    if not names:
        return None
    if len(names) != 2 * directions:
        raise ValueError(
            f"GRU {node.name!r} has activations {', '.join(names)}: expected two for each of {directions} directions"
        )
    found = []
    for name in names:
        if name.lower() not in _ACTIVATIONS:
            known = ", ".join(_ACTIVATIONS)
            raise ValueError(f"GRU {node.name!r} has activation {name!r}; supported are {known}")
        here, alpha, beta, defaults = _ACTIVATIONS[name.lower()]
        given = [next(alphas, defaults[0])] if alpha else []
        given += [next(betas, defaults[1])] if beta else []
        found.append(activation((here, *given)))
    return tuple(zip(found[::2], found[1::2], strict=True))


def onnx_activations(activations):
    """ONNX's attributes for (f, g) per direction: names, and alphas and betas where there are any."""
    foreign = {here: (name, alpha, beta) for name, (here, alpha, beta, _) in _ACTIVATIONS.items()}
    assert set(foreign) == set(DEFAULTS)
    items = [item for pair in activations for item in pair]
    if all(item.name == name for item, name in zip(items, ("sigmoid", "tanh") * 2, strict=False)):
        return {}
    spelt = {
        "hardsigmoid": "HardSigmoid", "scaledtanh": "ScaledTanh", "leakyrelu": "LeakyRelu",
    }  # fmt: skip
    names = [spelt.get(foreign[item.name][0], foreign[item.name][0].capitalize()) for item in items]
    found = {
        "activations": names,
        "activation_alpha": [item.alpha for item in items if foreign[item.name][1]],
        "activation_beta": [item.beta for item in items if foreign[item.name][2]],
    }
    return {name: values for name, values in found.items() if values}
