"""Changes of convention that a model may have missed on its way here, for `cgru.check`."""

import dataclasses
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np

from cgru.activations import Activation, activation
from cgru.convert.conventions import (
    CONVENTIONS,
    add_to_forget,
    hard_sigmoids,
    negatable,
    negate_z,
    reorder,
    systems,
)  # fmt: skip
from cgru.weights import Weights


class Change(NamedTuple):
    """One convention read differently. `dimension` says which; a combination takes at most one change of each."""

    dimension: str
    text: str                              # completes "it would match with ..."
    tensor: Any = None                     # function of (name, array, config), for every weight and bias
    tensors: Any = None                    # function of (tensors by name, config), where they depend on each other
    rename: Any = None                     # function of a tensor's name
    config: tuple = ()                     # (field, value) pairs
    swap_y: bool = False                   # the first two axes of the expected output are exchanged


def changes(config, batched):
    """Every change that makes sense for a model of this configuration, by dimension, in the order to apply them."""
    return [
        [Change("matrices", text, tensor=function) for text, function in _matrices(config)],
        _columns(config),
        _orders(config),
        _z_senses(config),
        _forget_biases(config),
        _biases(config),
        _reset(config),
        _activations(config),
        _directions(config),
        layouts(config.batch_first) if batched else [],
    ]


def apply(weights, chosen):
    """`weights` with the changes made; layouts are not the weights' business, but for batch_first."""
    config, tensors = weights.config, dict(weights.tensors)
    for change in chosen:
        if change.tensor is not None:
            tensors = {
                name: array if name.endswith("_0") else change.tensor(name, array, config)
                for name, array in tensors.items()
            }
        if change.tensors is not None:
            tensors = change.tensors(tensors, config)
        if change.rename is not None:
            tensors = {change.rename(name): array for name, array in tensors.items()}
        config = dataclasses.replace(config, **dict(change.config))
    return Weights(config, tensors)


def _of(most=2, **convention):
    """The best known systems with a convention, in brackets."""
    known = systems(**convention, most=most)
    return f" ({known})" if known else ""


def _other_bias(name):
    other = {"bias_ih": "bias_hh", "bias_hh": "bias_ih"}
    return other.get(name[:7], name[:7]) + name[7:]


def _other_direction(name):
    if name.endswith("_0"):
        return name
    return name.removesuffix("_reverse") if name.endswith("_reverse") else f"{name}_reverse"


def _matrices(config):
    """Transpositions gate by gate where the matrices are square, and (K, 3H) memory taken as (3H, K) everywhere.

    Of an RNN, which has no gates, these are the same.
    """
    square_w = config.input_size == config.hidden_size and (config.num_layers == 1 or not config.bidirectional)
    kinds = {"W": ("weight_ih",), "U": ("weight_hh",), "W and U": ("weight_ih", "weight_hh")}
    for which, names in kinds.items():
        if config.cell.stacked > 1 and (square_w or which == "U"):
            yield f"{which} transposed gate by gate", _on(names, _blocks_transposed)
    rows = f"{config.cell.stacked}H" if config.cell.stacked > 1 else "H"
    for which, names in kinds.items():
        text = f"{which} transposed where it was reshaped, from (columns, {rows}) to ({rows}, columns)"
        yield text, _on(names, _reread)


def _columns(config):
    """W and U cut from matrices over [h, x], as in the equations of 2014, that were over [x, h], and the reverse."""
    whose = "each gate's" if config.cell.gates else "the"
    text = f"{whose} matrix cut at columns {{}}, where it was cut at {{}}"
    forward = Change("columns", text.format("[x, h]", "[h, x]"), tensors=_cut(h_first=True))
    backward = Change("columns", text.format("[h, x]", "[x, h]"), tensors=_cut(h_first=False))
    square = config.input_size == config.hidden_size and (config.num_layers == 1 or not config.bidirectional)
    return [forward] if square else [forward, backward]      # W and U exchanged is both


def _cut(h_first):
    def function(tensors, config):
        changed = dict(tensors)
        for _, _, suffix in config.directions():
            w, u = f"weight_ih_{suffix}", f"weight_hh_{suffix}"
            W, U = tensors[w], tensors[u]
            if h_first:
                changed[w], changed[u] = np.split(np.hstack([U, W]), [W.shape[1]], axis=1)
            else:
                changed[u], changed[w] = np.split(np.hstack([W, U]), [U.shape[1]], axis=1)
        return changed

    return function


