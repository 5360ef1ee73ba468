"""``cgru bench`` on any model file, and its single steps timed one by one."""

import os
import re

import numpy as np
import pytest

import cgru
from cgru.__main__ import main
from cgru.commands import _latency
from support.peers import peer

pytestmark = pytest.mark.usefixtures("folder")


def save(name, kind):
    """A model of this kind in a file of this kind."""
    if name.endswith(".pt"):
        torch = peer("torch")
        torch.save(getattr(torch.nn, kind)(3, 5, 2).state_dict(), name)
    elif name.endswith(".onnx"):
        peer("onnx")
        cgru.GRU(3, 5, 2, rng=1).to_onnx(name)
    else:
        getattr(cgru, kind)(3, 5, 2, rng=1).save(name)


@pytest.mark.parametrize("name, kind", [
    ("m.pt", "GRU"), ("m.pt", "LSTM"), ("m.onnx", "GRU"), ("m.safetensors", "GRU"), ("m.safetensors", "RNN"),
])  # fmt: skip
def test_bench_of_any_file(name, kind, capsys):
    save(name, kind)
    assert main(["bench", "--model", name, "--seconds", "0.01", "--steps", "4"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{kind}(3, 5, num_layers=2") and "\nstep: median " in out and not err
    assert main(["bench", "--model", name, "--seconds", "0.01", "--latency"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{kind}(3, 5, num_layers=2") and not err
    found = re.search(r"single steps, ([\d,]+) timed one by one: p50 .+, p99 .+, p99.9 .+, max ", out)
    assert found is not None and int(found[1].replace(",", "")) >= 100
    assert "limit, estimated: " in out and "times the limit" in out


def test_a_damaged_file_is_told_as_one_of_its_kind(capsys):
    peer("torch")
    with open("m.pt", "wb") as file:
        file.write(b"noise")
    assert main(["bench", "--model", "m.pt"]) == 2
    err = capsys.readouterr().err
    assert "safetensors" not in err and err.count("\n") == 1


def test_the_picture():
    pytest.importorskip("matplotlib")
    assert main(["bench", "--latency", "--seconds", "0.01", "--batch-size", "2", "--plot", "p.png"]) == 0
    with open("p.png", "rb") as file:
        assert file.read(4) == b"\x89PNG"
    assert os.listdir() == ["p.png"]


def test_what_it_refuses(capsys):
    cgru.GRU(3, 5, bidirectional=True).save("m.safetensors")
    assert main(["bench", "--model", "m.safetensors", "--latency"]) == 2
    assert "a model that runs backwards has none" in capsys.readouterr().err
    assert main(["bench", "--plot", "p.png"]) == 2
    assert "add --latency" in capsys.readouterr().err


def test_percentiles_and_what_speaks_against_them():
    times = np.arange(1, 10_001)
    quiet = _latency.Latency(np.full(10_000, 100), times, 0, 0.0)
    assert not list(quiet.noise())
    loud = _latency.Latency(times, times, 7, 1000.0)
    assert loud.percentiles() == {"p50": 5001, "p99": 9901, "p99.9": 9991, "max": 10_000}
    load, waited, spread = loud.noise()
    assert "load was 1000.0" in load and "7 times" in waited and "differ by" in spread
    bound = _latency.Limit(1000, 10.0, 500, 50.0)
    assert bound.ns == 100 and "limit, estimated: 100 ns" in str(bound)
    text = "\n".join(_latency.lines(loud, bound))
    assert "NOT A QUIET MACHINE" in text and "p50 is 50.01 times the limit" in text
    assert "NOT A QUIET MACHINE" not in "\n".join(_latency.lines(quiet, bound))


def test_a_window_is_timed_with_what_it_leaves_to_settle(capsys):
    save("m.safetensors", "LSTM")
    assert main(["bench", "--model", "m.safetensors", "--seconds", "0.01", "--latency", "--window", "7"]) == 0
    out, err = capsys.readouterr()
    assert "window of 7 steps\n" in out and not err
    assert re.search(r"\nsettling after each: median [\d.]+ [a-z]+; with it [\d,]+ windows/s one after", out)
    for refused in (["--window", "7"], ["--window", "7", "--latency", "--batch-size", "2"]):
        assert main(["bench", *refused]) == 2
        assert "--window is what --latency measures, of one row" in capsys.readouterr().err
