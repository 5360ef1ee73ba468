"""Exported C, compiled for this machine: a stream's bits where multiply-adds are fused, near to them elsewhere."""

import functools
import os
import platform
import subprocess

import numpy as np
import pytest

from cgru.commands._layers import weight_dtypes
from support import export_models
from support.c_programs import AS_CPP, C99, IN_PLACE, WARNINGS, WAYS, build, expected, export, needs_32_bits, same_bits
from support.tools import tool
from support.variants import variants

GROUPS = {
    "kinds": export_models.kinds,
    "cells": export_models.cells,
    "options": export_models.options,
    "activations": export_models.activations,
    "sizes": export_models.sizes,
    "chains": export_models.chains,
}
#: Largest error where no multiply-add is fused. A state that is off by one unit in its last place may be rounded to
#: another number of 8 bits, whose effect is a hundred thousand times as large.
NEAR = {"float32": 2e-6, "bfloat16": 2e-6, "int8": 2e-2}
#: Inputs that a network might see; with the others an error may grow.
USUAL = ("random", "subnormal", "zero", "fading", "empty", "one")
GNU11 = ("-std=gnu11", *WARNINGS)
X86 = platform.machine() in ("x86_64", "AMD64")
NATIVE, AVX2, AVX = ("-march=native",), ("-mavx2", "-mfma"), ("-mfma",)
#: What the header advises.
FAST = ("-O3", *NATIVE, *(("-mprefer-vector-width=512",) if X86 else ()))
SANITIZED = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
BITS_32 = ("-m32", "-msse2", "-mfpmath=sse")


def in_short(flags):
    """Of parameters, without warnings."""
    return (
        flags
        if isinstance(flags, str)
        else " ".join(flag for flag in flags if not flag.startswith(("-W", "-pedantic")))
    )


