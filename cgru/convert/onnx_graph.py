"""The part of an ONNX graph that a GRU needs: constants, the nodes that compute with them, chains of layers."""

import itertools
import os

import numpy as np

from cgru.convert._files import SMALL, check_expansion

#: What may stand between two GRU nodes that are layers of one model.
_BETWEEN = ("Transpose", "Reshape", "Squeeze", "Identity", "Dropout")
_DEPTH = 64


class NotConstant(Exception):
    """A value that depends on the model's inputs, or on an operator that is not evaluated here."""


#: The field of an AttributeProto for each attribute that is looked at here, and its number in AttributeType.
_FIELDS = {"f": 1, "i": 2, "s": 3, "t": 4, "floats": 6, "ints": 7, "strings": 8}
_ATTRIBUTES = {
    "activation_alpha": "floats", "activation_beta": "floats", "activations": "strings", "clip": "f",
    "direction": "s", "hidden_size": "i", "layout": "i", "linear_before_reset": "i",
    "axes": "ints", "axis": "i", "ends": "ints", "perm": "ints", "starts": "ints",
    "value": "t", "value_float": "f", "value_floats": "floats", "value_int": "i", "value_ints": "ints",
}  # fmt: skip


def attribute(node, name, default=None):
    """An attribute's value, or the default; text is decoded, lists are Python lists.

    Raises
    ------
    ValueError
        It is of another type than this attribute has.
    """
    for item in node.attribute:
        if item.name == name:
            field = _ATTRIBUTES[name]
            if item.type != _FIELDS[field]:
                raise ValueError(f"attribute {name} of node {node.name!r} is of a wrong type")
            value = getattr(item, field)
            if field == "s":
                return value.decode(errors="replace")
            if field == "strings":
                return [text.decode(errors="replace") for text in value]
            return list(value) if field in ("floats", "ints") else value
    return default


