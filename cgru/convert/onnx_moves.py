"""ONNX's operators that move, take or join values and compute nothing, and those on sizes of axes."""

from __future__ import annotations

import numpy as np

from cgru.convert.onnx_axes import (
    PARTS,
    UNITS,
    Atom,
    Filled,
    Flow,
    Link,
    Other,
    Part,
    Parts,
    Sizes,
    consecutive,
    flattened,
    named,
    place,
    regrouped,
    significant,
    sizes_of,
    squeezed,
    transposed,
    unsqueezed,
    width,
)  # fmt: skip
from cgru.convert.onnx_values import attribute, onnx_array
from cgru.convert.onnx_walk import directions, refusal, sizes

_FLOATS = (1, 10, 11, 16)      # float, float16, double and bfloat16 in TensorProto
_FAR = 2**31 - 2               # what stands for the end of an axis where its size is not known


def _moved(value, axes):
    """The same value with other axes."""
    return Flow(value.link, axes) if isinstance(value, Flow) else Parts(value.parts, axes)


def _only_axes(change):
    """A handler for an operator of one input that keeps its numbers; ``change(axes, node)``."""

    def handler(walk, node, value):
        if isinstance(value, Flow | Parts):
            return _moved(value, change(value.axes, node))
        return Filled() if isinstance(value, Filled) else Other(node)

    return handler


def _axes_given(node, given):
    if given is not None and not isinstance(given, np.ndarray):
        raise refusal(node, "has axes that are known at run time only")
    return attribute(node, "axes") if given is None else _whole(node, given)


def _whole(node, numbers):
    """A list, or a constant of whole numbers as one."""
    array = np.asarray(numbers if len(np.shape(numbers)) else [numbers])
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise ValueError(f"{named(node)} has a constant {array.dtype} {array.shape} where whole numbers belong")
    return array.astype(np.int64).tolist()


def _squeeze(walk, node, value, axes=None):
    if isinstance(value, Sizes):
        return Sizes(value.dims, len(value.dims) == 1)
    return _only_axes(lambda old, node: squeezed(old, node, _axes_given(node, axes)))(walk, node, value)


def _unsqueeze(walk, node, value, axes=None):
    if isinstance(value, Sizes):
        return Sizes(value.dims)
    return _only_axes(lambda old, node: unsqueezed(old, node, _axes_given(node, axes) or []))(walk, node, value)


def _reshape(walk, node, value, shape=None):
    if isinstance(value, Sizes):
        new = sizes(shape)
        return Other(node) if new is None else Sizes(value.dims, not new.dims)
    if not isinstance(value, Flow | Parts):
        return Filled() if isinstance(value, Filled) else Other(node)
    target = sizes(shape)
    if target is None:
        raise refusal(node, "has a shape that is computed in a way unknown here")
    return _moved(value, regrouped(value.axes, node, target.dims))


def _same(walk, node, value, *_):
    return value


def _cast(walk, node, value):
    if isinstance(value, Flow | Parts) and attribute(node, "to", 1) not in _FLOATS:
        raise refusal(node, "makes integers of the features")
    return value


def _dropout(walk, node, value, ratio=None, training=None):
    if training is not None and not (isinstance(training, np.ndarray) and not training.any()):
        raise refusal(node, "is in training mode")
    return [value, Other(node)]


def _expand(walk, node, value, shape):
    if isinstance(value, np.ndarray):
        constant = walk.graph.constant(node.output[0])
        times = sizes(shape)
        if constant is None and value.size == 1 and times is not None and value.dtype.kind in "iu":
            return Sizes((int(value.reshape(())),) * len(times.dims))
        return Filled() if constant is None else constant
    if isinstance(value, Sizes):      # sequence_lens: one size for each row
        return Sizes(value.dims[:1], True) if len(value.dims) == 1 else Other(node)
    if isinstance(value, Flow | Parts):
        raise refusal(node, "repeats values")
    return value if isinstance(value, Filled) else Other(node)


def _filled(walk, node, shape):
    """Zeros are what no initial state means."""
    tensor = attribute(node, "value")
    try:
        zero = tensor is None or not onnx_array(tensor).any()
    except Exception as error:
        raise ValueError(f"{named(node)} has a malformed value: {error}") from error
    return Filled() if zero else Other(node)


def _shape(walk, node, value):
    return sizes_of(value.axes, node) if isinstance(value, Flow | Parts) else Other(node)


def _concat(walk, node, *values):
    if any(isinstance(value, Flow) for value in values):
        if len(values) == 1:
            return values[0]
        raise refusal(node, "joins several values, which is a branch")
    if all(isinstance(value, Parts) for value in values):
        return _joined(node, values)
    if any(isinstance(value, Parts) for value in values):
        raise refusal(node, "joins an output of a recurrent node with something else")
    if all(isinstance(value, Filled) for value in values):
        return Filled()
    found = [sizes(value) for value in values]
    if any(one is None for one in found):
        return Other(node)
    return Sizes(tuple(dim for one in found if one is not None for dim in one.dims))


