"""A network's pass: layers one after the other, the last step, the skip connection, threads."""

from functools import partial
from typing import NamedTuple

import numpy as np

from cgru.chain import is_network, naming_layer
from cgru.checks import output_array, refuse_overlap
from cgru.forward import Inputs, checked_lengths, checked_x, initial_states, run
from cgru.layers import merge
from cgru.layout import Layout
from cgru.staged import run_models, shares
from cgru.threads import over_rows, thread_count


class ChainInputs(NamedTuple):
    """What a pass reads, checked.

    Attributes
    ----------
    x : ndarray
        (T, N, I); a view of the caller's where that was possible.
    states : tuple of tuple of ndarray
        For each layer the planes of its initial state, new arrays (L*D, N, H); empty of a Linear.
    lengths : ndarray or None
        (N,) intp.
    layout : Layout
        Of the caller's x.
    """

    x: np.ndarray
    states: tuple[tuple[np.ndarray, ...], ...]
    lengths: np.ndarray | None
    layout: Layout

    def shape(self, net):
        """Of the caller's y."""
        T, N = self.x.shape[:2]
        if net.chain.last is False:
            return self.layout.shape(T, N, net.chain.output_size)
        return self.layout.row_shape(N, net.chain.output_size)


def parts(model):
    """The models that a network, or a single model, consists of."""
    return model.layers if is_network(model) else (model,)


def states_of(model, hx, N, batched=True, name="hx", out=None):
    """For each of `parts` the planes of its initial state, new arrays (L*D, N, H), from what the caller gave."""
    if not is_network(model):
        return (initial_states(model.weights, hx, N, batched, name, out),)
    places = model.chain.recurrent
    if hx is None:
        hx = (None,) * len(places)
    if not isinstance(hx, tuple | list) or len(hx) != len(places):
        got = f"{len(hx)} of them" if isinstance(hx, tuple | list) else type(hx).__name__
        kinds = ", ".join(f"layer {k} ({model.layers[k].config.cell.name})" for k in places) or "none"
        raise (ValueError if isinstance(hx, tuple | list) else TypeError)(
            f"{name} must be a tuple with the state of each recurrent layer, here {kinds}; got {got}"
        )
    given, found = dict(zip(places, hx, strict=True)), []
    for number, layer in enumerate(model.layers):
        with naming_layer(number, layer.config):
            found.append(initial_states(layer.weights, given[number], N, batched, name, out) if number in given else ())
    return tuple(found)


def as_given(model, states, form):
    """The caller's form of `states_of`."""
    if not is_network(model):
        return form.state(states[0])
    return tuple(form.state(planes) for planes in states if planes)


def run_steps(model, x, y, states, form):
    """All steps of x (T, N, I) into y, in the caller's layout, whatever `last` says; states become the final ones."""
    if is_network(model):
        run_chain(model, x, form.time_major(y), states, select=False)
    else:
        run(model, Inputs(x, states[0], None, form), y)


def prepare(net, x, hx=None, lengths=None, out=None):
    """Check what a caller passes in; nothing is computed or written yet."""
    chain = net.chain
    x, form = checked_x(x, chain.dtype, chain.input_size, chain.batch_first)
    inputs = ChainInputs(x, (), None, form)
    if out is not None:
        output_array(out, chain.dtype, inputs.shape(net))
        refuse_overlap(out, "x", x)
    states = states_of(net, hx, x.shape[1], form.batched, out=out)
    if lengths is not None:
        _check_padding(chain)
    return ChainInputs(x, states, None if lengths is None else checked_lengths(lengths, x, form), form)


def _check_padding(chain):
    """Refuse lengths where something would read the y of a layer whose padding stands in front."""
    for number, layer in enumerate(chain.layers):
        config = layer.config
        alone = number == len(chain.layers) - 1 and chain.last is False and not chain.skip
        by_state = chain.last == "h_n" and number + 1 == chain.selects
        if config.leaves_reversed and not (alone or by_state):
            raise ValueError(
                f"layer {number} ({config.cell.name}) has go_backwards=True: with lengths the padding of its y stands "
                "in front, and what follows looks for it at the end; call the network on each row without lengths"
            )


