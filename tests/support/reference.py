"""The oracle: GRU, plain RNN and LSTM in float64 NumPy, written to be read beside the equations.

T steps, N batch rows, I inputs, H hidden units, L layers, D directions. One cell function per kind of network
holds the equations; one loop over layers, directions and steps, with per-row lengths, serves all three.
Everything is float64 whatever comes in; nothing is fast. The tests in oracle/ prove it before anything is
compared with it.
"""

from functools import partial

import numpy as np

from support.functions import activation, sigmoid, tanh
from support.functions import relu as relu

# ------------------------------------------------------------------------------------------- equations


def affine(a, W, b):
    """W a + b for every row of a (N, K); W (M, K), b (M,). Returns (N, M).

    A cell takes another such function in its place: that of quantised weights (quantized.py).
    """
    return a @ W.T + b


def gru_cell(x, h, W, U, b, c, *, reset_after=True, f=sigmoid, g=tanh, clip=None, affine=affine):
    """One GRU step, PyTorch's form: gates stacked r, z, n, and z keeps the old h.

    ::

        r = f(W_r x + b_r + U_r h + c_r)
        z = f(W_z x + b_z + U_z h + c_z)
        n = g(W_n x + b_n + r * (U_n h + c_n))      reset_after
        n = g(W_n x + b_n + U_n (r * h) + c_n)      reset before
        h' = z * h + (1 - z) * n

    Parameters
    ----------
    x, h : ndarray, (N, I) and (N, H)
    W, U : ndarray, (3H, I) and (3H, H)
    b, c : ndarray, (3H,)
        Input bias and recurrent bias.
    f, g : callable
        Activations of the gates r, z and of the candidate n.
    clip : float, optional
        What goes into f and g is clamped to [-clip, clip] (ONNX's sense of `clip`).
    affine : callable
        The products, biases included.

    Returns
    -------
    h : ndarray, (N, H)
    gates : dict
        r, z, n, each (N, H).
    """
    clamp = _clamp(clip)
    W_r, W_z, W_n = np.split(W, 3)
    U_r, U_z, U_n = np.split(U, 3)
    b_r, b_z, b_n = np.split(b, 3)
    c_r, c_z, c_n = np.split(c, 3)

    r = f(clamp(affine(x, W_r, b_r) + affine(h, U_r, c_r)))
    z = f(clamp(affine(x, W_z, b_z) + affine(h, U_z, c_z)))
    if reset_after:
        n = g(clamp(affine(x, W_n, b_n) + r * affine(h, U_n, c_n)))
    else:
        n = g(clamp(affine(x, W_n, b_n) + affine(r * h, U_n, c_n)))
    return z * h + (1 - z) * n, {"r": r, "z": z, "n": n}


def starting_equations(x, h, W_r, W_z, W_h, b_r=0.0, b_z=0.0, b_h=0.0):
    """One step as Chung et al. (2014) write it: reset before, and z takes the new.

    x (N, I), h (N, H), matrices (H, H + I) whose columns meet [h, x], biases (H,). Returns h' (N, H).
    """
    h_x = np.concatenate([h, x], axis=1)
    r = sigmoid(h_x @ W_r.T + b_r)
    z = sigmoid(h_x @ W_z.T + b_z)
    rh_x = np.concatenate([r * h, x], axis=1)
    n = tanh(rh_x @ W_h.T + b_h)
    return (1 - z) * h + z * n


def rnn_cell(x, h, W, U, b, c, *, g=tanh, clip=None, affine=affine):
    """One step of a plain RNN: h' = g(W x + b + U h + c), its argument clamped to +-clip. Returns h' (N, H)."""
    return g(_clamp(clip)(affine(x, W, b) + affine(h, U, c)))


def lstm_cell(x, h_old, cell, W, U, b, c, *, f=sigmoid, g=tanh, h=tanh, clip=None, affine=affine):
    """One LSTM step, gates stacked i, f, g, o as in PyTorch; `cell` is the cell state.

    ::

        i, f, o = f(W x + b + U h + c)   by their rows;   g = g(the same)
        cell' = f * cell + i * g         h' = o * h(cell')

    The arguments of f and g are clamped to +-clip, as ONNX Runtime has it; cell', the argument of h, is not.
    Returns h', cell' (N, H) each, and the gates and cell' as a dict.
    """
    clamp = _clamp(clip)
    a_i, a_f, a_g, a_o = np.split(clamp(affine(x, W, b) + affine(h_old, U, c)), 4, axis=1)
    gates = {"i": f(a_i), "f": f(a_f), "g": g(a_g), "o": f(a_o)}
    cell = gates["f"] * cell + gates["i"] * gates["g"]
    return gates["o"] * h(cell), cell, gates | {"c": cell}


