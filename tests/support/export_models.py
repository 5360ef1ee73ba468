"""Models whose C is tested: every cell, weight type and option, all activations, and sizes that fill no vector.

Each is (name, network); the name is a C identifier. Sizes differ, biases and initial states are not
zero, weights random.
"""

import numpy as np

import cgru
from cgru.activations import DEFAULTS
from cgru.config import Config
from support.models import network
from support.networks import random_chain, random_weights

WEIGHTS = ("float32", "bfloat16", "int8")
#: Cells by name: kind, options of `Config`.
CELLS = {
    "gru": ("gru", {}),
    "early": ("gru", {"reset_after": False}),
    "lstm": ("lstm", {}),
    "rnn": ("rnn", {}),
    "relu": ("rnn", {"activations": "relu"}),
}
#: Activations whose parameters are not the usual ones, and softmax, for Linears.
OTHERS = (("hard_sigmoid", 1 / 6, 0.5), ("linear", 1.5, -0.25), ("leaky_relu", 0.2), ("elu", 0.7),
          ("scaled_tanh", 1.7, 0.6), "softmax")  # fmt: skip


def recurrent(kind, I, H, seed=0, weights="float32", **options):  # noqa: E741
    """A model of float32 or of quantised weights."""
    config = Config(input_size=I, hidden_size=H, kind=kind, **options)
    found = network(kind).from_weights(
        random_weights(np.random.default_rng([seed, I, H]), config, np.float32), "packed"
    )
    return found if weights == "float32" else found.quantize(weights)


def linear(I, O, seed=0, **options):  # noqa: E741
    """A Linear on the engine whose bits are promised."""
    return cgru.Linear(I, O, rng=seed, engine="packed", **options)


def cells():
    """Every cell in every type of weights, some stacked, some with I = O."""
    found = []
    for seed, (name, (kind, options)) in enumerate(CELLS.items()):
        for more, weights in enumerate(WEIGHTS):
            layers = 1 + (seed + more) % 2
            I, H = (19, 19) if (seed + more) % 3 == 0 else (3 + seed, 7 + 2 * seed + more)  # noqa: E741
            one = recurrent(kind, I, H, seed, weights, num_layers=layers, **options)
            found.append((f"{name}_{weights}", one))
    return found


def options():
    """Each option by itself, and networks."""
    found = [
        ("clipped", recurrent("gru", 3, 5, clip=0.75)),
        ("clipped_lstm", recurrent("lstm", 3, 5, clip=0.5, activations=("sigmoid", "softplus"))),
        ("clipped_rnn", recurrent("rnn", 4, 6, clip=1.5, activations=("hard_sigmoid", 0.25, 0.375))),
        ("clipped_early", recurrent("gru", 2, 18, clip=0.6, reset_after=False, weights="bfloat16")),
        ("starts", recurrent("gru", 3, 5, num_layers=2, initial_state=True)),
        ("starts_lstm", recurrent("lstm", 4, 3, num_layers=2, initial_state=True)),
        ("starts_int8", recurrent("rnn", 5, 9, initial_state=True, weights="int8")),
        ("unbiased", recurrent("gru", 3, 5, num_layers=2, bias=False)),
        ("unbiased_lstm", recurrent("lstm", 3, 17, bias=False, weights="int8")),
        ("sideways", recurrent("gru", 3, 5, batch_first=True)),
        ("deep", recurrent("gru", 2, 4, num_layers=4)),
        ("mixed", recurrent("gru", 5, 20, num_layers=3).quantize("int8", layers=[0]).quantize("bfloat16", layers=[2])),
    ]
    return found + networks()


def networks():
    """Chains with Linears, skips, a softmax, several recurrent layers."""
    amplifier = cgru.Sequential([recurrent("gru", 1, 40), linear(40, 1, 1)], skip=True)
    spotter = cgru.Sequential(
        [linear(10, 8, activation="relu"), recurrent("gru", 8, 12), recurrent("lstm", 12, 9, initial_state=True),
         linear(9, 6, 1, activation="softmax")], last=True,
    )  # fmt: skip
    policy = cgru.Sequential(
        [recurrent("lstm", 6, 21, weights="int8"), linear(21, 4, 2, bias=False, activation="tanh")]
    )
    skipping = cgru.Sequential([recurrent("rnn", 7, 33), linear(33, 3, 3)], skip=True)
    diagonal = cgru.Sequential([
        cgru.Linear.normalizer(np.arange(1.0, 6.0), np.linspace(0.5, 2, 5)), recurrent("gru", 5, 8, weights="bfloat16"),
    ])  # fmt: skip
    square = cgru.Sequential([linear(5, 17, 4, activation="gelu"), recurrent("gru", 17, 5)], skip=True)
    return [
        ("amplifier", amplifier), ("spotter", spotter), ("policy", policy), ("skipping", skipping), ("square", square),
        ("diagonal", diagonal), ("alone", linear(9, 20, 5)), ("narrow", linear(3, 1, 6, bias=False)),
    ]  # fmt: skip


