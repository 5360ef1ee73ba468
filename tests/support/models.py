"""Random models, inputs and states of every kind, and the one list of configurations that tests run over.

Sizes all different, nothing zero, nothing constant.
"""

from dataclasses import dataclass, field

import numpy as np

import cgru
from cgru.cells import CELLS
from cgru.config import Config
from cgru.weights import Weights
from support import reference

# ------------------------------------------------------------------------------------ the configurations

#: Options that torch.nn has not.
OWN = {"reset_after", "activations", "clip", "reverse", "go_backwards", "merge_mode", "initial_state"}


@dataclass(frozen=True, eq=False)
class Configuration:
    """A kind of cell with options of `cgru.config.Config`: a form of its equations in a layout, or a special one."""

    kind: str
    name: str
    options: dict = field(default_factory=dict)
    form: str = ""      # "after", "before"; "tanh", "relu"; "" for special ones
    layout: str = ""    # a key of LAYOUTS; "" for special ones

    def __str__(self):
        return f"{self.kind} {self.name}"

    @property
    def cell(self):
        """Row of the table of cells."""
        return CELLS[self.kind]

    @property
    def streams(self):
        """Whether a stream can compute it: nothing in it waits for steps that are still to come."""
        return not any(self.options.get(name) for name in ("bidirectional", "reverse", "go_backwards"))

    @property
    def quantizes(self):
        """Whether quantised variants run over it: all forms, what weights have a part in, not everything else anew."""
        return self.layout in QUANTIZED_LAYOUTS

    @property
    def in_pytorch(self):
        """Whether torch.nn has it."""
        return not set(self.options) & OWN and self.options.get("nonlinearity", "tanh") in ("tanh", "relu")

    @property
    def constructed(self):
        """Whether the constructor takes all of its options."""
        return "initial_state" not in self.options

    def fields(self):
        """The options as fields of `Config`."""
        options = dict(self.options)
        if "nonlinearity" in options:
            options["activations"] = options.pop("nonlinearity")
        return options | {"kind": self.kind}


LAYOUTS = {
    "one layer": {},
    "two layers": {"num_layers": 2},
    "three layers": {"num_layers": 3},
    "no bias": {"num_layers": 2, "bias": False},
    "batch first": {"batch_first": True},
    "both ways": {"bidirectional": True},
    "both ways, two layers": {"bidirectional": True, "num_layers": 2},
    "both ways, batch first": {"bidirectional": True, "batch_first": True},
}
QUANTIZED_LAYOUTS = "one layer", "no bias", "both ways, two layers"
FORMS = {
    "gru": {"after": {}, "before": {"reset_after": False}},
    "rnn": {"tanh": {}, "relu": {"nonlinearity": "relu"}},
    "lstm": {"ifgo": {}},
}
SPECIAL = {
    "gru": {
        "clip": {"clip": 0.75},
        "hard_sigmoid, relu": {"activations": (("hard_sigmoid", "relu"),), "reset_after": False},
        "softsign, elu": {"activations": (("softsign", "elu"),)},
        "sigmoid, softplus": {"activations": (("sigmoid", "softplus"),), "clip": 2.5},
        "sigmoid, scaled_tanh": {"activations": (("sigmoid", ("scaled_tanh", 1.7, 0.6)),), "reset_after": False},
        "initial state": {"initial_state": True, "num_layers": 2},
        "own activations each way": {
            "activations": (("sigmoid", "tanh"), ("hard_sigmoid", "elu")), "bidirectional": True, "num_layers": 2,
        },
        "sum": {"bidirectional": True, "merge_mode": "sum"},
        "mul, batch first": {"bidirectional": True, "merge_mode": "mul", "batch_first": True},
        "ave": {"bidirectional": True, "merge_mode": "ave"},
        "reverse": {"reverse": True},
        "reverse, two layers, batch first": {"reverse": True, "num_layers": 2, "batch_first": True},
        "go_backwards": {"go_backwards": True},
        "go_backwards, two layers": {"go_backwards": True, "num_layers": 2},
        "three layers, both ways, before": {"num_layers": 3, "bidirectional": True, "reset_after": False},
    },
    "rnn": {
        "initial state": {"initial_state": True, "num_layers": 2},
        "clip": {"clip": 0.75},
        "hard_sigmoid": {"nonlinearity": ("hard_sigmoid", 0.25, 0.375), "clip": 1.5},
        "own nonlinearity each way": {
            "nonlinearity": ("softsign", ("scaled_tanh", 1.7, 0.6)), "bidirectional": True, "num_layers": 2,
        },
        "sum": {"bidirectional": True, "merge_mode": "sum"},
        "reverse, two layers, batch first": {"reverse": True, "num_layers": 2, "batch_first": True},
        "go_backwards, two layers": {"go_backwards": True, "num_layers": 2},
    },
    "lstm": {
        "three layers, both ways": {"num_layers": 3, "bidirectional": True},
        "clip": {"clip": 0.75},
        "hard_sigmoid, relu": {"activations": ("hard_sigmoid", "relu")},
        "softsign, elu, softplus": {"activations": ("softsign", "elu", "softplus"), "clip": 2.5},
        "initial state": {"initial_state": True, "num_layers": 2},
        "own activations each way": {
            "activations": (("sigmoid", "tanh", "linear"), ("hard_sigmoid", "elu", ("elu", 1.7))),
            "bidirectional": True, "num_layers": 2,
        },
        "ave, batch first": {"bidirectional": True, "merge_mode": "ave", "batch_first": True},
        "reverse": {"reverse": True},
        "go_backwards, two layers, batch first": {"go_backwards": True, "num_layers": 2, "batch_first": True},
    },
}  # fmt: skip

