"""The same passes for PyTorch's compilers, as two operators that they take as they are.

Tensors, lists of them and plain numbers are all that an operator may take and give. So the tape is some of its outputs,
which only the backward pass reads.
"""

from typing import List, Optional  # noqa: UP035 - what operators' signatures are read from, in every version

import numpy as np
import torch
from torch import Tensor

from cgru.cells import CELLS
from cgru.gradients import Tape
from cgru.layout import LAYOUTS
from cgru.torch.recurrence import (
    backpropagated,
    needs_gradients,
    plan_of,
    recorded,
    recurrence,
    weights_of,
    with_dropout,
)
from cgru.torch.tensors import array, checked, checked_parameters, gradient_array, states_of

_INSIDE = LAYOUTS[False, True]


def forward(module, x, hx):
    """What a module's forward gives for a tensor, traced by a compiler."""
    cell = CELLS[module.kind]
    suffixes = [
        f"l{layer}{end}" for layer in range(module.num_layers)
        for end in (("", "_reverse") if module.bidirectional else ("",))
    ]  # fmt: skip
    parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh") if module.bias else ("weight_ih", "weight_hh")
    parameters = [getattr(module, f"{part}_{suffix}") for suffix in suffixes for part in parts]
    batched, dtype = x.dim() == 3, parameters[0].dtype
    states = [None if state is None else checked("hx", state, dtype) for state in states_of(hx, len(cell.states))]
    x = checked("input", x, dtype)
    turned = batched and module.batch_first
    if not batched:
        x, states = x.unsqueeze(1), [None if state is None else state.unsqueeze(1) for state in states]
    elif turned:
        x = x.transpose(0, 1)

    def some(layers):
        def run(x, states, parameters):
            found = forward_operator(
                x.contiguous(), _given(x, states, module, layers), parameters, module.kind, layers,
                module.bidirectional, module.reset_after, module.nonlinearity or "",
                torch.is_grad_enabled() and needs_gradients(x, *states, *parameters),
            )  # fmt: skip
            return found[: 1 + len(cell.states)]

        return run

    if module.dropout and module.training and module.num_layers > 1:
        y, *final = with_dropout(some(1), module, x, states, parameters)
    else:
        y, *final = some(module.num_layers)(x, states, parameters)
    if not batched:
        y, final = y.squeeze(1), [plane.squeeze(1) for plane in final]
    elif turned:
        y = y.transpose(0, 1)
    return y, final[0] if len(final) == 1 else tuple(final)


def _given(x, states, module, layers):
    """The planes that an operator takes: all of them, or none."""
    if all(state is None for state in states):
        return []
    shape = (layers * (2 if module.bidirectional else 1), x.shape[1], module.hidden_size)
    return [x.new_zeros(shape) if state is None else state for state in states]


@torch.library.custom_op("cgru::recurrence", mutates_args=())
def forward_operator(
    x: Tensor, states: List[Tensor], parameters: List[Tensor], kind: str, num_layers: int, bidirectional: bool,  # noqa: UP006
    reset_after: bool, nonlinearity: str, tape: bool,
) -> List[Tensor]:  # fmt: skip  # noqa: UP006
    """y, the planes of the final state, and with `tape` the outputs of the layers, and the gates.

    The last layer's output stands there twice, since y may be changed in place.
    """
    plan = _plan(x, parameters, kind, num_layers, bidirectional, reset_after, nonlinearity)
    given: list[Tensor | None] = [*states] or [None for _ in plan.config.cell.states]
    with torch.no_grad():
        if not tape:
            return list(recurrence(plan, None, None, x, given, parameters))
        weights = weights_of(plan, parameters)
        y, final, kept = recorded(plan, weights, array(x), [array(state) for state in given], None)
        y = y.copy() if np.may_share_memory(y, kept.xs[-1]) else y
        return [torch.from_numpy(one) for one in (y, *final, *kept.xs[1:], *kept.gates)]


