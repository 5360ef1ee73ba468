"""The way from a Keras model's input to its output, where there is one: its layers in their order."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from cgru.convert._errors import NotAChain
from cgru.convert.keras_layer import Part, parts, passes


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """One layer on the way.

    Attributes
    ----------
    part : Part
    training : bool
        Whether it is called as in training.
    start : int or None
        For an addition: behind how many steps the other summand leaves the way.
    taken : Step or None
        For an addition: the x[...] that the other summand goes through, where there is one.
    """

    part: Part
    training: bool = False
    start: int | None = None
    taken: Step | None = None

    def __str__(self) -> str:
        return f"layer {self.part.path!r} ({self.part.kind})"

    @property
    def passes(self) -> bool:
        """Whether it does nothing to x."""
        return passes(self.part.kind, self.part.config)


def steps(model: Mapping[str, Any], around: Part | None = None) -> list[Step]:
    """The layers of a Sequential or functional model, models in it entered.

    Raises
    ------
    NotAChain
        It has several inputs or outputs, or layers that join several tensors, other than one addition of two.
    KeyError, TypeError, AttributeError, ValueError
        The configuration is damaged.
    """
    config = model["config"]
    if isinstance(config, Mapping) and ("input_layers" in config or "output_layers" in config):
        return _Graph(model, around).steps()
    if isinstance(config, Mapping) and "layers" not in config:
        raise NotAChain("the model's call is code of its own; build it as a Sequential or functional model")
    found: list[Step] = []
    for part in parts(model, around):
        found += _entered(part, len(found), False)
    return found


def _entered(part, before, training):
    """A part as steps, behind `before` others."""
    if part.model is None:
        return [Step(part, training)]
    return [
        dataclasses.replace(
            step, training=training or step.training, start=None if step.start is None else step.start + before
        )
        for step in steps(part.model, part)
    ]


_Key = tuple[str, int, int]      # a tensor: the layer's name, which of its calls, which of its outputs


class _Graph:
    """A functional model's layers, and the ways to their tensors."""

    def __init__(self, model, around):
        config = model["config"]
        self.what = f"model {around.path!r}" if around else f"model {config.get('name', '')!r}"
        self.parts = {part.name: part for part in parts(model, around)}
        self.inputs = self._ends(config["input_layers"])
        self.outputs = self._ends(config["output_layers"])
        self.known: dict[_Key, list[Step]] = {}
        self.open: set[_Key] = set()

    def steps(self) -> list[Step]:
        for ends, what in ((self.inputs, "inputs"), (self.outputs, "outputs")):
            if len(ends) != 1:
                names = ", ".join(repr(name) for name, *_ in ends) or "none"
                raise NotAChain(f"{self.what} has {len(ends)} {what} ({names}), and a chain has one")
        return self.way(self.outputs[0])

    def way(self, key: _Key) -> list[Step]:
        """The steps from the input to a tensor."""
        if key[0] == self.inputs[0][0]:
            return []
        if key not in self.known:
            if key in self.open:
                raise ValueError(f"the layer {key[0]!r} depends on itself")
            self.open.add(key)
            self.known[key] = self._way(key)
            self.open.discard(key)
        return self.known[key]

    def _way(self, key):
        name, call, output = key
        if name not in self.parts:
            raise ValueError(f"there is no layer {name!r}, which another one takes its input from")
        part = self.parts[name]
        step = Step(part)
        if output:
            raise NotAChain(f"{step}: its output {output}, a state, is used as an input; a chain uses the first alone")
        if part.model is not None and len(part.nodes) > 1:
            raise NotAChain(f"{step} is called {len(part.nodes)} times; build each call as layers of its own")
        if not part.nodes:
            raise NotAChain(f"{step} has no input")
        node = part.nodes[0 if len(part.nodes) == 1 else call]      # a model's own call may be counted, or not
        tensors, rest = self._given(node)
        if len(tensors) == 2 and not rest and _adds(part):
            return self._added(step, *tensors)
        if len(tensors) != 1:
            names = ", ".join(repr(tensor[0]) for tensor in tensors) or "none"
            raise NotAChain(f"{step} has {len(tensors)} inputs ({names}), and a chain has no branches")
        way = self.way(tensors[0])
        training = isinstance(node, Mapping) and bool(node.get("kwargs", {}).get("training"))
        if rest:
            part = dataclasses.replace(part, config={**part.config, "call": rest})
        return way + _entered(part, len(way), training)

    def _added(self, step, one, two):
        """The way to a sum of two tensors, one of which lies on the way to the other, but for what it takes of it."""
        ways = [self.way(one), self.way(two)]
        for short, long in (ways, ways[::-1]):
            taken = None
            if short and short != long[: len(short)] and is_taken(short[-1]):
                *short, taken = short
            if short == long[: len(short)]:
                return [*long, dataclasses.replace(step, start=len(short), taken=taken)]
        raise NotAChain(f"{step} adds two branches, {one[0]!r} and {two[0]!r}; by hand, in NumPy: y = a + b")

    def _given(self, node):
        """The tensors that one call takes, and what else it takes in their places."""
        found: list[_Key] = []
        rest: list[Any] = []
        if isinstance(node, Mapping):       # Keras 3
            for value in node.get("args", ()):
                tensors = list(_tensors(value))
                found += tensors
                if not tensors:
                    rest.append(value)
            for name, value in node.get("kwargs", {}).items():
                given = list(_tensors(value))
                if not (name == "mask" and all(self.parts[one].kind == "Any" for one, *_ in given)):    # a Masking's
                    found += given
            return found, rest
        for name, call, output, *options in [node] if node and isinstance(node[0], str) else node:
            found.append((name, int(call), int(output)))
            for value in (options[0] if options else {}).values():
                found += self._ends(value) if self._is_end(value) else []
        return found, rest

    def _ends(self, value):
        """[name, 0, 0], or lists or dicts of such, as a list of keys."""
        if self._is_end(value):
            return [(value[0], int(value[1]), int(value[2]))]
        values = value.values() if isinstance(value, Mapping) else value
        return [end for one in values for end in self._ends(one)] if isinstance(value, list | Mapping) else []

    def _is_end(self, value):
        return isinstance(value, list) and len(value) == 3 and isinstance(value[0], str) and value[0] in self.parts


