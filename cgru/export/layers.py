"""A network as the layers that an exported file runs one after the other, and the C text of each."""

import dataclasses

import numpy as np

from cgru.activations import Activation
from cgru.cells import Cell
from cgru.export.literals import float_literal
from cgru.export.matrices import Matrix, matrix_of

LARGEST = float(np.finfo(np.float32).max)        #: of float32
_WITHOUT_CONSTANTS = ("hard_sigmoid", "relu", "linear", "softsign", "leaky_relu")


@dataclasses.dataclass(frozen=True)
class Layer:
    """One level of a stack, or a Linear.

    Attributes
    ----------
    number : int
        Its place in the file.
    cell : Cell
    size : int
        Hidden units or outputs.
    reset_after : bool
    activations : dict of str to Activation
        By the letter of the function.
    clip : float or None
    matrices : dict of str to Matrix
        "W" of the input, and of a recurrent layer "U" of its state, and "V" of r h with reset_after=False.
    initial : dict of str to ndarray
        Of each plane of the state its start (H,), where it is not 0.
    """

    number: int
    cell: Cell
    size: int
    reset_after: bool
    activations: dict[str, Activation]
    clip: float | None
    matrices: dict[str, Matrix]
    initial: dict[str, np.ndarray]

    @property
    def name(self) -> str:
        """Of its functions."""
        return f"cgru_layer{self.number}"

    @property
    def section(self) -> str | None:
        """What its gates are made of, in source/cells.c."""
        if not self.cell.states:
            return None
        return self.cell.kind if self.reset_after else f"{self.cell.kind}_before"

    @property
    def needs(self) -> set[str]:
        """The sections of the other files that it takes."""
        products = {f"product_{matrix.weight_dtype}" for matrix in self.matrices.values()}
        functions = {one.name for one in self.activations.values() if not self.copies(one)}
        return products | functions | ({"constants"} if self.takes_constants else set())

    @property
    def takes_constants(self) -> bool:
        """Whether one of its functions takes the constants of the exponential function."""
        return any(one.name not in _WITHOUT_CONSTANTS for one in self.activations.values())

    def copies(self, function: Activation) -> bool:
        """Whether it leaves a Linear's sums as they are. (In a cell, 1 x + 0 makes 0 of -0.)"""
        return not self.cell.states and function == Activation("linear", 1.0, 0.0)

    @property
    def output(self) -> str:
        """The member of the state that holds what it gives."""
        return f"{self.cell.states[0]}{self.number}" if self.cell.states else f"y{self.number}"

    @property
    def words(self) -> int:
        """Bytes of the longest row that it rounds to 8 bits."""
        return max((-(-one.K // 4) * 4 for one in self.matrices.values() if one.weight_dtype == "int8"), default=0)


def layers_of(chain) -> list[Layer]:
    """The layers of a `Chain`, a stack's one by one."""
    found: list[Layer] = []
    for weights in chain.layers:
        config, stored = weights.config, weights.stored
        for layer in range(config.num_layers):
            suffix = f"_l{layer}"
            initial = {
                plane: np.asarray(stored[f"{plane}_0"][layer], np.float32)
                for plane in config.cell.states if config.initial_state
            }  # fmt: skip
            if config.recurrent:
                matrices = _recurrent(config, stored, suffix)
            else:
                matrices = {"W": matrix_of(stored["weight"], stored.get("bias"), slice(None))}
            functions = dict(zip(config.cell.functions, config.activations[0], strict=True))
            found.append(Layer(
                len(found), config.cell, config.hidden_size, config.reset_after, functions, config.clip, matrices,
                initial,
            ))  # fmt: skip
    return found


def _recurrent(config, stored, suffix):
    w, u = stored[f"weight_ih{suffix}"], stored[f"weight_hh{suffix}"]
    b, c = stored.get(f"bias_ih{suffix}"), stored.get(f"bias_hh{suffix}")
    together = slice(None) if config.reset_after else slice(2 * config.hidden_size)
    matrices = {"W": matrix_of(w, b, slice(None)), "U": matrix_of(u, c, together)}
    if not config.reset_after:
        matrices["V"] = matrix_of(u, c, slice(2 * config.hidden_size, None))
    return matrices


# ---- text


def functions_text(layer: Layer) -> str:
    """The layer's activations, as functions of its own."""
    return "\n".join(
        _function(layer, letter, function) for letter, function in layer.activations.items()
        if function.name != "softmax" and not layer.copies(function)
    )  # fmt: skip


def _function(layer, letter, function):
    lines = [f"CGRU_INLINE float {layer.name}_{letter}(float x, const float *k)", "{"]
    numbers = [_number(value) for value in function.numbers]
    if function.name in _WITHOUT_CONSTANTS:
        lines.append("    (void)k;")
    else:
        numbers.append("k")
    if layer.clip is not None and layer.clip <= LARGEST and letter != "h":
        high = _number(layer.clip)
        lines.append(f"    x = x > {high} ? {high} : x;")
        lines.append(f"    x = x < -{high} ? -{high} : x;")
    return "\n".join([*lines, f"    return cgru_{function.name}({', '.join(['x', *numbers])});", "}", ""])


def _number(value):
    return float_literal(np.float32(value))


def product_text(layer: Layer, letter: str, source: str, sums: str) -> str:
    """The statement that multiplies one of its matrices."""
    matrix, prefix = layer.matrices[letter], f"cgru_{letter.lower()}{layer.number}"
    if matrix.weight_dtype == "int8":
        arrays = f"{prefix}, {prefix}_start, {prefix}_scale, {prefix}_bias, {source}, state->row, {sums}"
    else:
        arrays = f"{prefix}, {prefix}_bias, {source}, {sums}"
    return f"    cgru_product_{matrix.weight_dtype}({matrix.K}, {matrix.columns}, {arrays});"


def layer_text(layer: Layer) -> str:
    """The function that makes one step of the layer, and returns where its output is."""
    lines = [
        f"static const float *{layer.name}(cgru_state *state, const float *x)", "{",
        *(["    float k[14];", "    cgru_load_constants(k);"] if layer.takes_constants else []),
    ]  # fmt: skip
    if layer.cell.states and not layer.takes_constants:
        lines.append("    const float *k = 0;         /* none of its functions takes them */")
    if not layer.cell.states:
        lines += _linear_lines(layer)
    else:
        planes = [f"state->{plane}{layer.number}" for plane in layer.cell.states]
        lines += [product_text(layer, "W", "x", "state->a"), product_text(layer, "U", planes[0], "state->b")]
        if "V" in layer.matrices:
            lines.append(f"    {layer.name}_reset(state->a, state->b, {planes[0]}, state->q, k);")
            lines.append(product_text(layer, "V", "state->q", "state->n"))
            lines.append(f"    {layer.name}_gates(state->a, state->b, state->n, {planes[0]}, k);")
        else:
            lines.append(f"    {layer.name}_gates(state->a, state->b, {', '.join(planes)}, k);")
    return "\n".join([*lines, f"    return state->{layer.output};", "}", ""])


def _linear_lines(layer):
    function, out = layer.activations["g"], f"state->{layer.output}"
    lines = [product_text(layer, "W", "x", out)]
    if function.name == "softmax":
        lines.append(f"    cgru_softmax({layer.size}, {out}, k);")
    elif not layer.copies(function):
        lines.append(f"    for (size_t j = 0; j < {layer.size}; j++)")
        k = "k" if layer.takes_constants else "0"
        lines.append(f"        {out}[j] = {layer.name}_g({out}[j], {k});")
    return lines


def members(layers: list[Layer]) -> list[tuple[str, int]]:
    """Members of the state, and how many float32 numbers each has: the planes, then what is no state."""
    planes = [(f"{plane}{layer.number}", layer.size) for layer in layers for plane in layer.cell.states]
    work = [
        (name, max((layer.matrices[letter].columns for layer in layers if letter in layer.matrices
                    and layer.cell.states), default=0))
        for name, letter in (("a", "W"), ("b", "U"), ("n", "V"))
    ]  # fmt: skip
    work.append(("q", max((layer.size for layer in layers if "V" in layer.matrices), default=0)))
    work += [(layer.output, layer.matrices["W"].columns) for layer in layers if not layer.cell.states]
    return [(name, count) for name, count in planes + work if count]