pytestmark = pytest.mark.skipif(
    not variants(engine="packed", fused=True), reason="the bits are those of fused multiply-adds, which are not here"
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The models of a group, written as C: made once."""

    @functools.cache
    def made(group):
        folder = tmp_path_factory.mktemp(group)
        return [export(network, folder, name) for name, network in GROUPS[group]()]

    return made


@functools.cache
def requests_of(group):
    """(name, x, way), the y of a stream, the kind of x, and what the error may be without fused multiply-adds."""
    rng = export_models.generator()
    found = []
    for name, network in GROUPS[group]():
        near = max(NEAR[weights] for weights in weight_dtypes(network))
        for kind, x in export_models.inputs(rng, network).items():
            y = expected(network, x)
            ways = WAYS if kind == "random" else ("run",)
            ways = [way for way in ways if way not in IN_PLACE or x.shape[1] == y.shape[1]]
            found += [((name, x, way), y, kind, near) for way in ways]
    return found


def hold(program, group, *, same=True):
    """Hold a program against the streams of a group: all bits, or near to them where x is nothing special."""
    requests = [one for one in requests_of(group) if same or one[2] in USUAL]
    wrong = []
    for (request, y, kind, near), found in zip(requests, program.ask([one[0] for one in requests]), strict=True):
        with np.errstate(invalid="ignore"):
            off = np.abs(found - y).max(initial=0) if y.shape == found.shape else np.inf
        if not (same_bits(found, y) if same else off <= near):
            wrong.append(f"{request[0]}, {kind} x, {request[2]}: off by {off}")
    assert not wrong, f"{len(wrong)} of {len(requests)} are wrong\n" + "\n".join(wrong[:20])


@functools.cache
def fuses(compiler, flags=NATIVE):
    """Whether a compiler has fused multiply-adds under these flags."""
    command = [compiler, *flags, "-dM", "-E", "-x", "c", os.devnull]
    macros = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return any(f"#define {name} 1" in macros for name in ("__FMA__", "__ARM_FEATURE_FMA"))


def fusing(name, flags):
    """The compiler, where it fuses multiply-adds under these flags and this machine runs them; else a skip."""
    compiler = tool(name)
    if not X86 and {"-mfma", "-m32"} & set(flags):
        pytest.skip("flags of x86")
    if not fuses(compiler):
        pytest.skip(f"{name} -march=native has no fused multiply-add on this machine")
    return compiler


# ---- with fused multiply-adds: the same bits


@pytest.mark.parametrize(
    "flags",
    [
        (*C99, "-O0", *NATIVE),
        (*C99, "-O2", *AVX2),
        (*C99, "-O2", *AVX),
        (*C99, *FAST),
        (*GNU11, "-O3", *NATIVE),
    ],
    ids=in_short,
)
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_every_compilation_has_the_same_bits(exported, tmp_path, compiler, flags):
    """Also gnu11, in which gcc fuses whatever it finds unless it is told not to."""
    compiler = fusing(compiler, flags)
    hold(build(exported("kinds"), tmp_path / "program", compiler=(compiler,), flags=flags), "kinds")


@pytest.mark.parametrize(
    ("group", "compiler", "flags"),
    [
        ("cells", "gcc", ("-O2", *AVX2)), ("cells", "clang", ("-O2", *NATIVE)),
        ("options", "gcc", ("-O3", *NATIVE)), ("options", "clang", ("-O2", *NATIVE)),
        ("activations", "gcc", ("-O2", *NATIVE)), ("activations", "clang", ("-O1", *AVX2)),
        ("chains", "gcc", ("-O1", *AVX2)), ("sizes", "gcc", ("-O1", *AVX2)), ("sizes", "clang", (*SANITIZED, *NATIVE)),
    ],
    ids=in_short,
)  # fmt: skip
def test_every_cell_option_activation_and_size(exported, tmp_path, group, compiler, flags):
    compiler = fusing(compiler, flags)
    hold(build(exported(group), tmp_path / "program", compiler=(compiler,), flags=(*C99, *flags)), group)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_all_models_in_one_translation_unit(exported, tmp_path, compiler):
    compiler = fusing(compiler, AVX2)
    flags = (*C99, "-O1", *AVX2)
    hold(build(exported("kinds"), tmp_path / "program", compiler=(compiler,), flags=flags, one_unit=True), "kinds")


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_as_cpp(exported, tmp_path, compiler):
    flags = ("-std=c++17", *WARNINGS, "-O2", *AVX2)
    compiler = fusing(compiler, flags)
    hold(build(exported("kinds"), tmp_path / "program", compiler=(compiler,), flags=(*flags, *AS_CPP)), "kinds")


@pytest.mark.parametrize(("compiler", "flags"), [("gcc", NATIVE), ("clang", ())], ids=["gcc native", "clang plain"])
def test_sanitizers_find_nothing(exported, tmp_path, compiler, flags):
    compiler = fusing(compiler, flags)
    program = build(exported("kinds"), tmp_path / "program", compiler=(compiler,), flags=(*C99, *SANITIZED, *flags))
    hold(program, "kinds", same=bool(flags))


def test_32_bits(exported, tmp_path):
    compiler = fusing("gcc", (*BITS_32, *AVX2))
    needs_32_bits(compiler, tmp_path)
    flags = (*C99, "-O2", *BITS_32, *AVX2)
    hold(build(exported("kinds"), tmp_path / "program", compiler=(compiler,), flags=flags), "kinds")


# ---- without: near, or the same bits with one in software


@pytest.mark.parametrize(
    ("compiler", "flags"), [("gcc", (*C99, "-O0")), ("gcc", (*GNU11, "-O2")), ("clang", (*C99, "-O2"))], ids=in_short
)
def test_without_fused_multiply_adds_it_is_near(exported, tmp_path, compiler, flags):
    compiler = tool(compiler)
    if fuses(compiler, flags):
        pytest.skip("this processor always has them")
    program = build(exported("kinds"), tmp_path / "program", compiler=(compiler,), flags=flags)
    hold(program, "kinds", same=False)
    with pytest.raises(AssertionError, match="are wrong"):  # else this would have tested nothing
        hold(program, "kinds")


def emulating(models):
    """The switch of each model."""
    return tuple(f"-D{model.upper}_EMULATE_FMA" for model in models)


@pytest.mark.parametrize(("compiler", "flags"), [("gcc", (*GNU11, "-O1")), ("clang", (*C99, "-O2"))], ids=in_short)
def test_an_emulated_one_has_the_same_bits(exported, tmp_path, compiler, flags):
    models = exported("kinds")
    compiler = tool(compiler)
    hold(build(models, tmp_path / "program", compiler=(compiler,), flags=(*flags, *emulating(models))), "kinds")


def test_32_bits_without_and_emulated(exported, tmp_path):
    models, compiler = exported("kinds"), tool("gcc")
    needs_32_bits(compiler, tmp_path)
    flags = (*C99, "-O1", *BITS_32)
    (tmp_path / "near").mkdir()
    hold(build(models, tmp_path / "near" / "program", compiler=(compiler,), flags=flags), "kinds", same=False)
    hold(build(models, tmp_path / "program", compiler=(compiler,), flags=(*flags, *emulating(models))), "kinds")
