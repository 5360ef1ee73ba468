"""Exported models as programs: compiled with a driver, run on inputs, and what they give.

    models = [export(gru, folder, "one"), export(lstm, folder, "two")]
    program = build(models, folder / "program", flags=("-O2", "-mfma"))
    y = program.run("one", x)

The compiler is any command (``("gcc",)``, ``(sys.executable, "-m", "ziglang", "cc")``), the runner what stands in front
of the program (``("qemu-arm-static",)``).
"""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from cgru.chain import as_chain, network_of
from cgru.export import write_c

DRIVER = Path(__file__).with_name("driver.c")
#: In the order of the enum in driver.c; all of them give the same y. IN_PLACE needs as many outputs as inputs.
WAYS = ("run", "step", "in place", "pieces", "copied", "two", "again", "over")
IN_PLACE = ("in place", "over")
WARNINGS = ("-Wall", "-Wextra", "-pedantic", "-Werror")
#: Of C, and what strict projects ask for; gcc's and clang's.
C99 = ("-std=c99", *WARNINGS, "-Wconversion", "-Wsign-conversion", "-Wshadow", "-Wcast-qual", "-Wstrict-prototypes",
       "-Wmissing-prototypes", "-Wundef", "-Wvla", "-Wwrite-strings")  # fmt: skip
AS_CPP = ("-x", "c++")  # a flag of its own: .c is no suffix of C++


@dataclass(frozen=True)
class Exported:
    """Files of one model: `folder`/name.c and its fellows, and the sizes that the header must say."""

    folder: Path
    name: str
    inputs: int
    outputs: int

    @property
    def source(self):
        """name.c."""
        return self.folder / f"{self.name}.c"

    @property
    def test(self):
        """name_test.c."""
        return self.folder / f"{self.name}_test.c"

    @property
    def upper(self):
        """What its macros begin with."""
        return self.name.upper()


def export(network, folder, name):
    """Write a model's C files."""
    write_c(network, folder / f"{name}.c")
    return Exported(folder, name, network.input_size, as_chain(network_of(network)).output_size)


def compiled(command, output, *, timeout=300, check=True):
    """Run a compiler; what it says (a CompletedProcess). Where it must succeed its own words are in the failure."""
    done = subprocess.run([*map(str, command), "-o", str(output)], capture_output=True, text=True, timeout=timeout)
    if check:
        assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stderr[-6000:]}"
    return done


class Program:
    """A driver over some models, compiled.

    Parameters
    ----------
    path : Path
    models : sequence of Exported
        In the order in which the driver has them.
    runner : sequence of str
        What stands in front of the program.
    """

    def __init__(self, path, models, runner=()):
        self.path, self.models, self.runner = Path(path), tuple(models), tuple(runner)
        self._numbers = {model.name: number for number, model in enumerate(self.models)}

    def ask(self, requests, *, environment=None, timeout=120):
        """The y (T, O) of each (name, x (T, I), way); one process runs them all."""
        data = self.encoded(requests)
        done = subprocess.run(
            [*self.runner, str(self.path)], input=data, capture_output=True, timeout=timeout, env=environment
        )
        errors = done.stderr.decode(errors="replace")
        assert done.returncode == 0 and not errors, f"{self.path}: exit status {done.returncode}\n{errors[-6000:]}"
        return self.decoded(requests, done.stdout)

    def run(self, name, x, way="run", **options):
        """The y of one request."""
        return self.ask([(name, x, way)], **options)[0]

    def encoded(self, requests):
        """Requests as the driver reads them: for those who hand it a file."""
        parts = []
        for name, x, way in requests:
            model = self.models[self._numbers[name]]
            x = np.ascontiguousarray(x, "<f4")
            assert x.ndim == 2 and x.shape[1] == model.inputs, f"{name}: x has shape {x.shape}"
            head = np.array([self._numbers[name], WAYS.index(way), len(x)], "<i4")
            parts += [head.tobytes(), x.tobytes()]
        return b"".join(parts)

    def decoded(self, requests, data):
        """The driver's output as arrays."""
        found, start = [], 0
        for name, x, _ in requests:
            outputs = self.models[self._numbers[name]].outputs
            size = 4 * len(x) * outputs
            assert len(data) >= start + size, f"{self.path}: {len(data)} bytes of output, expected more"
            found.append(np.frombuffer(data[start : start + size], "<f4").reshape(len(x), outputs))
            start += size
        assert len(data) == start, f"{self.path}: {len(data)} bytes of output, expected {start}"
        return found


