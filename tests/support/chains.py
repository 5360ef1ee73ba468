"""Networks: recipes that tests run over, random ones built of them, and the oracle of a Linear and of a chain.

The oracle is NumPy in float64, on reference.py and functions.py; tests/oracle/ proves it with PyTorch and by hand.
"""

from dataclasses import dataclass, field

import numpy as np

import cgru
from cgru.chain import Chain
from cgru.config import Config
from cgru.weights import Weights
from support import functions, reference
from support.models import MERGES, Configuration, oracle, pack

# ----------------------------------------------------------------------------------------------- recipes


@dataclass(frozen=True)
class Dense:
    """A Linear with `size` outputs."""

    size: int
    activation: object = "linear"
    bias: bool = True
    diagonal: bool = False

    kind = "linear"

    def fields(self):
        """As fields of `Config`."""
        return {"kind": "linear", "bias": self.bias, "activations": self.activation}


@dataclass(frozen=True, eq=False)
class Cells(Configuration):
    """A recurrent layer with `size` hidden units."""

    size: int = 0

    @property
    def directions(self):
        """1 or 2."""
        return 1 + self.options.get("bidirectional", False)

    def width(self):
        """Features of its y."""
        return self.size * (self.directions if self.options.get("merge_mode", "concat") == "concat" else 1)


def cells(kind, size, **options):
    """A recurrent layer."""
    return Cells(kind, kind, options, size=size)


@dataclass(frozen=True, eq=False)
class Recipe:
    """A network without its numbers."""

    name: str
    input_size: int
    layers: tuple
    options: dict = field(default_factory=dict)     # last, skip, batch_first

    def __str__(self):
        return self.name

    @property
    def recurrent(self):
        """The recurrent layers."""
        return [layer for layer in self.layers if layer.kind != "linear"]

    @property
    def streams(self):
        """Whether a stream can compute it."""
        return all(layer.streams for layer in self.recurrent)

    @property
    def in_pytorch(self):
        """Whether torch.nn has all of its recurrent layers."""
        return all(layer.in_pytorch for layer in self.recurrent)

    @property
    def batch_first(self):
        """Whether x is (N, T, I)."""
        return self.options.get("batch_first", False)


RECIPES = [
    Recipe("amplifier", 1, (cells("gru", 40), Dense(1)), {"skip": True}),
    Recipe("spotter", 10, (Dense(13, "relu"), cells("gru", 17), cells("gru", 19, reset_after=False), Dense(11, "elu"),
                           Dense(5, "softmax"))),
    Recipe("policy", 7, (Dense(7, diagonal=True), cells("gru", 24), Dense(33, ("elu", 0.7)), Dense(18, "silu", False),
                         Dense(3))),
    Recipe("both ways", 5, (cells("lstm", 9, num_layers=2, bidirectional=True), Dense(21, "tanh"), Dense(4)),
           {"skip": True}),
    Recipe("batch first", 6, (cells("rnn", 13, nonlinearity="relu", batch_first=True),
                              cells("lstm", 16, batch_first=True), Dense(2, "gelu")),
           {"batch_first": True, "skip": True}),
    Recipe("softmax inside", 4, (Dense(21, "softmax"), cells("rnn", 8, bias=False), Dense(9, "gelu_tanh"),
                                 cells("gru", 5))),
    Recipe("last", 3, (cells("gru", 12, bidirectional=True), Dense(14, "sigmoid"), Dense(6, "softmax")),
           {"last": True}),
    Recipe("last, skip", 9, (Dense(10, "softplus"), cells("lstm", 15), Dense(8, "leaky_relu")),
           {"last": True, "skip": True}),
    Recipe("last of Linears", 5, (Dense(17, "hard_sigmoid"), Dense(6, "softsign")), {"last": True}),
    Recipe("h_n, both ways", 6, (Dense(4), cells("lstm", 11, num_layers=2, bidirectional=True), Dense(7, "silu")),
           {"last": "h_n"}),
    Recipe("h_n, nothing behind", 5, (cells("rnn", 7, batch_first=True),
                                   cells("gru", 10, bidirectional=True, batch_first=True)),
           {"last": "h_n", "batch_first": True}),
    Recipe("h_n, merged", 4, (cells("gru", 9, bidirectional=True, merge_mode="ave"), Dense(5, "tanh")),
           {"last": "h_n"}),
    Recipe("h_n, reversed", 5, (cells("lstm", 8, reverse=True), Dense(3, ("scaled_tanh", 1.7, 0.6))),
           {"last": "h_n", "skip": True}),
    Recipe("stored states", 3, (cells("gru", 6, initial_state=True, num_layers=2), Dense(11, "relu"),
                                cells("lstm", 9, initial_state=True))),
    Recipe("activations and clip", 5, (cells("gru", 12, activations=(("hard_sigmoid", "silu"),), clip=1.5),
                                       Dense(7, ("linear", 0.5, 0.25)), cells("rnn", 6, nonlinearity="gelu"))),
]  # fmt: skip


def recipes(**wanted):
    """Those with these values of attributes: streams, in_pytorch, name, ..."""
    return [one for one in RECIPES if all(getattr(one, name) == value for name, value in wanted.items())]


#: Each activation of a Linear, with its defaults and with other parameters; float32 numbers.
ACTIVATIONS = [
    *functions.ACTIVATIONS, ("hard_sigmoid", 0.25, 0.375), ("linear", -0.75, 0.125), ("leaky_relu", 0.25), ("elu", 1.5),
    ("scaled_tanh", 1.7159, 0.6667), "softmax",
]  # fmt: skip

