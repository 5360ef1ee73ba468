"""A model's layers and directions, one after the other in one thread."""

from operator import itemgetter

import numpy as np


def run_layers(model, x, y, states, lengths=None, order=None, tapes=None, outputs=None):
    """All layers and directions.

    Parameters
    ----------
    model : Recurrent or Linear
    x : ndarray
        (T, N, I), T and N at least 1.
    y : ndarray
        (T, N, output_size): overwritten.
    states : tuple of ndarray
        Planes (L*D, N, H): initial states, which become the final ones.
    lengths, order : ndarray, optional
        (N,) valid steps of each row, and the rows by falling length.
    tapes : sequence of (T, N, planes * H) ndarray, optional
        One for each direction of each layer, in the order of h_n.
    outputs : sequence of (T, N, D * H) ndarray, optional
        One for each layer, where its output goes; the last is y, unless the directions are merged.
    """
    config = model.config
    width = config.num_directions * config.hidden_size
    for layer in range(config.num_layers):
        whole = layer == config.num_layers - 1 and config.merge_mode == "concat"
        below, x = x, y if whole else np.empty((*x.shape[:2], width), x.dtype) if outputs is None else outputs[layer]
        for d in range(config.num_directions):
            run_direction(model, layer, d, below, x, states, lengths, order, tapes)
    if config.merge_mode != "concat":
        merge_directions(x, config.merge_mode, y)


def run_direction(model, layer, d, x, y, states, lengths, order, tapes=None):
    """One direction of a layer, x (T, N, K) to its columns of y (T, N, D * H).

    With go_backwards every layer reads its input from the end and writes its steps as they come, last step first. So
    layer 0 leaves y in reversed time. Layer 1 finds x in reversed time; reading that from the end is going forwards in
    time, and y is in the order of time again.
    """
    config = model.config
    H, D = config.hidden_size, config.num_directions
    back = config.runs_back[layer][d]
    x_reversed, y_reversed = config.go_backwards and not back, config.go_backwards and back
    source = x[::-1] if x_reversed else x
    target = y[::-1] if y_reversed else y
    k = layer * D + d
    tape = None if tapes is None else tapes[k]
    if tape is not None and x_reversed:
        tape = tape[::-1]       # a step of the tape stands where its x stands
    model.directions[k].run(
        source, target if D == 1 else target[:, :, d * H : (d + 1) * H], tuple(map(itemgetter(k), states)),
        lengths, order, back, tape,
    )  # fmt: skip


def merge_directions(x, mode, y):
    """`merge` of the two halves of x (..., 2 * H) into y (..., H)."""
    H = y.shape[-1]
    merge(x[..., :H], x[..., H:], mode, y)


def merge(forward, backward, mode, out):
    """Put the two directions' outputs together as one of `cgru.config.MERGE_MODES`, other than concat."""
    if mode == "mul":
        np.multiply(forward, backward, out=out)
        return
    np.add(forward, backward, out=out)
    if mode == "ave":
        out *= 0.5
