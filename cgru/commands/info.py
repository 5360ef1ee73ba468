"""``cgru info``: what a model file holds."""

import os

from cgru.chain import is_network
from cgru.commands._exit import shown
from cgru.commands._models import add_model_options, read_model
from cgru.convert import SeveralNetworks, form
from cgru.convert.conventions import systems
from cgru.convert.networks import reading
from cgru.summary import network_lines, summary_lines, text_of

_MOST = 12      # tensors named


def add_arguments(parser):
    add_model_options(parser, "FILE")


def main(args):
    try:
        with reading() as found:
            model, _ = read_model(args)
    except SeveralNetworks as several:
        print(_text_of([("file", _file(args.model)), ("holds", f"{len(several.names)} {several.what}")]))
        if several.why:
            print(_text_of([("no chain", f"it{several.why}")]))
        _each(args, several)
        return
    print(_text_of([("file", _file(args.model)), *lines(model), *_beside(found.left)]))


def _text_of(pairs):
    return shown(text_of(pairs))


def _each(args, several):
    """Print each network of a file, and what is in none of them."""
    told: set[str] = set()
    left: list[str] = []
    models = {}
    for name in several.names:
        args.name = str(name)
        print(f"\n--name {shown(args.name)}")
        with reading() as found:
            models[args.name], _ = read_model(args, told=told)
        print(_text_of(lines(models[args.name])))
        left = [other for other in found.left if other in left] if len(models) > 1 else found.left
    if left:
        print()
        print(_text_of(_beside(left, "in none of these")))


def _beside(left, where="the file holds them too, and they are not read"):
    """What a file holds beside what was read."""
    if left:
        more = f" and {len(left) - _MOST} more" if len(left) > _MOST else ""
        yield "left out", f"{', '.join(left[:_MOST])}{more}: {where}"


def _file(path):
    return f"{path}, {form(path)}, {os.path.getsize(path):,} bytes"


def lines(model):
    """(name, text) of a model, with the systems that have the same conventions, and the others."""
    if is_network(model):
        yield from network_lines(model)
        return
    for name, text in summary_lines(model):
        if name == "reset":
            text += f" ({systems(reset_after=model.config.reset_after, z_keeps=True)})"
        elif name == "gates":
            text += f" ({systems(order=model.config.cell.gates)})"
        elif name == "z":
            text += f" (the other way round in {systems(z_keeps=False, most=3)})"
        yield name, text