def write_driver(models, path, *, one_unit=False):
    """Write the driver of these models; with `one_unit` it holds their text, else their headers."""
    lines = [f'#include "{model.folder / model.name}.{"c" if one_unit else "h"}"' for model in models]
    for model in models:
        lines += [
            f"#define {model.name}_I {model.upper}_INPUT_SIZE",
            f"#define {model.name}_O {model.upper}_OUTPUT_SIZE",
        ]
    sizes = [(model.name, model.inputs, model.outputs) for model in models]
    lines.append("#define MODELS " + " ".join(f"MODEL({name}, {i}, {o})" for name, i, o in sizes))
    lines.append("#define ENTRIES " + ", ".join(f"{{{name}_drive, {i}, {o}}}" for name, i, o in sizes))
    Path(path).write_text("\n".join(lines) + f'\n#include "{DRIVER}"\n', encoding="utf-8")
    return Path(path)


def build(models, path, *, compiler=("gcc",), flags=C99, runner=(), one_unit=False, link=(), timeout=300):
    """Compile models and their driver to the program `path`.

    Parameters
    ----------
    models : sequence of Exported
    path : Path
        The program; its driver is written beside it, as `path` with .c.
    compiler : sequence of str
        The command.
    flags : sequence of str
        In front of the sources, and of the objects.
    runner : sequence of str
        What runs the program.
    one_unit : bool
        All models and the driver as a single translation unit.
    link : sequence of str
        Behind the sources: libraries, a linker's script.
    """
    path = Path(path)
    sources = [write_driver(models, path.with_suffix(".driver.c"), one_unit=one_unit)]
    if not one_unit:
        sources += [model.source for model in models]
    objects = compile_objects(sources, path.parent, [*compiler, *flags], timeout=timeout)
    compiled([*compiler, *(flag for flag in flags if flag not in AS_CPP), *objects, *link], path, timeout=timeout)
    return Program(path, models, runner)


def compile_objects(sources, folder, command, *, timeout=300):
    """Compile sources to objects in `folder`, on all cores; their paths."""
    objects = [Path(folder) / f"{source.stem}.o" for source in sources]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda pair: compiled([*command, "-c", pair[0]], pair[1], timeout=timeout),
                      zip(sources, objects, strict=True)))  # fmt: skip
    return objects


def needs_32_bits(compiler, folder):
    """Skip the test where there are no libraries for -m32, or fail where tools are required."""
    (folder / "empty.c").write_text("#include <string.h>\nint main(void) { return 0; }\n")
    done = compiled([compiler, "-m32", folder / "empty.c"], folder / "empty", check=False)
    if done.returncode and not os.environ.get("CGRU_REQUIRE_TOOLS"):
        pytest.skip("gcc-multilib is not installed")
    assert not done.returncode, done.stderr


def expected(network, x):
    """What a stream of the model gives for x (T, I); of a Linear, which has none, a call."""
    x = np.asarray(x, np.float32)
    return np.array(network.stream().run(x) if hasattr(network, "stream") else network(x))


def same_bits(y, wanted):
    """Whether two float32 arrays have the same bits; which NaN it is does not count."""
    y, wanted = np.asarray(y, np.float32), np.asarray(wanted, np.float32)
    nan = np.isnan(y)
    return y.shape == wanted.shape and (nan == np.isnan(wanted)).all() and (
        np.ascontiguousarray(y).view(np.uint32)[~nan] == np.ascontiguousarray(wanted).view(np.uint32)[~nan]
    ).all()  # fmt: skip
