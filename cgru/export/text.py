"""The three files of an export: the header, the code with its constants, and the test."""

import numpy as np

from cgru._version import __version__
from cgru.export.layers import Layer, functions_text, layer_text, members
from cgru.export.literals import array_text, comment
from cgru.export.sections import sections, text_of

LICENCE = (
    "Copyright the cgru authors. SPDX-License-Identifier: 0BSD. Permission to use, copy, modify, and/or distribute "
    'this text for any purpose with or without fee is hereby granted. It is provided "as is", without any warranty; in '
    "no event shall the authors be liable for any damages whatsoever. The weights are those of the model: whose they "
    "are, and what may be done with them, is not cgru's to say."
)

FLAGS = "-O3 -march=native"


def header_text(summary: str, chain, layers: list[Layer]) -> str:
    """name.h; `cgru_` still stands for the name, and @name@ (see `sections.named`)."""
    state = members(layers)
    row = max(layer.words for layer in layers)
    planes = [member for member, _ in state if _is_plane(member, layers)]
    near = "near to them (about 1e-6 of the largest)"
    if row:
        near = "near to them, but for numbers that are rounded to the next of 8 bits now and then"
    constants = sum(matrix.nbytes for layer in layers for matrix in layer.matrices.values())
    size = 4 * sum(count for _, count in state) + row
    lines = [
        comment(f"{summary}\nMade by cgru {__version__}. {LICENCE}"),
        comment(
            f"{constants:,} bytes of constants, {size:,} bytes of state. No memory is allocated, no library is "
            "called but what compilers call by themselves (memcpy, memset), and nothing that is written is shared: "
            "any number of states may be used at the same time, each by one thread.\n"
            f"Fast: gcc or clang with {FLAGS}, on x86-64 also -mprefer-vector-width=512; for another processor name "
            "it in the place of native (ARM: -mcpu=...). Where the processor has a fused multiply-add (x86-64 with "
            "-mfma or -march=haswell and later, ARM from Cortex-M4F and ARMv8 on) the numbers are those of cgru's "
            f"engine packed, bit for bit; elsewhere they are {near}, or the same bits again with CGRU_EMULATE_FMA "
            "defined, which is slow. Never compile it with -ffast-math, which is refused unless CGRU_ALLOW_FAST_MATH "
            "is defined."
        ),
        "#ifndef CGRU_H\n#define CGRU_H\n\n#include <stddef.h>\n",
        f"#define CGRU_INPUT_SIZE {chain.input_size}\n#define CGRU_OUTPUT_SIZE {chain.output_size}\n",
        '#ifdef __cplusplus\nextern "C" {\n#endif\n',
        comment(
            f"{_held(planes)} It is plain memory: copy it to keep it, or to go back to it."
        ).rstrip("\n"),
        "typedef struct cgru_state {",
        *(f"    float {member}[{count}];" for member, count in state),
        *([f"    unsigned char row[{row}];"] if row else []),
        "} cgru_state;\n",
        "/* Every state begins with this: " + ("the model's own initial state. */" if _starts(layers) else "zeros. */"),
        "void cgru_reset(cgru_state *state);\n",
        "/* One step: from x to y, which may be the same memory. */",
        "void cgru_step(cgru_state *state, const float x[CGRU_INPUT_SIZE], float y[CGRU_OUTPUT_SIZE]);\n",
        comment(
            "Several: x (steps, CGRU_INPUT_SIZE) to y (steps, CGRU_OUTPUT_SIZE), row by row; y may be x where it is "
            "not the wider one."
        ).rstrip("\n"),
        "void cgru_run(cgru_state *state, size_t steps, const float *x, float *y);\n",
        "/* 1 where this build computes the bits of cgru's engine packed, 0 where it is near to them. */",
        "int cgru_exact(void);\n",
        "#ifdef __cplusplus\n}\n#endif\n\n#endif",
    ]
    return "\n".join(lines) + "\n"


def _held(planes):
    if not planes:
        return "Room to work in: nothing is kept from step to step."
    return f"A state: {', '.join(planes)}, by the number of the layer; the rest is room to work in."


def _is_plane(member, layers):
    return any(member == f"{plane}{layer.number}" for layer in layers for plane in layer.cell.states)


def _starts(layers):
    return any(start.any() for layer in layers for start in layer.initial.values())


def code_text(summary: str, chain, layers: list[Layer]) -> str:
    """name.c"""
    needs = set().union(*(layer.needs for layer in layers))
    parts = [
        comment(f"{summary}\nMade by cgru {__version__}; see @name@.h for how to compile it. {LICENCE}"),
        '#include "@name@.h"\n\n#include <stdint.h>\n',
        text_of(needs),
        "/* ---- the model */\n",
        *(text for layer in layers for text in _constants(layer)),
        *(text for layer in layers for text in _layer(layer)),
        _reset_text(layers),
        _step_text(chain, layers),
        _RUN_TEXT,
    ]
    return "\n".join(parts)


