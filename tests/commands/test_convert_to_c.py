"""``cgru convert MODEL NAME.c``."""

import os
import subprocess

import numpy as np
import pytest

import cgru
from support.commands import printed, refused
from support.tools import tool

pytestmark = pytest.mark.usefixtures("folder")


def test_convert_to_c(capsys):
    gru = cgru.GRU(3, 5, num_layers=2, rng=1)
    gru.save("m.safetensors")
    text = printed(capsys, "convert", "m.safetensors", "amp.c")
    for name in ("amp.c", "amp.h", "amp_test.c"):
        assert f"wrote {name}, {os.path.getsize(name):,} bytes" in text
    with open("amp.c") as file:
        written = file.read()
    cgru.load("m.safetensors").to_c("amp.c")
    with open("amp.c") as file:
        assert file.read() == written
    assert os.system(f"{tool('gcc')} -std=c99 amp.c amp_test.c -o test && ./test > out.txt") == 0


def test_a_network_with_quantised_weights_and_a_name(capsys):
    network = cgru.Sequential([cgru.GRU(3, 20, rng=0).quantize("int8"), cgru.Linear(20, 2, rng=1)])
    network.save("m.safetensors")
    text = printed(capsys, "convert", "m.safetensors", "my-amp.c", "--c-name", "amp")
    assert "wrote my-amp.c, " in text and "wrote amp.h, " in text and "wrote amp_test.c, " in text
    assert sorted(os.listdir()) == ["amp.h", "amp_test.c", "m.safetensors", "my-amp.c"]
    with open("my-amp.c") as file:
        assert "signed char" in file.read()
    subprocess.run([tool("gcc"), "-std=c99", "my-amp.c", "amp_test.c", "-o", "test"], check=True)
    assert subprocess.run(["./test"], stdout=subprocess.DEVNULL).returncode == 0


def test_one_layer_of_a_state_dict(capsys):
    """--name is what is read, --c-name what is written."""
    gru = cgru.GRU(3, 5, rng=1)
    np.savez("state.npz", **{f"b.{key}": value for key, value in gru.state_dict().items()})
    printed(capsys, "convert", "state.npz", "amp.c", "--name", "b.", "--c-name", "other")
    with open("amp.c") as file:
        assert "void other_step(" in file.read()


def test_what_is_refused(capsys):
    gru = cgru.GRU(3, 5, rng=1)
    gru.save("m.safetensors")
    assert "--c-name NAME" in refused(capsys, "convert", "m.safetensors", "my-amp.c")
    assert "'2nd'" in refused(capsys, "convert", "m.safetensors", "amp.c", "--c-name", "2nd")
    assert "there is no folder nowhere" in refused(capsys, "convert", "m.safetensors", "nowhere/amp.c")
    assert "--c-name" in refused(capsys, "convert", "m.safetensors", "amp.onnx", "--c-name", "amp")
    assert "--lengths" in refused(capsys, "convert", "m.safetensors", "amp.c", "--lengths")
    cgru.GRU(3, 5, dtype=np.float64).save("wide.safetensors")
    assert "--dtype float32" in refused(capsys, "convert", "wide.safetensors", "amp.c")
    printed(capsys, "convert", "wide.safetensors", "amp.c", "--dtype", "float32")
    cgru.GRU(3, 5, bidirectional=True).save("both.safetensors")
    assert "bidirectional" in refused(capsys, "convert", "both.safetensors", "other.c")