#: Everything that changes the path through a model.
CONFIGURATIONS = [
    Configuration(kind, f"{form}, {layout}", form_options | layout_options, form, layout)
    for kind, forms in FORMS.items()
    for form, form_options in forms.items()
    for layout, layout_options in LAYOUTS.items()
] + [
    Configuration(kind, name, options) for kind, special in SPECIAL.items() for name, options in special.items()
]


def options_of(configuration):
    """The options that a state dict does not hold, as `from_state_dict` takes them."""
    inferred = ("num_layers", "bidirectional", "bias", "initial_state")
    return {name: value for name, value in configuration.options.items() if name not in inferred}


def configurations(**wanted):
    """Those with these values of attributes: kind, form, layout, in_pytorch, streams, quantizes, ..."""
    return [one for one in CONFIGURATIONS if all(getattr(one, name) == value for name, value in wanted.items())]


def configuration(kind, name):
    """The one of this name."""
    (found,) = configurations(kind=kind, name=name)
    return found


# ------------------------------------------------------------------------------------------ random numbers


def random_sizes(rng, low=2, high=8):
    """T, N, input_size, H: four different integers from low..high."""
    return (int(size) for size in rng.choice(np.arange(low, high + 1), size=4, replace=False))


def random_state(rng, input_size, H, *, num_layers=1, bidirectional=False, bias=True, kind="gru"):
    """Parameters under PyTorch's names, uniform in +-1/sqrt(H) as PyTorch draws them; float64.

    The values are float32 numbers, so that a cast to float32 changes nothing.
    """
    rows = CELLS[kind].stacked * H
    directions = 2 if bidirectional else 1
    state = {}
    for layer in range(num_layers):
        for suffix in ("", "_reverse")[:directions]:
            shapes = {"weight_ih": (rows, directions * H if layer else input_size), "weight_hh": (rows, H)}
            if bias:
                shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
            for name, shape in shapes.items():
                values = rng.uniform(-1, 1, shape) / np.sqrt(H)
                state[f"{name}_l{layer}{suffix}"] = float32_values(values)
    return state


def float32_values(a):
    """The nearest float32 numbers, as float64."""
    return np.asarray(a, dtype=np.float32).astype(np.float64)


def random_lengths(rng, T, N):
    """N lengths from 1..T in no order, the first one not the longest and the longest T."""
    lengths = rng.integers(1, T + 1, size=N)
    lengths[rng.integers(1, N)] = T
    lengths[0] = rng.integers(1, T)
    return lengths


# ------------------------------------------------------------------------------------------ random models


def build(variant, configuration, input_size, H):
    """A model of any configuration with random parameters, the same ones on every instruction set."""
    config = Config(input_size=input_size, hidden_size=H, **configuration.fields())
    rng = np.random.default_rng([input_size, H])
    tensors = {name: variant.cast(rng.uniform(-1, 1, shape) / np.sqrt(H)) for name, shape in config.parameters()}
    return build_from(variant, config, tensors)


def build_from(variant, config, tensors):
    """A model of these parameters."""
    with variant.selected():
        return variant.quantized(variant.network.from_weights(Weights(config, tensors), variant.engine))


def draw(variant, rng, model, T, N):
    """x (T, N, I), or (N, T, I), and hx, planes of (L*D, N, H): random, some of x 0 and -0."""
    x = variant.cast(rng.normal(size=(N, T, model.input_size) if model.batch_first else (T, N, model.input_size)))
    x[rng.random(x.shape) < 0.05] = 0.0
    x[rng.random(x.shape) < 0.05] = -0.0
    return x, draw_hx(variant, rng, model, N)


def draw_hx(variant, rng, model, *rows):
    """A random initial state; without `rows` that of a single row."""
    shape = (model.num_layers * (1 + model.bidirectional), *rows, model.hidden_size)
    return pack([variant.cast(rng.uniform(-1, 1, shape)) for _ in CELLS[variant.kind].states])


def zeros_hx(variant, model, *rows):
    """An initial state of zeros."""
    return on_planes(draw_hx(variant, np.random.default_rng(0), model, *rows), np.zeros_like)


# --------------------------------------------------------------------------------------- states as planes