# ---------------------------------------------------------------------------------------- random networks


def draw_chain(recipe, dtype=np.float64, seed=0):
    """A `Chain` with random parameters, float32 numbers in any dtype."""
    rng = np.random.default_rng([seed, recipe.input_size, len(recipe.name)])
    layers, features = [], recipe.input_size
    for layer in recipe.layers:
        config = Config(input_size=features, hidden_size=layer.size, **layer.fields())
        tensors = {name: rng.uniform(-1, 1, shape) / np.sqrt(layer.size) for name, shape in config.parameters()}
        if layer.kind == "linear":
            tensors = {name: array * np.sqrt(layer.size / features) * 2 for name, array in tensors.items()}
            if layer.diagonal:
                tensors["weight"] = np.diag(rng.uniform(0.5, 1.5, layer.size))
        tensors = {name: array.astype(np.float32).astype(dtype) for name, array in tensors.items()}
        layers.append(Weights(config, tensors))
        features = config.output_size
    return Chain(tuple(layers), **recipe.options)


def network_of(variant, recipe, seed=0):
    """A `cgru.Sequential` on a variant's engine and instruction set, in its dtype and weights."""
    with variant.selected():
        net = cgru.Sequential.from_chain(draw_chain(recipe, variant.dtype, seed), variant.engine)
        return net.quantize(variant.weights) if variant.quantizes else net


def draw_input(recipe, rng, T, N, dtype=np.float64):
    """x in the network's layout, and a state for each recurrent layer: random float32 numbers."""

    def numbers(array):
        return array.astype(np.float32).astype(dtype)

    x = numbers(rng.normal(size=(N, T, recipe.input_size) if recipe.batch_first else (T, N, recipe.input_size)))
    return x, tuple(
        pack([numbers(rng.uniform(-1, 1, (layer.options.get("num_layers", 1) * layer.directions, N, layer.size)))
              for _ in layer.cell.states])
        for layer in recipe.recurrent
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------- the oracle


def linear(x, weight, bias=None, activation="linear", *, dtype=np.float64, affine=reference.affine):
    """f(x W^T + b), x (..., I); parameters of activations are rounded to `dtype`."""
    x, weight = np.asarray(x, np.float64), np.asarray(weight, np.float64)
    bias = np.zeros(len(weight)) if bias is None else np.asarray(bias, np.float64)
    a = affine(x.reshape(-1, x.shape[-1]), weight, bias).reshape(*x.shape[:-1], len(weight))
    return functions.activation(activation, dtype)(a)


def of_layer(tensors, number):
    """The parameters of a layer, out of those of the network: "0.weight" is "weight" of 0."""
    return {name.partition(".")[2]: a for name, a in tensors.items() if name.partition(".")[0] == str(number)}


def chain(recipe, tensors, x, hx=None, lengths=None, *, dtype=np.float64, affines=None):
    """What a network computes: y, and for each recurrent layer the planes of its final state.

    x in its layout; `affines` holds for each layer the products, where weights are quantised.
    """
    x = np.asarray(x, np.float64)
    x = x.swapaxes(0, 1) if recipe.batch_first else x
    T, N = x.shape[:2]
    lengths = np.full(N, T) if lengths is None else np.asarray(lengths)
    valid = np.arange(T)[:, None] < lengths
    affines = [reference.affine] * len(recipe.layers) if affines is None else affines
    last, given, finals = recipe.options.get("last", False), iter(hx or [None] * len(recipe.recurrent)), []
    behind = _first_behind(recipe)
    y = x
    for number, (layer, affine) in enumerate(zip(recipe.layers, affines, strict=True)):
        if last and number == behind:
            y, valid = _one_step(recipe, y, finals, lengths), (lengths > 0)[None]
        own = of_layer(tensors, number)
        if layer.kind == "linear":
            y = linear(y, own["weight"], own.get("bias"), layer.activation, dtype=dtype, affine=affine)
            y = np.where(valid[:, :, None], y, 0.0)
        else:
            plain = Configuration(layer.kind, layer.name, layer.options | {"batch_first": False})
            y, final = oracle(plain, own, y, next(given), lengths, dtype=dtype, affine=affine)
            finals.append(final)
    if last and behind == len(recipe.layers):
        y = _one_step(recipe, y, finals, lengths)
    if last:
        x, valid = _at_the_end(x, lengths), (lengths > 0)[None]
        y = np.where(valid[:, :, None], y, 0.0)
    if recipe.options.get("skip"):
        y = y + np.where(valid[:, :, None], x[:, :, : y.shape[2]], 0.0)
    if last:
        return y[0], tuple(finals)
    return y.swapaxes(0, 1) if recipe.batch_first else y, tuple(finals)


def _first_behind(recipe):
    """The place of the first layer behind the last recurrent one."""
    places = [number for number, layer in enumerate(recipe.layers) if layer.kind != "linear"]
    return places[-1] + 1 if places else 0


def _at_the_end(x, lengths):
    """Each row's last valid step of x (T, N, features), as (1, N, features); zeros of a row without steps."""
    ends = [x[length - 1, row] if length else np.zeros(x.shape[2]) for row, length in enumerate(lengths)]
    return np.array(ends).reshape(1, *x.shape[1:])


def _one_step(recipe, y, finals, lengths):
    """What the layers behind the last recurrent one see."""
    if recipe.options["last"] is True:
        return _at_the_end(y, lengths)
    layer, h_n = recipe.recurrent[-1], finals[-1][0]
    if layer.directions == 1:
        return h_n[-1:]
    return MERGES[layer.options.get("merge_mode", "concat")](h_n[-2], h_n[-1])[None]
