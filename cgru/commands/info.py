"""``cgru info``: what a model file holds."""

import os

from cgru.commands._models import add_model_options, read_model
from cgru.convert import SeveralNetworks, form
from cgru.convert.conventions import systems
from cgru.summary import summary_lines, text_of


def add_arguments(parser):
    add_model_options(parser, "FILE")


def main(args):
    try:
        model, _ = read_model(args)
    except SeveralNetworks as several:
        print(text_of([("file", _file(args.model)), ("holds", f"{len(several.names)} {several.what}")]))
        told: set[str] = set()
        for name in several.names:
            args.name = str(name)
            print(f"\n--name {args.name}")
            model, _ = read_model(args, told=told)
            print(text_of(lines(model)))
        return
    print(text_of([("file", _file(args.model)), *lines(model)]))


def _file(path):
    return f"{path}, {form(path)}, {os.path.getsize(path):,} bytes"


def lines(model):
    """(name, text) of a model, with the systems that have the same conventions, and the others."""
    for name, text in summary_lines(model):
        if name == "reset":
            text += f" ({systems(reset_after=model.config.reset_after, z_keeps=True)})"
        elif name == "gates":
            text += f" ({systems(order=model.config.cell.gates)})"
        elif name == "z":
            text += f" (the other way round in {systems(z_keeps=False, most=3)})"
        yield name, text
