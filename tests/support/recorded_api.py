"""What the recorded set asks of cgru, under the names of 0.1 and under those of today."""

import contextlib
import importlib
import json

import cgru
from cgru import engines
from cgru.weights import Weights

CLASSES = {"gru": cgru.GRU, "rnn": cgru.RNN, "lstm": cgru.LSTM}
OLD = not hasattr(engines, "using")      # 0.1
Config = importlib.import_module("cgru.weights" if OLD else "cgru.config").Config


def isas():
    """The instruction sets that this machine can run, best first."""
    return engines.isas_usable()


@contextlib.contextmanager
def using(isa):
    """Models built inside run on this instruction set."""
    if not OLD:
        with engines.using(isa):
            yield
        return
    before, engines.ISA = engines.ISA, isa
    try:
        yield
    finally:
        engines.ISA = before


def computes(isa, engine, weights):
    """Whether an instruction set has a module of its own for these weights: some have one for int8 alone."""
    return not hasattr(engines, "module_row") or engines.module_row(isa, engine, weights).name == isa


def is_fused(isa):
    """Whether the engine "packed" has fused multiply-adds there, which the contract's bits need."""
    with using(isa):
        return bool(engines.load("packed").FUSED)


def build(kind, engine, tensors, **options):
    """A model with these parameters; the options are fields of Config.

    An RNN's activations are a pair (f, g) in the cases, since its one function was g of such a pair in 0.1.
    """
    named = {"cell" if OLD else "kind": kind}
    if kind == "rnn" and "activations" in options and not OLD:
        options["activations"] = options["activations"][1:]
    weights = Weights(Config(**named, **options), tensors)
    made = CLASSES[kind]
    return made._from_weights(weights, engine) if OLD else made.from_weights(weights, engine)


def stored_configuration(metadata):
    """The fields of Config in a model file's metadata, as JSON; 0.1 called one of them differently."""
    fields = json.loads(metadata)["config"]
    fields.setdefault("kind", fields.pop("cell", None))
    return json.dumps(fields, sort_keys=True)


def planes(state):
    """A model's final states as a tuple: (h_n,) or (h_n, c_n)."""
    return state if isinstance(state, tuple) else (state,)


def record(model, x, hx, lengths):
    """y, final states, tape."""
    if OLD:
        return model.forward(x, hx, lengths=lengths, tape=True)
    return model.record(x, hx, lengths=lengths)


def tape_arrays(tape):
    """Name -> array: x and every layer's y; what the engines kept, one array per layer and direction."""
    xs, gates = (tape._xs, tape._gates) if OLD else (tape.xs, tape.gates)
    arrays = {f"xs[{k}]": array for k, array in enumerate(xs)}
    return arrays | {f"gates[{k}]": array for k, array in enumerate(gates) if array is not None}


def gradients(model, tape, dy, dstates):
    """Name -> array: x, h_0, c_0 and every parameter."""
    grads = model.backward(tape, dy, dstates)
    named = {name: getattr(grads, name, None) for name in ("x", "h_0", "c_0")}
    return {name: array for name, array in named.items() if array is not None} | dict(grads)


def gradient_flow(model, x, lags, lengths=None):
    """A Flow."""
    home = importlib.import_module("cgru.gradient_flow" if OLD else "cgru.study.gradient_flow")
    return home.gradient_flow(model, x, lags, lengths)


def check(model, x, y, hx=None):
    """Of `cgru.check`: how far off the model is, how far with the changes found, and how many those are."""
    report = cgru.check(model, x, y, hx)
    changes, error = ("corner", "corner_error") if OLD else ("changes", "changes_error")
    return report.max_error, getattr(report, error), len(getattr(report, changes))
