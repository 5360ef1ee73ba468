"""``cgru info``: what a model file holds."""

import os

import cgru
from cgru import engines
from cgru.activations import DEFAULTS
from cgru.commands._models import add_model_options, read_model

_CORNERS = {
    True: "PyTorch, Keras's default, ONNX linear_before_reset=1, cuDNN",
    False: "ONNX linear_before_reset=0, Keras reset_after=False, TensorFlow 1; the equations of 2014 with z the other "
    "way round",
}


def add_arguments(parser):
    """Declare the arguments of ``cgru info``."""
    add_model_options(parser, "FILE")


def main(args):
    """Run ``cgru info``."""
    model, form = read_model(args, kinds=(cgru.GRU, cgru.RNN, cgru.LSTM))
    print("\n".join(f"{name:14}{text}" for name, text in lines(model, form, args.model)))


def lines(model, form, path):
    """(name, text) of everything there is to say."""
    config, tensors = model._weights.config, model._weights.tensors
    products = sum(array.size for name, array in tensors.items() if name.startswith("weight"))
    numbers, size = (sum(getattr(array, what) for array in tensors.values()) for what in ("size", "nbytes"))
    yield "file", f"{path}, {form}, {os.path.getsize(path):,} bytes"
    yield "model", repr(model)
    layers = f"{config.num_layers} layer{'s' if config.num_layers > 1 else ''}"
    directions = "both directions" if config.bidirectional else "one direction, "
    if not config.bidirectional:
        backward = config.reverse or config.go_backwards
        directions += "from the end to the start" if backward else "forwards"
    yield "sizes", f"input {config.input_size}, hidden {config.hidden_size}, {layers}, {directions}"
    yield "output", f"{config.output_size} features" + (
        f", directions merged by {config.merge_mode}" if config.merge_mode != "concat" else ""
    )
    yield "layout", f"x is {'(N, T, I)' if config.batch_first else '(T, N, I)'} or (T, I)"
    yield "parameters", f"{numbers:,} numbers of {model.dtype}, {size:,} bytes"
    yield "a step", f"{products:,} multiply-adds for each batch row"
    if config.cell == "gru":
        place = "after" if config.reset_after else "before"
        yield "reset", f"{place} the recurrent product ({_CORNERS[config.reset_after]})"
        yield "z", "keeps the old state: h' = z h + (1 - z) n"
        yield "activations", _activations(config)
        if config.clip is not None:
            yield "clip", f"what goes into the activations is clamped to +-{config.clip:g}"
    yield "initial state", "stored with the model" if config.initial_state else "zeros"
    yield "engine", f"{model.engine}, {engines.ISA}"


def _activations(config):
    words = [f"{_named(f)} for r and z, {_named(g)} for n" for f, g in config.activations]
    return words[0] if len(set(words)) == 1 else f"forwards {words[0]}; backwards {words[1]}"


def _named(item):
    numbers = ", ".join(f"{number:g}" for number in (item.alpha, item.beta))
    return item.name if item[1:] == DEFAULTS[item.name] else f"{item.name}({numbers})"
