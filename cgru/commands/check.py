"""``cgru check``: a model against recorded outputs; exit status 0 where it matches, 1 where it does not."""

from typing import Any

import cgru
from cgru.commands._arrays import is_raw, read_whole
from cgru.commands._exit import writable
from cgru.commands._inputs import given_states, read_lengths
from cgru.commands._models import add_model_options, read_model


def add_arguments(parser):
    add_model_options(parser)
    parser.add_argument(
        "input", metavar="INPUT",
        help="x: .npy, .npz, .csv, or the numbers alone, float32 without a header: .raw, .f32 or .bin",
    )  # fmt: skip
    parser.add_argument("expected", metavar="EXPECTED", help="y as the other system computed it, in such a file")
    parser.add_argument("--h0", metavar="FILE", help="the initial state that the other system had, in such a file")
    parser.add_argument("--c0", metavar="FILE", help="the initial cell state, of an LSTM")
    parser.add_argument("--lengths", metavar="FILE", help="valid steps of each row: .npy, .npz, .csv or .txt")
    parser.add_argument("--tolerance", type=float, metavar="E", help="largest absolute error that counts as a match")
    parser.add_argument("--save", metavar="FILE", help="write the model that matches to this .safetensors file")


def main(args):
    if args.save is not None:
        writable(args.save, (".safetensors",), "--save", args)
    model, _ = read_model(args)
    x, y = _recorded(args, model.config)
    states = (model.config.num_layers * model.config.num_directions, *x.shape[1:-1], model.hidden_size)
    if model.batch_first:
        states = (states[0], *x.shape[:-2], model.hidden_size)
    planes = [None if path is None else read_whole(path, states) for _, path in given_states(args, model.config.cell)]
    hx: Any = planes[0] if len(planes) == 1 else tuple(planes)
    lengths = None if args.lengths is None else read_lengths(args.lengths, model, x.shape)
    report = cgru.check(model, x, y, hx, lengths=lengths, tolerance=args.tolerance)
    print(report.explanation)
    if report.changes and args.save is None:
        print("With --save FILE that model is written to a .safetensors file.")
    if args.save is not None and report.model is not None:
        report.model.save(args.save)
        print(f"wrote {args.save}")
    if not report.matches:
        raise SystemExit(1)


def _recorded(args, config):
    """x and y; a file without a shape takes it from the other one, and both without are one sequence."""
    if not is_raw(args.input):
        x = read_whole(args.input)
        return x, read_whole(args.expected, (*x.shape[:-1], config.output_size))
    if is_raw(args.expected):
        return read_whole(args.input, (None, config.input_size)), read_whole(args.expected, (None, config.output_size))
    y = read_whole(args.expected)
    return read_whole(args.input, (*y.shape[:-1], config.input_size)), y
