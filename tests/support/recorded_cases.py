"""The recorded set for one instruction set: every kind of model, engine, dtype, direction, layout, length, call.

`model_cases` yields them all. Those that `is_golden` accepts have the same bits on every machine with fused
multiply-adds.
"""

import itertools
import zlib

from support import recorded_networks
from support.recorded_runs import Case

#: kind, options, engine, dtype or the type of quantised weights
GRUS = [
    ("gru", options, engine, dtype)
    for engine, dtype in (("packed", "float32"), ("blas", "float32"), ("blas", "float64"))
    for options in ({}, {"reset_after": False})
]
RELU = {"activations": ("sigmoid", "relu")}
OTHERS = [
    (kind, options, engine, dtype)
    for engine, dtype in (("packed", "float32"), ("blas", "float32"), ("blas", "float64"))
    for kind, options in (("rnn", {}), ("rnn", RELU), ("lstm", {}))
]
WEIGHTS = ("bfloat16", "int8")
TRAINING = ("tape", "flow", "jacobian")      # what quantised weights refuse
QUANTIZED = [
    (kind, options, "packed", weights)
    for weights in WEIGHTS
    for kind, options in (("gru", {}), ("gru", {"reset_after": False}), ("rnn", {}), ("lstm", {}))
]
BASES = GRUS + OTHERS + QUANTIZED

HIDDEN, ROWS, FEATURES = (1, 5, 16, 24, 33, 100), (1, 2, 3, 9, 33), (1, 5, 40)
ONE, BOTH = {}, {"bidirectional": True}
BACK = ({"reverse": True}, {"go_backwards": True})
LAYERS = ({}, {"num_layers": 2}, {"num_layers": 3})
BIAS, LAYOUT = ({}, {"bias": False}), ({}, {"batch_first": True})
TANH, LOGISTIC = "tanh", "sigmoid"
FUNCTIONS = (
    LOGISTIC, TANH, "hard_sigmoid", ("hard_sigmoid", 0.25, 0.4), "relu", ("linear", 0.7, 0.1), "softsign",
    "leaky_relu", ("leaky_relu", 0.3), ("elu", 0.8), "softplus", ("scaled_tanh", 1.7, 0.6),
)  # fmt: skip


def merged(*options):
    """Several dicts as one."""
    return {key: value for part in options for key, value in part.items()}


def case(base, what, options, sizes, **rest):
    """A Case of one of BASES."""
    kind, own, engine, dtype = base
    if dtype in WEIGHTS:
        dtype, rest["weights"] = "float32", dtype
    return Case(what, kind, engine, dtype, sizes, own | options, **rest)


def directions(base):
    """One direction, both, and those that only a GRU has."""
    return (ONE, BOTH, *BACK) if base[0] == "gru" else (ONE, BOTH)


def sizes(base):
    """Every remainder of a block of units and of a tile of rows."""
    for input_size, H, N in itertools.product(FEATURES, HIDDEN, ROWS):
        yield case(base, "run", {}, (4, N, input_size, H))
        if input_size == 5:
            yield case(base, "run", {}, (1, N, input_size, H))


def structures(base):
    """Layers, directions, biases, layouts, lengths, states: every combination."""
    axes = itertools.product(LAYERS, directions(base), BIAS, LAYOUT, (False, True), ("all", ""))
    for layers, direction, bias, layout, lengths, given in axes:
        options = merged(layers, direction, bias, layout)
        yield case(base, "run", options, (7, 4, 5, 13), given=given, lengths=lengths)
        if not lengths:
            yield case(base, "run", options, (6, None, 3, 17), given=given)
    for layers, direction, lengths in itertools.product(LAYERS, directions(base), (False, True)):
        yield case(base, "run", merged(layers, direction), (9, 9, 6, 33), lengths=lengths)
        yield case(base, "run", merged(layers, direction), (5, 1, 2, 24), lengths=lengths)
        if base[0] == "lstm":
            for given in ("h", "c"):
                yield case(base, "run", merged(layers, direction), (5, 3, 2, 24), lengths=lengths, given=given)


