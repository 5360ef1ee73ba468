"""What a case of the recorded set computes: random inputs that depend on its name alone, and everything that comes out.

Numbers come from `Generator.random`, whose doubles are the same wherever NumPy is; nothing here is NaN.
"""

import zlib
from dataclasses import dataclass, field

import numpy as np

from support import recorded_api as api

ROWS = {"gru": 3, "rnn": 1, "lstm": 4}      # matrices of H rows in a weight


@dataclass(frozen=True)
class Case:
    """A model, what goes in, and what is asked of it.

    Attributes
    ----------
    what : str
        A key of `RUNS`.
    sizes : tuple of int
        T, N, I, H; N is None for x without a batch.
    options : dict
        Fields of Config.
    given : {"", "all", "h", "c"}
        Which initial states are passed.
    lengths : bool
        Whether rows have lengths: in no order, one 0, one T.
    arguments : dict
        What the function in `RUNS` takes.
    weights : {"", "bfloat16", "int8"}
        What the model is quantised to.
    """

    what: str
    kind: str = "gru"
    engine: str = "packed"
    dtype: str = "float32"
    sizes: tuple = (7, 4, 5, 13)
    options: dict = field(default_factory=dict)
    given: str = "all"
    lengths: bool = False
    arguments: dict = field(default_factory=dict)
    weights: str = ""

    @property
    def name(self):
        """All of it in one line."""
        sizes = " ".join(f"{letter}{size}" for letter, size in zip("TNIH", self.sizes, strict=True))
        words = [self.what, self.kind, self.engine, self.weights or self.dtype, sizes]
        words += [f"{key}={_short(value)}" for key, value in (self.options | self.arguments).items()]
        words += [f"given={self.given}"] if self.given else []
        return " ".join(words + ["lengths"] * self.lengths)


    def problem(self):
        """The model and what goes in."""
        return Problem(self)

    def run(self, problem):
        """Name -> array of what comes out."""
        return RUNS[self.what](problem, **self.arguments)


def _short(value):
    return str(value).replace(" ", "").replace("'", "") if isinstance(value, tuple) else str(value)


def parameter_shapes(kind, input_size, H, *, num_layers=1, bidirectional=False, bias=True, initial_state=False, **_):
    """Name -> shape, in PyTorch's order."""
    G, D, shapes = ROWS[kind] * H, 1 + bidirectional, {}
    for layer in range(num_layers):
        for end in ("", "_reverse")[:D]:
            shapes[f"weight_ih_l{layer}{end}"] = (G, D * H if layer else input_size)
            shapes[f"weight_hh_l{layer}{end}"] = (G, H)
            if bias:
                shapes |= {f"bias_ih_l{layer}{end}": (G,), f"bias_hh_l{layer}{end}": (G,)}
    return shapes | ({"h_0": (num_layers * D, H)} if initial_state else {})


