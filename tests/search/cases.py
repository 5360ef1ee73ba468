"""Random models with what they are fed, drawn as programs: what a failure shows is what was run."""

from dataclasses import dataclass

import numpy as np

from cgru.activations import DEFAULTS
from cgru.cells import CELLS
from support import chains
from support.models import Configuration
from support.models import oracle as recurrent_oracle
from support.quantized import AFFINE, Watched
from support.variants import WEIGHTS, variants

PACKED = variants(engine="packed", weights=WEIGHTS)
BLAS = variants(engine="blas")

#: Units, features and rows: every rest of a vector, of a panel and of a tile, one, and a few beyond a block.
SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 19, 24, 31, 32, 33, 40, 47, 48, 49, 65, 100)
#: Functions of gates, which stay between 0 and 1 or near it, and those of what gates let through.
GATES = ("sigmoid", "sigmoid", "hard_sigmoid", ("hard_sigmoid", 0.25, 0.375))
OTHERS = ("tanh", "tanh", *DEFAULTS, ("scaled_tanh", 1.7, 0.6), ("elu", 0.7), ("leaky_relu", 0.25))
MERGES = ("sum", "mul", "ave")


@dataclass
class Case:
    """A model and what goes in.

    Attributes
    ----------
    seed : int
        That it was drawn from.
    program : str
        That makes it, of its instruction set.
    variant : Variant
    options : dict
        Of a recurrent model; of a network, around its layers.
    recipe : Recipe or None
        Of a network.
    """

    seed: int
    program: str
    variant: object
    options: dict
    recipe: object = None

    def run(self, isa=None):
        """Run the program, on another instruction set if one is given; its variables."""
        variables = {}
        exec(self.program.replace(repr(self.variant.isa), repr(isa or self.variant.isa)), variables)
        return variables

    @property
    def exact(self):
        """Whether bits are promised."""
        return self.variant.engine == "packed"

    @property
    def streams(self):
        """Whether a stream can compute it."""
        one = Configuration(self.variant.kind, "drawn", self.options) if self.recipe is None else self.recipe
        return one.streams

    def oracle(self, variables, x, hx, lengths):
        """What the oracle computes, and how far int8's activations were from a tie."""
        dtype, model = self.variant.dtype, variables["model"]
        watched = Watched(AFFINE["int8"])
        affines = AFFINE | {"float64": AFFINE["float32"], "int8": watched}
        if self.recipe is None:
            one = Configuration(self.variant.kind, "drawn", self.options)
            found = recurrent_oracle(
                one, variables["plain"].state_dict(), x, hx, lengths, dtype=dtype, affine=affines[model.weight_dtype]
            )
        else:
            # of each layer its own; a diagonal Linear is never quantised
            found = chains.chain(
                self.recipe, variables["plain"].state_dict(), x, hx, lengths, dtype=dtype,
                affines=[affines[layer.weight_dtype] for layer in model.layers],
            )  # fmt: skip
        return found, watched.margin


def draw_case(seed):
    """The case of a seed: the same at every time."""
    rng = np.random.default_rng(seed)
    variant = _one(rng, PACKED if rng.random() < 0.85 else BLAS)
    T = int(rng.integers(0, 24)) if rng.random() < 0.9 else int(rng.integers(24, 200))
    N = int(rng.integers(0, 12)) if rng.random() < 0.85 else int(rng.integers(12, 70))
    recipe = None
    if rng.random() < 0.3:
        recipe = _recipe(rng)
        options, making = recipe.options, _network(recipe, variant, seed)
    else:
        options = _options(rng, variant.kind)
        making = _recurrent(rng, options, variant)
    lengths = f"{rng.integers(0, T + 1, N).tolist()}"
    if recipe is not None and any(layer.options.get("go_backwards") for layer in recipe.recurrent):
        lengths = "None"  # what stands behind such a layer refuses them
    dtype = f"np.{variant.name}"
    hx = "None" if rng.random() < 0.3 else "hx"
    feeding = f"x, hx = draw_input(recipe, rng, {T}, {N}, {dtype})" if recipe else _feeding(options, variant, T, N)
    program = (
        f"import numpy as np\n\nimport cgru\nfrom cgru import engines\n{_IMPORTS if recipe else ''}\n"
        f"rng = np.random.default_rng({seed})\nwith engines.using({variant.isa!r}):\n{making}\n{feeding}\n"
        f"x[rng.random(x.shape) < 0.05] = -0.0\nhx, lengths = {hx}, {lengths}\n"
    )
    return Case(seed, program, variant, options, recipe)


_IMPORTS = "from support.chains import Dense, Recipe, cells, draw_chain, draw_input\n"


def _one(rng, values):
    return values[rng.integers(len(values))]


def _size(rng, most=200):
    return min(most, _one(rng, SIZES) if rng.random() < 0.9 else int(rng.integers(1, 200)))