def _joined(node, values):
    """Directions, side by side or one after the other, as one value."""
    first = values[0]
    if any(len(value.axes) != len(first.axes) for value in values):
        raise ValueError(f"{named(node)} joins values of different numbers of axes")
    k = place(attribute(node, "axis", 0), len(first.axes), node)
    parts = tuple(part for value in values for part in value.parts)
    counter = Atom(PARTS, len(parts))
    if all(part.what in ("h", "c") for part in parts) and not any(
        atom.label != PARTS for value in values for atom in value.axes[k] if atom.size != 1
    ):
        return Parts(parts, (*first.axes[:k], (counter,), *first.axes[k + 1 :]))
    units = [tuple(atom for atom in value.axes[k] if atom.label != PARTS) for value in values]
    if any(unit != units[0] or [atom.label for atom in unit] != [UNITS] for unit in units):
        return Other(node)      # a state that no layer goes on from; elsewhere it is refused
    return Parts(parts, (*first.axes[:k], (counter, units[0][0]), *first.axes[k + 1 :]))


# ---- taking some elements of an axis


def _gather(walk, node, value, index):
    if isinstance(value, np.ndarray) and isinstance(index, Flow):
        raise refusal(node, "looks its input up in a table")
    if isinstance(value, Sizes):
        return _some_sizes(node, value, index)
    if not isinstance(value, Flow | Parts):
        return value if isinstance(value, Filled) else Other(node)
    if not isinstance(index, np.ndarray) or index.dtype.kind not in "iu" or index.ndim > 1 or not index.size:
        raise refusal(node, "takes elements by an index that is known at run time only, or is no list")
    axis = place(attribute(node, "axis", 0), len(value.axes), node)
    numbers = [int(number) for number in index.reshape(-1)]
    if not consecutive(numbers):
        raise refusal(node, "takes elements in another order")
    return take(walk, node, value, axis, numbers[0], numbers[-1] + 1 or _FAR, 1, index.ndim == 0)


def _some_sizes(node, value, index):
    if not isinstance(index, np.ndarray) or index.ndim > 1 or index.dtype.kind not in "iu":
        return Other(node)
    numbers = [int(number) for number in index.reshape(-1)]
    if any(not -len(value.dims) <= number < len(value.dims) for number in numbers):
        raise ValueError(f"{named(node)} takes sizes {numbers} of {len(value.dims)}")
    return Sizes(tuple(value.dims[number] for number in numbers), index.ndim == 0)


def _slice(walk, node, value, starts=None, ends=None, axes=None, steps=None):
    given = [attribute(node, name) if one is None and name else one
             for name, one in (("starts", starts), ("ends", ends), ("axes", axes), ("", steps))]  # fmt: skip
    given = [_whole(node, one) if isinstance(one, np.ndarray) else one for one in given]
    if isinstance(given[0], list):
        count = len(given[0])
        given[2:] = list(range(count)) if given[2] is None else given[2], given[3] or [1] * count
    if isinstance(value, Filled) or not isinstance(value, Flow | Parts | Sizes):
        return value if isinstance(value, Filled) else Other(node)
    if not all(isinstance(one, list) for one in given):
        if isinstance(value, Sizes):
            return Other(node)
        raise refusal(node, "takes steps that are known at run time only")
    if len({len(one) for one in given}) != 1:
        raise ValueError(f"{named(node)} has starts, ends, axes and steps of different lengths")
    for start, end, axis, step in zip(*given, strict=True):
        if isinstance(value, Sizes):
            if step == 0:
                raise ValueError(f"{named(node)} has a step of 0")
            value = Sizes(value.dims[start:end:step])
        elif isinstance(value, Flow | Parts):
            value = take(walk, node, value, place(axis, len(value.axes), node), start, end, step, False)
    return value