def _on(names, function):
    def tensor(name, array, config):
        return function(array, config) if name.startswith(names) else array

    return tensor


def _blocks_transposed(array, config):
    return array.reshape(config.cell.stacked, *[config.hidden_size] * 2).swapaxes(1, 2).reshape(array.shape)


def _reread(array, config):
    return array.reshape(array.shape[1], array.shape[0]).T


def _orders(config):
    gates = config.cell.gates
    return [
        Change("gate order", f"gates stacked {', '.join(order)}{_of(order=order)}", tensor=_ordered(order))
        for order in map("".join, permutations(gates))
        if order != gates
    ]


def _ordered(order):
    return lambda name, array, config: reorder(array, order, config.cell.gates)


def _z_senses(config):
    if "z" not in config.cell.gates or not all(negatable(group[0]) for group in config.activations):
        return []
    text = f"z in the other sense, h' = (1 - z) h + z n{_of(z_keeps=False)}"
    return [Change("z", text, tensor=lambda name, array, config: negate_z(array))]


def _forget_biases(config):
    """What a system adds to an LSTM's forget gate when it runs, forgotten, or added where the weights have it."""
    if "f" not in config.cell.gates:
        return []
    adders = " and ".join(convention.name for convention in CONVENTIONS.values() if convention.forget)
    texts = {
        1: f"1 added to the bias of the forget gate, as {adders} add it when they run",
        -1: "1 taken from the bias of the forget gate, to which it was added twice",
    }
    return [
        Change("forget bias", text, tensors=_forgetting(amount), config=(("bias", True),))
        for amount, text in texts.items()
    ]


def _forgetting(amount):
    def function(tensors, config):
        changed = dict(tensors)
        for _, _, suffix in config.directions():
            zeros = np.zeros_like(tensors[f"weight_ih_{suffix}"][:, 0])
            b, c = (tensors.get(f"bias_{part}_{suffix}", zeros) for part in ("ih", "hh"))
            changed |= {f"bias_ih_{suffix}": add_to_forget(b, config.cell, amount), f"bias_hh_{suffix}": c}
        return changed

    return function


def _biases(config):
    """Where it matters which is which."""
    if not config.bias or "reset_after" not in config.cell.options:
        return []
    return [Change("biases", "bias_ih and bias_hh exchanged", rename=_other_bias)]


def _reset(config):
    if "reset_after" not in config.cell.options:
        return []
    after = not config.reset_after
    place = f"{'after' if after else 'before'} the recurrent product"
    text = f"the reset gate {place}, reset_after={after}{_of(3, reset_after=after, z_keeps=True)}"
    return [Change("reset", text, config=(("reset_after", after),))]


def _activations(config):
    """Sigmoid, and the hard sigmoids that go by one name; an RNN's tanh or relu."""
    if not config.cell.shares:
        return [
            Change("activation", f"the nonlinearity {name}", config=(("activations", name),))
            for name in ("tanh", "relu")
            if all(item.name != name for (item,) in config.activations)
        ]
    known = {"sigmoid": Activation("sigmoid")}
    for slope, its in hard_sigmoids().items():
        known[f"hard_sigmoid of slope {slope:.3g} ({its})"] = activation(("hard_sigmoid", slope, 0.5))
    if any(group[0] not in known.values() for group in config.activations):
        return []
    return [
        Change("activation", f"{text} for the gates", config=(("activations", groups),))
        for text, f in known.items()
        if (groups := tuple((f, *group[1:]) for group in config.activations)) != config.activations
    ]


def _directions(config):
    if config.bidirectional:
        return [Change("direction", "the two directions' weights exchanged", rename=_other_direction)]
    texts = {
        (False, False): "the sequence read forwards",
        (True, False): "the sequence read backwards, reverse=True",
        (False, True): "the sequence read backwards and the output left in that order, go_backwards=True",
    }
    now = (config.reverse, config.go_backwards)
    return [
        Change("direction", text, config=(("reverse", reverse), ("go_backwards", go_backwards)))
        for (reverse, go_backwards), text in texts.items()
        if (reverse, go_backwards) != now
    ]


def layouts(batch_first):
    """The changes of how the axes of x and y are read."""
    here, there = ("(N, T, I)", "(T, N, I)") if batch_first else ("(T, N, I)", "(N, T, I)")
    text = f"x read as {there}, batch_first={not batch_first}"
    return [
        Change("layout", text, config=(("batch_first", not batch_first),)),
        Change("layout", f"y_expected's first two axes exchanged, since x is {here} and it is not", swap_y=True),
    ]
