"""Backpropagation around the compiled backward pass: the tape, the order of layers, the caller's layouts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from cgru import engines
from cgru._arguments import state_array
from cgru.weights import BLAS_LIMIT


class Tape:
    """What a forward pass leaves for the backward pass: ``y, h_n, tape = model.forward(x, tape=True)``.

    It holds copies of x, of every layer's y and of the initial states, and per layer and direction an array
    (T, N, 4H) of r, z, n, q for a GRU, (T, N, 5H) of i, f, g, o, c for an LSTM, nothing for an RNN; nothing that
    the caller can change. With lengths, T is the greatest of them. It is constant: any number of backward calls
    may use it, also at the same time.

    Attributes
    ----------
    nbytes : int
        Memory that it holds.
    """

    __slots__ = ("_batched", "_gates", "_lengths", "_order", "_states", "_weights", "_x_shape", "_xs")

    def __init__(self, weights, batched, x_shape, lengths, order, states):
        self._weights = weights
        self._batched, self._x_shape = batched, x_shape
        self._lengths = lengths     # None, or (N,) falling
        self._order = order         # with lengths: the caller's row of each row here
        self._states = states       # h_0 (and c_0), (L*D, N, H)
        self._xs = []               # x, y of layer 0, ... y of the last layer; (T, N, features)
        self._gates = []            # per layer and direction

    def with_arrays(self, xs, gates):
        """The same tape over other arrays."""
        tape = Tape(self._weights, self._batched, self._x_shape, self._lengths, self._order, self._states)
        tape._xs, tape._gates = xs, gates
        return tape

    def without_arrays(self):
        """The same tape without its large arrays, for a caller who keeps those himself."""
        return self.with_arrays([], [])

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        arrays = [*self._xs, *self._gates, *self._states, self._lengths, self._order]
        return sum(array.nbytes for array in arrays if array is not None)

    def __repr__(self):
        return f"<cgru tape of x {self._x_shape}, {self.nbytes} bytes>"


class Gradients(Mapping[str, np.ndarray]):
    """Gradients of a loss; a mapping from parameter names to arrays of the parameters' shapes.

    Attributes
    ----------
    x : ndarray or None
        Of x's shape; zero past a row's length.
    h_0, c_0 : ndarray
        Of the initial states' shape (c_0: LSTM only).
    """

    x: np.ndarray
    h_0: np.ndarray
    c_0: np.ndarray

    def __init__(self, parameters, x, states):
        self._parameters = parameters
        self.x = x
        self.h_0 = states[0]
        if len(states) > 1:
            self.c_0 = states[1]

    def __getitem__(self, name: str) -> np.ndarray:
        try:
            return self._parameters[name]
        except KeyError:
            raise KeyError(f"no parameter {name!r}; there are {', '.join(self._parameters)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)

    def __repr__(self):
        return f"<cgru gradients of {', '.join(('x', 'h_0', *self._parameters))}>"


def check_differentiable(config):
    """Raise ValueError for what the backward pass does not know."""
    for f, g in config.activations:
        if f.name != "sigmoid" or g.name not in ("tanh", "relu")[: 2 if config.cell == "rnn" else 1]:
            raise ValueError(
                f"there is no backward pass for the activations {f.name} and {g.name}, only for sigmoid and tanh; "
                "call the model without tape=True"
            )
    plain = {"clip": None, "reverse": False, "go_backwards": False, "merge_mode": "concat", "initial_state": False}
    for name, value in plain.items():
        if getattr(config, name) != value:
            raise ValueError(
                f"there is no backward pass for a model with {name}={getattr(config, name)!r}; "
                "call it without tape=True"
            )


def record(model, inputs, *, keep=False):
    """Run forward with a tape.

    Parameters
    ----------
    model : Recurrent
    inputs : Inputs
        From ``model._prepare``.
    keep : bool
        Leave out the copy of x where its layout allows it: the caller does not change it.

    Returns
    -------
    y : ndarray
        (T, N, D * H) time-major, the tape's own array or, with lengths, a new one.
    states : tuple of ndarray
        Final states (L*D, N, H).
    tape : Tape
    """
    config, x, lengths = model._weights.config, inputs.x, inputs.lengths
    check_differentiable(config)
    steps, rows = x.shape[:2]
    states, order = inputs.states, None
    if lengths is None:
        x = np.ascontiguousarray(x) if keep else np.array(x, order="C")
    else:
        order = np.argsort(-lengths, kind="stable")
        lengths = np.ascontiguousarray(lengths[order])
        x = np.take(x[: lengths[0] if rows else 0], order, axis=1)
        x[np.arange(len(x))[:, None] >= lengths] = 0            # padding may hold anything, NaN too
        states = tuple(np.take(state, order, axis=1) for state in states)
    if len(x) * rows > BLAS_LIMIT:
        raise ValueError(f"{len(x)} steps of {rows} rows are over the limit of BLAS's 32-bit integers; use fewer")
    tape = Tape(model._weights, inputs.batched, inputs.x_shape, lengths, order, states)
    final = tuple(state.copy() for state in states)
    tape._xs.append(x)
    for layer in range(config.num_layers):
        _record_layer(model, layer, tape, final)
    y = tape._xs[-1]
    if order is None:
        return y, final, tape
    y_whole = np.zeros((steps, rows, y.shape[2]), y.dtype)
    y_whole[: len(y), order] = y
    return y_whole, tuple(_unsorted(state, order) for state in final), tape


def _record_layer(model, layer, tape, states):
    config, x = model._weights.config, tape._xs[-1]
    H, directions = config.hidden_size, config.directions
    order = None if tape._lengths is None else np.arange(x.shape[1])
    allocate = np.empty if order is None else np.zeros          # zero past a row's length
    y = np.empty((*x.shape[:2], directions * H), x.dtype)
    tape._xs.append(y)
    for d in range(directions):
        gates = allocate((*x.shape[:2], config.tape_width * H), x.dtype) if config.tape_width else None
        tape._gates.append(gates)
        if x.shape[0] and x.shape[1]:
            k = layer * directions + d
            h, *c = (state[k] for state in states)
            model._cells[k].run(x, h, y[:, :, d * H : (d + 1) * H], h, tape._lengths, order, d == 1, gates, *c)


def _unsorted(array, order, axis=1):
    """`array` with its rows back in the caller's order."""
    out = np.empty_like(array)
    out[(slice(None),) * axis + (order,)] = array
    return out