def variations(base):
    """What only a GRU has: merged directions, a stored initial state."""
    for mode, layout, lengths, given in itertools.product(("sum", "mul", "ave"), LAYOUT, (False, True), ("all", "")):
        options = {"bidirectional": True, "merge_mode": mode, **layout}
        yield case(base, "run", options, (7, 4, 5, 13), given=given, lengths=lengths)
        yield case(base, "out", options, (5, 3, 4, 33), given=given, lengths=lengths)
        if not lengths:
            yield case(base, "run", options, (7, None, 5, 24), given=given)
    for layers, direction, lengths, given in itertools.product(LAYERS, directions(base), (False, True), ("", "all")):
        options = merged(layers, direction, {"initial_state": True})
        yield case(base, "run", options, (6, 3, 4, 21), given=given, lengths=lengths)


def functions(base):
    """Other activations, and clip."""
    pairs = [(f, TANH) for f in FUNCTIONS] + [(LOGISTIC, g) for g in FUNCTIONS]
    pairs += list(zip(FUNCTIONS, reversed(FUNCTIONS), strict=True))
    for k, pair in enumerate(pairs):
        options = {"activations": pair}
        yield case(base, "run", options, (4, 3, 5, 24))
        yield case(base, "run", options | {"clip": 0.75}, (5, 4, 3, 13), lengths=True)
        two = (pair, pairs[k - 1])
        yield case(base, "run", {"bidirectional": True, "activations": two, "clip": 2.5}, (4, 2, 3, 17))
    for direction in directions(base):
        yield case(base, "run", merged({"clip": 0.5, "num_layers": 2}, direction), (5, 4, 3, 33), lengths=True)


def calls(base):
    """Threads, `out`, other forms of x, chunks, nothing at all."""
    axes = itertools.product((1, 2, 3), (1, 2, 5, 33), ({}, {"num_layers": 2}), directions(base), (False, True))
    for threads, N, layers, direction, lengths in axes:
        options, extra = merged(layers, direction), {"threads": threads}
        yield case(base, "run", options, (6, N, 4, 24), lengths=lengths, arguments=extra)
    for layout, direction, lengths, threads in itertools.product(LAYOUT, directions(base), (False, True), (1, 3)):
        options, extra = merged(layout, direction), {"threads": threads}
        yield case(base, "out", options, (6, 5, 4, 13), lengths=lengths, arguments=extra)
        yield case(base, "out", options, (0, 5, 4, 13), lengths=lengths, arguments=extra)
    for layout, direction in itertools.product(LAYOUT, directions(base)):
        yield case(base, "forms", merged(layout, direction), (6, 3, 4, 13), lengths=True)
        yield case(base, "forms", merged(layout, direction), (5, 2, 1, 24))
    for layers, layout, N in itertools.product(LAYERS, LAYOUT, (1, 3, 9)):
        yield case(base, "chunks", merged(layers, layout), (9, N, 4, 33))
    axes = itertools.product(LAYERS, directions(base), LAYOUT, ((0, 3), (5, 0), (0, 0)), (False, True), ("all", ""))
    for layers, direction, layout, (T, N), lengths, given in axes:
        yield case(base, "run", merged(layers, direction, layout), (T, N, 4, 5), given=given, lengths=lengths)
    for direction in directions(base):
        yield case(base, "run", direction, (0, None, 4, 5))


def large(base):
    """More steps than a time chunk, more rows than a block, of either engine."""
    for direction, lengths in itertools.product(directions(base), (False, True)):
        yield case(base, "run", direction, (3000, 1, 3, 24), lengths=False)
        yield case(base, "run", direction, (150, 33, 5, 100), lengths=lengths)
        yield case(base, "run", direction | {"batch_first": True}, (400, 9, 40, 33), lengths=lengths)
        yield case(base, "run", direction, (3, 1300, 5, 100), lengths=lengths)
        yield case(base, "run", direction | {"num_layers": 2}, (4, 900, 3, 120), lengths=lengths,
                   arguments={"threads": 2})  # fmt: skip


def streams(base):
    """Batches, layers, layouts, every remainder of units."""
    for H, N in itertools.product((1, 5, 8, 10, 16, 24, 32, 33, 100), (None, 1, 3, 9, 33)):
        yield case(base, "stream", {}, (8, N, 5, H))
        yield case(base, "stream", {"num_layers": 2, "bias": False}, (7, N, 3, H), given="")
    for layers, layout, N, given in itertools.product(LAYERS, LAYOUT, (None, 1, 4), ("all", "")):
        yield case(base, "stream", merged(layers, layout), (9, N, 40, 21), given=given)
        yield case(base, "stream", merged(layers, layout, {"initial_state": True}), (9, N, 1, 13), given=given)
    for k, (f, g) in enumerate(zip(FUNCTIONS, reversed(FUNCTIONS), strict=True)):
        clip = {"clip": 0.75} if k % 2 else {}
        yield case(base, "stream", {"activations": (f, g), **clip}, (6, None if k % 3 else 3, 5, 24))
    yield case(base, "stream", {"num_layers": 2}, (6, 1300, 5, 100))