class Graph:
    """An ONNX graph, read only.

    Parameters
    ----------
    graph : GraphProto
    folder : str or None
        Where external data may lie; None refuses it.
    """

    def __init__(self, graph, folder):
        self._nodes = list(graph.node)
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}
        self._makers = {name: node for node in self._nodes for name in node.output if name}
        self._folder = folder
        self._values = {}          # name -> array, or the NotConstant that it ended in
        self._budget = 4 * SMALL   # bytes that evaluated nodes may make in all

    # ---- nodes

    def grus(self):
        """Name -> GRU node; a node without a name gets one by its place."""
        found = {}
        for node in self._nodes:
            if node.op_type == "GRU" and node.domain in ("", "ai.onnx"):
                name = node.name if node.name and node.name not in found else f"GRU_{len(found)}"
                found[name] = node
        return found

    def chain(self, grus, asked):
        """The nodes that are asked for (a name, or names in order), or all, if each feeds the next."""
        names = ", ".join(repr(name) for name in grus)
        if not grus:
            kinds = ", ".join(sorted({node.op_type for node in self._nodes})[:20])
            raise ValueError(f"the model has no GRU node at its top level; it has {kinds or 'no nodes at all'}")
        if asked is not None:
            wanted = [asked] if isinstance(asked, str) else list(asked)
            unknown = [name for name in wanted if name not in grus]
            if unknown or not wanted:
                raise ValueError(f"node={asked!r}: there is no such GRU node; there are: {names}")
            nodes = [grus[name] for name in wanted]
        else:
            nodes = self._sorted(list(grus.values()))
        for before, after in itertools.pairwise(nodes):
            if self._feeder(after) is not before:
                raise ValueError(
                    f"there are several GRU nodes that are not layers of one model: {names}; choose one with node="
                )
        return nodes

    def _sorted(self, nodes):
        """Nodes in the order in which they feed each other; as they stand where they do not."""
        feeders = [self._feeder(node) for node in nodes]
        first = [node for node, feeder in zip(nodes, feeders, strict=True) if feeder is None]
        if len(first) != 1:
            return nodes
        ordered = first
        while len(ordered) < len(nodes):
            following = [node for node, feeder in zip(nodes, feeders, strict=True) if feeder is ordered[-1]]
            if len(following) != 1:      # each node has one feeder, so there is no way back to a node before
                return nodes
            ordered += following
        return ordered

    def _feeder(self, node):
        """The GRU node whose Y is this one's X, directions side by side, or None."""
        path, name = [], node.input[0] if node.input else ""
        while name in self._makers and len(path) < _DEPTH:
            maker = self._makers[name]
            if maker.op_type == "GRU":
                is_y = maker.output[0] == name
                return maker if is_y and self._is_plain(path[::-1], maker) else None
            if maker.op_type not in _BETWEEN or not maker.input or maker.output[0] != name:
                return None
            path.append(maker)
            name = maker.input[0]
        return None

    def _is_plain(self, path, gru):
        """Whether the nodes of `path` turn Y into (T, N, D*H), or (N, T, D*H) with layout 1, and nothing else."""
        layout = attribute(gru, "layout", 0)
        directions = 2 if attribute(gru, "direction", "forward") == "bidirectional" else 1
        axes = list("NTDH" if layout else "TDNH")
        for node in path:
            if node.op_type == "Transpose":
                order = attribute(node, "perm", list(range(len(axes)))[::-1])
                if sorted(order) != list(range(len(axes))):
                    return False
                axes = [axes[i] for i in order]
            elif node.op_type == "Squeeze":
                dropped = attribute(node, "axes")
                if dropped is None and len(node.input) > 1:
                    dropped = self.constant(node.input[1])
                if dropped is None or directions == 2 or len(dropped) != 1 or len(axes) != 4:
                    return False
                if not -4 <= dropped[0] < 4 or axes[dropped[0]] != "D":
                    return False
                axes.remove("D")
            elif node.op_type == "Reshape":
                if "D" not in axes or (directions == 2 and axes[-2:] != ["D", "H"]):
                    return False
                axes.remove("D")
        return axes == list("NTH" if layout else "TNH")

    # ---- values

    def weight(self, node, index, what, optional=False):
        """The constant input number `index` of a node."""
        name = node.input[index] if len(node.input) > index else ""
        if not name and optional:
            return None
        if not name:
            raise ValueError(f"GRU {node.name!r} has no input {what}")
        try:
            return self._value(name, 0)
        except NotConstant as error:
            raise ValueError(
                f"input {what} ({name!r}) of GRU {node.name!r} is not a constant of the model: {error}"
            ) from error

    def constant(self, name):
        """A constant's value, or None where it is not one."""
        try:
            return self._value(name, 0)
        except NotConstant:
            return None

    def _value(self, name, depth=0):
        """The value of a name, evaluated once; a name that depends on itself is not constant."""
        if name not in self._values:
            self._values[name] = NotConstant(f"{name!r} depends on itself")
            try:
                self._values[name] = self._evaluate(name, depth)
            except NotConstant as error:
                self._values[name] = error
        value = self._values[name]
        if isinstance(value, NotConstant):
            raise value
        return value

    def _evaluate(self, name, depth):
        if name in self._tensors:
            return self._array(self._tensors[name])
        node = self._makers.get(name)
        if node is None:
            raise NotConstant(f"nothing in the model makes {name!r}")
        if node.op_type == "Constant":
            return self._constant_node(node)
        if node.op_type not in _OPERATORS:
            raise NotConstant(f"{name!r} comes from a {node.op_type}")
        if depth > _DEPTH:
            raise NotConstant(f"{name!r} is more than {_DEPTH} nodes away")
        inputs = []
        for i, given in enumerate(node.input):
            try:
                inputs.append(self._value(given, depth + 1) if given else None)
            except NotConstant:
                if _SIZES.get(node.op_type) != i:
                    raise
                inputs.append(None)      # a batch size that is known at run time only
        try:
            result = _OPERATORS[node.op_type](node, *inputs)
            self._budget -= result.nbytes
        except Exception as error:      # shapes, axes or counts that make no sense
            if isinstance(error, NotConstant):
                raise
            raise ValueError(f"{node.op_type} node {node.name!r} cannot be evaluated: {error}") from error
        if self._budget < 0:
            raise ValueError(f"{node.op_type} node {node.name!r} makes an array of shape {result.shape}: too large")
        return result

    def _constant_node(self, node):
        for name in ("value", "value_float", "value_floats", "value_int", "value_ints"):
            value = attribute(node, name)
            if value is not None:
                return self._array(value) if name == "value" else np.asarray(value)
        raise ValueError(f"Constant node {node.name!r} has no value that is a tensor")

    def _array(self, tensor):
        """A TensorProto as an array; float16 and bfloat16 as float32. Its size is checked first."""
        import onnx

        try:
            dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        except (KeyError, ValueError, TypeError) as error:
            raise ValueError(f"tensor {tensor.name!r} has the unknown data type {tensor.data_type}") from error
        if dtype.kind not in "fiub" and dtype.name != "bfloat16":
            raise ValueError(f"tensor {tensor.name!r} is of type {dtype}, expected real numbers")
        count = 1
        for size in tensor.dims:
            if size < 0:
                raise ValueError(f"tensor {tensor.name!r} has dimensions {list(tensor.dims)}")
            count *= size
        what = f"tensor {tensor.name!r} of dimensions {list(tensor.dims)}"
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            return self._external(tensor, what, dtype, count)
        check_expansion(what, count * dtype.itemsize, tensor.ByteSize())
        try:
            array = onnx.numpy_helper.to_array(tensor)
        except Exception as error:
            raise ValueError(f"{what} is malformed: {error}") from error
        return array.astype(np.float32) if array.dtype.name == "bfloat16" else array

    def _external(self, tensor, what, dtype, count):
        """External data: only a file inside the model's folder, only the bytes that the tensor needs."""
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        if self._folder is None:
            raise ValueError(f"{what} is in the external file {location!r}; pass the model's path instead of the proto")
        folder = os.path.realpath(self._folder)
        path = os.path.realpath(os.path.join(folder, location)) if location and "\0" not in location else folder
        if os.path.isabs(location) or os.path.commonpath([folder, path]) != folder or not os.path.isfile(path):
            raise ValueError(f"{what} is in {location!r}, which is no file in the model's folder")
        try:
            offset, length = int(entries.get("offset", 0)), int(entries.get("length", count * dtype.itemsize))
        except ValueError as error:
            raise ValueError(f"{what}: {error}") from error
        if length != count * dtype.itemsize or offset < 0 or offset + length > os.path.getsize(path):
            raise ValueError(
                f"{what} takes {count * dtype.itemsize} bytes; {length} from {offset} of {location!r} are declared, "
                f"which has {os.path.getsize(path)}"
            )
        with open(path, "rb") as file:
            file.seek(offset)
            array = np.frombuffer(file.read(length), dtype.newbyteorder("<"), count).reshape(list(tensor.dims))
        return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