def kinds():
    """Of these what has code of its own: each cell, type of weights, way of starting and of ending."""
    wanted = ("gru_float32", "early_int8", "lstm_bfloat16", "rnn_int8", "relu_float32", "clipped_lstm", "amplifier",
              "spotter", "diagonal")  # fmt: skip
    return [(name, network) for name, network in cells() + options() if name in wanted]


def activations():
    """Each activation in each place that can have it."""
    names = list(DEFAULTS)
    found = []
    for number, name in enumerate(names):
        after = names[(number + 5) % len(names)]
        found.append((f"gru_{name}_{after}", recurrent("gru", 3, 5, number, activations=(name, after))))
        third = names[(number + 3) % len(names)]
        found.append((f"lstm_{name}", recurrent("lstm", 4, 6, number, activations=(name, after, third), clip=4.0)))
        found.append((f"rnn_{name}", recurrent("rnn", 3, 18, number, activations=name)))
    for number, activation in enumerate((*names, *OTHERS)):
        name = activation if isinstance(activation, str) else activation[0] + "_other"
        found.append((f"linear_{name}", linear(4, 19, number, activation=activation)))
    for number, activation in enumerate(OTHERS[:-1]):
        found.append((f"early_{activation[0]}_other", recurrent(
            "gru", 3, 17, number, reset_after=False, activations=("sigmoid", activation))))  # fmt: skip
    return found


def sizes():
    """Sizes from 1 to 70, each remainder of 16 among them, the cells and weights taking turns."""
    hidden = [1, 2, 3, 5, 6, 8, 10, 11, 13, 15, 16, 17, 20, 23, 25, 28, 30, 31, 32, 33, 36, 39, 41, 45, 47, 48, 49, 56,
              58, 63, 64, 65, 67, 70]  # fmt: skip
    names, found = list(CELLS), []
    for number, H in enumerate(hidden):
        name = names[number % len(names)]
        weights = WEIGHTS[number % 3]
        kind, given = CELLS[name]
        I = 1 + (H * 37 + 11 * number) % 70  # noqa: E741
        found.append((f"{name}_{I}_{H}_{weights}", recurrent(kind, I, H, number, weights, **given)))
    return found


def chains():
    """Random networks of one to four layers, as far as they run forwards."""
    rng, found = np.random.default_rng(11), []
    while len(found) < 12:
        around = {"skip": bool(rng.integers(2)), "last": (False, True, "h_n")[rng.integers(3)]}
        chain = random_chain(rng, int(rng.integers(1, 5)), special=True, dtype=np.float32, **around)
        if all(layer.config.one_way for layer in chain.layers):
            found.append((f"chain{len(found)}", cgru.Sequential.from_chain(chain)))
    return found


def generator():
    """Random numbers, the same ones each time."""
    return np.random.default_rng(7)


def inputs(rng, network, steps=13):
    """Requests of a model: x of every kind of number, by name."""
    I = network.input_size  # noqa: E741
    x = rng.normal(size=(steps, I)).astype(np.float32)
    x[rng.random(x.shape) < 0.1] = 0.0
    x[rng.random(x.shape) < 0.1] = -0.0
    small = (x * np.float32(1e-39)).astype(np.float32)
    wide = (x * 10.0 ** rng.uniform(-30, 30, x.shape)).astype(np.float32)
    broken = x.copy()
    broken[steps // 2, rng.integers(I)] = rng.choice([np.nan, np.inf, -np.inf])
    return {
        "random": x, "large": x * np.float32(20), "subnormal": small, "wide": wide, "broken": broken,
        "infinite": np.where(rng.random(x.shape) < 0.2, np.float32(-np.inf), x).astype(np.float32),
        "zero": np.zeros((40, I), np.float32),
        "fading": np.concatenate([x[:3], np.zeros((300, I), np.float32)]), "empty": x[:0], "one": x[:1],
    }  # fmt: skip
