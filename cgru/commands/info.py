"""``cgru info``: what a model file holds."""

import os

import cgru
from cgru.commands._models import add_model_options, read_model
from cgru.summary import summary_lines, text_of

# to be asked of convert/conventions.py
_SYSTEMS = {
    True: "PyTorch, Keras's default, ONNX linear_before_reset=1, cuDNN",
    False: "ONNX linear_before_reset=0, Keras reset_after=False, TensorFlow 1; the equations of 2014 with z the other "
    "way round",
}


def add_arguments(parser):
    add_model_options(parser, "FILE")


def main(args):
    model, form = read_model(args, kinds=(cgru.GRU, cgru.RNN, cgru.LSTM))
    print(text_of(lines(model, form, args.model)))


def lines(model, form, path):
    """(name, text) of the file, of its model, and of the systems that put the reset gate where this model has it."""
    yield "file", f"{path}, {form}, {os.path.getsize(path):,} bytes"
    for name, text in summary_lines(model):
        yield name, f"{text} ({_SYSTEMS[model.config.reset_after]})" if name == "reset" else text
