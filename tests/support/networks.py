"""What tests of whole networks share: random ones, and running them."""

import numpy as np

import cgru
from cgru.activations import DEFAULTS
from cgru.chain import Chain
from cgru.config import Config
from cgru.weights import Weights, linear_weights
from support.models import float32_values

#: What a Linear's output may go through.
ACTIVATIONS = [*DEFAULTS, "softmax", ("linear", 1.5, -0.25), ("hard_sigmoid", 1 / 6, 0.5), ("scaled_tanh", 1.7, 0.6),
               ("elu", 0.7), ("leaky_relu", 0.2)]  # fmt: skip
#: Options of recurrent layers that torch.nn has not.
SPECIAL = {
    "gru": [
        {"reset_after": False}, {"clip": 0.75}, {"go_backwards": True, "num_layers": 2}, {"go_backwards": True},
        {"bidirectional": True, "merge_mode": "ave"}, {"activations": ("hard_sigmoid", "relu")}, {"reverse": True},
    ],
    "lstm": [{"bidirectional": True, "merge_mode": "mul"}, {"reverse": True, "num_layers": 2}, {"go_backwards": True}],
    "rnn": [{"bidirectional": True, "merge_mode": "sum"}, {"activations": "softsign"}, {"go_backwards": True}],
}  # fmt: skip


def run_chain(chain, x, hx=None, lengths=None):
    """y and the tuple of final states of the network that a `Chain` is."""
    return cgru.Sequential.from_chain(chain)(x, hx, lengths=lengths)


def random_weights(rng, config, dtype=np.float32):
    """Parameters of any configuration, biases and stored states not zero."""
    bound = np.sqrt(max(config.hidden_size, config.input_size))
    tensors = {name: float32_values(rng.uniform(-1, 1, shape) / bound * 2) for name, shape in config.parameters()}
    return Weights(config, tensors, dtype)


def random_chain(rng, count, *, special=False, dtype=np.float32, **around):
    """A network of `count` layers of random kinds, sizes and options; with `special` also those not in torch.nn."""
    layers, features = [], int(rng.integers(2, 8))
    for _ in range(count):
        kind, size = str(rng.choice(["gru", "lstm", "rnn", "linear", "linear"])), int(rng.integers(2, 8))
        if kind == "linear":
            activation = ACTIVATIONS[rng.integers(len(ACTIVATIONS))]
            bias = float32_values(rng.normal(size=size)) if rng.integers(3) else None
            weight = float32_values(rng.normal(size=(size, features)))
            layers.append(linear_weights(weight, bias, activation, dtype=dtype))
        else:
            if special and rng.integers(2):
                options = dict(SPECIAL[kind][rng.integers(len(SPECIAL[kind]))])
            else:
                options = {"num_layers": int(rng.integers(1, 3)), "bidirectional": bool(rng.integers(2))}
            options |= {"bias": bool(rng.integers(3)), "initial_state": bool(rng.integers(2))}
            config = Config(input_size=features, hidden_size=size, kind=kind, **options,
                            batch_first=around.get("batch_first", False))  # fmt: skip
            layers.append(random_weights(rng, config, dtype))
        features = layers[-1].config.output_size
    return Chain(layers, **_fitting(layers, around))


def _fitting(layers, around):
    """Without what these layers cannot have."""
    around = dict(around)
    if around.get("last") == "h_n" and not any(layer.config.recurrent for layer in layers):
        around["last"] = True
    if layers[-1].config.output_size > layers[0].config.input_size:
        around.pop("skip", None)
    return around


def random_hx(rng, chain, rows, dtype=np.float32):
    """A state of every recurrent layer of a network, for `rows` rows."""
    found = []
    for number in chain.recurrent:
        config = chain.layers[number].config
        shape = (config.num_layers * config.num_directions, rows, config.hidden_size)
        planes = tuple(rng.normal(size=shape).astype(dtype) for _ in config.cell.states)
        found.append(planes if len(planes) > 1 else planes[0])
    return tuple(found)


def planes_of(hx):
    """The arrays in a network's states, in their order."""
    return [plane for state in hx for plane in (state if isinstance(state, tuple) else (state,))]
