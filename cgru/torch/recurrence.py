"""The forward and backward pass of a stack of layers over tensors, as PyTorch's autograd wants them."""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

from cgru import engines
from cgru.config import Config
from cgru.forward import call, prepare
from cgru.gradients import Tape, backpropagate, record
from cgru.model import model_of
from cgru.torch.tensors import array, gradient_array
from cgru.weights import Weights

#: Multiply-adds of a layer's product below which the engine that packs nothing is the faster one for weights that are
#: used once. It also keeps SciPy's BLAS from waking threads of its own.
FEW = 450_000


class Plan(NamedTuple):
    """What a module's call computes, apart from numbers.

    Attributes
    ----------
    config : Config
    names : tuple of str
        Of the parameters, in the order in which they are passed.
    shapes : tuple of tuple of int
        Of each.
    largest : int
        Numbers in the largest of them.
    """

    config: Config
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    largest: int


@lru_cache(maxsize=256, typed=True)         # 1 is no True
def plan_of(kind, input_size, hidden_size, num_layers, bias, batch_first, bidirectional, reset_after, nonlinearity):
    """The `Plan` of a module with these attributes; `nonlinearity` is None but for an RNN."""
    config = Config(
        kind=kind, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers, bias=bias,
        batch_first=batch_first, bidirectional=bidirectional, reset_after=reset_after, activations=nonlinearity,
    )  # fmt: skip
    shapes = config.shapes()
    return Plan(config, tuple(shapes), tuple(shapes.values()), max(map(math.prod, shapes.values())))


class Owner(NamedTuple):
    """What backpropagation asks of the model that made a tape: not the engine's copies of the weights."""

    weights: Weights
    config: Config
    dtype: np.dtype


def weights_of(plan, parameters):
    """`Weights` over the parameters' own memory, a copy only where that is not contiguous."""
    arrays = {
        name: np.ascontiguousarray(array(tensor)) for name, tensor in zip(plan.names, parameters, strict=True)
    }
    return Weights.unchecked(plan.config, arrays)


def built(plan, weights, rows):
    """The cgru model of these weights, for so many steps of rows."""
    few = plan.largest * rows < FEW and _has_blas()
    return model_of(weights, "blas" if few else "auto")


@lru_cache(maxsize=1)
def _has_blas():
    return engines.loads("blas")


def threads():
    """PyTorch's number of threads, which are started where there is enough work and do not spin."""
    return torch.get_num_threads()