def backpropagate(model, tape, dy, dstates, *, need_x=True):
    """Gradients from dL/dy and dL/d(final states); see `GRU.backward` for the arguments.

    `dstates` maps "dh_n" (and "dc_n") to an array or None.
    """
    if not isinstance(tape, Tape):
        raise TypeError(f"tape must be what forward(..., tape=True) returned; got {type(tape).__name__}")
    if tape._weights is not model._weights:
        raise ValueError("this tape comes from another model; pass it to the model whose forward made it")
    if dy is None and all(value is None for value in dstates.values()):
        raise ValueError(f"there is nothing to go back from: pass dy, {' or '.join(dstates)}")
    config = model._weights.config
    dy = _output_gradient(tape, config, model.dtype, dy)
    states = tuple(_state_gradient(tape, name, value, model.dtype) for name, value in dstates.items())
    parameters = {name: np.zeros(shape, model.dtype) for name, shape in config.shapes().items()}
    dx = _all_layers(model, tape, dy, states, parameters, need_x) if tape._xs[0].size else None
    return _caller_layout(tape, config, parameters, dx if need_x else None, states, need_x)


def _all_layers(model, tape, dy, states, parameters, need_x):
    """Fill the parameters' gradients and replace `states` by the initial states' gradients; dL/dx is returned."""
    config, weights = model._weights.config, model._weights
    D = config.directions
    module = engines.load("backward")
    dx = None
    for layer in reversed(range(config.num_layers)):
        x, y = tape._xs[layer : layer + 2]
        dx = np.empty_like(x) if layer or need_x else None
        for d in range(D):
            k = layer * D + d
            suffix = f"l{layer}{'_reverse' if d else ''}"
            w_ih, w_hh, b_ih, b_hh = weights.cell(suffix)
            grads = [parameters[f"weight_{part}_{suffix}"] for part in ("ih", "hh")]
            if config.bias:
                grads += [parameters[f"bias_{part}_{suffix}"] for part in ("ih", "hh")]
            else:
                grads += [np.empty_like(b_ih), np.empty_like(b_hh)]
            module.Layer(w_ih, w_hh, **model._adjoint_options(config)).run(
                x, y, tape._gates[k], tape._lengths, d, d == 1, dy,
                tuple(state[k] for state in tape._states), tuple(state[k] for state in states), dx, d == 1, grads,
            )  # fmt: skip
        dy = dx
    return dx


def _output_gradient(tape, config, dtype, dy):
    """`dy` checked, and in the tape's order: (T, N, D * H), contiguous; None stays None."""
    if dy is None:
        return None
    dy = state_array("dy", dy, dtype, (*tape._x_shape[:-1], config.directions * config.hidden_size))
    if not tape._batched:
        return dy.reshape(dy.shape[0], 1, dy.shape[1])
    if config.batch_first:
        dy = dy.swapaxes(0, 1)
    if tape._order is not None:
        return np.take(dy[: len(tape._xs[0])], tape._order, axis=1)
    return np.ascontiguousarray(dy)


def _state_gradient(tape, name, value, dtype):
    """dL/d(final state) as a new array (L*D, N, H) in the tape's order."""
    shape = tape._states[0].shape
    if value is None:
        return np.zeros(shape, dtype)
    value = state_array(name, value, dtype, shape if tape._batched else (shape[0], shape[2])).reshape(shape)
    return value.copy() if tape._order is None else np.take(value, tape._order, axis=1)


def _caller_layout(tape, config, parameters, dx, states, need_x):
    if tape._order is not None:
        states = tuple(_unsorted(state, tape._order) for state in states)
    if not tape._batched:
        states = tuple(state[:, 0] for state in states)
    if need_x:
        dtype = states[0].dtype
        if dx is None:
            dx = np.zeros(tape._x_shape, dtype)
        elif not tape._batched:
            dx = dx[:, 0]
        else:
            if tape._order is not None:
                shape = tape._x_shape[1::-1] if config.batch_first else tape._x_shape[:2]
                whole = np.zeros((*shape, dx.shape[2]), dtype)
                whole[: len(dx), tape._order] = dx
                dx = whole
            dx = dx.swapaxes(0, 1) if config.batch_first else dx
    return Gradients(parameters, dx, states)
