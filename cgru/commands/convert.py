"""``cgru convert``: a model or network from any readable format to safetensors, ONNX, RTNeural's JSON or C.

Quantised weights stay so in safetensors and C; the others get the float32 numbers that they stand for.
"""

import os
import sys

from cgru.commands._exit import MissingExtra, writable
from cgru.commands._layers import chain_of, weight_dtypes
from cgru.commands._models import add_model_options, read_model


def add_arguments(parser):
    add_model_options(parser, "IN")
    parser.add_argument(
        "output", metavar="OUT",
        help="what to write: .safetensors, .onnx, .json for RTNeural, or .c, and beside it .h and _test.c",
    )  # fmt: skip
    parser.add_argument("--lengths", action="store_true", help="give the ONNX model an input lengths (N,)")
    parser.add_argument("--c-name", metavar="NAME", help="what functions in C begin with; default: OUT without .c")


def main(args):
    from cgru.convert.rtneural_write import to_rtneural

    writable(args.output, (".safetensors", ".onnx", ".json", ".c"), "OUT", args)
    suffix = os.path.splitext(args.output)[1].lower()
    if args.lengths and suffix != ".onnx":
        raise ValueError(f"--lengths is an input of an ONNX model; {args.output} has none")
    if suffix == ".c" and not args.output.endswith(".c"):
        raise ValueError(f"OUT must end in .c, which {args.output} does in capitals: to compilers that is C++")
    if args.c_name is not None and suffix != ".c":
        raise ValueError(f"--c-name is what functions in C begin with; {args.output} has none")
    model, form = read_model(args)
    written = [args.output]
    if suffix == ".c":
        written += _write_c(model, args)
    elif suffix == ".safetensors":
        model.save(args.output)
    else:
        try:
            if suffix == ".onnx":
                model.to_onnx(args.output, lengths=args.lengths)
            else:
                to_rtneural(chain_of(model), args.output)
        except ImportError as error:
            raise MissingExtra(str(error)) from error
        if "int8" in weight_dtypes(model):
            print(
                f"cgru: note: {args.output} computes other outputs: the int8 model also rounds its activations, and "
                "the float32 model that was written does not",
                file=sys.stderr,
            )
    print(f"read {args.model} ({form}): {model!r}")
    for path in written:
        print(f"wrote {path}, {os.path.getsize(path):,} bytes")


def _write_c(model, args):
    """Write a model as C; the files beside OUT."""
    dtype = chain_of(model).dtype
    if dtype != "float32":
        raise ValueError(f"{args.output}: C is written for float32, and this is {dtype}: add --dtype float32")
    try:
        model.to_c(args.output, name=args.c_name)
    except ValueError as error:
        raise ValueError(str(error).replace("name=...", "--c-name NAME")) from error
    stem = os.path.join(os.path.dirname(args.output), args.c_name or os.path.basename(args.output)[:-2])
    return [f"{stem}.h", f"{stem}_test.c"]