class Problem:
    """A case's model and inputs.

    `inputs` maps names to arrays: all parameters, x, h_0, c_0, lengths. `hx` is the states as a model takes them.
    """

    def __init__(self, case):
        self.case = case
        self.rng = np.random.default_rng(zlib.crc32(case.name.encode()))
        (T, N, input_size, H), options = case.sizes, case.options
        shapes = parameter_shapes(case.kind, input_size, H, **options)
        self.tensors = {name: self.draw(shape, 1 / np.sqrt(H)) for name, shape in shapes.items()}
        batch = () if N is None else (N,)
        self.x = self.draw((*batch, T, input_size) if options.get("batch_first") else (T, *batch, input_size), 2.0)
        self.x[self.rng.random(self.x.shape) < 0.04] = 0.0
        self.x[self.rng.random(self.x.shape) < 0.04] = -0.0
        planes = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
        self.state_shape = (planes, *batch, H)
        names = ("h_0", "c_0") if case.kind == "lstm" else ("h_0",)
        self.states = [self.draw(self.state_shape) if case.given in ("all", name[0]) else None for name in names]
        self.hx = None if case.given == "" else tuple(self.states) if len(names) == 2 else self.states[0]
        self.lengths = self._lengths(T, N) if case.lengths else None
        given = dict(zip(names, self.states, strict=True)) | {"x": self.x, "lengths": self.lengths}
        self.inputs = {f"p.{name}": array for name, array in self.tensors.items()}
        self.inputs |= {name: array for name, array in given.items() if array is not None}
        self.model = api.build(case.kind, case.engine, self.tensors, input_size=input_size, hidden_size=H, **options)
        if case.weights:
            self.model = self.model.quantize(case.weights)

    def draw(self, shape, bound=1.0):
        """Uniform in +-bound, in the case's dtype."""
        return ((2 * self.rng.random(shape) - 1) * bound).astype(self.case.dtype)

    def _lengths(self, T, N):
        lengths = (self.rng.random(N) * (T + 1)).astype(np.int64)
        lengths[N // 2 : N // 2 + 1] = 0
        lengths[-1:] = T
        return lengths


def named(y, state, prefix=""):
    """What a call returns, by name."""
    return {f"{prefix}y": y} | {f"{prefix}{n}": s for n, s in zip(("h_n", "c_n"), api.planes(state), strict=False)}


def run(p, threads=1):
    """A call."""
    return named(*p.model(p.x, p.hx, lengths=p.lengths, threads=threads))


def out(p, threads=1):
    """A call into an array that holds other numbers."""
    y, _ = p.model(p.x, p.hx)
    target = p.draw(y.shape)
    y, state = p.model(p.x, p.hx, lengths=p.lengths, out=target, threads=threads)
    assert y is target
    return named(y, state)


def forms(p):
    """x as other arrays: another memory order, strides, byte order, integers, another float type, a list."""
    found, x = {}, p.x
    wide = np.repeat(np.repeat(x, 2, axis=-1), 2, axis=0)
    integers = (x * 3).astype(np.int8)
    double = x.astype(np.float64) + 1e-9
    several = {
        "F": np.asfortranarray(x), "strided": wide[::2, ..., ::2], "flipped": x[::-1], "swapped": x.astype(">f4"),
        "int8": integers, "float64": double, "float16": x.astype(np.float16), "list": x.tolist(),
    }  # fmt: skip
    for form, value in several.items():
        found |= named(*p.model(value, p.hx, lengths=p.lengths), f"{form} ")
    return found


def chunks(p):
    """The sequence in pieces, the state carried from one to the next."""
    found, state = {}, p.hx
    x = p.x.swapaxes(0, 1) if p.model.batch_first else p.x
    for k, (a, b) in enumerate(((0, 1), (1, 1), (1, 4), (4, len(x)))):
        piece = x[a:b].swapaxes(0, 1) if p.model.batch_first else x[a:b]
        y, state = p.model(piece, state)
        found |= named(y, state, f"{k} ")
    return found


def stream(p):
    """Steps, with and without `out`, a chunk, another state, a reset, from the given state."""
    N = p.case.sizes[1]
    stream = p.model.stream(N, p.hx)
    found = {"start": stream.state}
    turned = p.model.batch_first and N is not None
    steps = np.ascontiguousarray(p.x.swapaxes(0, 1) if turned else p.x)
    h = np.empty_like(stream.step(steps[0]))
    for t, x_t in enumerate(steps[1:4]):
        found[f"step {t}"] = stream.step(x_t, h if t % 2 else None).copy()
    found["state"] = stream.state
    found["run"] = stream.run(p.x[:, 4:] if turned else p.x[4:])
    found["end"] = stream.state
    stream.state = p.draw(p.state_shape)
    found["another"] = stream.step(steps[0]).copy()
    stream.reset()
    found["reset"] = stream.state
    found["again"] = stream.step(steps[1].tolist()).copy()
    stream.reset(found["end"])
    found["from the end"] = stream.run(p.x)
    return found


def tape(p, grads="both"):
    """The forward pass that keeps a tape, and the gradients of everything; `grads` says for which of dy, dh_n."""
    y, state, kept = api.record(p.model, p.x, p.hx, p.lengths)
    dy = p.draw(y.shape)
    dstates = [p.draw(plane.shape) for plane in api.planes(state)]
    found = named(y, state) | api.tape_arrays(kept)
    dstates = tuple(dstates) if len(dstates) == 2 else dstates[0]
    if grads == "dc":
        dstates = (None, dstates[1])
    dy, dstates = None if grads in ("dh", "dc") else dy, None if grads == "dy" else dstates
    made = api.gradients(p.model, kept, dy, dstates)
    return found | {f"d.{name}": array for name, array in made.items()}


def trace(p, z_is="keep"):
    """The gates."""
    y, h_n, gates = p.model.trace(p.x, p.hx, lengths=p.lengths, z_is=z_is)
    return named(y, h_n) | {gate: getattr(gates, gate) for gate in "rzn"}


def jacobian(p):
    """The matrix of one step."""
    N, H = p.case.sizes[1], p.case.sizes[3]
    x_t = p.draw(p.x.shape[-1:] if N is None else (N, p.x.shape[-1]), 2.0)
    return {"matrix": p.model.jacobian(x_t, p.draw((H,) if N is None else (N, H)))}


def flow(p, lags):
    """How much of a gradient arrives k steps back."""
    flow = api.gradient_flow(p.model, p.x, lags, p.lengths)
    named = {name: getattr(flow, name) for name in ("h", "c", "kept")}
    return {name: array for name, array in named.items() if array is not None}


RUNS = {function.__name__: function for function in (run, out, forms, chunks, stream, tape, trace, jacobian, flow)}


def outputs(case):
    """Inputs and outputs of a case: two dicts of arrays. The inputs are found unchanged after it."""
    problem = case.problem()
    inputs = {name: array.copy() for name, array in problem.inputs.items()}
    found = case.run(problem)
    for name, array in inputs.items():
        assert array.tobytes() == problem.inputs[name].tobytes(), f"the call changed {name}"
    return inputs, found
