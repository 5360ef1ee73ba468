"""``cgru check``: a model or network against recorded outputs; exit status 0 where it matches, 1 where it does not."""

import cgru
from cgru.commands._arrays import is_raw, read_whole
from cgru.commands._exit import writable
from cgru.commands._inputs import add_layout_option, add_state_options, given_state, read_lengths, say_column
from cgru.commands._layers import gives_last, output_size, y_shape
from cgru.commands._models import add_model_options, read_model


def add_arguments(parser):
    add_model_options(parser)
    parser.add_argument(
        "input", metavar="INPUT",
        help="x: .npy, .npz, .csv, or the numbers alone, float32 without a header: .raw, .f32 or .bin",
    )  # fmt: skip
    parser.add_argument("expected", metavar="EXPECTED", help="y as the other system computed it, in such a file")
    add_state_options(parser, "in such a file")
    add_layout_option(parser, "three-dimensional files")
    parser.add_argument("--lengths", metavar="FILE", help="valid steps of each row: .npy, .npz, .csv or .txt")
    parser.add_argument("--tolerance", type=float, metavar="E", help="largest absolute error that counts as a match")
    parser.add_argument("--save", metavar="FILE", help="write the model that matches to this .safetensors file")


def main(args):
    if args.save is not None:
        writable(args.save, (".safetensors",), "--save", args)
    model, _ = read_model(args)
    x, y = _recorded(args, model)
    rows = () if x.ndim == 2 else x.shape[:1] if model.batch_first else x.shape[1:2]
    hx = given_state(args, model, rows, checked=False)
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


def _recorded(args, model):
    """x and y; a file without a shape takes it from the other one, and both without are one sequence."""
    if not is_raw(args.input):
        x = _columns(args.input, read_whole(args.input), model.input_size)
        shape = y_shape(model, x.shape)
        y = read_whole(args.expected, shape)
        return x, y if len(shape) == 1 else _columns(args.expected, y, output_size(model))
    sequence = (None, model.input_size)
    if is_raw(args.expected):
        one = (output_size(model),) if gives_last(model) else (None, output_size(model))
        return read_whole(args.input, sequence), read_whole(args.expected, one)
    y = read_whole(args.expected)
    if gives_last(model):
        return read_whole(args.input, sequence), y
    y = _columns(args.expected, y, output_size(model))
    return read_whole(args.input, (*y.shape[:-1], model.input_size)), y


def _columns(path, array, features):
    """A flat array as one feature, where there is one, which is said."""
    if array.ndim != 1 or features != 1:
        return array
    say_column(path, (*array.shape, 1))
    return array[:, None]
