"""The command line: ``cgru COMMAND`` or ``python -m cgru COMMAND``."""

import sys

from cgru.commands import build_parser
from cgru.commands._exit import guarded


def main(argv=None, **options):
    """Run the command line.

    Parameters
    ----------
    argv : list of str, optional
        Arguments without the program's name; those of the process by default.
    **options
        What the command's own `main` takes beside them: how much `run` has in memory, how long `compare` measures.

    Returns
    -------
    int
        Exit status: 0, 2 for an error that the user can mend (one line on stderr), 130 after Ctrl-C, 141 when
        the reader of the output has gone.
    """

    def command():
        args = build_parser().parse_args(argv)
        args.main(args, **options)

    return guarded(command)


if __name__ == "__main__":
    sys.exit(main())