def _clamp(clip):
    return (lambda a: a) if clip is None else (lambda a: np.clip(a, -clip, clip))


# ------------------------------------------------------------------------------------- whole sequences


def gru(x, state, h_0=None, lengths=None, *, reset_after=True, batch_first=False, **cell_options):
    """Run a GRU over sequences.

    Parameters
    ----------
    x : array_like, (T, N, I)
        Or (N, T, I) with `batch_first`, or (T, I) without a batch. T = 0 and N = 0 are legal.
    state : mapping
        PyTorch's names: `weight_ih_l0` (3H, I), `weight_hh_l0` (3H, H), `bias_ih_l0`, `bias_hh_l0` (3H,),
        upper layers `_l1`, ..., backward direction `_reverse`. Layers, directions and bias follow from them.
    h_0 : array_like, (L*D, N, H), optional
        Layer-major, direction-minor; (L*D, H) without a batch; zeros if left out.
    lengths : array_like of int, (N,), optional
        Valid steps per row, 0 to T, in any order. Past them y is 0 and x is never looked at; h_n is the state
        after the row's own last step; the backward direction starts at that step; length 0 returns h_0.
    **cell_options
        `f`, `g`, `clip`, `affine` of `gru_cell`; a tuple holds one value per direction.

    Returns
    -------
    y : ndarray, (T, N, D*H), in the layout of x
    h_n : ndarray, (L*D, N, H), or (L*D, H) without a batch
    """
    options = {"reset_after": reset_after, "batch_first": batch_first} | cell_options
    y, h_n, _ = gru_trace(x, state, h_0, lengths, **options)
    return y, h_n


def gru_trace(x, state, h_0=None, lengths=None, *, reset_after=True, batch_first=False, **cell_options):
    """Run a GRU as `gru` does and return its gates too: y, h_n, gates.

    gates : dict of r, z, n, each (L*D, T, N, H): first axis as in h_n, the others in the layout of x (so
    (L*D, N, T, H) with `batch_first`, (L*D, T, H) without a batch). In both directions a step stands at the
    time of the x that it reads. Zero past a row's length.
    """

    def cell(direction, x_t, carry, weights):
        options = _of_direction(cell_options, direction)
        h, gates = gru_cell(x_t, *carry, *weights, reset_after=reset_after, **options)
        return (h,), gates

    y, (h_n,), gates = _run(cell, "rzn", x, state, (h_0,), lengths, batch_first)
    return y, h_n, gates


def rnn(x, state, h_0=None, lengths=None, *, nonlinearity="tanh", batch_first=False, **cell_options):
    """Run a plain RNN, `nonlinearity` a name, or `g` a function as in `gru`. As `gru`, with H rows for 3H."""
    cell_options = {"g": activation(nonlinearity)} | cell_options

    def cell(direction, x_t, carry, weights):
        return (rnn_cell(x_t, *carry, *weights, **_of_direction(cell_options, direction)),), {}

    y, (h_n,), _ = _run(cell, "", x, state, (h_0,), lengths, batch_first)
    return y, h_n


def lstm(x, state, hx=None, lengths=None, *, batch_first=False, **cell_options):
    """Run an LSTM. As `gru`, with 4H rows for 3H; `hx` is (h_0, c_0); returns y, (h_n, c_n)."""
    y, carry_n, _ = lstm_trace(x, state, hx, lengths, batch_first=batch_first, **cell_options)
    return y, carry_n


def lstm_trace(x, state, hx=None, lengths=None, *, batch_first=False, **cell_options):
    """Run an LSTM as `lstm` does and return i, f, g, o and the new cell state c too, as `gru_trace` does."""

    def cell(direction, x_t, carry, weights):
        h, c, gates = lstm_cell(x_t, *carry, *weights, **_of_direction(cell_options, direction))
        return (h, c), gates

    return _run(cell, "ifgoc", x, state, hx or (None, None), lengths, batch_first)


def _of_direction(cell_options, direction):
    """Options of which a tuple holds one value per direction."""
    return {name: value[direction] if isinstance(value, tuple) else value for name, value in cell_options.items()}


