"""How commands end: outputs that are inputs, too little memory, bad settings, signals, files cut off or huge."""

import math
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

import cgru
from cgru.__main__ import main
from support.processes import run_python

pytestmark = pytest.mark.usefixtures("folder")

T, N, INPUTS, H = 12, 4, 3, 6


@pytest.fixture
def files(rng):
    """A model, x, y and h_0."""
    gru = cgru.GRU(INPUTS, H, rng=1)
    gru.save("m.safetensors")
    x = rng.normal(size=(T, N, INPUTS)).astype(np.float32)
    np.save("x.npy", x)
    np.savez("x.npz", x=x)
    np.savez("m.npz", **gru.state_dict())
    np.save("y.npy", gru(x)[0])
    np.save("h.npy", np.zeros((1, N, H), np.float32))
    np.save("lengths.npy", np.full(N, T))


def content():
    return {name: Path(name).read_bytes() for name in os.listdir()}


def error(capsys):
    """The one line of an error."""
    out, err = capsys.readouterr()
    assert not out and err.startswith("cgru: error: ") and err.count("\n") == 1
    return err


def link():
    os.symlink("x.npy", "link.npy")
    os.link("h.npy", "hard.npy")


@pytest.mark.parametrize("arguments", [
    "convert m.safetensors m.safetensors",
    "convert m.safetensors ./m.safetensors",
    "trace m.safetensors x.npz -o x.npz",
    "trace m.npz x.npy -o m.npz",
    "run m.npz x.npy -o m.npz",
    "run m.safetensors x.npy -o x.npy",
    "run m.safetensors x.npy -o link.npy",
    "run m.safetensors link.npy -o x.npy",
    "run m.safetensors x.npy --h0 h.npy -o h.npy",
    "run m.safetensors x.npy --h0 h.npy -o hard.npy",
    "run m.safetensors x.npy --lengths lengths.npy -o lengths.npy",
    "check m.safetensors x.npy y.npy --save m.safetensors",
])  # fmt: skip
def test_no_output_is_an_input(files, arguments, capsys):
    link()
    before = content()
    assert main(arguments.split()) == 2
    assert "is the same file as" in error(capsys)
    assert content() == before


def test_a_picture_is_no_input(files, capsys):
    pytest.importorskip("matplotlib")
    os.symlink("x.npy", "p.png")
    assert main(["trace", "m.safetensors", "x.npy", "--plot", "p.png"]) == 2
    assert "is the same file as INPUT x.npy" in error(capsys)


def start(*arguments, **environment):
    """A command in a process of its own."""
    variables = os.environ | {"PYTHONPATH": str(Path(cgru.__file__).parent.parent)} | environment
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "cgru", *arguments],
        env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_bad_instruction_set_is_one_line():
    for arguments in (["bench"], ["demo"]):
        process = start(*arguments, CGRU_ISA="x86-64-v9")
        out, err = process.communicate(timeout=60)
        assert process.returncode == 2 and not out
        assert err.startswith("cgru: error: CGRU_ISA='x86-64-v9'") and err.count("\n") == 1


OTHER_MACHINE = """
import sys
from cgru import engines
from cgru.__main__ import main

engines.isas_usable = lambda: ()
sys.exit(main(["bench"]))
"""


def test_a_machine_without_a_usable_module_is_one_line():
    result = run_python(OTHER_MACHINE, check=False)
    assert result.returncode == 2 and not result.stdout
    assert result.stderr.startswith("cgru: error: cgru was built for ") and result.stderr.count("\n") == 1
    assert "this machine can run none of them" in result.stderr


def test_too_little_memory_is_one_line(files, monkeypatch, capsys):
    def greedy(*_, **__):
        np.empty(1 << 55, np.uint8)

    monkeypatch.setattr(cgru.GRU, "__call__", greedy)
    assert main(["run", "m.safetensors", "x.npy", "-o", "out.npy"]) == 2
    assert "not enough memory: Unable to allocate" in error(capsys)
    assert "out.npy" not in "".join(os.listdir())


def long_run():
    """A run that takes a while, whose temporary file is there."""
    cgru.GRU(256, 4, rng=1).save("m.safetensors")
    with open("x.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (8_000_000, 256)})
        file.truncate(file.tell() + 4 * 8_000_000 * 256)
    process = start("run", "m.safetensors", "x.npy", "-o", "y.npy")
    for _ in range(3000):
        if any(name.endswith(".tmp") for name in os.listdir()):
            return process
        time.sleep(0.01)
    raise AssertionError("no temporary file")


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_leaves_no_file(name):
    number = getattr(signal, name)
    before = signal.signal(number, signal.SIG_DFL)      # under nohup it is ignored, and a child inherits that
    try:
        process = long_run()
    finally:
        signal.signal(number, before)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number and not out and not err
    assert sorted(os.listdir()) == ["m.safetensors", "x.npy"]


def test_an_input_that_is_cut_off_meanwhile():
    """Mapped, it would kill the process."""
    process = long_run()
    os.truncate("x.npy", 1_000_000)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2 and not out
    assert err == "cgru: error: x.npy ends too early; was it changed while it was read?\n"
    assert sorted(os.listdir()) == ["m.safetensors", "x.npy"]


def test_bombs(files, capsys):
    """300 MB out of 300 kB: refused before they are expanded."""
    for name, shape in {"x": (T, 2_000_000, INPUTS), "h": (75_000_000, 1)}.items():
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        archive = zipfile.ZipFile(f"bomb_{name}.npz", "w", zipfile.ZIP_DEFLATED)
        with archive, archive.open("x.npy", "w") as member:
            np.lib.format.write_array_header_1_0(member, header)
            for _ in range(4 * math.prod(shape) // 1_000_000):
                member.write(bytes(1_000_000))
    cgru.GRU(INPUTS, H, bidirectional=True, rng=1).save("both.safetensors")
    for arguments, words in {
        "check m.safetensors bomb_x.npz y.npy": "decompression bomb",
        "check m.safetensors x.npy bomb_x.npz": "decompression bomb",
        "check m.safetensors x.npy y.npy --h0 bomb_h.npz": "decompression bomb",
        "run both.safetensors bomb_x.npz -o out.npy": "decompression bomb",
        "run m.safetensors x.npy --h0 bomb_h.npz -o out.npy": "has shape (75000000, 1), expected (1, 4, 6)",
    }.items():
        assert main(arguments.split()) == 2
        assert words in capsys.readouterr().err.replace("\n", " ")
    assert "out.npy" not in "".join(os.listdir())
