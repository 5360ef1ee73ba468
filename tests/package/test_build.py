"""The build: the table of instruction sets, and setup.py's errors, which come before anything is compiled.

setup.py runs here with a compiler that only looks like one: what it is asked to make is an empty file.
"""

import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from cgru.engines import _cpu, isas

ROOT = Path(__file__).resolve().parents[2]
COMPILERS = ("gcc", "clang", "zig", "clang-cl", "msvc")

BUILD = pytest.mark.skipif(
    os.name != "posix" or not (ROOT / "cgru" / "engines" / "packed.pyx").is_file(), reason="needs the sources"
)

FAKE = """#!/bin/sh
# gcc, but it refuses some flags and makes no code: asked for a probe, it only looks at it
for word in "$@"; do
    case $word in {refused}) echo "unknown argument: $word" >&2; exit 1 ;; esac
done
case "$*" in *probe.c*) exec {gcc} "$@" ;; esac
while [ $# -gt 1 ]; do [ "$1" != -o ] || : > "$2"; shift; done
"""

SMALL = """
import runpy, sys, numpy, setuptools, Cython.Build
sys.maxsize = 2**31 - 1
runpy.run_path("setup.py", run_name="__main__")
"""


@pytest.fixture
def build(tmp_path):
    """A function: what `setup.py build_ext` does and says with such a compiler and with these variables."""
    pytest.importorskip("Cython")
    pytest.importorskip("setuptools")
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("needs gcc")

    def run(refused="--no-flag-at-all", program=None, **variables):
        fake = tmp_path / "fake-gcc"
        fake.write_text(FAKE.format(refused=refused, gcc=gcc))
        fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
        # a copy of the sources: setup.py writes into build/ beside itself
        source = tmp_path / "source"
        if not source.exists():
            source.mkdir()
            shutil.copytree(ROOT / "cgru", source / "cgru", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
            for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
                shutil.copy(ROOT / name, source)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CGRU_")}
        environment |= {"CC": str(fake), "LDSHARED": f"{fake} -shared", **variables}
        return subprocess.run(
            [sys.executable, *(["-c", program] if program else ["setup.py"]), "build_ext", "--build-lib", "made"],
            cwd=source, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    run.made = lambda: sorted(path.name.split(".")[0] for path in (tmp_path / "source" / "made").rglob("*.so"))
    return run


# ---- the table


def test_every_row_has_flags_for_every_compiler():
    for isa in isas.ISAS:
        assert tuple(isa.flags) == COMPILERS
    assert tuple(isas.FLAGS) == COMPILERS
    for flags in (*isas.FLAGS.values(), *(flags for isa in isas.ISAS for flags in isa.flags.values())):
        assert isinstance(flags, tuple) and all(flag.startswith(("-", "/")) for flag in flags)
        assert not [flag for flag in flags if "fast" in flag or flag in ("-fassociative-math", "-march=native")]


def test_names_are_told_apart():
    names = [isa.name for isa in isas.ISAS]
    assert len({isa.module("packed") for isa in isas.ISAS}) == len(names) == len(set(names))


def test_the_best_stands_first():
    """A row needs what a later row of its architecture needs, or more; one with a base needs more than that."""
    words = {"x86-64-v2": 2, "x86-64-v3": 3, "x86-64-v4": 4, "avx512vnni": 0, "avxvnni": 0, "dotprod": 0}
    for architecture in ("x86_64", "aarch64", None):
        rows = isas.isas_of(architecture)
        levels = [(max([words[word] for word in isa.needs], default=0), isa.base is not None) for isa in rows]
        assert rows and levels == sorted(set(levels), reverse=True)
    assert {word for isa in isas.ISAS for word in isa.needs} == set(words)
    assert _cpu.features() <= set(words)


def test_a_row_with_a_base_adds_int8_weights_to_it():
    """What the row has no modules for, its base has: the next row, which needs one thing less."""
    bases = {isa.name: isa.base for isa in isas.ISAS if isa.base is not None}
    assert bases == {"x86-64-v4-vnni": "x86-64-v4", "x86-64-v3-vnni": "x86-64-v3", "aarch64-dotprod": "aarch64"}
    for isa, after in zip(isas.ISAS, isas.ISAS[1:], strict=False):
        if isa.base is None:
            assert isa.modules == tuple(isas.MODULES)
            continue
        base = isas.named(isa.base)
        assert base is after and base.base is None and base.architecture == isa.architecture
        assert base.needs < isa.needs and len(isa.needs - base.needs) == 1
        assert isa.modules == ("packed",)
        for engine in ("packed", "blas", "backward"):
            for weight_dtype in ("float32", "float64", "bfloat16", "int8"):
                own = engine == "packed" and weight_dtype == "int8"
                assert isas.module_row(isa.name, engine, weight_dtype) is (isa if own else base)
                assert isas.module_row(base.name, engine, weight_dtype) is base


@pytest.mark.parametrize(
    ("platform", "architecture"),
    [
        ("linux-x86_64", "x86_64"), ("macosx-11.0-x86_64", "x86_64"), ("win-amd64", "x86_64"),
        ("linux-aarch64", "aarch64"), ("macosx-11.0-arm64", "aarch64"), ("win-arm64", "aarch64"),
        ("linux-i686", None), ("win32", None), ("linux-riscv64", None), ("linux-armv7l", None), ("linux-ppc64le", None),
    ],
)  # fmt: skip
def test_architectures(platform, architecture):
    assert isas.architecture_of(platform) == architecture
    assert isas.isas_of(architecture)


# ---- setup.py


@BUILD
def test_every_engine_is_built_for_every_row(build):
    done = build()
    assert done.returncode == 0, done.stderr
    rows = isas.isas_of(isas.architecture_of(sysconfig.get_platform()))
    wanted = [isa.module(name).rpartition(".")[2] for isa in rows for name in isa.modules]
    assert build.made() == sorted([*wanted, "_cpu", "capi", "pool", "stream", "window"])


@BUILD
@pytest.mark.skipif("x86_64" not in sysconfig.get_platform(), reason="names flags of x86-64")
def test_a_refused_flag_is_an_error_that_names_it(build):
    done = build(refused="-march=x86-64-v4")
    assert done.returncode == 1 and build.made() == []
    last = done.stderr.strip().splitlines()[-1]
    assert "refuses -march=x86-64-v4 " in last and "for x86-64-v4" in last and "CGRU_BUILD_REFUSED=skip" in last
    assert "unknown argument" not in done.stdout + done.stderr


@BUILD
@pytest.mark.skipif("x86_64" not in sysconfig.get_platform(), reason="names flags of x86-64")
def test_left_out_aloud_where_that_is_allowed(build):
    done = build(refused="-march=x86-64-v4", CGRU_BUILD_REFUSED="skip")
    assert done.returncode == 0, done.stderr
    assert re.search("refuses -march=x86-64-v4 .*left out", done.stdout + done.stderr)
    assert [name for name in build.made() if name.endswith("v4")] == []
    assert len([name for name in build.made() if name.endswith("v3")]) == len(isas.MODULES)


@BUILD
@pytest.mark.skipif("x86_64" not in sysconfig.get_platform(), reason="names flags of x86-64")
def test_no_wheel_without_an_engine(build):
    done = build(refused="-march=x86-64-v*|-mcpu=*", CGRU_BUILD_REFUSED="skip")
    assert done.returncode == 1 and build.made() == []
    assert "no engine can be built" in done.stderr


@BUILD
def test_a_compiler_for_another_processor(build):
    other = "linux-riscv64"
    done = build(_PYTHON_HOST_PLATFORM=other)
    assert done.returncode == 1 and build.made() == []
    assert f"the wheel is to be for {other}, but" in done.stderr and "CC" in done.stderr


@BUILD
def test_no_compiler(build, tmp_path):
    done = build(CC=str(tmp_path / "no-such-compiler"))
    assert done.returncode == 1 and build.made() == []
    last = done.stderr.strip().splitlines()[-1]
    assert "no-such-compiler cannot compile C (" in last and "install a C compiler" in last


@BUILD
@pytest.mark.skipif("x86_64" not in sysconfig.get_platform(), reason="its compiler is one for x86-64")
@pytest.mark.parametrize(
    ("platform", "flags", "found"),
    [
        ("macosx-11.0-universal2", "", None), ("macosx-11.0-universal2", "-arch x86_64", None),
        ("macosx-11.0-universal2", "-arch arm64", "for macosx-11.0-arm64, but"),
        ("macosx-11.0-universal2", "-arch arm64 -arch x86_64", "a wheel is for one architecture"),
    ],
)  # fmt: skip
def test_one_architecture_of_two(build, platform, flags, found):
    """Of a Mac's Python for both: the machine's own, or that of ARCHFLAGS."""
    variables = {"ARCHFLAGS": flags} if flags else {}
    done = build(_PYTHON_HOST_PLATFORM=platform, CGRU_BUILD_ISAS="" if found else "x86-64-v2", **variables)
    if found is None:
        assert done.returncode == 0, done.stderr
        assert "_packed_x86_64_v2" in build.made()
    else:
        assert done.returncode == 1 and build.made() == []
        assert found in done.stderr


@BUILD
@pytest.mark.skipif("x86_64" not in sysconfig.get_platform(), reason="its compiler is one for x86-64")
def test_a_32_bit_python_on_a_64_bit_kernel(build):
    """Which names the kernel's platform: the compiler here, for 64 bits, is then the wrong one."""
    done = build(program=SMALL)
    assert done.returncode == 1 and "the wheel is to be for linux-i686, but" in done.stderr


@BUILD
def test_only_the_instruction_sets_that_are_asked_for(build):
    rows = isas.isas_of(isas.architecture_of(sysconfig.get_platform()))
    done = build(CGRU_BUILD_ISAS=rows[-1].name)
    assert done.returncode == 0, done.stderr
    wanted = [rows[-1].module(name).rpartition(".")[2] for name in rows[-1].modules]
    assert build.made() == sorted([*wanted, "_cpu", "capi", "pool", "stream", "window"])


@BUILD
@pytest.mark.parametrize(
    ("variable", "value"), [("CGRU_BUILD", "fast"), ("CGRU_BUILD_ISAS", "avx2"), ("CGRU_BUILD_REFUSED", "yes")]
)
def test_switches_are_checked(build, variable, value):
    done = build(**{variable: value})
    assert done.returncode == 1 and build.made() == []
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"{variable}={value!r}: ") and ("expected" in last or "there are" in last)