# ------------------------------------------- the one loop: layouts, layers, directions, lengths, steps


def _run(cell, gate_names, x, state, carry_0, lengths, batch_first):
    """Run `cell` through layers, directions and steps.

    cell(direction, x_t, carry, weights) -> carry, gates. `carry` is what one step hands to the next, (h,) or
    (h, c), each (N, H); `carry_0` has one (L*D, N, H) array, or None for zeros, for each.
    """
    weights, directions = _parameters(state)
    H = weights[0][1].shape[1]
    x = np.asarray(x, dtype=np.float64)
    batched = x.ndim == 3
    if not batched:
        x = x[:, None]
    elif batch_first:
        x = x.swapaxes(0, 1)
    T, N, _ = x.shape
    lengths = np.full(N, T) if lengths is None else np.asarray(lengths).reshape(N)
    assert np.all((lengths >= 0) & (lengths <= T)), f"lengths must lie in 0..{T}, got {lengths}"
    shape = (len(weights), N, H)
    carry_0 = [_start(start, shape, batched) for start in carry_0]

    carry_n, gates, y = [], [], x
    for layer in range(len(weights) // directions):
        outputs = []
        for direction in range(directions):
            k = layer * directions + direction
            step = partial(cell, direction, weights=weights[k])
            start = tuple(values[k] for values in carry_0)
            out, end, out_gates = _one_direction(step, gate_names, y, start, lengths, backward=direction == 1)
            outputs.append(out)
            carry_n.append(end)
            gates.append(out_gates)
        y = np.concatenate(outputs, axis=2)  # (T, N, D*H): the next layer's x

    carry_n = tuple(np.stack(parts) for parts in zip(*carry_n, strict=True))
    gates = {name: np.stack([one[name] for one in gates]) for name in gate_names}
    if not batched:
        return y[:, 0], tuple(c[:, 0] for c in carry_n), {name: a[:, :, 0] for name, a in gates.items()}
    if batch_first:
        return y.swapaxes(0, 1), carry_n, {name: a.swapaxes(1, 2) for name, a in gates.items()}
    return y, carry_n, gates


def _one_direction(step, gate_names, x, carry, lengths, *, backward):
    """x (T, N, K) and a carry of (N, H) arrays -> y (T, N, H), the last carry, gates of (T, N, H) each.

    Past its length a row stands still. So in the backward direction, which comes down from T-1, it still has
    its h_0 when it reaches its own last valid step.
    """
    T, N, _ = x.shape
    H = carry[0].shape[1]
    y = np.zeros((T, N, H))
    gates = {name: np.zeros((T, N, H)) for name in gate_names}
    for t in reversed(range(T)) if backward else range(T):
        active = (t < lengths)[:, None]
        new, step_gates = step(x[t], carry)
        # np.where, not a product with 0 or 1: padding may hold NaN.
        carry = tuple(np.where(active, a, old) for a, old in zip(new, carry, strict=True))
        y[t] = np.where(active, carry[0], 0.0)
        for name in gate_names:
            gates[name][t] = np.where(active, step_gates[name], 0.0)
    return y, carry, gates


def _start(start, shape, batched):
    """An initial state as float64 (L*D, N, H); zeros for None."""
    if start is None:
        return np.zeros(shape)
    start = np.asarray(start, dtype=np.float64)
    if not batched:
        start = start[:, None]
    assert start.shape == shape, f"initial state must be {shape}, got {start.shape}"
    return start


def _parameters(state):
    """PyTorch's names -> [(W, U, b, c), ...] in the order of h_n, and the number of directions.

    Refuses names that it would not use, so that no misspelt weight is silently left out.
    """
    suffixes = ["", "_reverse"] if "weight_ih_l0_reverse" in state else [""]
    bias = "bias_ih_l0" in state
    weights, used = [], set()
    while f"weight_ih_l{len(weights) // len(suffixes)}" in state:
        layer = len(weights) // len(suffixes)
        for suffix in suffixes:
            names = [f"{kind}_l{layer}{suffix}" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
            used.update(names if bias else names[:2])
            W, U = (np.asarray(state[name], dtype=np.float64) for name in names[:2])
            no_bias = np.zeros(len(W))
            b, c = (np.asarray(state[name], dtype=np.float64) if bias else no_bias for name in names[2:])
            weights.append((W, U, b, c))
    assert used == set(state), f"unexpected or missing names: {sorted(used ^ set(state))}"
    return weights, len(suffixes)
