"""Backpropagation around the compiled backward pass: the tape, the order of layers, the caller's layouts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from cgru.checks import BLAS_LIMIT, state_array
from cgru.forward import Inputs, named_planes
from cgru.gradients_layers import as_run, empty_outputs, empty_tapes, fill_stored, output_gradient, turned
from cgru.gradients_stages import all_layers, groups_of
from cgru.layers import run_layers
from cgru.layout import Layout
from cgru.threads import in_threads
from cgru.weights import Weights


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Tape:
    """What a forward pass leaves for the backward pass: ``y, h_n, tape = model.record(x)``.

    It holds copies of x, of every layer's y and of the initial states, and per layer and direction an array
    (T, N, 4H) of r, z, n, q for a GRU, (T, N, 5H) of i, f, g, o, c for an LSTM, nothing for an RNN; with other
    activations than sigmoid and tanh (and an RNN's relu), or a clip, 3H, 4H and H numbers more: what goes into them.
    Nothing of it can be changed by the caller. With lengths, T is the greatest of them, and rows stand by falling
    length. All is in the order of time. It is constant: any number of backward calls may use it, also at the same time.

    Attributes
    ----------
    weights : Weights
        Of the model that made it.
    layout : Layout
        Of the caller's x.
    steps : int
        T of the caller's x.
    lengths, order : ndarray or None
        (N,) falling lengths, and the caller's row of each row here.
    states : tuple of ndarray
        Initial states: h_0 (and c_0), (L*D, N, H).
    xs : sequence of ndarray
        x, y of layer 0, ... y of the last layer; (T, N, features). Directions are side by side, not merged.
    gates : sequence of ndarray
        One per layer and direction; empty where nothing is kept. Planes as `Config.tape` has them.
    stored : tuple of str
        The planes whose initial states are the model's parameters: "h", "c".
    """

    weights: Weights
    layout: Layout
    steps: int
    lengths: np.ndarray | None
    order: np.ndarray | None
    states: tuple[np.ndarray, ...]
    xs: Sequence[np.ndarray]
    gates: Sequence[np.ndarray]
    stored: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        arrays = [*self.xs, *self.gates, *self.states, self.lengths, self.order]
        return sum(array.nbytes for array in arrays if array is not None)

    def shape(self, features: int) -> tuple[int, ...]:
        """Shape of the caller's x, y or their gradients."""
        return self.layout.shape(self.steps, self.states[0].shape[1], features)

    def __repr__(self):
        return f"<cgru tape of x {self.shape(self.weights.config.input_size)}, {self.nbytes} bytes>"


class Gradients(Mapping[str, np.ndarray]):
    """Gradients of a loss; a mapping from parameter names to arrays of the parameters' shapes.

    Attributes
    ----------
    x : ndarray or None
        Of x's shape; zero past a row's length. None where it was not asked for.
    h_0 : ndarray or None
        Of the initial state's shape; None of a Linear.
    c_0 : ndarray or None
        The same of an LSTM's cell state; None for other kinds.
    """

    x: np.ndarray | None
    h_0: np.ndarray | None
    c_0: np.ndarray | None

    def __init__(self, parameters, x, state):
        self._parameters = parameters
        self.x = x
        self.h_0, self.c_0 = state if isinstance(state, tuple) else (state, None)

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


def refuse_quantized(model):
    """Raise ValueError for weights that are not trained."""
    if model.weights.quantized_layers():
        raise ValueError(
            f"a model with {model.weight_dtype} weights is for inference: train in float32, then quantize(); "
            "dequantize() gives the float32 model of these weights"
        )


def record(model, inputs: Inputs, *, copy_x: bool = True, threads: int = 1, stored: tuple[str, ...] = ()):
    """Run forward with a tape.

    Parameters
    ----------
    model : Recurrent
    inputs : Inputs
        From `cgru.forward.prepare`.
    copy_x : bool
        False where the caller does not change x: the tape then holds it as it is, if its layout allows.
    threads : int
        Each takes some rows, where there is enough work.
    stored : tuple of str
        From `cgru.gradients_layers.stored_planes`.

    Returns
    -------
    y : ndarray
        (T, N, output_size) time-major, the tape's own array, or a new one with lengths or merged directions.
    states : tuple of ndarray
        Final states (L*D, N, H).
    tape : Tape
    """
    config = model.config
    refuse_quantized(model)
    steps, rows = inputs.x.shape[:2]
    x, states, lengths, order = _sorted(inputs, copy_x)
    if len(x) * rows > BLAS_LIMIT:
        raise ValueError(f"{len(x)} steps of {rows} rows are over the limit of BLAS's 32-bit integers; use fewer")
    gates = empty_tapes(config, x, np.empty if lengths is None else np.zeros)       # zero past a row's length
    outputs, final = empty_outputs(config, x), tuple(plane.copy() for plane in states)
    filled, tapes = as_run(config, outputs, gates)
    y = filled[-1] if config.merge_mode == "concat" else np.empty((*x.shape[:2], config.output_size), x.dtype)
    if x.shape[0] and rows:
        def some(group):
            count = group.stop - group.start
            run_layers(
                model, x[:, group], y[:, group], tuple(plane[:, group] for plane in final),
                None if lengths is None else lengths[group],
                None if lengths is None else np.arange(count),      # they are in that order already
                [tape[:, group] for tape in tapes] or None, [output[:, group] for output in filled],
            )  # fmt: skip

        in_threads(some, [(group,) for group in groups_of(model.weights, x, lengths, threads)[0]])
    if lengths is not None:             # no step reads them, and NaN times a gradient of zero is no zero
        states = tuple(np.where((lengths > 0)[:, None], plane, plane.dtype.type(0)) for plane in states)
    tape = Tape(model.weights, inputs.layout, steps, lengths, order, states, [x, *outputs], gates, stored)
    if order is None:
        return y, final, tape
    y_whole = np.zeros((steps, rows, y.shape[2]), y.dtype)
    turned(config, y_whole)[: len(y), order] = turned(config, y)
    return y_whole, tuple(_unsorted(plane, order) for plane in final), tape


def _sorted(inputs, copy_x):
    """x, states, lengths and order; with lengths as copies whose rows stand by falling length, up to the longest."""
    x, states, lengths, _ = inputs
    if lengths is None:
        return np.array(x, order="C") if copy_x else np.ascontiguousarray(x), states, None, None
    order = np.argsort(-lengths, kind="stable")
    lengths = np.ascontiguousarray(lengths[order])
    x = np.take(x[: lengths[0] if len(lengths) else 0], order, axis=1)
    x[np.arange(len(x))[:, None] >= lengths] = 0            # padding may hold anything, NaN too
    return x, tuple(np.take(plane, order, axis=1) for plane in states), lengths, order


def _unsorted(array, order):
    """`array` (L*D, N, H) with its rows back in the caller's order."""
    out = np.empty_like(array)
    out[:, order] = array
    return out


def check_tape(tape, kind: type, field: str, own):
    """Refuse what is no tape of this kind, or was made by another model: one with another `field`."""
    if not isinstance(tape, kind):
        raise TypeError(f"tape must be what record(...) returned; got {type(tape).__name__}")
    if getattr(tape, field) is not own:
        raise ValueError("this tape comes from another model; pass it to the model whose record made it")


def backpropagate(model, tape: Tape, dy, dh_n, *, need_x: bool = True, threads: int = 1) -> Gradients:
    """Gradients from dL/dy and dL/d(final state); see `Recurrent.backward` for the arguments."""
    check_tape(tape, Tape, "weights", model.weights)
    config = model.config
    given = named_planes(config.cell, "dh_n", dh_n)
    if dy is None and all(value is None for _, value in given):
        raise ValueError(f"there is nothing to go back from: pass {' or '.join(['dy', *(name for name, _ in given)])}")
    dy = _output_gradient(tape, dy)
    states = tuple(_state_gradient(tape, name, value) for name, value in given)
    parameters = {name: np.zeros(shape, model.dtype) for name, shape in config.shapes().items()}
    dx = all_layers(tape, dy, states, parameters, need_x, threads) if tape.xs[0].size else None
    fill_stored(config, tape.stored, states, parameters)
    if tape.order is not None:
        states = tuple(_unsorted(plane, tape.order) for plane in states)
    return Gradients(parameters, _input_gradient(tape, dx) if need_x else None, tape.layout.state(states))


def _output_gradient(tape, dy):
    """Of the last layer's directions, (T, N, D * H), as the tape has them, from a checked `dy`; None stays None."""
    if dy is None:
        return None
    config = tape.weights.config
    dy = state_array("dy", dy, tape.weights.dtype, tape.shape(config.output_size))
    dy = turned(config, tape.layout.time_major(dy))
    if tape.order is not None:
        dy = np.take(dy[: len(tape.xs[0])], tape.order, axis=1)
    return output_gradient(config, tape.xs[-1], dy)


def _state_gradient(tape, name, value):
    """dL/d(final state) as a new array (L*D, N, H) in the tape's order."""
    shape = tape.states[0].shape
    if value is None:
        return np.zeros(shape, tape.weights.dtype)
    given = shape if tape.layout.batched else (shape[0], shape[2])
    value = state_array(name, value, tape.weights.dtype, given).reshape(shape)
    return value.copy() if tape.order is None else np.take(value, tape.order, axis=1)


def _input_gradient(tape, dx):
    """dL/dx in the caller's layout, from (T, N, I) in the tape's order, or None where there are no steps or rows."""
    config = tape.weights.config
    if dx is None:
        return np.zeros(tape.shape(config.input_size), tape.weights.dtype)
    if tape.order is None:
        return tape.layout.as_given(dx)
    whole = np.zeros(tape.shape(config.input_size), dx.dtype)
    tape.layout.time_major(whole)[: len(dx), tape.order] = dx
    return whole
