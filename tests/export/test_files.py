"""What is in exported files, and what compilers make of them: their own test, symbols, memory, switches."""

import re
import shutil
import subprocess

import numpy as np
import pytest

import cgru
from cgru.chain import as_chain, network_of
from support import export_models
from support.c_programs import (
    AS_CPP,
    C99,
    WARNINGS,
    build,
    compile_objects,
    compiled,
    expected,
    export,
    needs_32_bits,
    same_bits,
)
from support.export_models import recurrent
from support.tools import tool

KINDS = dict(export_models.kinds())
COMPILERS = pytest.mark.parametrize("compiler", ["gcc", "clang"])
#: Compilers make calls of these by themselves, also where a program has no library.
OF_COMPILERS = {"memcpy", "memset", "_GLOBAL_OFFSET_TABLE_"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """One model of each kind, by name."""
    folder = tmp_path_factory.mktemp("files")
    return {name: export(network, folder, name) for name, network in KINDS.items()}


def run(program):
    """What a program prints, and its exit status."""
    done = subprocess.run([program], capture_output=True, text=True, timeout=60)
    assert not done.stderr
    return done.stdout, done.returncode


# ---- the model's own test


@pytest.mark.parametrize("switches", [(), ("EMULATE_FMA",), ("-mfma",)], ids=["plain", "emulated", "fused"])
@COMPILERS
def test_its_own_test_passes(exported, tmp_path, compiler, switches):
    compiler = tool(compiler)
    for name, model in exported.items():
        flags = [switch if switch.startswith("-") else f"-D{model.upper}_{switch}" for switch in switches]
        compiled([compiler, *C99, *flags, model.source, model.test], tmp_path / name)
        text, status = run(tmp_path / name)
        assert status == 0 and text.startswith(f"{name}: right"), text
        assert ("the same bits" in text) == bool(switches)


@pytest.mark.parametrize("flag", ["-mfma", "-O1"])
@pytest.mark.parametrize("name", KINDS)
def test_its_own_test_finds_a_number_that_is_wrong(exported, tmp_path, name, flag):
    """One weight of another sign where bits are compared; biases that are larger by one where they are not."""
    text = exported[name].source.read_text()
    array = f"{name}_w0" if flag == "-mfma" else f"{name}_w0_bias"
    place = re.search(rf"\b{array}\[\d+\] = {{(.*?)}};", text, flags=re.DOTALL)
    if flag == "-mfma":
        other = re.sub(r"\S+(?=,)", lambda number: f"{number[0]} ^ 0x8000u" if "0x" in number[0] else f"-({number[0]})",
                       place[1], count=1)  # fmt: skip
    else:
        other = re.sub(r"[^\s,]+", r"\g<0> + 1.0f", place[1])
    (tmp_path / f"{name}.c").write_text(text[: place.start(1)] + other + text[place.end(1) :])
    (tmp_path / f"{name}.h").write_text((exported[name].folder / f"{name}.h").read_text())
    compiled(
        [tool("gcc"), "-std=c99", flag, "-I", tmp_path, tmp_path / f"{name}.c", exported[name].test], tmp_path / "out"
    )
    text, status = run(tmp_path / "out")
    assert status == 1 and text.startswith(f"{name}: WRONG"), text


def scaled(network, factor):
    """A network with a last Linear of one output that multiplies by `factor`."""
    size = network.hidden_size
    weight = np.random.default_rng(1).uniform(-factor, factor, (2, size)).astype(np.float32)
    return cgru.Sequential([network, cgru.Linear.from_state_dict({"weight": weight})])


def test_its_own_test_knows_how_large_outputs_are(tmp_path):
    """Without fused multiply-adds: what is near to large outputs passes, and what is far from small ones does not."""
    large = export(scaled(recurrent("gru", 3, 64), 1000.0), tmp_path, "large")
    small = export(scaled(recurrent("gru", 8, 32, weights="int8"), 0.02), tmp_path, "small")
    for model in (large, small):
        compiled([tool("gcc"), *C99, "-O2", model.source, model.test], tmp_path / "out")
        assert run(tmp_path / "out")[1] == 0
    place = re.search(r"small_w0\[\d+\] = \{(.*?)\}", small.source.read_text(), re.DOTALL)
    broken = re.sub(r"-?\d+", "0", place[1])
    small.source.write_text(small.source.read_text().replace(place[1], broken))
    compiled([tool("gcc"), *C99, "-O2", small.source, small.test], tmp_path / "out")
    assert run(tmp_path / "out")[1] == 1


def test_who_includes_the_code_keeps_gcc_s_own_flags(exported, tmp_path):
    """Whether products and sums are fused is the program's business behind the file."""
    model = exported["gru_float32"]
    text = "float product(float a, float b, float c) { return a * b + c; }"
    (tmp_path / "one.c").write_text(f'#include "{model.source}"\n{text}')
    (tmp_path / "other.c").write_text(text)
    code = []
    for name in ("one", "other"):
        command = [tool("gcc"), "-std=gnu11", "-O2", "-ffp-contract=fast", "-S", tmp_path / f"{name}.c"]
        compiled(command, tmp_path / f"{name}.s")
        lines = (tmp_path / f"{name}.s").read_text().partition("\nproduct:\n")[2].partition("\tret")[0]
        code.append([line.strip() for line in lines.splitlines() if not line.strip().startswith(".")])
    assert code[0] == code[1] and len(code[0]) > 1


def test_its_own_test_without_a_library(exported, tmp_path):
    """As for a microcontroller: no main, no stdio."""
    model = exported["amplifier"]
    caller = tmp_path / "caller.c"
    caller.write_text("double amplifier_test(void); int main(void) { return amplifier_test() > 1e-5; }")
    compiled(
        [tool("gcc"), *C99, "-ffreestanding", "-DAMPLIFIER_TEST_NO_MAIN", model.source, model.test, caller],
        tmp_path / "out",
    )
    assert run(tmp_path / "out") == ("", 0)
    assert "stdio" in model.test.read_text().partition("#if !defined(AMPLIFIER_TEST_NO_MAIN)")[2][:40]


# ---- what is in an object


@pytest.mark.parametrize("flags", ["-O0", "-O2", "-O3 -march=native"])
@COMPILERS
def test_nothing_that_is_written_and_no_library(exported, tmp_path, compiler, flags):
    compiler, nm, size = tool(compiler), tool("nm"), tool("size")
    objects = compile_objects(
        [model.source for model in exported.values()], tmp_path, [compiler, "-std=c99", *flags.split()]
    )
    for name, target in zip(exported, objects, strict=True):
        symbols = subprocess.run([nm, target], capture_output=True, text=True, check=True).stdout.splitlines()
        undefined = {line.split()[-1] for line in symbols if line.split()[-2] == "U"}
        assert undefined <= OF_COMPILERS, name
        public = {line.split()[-1] for line in symbols if line.split()[-2].isupper() and line.split()[-2] != "U"}
        assert public == {f"{name}_{what}" for what in ("reset", "step", "run", "exact")}
        sizes = subprocess.run([size, "-A", target], capture_output=True, text=True, check=True).stdout
        found = dict(re.findall(r"^(\.\S+)\s+(\d+)", sizes, flags=re.MULTILINE))
        writable = {section: int(bytes_) for section, bytes_ in found.items() if section.startswith((".data", ".bss"))}
        assert not any(writable.values()), f"{name}: {writable}"
        assert int(found[".text"]) > 100


def test_no_large_or_variable_stack_frames(exported, tmp_path):
    sources = [model.source for model in exported.values()]
    assert len(compile_objects(sources, tmp_path, [tool("gcc"), *C99, "-O2", "-Wstack-usage=2048"])) == len(KINDS)
    with pytest.raises(AssertionError, match="stack usage"):
        compile_objects(sources, tmp_path, [tool("gcc"), *C99, "-O2", "-Wstack-usage=64"])


@pytest.mark.parametrize(
    "command", [("gcc", "-std=c99"), ("gcc", "-std=c23"), ("clang", "-std=c11"), ("g++", "-std=c++11", *AS_CPP),
                ("clang++", "-std=c++20", *AS_CPP)], ids=" ".join,
)  # fmt: skip
def test_the_header_stands_alone(exported, tmp_path, command):
    compiler = tool(command[0])
    if command[1] == "-std=c23":
        command = (command[0], "-std=c2x", *command[2:])
    for name, model in exported.items():
        lines = [f'#include "{model.folder / name}.h"'] * 2 + [
            f"int size(void); int size(void) {{ return {name.upper()}_INPUT_SIZE; }}"
        ]
        (tmp_path / "alone.c").write_text("\n".join(lines) + "\n")
        compiled([compiler, *command[1:], *WARNINGS, "-c", tmp_path / "alone.c"], tmp_path / "alone.o")


# ---- -ffast-math


@pytest.mark.parametrize("flag", ["-ffast-math", "-Ofast", "-ffinite-math-only"])
@COMPILERS
def test_fast_math_is_refused_unless_allowed_by_name(exported, tmp_path, compiler, flag):
    model, compiler = exported["gru_float32"], tool(compiler)
    done = compiled([compiler, "-std=c99", flag, "-c", model.source], tmp_path / "a.o", check=False)
    assert done.returncode != 0
    assert "-ffast-math breaks" in done.stderr and "define GRU_FLOAT32_ALLOW_FAST_MATH" in done.stderr
    allowed = f"-D{model.upper}_ALLOW_FAST_MATH"
    compiled([compiler, "-std=c99", flag, allowed, "-c", model.source], tmp_path / "a.o")
    other = compiled(
        [compiler, "-std=c99", flag, "-DALLOW_FAST_MATH", "-c", model.source], tmp_path / "a.o", check=False
    )
    assert other.returncode != 0


def test_the_x87_is_refused(exported, tmp_path):
    """It computes floats as something longer, of which only some compilations make floats again."""
    compiler, source = tool("gcc"), exported["gru_float32"].source
    needs_32_bits(compiler, tmp_path)
    for standard in ("-std=c99", "-std=gnu11"):
        done = compiled([compiler, "-m32", "-march=i686", standard, "-c", source], tmp_path / "a.o", check=False)
        assert done.returncode != 0 and "compile with -msse2 -mfpmath=sse" in done.stderr


# ---- real time


def real_time_compiler(tmp_path):
    """A clang with RealtimeSanitizer, 20 or newer, and the flags; a skip, and never a failure, where there is none."""
    (tmp_path / "empty.c").write_text("int main(void) { return 0; }")
    for name in filter(shutil.which, ("clang-22", "clang-21", "clang-20", "clang")):
        command = [name, "-fsanitize=realtime", "-DREAL_TIME=__attribute__((nonblocking))"]
        if not compiled([*command, tmp_path / "empty.c"], tmp_path / "empty", check=False).returncode:
            return command
    pytest.skip("no clang with RealtimeSanitizer")


def test_nothing_in_a_step_blocks(exported, tmp_path):
    """By RealtimeSanitizer, which does find an allocation, and by clang's analysis of function effects."""
    command = real_time_compiler(tmp_path)
    requests = []
    for name, network in KINDS.items():
        for kind, x in export_models.inputs(export_models.generator(), network).items():
            if kind in ("random", "broken"):
                requests += [(name, x, "run"), (name, x, "step")]
    models = list(exported.values())
    flags = (*C99, "-O1", "-mfma", *command[1:], "-Wfunction-effects")
    program = build(models, tmp_path / "program", compiler=command[:1], flags=flags, one_unit=True)
    for (name, x, _), y in zip(requests, program.ask(requests), strict=True):
        assert same_bits(y, expected(KINDS[name], x))
    (tmp_path / "blocks.c").write_text(
        "#include <stdlib.h>\nvoid *volatile kept;\nvoid live(void) __attribute__((nonblocking));\n"
        "void live(void) { kept = malloc(8); }\nint main(void) { live(); return 0; }\n"
    )
    compiled([*command, tmp_path / "blocks.c"], tmp_path / "blocks")
    done = subprocess.run([tmp_path / "blocks"], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "RealtimeSanitizer: unsafe-library-call" in done.stderr


# ---- the text


@pytest.mark.parametrize("name", KINDS)
def test_the_text(exported, name):
    model, network = exported[name], KINDS[name]
    code, header, test = (path.read_bytes().decode("ascii") for path in
                          (model.source, model.folder / f"{name}.h", model.test))  # fmt: skip
    for text in (code, header, test):
        head = " ".join(text.partition("*/")[0].split())
        assert f"Made by cgru {cgru.__version__}" in head and "SPDX-License-Identifier: 0BSD" in head
        assert repr(network).split("(")[0] in head
        assert "cgru_" not in text and "CGRU_" not in text and "@" not in text and "\r" not in text and "\t" not in text
        assert max(map(len, text.splitlines())) <= 120 + 4 * len(name)
        assert str(model.folder) not in text
    assert re.findall(r"#include (\S+)", code) == [f'"{name}.h"', *re.findall(r"#include (<\S+>)", code)]
    assert set(re.findall(r"#include (<\S+>)", code)) <= {"<stdint.h>", "<string.h>", "<immintrin.h>", "<arm_neon.h>"}
    assert re.findall(r"#include (\S+)", header) == ["<stddef.h>"]
    assert f"#define {model.upper}_INPUT_SIZE {model.inputs}\n" in header
    assert f"#define {model.upper}_OUTPUT_SIZE {model.outputs}\n" in header
    assert 'extern "C"' in header and "-march=native" in header and "EMULATE_FMA" in header
    members = re.search(rf"typedef struct {name}_state {{(.*?)}} {name}_state;", header, flags=re.DOTALL)[1]
    planes = [(plane, layer, one.config.hidden_size) for layer, one in enumerate(_levels(network))
              for plane in one.config.cell.states]  # fmt: skip
    for plane, layer, size in planes:
        assert f"float {plane}{layer}[{size}];" in members
    assert ("initial state" in header) == any(one.config.initial_state for one in _levels(network))


def _levels(network):
    """The weights that each level of the network belongs to, first to last."""
    return [layer for layer in as_chain(network_of(network)).layers for _ in range(layer.config.num_layers)]


def test_the_same_model_gives_the_same_text(exported, tmp_path):
    for name, network in export_models.kinds():
        again = export(network, tmp_path, name)
        for suffix in (".c", ".h", "_test.c"):
            assert (tmp_path / f"{name}{suffix}").read_bytes() == (
                exported[name].folder / f"{name}{suffix}"
            ).read_bytes()
        assert again.source.stat().st_size > 1000


@pytest.mark.parametrize("name", KINDS)
def test_the_size_of_a_state_is_that_which_the_header_says(exported, tmp_path, name):
    model = exported[name]
    header = (model.folder / f"{name}.h").read_text()
    said = int(re.search(r"([\d,]+) bytes\s+of state", header)[1].replace(",", ""))
    (tmp_path / "size.c").write_text(
        f'#include "{model.folder / name}.h"\n#include <stdio.h>\n'
        f'int main(void) {{ printf("%u", (unsigned)sizeof({name}_state)); }}'
    )
    compiled([tool("gcc"), *C99, tmp_path / "size.c"], tmp_path / "size")
    assert said <= int(run(tmp_path / "size")[0]) <= said + 3
