"""The kinds of cells, until the package has its own table."""

from typing import NamedTuple


class Cell(NamedTuple):
    """Facts about a kind."""

    kind: str
    gates: str
    states: tuple
    engines: tuple

    @property
    def name(self):
        """Of the class."""
        return self.kind.upper()

    @property
    def stacked(self):
        """Matrices of H rows in a weight."""
        return max(1, len(self.gates))


CELLS = {
    "gru": Cell("gru", "rzn", ("h",), ("packed", "blas")),
    "rnn": Cell("rnn", "", ("h",), ("blas",)),
    "lstm": Cell("lstm", "ifgo", ("h", "c"), ("blas",)),
}
