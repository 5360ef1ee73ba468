"""``cgru run --lengths`` and ``--threads``."""

import os

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import cgru
from cgru.__main__ import main

pytestmark = pytest.mark.usefixtures("folder")

T, N, H, INPUTS = 23, 5, 7, 3
LENGTHS = np.array([4, 0, 23, 11, 1])
KINDS = [
    {}, {"num_layers": 2, "batch_first": True}, {"bidirectional": True}, {"bidirectional": True, "batch_first": True},
    {"go_backwards": True},
]  # fmt: skip


@pytest.mark.parametrize("options", KINDS, ids=repr)
@pytest.mark.parametrize("piece", [1, 1 << 10, 16 << 20])
@pytest.mark.parametrize("threads", ["1", "3", "-1", None])
def test_lengths_and_threads_change_no_bit(rng, options, piece, threads):
    gru = cgru.GRU(INPUTS, H, rng=1, **options)
    gru.save("m.safetensors")
    x = rng.normal(size=((N, T) if gru.batch_first else (T, N)) + (INPUTS,)).astype(np.float32)
    h_0 = rng.normal(size=(gru.num_layers * (1 + gru.bidirectional), N, H)).astype(np.float32)
    np.save("x.npy", x)
    np.save("h.npy", h_0)
    np.save("lengths.npy", LENGTHS)
    extra = [] if threads is None else ["--threads", threads]
    for lengths in (None, LENGTHS):
        more = extra if lengths is None else [*extra, "--lengths", "lengths.npy"]
        assert main(["run", "m.safetensors", "x.npy", "--h0", "h.npy", *more, "-o", "y.npz"], piece=piece) == 0
        y, h_n = gru(x, h_0, lengths=lengths)
        assert_array_equal(np.load("y.npz")["y"], y)
        assert_array_equal(np.load("y.npz")["h_n"], h_n)


def test_every_format_of_lengths(rng):
    gru = cgru.GRU(INPUTS, H, rng=1)
    gru.save("m.safetensors")
    x = rng.normal(size=(T, N, INPUTS)).astype(np.float32)
    np.save("x.npy", x)
    np.save("l.npy", LENGTHS.astype(np.uint8))
    np.savez("l.npz", LENGTHS)
    texts = {"line.csv": "4,0,23,11,1\n", "column.csv": "steps\n4\n0\n23\n11\n1\n", "l.txt": "4 0\n23\n11 1\n"}
    for name, text in texts.items():
        with open(name, "w") as file:
            file.write(text)
    for name in ("l.npy", "l.npz", "line.csv", "column.csv", "l.txt"):
        assert main(["run", "m.safetensors", "x.npy", "--lengths", name, "-o", "y.npy"]) == 0
        assert_array_equal(np.load("y.npy"), gru(x, lengths=LENGTHS)[0])


@pytest.mark.parametrize("content, words", [
    ("4 0 23 11", "lengths has shape (4,), expected (5,)"),
    ("4 0 24 11 1", "lengths[2] is 24, expected 0 to 23"),
    ("4 0 23 -1 1", "lengths[3] is -1"),
    ("4 0 23 99999999999999999999 1", "too large"),
    ("4 0 23 1.5 1", "invalid literal"),
    ("", "lengths has shape (0,)"),
])  # fmt: skip
def test_bad_lengths(content, words, capsys):
    cgru.GRU(INPUTS, H, rng=1).save("m.safetensors")
    np.save("x.npy", np.zeros((T, N, INPUTS), np.float32))
    with open("l.txt", "w") as file:
        file.write(content)
    before = sorted(os.listdir())
    assert main(["run", "m.safetensors", "x.npy", "--lengths", "l.txt", "-o", "y.npy"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("cgru: error: --lengths l.txt: ") and words in err and err.count("\n") == 1
    assert sorted(os.listdir()) == before


def test_lengths_that_are_no_integers_or_of_one_row(capsys):
    cgru.GRU(INPUTS, H, rng=1).save("m.safetensors")
    np.save("x.npy", np.zeros((T, N, INPUTS), np.float32))
    np.save("one.npy", np.zeros((T, INPUTS), np.float32))
    np.save("l.npy", LENGTHS + 0.5)
    np.save("many.npy", np.zeros((N, 2), int))
    for x, lengths, words in [
        ("x.npy", "l.npy", "lengths must be integers from 0 to 23; got dtype float64"),
        ("x.npy", "many.npy", "it has shape (5, 2), expected 5 integers"),
        ("one.npy", "l.npy", "--lengths is for an input of several rows; this one has shape (23, 3)"),
        ("x.npy", "missing.npy", "missing.npy"),
    ]:
        assert main(["run", "m.safetensors", x, "--lengths", lengths, "-o", "y.npy"]) == 2
        assert words in capsys.readouterr().err


def test_it_says_how_many_threads(capsys):
    cgru.GRU(INPUTS, H, rng=1).save("m.safetensors")
    np.save("x.npy", np.zeros((T, N, INPUTS), np.float32))
    assert main(["run", "m.safetensors", "x.npy", "--threads", "3", "-o", "y.npy"]) == 0
    assert capsys.readouterr().out.endswith(" steps/s, 3 threads\n")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert main(["run", "m.safetensors", "x.npy", "-o", "y.npy"]) == 0
    assert f" steps/s, {cores} thread" in capsys.readouterr().out
    for bad in ("0", "-2", "many"):
        assert main(["run", "m.safetensors", "x.npy", "--threads", bad, "-o", "y.npy"]) == 2
        assert "number of threads" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    assert "default -1, all cores" in " ".join(capsys.readouterr().out.split())
