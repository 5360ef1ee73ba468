"""Cases of the recorded set: a Linear with every activation, and networks, on engine "packed"."""

import itertools
import zlib
from dataclasses import dataclass, field

import numpy as np

import cgru
from support.recorded_runs import parameter_shapes

ACTIVATIONS = (
    None, "tanh", "sigmoid", "hard_sigmoid", ("hard_sigmoid", 0.25, 0.4), "relu", ("linear", 0.7, 0.1), "softsign",
    "leaky_relu", ("leaky_relu", 0.3), "elu", ("elu", 0.8), "softplus", "scaled_tanh", ("scaled_tanh", 1.7, 0.6),
    "silu", "gelu", "gelu_tanh", "softmax",
)  # fmt: skip
#: Layers: kind, units, options; and the network's options.
NETWORKS = {
    "skip": (
        (("gru", 33, {}), ("linear", 21, {"activation": "elu"}), ("lstm", 19, {}),
         ("linear", 5, {"activation": "softmax"})),
        {"skip": True},
    ),
    "layers": (
        (("linear", 10, {"activation": "gelu"}), ("gru", 17, {"num_layers": 2, "reset_after": False}), ("rnn", 24, {}),
         ("linear", 18, {"activation": "silu", "bias": False})),
        {},
    ),
    "both ways": (
        (("lstm", 13, {"bidirectional": True}), ("linear", 16, {"activation": "relu"}),
         ("gru", 9, {"bidirectional": True}), ("linear", 7, {"activation": "gelu_tanh"})),
        {},
    ),
}  # fmt: skip
SIZES = {"linear": ((9, 5, 33), (1, 40, 19), (33, 3, 16)), "network": ((7, 4, 6), (60, 9, 6), (5, 1, 6))}


@dataclass(frozen=True)
class NetworkCase:
    """A Linear or a network, what goes in, and what is asked of it: as `recorded_runs.Case`.

    `sizes` are rows, features and outputs of a Linear, T, N, I of a network.
    """

    what: str
    model: str
    sizes: tuple
    options: dict = field(default_factory=dict)
    lengths: bool = False
    threads: int = 1
    weights: str = ""

    engine = "packed"

    @property
    def name(self):
        """All of it in one line."""
        words = [self.what, self.model, "packed", self.weights or "float32", " ".join(map(str, self.sizes))]
        words += [f"{key}={value}".replace(" ", "").replace("'", "") for key, value in self.options.items()]
        return " ".join(words + [f"threads={self.threads}"] * (self.threads > 1) + ["lengths"] * self.lengths)

    def problem(self):
        """The model and what goes in."""
        return NetworkProblem(self)

    def run(self, problem):
        """Name -> array of what comes out."""
        return RUNS[self.what](problem)


class NetworkProblem:
    """A case's model and inputs; `inputs` maps names to arrays."""

    def __init__(self, case):
        self.case, self.rng, self.inputs = case, np.random.default_rng(zlib.crc32(case.name.encode())), {}
        if case.what == "linear":
            rows, features, outputs = case.sizes
            self.inputs["x"] = self.draw((rows, features), 2.0)
            self.model = self.layer("", "linear", features, outputs, case.options)
        else:
            self.model, self.hx = self.network(*NETWORKS[case.model])
        if case.weights:
            self.model = self.model.quantize(case.weights)

    def draw(self, shape, bound=1.0):
        """Uniform in +-bound."""
        return ((2 * self.rng.random(shape) - 1) * bound).astype(np.float32)

    def layer(self, prefix, kind, features, units, options):
        """A model with parameters that are drawn."""
        if kind == "linear":
            shapes = {"weight": (units, features)} | ({"bias": (units,)} if options.get("bias", True) else {})
        else:
            shapes = parameter_shapes(kind, features, units, **options)
        state = {name: self.draw(shape, 2 / np.sqrt(shape[-1])) for name, shape in shapes.items()}
        self.inputs |= {f"{prefix}{name}": array for name, array in state.items()}
        if kind == "linear":
            return cgru.Linear.from_state_dict(state, activation=options.get("activation"), engine="packed")
        own = {"reset_after": options["reset_after"]} if "reset_after" in options else {}
        return getattr(cgru, kind.upper()).from_state_dict(state, engine="packed", **own)

    def network(self, layers, options):
        """The network and the initial states of its layers."""
        T, N, features = self.case.sizes
        self.inputs["x"] = self.draw((T, N, features), 2.0)
        if self.case.lengths:
            lengths = (self.rng.random(N) * (T + 1)).astype(np.int64)
            lengths[N // 2], lengths[-1] = 0, T
            self.inputs["lengths"] = lengths
        models, hx = [], []
        for number, (kind, units, own) in enumerate(layers):
            models.append(self.layer(f"{number}.", kind, features, units, own))
            features = units * (1 + own.get("bidirectional", False))
            if kind != "linear":
                shape = own.get("num_layers", 1) * (1 + own.get("bidirectional", False)), N, units
                planes = [self.draw(shape) for _ in range(1 + (kind == "lstm"))]
                self.inputs |= {f"h {number} {k}": plane for k, plane in enumerate(planes)}
                hx.append(tuple(planes) if kind == "lstm" else planes[0])
        return cgru.Sequential(models, **(options | self.case.options)), tuple(hx)


def named(y, state, prefix=""):
    """What a call returns, by name."""
    planes = [plane for one in state for plane in (one if isinstance(one, tuple) else (one,))]
    return {f"{prefix}y": y} | {f"{prefix}h {k}": plane for k, plane in enumerate(planes)}


def linear(p):
    """A call."""
    return {"y": p.model(p.inputs["x"])}


def network(p):
    """A call."""
    return named(*p.model(p.inputs["x"], p.hx, lengths=p.inputs.get("lengths"), threads=p.case.threads))


def network_stream(p):
    """Steps, some rows alone, silence, a chunk."""
    x, N = p.inputs["x"], p.case.sizes[1]
    stream = p.model.stream(N, p.hx)
    found = {f"step {t}": stream.step(x_t) for t, x_t in enumerate(x[:3])}
    found["rows"] = stream.step(x[3, -1:], rows=[N - 1])
    stream.prewarm(5)
    found |= named(stream.run(x), stream.state, "run ")
    stream.reset()
    return found | {"reset": stream.step(x[0])}


RUNS = {function.__name__: function for function in (linear, network, network_stream)}


def cases(weights):
    """Every NetworkCase; none of a cgru without Linear."""
    if not hasattr(cgru, "Linear"):
        return
    for of, activation, sizes in itertools.product(("", *weights), ACTIVATIONS, SIZES["linear"]):
        bias = {} if sizes[0] > 1 else {"bias": False}
        yield NetworkCase("linear", "Linear", sizes, {"activation": activation} | bias, weights=of)
    axes = itertools.product(("", *weights), NETWORKS, SIZES["network"], (False, True), (False, True, "h_n"))
    for of, model, sizes, lengths, last in axes:
        options = {"last": last} if last else {}
        yield NetworkCase("network", model, sizes, options, lengths, 1 + (sizes[1] == 9), of)
        if not lengths and not last and model != "both ways":
            yield NetworkCase("network_stream", model, sizes, weights=of)
