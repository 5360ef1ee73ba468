"""The recurrent nodes of an ONNX graph, and which of them are layers of one model."""

import itertools

from cgru.cells import CELLS, Cell
from cgru.convert._errors import SeveralNetworks, networks_in_words
from cgru.convert.onnx_values import NotConstant, Values, attribute

#: ONNX's operators, which have the names of the classes here.
_OPERATORS = {cell.name: cell for cell in CELLS.values()}
#: What may stand between two recurrent nodes that are layers of one model.
_BETWEEN = ("Transpose", "Reshape", "Squeeze", "Identity", "Dropout")
_LONGEST = 64
#: What moves, takes or repeats values, and computes none.
_MOVING = {
    *_BETWEEN, "Unsqueeze", "Flatten", "Cast", "Slice", "Gather", "Split", "Concat", "Expand", "ConstantOfShape",
}  # fmt: skip


def is_recurrent(node) -> bool:
    """Whether a node is a GRU, LSTM or RNN."""
    return node.op_type in _OPERATORS and node.domain in ("", "ai.onnx")


def cell_of_node(node) -> Cell:
    """The cell of a recurrent node."""
    return _OPERATORS[node.op_type]


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
        stored = {tensor.name for tensor in graph.initializer}
        self._inputs = [value.name for value in graph.input if value.name not in stored]
        self._makers = {name: node for node in self._nodes for name in node.output if name}
        self._values = Values(graph.initializer, self._nodes, folder)

    # ---- nodes

    def maker(self, name):
        """The node that makes a value, or None."""
        return self._makers.get(name)

    def recurrent(self):
        """Name -> GRU, LSTM or RNN node; a node without a name gets one by its place."""
        found: dict = {}
        for node in self._nodes:
            if is_recurrent(node):
                name = node.name if node.name and node.name not in found else f"{node.op_type}_{len(found)}"
                found[name] = node
        return found

    def chain(self, found, asked):
        """The nodes that are asked for (a name, or names in order), or all, if each feeds the next."""
        names = ", ".join(repr(name) for name in found)
        words = networks_in_words((cell_of_node(node) for node in found.values()), "node")
        if not found:
            kinds = ", ".join(sorted({node.op_type for node in self._nodes})[:20])
            raise ValueError(f"the model has no {words} at its top level; it has {kinds or 'no nodes at all'}")
        if asked is not None:
            wanted = [asked] if isinstance(asked, str) else list(asked)
            unknown = [name for name in wanted if name not in found]
            if unknown or not wanted:
                raise ValueError(f"node={asked!r}: there is no such {words}; there are: {names}")
            nodes = [found[name] for name in wanted]
        else:
            nodes = self._sorted(list(found.values()))
        for before, after in itertools.pairwise(nodes):
            if self._feeder(after) is not before:
                raise SeveralNetworks(f"{words}s that are not layers of one model", found, "node")
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
        """The node of the same kind whose Y is this one's X, directions side by side, or None."""
        path: list = []
        name = node.input[0] if node.input else ""
        while name in self._makers and len(path) < _LONGEST:
            maker = self._makers[name]
            if is_recurrent(maker):
                is_y = maker.output[0] == name and maker.op_type == node.op_type
                return maker if is_y and self._is_plain(path[::-1], maker) else None
            if maker.op_type not in _BETWEEN or not maker.input or maker.output[0] != name:
                return None
            path.append(maker)
            name = maker.input[0]
        return None

    def _is_plain(self, path, recurrent):
        """Whether the nodes of `path` turn Y into (T, N, D*H), or (N, T, D*H) with layout 1, and nothing else."""
        layout = attribute(recurrent, "layout", 0)
        directions = 2 if attribute(recurrent, "direction", "forward") == "bidirectional" else 1
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

    def weight(self, node, index, what, optional=False):
        """The constant input number `index` of a node."""
        name = node.input[index] if len(node.input) > index else ""
        if not name and optional:
            return None
        if not name:
            raise ValueError(f"{node.op_type} {node.name!r} has no input {what}")
        try:
            return self._values.value(name)
        except NotConstant as error:
            raise ValueError(
                f"input {what} ({name!r}) of {node.op_type} {node.name!r} is not a constant of the model: {error}"
            ) from error

    def other_nodes(self, outputs, nodes):
        """What computes beside the `nodes` that are read, and has a part in the `outputs`: words, in the file's order.

        Neither what moves axes and takes elements, nor what is computed of constants and sizes alone.
        """
        read = {id(node) for node in nodes}
        waiting, wanted = list(outputs), set()
        while waiting:
            maker = self._makers.get(waiting.pop())
            if maker is not None and id(maker) not in wanted:
                wanted.add(id(maker))
                waiting += maker.input[:1] if id(maker) in read else maker.input
        computed = set(self._inputs)
        for node in self._nodes:
            if node.op_type in ("Shape", "Size") or not computed.intersection(node.input):
                continue
            computed.update(node.output)
            if id(node) in wanted - read and node.op_type not in _MOVING:
                yield f"{node.op_type} {(node.name or node.output[0])!r}"

    def is_stored(self, name):
        """Whether a value is a tensor of the file itself, which no node makes."""
        return self._values.is_stored(name)

    def constant(self, name):
        """A constant's value, or None where it is not one."""
        return self._values.get(name)
