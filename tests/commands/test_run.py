"""``cgru run``: every format and way through a file equals the model itself; bounded memory; no half files."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import cgru
from cgru.__main__ import main
from support.peers import peer

T, N, H, INPUTS = 23, 5, 7, 3


pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture(params=[1, 1 << 10, 16 << 20], ids="piece={}".format)
def piece(request):
    """Bytes at a time: a step or row, a few, everything."""
    return request.param


def saved(**options):
    gru = cgru.GRU(INPUTS, H, rng=1, **options)
    gru.save("model.safetensors")
    return gru


def computed(*arguments, output="y.npy", **options):
    assert main(["run", "model.safetensors", *arguments, "-o", output], **options) == 0
    assert not [name for name in os.listdir() if name.startswith(f"{output}.")]
    if output.endswith(".csv"):
        return np.loadtxt(output, delimiter=",", ndmin=2)
    result = np.load(output)
    return result if output.endswith(".npy") else dict(result)


KINDS = [
    {}, {"num_layers": 2, "batch_first": True}, {"bidirectional": True}, {"bidirectional": True, "batch_first": True},
    {"reverse": True}, {"go_backwards": True, "batch_first": True},
    {"bidirectional": True, "merge_mode": "sum"},
]  # fmt: skip


@pytest.mark.parametrize("options", KINDS, ids=repr)
@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("with_h_0", [True, False])
def test_every_way_equals_the_model(rng, piece, options, batched, with_h_0):
    gru = saved(**options)
    x = rng.normal(size=((N, T) if gru.batch_first else (T, N)) + (INPUTS,)).astype(np.float32)
    x = x if batched else np.ascontiguousarray(x[0] if gru.batch_first else x[:, 0])
    cells = gru.num_layers * (1 + gru.bidirectional)
    h_0 = rng.normal(size=(cells, N, H) if batched else (cells, H)).astype(np.float32) if with_h_0 else None
    np.save("x.npy", x)
    extra = []
    if with_h_0:
        np.save("h.npy", h_0)
        extra = ["--h0", "h.npy"]
    y, h_n = gru(x, h_0)
    assert_array_equal(computed("x.npy", *extra, piece=piece), y)
    result = computed("x.npy", *extra, output="y.npz", piece=piece)
    assert list(result) == ["y", "h_n"]
    assert_array_equal(result["y"], y)
    assert_array_equal(result["h_n"], h_n)


def test_every_format_of_input(rng, piece):
    gru = saved()
    x = rng.normal(size=(T, INPUTS)).astype(np.float32)
    y, _ = gru(x)
    np.save("x.npy", np.asfortranarray(x))
    np.savez("one.npz", x)
    np.savez_compressed("two.npz", a=x, b=x[:1])
    np.savetxt("x.csv", x, "%.9g", ",")
    np.savetxt("named.csv", x, "%.9g", ",", header="a,b,c", comments="")
    np.save("big_endian.npy", x.astype(">f4"))
    for arguments in (
        ["x.npy"], ["one.npz"], ["two.npz", "--key", "a"], ["x.csv"], ["named.csv"], ["big_endian.npy"]
    ):  # fmt: skip
        assert_array_equal(computed(*arguments, piece=piece), y)
    assert_array_equal(computed("x.csv", output="y.csv", piece=piece).astype(np.float32), y)


def test_options(rng):
    gru = saved(reset_after=False)
    x = rng.normal(size=(N, T, INPUTS)).astype(np.float32)
    np.save("x.npy", x)
    y, _ = gru(x.swapaxes(0, 1))
    assert_array_equal(computed("x.npy", "--batch-first"), y.swapaxes(0, 1))
    y64 = computed("x.npy", "--batch-first", "--dtype", "float64")
    assert y64.dtype == np.float64
    assert_allclose(y64, y.swapaxes(0, 1), rtol=0, atol=2e-6)
    after = cgru.GRU.from_state_dict(gru.state_dict())
    expected = after(x.swapaxes(0, 1))[0].swapaxes(0, 1)
    assert_array_equal(computed("x.npy", "--batch-first", "--reset", "after"), expected)


@pytest.mark.parametrize("shape", [(0, INPUTS), (0, N, INPUTS), (T, 0, INPUTS)])
def test_empty(shape):
    saved()
    np.save("x.npy", np.zeros(shape, np.float32))
    assert computed("x.npy").shape == (*shape[:-1], H)


def test_it_says_how_fast_it_was(rng, capsys):
    saved()
    np.save("x.npy", np.zeros((T, N, INPUTS)))
    computed("x.npy", "--threads", "1")
    out, err = capsys.readouterr()
    assert out.startswith("wrote y.npy: y (23, 5, 7) float32, 115 steps in ") and out.endswith(" steps/s, 1 thread\n")
    assert not err      # no bar where nobody looks


def bad_files():
    np.save("x.npy", np.zeros((T, INPUTS), np.float32))
    np.save("wide.npy", np.zeros((T, 9), np.float32))
    np.save("objects.npy", np.array([None, {}]))
    np.save("complex.npy", np.zeros((T, INPUTS), complex))
    np.savez("two.npz", a=np.zeros(3), b=np.zeros(3))
    np.save("h.npy", np.zeros((2, H), np.float32))
    np.save("none.npy", np.zeros((0, 2**40, INPUTS), np.float32))
    with open("x.npy", "rb") as file:
        data = file.read()
    for name, content in {
        "cut.npy": data[:-5], "short.npy": data[:20], "noise.npy": b"noise", "noise.npz": b"noise", "letters.csv":
        b"1,2,3\n1,b,3\n", "ragged.csv": b"1,2,3\n1,2\n", "binary.csv": b"\xff\xfe\x00", "empty.csv": b"", "x.txt": b"",
        "noise.safetensors": b"noise", "noise.onnx": b"noise", "noise.h5": b"noise", "noise.pt": b"noise",
        "noise.json": b"noise", "noise.keras": b"noise", "model.txt": b"noise",
    }.items():  # fmt: skip
        with open(name, "wb") as file:
            file.write(content)
    os.mkdir("folder.npy")


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["model.safetensors", "missing.npy"], "missing.npy"),
        (["missing.safetensors", "x.npy"], "missing.safetensors"),
        (["model.txt", "x.npy"], "its name ends with none of .safetensors, .npz"),
        (["model.safetensors", "x.txt"], "expected a .npy"),
        (["model.safetensors", "wide.npy"], "wide.npy has shape (23, 9), this model expects (T, I) or (T, N, I) with"),
        (["model.safetensors", "objects.npy"], "expected an array of real numbers"),
        (["model.safetensors", "complex.npy"], "complex128"),
        (["model.safetensors", "cut.npy"], "276 bytes, but holds 271"),
        (["model.safetensors", "short.npy"], "is not a NumPy array"),
        (["model.safetensors", "noise.npy"], "is not a NumPy array"),
        (["model.safetensors", "noise.npz"], "is not a complete .npz"),
        (["model.safetensors", "two.npz"], "holds 2 arrays: a, b; choose one with --key"),
        (["model.safetensors", "two.npz", "--key", "c"], "no array 'c'"),
        (["model.safetensors", "x.npy", "--key", "c"], "--key c is for .npz files"),
        (["model.safetensors", "letters.csv"], "letters.csv, line 2: expected 3 numbers"),
        (["model.safetensors", "ragged.csv"], "ragged.csv, line 2: expected 3 numbers"),
        (["model.safetensors", "binary.csv"], "is not a text file"),
        (["model.safetensors", "none.npy"], "none.npy declares shape (0, 1099511627776, 3): without numbers"),
        (["model.safetensors", "empty.csv"], "empty.csv has shape (0, 0)"),
        (["model.safetensors", "folder.npy"], "not a regular file"),
        (["model.safetensors", "x.npy", "--h0", "h.npy"], "--h0 h.npy has shape (2, 7), expected (1, 7)"),
        (["model.safetensors", "x.npy", "--name", "encoder"], "holds one model"),
        (["model.safetensors", "x.npy", "--engine", "fast"], "--engine"),
        (["model.safetensors"], "INPUT"),
        *((["noise" + suffix, "x.npy"], "noise" + suffix) for suffix in (".safetensors", ".onnx", ".pt", ".json")),
        (["noise.keras", "x.npy"], ""),
        (["noise.h5", "x.npy"], ""),
    ],
    ids=repr,
)  # fmt: skip
def test_errors_are_one_line_and_leave_nothing(capsys, arguments, words):
    reader = {".onnx": "onnx", ".pt": "torch"}.get(os.path.splitext(arguments[0])[1])
    if reader:
        peer(reader)
    saved()
    bad_files()
    before = sorted(os.listdir())
    assert main(["run", *arguments, "-o", "y.npy"]) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith("cgru: error: ") and err.count("\n") == 1
    assert words in err
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize(
    "output, words",
    [
        ("y.txt", "expected a name that ends with .npy, .npz, .csv"),
        ("nowhere/y.npy", "there is no folder nowhere"),
        ("folder.npy", "this is a folder"),
        ("x.npy", "is the same file as INPUT x.npy"),
        ("y.csv", "a .csv file holds one sequence"),
    ],
)
def test_bad_outputs(capsys, output, words):
    saved()
    os.mkdir("folder.npy")
    np.save("x.npy", np.zeros((T, N, INPUTS), np.float32))
    with open("x.npy", "rb") as file:
        data = file.read()
    before = sorted(os.listdir())
    assert main(["run", "model.safetensors", "x.npy", "-o", output]) == 2
    assert words in capsys.readouterr().err
    assert sorted(os.listdir()) == before
    with open("x.npy", "rb") as file:
        assert file.read() == data


def sparse(name, shape):
    """A float32 .npy of zeros that takes no room on the disk."""
    with open(name, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        file.truncate(file.tell() + 4 * int(np.prod(shape)))


RUN = ["run", "model.safetensors", "x.npy", "-o", "y.npy"]
# where the tests are started in the background, Ctrl-C is ignored from the start
HEEDS_CTRL_C = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from cgru.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
# the peak of this very program: ru_maxrss would be that of the process that started it, where it is larger
MEASURED = """
import sys
from cgru.__main__ import main
status = main(sys.argv[1:])
with open("/proc/self/status") as file:
    print(next(int(line.split()[1]) // 1024 for line in file if line.startswith("VmHWM")))
raise SystemExit(status)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize("shape", [(400_000, 256), (3, 140_000, 256)], ids=repr)
def test_memory_is_bounded(shape):
    """400 MB of x in less than 160 MB, the interpreter and NumPy included; rows of 140 MB too."""
    cgru.GRU(256, 4, rng=1, batch_first=len(shape) == 3).save("model.safetensors")
    sparse("x.npy", shape)
    done = subprocess.run([sys.executable, "-P", "-c", MEASURED, *RUN], capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[-1]) < 160
    assert np.load("y.npy", mmap_mode="r").shape == (*shape[:-1], 4)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_leaves_no_file_and_keeps_the_old_one():
    cgru.GRU(256, 4, rng=1).save("model.safetensors")
    sparse("x.npy", (8_000_000, 256))
    with open("y.npy", "w") as file:
        file.write("old")
    before = sorted(os.listdir())
    process = subprocess.Popen([sys.executable, "-P", "-c", HEEDS_CTRL_C, *RUN], stderr=subprocess.PIPE)
    for _ in range(3000):
        if sorted(os.listdir()) != before:      # the temporary file is there
            break
        time.sleep(0.01)
    assert sorted(os.listdir()) != before
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and not err
    assert sorted(os.listdir()) == before
    with open("y.npy") as file:
        assert file.read() == "old"


def test_an_error_half_way_leaves_no_file(capsys):
    saved()
    with open("x.csv", "w") as file:
        file.write("1,2,3\n" * 10 + "1,2,x\n")
    before = sorted(os.listdir())
    assert main(["run", "model.safetensors", "x.csv", "-o", "y.npy"], piece=1) == 2
    assert "x.csv, line 11" in capsys.readouterr().err
    assert sorted(os.listdir()) == before
