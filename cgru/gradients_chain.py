"""Training of a Linear and of a network: tapes, and backpropagation from the last layer to the first."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from cgru import engines
from cgru.activations import code
from cgru.chain import naming_layer
from cgru.checks import state_array
from cgru.forward import Inputs
from cgru.forward_chain import as_given, finish, last_steps, prepare, steps_of_rows, valid_steps
from cgru.gradients import Gradients, Tape, backpropagate, check_tape, record, refuse_quantized
from cgru.gradients_layers import output_gradient, stored_planes
from cgru.gradients_stages import groups_of, run_all
from cgru.layers import run_layers
from cgru.layout import LAYOUTS, Layout
from cgru.pipeline import Stage
from cgru.threads import in_threads

if TYPE_CHECKING:
    from cgru.chain import Chain
    from cgru.weights import Weights

_INSIDE = LAYOUTS[False, True]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class LinearTape:
    """What a Linear leaves for the backward pass: ``y, tape = linear.record(x)``; copies, which nobody can change.

    Attributes
    ----------
    weights : Weights
        Of the model that made it.
    x, a, y : ndarray
        (..., I), and (..., O) before the activation and behind it.
    """

    weights: Weights
    x: np.ndarray
    a: np.ndarray
    y: np.ndarray

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        return self.x.nbytes + self.a.nbytes + self.y.nbytes

    def __repr__(self):
        return f"<cgru tape of x {self.x.shape}, {self.nbytes} bytes>"


def record_linear(model, x, *, copy_x=True, threads=1):
    """y, the tape's own, and the tape of `Linear.record`, from a checked x; see `cgru.gradients.record`."""
    refuse_quantized(model)
    x = np.array(x, order="C") if copy_x else np.ascontiguousarray(x)
    shape = (*x.shape[:-1], model.config.hidden_size)
    y, a = np.empty(shape, x.dtype), np.empty(shape, x.dtype)
    rows, out, before = (array.reshape(1, -1, array.shape[-1]) for array in (x, y, a))
    if rows.shape[1]:
        def some(group):
            run_layers(model, rows[:, group], out[:, group], (), tapes=[before[:, group]])

        in_threads(some, [(group,) for group in groups_of(model.weights, rows, None, threads)[0]])
    return y, LinearTape(model.weights, x, a, y)


def backpropagate_linear(model, tape, dy, *, need_x=True, threads=1):
    """Gradients from dL/dy; see `Linear.backward`."""
    check_tape(tape, LinearTape, "weights", model.weights)
    dy = np.ascontiguousarray(state_array("dy", dy, model.dtype, tape.y.shape))
    config = model.config
    parameters = {name: np.zeros(shape, model.dtype) for name, shape in config.shapes().items()}
    dx = np.zeros_like(tape.x)
    if tape.y.size and tape.x.size:
        weight, _, bias, _ = model.weights.direction("l0")
        adjoint = engines.load("backward").LinearAdjoint(weight, code(config.activations[0][0]))
        x, a, y, rows, d = (array.reshape(-1, array.shape[-1]) for array in (tape.x, tape.a, tape.y, dx, dy))
        db = parameters["bias"] if config.bias else np.empty_like(bias)
        da = np.empty(len(x) * adjoint.width + adjoint.slack, x.dtype)
        one = adjoint.begin(x, a, y, d, rows if need_x else None, parameters["weight"], db, da)
        groups, threads = groups_of(model.weights, x[None], None, threads)
        stages = [
            Stage(lambda number: one.rows(groups[number].start, groups[number].stop), len(groups)),
            Stage(lambda number: one.parameters(number, threads), threads),
        ]
        run_all(stages, threads)
    return Gradients(parameters, dx if need_x else None, None)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ChainTape:
    """What a network leaves for the backward pass: ``y, hx, tape = net.record(x)``; see `cgru.gradients.Tape`.

    Attributes
    ----------
    chain : Chain
        Of the network that made it.
    tapes : tuple of Tape or LinearTape
        Of each layer.
    lengths : ndarray or None
        (N,).
    layout : Layout
        Of the caller's x.
    steps, rows : int
        T and N.
    h_n : ndarray or None
        (1, N, D * H), with ``last="h_n"``: the final state of the last recurrent layer, its directions not merged.
    """

    chain: Chain
    tapes: tuple[Tape | LinearTape, ...]
    lengths: np.ndarray | None
    layout: Layout
    steps: int
    rows: int
    h_n: np.ndarray | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        return sum(tape.nbytes for tape in self.tapes)

    def __repr__(self):
        return f"<cgru tape of {self.steps} steps of {self.rows} rows, {self.nbytes} bytes>"