def call(net, x, hx, lengths, out, threads):
    """y and the final states, in the caller's form; see `Sequential.__call__`."""
    if type(threads) is not int or threads < 1:
        threads = thread_count(threads)
    inputs = prepare(net, x, hx, lengths, out)
    y = np.empty(inputs.shape(net), net.chain.dtype) if out is None else out
    run_rows(net, inputs, steps_of(net, inputs, y), threads)
    return y, as_given(net, inputs.states, inputs.layout)


def steps_of(net, inputs, y):
    """The caller's y as (T, N, O), or (1, N, O) where it has one step alone."""
    if net.chain.last is False:
        return inputs.layout.time_major(y)
    return y.reshape(1, -1, net.chain.output_size)


def run_rows(net, inputs, y, threads=1):
    """`run_chain`, the threads shared out."""
    x, states, lengths, _ = inputs
    if threads == 1:
        run_chain(net, x, y, states, lengths)
        return
    selects = net.chain.selects
    models = net.layers if selects is None else net.layers[:selects]
    groups, inside = shares(models, x, lengths, threads)
    if groups == 1:
        run_chain(net, x, y, states, lengths, threads=inside)
    else:
        over_rows(partial(run_chain, net, threads=inside), groups, x, y, states, lengths)


def run_chain(net, x, y, states, lengths=None, *, select=True, threads=1):
    """All layers, x (T, N, I) to y (T, N, O), or with the network's `last` and `select` to y (1, N, O).

    What stands past a row's length is zero, as is the last step of a row without steps.
    """
    chain = net.chain
    selects = chain.selects if select else None
    if selects is None:
        run_models(net.layers, x, y, states, lengths, threads)
    else:
        below = x
        if selects:
            below = np.empty((*x.shape[:2], net.layers[selects - 1].config.output_size), x.dtype)
            run_models(net.layers[:selects], x, below, states[:selects], lengths, threads)
        below = last_steps(net, below, states, lengths)
        if selects == len(net.layers):
            y[...] = below
        else:
            run_models(net.layers[selects:], below, y, states[selects:])
    finish(chain, x, y, lengths, selects is not None)


def last_steps(net, y, states, lengths):
    """(1, N, features): what the layers behind the last recurrent one see of its y (T, N, features)."""
    if net.chain.last is True:
        return last_of(y, lengths)
    number = net.chain.recurrent[-1]
    config = net.layers[number].config
    final = states[number][0][-config.num_directions :]
    if config.merge_mode == "concat":
        return np.concatenate(list(final), axis=-1)[None]
    merged = np.empty_like(final[:1])
    merge(final[0], final[1], config.merge_mode, merged[0])
    return merged


def last_of(array, lengths):
    """(1, N, features) of an array (T, N, features): each row's last valid step; anything of a row without steps."""
    T, N = array.shape[:2]
    if T == 0:
        return np.zeros((1, *array.shape[1:]), array.dtype)
    return array[-1:] if lengths is None else array[np.maximum(lengths, 1) - 1, np.arange(N)][None]


def steps_of_rows(lengths, T, N):
    """(N,) how many steps each row has."""
    return np.full(N, T) if lengths is None else lengths


def valid_steps(lengths, T):
    """(T, N) whether a step of a row is one of its own."""
    return np.arange(T)[:, None] < lengths


def finish(chain, x, y, lengths, selected):
    """The skip connection; and zeros where a row has no last step."""
    T, N = x.shape[:2]
    if selected:
        steps = steps_of_rows(lengths, T, N)
        y[:, steps == 0] = 0
        x, valid = last_of(x, lengths), (steps > 0)[None, :, None]
    else:
        valid = True if lengths is None else valid_steps(lengths, T)[:, :, None]
    if chain.skip:
        np.add(y, x[:, :, : chain.output_size], out=y, where=valid)
