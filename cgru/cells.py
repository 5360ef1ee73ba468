"""The table of cells: one row for each kind of layer, and nobody else decides by a kind's name.

A cell is the equations of one step. What the rows of a weight are, how many planes of state there are, what a tape
keeps, and which options there are: all of that is asked here.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Cell:
    """The facts about one kind of cell.

    Attributes
    ----------
    kind : str
        Its name here and in files: "gru".
    code : int
        Its number in the engines (engines/_cells.pxd).
    gates : str
        A letter for each gate, in the order of the rows of weights and biases; empty where there are none.
    states : tuple of str
        The planes (N, H) of the state, the first of which is the output; empty of a layer that keeps none.
    tape : str
        A letter for each plane (T, N, H) that a backward pass needs beside x and y, with `plain` activations.
    sums : str
        A letter for each plane that it needs behind them with others, or with a clip: of what goes into an activation,
        before the clip. The letter is the capital of what the activation makes.
    traced : str
        A letter for each plane that a trace shows: of the tape, or h.
    functions : str
        A letter for each of its functions: f of gates, g of a candidate or of an RNN's state, h of an LSTM's cell state
        on its way out.
    uses : tuple of str
        For each of its functions the letters of what it makes, or in the case of h, what it is of.
    options : tuple of str
        Attributes of `Config` that only some kinds have.
    plain : tuple of tuple of str
        The activations, a name for each of its functions, whose slopes follow from what they make.
    keeps : str
        The gate that is the share of the old state in the new one; empty where there is none.
    """

    kind: str
    code: int
    gates: str
    states: tuple[str, ...]
    tape: str
    sums: str
    traced: str
    functions: str
    uses: tuple[str, ...]
    options: tuple[str, ...]
    plain: tuple[tuple[str, ...], ...]
    keeps: str

    @property
    def name(self) -> str:
        """Name of the class, here and in torch.nn: "GRU", "Linear"."""
        return self.kind.upper() if self.states else self.kind.title()

    @property
    def shares(self) -> str:
        """The letters of its gates that are shares of something, from 0 to 1 with the usual functions."""
        return self.uses[0] if "f" in self.functions else ""

    @property
    def stacked(self) -> int:
        """Matrices of H rows that a weight has on top of each other."""
        return max(1, len(self.gates))


_COMMON = ("clip", "reverse", "go_backwards", "merge_mode", "initial_state")

GRU = Cell(
    kind="gru",
    code=0,
    gates="rzn",
    states=("h",),
    tape="rznq",      # q = U_n h + c_n, or r h with reset_after=False
    sums="RZN",
    traced="rzn",
    functions="fg",
    uses=("rz", "n"),
    options=("reset_after", "activations", *_COMMON),
    plain=(("sigmoid", "tanh"),),
    keeps="z",
)
RNN = Cell(
    kind="rnn",
    code=1,
    gates="",
    states=("h",),
    tape="",
    sums="H",
    traced="h",
    functions="g",
    uses=("h",),
    options=("nonlinearity", *_COMMON),
    plain=(("tanh",), ("relu",)),
    keeps="",
)
LSTM = Cell(
    kind="lstm",
    code=2,
    gates="ifgo",
    states=("h", "c"),
    tape="ifgoc",
    sums="IFGO",
    traced="ifgoc",
    functions="fgh",
    uses=("ifo", "g", "c"),
    options=("activations", *_COMMON),
    plain=(("sigmoid", "tanh", "tanh"),),
    keeps="f",
)

LINEAR = Cell(
    kind="linear",
    code=3,
    gates="",
    states=(),
    tape="a",
    sums="",
    traced="",
    functions="g",
    uses=("y",),
    options=("activations",),
    plain=(),
    keeps="",
)

#: The recurrent kinds, and with Linear every kind.
CELLS: dict[str, Cell] = {cell.kind: cell for cell in (GRU, RNN, LSTM)}
KINDS: dict[str, Cell] = CELLS | {LINEAR.kind: LINEAR}