def _split(walk, node, value, split=None):
    count = len(node.output)
    if isinstance(value, Filled):
        return [Filled()] * count
    if not isinstance(value, Flow | Parts):
        return [Other(node)] * count
    axis = place(attribute(node, "axis", 0), len(value.axes), node)
    whole = width(value.axes[axis])
    if split is not None and not isinstance(split, np.ndarray):
        raise refusal(node, "splits an axis into parts whose size is not known")
    pieces = attribute(node, "split") if split is None else _whole(node, split)
    if pieces is None:
        if whole is None or whole % count:
            raise refusal(node, "splits an axis into parts whose size is not known")
        pieces = [whole // count] * count
    starts = np.cumsum([0, *pieces])
    return [
        take(walk, node, value, axis, int(start), int(start) + size, 1, False)
        for start, size in zip(starts, pieces, strict=False)
    ]


def take(walk, node, value, axis, start, end, step, drop):
    """Elements start:end:step of an axis; where `drop`, it is a single one, and its axis goes."""
    size = width(value.axes[axis])
    if step == 0 or (size is not None and drop and not -size <= start < size):
        raise ValueError(f"{named(node)} takes element {start}, step {step}, of an axis of {size}")
    first = max(start + size, 0) if size is not None and start < 0 else start
    stop = end if size is None else min(max(end + size if end < 0 else end, 0), size)
    rest = (*value.axes[:axis], *([] if drop else [()]), *value.axes[axis + 1 :])
    if step == 1 and first == 0 and (stop >= _FAR if size is None else stop == size):
        return _moved(value, rest) if drop else value
    if step == 1 and not significant(value.axes[axis]):
        return _moved(value, rest)
    if step != 1:
        return _reversed(walk, node, value, axis, start, end, step)
    single = drop or stop - first == 1 or (first == -1 and stop >= _FAR)
    if isinstance(value, Parts):
        return _some_parts(walk, node, value, axis, first, stop, single, rest)
    return _some_of_flow(walk, node, value, axis, first, stop, single, rest)


def _reversed(walk, node, value, axis, start, end, step):
    whole = start in (-1,) or start >= _FAR
    if not isinstance(value, Flow) or step != -1 or not whole or end > -_FAR or not walk.is_time(value, axis):
        raise refusal(node, "takes elements in steps")
    return Flow(Link("flip", node, value.link, None, value.link.features), value.axes)


def _some_parts(walk, node, value, axis, first, stop, single, rest):
    atoms = significant(value.axes[axis])
    if [atom.label for atom in atoms] == [PARTS]:
        parts = value.parts[first:stop]
        kept = rest if len(rest) < len(value.axes) else (*rest[:axis], (Atom(PARTS, len(parts)),), *rest[axis + 1 :])
        return Parts(parts, kept)
    how = _step(walk, value, axis, first, single)
    if how and all(part.what == "y" for part in value.parts):
        _check_no_lengths(walk, node)
        return Parts(tuple(Part(part.link, how, part.direction) for part in value.parts), rest)
    return Other(node)


def _step(walk, value, axis, first, single):
    """Which step is taken, "first" or "last"; None where it is neither, or not one."""
    size = width(value.axes[axis])
    if not single or not walk.is_time(value, axis):
        return None
    return "last" if first == -1 or (size is not None and first == size - 1) else "first" if first == 0 else None


def _check_no_lengths(walk, node):
    if walk.with_lengths:
        raise refusal(node, "takes the last step where the model has sequence_lens: in short rows that is padding")


def _some_of_flow(walk, node, value, axis, first, stop, single, rest):
    link = value.link
    atoms = significant(value.axes[axis])
    if link.kind == "layer" and atoms == link.features[:1] and len(link.features) == 2:
        parts = tuple(Part(link, "y", d) for d in range(directions(link)))[first:stop]
        kept = rest if len(rest) < len(value.axes) else (*rest[:axis], (Atom(PARTS, len(parts)),), *rest[axis + 1 :])
        units = {link.features[1]: Atom(UNITS, link.features[1].size)}
        return Parts(parts, tuple(tuple(units.get(atom, atom) for atom in axis) for axis in kept))
    how = _step(walk, value, axis, first, single)
    reverse = link.kind == "layer" and directions(link) == 1 and link.data.layer.reverse
    if how == "last" or (how == "first" and reverse):
        _check_no_lengths(walk, node)
        return Flow(walk.selected(link, "last" if how == "last" else "h_n", node), rest)
    if link.kind in ("input", "take"):
        left = None if stop >= _FAR else stop - first
        new = (Atom(f"some of {value.axes[axis][0].label if value.axes[axis] else 'one'}", left),)
        kept = rest if len(rest) < len(value.axes) else (*rest[:axis], new, *rest[axis + 1 :])
        return Flow(Link("take", node, link, (atoms, first, stop)), kept)
    raise refusal(node, "takes a part of the steps or features")


MOVES = {
    "Identity": _same, "Cast": _cast, "CastLike": _same, "Dropout": _dropout, "Transpose": _only_axes(transposed),
    "Squeeze": _squeeze, "Unsqueeze": _unsqueeze, "Reshape": _reshape, "Flatten": _only_axes(flattened),
    "Shape": _shape, "Expand": _expand, "ConstantOfShape": _filled, "Concat": _concat, "Gather": _gather,
    "Slice": _slice, "Split": _split,
}  # fmt: skip
