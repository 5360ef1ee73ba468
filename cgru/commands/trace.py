"""``cgru trace``: the gates r, z, n and the state h of one sequence, as a picture or as arrays."""

import numpy as np

from cgru.commands import _pictures
from cgru.commands._exit import writable
from cgru.commands._inputs import add_input_options, initial_state, open_input
from cgru.commands._models import add_model_options, read_model
from cgru.files import whole_file
from cgru.study.trace import states

_STEPS = 400


def add_arguments(parser):
    add_model_options(parser)
    add_input_options(parser)
    parser.add_argument("--plot", metavar="FILE", help="draw heat maps: .png, .pdf or .svg (needs matplotlib)")
    parser.add_argument("-o", "--output", metavar="FILE", help="write arrays r, z, n, h, each (T, H), to this .npz")
    parser.add_argument("--row", type=int, default=0, metavar="K", help="batch row, from 0; default %(default)s")
    parser.add_argument("--cell-layer", type=int, metavar="K", help="layer, from 0; default the last")
    parser.add_argument("--backward", action="store_true", help="the backward direction of a bidirectional model")
    parser.add_argument("--start", type=int, default=0, metavar="T", help="first step to show; default %(default)s")
    parser.add_argument("--steps", type=int, default=_STEPS, metavar="T", help="how many to show; default %(default)s")
    parser.add_argument("--z-is", choices=("keep", "new"), default="keep", help="what z is the share of: the old state "
                        "or the new; default %(default)s")  # fmt: skip


def main(args):
    if args.plot is not None:
        _pictures.check(args)
    if args.output is not None:
        writable(args.output, (".npz",), "--output", args)
    if args.start < 0 or args.steps < 1:
        raise ValueError(f"--start {args.start} --steps {args.steps}: expected 0 or more, and 1 or more")
    model, _ = read_model(args)
    layer = _layer(args, model)
    x, hx = _sequence(args, model)
    arrays = _traced(model, x, hx, layer, args.backward, args.z_is)
    window = slice(args.start, args.start + args.steps)
    shown = {name: array[window] for name, array in arrays.items()}
    if not len(shown["h"]):
        raise ValueError(f"--start {args.start}: the sequence has only {len(x)} steps")
    steps = range(len(x))[window]
    where = f"layer {layer}{', backwards' if args.backward else ''}, steps {steps[0]} to {steps[-1]} of {len(x)}"
    print(f"{model!r}\n{where}, {model.hidden_size} units")
    print("\n".join(statistics(shown)))
    if args.output is not None:
        with whole_file(args.output) as file:
            np.savez(file, **shown)
        print(f"wrote {args.output}")
    if args.plot is not None:
        from cgru.commands import _trace_picture

        figure = _trace_picture.figure(shown, steps[0], f"{args.model}: {where}", args.z_is)
        _pictures.save(figure, args.plot)
        print(f"wrote {args.plot}")


def _layer(args, model):
    layer = model.num_layers - 1 if args.cell_layer is None else args.cell_layer
    if not 0 <= layer < model.num_layers:
        raise ValueError(f"--cell-layer {layer}: this model has layers 0 to {model.num_layers - 1}")
    if args.backward and not model.bidirectional:
        raise ValueError("--backward is for a bidirectional model; this one has a single direction")
    return layer


def _sequence(args, model):
    """One row (T, I) of the input, and its initial state (layers * directions, H)."""
    with open_input(args) as source:
        hx = initial_state(args, model, source)
        shape = source.shape
        rows = 1 if len(shape) == 2 else shape[0 if model.batch_first else 1]
        if not 0 <= args.row < rows:
            raise ValueError(f"--row {args.row}: {args.input} has rows 0 to {rows - 1}")
        needed = args.start + args.steps if model.config.one_way else None      # later steps cannot matter
        if len(shape) == 3 and model.batch_first:
            source.skip(args.row * shape[1])
            steps = shape[1] if needed is None else min(needed, shape[1])
            return source.take(steps), None if hx is None else hx[:, args.row]
        steps = shape[0] if needed is None else min(needed, shape[0])
        if len(shape) == 2:
            return source.take(steps), hx
        x = np.empty((steps, shape[-1]), source.dtype)
        for t in range(steps):
            source.skip(args.row if t == 0 else rows - 1)
            x[t] = source.take(1)[0]
        return x, None if hx is None else hx[:, args.row]


def _traced(model, x, hx, layer, backward, z_is):
    """r, z, n and h (T, H) of one layer and direction."""
    _, _, gates = model.trace(x, hx)
    config = model.config
    k = layer * config.num_directions + backward
    r, z, n = (gate[k] for gate in gates)
    if hx is None:
        hx = model.weights.tensors["h_0"] if config.initial_state else np.zeros((k + 1, model.hidden_size), model.dtype)
    h = states((r, z, n), hx[k], backward=backward or config.reverse or config.go_backwards)
    return {"r": r, "z": z if z_is == "keep" else 1 - z, "n": n, "h": h}


def statistics(arrays):
    """Mean, standard deviation and range of each; for the gates how often they are nearly shut or open."""
    yield "        mean     std     min     max   below 0.05   above 0.95"
    for name, array in arrays.items():
        wide = array.astype(np.float64)
        text = f"{name}  " + "".join(f"{value:8.3g}" for value in (wide.mean(), wide.std(), wide.min(), wide.max()))
        if name in "rz":
            text += f"{(array < 0.05).mean():13.1%}{(array > 0.95).mean():13.1%}"
        yield text
