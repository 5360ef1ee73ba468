"""``cgru check``: a model against recorded outputs; exit status 0 where it matches, 1 where it does not."""

import cgru
from cgru.commands._arrays import read_whole
from cgru.commands._exit import writable
from cgru.commands._models import add_model_options, read_model


def add_arguments(parser):
    add_model_options(parser)
    parser.add_argument("input", metavar="INPUT", help="x: .npy, .npz or .csv")
    parser.add_argument("expected", metavar="EXPECTED", help="y as the other system computed it: .npy, .npz or .csv")
    parser.add_argument("--h0", metavar="FILE", help="the initial state that the other system had")
    parser.add_argument("--tolerance", type=float, metavar="E", help="largest absolute error that counts as a match")
    parser.add_argument("--save", metavar="FILE", help="write the model that matches to this .safetensors file")


def main(args):
    if args.save is not None:
        writable(args.save, (".safetensors",), "--save")
    model, _ = read_model(args)
    x, y = read_whole(args.input), read_whole(args.expected)
    hx = None if args.h0 is None else read_whole(args.h0)
    report = cgru.check(model, x, y, hx, tolerance=args.tolerance)
    print(report)
    if args.save is not None and report.model is not None:
        report.model.save(args.save)
        print(f"wrote {args.save}")
    if not report.matches:
        raise SystemExit(1)