@forward_operator.register_fake
def _(x, states, parameters, kind, num_layers, bidirectional, reset_after, nonlinearity, tape):
    cell, D, H = CELLS[kind], 2 if bidirectional else 1, parameters[1].shape[1]
    T, N = x.shape[:2]
    shapes = [(T, N, D * H), *[(num_layers * D, N, H)] * len(cell.states)]
    if tape:
        shapes += [(T, N, D * H)] * num_layers
        shapes += [(T, N, len(cell.tape) * H)] * (num_layers * D if cell.tape else 0)
    return [x.new_empty(shape) for shape in shapes]


@torch.library.custom_op("cgru::recurrence_backward", mutates_args=())
def backward_operator(
    dy: Optional[Tensor], dstates: List[Optional[Tensor]], x: Tensor, states: List[Tensor],  # noqa: UP006, UP045
    kept: List[Tensor], parameters: List[Tensor], kind: str, num_layers: int, bidirectional: bool,  # noqa: UP006
    reset_after: bool, nonlinearity: str,
) -> List[Tensor]:  # fmt: skip  # noqa: UP006
    """dx, the gradients of the initial state's planes, and those of the parameters; `kept` is of the tape."""
    plan = _plan(x, parameters, kind, num_layers, bidirectional, reset_after, nonlinearity)
    config, weights = plan.config, weights_of(plan, parameters)
    T, N = x.shape[:2]
    count = num_layers * config.num_directions
    initial = tuple(array(state) for state in states) or tuple(
        np.zeros((count, N, config.hidden_size), weights.dtype) for _ in config.cell.states
    )
    arrays = [array(one) for one in (x, *kept)]
    xs, gates = arrays[: 1 + num_layers], arrays[1 + num_layers :]
    tape = Tape(
        weights=weights, layout=_INSIDE, steps=T, lengths=None, order=None, states=initial, xs=xs, gates=gates
    )
    dstates = [gradient_array(d) for d in dstates]
    dx, planes, found = backpropagated(weights, tape, gradient_array(dy), dstates, True)
    return [torch.from_numpy(one) for one in (dx, *planes, *found)]


@backward_operator.register_fake
def _(dy, dstates, x, states, kept, parameters, kind, num_layers, bidirectional, reset_after, nonlinearity):
    state = (num_layers * (2 if bidirectional else 1), x.shape[1], parameters[1].shape[1])
    shapes = [x.shape, *[state] * len(dstates), *(one.shape for one in parameters)]
    return [x.new_empty(shape) for shape in shapes]


def _plan(x, parameters, kind, num_layers, bidirectional, reset_after, nonlinearity):
    """The `Plan` of an operator's arguments, whose parameters are checked."""
    bias = len(parameters) == 4 * num_layers * (2 if bidirectional else 1)
    (_, input_size), (_, hidden_size) = parameters[0].shape, parameters[1].shape
    plan = plan_of(
        kind, input_size, hidden_size, num_layers, bias, False, bidirectional, reset_after, nonlinearity or None
    )
    checked_parameters(plan.names, plan.shapes, parameters)
    checked("input", x, parameters[0].dtype)
    return plan


def _keep(ctx, inputs, output):
    x, states, parameters, *ctx.numbers, _ = inputs
    planes = len(CELLS[ctx.numbers[0]].states)
    ctx.counts = len(states), len(parameters), planes
    ctx.save_for_backward(x, *states, *parameters, *output[1 + planes :])
    ctx.set_materialize_grads(False)


def _back(ctx, grads):
    given, count, planes = ctx.counts
    x, *rest = ctx.saved_tensors
    states, parameters, kept = rest[:given], rest[given : given + count], rest[given + count :]
    dx, *found = backward_operator(grads[0], grads[1 : 1 + planes], x, states, kept, parameters, *ctx.numbers)
    return dx, found[:given], found[planes:], *[None] * (len(ctx.numbers) + 1)


forward_operator.register_autograd(_back, setup_context=_keep)
