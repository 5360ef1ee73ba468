"""``cgru convert``: a model or network from any readable format to safetensors, ONNX or RTNeural's JSON.

Quantised weights stay so in safetensors; the others get the float32 numbers that they stand for.
"""

import os
import sys

from cgru.commands._exit import MissingExtra, writable
from cgru.commands._layers import chain_of, weight_dtypes
from cgru.commands._models import add_model_options, read_model


def add_arguments(parser):
    add_model_options(parser, "IN")
    parser.add_argument("output", metavar="OUT", help="what to write: .safetensors, .onnx, or .json for RTNeural")
    parser.add_argument("--lengths", action="store_true", help="give the ONNX model an input lengths (N,)")


def main(args):
    from cgru.convert.rtneural_write import to_rtneural

    writable(args.output, (".safetensors", ".onnx", ".json"), "OUT", args)
    suffix = os.path.splitext(args.output)[1].lower()
    if args.lengths and suffix != ".onnx":
        raise ValueError(f"--lengths is an input of an ONNX model; {args.output} has none")
    model, form = read_model(args)
    if suffix == ".safetensors":
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
    print(f"wrote {args.output}, {os.path.getsize(args.output):,} bytes")
