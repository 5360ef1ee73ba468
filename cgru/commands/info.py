"""``cgru info``: what a model file holds."""

import os

import cgru
from cgru.commands._models import add_model_options, read_model
from cgru.convert.conventions import systems
from cgru.summary import summary_lines, text_of


def add_arguments(parser):
    add_model_options(parser, "FILE")


def main(args):
    model, form = read_model(args, kinds=(cgru.GRU, cgru.RNN, cgru.LSTM))
    print(text_of(lines(model, form, args.model)))


def lines(model, form, path):
    """(name, text) of the file and its model, with the systems that have the same conventions, and the others."""
    yield "file", f"{path}, {form}, {os.path.getsize(path):,} bytes"
    for name, text in summary_lines(model):
        if name == "reset":
            text += f" ({systems(reset_after=model.config.reset_after, z_keeps=True)})"
        elif name == "z":
            text += f" (the other way round in {systems(z_keeps=False, most=3)})"
        yield name, text