def traces(base):
    """Gates of every layer and direction; and the matrix of one step."""
    axes = itertools.product(LAYERS, directions(base), LAYOUT, (False, True), ("keep", "new"))
    for layers, direction, layout, lengths, z_is in axes:
        options, extra = merged(layers, direction, layout), {"z_is": z_is}
        yield case(base, "trace", options, (6, 4, 5, 21), lengths=lengths, arguments=extra)
        if not lengths:
            yield case(base, "trace", options, (6, None, 5, 33), arguments=extra)
    for k, (f, g) in enumerate(zip(FUNCTIONS, reversed(FUNCTIONS), strict=True)):
        yield case(base, "trace", {"activations": (f, g), "clip": 1.5}, (5, 3, 4, 24), lengths=bool(k % 2))
    for mode in ("sum", "mul", "ave"):
        yield case(base, "trace", {"bidirectional": True, "merge_mode": mode}, (5, 3, 4, 24), lengths=True)
    for N, H, layout, bias in itertools.product((None, 1, 3), (1, 5, 24), LAYOUT, BIAS):
        yield case(base, "jacobian", merged(layout, bias), (4, N, 5, H))


def backward(base):
    """The tape and the gradients."""
    two = (ONE, BOTH)
    axes = itertools.product(LAYERS, two, BIAS, LAYOUT, (False, True), ("both", "dy", "dh"))
    for layers, direction, bias, layout, lengths, grads in axes:
        options, extra = merged(layers, direction, bias, layout), {"grads": grads}
        given = "" if grads == "dy" else "all"
        yield case(base, "tape", options, (7, 4, 5, 13), given=given, lengths=lengths, arguments=extra)
        if not lengths:
            yield case(base, "tape", options, (6, None, 3, 17), given=given, arguments=extra)
    for input_size, H, N, direction in itertools.product(FEATURES, HIDDEN, (1, 3, 9), two):
        yield case(base, "tape", direction, (5, N, input_size, H), lengths=N == 9)
    for (T, N), direction, lengths in itertools.product(((0, 3), (5, 0)), two, (False, True)):
        yield case(base, "tape", direction, (T, N, 4, 5), lengths=lengths)
    for direction, lengths in itertools.product(two, (False, True)):
        yield case(base, "tape", direction, (300, 9, 5, 33), lengths=lengths)
        yield case(base, "tape", merged(direction, {"num_layers": 2}), (60, 33, 5, 100), lengths=lengths)
    if base[0] == "lstm":
        yield case(base, "tape", {}, (6, 4, 3, 21), arguments={"grads": "dc"})
    for bias, lengths in itertools.product(BIAS, (False, True)):
        if base[0] != "gru" or lengths is False:
            yield case(base, "flow", bias, (9, 3, 4, 7), given="", arguments={"lags": 5})


LISTS = {
    "gru": (sizes, structures, variations, functions, calls, large, streams, traces, backward),
    "rnn": (sizes, structures, calls, large, backward),
    "lstm": (sizes, structures, calls, large, backward),
}


def model_cases(engine=None):
    """Every Case, or those of one engine; no two with the same name."""
    found = {}
    for base in BASES:
        if engine in (None, base[2]):
            for make in LISTS[base[0]]:
                found |= {one.name: one for one in make(base) if not one.weights or one.what not in TRAINING}
    if engine in (None, "packed"):
        found |= {one.name: one for one in recorded_networks.cases(WEIGHTS)}
    return list(found.values())


def is_golden(one):
    """Whether tests/golden/packed_bits.json holds it: no BLAS, nor NumPy's sums in it; of the many, a share."""
    if one.engine != "packed" or one.what in ("tape", "jacobian", "flow"):
        return False
    if one.what in recorded_networks.RUNS:
        return True
    share = {"run": 7, "trace": 5, "out": 2, "stream": 2}.get(one.what, 1)
    if one.weights:
        share = {"run": 70, "trace": 24, "stream": 24, "out": 16, "forms": 5}.get(one.what, 7)
    return zlib.crc32(one.name.encode()) % share == 0
