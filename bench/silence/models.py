"""Models without biases, whose states die away in silence: drawn with a memory of a given length, or trained."""

from dataclasses import replace

import numpy as np

import cgru
from bench.audio import learner
from bench.silence.settings import HIDDEN, MEMORY

KINDS = ("gru", "lstm", "rnn", "rnn relu")


def as_drawn(kind, hidden_size=HIDDEN, seed=0):
    """A layer over one feature with PyTorch's first weights, float32."""
    name, _, nonlinearity = kind.partition(" ")
    options = {"nonlinearity": nonlinearity} if nonlinearity else {}
    return getattr(cgru, name.upper())(1, hidden_size, bias=False, rng=np.random.default_rng(seed), **options)


def remembering(kind, memory=MEMORY, hidden_size=HIDDEN, seed=0):
    """The same, and each unit takes part of itself into its new value: a small state shrinks by `memory` a step.

    Where h is small, all gates are one half, and a step is linear: its largest eigenvalue is what becomes of the state.
    An RNN with relu gets the weights that one with tanh has.
    """
    model = as_drawn(kind.split()[0], hidden_size, seed)
    low, high = 0.0, 4.0
    for _ in range(60):
        share = (low + high) / 2
        if slowest(_shifted(model, share)) < memory:
            low = share
        else:
            high = share
    options = {"nonlinearity": "relu"} if kind.endswith("relu") else {}
    return _shifted(model, low, np.float32, **options)


def _shifted(model, share, dtype=np.float64, **options):
    """With `share` added to the weight from each unit to its own new value: n of a GRU, g of an LSTM."""
    state, H = model.state_dict(), model.hidden_size
    U = state["weight_hh_l0"].astype(dtype)
    first = 0 if isinstance(model, cgru.RNN) else 2 * H
    U[first : first + H] += share * np.eye(H, dtype=dtype)
    return type(model).from_state_dict(state | {"weight_hh_l0": U}, dtype=dtype, **options)


def slowest(model):
    """The largest absolute eigenvalue of a step from a state of zeros."""
    zeros = np.zeros(model.hidden_size)
    hx = (zeros, zeros) if isinstance(model, cgru.LSTM) else zeros
    J = model.jacobian(np.zeros(model.input_size), hx)
    return float(np.abs(np.linalg.eigvals(J)).max())


def remembering_network(memory=MEMORY, hidden_size=HIDDEN, seed=0):
    """A GRU that remembers and a Linear, with a skip: an amplifier's form."""
    head = cgru.Linear(hidden_size, 1, bias=False, rng=np.random.default_rng([seed, 1]))
    return cgru.Sequential([remembering("gru", memory, hidden_size, seed), head], skip=True)


def trained(settings, on_step=lambda esr: None):
    """The amplifier of bench/audio, learnt by a network without biases; and its error (ESR) on other sound."""
    net, found, _ = learner.train(replace(settings, bias=False), on_step)
    return net, found["esr"][-1]


def with_weights(model, weight_dtype):
    """The same with weights in 16 or 8 bits."""
    return model if weight_dtype == "float32" else model.quantize(weight_dtype)


# ---- states, as flat as they can be


def planes(state):
    """The arrays of a stream's state: of a layer's h, an LSTM's pair, a network's tuple of these."""
    return [plane for part in state for plane in planes(part)] if isinstance(state, tuple) else [state]


def largest(state):
    """The largest absolute number of a state."""
    return max(float(np.abs(plane).max()) for plane in planes(state))


def scaled(state, level):
    """The state with `level` as its largest absolute number."""
    if isinstance(state, tuple):
        top = largest(state)
        return tuple(_times(part, level, top) for part in state)
    return _times(state, level, largest(state))


def _times(state, level, top):
    if isinstance(state, tuple):
        return tuple(_times(part, level, top) for part in state)
    return (state.astype(np.float64) / top * level).astype(state.dtype)