def _options(rng, kind, *, layers=3):
    """Options of a recurrent model or layer."""
    options = {}
    if layers > 1 and rng.random() < 0.4:
        options["num_layers"] = int(rng.integers(2, layers + 1))
    if rng.random() < 0.2:
        options["bias"] = False
    if kind == "gru" and rng.random() < 0.5:
        options["reset_after"] = False
    direction = _one(rng, ("forward",) * 5 + ("bidirectional",) * 3 + ("reverse", "go_backwards"))
    if direction != "forward":
        options[direction] = True
    if direction == "bidirectional" and "num_layers" not in options and rng.random() < 0.5:
        options["merge_mode"] = _one(rng, MERGES)
    if rng.random() < 0.25:
        options["clip"] = _one(rng, (0.75, 2.5))
    if rng.random() < 0.3:
        groups = [_functions(rng, kind) for _ in range(2 if direction == "bidirectional" and rng.random() < 0.5 else 1)]
        if kind == "rnn":
            options["nonlinearity"] = groups[0][0] if len(groups) == 1 else (groups[0][0], groups[1][0])
        else:
            options["activations"] = groups[0] if len(groups) == 1 else tuple(groups)
    return options


def _functions(rng, kind):
    """A group of activations, one for each of a cell's functions."""
    return tuple(_one(rng, GATES if letter == "f" else OTHERS) for letter in CELLS[kind].functions)


def _recurrent(rng, options, variant):
    """Two lines that make a recurrent model."""
    inputs, hidden = _size(rng), _size(rng)
    cells, given = options.get("num_layers", 1) * (1 + options.get("bidirectional", False)), dict(options)
    if rng.random() < 0.2:
        given["batch_first"] = options["batch_first"] = True
    words = "".join(f", {name}={value!r}" for name, value in given.items())
    if rng.random() < 0.2:
        plane = f"rng.uniform(-1, 1, ({cells}, {hidden}))"
        words += f", initial_state={plane if len(variant.cell.states) == 1 else f'({plane}, {plane})'}"
    quantized = f".quantize({variant.weights!r})" if variant.quantizes else ""
    words += f", engine={variant.engine!r}, dtype=np.{variant.name}, rng=rng"
    return f"    plain = cgru.{variant.cell.name}({inputs}, {hidden}{words})\n    model = plain{quantized}"


def _feeding(options, variant, T, N):
    """Lines that draw x and hx of a recurrent model."""
    shape = f"({N}, {T}, model.input_size)" if options.get("batch_first") else f"({T}, {N}, model.input_size)"
    cells = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    plane = f"rng.uniform(-1, 1, ({cells}, {N}, model.hidden_size)).astype(model.dtype)"
    hx = plane if len(variant.cell.states) == 1 else f"({plane}, {plane})"
    return f"x = rng.normal(size={shape}).astype(model.dtype)\nhx = {hx}"


# ------------------------------------------------------------------------------------------------ networks


def _recipe(rng):
    """A network of two to five layers, one of them recurrent at least."""
    batch_first = bool(rng.random() < 0.2)
    features = first = _size(rng, 50)
    layers, count = [], int(rng.integers(2, 6))
    recurrent = int(rng.integers(count))
    for place in range(count):
        if place == recurrent or rng.random() < 0.4:
            kind = _one(rng, list(CELLS)[:3])
            options = _options(rng, kind, layers=2)
            if options.get("go_backwards") and (place < count - 1 or rng.random() < 0.5):
                options["reverse"] = options.pop("go_backwards")
            if batch_first:
                options["batch_first"] = True
            layers.append(chains.cells(kind, _size(rng, 50), **options))
            features = layers[-1].width()
        else:
            diagonal = bool(rng.random() < 0.15)
            activation = _one(rng, [*OTHERS, *GATES, "softmax"])
            size = features if diagonal else _size(rng, 50)
            layers.append(chains.Dense(size, activation, bool(rng.random() < 0.8), diagonal))
            features = size
    around = {"batch_first": True} if batch_first else {}
    if rng.random() < 0.3 and not any(layer.options.get("go_backwards") for layer in layers if layer.kind != "linear"):
        around["last"] = _one(rng, (True, "h_n"))
    if rng.random() < 0.4 and features <= first and not _ends_backwards(layers):
        around["skip"] = True
    return chains.Recipe("drawn", first, tuple(layers), around)


def _ends_backwards(layers):
    return any(layer.options.get("go_backwards") for layer in layers if layer.kind != "linear")


def _network(recipe, variant, seed):
    """Lines that make a network."""
    quantized = f".quantize({variant.weights!r})" if variant.quantizes else ""
    layers = "".join(f"        {_layer(layer)},\n" for layer in recipe.layers)
    return (
        f"    recipe = Recipe('drawn', {recipe.input_size}, (\n{layers}    ), {recipe.options!r})\n"
        f"    plain = cgru.Sequential.from_chain(draw_chain(recipe, np.{variant.name}, {seed}), {variant.engine!r})\n"
        f"    model = plain{quantized}"
    )


def _layer(layer):
    if layer.kind == "linear":
        return repr(layer)
    return f"cells({layer.kind!r}, {layer.size}, **{layer.options!r})"
