"""The command line: the table of subcommands, and one module for each.

What they share: `_exit` (errors and exit statuses), `_progress` (the bar), `_models` (a model out of a file), `_inputs`
(x, its initial state and its lengths), `_arrays` (arrays out of files), `_writing` (arrays into them), `_parquet`
(`run` over those), `_pictures` (drawing), `_timing` and `_latency` (measuring).
"""

import importlib

from cgru._version import __version__
from cgru.commands._exit import Parser

# name -> its line in the help. Its module has a docstring, add_arguments(parser) and main(args), which is where it
# imports what is slow.
COMMANDS = {
    "info": "say what a model file holds: the chain of layers, sizes, cost of a step, conventions",
    "convert": "turn a model file of any readable format into safetensors, ONNX, RTNeural's JSON or C",
    "quantize": "write a model with weights in 16 or 8 bits, and say what that saves and costs",
    "run": "run a model or network over a file of any size, in bounded memory",
    "trace": "show the gates of a GRU or LSTM, and the state h, over time, as a picture or as arrays",
    "check": "compare a model with recorded outputs, and name the convention that is wrong",
    "demo": "recognise nine speakers in 370 real utterances with the embedded model",
    "compare": "RNN, GRU and LSTM: sizes, times, and how a gradient decays over the steps back",
    "bench": "measure how fast a GRU of a given shape, or any saved model or network, is on this machine",
    "judge": "anyone's GRU or LSTM in C or C++: is it right, safe, and how fast; and the published test vectors",
    "self-test": "compute the fixed run and compare its hashes with the published ones",
}

ABOUT = (
    "Compiled GRUs, LSTMs and plain RNNs for Python, and networks of them with Linear layers, on a CPU. Commands take "
    "a file of any of these: cgru's own, PyTorch's, Keras's, ONNX's or another system's."
)


def module_of(name):
    """The module of a command: its name, with an underscore for a dash."""
    return importlib.import_module(f"{__name__}.{name.replace('-', '_')}")


def build_parser():
    """The parser of all commands; alone, ``cgru`` prints its help."""
    parser = Parser(prog="cgru", description=ABOUT)
    parser.add_argument("--version", action="version", version=f"cgru {__version__}")
    parser.set_defaults(main=lambda args: parser.print_help())
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, help_line in COMMANDS.items():
        command = module_of(name)
        subparser = commands.add_parser(name, help=help_line, description=command.__doc__)
        command.add_arguments(subparser)
        subparser.set_defaults(main=command.main)
    return parser
