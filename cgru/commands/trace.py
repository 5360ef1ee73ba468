"""``cgru trace``: the gates and the state h of one sequence, as a picture or as arrays.

It takes one recurrent layer or stack, no network: of a file with more it reads that alone, and says so. INPUT is then
what that layer gets.
"""

import numpy as np

from cgru.commands import _pictures
from cgru.commands._exit import writable
from cgru.commands._inputs import add_input_options, initial_state, on_planes, open_input
from cgru.commands._models import add_model_options, read_model
from cgru.files import whole_file
from cgru.forward import prepare
from cgru.study.trace import planes

_STEPS = 400


def add_arguments(parser):
    add_model_options(parser, network=False)
    add_input_options(parser)
    parser.add_argument("--plot", metavar="FILE", help="draw heat maps: .png, .pdf or .svg (needs matplotlib)")
    parser.add_argument(
        "-o", "--output", metavar="FILE",
        help="write arrays, each (T, H), to this .npz: r, z, n, h of a GRU, i, f, g, o, c, h of an LSTM, h of an RNN",
    )  # fmt: skip
    parser.add_argument("--row", type=int, default=0, metavar="K", help="batch row, from 0; default %(default)s")
    parser.add_argument("--cell-layer", type=int, metavar="K", help="layer, from 0; default the last")
    parser.add_argument("--backward", action="store_true", help="the backward direction of a bidirectional model")
    parser.add_argument("--start", type=int, default=0, metavar="T", help="first step to show; default %(default)s")
    parser.add_argument("--steps", type=int, default=_STEPS, metavar="T", help="how many to show; default %(default)s")
    parser.add_argument(
        "--z-is", choices=("keep", "new"), default="keep",
        help="what a GRU's z is the share of: the old state or the new; default %(default)s",
    )  # fmt: skip


def main(args):
    if args.plot is not None:
        _pictures.check(args)
    if args.output is not None:
        writable(args.output, (".npz",), "--output", args)
    if args.start < 0 or args.steps < 1:
        raise ValueError(f"--start {args.start} --steps {args.steps}: expected 0 or more, and 1 or more")
    model, _ = read_model(args)
    if args.z_is != "keep" and "z" not in model.config.cell.gates:
        raise ValueError(f"--z-is {args.z_is} is for a GRU; {args.model} holds {type(model).__name__} weights")
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
    print("\n".join(statistics(shown, model.config.cell.shares)))
    if args.output is not None:
        with whole_file(args.output) as file:
            np.savez(file, **shown)
        print(f"wrote {args.output}")
    if args.plot is not None:
        from cgru.commands import _trace_picture

        title = f"{args.model}: {where}"
        figure = _trace_picture.figure(shown, steps[0], title, args.z_is, model.config.cell.shares)
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

    def row_of(plane):
        return plane[:, args.row]

    with open_input(args, model) as source:
        shape = source.shape
        hx = initial_state(args, model, shape)
        rows = 1 if len(shape) == 2 else shape[0 if model.batch_first else 1]
        if not 0 <= args.row < rows:
            raise ValueError(f"--row {args.row}: {args.input} has rows 0 to {rows - 1}")
        needed = args.start + args.steps if model.config.one_way else None      # later steps cannot matter
        if len(shape) == 3 and model.batch_first:
            source.skip(args.row * shape[1])
            steps = shape[1] if needed is None else min(needed, shape[1])
            return source.take(steps), on_planes(row_of, hx)
        steps = shape[0] if needed is None else min(needed, shape[0])
        if len(shape) == 2:
            return source.take(steps), hx
        x = np.empty((steps, shape[-1]), source.dtype)
        for t in range(steps):
            source.skip(args.row if t == 0 else rows - 1)
            x[t] = source.take(1)[0]
        return x, on_planes(row_of, hx)


def _traced(model, x, hx, layer, backward, z_is):
    """The gates, and h, (T, H) of one layer and direction."""
    config = model.config
    inputs = prepare(model.weights, x, hx)
    y = np.empty((len(x), config.output_size), model.dtype)
    letters = config.cell.traced + ("" if "h" in config.cell.traced else "h")
    k = layer * config.num_directions + backward
    found = {letter: plane[k, :, 0] for letter, plane in planes(model, inputs, y, letters).items()}
    if z_is == "new":
        found["z"] = 1 - found["z"]
    return found


def statistics(arrays, gates):
    """Mean, standard deviation and range of each; for those that are gates how often they are nearly shut or open."""
    yield "        mean     std     min     max" + ("   below 0.05   above 0.95" if gates else "")
    for name, array in arrays.items():
        wide = array.astype(np.float64)
        text = f"{name}  " + "".join(f"{value:8.3g}" for value in (wide.mean(), wide.std(), wide.min(), wide.max()))
        if name in gates:
            text += f"{(array < 0.05).mean():13.1%}{(array > 0.95).mean():13.1%}"
        yield text
