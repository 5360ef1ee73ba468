"""What a model is, apart from its numbers: sizes, directions and options, and the parameters that follow from them."""

import dataclasses
from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from cgru.activations import cell_activations, linear_activations, shown
from cgru.cells import KINDS, Cell
from cgru.checks import BLAS_LIMIT, check_size

MERGE_MODES = ("concat", "sum", "mul", "ave")


class Direction(NamedTuple):
    """One pass of one layer; its parameters' names end in `suffix`.

    Attributes
    ----------
    layer : int
    reverse : bool
        Whether it is the second direction of a bidirectional layer.
    suffix : str
        "l0", "l0_reverse", ...
    """

    layer: int
    reverse: bool
    suffix: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that is not a number in an array.

    Attributes
    ----------
    input_size, hidden_size, num_layers : int
    bias, batch_first, bidirectional : bool
    reset_after : bool
        Where the reset gate acts: after the recurrent product (PyTorch) or before it (the equations of 2014).
    activations : tuple of tuple of Activation
        For each direction one for each of `Cell.functions`: (f, g) of a GRU, (f, g, h) of an LSTM, (g,) of an RNN, its
        nonlinearity; see `cgru.activations`.
    clip : float or None
        What goes into the activations of the gates is clamped to +-clip, as ONNX Runtime does it: into f and g, not
        into an LSTM's h.
    reverse : bool
        The only direction runs from the end to the start; its output is put back in order.
    go_backwards : bool
        The same, with the output of each layer left in reversed order (Keras); the padding of a reversed one stands
        in front.
    merge_mode : {"concat", "sum", "mul", "ave"}
        How the two directions' outputs become one (Keras's `Bidirectional`); one layer only, unless "concat".
    initial_state : bool
        Whether the parameters hold an ``h_0`` (num_layers * D, H), and an LSTM's a ``c_0``: the state of every row
        where none is given.
    kind : {"gru", "rnn", "lstm", "linear"}
        Which row of `cgru.cells` it is; an option that this row does not name is refused. The hidden_size of a Linear
        is the number of its outputs, and the one activation is what they go through.
    """

    input_size: int
    hidden_size: int
    num_layers: int = 1
    bias: bool = True
    batch_first: bool = False
    bidirectional: bool = False
    reset_after: bool = True
    activations: Any = None     # None or names in, a tuple of Activation per direction out
    clip: float | None = None
    reverse: bool = False
    go_backwards: bool = False
    merge_mode: str = "concat"
    initial_state: bool = False
    kind: str = "gru"

    def __post_init__(self):
        for name in ("input_size", "hidden_size", "num_layers"):
            object.__setattr__(self, name, check_size(name, getattr(self, name)))
        for name in ("bias", "batch_first", "bidirectional", "reset_after", "reverse", "go_backwards", "initial_state"):
            value = getattr(self, name)
            if not isinstance(value, bool | np.bool_):
                raise TypeError(f"{name} must be True or False; got {value!r}")
            object.__setattr__(self, name, bool(value))
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}; got {self.kind!r}")
        object.__setattr__(self, "activations", self._activations())
        if self.clip is not None:
            if isinstance(self.clip, bool) or not isinstance(self.clip, int | float | np.number) or not self.clip > 0:
                raise ValueError(f"clip must be a positive number or None; got {self.clip!r}")
            object.__setattr__(self, "clip", float(self.clip))
        self._check_directions()
        self._check_options()
        widest = max(self.input_size, self.num_directions * self.hidden_size, self.cell.stacked * self.hidden_size)
        if widest > BLAS_LIMIT:
            raise ValueError(
                f"input_size={self.input_size}, hidden_size={self.hidden_size} make a matrix {widest} wide, "
                f"over the limit of BLAS's 32-bit integers ({BLAS_LIMIT}); use smaller sizes"
            )

    def _activations(self):
        if not self.recurrent:
            return linear_activations(self.activations)
        return cell_activations(self.activations, self.cell.functions, self.num_directions)

    def _check_directions(self):
        if self.merge_mode not in MERGE_MODES:
            raise ValueError(f"merge_mode must be one of {', '.join(MERGE_MODES)}; got {self.merge_mode!r}")
        if self.merge_mode != "concat" and not (self.bidirectional and self.num_layers == 1):
            raise ValueError(
                f"merge_mode={self.merge_mode!r} is for one bidirectional layer; this model has "
                f"bidirectional={self.bidirectional}, num_layers={self.num_layers}"
            )
        if self.reverse + self.go_backwards + self.bidirectional > 1:
            raise ValueError("reverse, go_backwards and bidirectional exclude each other; set one of them")

    def _check_options(self):
        """Refuse what only other kinds have."""
        fields = type(self).__dataclass_fields__
        if not self.recurrent and (self.num_layers, self.bidirectional) != (1, False):
            raise ValueError(f"a {self.cell.name} has one layer and one direction; got {self.num_layers} layers, "
                             f"bidirectional={self.bidirectional}")
        for name in {option for cell in KINDS.values() for option in cell.options} - set(self.cell.options):
            if name in fields and name != "activations" and getattr(self, name) != fields[name].default:
                raise ValueError(f"{self.cell.name} has no option {name}; got {getattr(self, name)!r}")

    @cached_property
    def cell(self) -> Cell:
        """Its row in the table of cells."""
        return KINDS[self.kind]

    @property
    def recurrent(self) -> bool:
        """Whether it keeps a state."""
        return bool(self.cell.states)

    @cached_property
    def num_directions(self) -> int:
        """1, or 2 when bidirectional."""
        return 2 if self.bidirectional else 1

    @cached_property
    def output_size(self) -> int:
        """Features of y: the hidden units, times the directions that are side by side."""
        return self.hidden_size * (self.num_directions if self.merge_mode == "concat" else 1)

    @cached_property
    def is_plain(self) -> bool:
        """Whether the slopes of all activations follow from what they make; otherwise a tape keeps what goes in too."""
        names = (tuple(item.name for item in group) for group in self.activations)
        return self.clip is None and all(group in self.cell.plain for group in names)

    @property
    def tape(self) -> str:
        """A letter for each plane that a tape keeps of a direction; see `cgru.cells`."""
        return self.cell.tape + ("" if self.is_plain else self.cell.sums)

    @cached_property
    def runs_back(self) -> tuple[tuple[bool, ...], ...]:
        """Of each layer, of each of its directions, whether it runs from the end of time to its start."""
        first = [self.reverse or (self.go_backwards and layer % 2 == 0) for layer in range(self.num_layers)]
        return tuple((back, True)[: self.num_directions] for back in first)

    @property
    def leaves_reversed(self) -> bool:
        """Whether y is in reversed order, with the padding in front."""
        return self.go_backwards and self.num_layers % 2 == 1

    @property
    def one_way(self) -> bool:
        """Whether no step needs a later one: what a stream, or a file read in pieces, asks for."""
        return not (self.bidirectional or self.reverse or self.go_backwards)

    def check_one_way(self) -> None:
        """Refuse to stream what needs steps that are still to come."""
        if not self.one_way:
            way = "bidirectional" if self.bidirectional else "reversed"
            raise ValueError(
                f"a {way} {self.cell.name} cannot be streamed: its result at one step needs the steps that are still "
                "to come; call the model on whole sequences"
            )

    @property
    def nonlinearity(self) -> Any:
        """The activations as a constructor takes them: of an RNN, whose function g is alone, a name in most cases."""
        return shown(self.activations)

    def directions(self) -> Iterator[Direction]:
        """Every direction of every layer, in the order of h_n."""
        for layer in range(self.num_layers):
            for reverse in (False, True)[: self.num_directions]:
                yield Direction(layer, reverse, f"l{layer}{'_reverse' if reverse else ''}")

    def matrices(self) -> Iterator[tuple[int, str]]:
        """(layer, name) of every matrix of weights."""
        if not self.recurrent:
            yield 0, "weight"
            return
        for layer, _, suffix in self.directions():
            yield layer, f"weight_ih_{suffix}"
            yield layer, f"weight_hh_{suffix}"

    def parameters(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """(name, shape) of every parameter, in PyTorch's order."""
        rows = self.cell.stacked * self.hidden_size
        if not self.recurrent:
            yield "weight", (rows, self.input_size)
            if self.bias:
                yield "bias", (rows,)
            return
        for layer, _, suffix in self.directions():
            yield f"weight_ih_{suffix}", (rows, self.num_directions * self.hidden_size if layer else self.input_size)
            yield f"weight_hh_{suffix}", (rows, self.hidden_size)
            if self.bias:
                yield f"bias_ih_{suffix}", (rows,)
                yield f"bias_hh_{suffix}", (rows,)
        if self.initial_state:
            for plane in self.cell.states:
                yield f"{plane}_0", (self.num_layers * self.num_directions, self.hidden_size)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Parameter name -> shape, in PyTorch's order."""
        return dict(self.parameters())