# ---- the operators that stand between a stored tensor and a GRU's input


def _axes(node, given):
    axes = attribute(node, "axes") if given is None else [int(axis) for axis in given]
    return None if axes is None else tuple(axes)


def _slice(node, data, starts=None, ends=None, axes=None, steps=None):
    starts = attribute(node, "starts") if starts is None else starts
    ends = attribute(node, "ends") if ends is None else ends
    axes = attribute(node, "axes") if axes is None else axes
    axes = range(len(starts)) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    index = [slice(None)] * data.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        stop = None if step < 0 and end < -data.shape[axis] else int(end)
        index[axis] = slice(int(start), stop, int(step))
    return data[tuple(index)]


def _unsqueeze(node, data, axes=None):
    return np.expand_dims(data, _axes(node, axes))


def _squeeze(node, data, axes=None):
    return np.squeeze(data, _axes(node, axes))


def _reshape(node, data, shape):
    sizes = [data.shape[i] if size == 0 else int(size) for i, size in enumerate(shape)]
    return data.reshape(sizes)


def _concat(node, *parts):
    return np.concatenate(_checked(parts), axis=attribute(node, "axis", 0))


def _checked(parts):
    if sum(part.nbytes for part in parts) > 4 * SMALL:
        raise ValueError("the result is too large")
    return parts


def _expand(node, data, shape=None):
    """Expanded to a batch size that is known at run time only, a state stays the one row that it is."""
    if shape is None:
        if data.ndim == 3 or not data.any():
            return data
        raise ValueError(f"{node.output[0]!r} is expanded to a size that is known at run time only")
    return np.broadcast_to(data, np.broadcast_shapes(data.shape, tuple(int(size) for size in shape)))


def _constant_of_shape(node, shape):
    """Zeros are what no initial state means; anything else of a size known at run time only cannot be kept."""
    value = attribute(node, "value")
    if value is None or not onnx_array(value).any():
        raise NotConstant(f"{node.output[0]!r} is zeros of some size")
    raise ValueError("it is filled with a number other than 0; pass that state as h_0 instead")


def onnx_array(tensor):
    """A small TensorProto as an array."""
    import onnx

    return onnx.numpy_helper.to_array(tensor)


#: The input that is a size.
_SIZES = {"Expand": 1, "ConstantOfShape": 0}
_OPERATORS = {
    "Identity": lambda node, data: data,
    "Cast": lambda node, data: data,
    "Transpose": lambda node, data: np.transpose(data, attribute(node, "perm", list(range(data.ndim))[::-1])),
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Reshape": _reshape,
    "Concat": _concat,
    "Expand": _expand,
    "ConstantOfShape": _constant_of_shape,
}
