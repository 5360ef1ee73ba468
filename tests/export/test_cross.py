"""Exported models on other processors: compiled for them, run under emulation, with the outputs of Python."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from support.c_programs import C99, build, compiled, export
from support.exported_networks import Samples, networks
from support.tools import tool, zig_cc

BOARD = Path(__file__).with_name("cortex_m")


@dataclass(frozen=True)
class Target:
    """A processor under Linux: its compiler's flags, its emulator, and whether it has a fused multiply-add."""

    name: str
    flags: tuple
    emulator: tuple
    fused: bool

    def __str__(self):
        return self.name

    def compiler(self):
        """The command; skips where it is missing."""
        return (*zig_cc(), *self.flags)

    def sources(self):
        """What is compiled besides."""
        return ()

    def runner(self):
        """What stands in front of the program."""
        program, *arguments = self.emulator
        return (tool(program, program.removesuffix("-static")), *arguments)

    def run(self, program, data):
        """What a driver writes for the requests `data`."""
        done = subprocess.run([*self.runner(), str(program)], input=data, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def driver_flags(self):
        """How the driver gets its requests: on stdin."""
        return ()


@dataclass(frozen=True)
class Bare(Target):
    """A Cortex-M without an operating system: newlib, whose files and exit status are the emulator's (semihosting)."""

    def compiler(self):
        return (tool("arm-none-eabi-gcc"), *self.flags, "--specs=rdimon.specs", "-T", str(BOARD / "mps2.ld"))

    def sources(self):
        return (BOARD / "start_up.c",)

    def runner(self):
        semihosting = ("-nographic", "-semihosting-config", "enable=on,target=native")
        return (tool("qemu-system-arm"), *self.emulator, *semihosting, "-kernel")

    def driver_flags(self):
        return ('-DDRIVER_INPUT="requests"', '-DDRIVER_OUTPUT="answers"')

    def run(self, program, data):
        folder = program.parent
        (folder / "requests").write_bytes(data)
        done = subprocess.run([*self.runner(), str(program)], cwd=folder, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return (folder / "answers").read_bytes()


A7 = ("-target", "arm-linux-musleabihf", "-mcpu=cortex_a7")
M4F = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")
TARGETS = [
    Target("aarch64", ("-target", "aarch64-linux-musl", "-static"), ("qemu-aarch64-static",), True),
    Target("cortex-a7", (*A7, "-static"), ("qemu-arm-static", "-cpu", "cortex-a7"), True),
    Bare("cortex-m4f", M4F, ("-M", "mps2-an386"), True),
    Bare("cortex-m3", ("-mcpu=cortex-m3", "-mthumb"), ("-M", "mps2-an385"), False),
]


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Networks, their C files, inputs and outputs."""
    return Samples(tmp_path_factory.mktemp("exported"), np.random.default_rng(1997))


def outputs(target, samples, folder, *, flags=()):
    """What the exported models give on a target."""
    flags = (*C99, "-O2", *target.driver_flags(), *flags)
    program = build(
        samples.models, folder / "program", compiler=target.compiler(), flags=flags, link=map(str, target.sources())
    )
    return program.decoded(samples.requests(), target.run(program.path, program.encoded(samples.requests())))


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_outputs_are_pythons(target, samples, tmp_path):
    """The same bits where the processor has a fused multiply-add, else within the tolerance."""
    samples.check(outputs(target, samples, tmp_path), same_bits=target.fused)


@pytest.mark.parametrize("target", [target for target in TARGETS if not target.fused], ids=str)
def test_same_bits_by_emulation(target, samples, tmp_path):
    """A multiply-add in software gives processors without one the bits of those with it."""
    emulate = [f"-D{model.upper}_EMULATE_FMA" for model in samples.models]
    samples.check(outputs(target, samples, tmp_path, flags=emulate), same_bits=True)


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_its_own_test(target, samples, tmp_path):
    """name_test.c passes, and beside a network with other weights it does not: the exit status says so."""
    model = samples.models[0]
    wrong = export(networks(np.random.default_rng(7))[model.name], tmp_path, model.name)
    for source, status in (model.source, 0), (wrong.source, 1):
        program = tmp_path / f"test{status}"
        flags = (*C99, "-O2", "-I", str(model.folder), *map(str, target.sources()))
        compiled([*target.compiler(), *flags, source, model.test], program)
        done = subprocess.run([*target.runner(), str(program)], capture_output=True, text=True, timeout=60)
        assert done.returncode == status, done.stdout + done.stderr
        assert ("WRONG" in done.stdout) == bool(status)
