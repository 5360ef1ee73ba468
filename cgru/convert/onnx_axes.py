"""What a value of an ONNX graph is to a chain: which axes it has, where they come from, and what made it.

An axis is a tuple of atoms: a Reshape joins axes, and so their atoms, or parts them again. An axis without atoms has
one element.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from cgru.convert._errors import NotAChain
from cgru.convert.onnx_values import attribute


class Atom(NamedTuple):
    """An axis that was never joined with others: its name, and its size where the graph says it."""

    label: str
    size: int | None


Axis = tuple[Atom, ...]


@dataclass(frozen=True, eq=False)
class Link:
    """One thing that a network does to its features; `prev` is what it does before.

    Attributes
    ----------
    kind : {"input", "take", "dense", "pointwise", "softmax", "layer", "merge", "flip", "last", "skip"}
    node : NodeProto or None
    prev : Link or None
    data : Any
        What this kind needs.
    features : tuple of Atom or None
        What the features are made of; None where an input's are not known yet.
    """

    kind: str
    node: Any
    prev: Link | None
    data: Any = field(default=None, repr=False)
    features: Axis | None = None


class Flow(NamedTuple):
    """A value that the network computes for each step."""

    link: Link
    axes: tuple[Axis, ...]


class Part(NamedTuple):
    """One direction of a layer's output: all its steps ("y"), one ("first", "last"), or its state ("h", "c")."""

    link: Link
    what: str
    direction: int


class Parts(NamedTuple):
    """Directions of layers. The atom of the axis that counts them is labelled `PARTS`, that of their units `UNITS`."""

    parts: tuple[Part, ...]
    axes: tuple[Axis, ...]


class Sizes(NamedTuple):
    """Sizes of axes: numbers, or the atoms of an axis whose size is known at run time; maybe a single one."""

    dims: tuple[Any, ...]
    single: bool = False


class Filled(NamedTuple):
    """A constant of a size that is known at run time only, such as a state of zeros."""


class Other(NamedTuple):
    """What is computed from sizes or states alone."""

    node: Any


PARTS, UNITS = "directions", "units"


def named(node) -> str:
    """A node as messages call it."""
    return f"{node.op_type} node {(node.name or (node.output[0] if node.output else ''))!r}"


def significant(axis: Axis) -> Axis:
    """The atoms of an axis that have not exactly one element."""
    return tuple(atom for atom in axis if atom.size != 1)


def width(axis: Axis) -> int | None:
    """The size of an axis, where it is known."""
    size = 1
    for atom in axis:
        if atom.size is None:
            return None
        size *= atom.size
    return size


def place(axis: int, rank: int, node) -> int:
    """An axis counted from 0."""
    if not -rank <= axis < rank:
        raise ValueError(f"{named(node)} names axis {axis} of a value that has {rank}")
    return int(axis) % rank


# ---- what moves axes and computes nothing


def transposed(axes, node):
    """The axes behind a Transpose."""
    order = attribute(node, "perm") or list(range(len(axes)))[::-1]
    if sorted(order) != list(range(len(axes))):
        raise ValueError(f"{named(node)} has perm {order} for a value of {len(axes)} axes")
    return tuple(axes[i] for i in order)


def squeezed(axes, node, dropped):
    """The axes behind a Squeeze; a size that is known at run time only is taken to be 1, as the node demands."""
    if dropped is None:
        return tuple(axis for axis in axes if width(axis) != 1)
    gone = {place(int(axis), len(axes), node) for axis in dropped}
    for k in gone:
        if width(axes[k]) not in (1, None):
            raise ValueError(f"{named(node)} drops an axis of {width(axes[k])} elements")
    return tuple(axis for k, axis in enumerate(axes) if k not in gone)


def unsqueezed(axes, node, added):
    """The axes behind an Unsqueeze."""
    rank = len(axes) + len(added)
    new = {place(int(axis), rank, node) for axis in added}
    if len(new) != len(added) or rank > 16:
        raise ValueError(f"{named(node)} adds the axes {list(added)} to a value that has {len(axes)}")
    rest = iter(axes)
    return tuple(() if k in new else next(rest) for k in range(rank))


def regrouped(axes, node, target):
    """The axes behind a Reshape to the sizes `target`, where it only joins axes or parts them again."""
    if list(target).count(-1) > 1:
        raise ValueError(f"{named(node)} has the shape {_shown(target)}, with more than one -1")
    keeps = not attribute(node, "allowzero", 0) if node.op_type == "Reshape" else False
    wanted = [_copied(axes, k, node) if keeps and dim == 0 else dim for k, dim in enumerate(target)]
    atoms = [atom for axis in axes for atom in axis]
    middle = wanted.index(-1) if -1 in wanted else len(wanted)
    try:
        front = [_consumed(atoms, dim, 0) for dim in wanted[:middle]]
        back = [_consumed(atoms, dim, -1) for dim in wanted[:middle:-1]][::-1]
    except LookupError:
        raise NotAChain(
            f"{named(node)} gives the shape {_shown(target)} to a value whose axes do not become these by joining or "
            "parting them; it rearranges the features: do it by hand, y = y.reshape(...)"
        ) from None
    if middle < len(wanted):
        return (*front, tuple(atoms), *back)
    if significant(tuple(atoms)):
        raise ValueError(f"{named(node)} has the shape {_shown(target)}, which is too small for its input")
    return tuple(front)


def _copied(axes, k, node):
    if k >= len(axes):
        raise ValueError(f"{named(node)} copies the size of axis {k} of a value that has {len(axes)}")
    return axes[k]


def _consumed(atoms: list[Atom], dim: Any, end: int) -> Axis:
    """Atoms taken off one end of a list, so many as make this size."""
    if not isinstance(dim, int):
        found: list[Atom] = []
        while len(found) < len(dim):
            atom = atoms.pop(end)
            if atom not in dim and atom.size != 1:
                raise LookupError
            found += [atom] if atom in dim else []
        return tuple(found if end == 0 else found[::-1])
    if dim == 1:
        return (atoms.pop(end),) if atoms and atoms[end].size == 1 else ()
    found = []
    size = 1
    while size < dim:
        atom = atoms.pop(end)
        if atom.size is None and found:
            raise LookupError
        found += [] if atom.size == 1 else [atom]
        size *= dim if atom.size is None else atom.size
    if size != dim:
        raise LookupError
    return tuple(found if end == 0 else found[::-1])


def _shown(target):
    words = ("?" if not isinstance(dim, int) else str(dim) for dim in target)
    return f"({', '.join(words)})"


def flattened(axes, node):
    """The axes behind a Flatten."""
    axis = attribute(node, "axis", 1)
    axis = len(axes) if axis == len(axes) else place(axis, len(axes), node)
    return tuple(tuple(atom for part in parts for atom in part) for parts in (axes[:axis], axes[axis:]))


# ---- sizes


def sizes_of(axes, node) -> Sizes:
    """What a Shape gives."""
    start, end = attribute(node, "start", 0), attribute(node, "end", len(axes))
    return Sizes(tuple(significant(axis) if width(axis) is None else width(axis) for axis in axes)[start:end])


def product_of_sizes(dims) -> Any:
    """The size of several axes together; None where it cannot be said."""
    number, atoms = 1, ()
    for dim in dims:
        if isinstance(dim, int):
            number *= dim
        else:
            atoms += dim
    if not atoms:
        return number
    return atoms if number == 1 else None


def consecutive(numbers) -> bool:
    """Whether whole numbers follow each other."""
    return all(after == before + 1 for before, after in pairwise(numbers))
