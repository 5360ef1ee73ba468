"""Constants of an ONNX model: stored tensors, external data, and what a few operators make of them."""

import os
from collections.abc import Callable

import numpy as np

from cgru.convert.untrusted.files import SMALL, check_expansion

_DEPTH = 64


class NotConstant(Exception):
    """A value that depends on the model's inputs, or on an operator that is not evaluated here."""


#: The field of an AttributeProto for each attribute that is looked at here, and its number in AttributeType.
_FIELDS = {"f": 1, "i": 2, "s": 3, "t": 4, "floats": 6, "ints": 7, "strings": 8}
_ATTRIBUTES = {
    "activation_alpha": "floats", "activation_beta": "floats", "activations": "strings", "clip": "f",
    "direction": "s", "hidden_size": "i", "input_forget": "i", "layout": "i", "linear_before_reset": "i",
    "axes": "ints", "axis": "i", "ends": "ints", "perm": "ints", "starts": "ints", "split": "ints",
    "alpha": "f", "beta": "f", "gamma": "f", "epsilon": "f", "min": "f", "max": "f", "approximate": "s",
    "transA": "i", "transB": "i", "to": "i", "start": "i", "end": "i", "allowzero": "i", "training_mode": "i",
    "num_outputs": "i", "batch_dims": "i",
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


class Values:
    """The constant values of an ONNX graph by their names.

    Parameters
    ----------
    tensors : sequence of TensorProto
        The graph's initializers.
    nodes : sequence of NodeProto
    folder : str or None
        Where external data may lie; None refuses it.
    """

    def __init__(self, tensors, nodes, folder):
        self._tensors = {tensor.name: tensor for tensor in tensors}
        self._makers = {name: node for node in nodes for name in node.output if name}
        self._folder = folder
        self._values = {}          # name -> array, or the NotConstant that it ended in
        self._budget = 4 * SMALL   # bytes that evaluated nodes may make in all

    def get(self, name):
        """A constant's value, or None where it is not one."""
        try:
            return self.value(name)
        except NotConstant:
            return None

    def value(self, name, depth=0):
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

    def is_stored(self, name):
        """Whether it is a stored tensor."""
        return name in self._tensors

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
                inputs.append(self.value(given, depth + 1) if given else None)
            except NotConstant:
                if _SIZES.get(node.op_type) != i:
                    raise
                inputs.append(None)      # a batch size that is known at run time only
        try:
            result = _OPERATORS[node.op_type](node, *inputs)
            self._budget -= result.nbytes if result.base is None or node.op_type == "Expand" else 0
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
        """A TensorProto as an array; its size is checked first."""
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
            return onnx.numpy_helper.to_array(tensor)
        except Exception as error:
            raise ValueError(f"{what} is malformed: {error}") from error

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
            return np.frombuffer(file.read(length), dtype.newbyteorder("<"), count).reshape(list(tensor.dims))


# ---- the operators that stand between a stored tensor and a recurrent node's input


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
        if not data.any():
            raise NotConstant(f"{node.output[0]!r} is zeros of some size")
        if data.ndim == 3:
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
_OPERATORS: dict[str, Callable[..., np.ndarray]] = {
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