def _constants(layer):
    for letter, matrix in layer.matrices.items():
        name = f"cgru_{letter.lower()}{layer.number}"
        yield array_text(matrix.c_type, name, matrix.data)
        yield array_text("float", f"{name}_bias", matrix.bias)
        if matrix.scale is not None:
            yield array_text("float", f"{name}_scale", matrix.scale)
            yield array_text("int32_t", f"{name}_start", matrix.start)
    for plane, start in layer.initial.items():
        if start.any():
            yield array_text("float", f"cgru_start_{plane}{layer.number}", start)


def _layer(layer):
    yield functions_text(layer)
    if layer.section:
        text = sections()[layer.section].text
        yield text.replace("LAYER", layer.name).replace("SIZE", str(layer.size))
    yield layer_text(layer)


def _reset_text(layers):
    lines = ["void cgru_reset(cgru_state *state)", "{"]
    if any(layer.cell.states for layer in layers):
        lines.append("    size_t j;")
    else:
        lines.append("    (void)state;")
    for layer in layers:
        for plane in layer.cell.states:
            start = layer.initial.get(plane)
            given = f"cgru_start_{plane}{layer.number}[j]" if start is not None and start.any() else "0.0f"
            lines.append(f"    for (j = 0; j < {layer.size}; j++)")
            lines.append(f"        state->{plane}{layer.number}[j] = {given};")
    return "\n".join([*lines, "}", ""])


def _step_text(chain, layers):
    lines = [
        "void cgru_step(cgru_state *state, const float x[CGRU_INPUT_SIZE], float y[CGRU_OUTPUT_SIZE])", "{",
        "    const float *below = x;", "    size_t j;",
        *(f"    below = {layer.name}(state, below);" for layer in layers),
        "    for (j = 0; j < CGRU_OUTPUT_SIZE; j++)",
        "        y[j] = below[j] + x[j];" if chain.skip else "        y[j] = below[j];",
        "}", "",
    ]  # fmt: skip
    return "\n".join(lines)


_RUN_TEXT = """\
void cgru_run(cgru_state *state, size_t steps, const float *x, float *y)
{
    size_t t;
    for (t = 0; t < steps; t++)
        cgru_step(state, x + t * CGRU_INPUT_SIZE, y + t * CGRU_OUTPUT_SIZE);
}

int cgru_exact(void)
{
    return CGRU_EXACT;
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif
"""


def test_text(summary: str, x: np.ndarray, y: np.ndarray, tolerance: float, fused: bool) -> str:
    """name_test.c: x (T, I) and y (T, O) that the model gave, and a main that holds the code against them."""
    return "\n".join([
        comment(
            f"The test of @name@.c: what the model gave for a few inputs. Exit status 0 where the code agrees, to the "
            f"last bit where it says that it is exact, else within {tolerance:.3g}; 1 where it does not. Without a "
            f"standard library define CGRU_TEST_NO_MAIN and call cgru_test.\n{summary}\nMade by cgru {__version__}. "
            f"{LICENCE}"
        ),
        '#include "@name@.h"\n\n#if !defined(CGRU_TEST_NO_MAIN)\n#include <stdio.h>\n#endif\n',
        f"#define CGRU_TEST_STEPS {len(x)}\n",
        array_text("float", "cgru_test_x", x.ravel(), ""),
        array_text("float", "cgru_test_y", y.ravel(), ""),
        f"/* Whether the outputs were made with fused multiply-adds. */\n#define CGRU_TEST_FUSED {int(fused)}\n",
        _TEST_TEXT.replace("TOLERANCE", f"{tolerance:.3g}"),
    ])  # fmt: skip


_TEST_TEXT = """\
/* The largest difference, of step and of run, each from a new start; 0 where all bits are the same. */
double cgru_test(void);

double cgru_test(void)
{
    static cgru_state state;
    static float y[CGRU_TEST_STEPS * CGRU_OUTPUT_SIZE];
    double most = 0;
    int way, i;
    for (way = 0; way < 2; way++) {
        for (i = 0; i < CGRU_TEST_STEPS * CGRU_OUTPUT_SIZE; i++)
            y[i] = -1e9f;
        cgru_reset(&state);
        if (way == 0)
            for (i = 0; i < CGRU_TEST_STEPS; i++)
                cgru_step(&state, cgru_test_x + i * CGRU_INPUT_SIZE, y + i * CGRU_OUTPUT_SIZE);
        else
            cgru_run(&state, CGRU_TEST_STEPS, cgru_test_x, y);
        for (i = 0; i < CGRU_TEST_STEPS * CGRU_OUTPUT_SIZE; i++) {
            const double off = y[i] > cgru_test_y[i] ? (double)y[i] - cgru_test_y[i] : (double)cgru_test_y[i] - y[i];
            if (!(off <= most))         /* a NaN too */
                most = off >= 0 ? off : 1e9;
        }
    }
    return most;
}

#if !defined(CGRU_TEST_NO_MAIN)
int main(void)
{
    const double most = cgru_test();
    const int exact = CGRU_TEST_FUSED && cgru_exact(), right = exact ? most == 0 : most <= TOLERANCE;
    printf("@name@: %s, off by %g at most (%s)\\n", right ? "right" : "WRONG", most,
           exact ? "the same bits are expected" : "no fused multiply-add: up to TOLERANCE is expected");
    return right ? 0 : 1;
}
#endif
"""
