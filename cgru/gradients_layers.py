"""What surrounds a direction, on the way back: reversed order, merged directions, states stored with the model.

A tape is in the order of time, also that of a layer which goes backwards: then every direction is one of two kinds, and
the compiled pass knows both. Only y, and dL/dy, are in the order that the caller sees.
"""

from __future__ import annotations

import numpy as np

from cgru.forward import named_planes


def stored_planes(config, hx):
    """The planes of the state, as "h", which no caller gave, and which therefore are the parameters h_0 (and c_0)."""
    if not config.initial_state:
        return ()
    given = named_planes(config.cell, "hx", hx)
    return tuple(plane for plane, (_, value) in zip(config.cell.states, given, strict=True) if value is None)


def empty_outputs(config, x):
    """A new array (T, N, D * H) for each layer, for x (T, N, I)."""
    width = config.num_directions * config.hidden_size
    return [np.empty((*x.shape[:2], width), x.dtype) for _ in range(config.num_layers)]


def empty_tapes(config, x, allocate):
    """An array (T, N, planes * H) for each layer and direction, or none at all."""
    width = len(config.tape) * config.hidden_size
    count = config.num_layers * config.num_directions
    return [allocate((*x.shape[:2], width), x.dtype) for _ in range(count)] if width else []


def as_run(config, outputs, tapes):
    """Views of what a tape keeps in the order of time, in the order in which `run_layers` fills them."""
    if not config.go_backwards:
        return outputs, tapes
    # one direction: a layer that reads time from its end, writes y in reverse; one above it reads that from its end
    outputs = [output[::-1] if config.runs_back[layer][0] else output for layer, output in enumerate(outputs)]
    return outputs, [tape if config.runs_back[layer][0] else tape[::-1] for layer, tape in enumerate(tapes)]


def turned(config, y):
    """y (T, N, features) between the order of time and the caller's, either way."""
    return y[::-1] if config.leaves_reversed else y


def output_gradient(config, output, dy):
    """dL/d of both directions' outputs, (T, N, D * H) contiguous, from that of y, (T, N, output_size), in one order.

    With f and b for the outputs: sum dy, dy; ave dy / 2, dy / 2; mul dy b, dy f.
    """
    mode = config.merge_mode
    if mode == "concat":
        return np.ascontiguousarray(dy)
    both = np.empty_like(output)
    parts, outputs = (np.split(array, 2, axis=-1) for array in (both, output))
    with np.errstate(invalid="ignore"):     # past a row's length anything may stand
        for part, other in zip(parts, outputs[::-1], strict=True):
            np.multiply(dy, other if mode == "mul" else 0.5 if mode == "ave" else 1, out=part)
    return both


def fill_stored(config, stored, states, parameters):
    """The gradients of stored states, from those of the initial states, (L*D, N, H) each: sums over the rows."""
    for plane, gradient in zip(config.cell.states, states, strict=True):
        if plane in stored:
            parameters[f"{plane}_0"][...] = gradient.sum(axis=1, dtype=np.float64)
