"""Numbers and arrays as C text."""

import textwrap

import numpy as np

_LINE = 116         # columns


def float_literal(value) -> str:
    """A float32 number that is read back to the last bit."""
    text = f"{value:.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def array_text(c_type: str, name: str, array: np.ndarray, qualifiers: str = "CGRU_ALIGNED") -> str:
    """The definition of a constant array of one dimension."""
    if array.dtype == np.float32:
        numbers = [float_literal(value) for value in array.tolist()]
    elif array.dtype == np.uint32:
        numbers = [f"0x{value:08X}u" for value in array.tolist()]
    elif array.dtype == np.int32:       # the least one has no literal
        numbers = [str(value) if value > -(2**31) else "-2147483647 - 1" for value in array.tolist()]
    else:
        numbers = [str(value) for value in array.tolist()]
    head = " ".join(word for word in ("static const", c_type, qualifiers) if word)
    return f"{head} {name}[{len(numbers)}] = {{\n{_lines(numbers)}}};\n"


def _lines(numbers):
    """Comma-separated, as many in a line as fit."""
    width = max(map(len, numbers)) + 2
    each = max(1, (_LINE - 4) // width)
    return ",\n".join("    " + ", ".join(numbers[at : at + each]) for at in range(0, len(numbers), each))


def comment(text: str) -> str:
    """Paragraphs as a C comment."""
    text = text.replace("*/", "* /")
    lines = []
    for paragraph in text.split("\n"):
        lines += textwrap.wrap(paragraph, _LINE - 3, break_on_hyphens=False) or [""]
    return ("/* " + "\n   ".join(lines)).replace("\n   \n", "\n\n") + " */\n"
