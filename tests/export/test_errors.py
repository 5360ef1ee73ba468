"""What cannot be written as C is refused by name, before anything is written."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import cgru
from cgru.export import write_c
from cgru.weights import Weights
from support.c_programs import C99, build, compiled, expected, export, same_bits
from support.export_models import recurrent
from support.tools import tool

pytestmark = pytest.mark.usefixtures("folder")


def refused(error, network, path="demo.c", **options):
    """The message of an error that leaves the folder as it was."""
    before = sorted(os.listdir())
    with pytest.raises(error) as found:
        write_c(network, path, **options)
    assert sorted(os.listdir()) == before
    return str(found.value)


@pytest.mark.parametrize("kind", ["gru", "lstm", "rnn"])
@pytest.mark.parametrize(
    ("options", "word"),
    [({"bidirectional": True}, "bidirectional"), ({"reverse": True}, "reversed"), ({"go_backwards": True}, "reversed"),
     ({"bidirectional": True, "merge_mode": "sum"}, "bidirectional"),
     ({"bidirectional": True, "num_layers": 2}, "bidirectional")], ids=str,
)  # fmt: skip
def test_what_runs_backwards_is_refused_by_name(kind, options, word):
    network = recurrent(kind, 3, 5, **options)
    message = refused(ValueError, network)
    assert word in message and "C" in message
    inside = cgru.Sequential([cgru.Linear(4, 3), network])
    message = refused(ValueError, inside)
    assert word in message and "1" in message


@pytest.mark.parametrize("kind", ["gru", "lstm", "rnn"])
def test_float64_says_how_to_get_float32(kind):
    network = getattr(cgru, kind.upper())(3, 5, dtype=np.float64, rng=0)
    message = refused(ValueError, network)
    assert "float32" in message and "float64" in message and "astype" in message
    write_c(network.astype("float32"), "demo.c")
    assert sorted(os.listdir()) == ["demo.c", "demo.h", "demo_test.c"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_c_cannot_spell(value):
    network = recurrent("gru", 3, 5)
    tensors = {name: np.array(array) for name, array in network.state_dict().items()}
    tensors["bias_hh_l0"][4] = value
    with pytest.warns(RuntimeWarning, match="bias_hh_l0"):
        broken = cgru.GRU.from_weights(Weights(network.config, tensors, np.float32), "packed")
    assert "bias_hh_l0" in refused(ValueError, broken)


@pytest.mark.parametrize(
    "name", ["", "2nd", "my-amp", "my amp", "ampère", "a.b", "_hidden", "-", "a\n", "../up", "a/b"]
)
def test_names_that_are_none_in_c(name):
    message = refused(ValueError, recurrent("gru", 3, 5), name=name)
    assert "name must be a C identifier" in message and repr(name) in message


def test_the_name_of_the_file_is_the_name_and_must_be_one():
    message = refused(ValueError, recurrent("gru", 3, 5), "my-amp.c")
    assert "my-amp" in message and "name=" in message
    write_c(recurrent("gru", 3, 5), "my-amp.c", name="amp")
    assert sorted(os.listdir()) == ["amp.h", "amp_test.c", "my-amp.c"]
    compiled([tool("gcc"), *C99, "my-amp.c", "amp_test.c"], "program")
    assert subprocess.run(["./program"], stdout=subprocess.DEVNULL).returncode == 0


@pytest.mark.parametrize("name", [3, b"amp", ["amp"]])
def test_names_that_are_no_text(name):
    assert "name must be a string" in refused(TypeError, recurrent("gru", 3, 5), name=name)


@pytest.mark.parametrize("path", ["demo", "demo.h", "demo.cpp", "demo.c.txt", ".c", ""])
def test_paths_that_are_no_c_file(path):
    assert "path" in refused(ValueError, recurrent("gru", 3, 5), path)


def test_the_test_and_the_code_are_two_files():
    """amp_test.c is the test of amp."""
    assert "amp_test.c" in refused(ValueError, recurrent("gru", 3, 5), "amp_test.c", name="amp")


def test_paths_that_cannot_be_written():
    network = recurrent("gru", 3, 5)
    assert "nowhere" in refused(FileNotFoundError, network, "nowhere/demo.c")
    os.mkdir("demo.c")
    refused(OSError, network)


@pytest.mark.parametrize("in_the_way", ["demo.h", "demo_test.c", "demo.c"])
def test_all_files_or_none(in_the_way):
    """Where one cannot be written, the others stay what they were."""
    os.mkdir(in_the_way)
    for name in {"demo.h", "demo_test.c", "demo.c"} - {in_the_way}:
        with open(name, "w") as file:
            file.write("before")
    assert in_the_way in refused(OSError, recurrent("gru", 3, 5))
    for name in {"demo.h", "demo_test.c", "demo.c"} - {in_the_way}:
        with open(name) as file:
            assert file.read() == "before"


def test_what_is_there_is_replaced():
    for H in (5, 6):
        write_c(recurrent("gru", 3, H), "demo.c")
    with open("demo.h") as file:
        assert "#define DEMO_OUTPUT_SIZE 6\n" in file.read()
    assert sorted(os.listdir()) == ["demo.c", "demo.h", "demo_test.c"]


@pytest.mark.parametrize("network", [
    cgru.GRU(3, 5, rng=0), cgru.LSTM(3, 5, rng=0), cgru.RNN(3, 5, rng=0), cgru.Linear(3, 5, rng=0),
    cgru.Sequential([cgru.GRU(3, 5, rng=0), cgru.Linear(5, 2, rng=1)]), cgru.GRU(3, 5, rng=0).quantize("int8"),
], ids=repr)  # fmt: skip
def test_every_model_has_to_c(network, folder):
    network.to_c("one.c")
    network.to_c(folder / "other.c", name="one")
    with open("one.c") as one, open("other.c") as other:
        assert one.read() == other.read()
    os.remove("other.c")
    assert sorted(os.listdir()) == ["one.c", "one.h", "one_test.c"]


@pytest.mark.parametrize(
    "name", ["int", "class", "for", "main", "I", "k", "h0", "cgru", "my_cgru_net", "CamelCase", "x" * 63]
)
def test_names_with_a_meaning_of_their_own(name, folder, tmp_path):
    """Every name gets something behind it, so that keywords serve, and so do the names that the text itself uses."""
    network = recurrent("gru", 3, 5)
    x = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    model = export(network, tmp_path, name)
    program = build([model], tmp_path / "program", compiler=(tool("gcc"),), flags=(*C99, "-mfma"))
    assert same_bits(program.run(name, x), expected(network, x))


@pytest.mark.parametrize("engine", ["blas", "packed"])
def test_the_engine_does_not_matter(engine, tmp_path):
    network = cgru.GRU(3, 5, rng=0, engine=engine)
    write_c(network, tmp_path / "demo.c")
    other = cgru.GRU(3, 5, rng=0, engine="packed")
    write_c(other, tmp_path / "other.c", name="demo")
    arrays = [(tmp_path / name).read_text().partition("---- the model")[2] for name in ("demo.c", "other.c")]
    assert arrays[0] == arrays[1] and len(arrays[0]) > 1000


@pytest.mark.parametrize("network", [3, "gru.safetensors", np.zeros(3)], ids=str)
def test_what_is_no_model(network):
    message = refused(TypeError, network)
    assert "GRU, LSTM, RNN, Linear or Sequential" in message and type(network).__name__ in message


def test_a_name_that_is_another_models_test():
    write_c(recurrent("gru", 3, 5), "amp.c")
    assert "the test of amp.c" in refused(ValueError, recurrent("gru", 3, 5), "amp_test.c")


def test_numbers_beyond_float32():
    """A clip that clips nothing is left out; other numbers are refused."""
    clipped, free = (recurrent("gru", 3, 5, clip=clip) for clip in (1e39, None))
    for network in (clipped, free):
        write_c(network, "demo.c")
    assert "1e+39" in refused(ValueError, recurrent("rnn", 3, 5, activations=("linear", 1e39, 0.0)))
    write_c(clipped, "other.c", name="demo")
    code = [Path(name).read_text().partition("*/")[2] for name in ("demo.c", "other.c")]
    assert code[0] == code[1]
