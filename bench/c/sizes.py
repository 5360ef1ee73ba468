"""Code, constants, state and stack of exported models, as compilers report them; nothing is run."""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import cgru

CORTEX_M4F = ["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"]
#: name -> (prefix of the tools, flags)
TARGETS = {
    "Cortex-M4F, -Os": ("arm-none-eabi-", [*CORTEX_M4F, "-Os"]),
    "Cortex-M4F, -O3": ("arm-none-eabi-", [*CORTEX_M4F, "-O3"]),
    "x86-64, -O3 -march=haswell": ("", ["-O3", "-march=haswell"]),
    "x86-64, -O3 -march=skylake-avx512": ("", ["-O3", "-march=skylake-avx512"]),
}


def models():
    """name -> model"""
    found = {
        "amplifier: GRU(1, 40), Linear(40, 1), skip": cgru.Sequential(
            [cgru.GRU(1, 40, rng=0), cgru.Linear(40, 1, rng=1)], skip=True
        )
    }
    for weights in ("float32", "bfloat16", "int8"):
        for cell in (cgru.GRU, cgru.LSTM):
            model = cell(40, 128, rng=0, engine="packed")
            found[f"{cell.__name__}(40, 128), {weights}"] = model if weights == "float32" else model.quantize(weights)
    return found


def sizes(model, prefix, flags, folder):
    """Bytes: code, constants, written data, stack of the largest function, state."""
    model.to_c(folder / "model.c")
    (folder / "state.c").write_text('#include "model.h"\nconst unsigned char size[sizeof(model_state)] = {1};\n')
    for name in ("model", "state"):
        command = [f"{prefix}gcc", "-std=c99", *flags, "-fstack-usage", "-c", f"{name}.c", "-o", f"{name}.o"]
        subprocess.run(command, cwd=folder, check=True)
    found = sections(prefix, folder / "model.o")
    stack = sum(int(line.split("\t")[1]) for line in (folder / "model.su").read_text().splitlines()
                if re.search(r"_(step|layer\d+)\t", line))  # fmt: skip
    state = sections(prefix, folder / "state.o")
    return (
        total(found, ".text"), total(found, ".rodata"), total(found, ".data") + total(found, ".bss"), stack,
        total(state, ".rodata"),
    )  # fmt: skip


def sections(prefix, path):
    """(section, bytes) of an object."""
    found = re.findall(r"^(\.\S+)\s+(\d+)", printed(f"{prefix}size", "-A", path), flags=re.MULTILINE)
    return [(name, int(size)) for name, size in found]


def printed(*command):
    """What a program prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def total(found, start):
    """Bytes of all sections whose names begin so."""
    return sum(size for name, size in found if name.startswith(start))


def main():
    """A table for each compiler that is there."""
    for target, (prefix, flags) in TARGETS.items():
        if not shutil.which(f"{prefix}gcc"):
            print(f"{target}: {prefix}gcc is not installed", file=sys.stderr)
            continue
        version = printed(f"{prefix}gcc", "-dumpfullversion")
        print(f"\n{prefix}gcc {version.strip()}, {target}\n\n| model | code | constants | written | state | stack |")
        print("|---|--:|--:|--:|--:|--:|")
        for name, model in models().items():
            with tempfile.TemporaryDirectory() as folder:
                code, constants, written, stack, state = sizes(model, prefix, flags, Path(folder))
            print(f"| {name} | {code:,} | {constants:,} | {written:,} | {state:,} | {stack:,} |")


if __name__ == "__main__":
    main()