def planes(state):
    """The planes of a state as a model takes and returns it: (h,) or (h, c)."""
    return state if isinstance(state, tuple) else (state,)


def pack(planes):
    """Planes as a model takes and returns them: h, or (h, c)."""
    return planes[0] if len(planes) == 1 else tuple(planes)


def on_planes(state, function):
    """`function` of every plane, as a state."""
    return pack([function(plane) for plane in planes(state)])


def row_of(state, row):
    """The state of one row, or of some."""
    return on_planes(state, lambda plane: plane[:, row])


# ---------------------------------------------------------------------------------------------- the oracle


def oracle(configuration, state, x, hx=None, lengths=None, *, dtype=np.float64, affine=reference.affine):
    """What a configuration computes with the parameters `state`, maybe with an "h_0" (and "c_0"): y, planes of h_n.

    x in the configuration's layout; parameters of activations are rounded to `dtype`, as an engine rounds them. The
    products are those of `affine`: quantized.py has others.
    """
    options = dict(configuration.options)
    for name in ("num_layers", "bias", "initial_state"):
        options.pop(name, None)
    batch_first, bidirectional = options.pop("batch_first", False), options.pop("bidirectional", False)
    reverse, go_backwards = options.pop("reverse", False), options.pop("go_backwards", False)
    merge_mode = options.pop("merge_mode", "concat")
    options |= functions_of(configuration, dtype) | {"affine": affine}
    for name in ("activations", "nonlinearity"):
        options.pop(name, None)
    state, rows = dict(state), x.shape[0 if batch_first else 1]
    stored = [state.pop(f"{plane}_0", None) for plane in configuration.cell.states]
    if hx is None and stored[0] is not None:
        hx = pack([np.repeat(np.asarray(plane)[:, None], rows, axis=1) for plane in stored])
    x = np.asarray(x, np.float64)
    x = x.swapaxes(0, 1) if batch_first else x
    T, N = x.shape[:2]
    lengths = np.full(N, T) if lengths is None else np.asarray(lengths)
    run = getattr(reference, configuration.kind)
    if reverse or go_backwards:
        y, final = _backwards(partial_run(run, options), x, state, hx, lengths, go_backwards)
    else:
        y, final = run(x, state, hx, lengths, **options)
    if bidirectional:
        y = MERGES[merge_mode](*np.split(y, 2, axis=-1))
    return y.swapaxes(0, 1) if batch_first else y, planes(final)


def functions_of(configuration, dtype=np.float64):
    """The functions f, g, h of a configuration as the oracle takes them, a tuple with one for each direction."""
    directions = 1 + configuration.options.get("bidirectional", False)
    functions, options = configuration.cell.functions, configuration.options
    if len(functions) == 1:
        given = options.get("nonlinearity", "tanh")
        one = isinstance(given, str) or all(isinstance(number, float) for number in given[1:])
        groups = [(item,) for item in ([given] * directions if one else given)]
    else:
        given = options.get("activations", ("sigmoid", "tanh"))
        one = isinstance(given[0], str) or isinstance(given[0][-1], float) or len(given[0]) == 1
        groups = [given] * directions if one else given
    return {
        letter: tuple(reference.activation(group[min(k, len(group) - 1)], dtype) for group in groups)
        for k, letter in enumerate(functions)
    }


MERGES = {
    "concat": lambda a, b: np.concatenate([a, b], axis=-1),
    "sum": np.add,
    "mul": np.multiply,
    "ave": lambda a, b: (a + b) / 2,
}


def partial_run(run, options):
    """`run` with options."""
    return lambda x, state, h_0, lengths: run(x, state, h_0, lengths, **options)


def flipped(x, lengths):
    """x (T, N, I) with every row's valid part reversed, zeros behind it."""
    result = np.zeros_like(x)
    for row, length in enumerate(lengths):
        result[:length, row] = x[:length, row][::-1]
    return result


def _backwards(run, x, state, h_0, lengths, go_backwards):
    """Every layer from the end to the start, as each row's own end says."""
    layers = sum(name.startswith("weight_ih") for name in state)
    final, in_order = [], True
    for layer in range(layers):
        own = {name.replace(f"_l{layer}", "_l0"): a for name, a in state.items() if name.endswith(f"_l{layer}")}
        start = None if h_0 is None else on_planes(h_0, lambda plane, layer=layer: plane[layer : layer + 1])
        if go_backwards and not in_order:       # the sequence is reversed already: its padding stands in front
            x, h_n = run(x[::-1], own, start, lengths)
            in_order = True
        else:
            y, h_n = run(flipped(x, lengths), own, start, lengths)
            x, in_order = flipped(y, lengths), not go_backwards
            x = x[::-1] if go_backwards else x
        final.append(planes(h_n))
    return x, pack([np.concatenate(parts) for parts in zip(*final, strict=True)])


def network(kind):
    """The class: cgru.GRU, ..."""
    return getattr(cgru, CELLS[kind].name)