def _tensors(value: Any) -> Iterator[_Key]:
    """Keras 3's tensors in an argument, wherever they are."""
    if isinstance(value, Mapping):
        if value.get("class_name") == "__keras_tensor__":
            name, call, output = value["config"]["keras_history"]
            yield str(name), int(call), int(output)
            return
        value = list(value.values())
    if isinstance(value, list | tuple):
        for one in value:
            yield from _tensors(one)


_ALL = slice(None)


def index(step: Step) -> tuple[Any, ...]:
    """What a GetItem, x[...], has in its brackets; slices, numbers and Ellipsis, anything else as it is stored."""
    given = step.part.config.get("call", [None])[0]
    return tuple(map(_plain, given if isinstance(given, list | tuple) else [given]))


def _plain(value):
    if isinstance(value, Mapping) and value.get("class_name") == "__ellipsis__":
        return Ellipsis
    if isinstance(value, Mapping) and value.get("class_name") == "__slice__":
        config = value["config"]
        return slice(config.get("start") or None, config.get("stop"), config.get("step"))
    return value


def takes_last(step: Step) -> bool:
    """Whether a GetItem takes the last step: x[:, -1], and maybe some features of it."""
    return index(step)[:2] in ((_ALL, -1), (Ellipsis, -1))


def head(step: Step) -> int | None:
    """How many features a GetItem takes from the first on: n of x[..., :n] and x[:, -1, :n]; None for all of them."""
    last = index(step)[-1]
    return last.stop if isinstance(last, slice) else None


def is_taken(step: Step) -> bool:
    """Whether a step is a GetItem that takes the last step, or the first features, or both."""
    if step.part.kind != "GetItem":
        return False
    found = index(step)
    if found in ((_ALL, -1), (_ALL, -1, Ellipsis)):
        return True
    if found[:-1] not in ((Ellipsis,), (_ALL, _ALL), (_ALL, -1), (Ellipsis, -1)) or not isinstance(found[-1], slice):
        return False
    most = head(step)
    return found[-1] == slice(None, most) and (most is None or most > 0)


def _adds(part):
    """Whether a layer or operation is the sum of its inputs."""
    function = str(part.config.get("function")) if part.kind == "TFOpLambda" else ""
    return part.kind == "Add" or function in ("math.add", "__operators__.add")
