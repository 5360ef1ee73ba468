"""The command line: ``cgru COMMAND`` or ``python -m cgru COMMAND``."""

import importlib
import sys

from cgru import __version__
from cgru.commands._exit import Parser, guarded

# name -> (module, help). A module has add_arguments(parser) and main(args), which is where it imports what is slow.
COMMANDS = {
    "info": ("cgru.commands.info", "say what a model file holds: sizes, cost of a step, conventions"),
    "convert": ("cgru.commands.convert", "turn a model file of any readable format into safetensors or ONNX"),
    "run": ("cgru.commands.run", "run a model over a file of any size, in bounded memory"),
    "trace": ("cgru.commands.trace", "show the gates r, z, n and the state h over time, as a picture or as arrays"),
    "check": ("cgru.commands.check", "compare a model with recorded outputs, and name the convention that is wrong"),
    "demo": ("cgru.commands.demo", "recognise nine speakers in 370 real utterances with the embedded model"),
    "compare": ("cgru.commands.compare", "RNN, GRU and LSTM: sizes, times, and how a gradient decays over the steps back"),
    "bench": ("cgru.commands.bench", "measure how fast a GRU of a given shape, or a saved model, is on this machine"),
}


def build_parser():
    """Build the parser of all commands."""
    parser = Parser(prog="cgru", description="A compiled GRU for Python, on a CPU.")
    parser.add_argument("--version", action="version", version=f"cgru {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (module, help_line) in COMMANDS.items():
        command = importlib.import_module(module)
        subparser = commands.add_parser(name, help=help_line, description=command.__doc__)
        command.add_arguments(subparser)
        subparser.set_defaults(main=command.main)
    return parser


def main(argv=None):
    """Run the command line.

    Parameters
    ----------
    argv : list of str, optional
        Arguments without the program's name; those of the process by default.

    Returns
    -------
    int
        Exit status: 0, 2 for an error that the user can mend (one line on stderr), 130 after Ctrl-C, 141 when
        the reader of the output has gone.
    """

    def command():
        args = build_parser().parse_args(argv)
        args.main(args)

    return guarded(command)


if __name__ == "__main__":
    sys.exit(main())