class ChainGradients(Gradients):
    """Gradients of a network; a mapping from its state dict's names, "0.weight_ih_l0", to arrays.

    Attributes
    ----------
    x : ndarray
        Of x's shape.
    hx : tuple
        Of each recurrent layer's initial state, of its form.
    """

    hx: tuple[Any, ...]

    def __init__(self, parameters, x, hx):
        super().__init__(parameters, x, None)
        self.hx = hx


def record_chain(net, x, hx, lengths, threads=1):
    """y, the final states and the tape of `Sequential.record`."""
    inputs = prepare(net, x, hx, lengths)
    chain, lengths = net.chain, inputs.lengths
    T, N = inputs.x.shape[:2]
    x = np.array(inputs.x, order="C")
    if lengths is not None:
        x[~valid_steps(lengths, T)] = 0         # padding may hold anything, NaN too
    given = iter((None,) * len(chain.recurrent) if hx is None else hx)
    tapes: list[Tape | LinearTape] = []
    states: list[tuple[np.ndarray, ...]] = []
    below, cut = x, lengths
    for number, layer in enumerate(net.layers):
        if number == chain.selects:
            below, cut = last_steps(net, below, states, lengths), None
        with naming_layer(number, layer.config):
            if layer.config.recurrent:
                below, final, tape = record(
                    layer, Inputs(below, inputs.states[number], cut, _INSIDE), copy_x=False, threads=threads,
                    stored=stored_planes(layer.config, next(given)),
                )
            else:
                (below, tape), final = record_linear(layer, below, copy_x=False, threads=threads), ()
        if cut is not None and not layer.config.recurrent:
            below = np.where(valid_steps(cut, T)[:, :, None], below, below.dtype.type(0))
        states.append(final)
        tapes.append(tape)
    if chain.selects == len(net.layers):
        below = last_steps(net, below, states, lengths)
    below = np.array(below)             # so far a tape's own
    finish(chain, x, below, lengths, chain.selects is not None)
    y = inputs.layout.as_given(below) if chain.last is False else below.reshape(inputs.shape(net))
    h_n = None
    if chain.last == "h_n":
        number = chain.recurrent[-1]
        h_n = np.concatenate(list(states[number][0][-net.layers[number].config.num_directions :]), axis=-1)[None]
    tape = ChainTape(chain, tuple(tapes), lengths, inputs.layout, T, N, h_n)
    return np.ascontiguousarray(y), as_given(net, states, inputs.layout), tape


