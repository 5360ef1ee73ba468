"""``cgru convert``: from any readable format to safetensors or ONNX.

Quantised weights stay so in safetensors; ONNX gets the float32 numbers that they stand for.
"""

import os
import sys

from cgru.commands._exit import MissingExtra, writable
from cgru.commands._models import add_model_options, read_model


def add_arguments(parser):
    add_model_options(parser, "IN")
    parser.add_argument("output", metavar="OUT", help="what to write: .safetensors, which cgru.load reads, or .onnx")
    parser.add_argument("--lengths", action="store_true", help="give the ONNX model an input lengths (N,)")


def main(args):
    writable(args.output, (".safetensors", ".onnx"), "OUT", args)
    model, form = read_model(args)
    if os.path.splitext(args.output)[1].lower() == ".onnx":
        try:
            model.to_onnx(args.output, lengths=args.lengths)
        except ImportError as error:
            raise MissingExtra(str(error)) from error
        if "int8" in model.weight_dtypes:
            print(
                f"cgru: note: {args.output} computes other outputs: the int8 model also rounds its activations, and "
                "the float32 model that was written does not",
                file=sys.stderr,
            )
    else:
        model.save(args.output)
    print(f"read {args.model} ({form}): {model!r}")
    print(f"wrote {args.output}, {os.path.getsize(args.output):,} bytes")
