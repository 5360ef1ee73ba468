"""A file of a format version that is yet to come: which version it is, which are read, and what to do."""

import json
import struct
from pathlib import Path

import pytest

import cgru
from support.commands import refused

PAGE = Path(__file__).parents[2] / "docs" / "versions.md"
SAID = f"format version 5 is unknown to cgru {cgru.__version__}, which reads versions 1 to 4; update cgru"
# As safetensors calls them, with their bytes: one that everybody has, one that NumPy lacks, and one that is yet to come
TYPES = {"F32": 12, "F8_E4M3": 3, "F4X": 2}


def write(path, tensor_type, configuration):
    """A .safetensors file with one tensor of 3 numbers."""
    size = TYPES[tensor_type]
    tensors = {"weight_ih_l0": {"dtype": tensor_type, "shape": [3], "data_offsets": [0, size]}}
    head = json.dumps({"__metadata__": {"cgru": json.dumps(configuration)}} | tensors).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head + bytes(size))


@pytest.mark.parametrize("tensor_type", TYPES)
@pytest.mark.parametrize("body", [{"config": {}}, {"layers": []}, {"something": "else"}, {}], ids=str)
def test_it_is_refused_in_words(tensor_type, body, folder):
    """Whatever types its numbers have: the version is looked at first."""
    write(Path("model.safetensors"), tensor_type, {"format": 5} | body)
    with pytest.raises(ValueError, match="format version 5") as caught:
        cgru.load("model.safetensors")
    assert str(caught.value) == f"model.safetensors: {SAID}"


COMMANDS = ["info FILE", "run FILE x.npy -o y.npy", "convert FILE o.onnx", "bench --model FILE"]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_say_the_same(command, folder, capsys):
    write(Path("model.safetensors"), "F8_E4M3", {"format": 5, "config": {}})
    assert SAID in refused(capsys, *command.replace("FILE", "model.safetensors").split())


def test_a_version_of_any_size_is_shown_in_short(folder):
    write(Path("model.safetensors"), "F32", {"format": "5" * 10_000})
    with pytest.raises(ValueError, match="is unknown to cgru") as caught:
        cgru.load("model.safetensors")
    assert len(str(caught.value)) < 250


@pytest.mark.skipif(not PAGE.is_file(), reason="docs/ is in the repository only")
def test_the_page_says_what_it_says():
    assert f"model.safetensors: {SAID.replace(cgru.__version__, '0.2.0')}" in PAGE.read_text(encoding="utf-8")