def recurrence(plan, lengths, rows, x, states, parameters):
    """y and the planes of the final state of tensors that are checked.

    Parameters
    ----------
    plan : Plan
    lengths : ndarray or None
        (N,) valid steps of each row.
    rows : Rows or None
        Of a PackedSequence, whose data x and y then are.
    x : Tensor
    states : tuple of Tensor or None
    parameters : sequence of Tensor
    """
    if torch.is_grad_enabled() and needs_gradients(x, *states, *parameters):
        copied = lengths is not None or rows is not None or plan.config.batch_first or not x.is_contiguous()
        link = x[..., :0].clone() if copied and x.requires_grad else None
        return _Recurrence.apply(plan, lengths, rows, len(states), link, x, *states, *parameters)
    x, hx = array(x), _hx([array(state) for state in states])
    if rows is not None:
        x, lengths = rows.padded(x), rows.lengths
    model = built(plan, weights_of(plan, parameters), x.size // max(1, x.shape[-1]) if x.ndim else 0)
    y, final = call(model, x, hx, lengths, None, threads())
    if rows is not None:
        y = rows.packed(y)
    return torch.from_numpy(y), *map(torch.from_numpy, final if isinstance(final, tuple) else (final,))


def needs_gradients(*tensors):
    """Whether any of them, which may be None, asks for its gradient."""
    return any(tensor is not None and tensor.requires_grad for tensor in tensors)


def with_dropout(one, module, x, states, parameters):
    """Layer by layer, with PyTorch's dropout between them, of (T, N, D * H) or of packed data, as PyTorch has it.

    ``one(x, states, parameters)`` computes a layer: y and the planes of its final state.
    """
    each, D = len(parameters) // module.num_layers, 2 if module.bidirectional else 1
    for state in states:
        if state is not None and len(state) != module.num_layers * D:
            raise ValueError(
                f"hx has shape {tuple(state.shape)}, expected num_layers * directions = {module.num_layers * D} planes"
            )
    final = []
    for layer in range(module.num_layers):
        own = [None if state is None else state[layer * D : (layer + 1) * D] for state in states]
        x, *planes = one(x, own, parameters[layer * each : (layer + 1) * each])
        final.append(planes)
        if layer < module.num_layers - 1:
            x = torch.dropout(x, module.dropout, True)
    return x, *[torch.cat(planes) for planes in zip(*final, strict=True)]


def _hx(states):
    """The planes of a state as cgru's models take them; all None is None."""
    if all(state is None for state in states):
        return None
    return states[0] if len(states) == 1 else tuple(states)


def recorded(plan, weights, x, states, lengths):
    """y in the layout of x, the planes of the final state, and the tape, of arrays.

    y is the caller's to change in place, as of PyTorch's modules; but as there, not that of an LSTM in float32.
    """
    inputs = prepare(weights, x, _hx(states), lengths)
    T, N = inputs.x.shape[:2]
    y, final, tape = record(built(plan, weights, T * N), inputs, copy_x=False, threads=threads())
    if y is tape.xs[-1] and (len(final) == 1 or y.dtype == np.float64):
        y = y.copy()
    final = inputs.layout.state(final)
    return inputs.layout.as_given(y), final if isinstance(final, tuple) else (final,), tape


def backpropagated(weights, tape, dy, dstates, need_x):
    """dx or None, the gradients of the initial state's planes, and those of the parameters, as arrays."""
    owner = Owner(weights, weights.config, weights.dtype)
    grads = backpropagate(owner, tape, dy, _hx(dstates), need_x=need_x, threads=threads())
    planes = (grads.h_0, grads.c_0)[: len(dstates)]
    return grads.x, planes, tuple(grads.values())


class _Recurrence(torch.autograd.Function):
    """y and the final state of a stack of layers.

    `link` is nothing but a way to x in the graph, for where the tape has a copy: x itself may then be changed in place.
    """

    @staticmethod
    def forward(ctx, plan, lengths, rows, planes, link, x, *tensors):
        states, parameters = tensors[:planes], tensors[planes:]
        weights, given = weights_of(plan, parameters), array(x)
        if rows is not None:
            given, lengths = rows.padded(given), rows.lengths
        y, final, tape = recorded(plan, weights, given, [array(state) for state in states], lengths)
        y = torch.from_numpy(y if rows is None else rows.packed(y))
        # Saved, not kept: PyTorch frees them when the graph goes, and notices what is changed in place: the parameters,
        # and x and y where they are in the tape.
        arrays = [torch.from_numpy(one) for one in (*tape.xs, *tape.gates)]
        first = x if np.may_share_memory(tape.xs[0], array(x)) else link
        last = y if np.may_share_memory(tape.xs[-1], array(y)) else None
        ctx.save_for_backward(*arrays, last, first, *states, *parameters)
        ctx.set_materialize_grads(False)
        ctx.weights, ctx.others = weights, {key: one for key, one in vars(tape).items() if key not in ("xs", "gates")}
        ctx.rows, ctx.planes, ctx.layers, ctx.arrays = rows, planes, len(tape.xs), len(arrays)
        return y, *map(torch.from_numpy, final)

    @staticmethod
    def backward(ctx, dy, *dstates):
        tensors, needs = ctx.saved_tensors, ctx.needs_input_grad[5:]
        if dy is None and all(d is None for d in dstates):
            return (None,) * len(ctx.needs_input_grad)
        arrays = [array(tensor) for tensor in tensors[: ctx.arrays]]
        tape = Tape(xs=arrays[: ctx.layers], gates=arrays[ctx.layers :], **ctx.others)
        given = gradient_array(dy), tuple(gradient_array(d) for d in dstates)
        if ctx.rows is not None and dy is not None:
            given = ctx.rows.padded(given[0]), given[1]
        dx, planes, parameters = backpropagated(ctx.weights, tape, *given, needs[0])
        if ctx.rows is not None and needs[0]:
            dx = ctx.rows.packed(dx)
        found = (dx, *planes, *parameters)
        wanted = [torch.from_numpy(one) if need else None for one, need in zip(found, needs, strict=True)]
        if torch.is_grad_enabled():
            wanted = _Once.apply(len(wanted), *wanted, dy, *dstates, *tensors[ctx.arrays + 1 :])
        return None, None, None, None, None, *wanted


class _Once(torch.autograd.Function):
    """Gradients as they are, which depend on tensors in a way that is not known here."""

    @staticmethod
    def forward(ctx, count, *tensors):
        return tuple(None if one is None else one.view_as(one) for one in tensors[:count])

    @staticmethod
    def backward(ctx, *grads):
        raise RuntimeError(
            "trying to differentiate twice: there are no gradients of gradients through cgru.torch; "
            "cgru.torch.restore(model) gives PyTorch's own modules back, which have them"
        )