def backpropagate_chain(net, tape, dy, dhx, threads=1):
    """Gradients from dL/dy and dL/d(final states); see `Sequential.backward`."""
    check_tape(tape, ChainTape, "chain", net.chain)
    chain, T, N, form = tape.chain, tape.steps, tape.rows, tape.layout
    states = _state_gradients(net, tape, dhx)
    if dy is None and not any(planes is not None for planes in states):
        raise ValueError("there is nothing to go back from: pass dy or dhx")
    d, dx_skip = _output_gradient(chain, tape, dy)
    parameters: dict[str, np.ndarray] = {}
    hx: list[tuple[np.ndarray | None, ...]] = []
    for number in reversed(range(len(net.layers))):
        layer, one = net.layers[number], tape.tapes[number]
        if number + 1 == chain.selects:
            d, states[number] = _unselected(net, tape, d, states[number], layer)
        with naming_layer(number, layer.config):
            if layer.config.recurrent:
                if d is None and states[number] is None:
                    d = np.zeros((T, N, layer.config.output_size), chain.dtype)
                found = backpropagate(layer, one, d, states[number], threads=threads)
                hx.append((found.h_0,) if found.c_0 is None else (found.h_0, found.c_0))
            else:
                found = backpropagate_linear(layer, one, np.zeros_like(one.y) if d is None else d, threads=threads)
        parameters |= {f"{number}.{name}": value for name, value in found.items()}
        d = found.x
    if chain.selects == 0:
        d, _ = _unselected(net, tape, d, None, None)
    if dx_skip is not None:
        d[:, :, : chain.output_size] += dx_skip
    names = [f"{number}.{name}" for number, layer in enumerate(net.layers) for name in layer.config.shapes()]
    given = tuple(form.state(planes) for planes in reversed(hx))
    return ChainGradients({name: parameters[name] for name in names}, np.array(form.as_given(d), order="C"), given)


def _output_gradient(chain, tape, dy):
    """dL/dy as (T, N, O) or (1, N, O), zero where y is no layer's; and what of it goes to x by the skip connection."""
    if dy is None:
        return None, None
    T, N, form, O = tape.steps, tape.rows, tape.layout, chain.output_size  # noqa: E741
    if chain.last is False:
        d = np.array(form.time_major(state_array("dy", dy, chain.dtype, form.shape(T, N, O))), order="C")
        if tape.lengths is not None and not chain.layers[-1].config.leaves_reversed:
            d[~valid_steps(tape.lengths, T)] = 0
        return d, d.copy() if chain.skip else None
    d = np.array(state_array("dy", dy, chain.dtype, form.row_shape(N, O))).reshape(1, N, O)
    d[:, _at(tape) < 0] = 0
    return d, _scattered(tape, d) if chain.skip else None


def _unselected(net, tape, d, planes, layer):
    """Of dL/d(one step), (1, N, features), what it is of all steps, and of the final state."""
    if d is None or net.chain.last is True:
        return None if d is None else _scattered(tape, d), planes
    config = layer.config
    h_n = np.zeros((config.num_layers * config.num_directions, tape.rows, config.hidden_size), d.dtype)
    both = output_gradient(config, tape.h_n, d)[0]
    h_n[-config.num_directions :] = both.reshape(tape.rows, config.num_directions, -1).swapaxes(0, 1)
    pair = len(config.cell.states) == 2
    first = (planes[0] if pair else planes) if planes is not None else None
    h_n = h_n if first is None else h_n + first
    return None, (h_n, None if planes is None else planes[1]) if pair else h_n


def _state_gradients(net, tape, dhx):
    """For each layer what `backpropagate` takes as dL/d(final state), (L*D, N, H) each, or None."""
    places = tape.chain.recurrent
    if dhx is None:
        dhx = (None,) * len(places)
    if not isinstance(dhx, tuple | list) or len(dhx) != len(places):
        raise TypeError(f"dhx must be a tuple with that of each recurrent layer, here {len(places)}; got {dhx!r:.80}")
    found: list[Any] = [None] * len(net.layers)
    for place, value in zip(places, dhx, strict=True):
        if value is None or tape.layout.batched:
            found[place] = value
        elif isinstance(value, tuple | list):
            found[place] = tuple(None if one is None else np.asarray(one)[:, None] for one in value)
        else:
            found[place] = np.asarray(value)[:, None]
    return found


def _at(tape):
    """(N,) the number of each row's last step, -1 where it has none."""
    return steps_of_rows(tape.lengths, tape.steps, tape.rows) - 1


def _scattered(tape, d):
    """(T, N, features), zero but for each row's last step, which is that of d (1, N, features)."""
    whole, at = np.zeros((tape.steps, *d.shape[1:]), d.dtype), _at(tape)
    rows = np.flatnonzero(at >= 0)
    whole[at[rows], rows] = d[0, rows]
    return whole
