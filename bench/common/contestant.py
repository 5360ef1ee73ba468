"""The small interface of everything that takes part."""

from importlib.metadata import version
from typing import ClassVar


class Absent(RuntimeError):
    """The machine or the installation lacks what a contestant needs; the message says what."""


class Contestant:
    """What the parts of the benchmark see of a contestant.

    Attributes
    ----------
    name : str
        Shown in tables and used by ``--peers``.
    distribution : str
        Package whose version is recorded.
    label : str
        Name in the legend of a plot, where it is another.
    style : dict
        Line of a plot, as Matplotlib has it: Okabe and Ito's colours, which colour-blind readers tell apart; C
        baselines are grey and told apart by dashes.
    peer : bool
        Whether a user of Python could take it instead of cgru: the goals compare with those.
    cells : tuple of str
        The cells that it has.
    stacks : bool
        Whether it runs several layers and two directions.
    weight_dtype : str
        What its weights are stored as: "float32", "bfloat16" or "int8". The limit is of the bytes of these.
    """

    name = ""
    distribution = ""
    label = ""
    style: ClassVar[dict] = {}
    peer = True
    cells = ("gru", "lstm", "rnn")
    stacks = True
    weight_dtype = "float32"

    def __init__(self, threads=1):
        self.threads = threads
        self.version = version(self.distribution) if self.distribution else ""
        self.load()

    def load(self):
        """Import the peer and set its number of threads; ImportError where it is missing, or Absent."""

    def takes(self, point):
        """Whether it has what the point asks for."""
        return point.cell in self.cells and (self.stacks or not point.is_stack)

    def runners(self, problem):
        """Every way to call it for this problem, as a list of runners."""
        raise NotImplementedError
