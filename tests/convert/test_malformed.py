"""Broken and hostile files: a ValueError or OSError with the reason; no crash, no hang, no memory, no code run."""

import io
import json
import os
import pickle
import re
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cgru
from cgru.convert.keras_chain import chain_from_keras
from cgru.convert.keras_files import read_layers
from support.models import random_state
from support.onnx_models import single_node
from support.peers import peer

DOORS = {
    "safetensors": cgru.from_torch,
    "npz": cgru.from_mlx,
    "json": cgru.from_rtneural,
    "state.json": cgru.from_rtneural,
    "onnx": cgru.from_onnx,
    "lstm.onnx": cgru.from_onnx,
    "pt": cgru.from_torch,
    "legacy.pt": cgru.from_torch,
    "keras": cgru.from_keras,
    "h5": cgru.from_keras,
}
EXAMPLES = {"keras": 8, "h5": 8, "pt": 60, "legacy.pt": 60}      # a process each for Keras's

pytestmark = pytest.mark.filterwarnings("ignore")      # infinities among the weights, and the frameworks' own


def whole_file(kind, folder):
    """The bytes of a good file."""
    rng = np.random.default_rng(3)
    cell = "lstm" if kind in ("lstm.onnx", "state.json") else "gru"
    state = {name: array.astype(np.float32) for name, array in random_state(rng, 3, 4, kind=cell).items()}
    path = folder / f"good.{kind}"
    if kind == "safetensors":
        peer("safetensors.numpy").save_file(state, path)
    elif kind == "npz":
        np.savez(path, Wx=state["weight_ih_l0"], Wh=state["weight_hh_l0"], b=state["bias_ih_l0"])
    elif kind == "state.json":
        path.write_text(json.dumps({"lstm": {name: array.tolist() for name, array in state.items()}}))
    elif kind == "lstm.onnx":
        options = {"activations": ["Sigmoid", "Elu", "Elu"], "activation_alpha": [0.5, 0.25], "P": np.zeros((1, 12))}
        options |= {"initial_h": np.ones((1, 2, 4)), "initial_c": np.ones((1, 2, 4)), "kind": "lstm", "clip": 3.0}
        path.write_bytes(single_node(peer("onnx"), state, constants="nodes", **options).SerializeToString())
    elif kind == "json":
        weights = [rng.normal(size=shape).tolist() for shape in ((3, 12), (4, 12), (2, 12))]
        path.write_text(json.dumps({"layers": [{"type": "gru", "weights": weights}]}))
    elif kind == "onnx":
        options = {"activations": ["Sigmoid", "Elu"], "activation_alpha": [0.5], "initial_h": np.ones((1, 2, 4))}
        path.write_bytes(single_node(peer("onnx"), state, constants="nodes", clip=3.0, **options).SerializeToString())
    elif kind.endswith("pt"):
        torch = peer("torch")
        tensors = {name: torch.from_numpy(array) for name, array in state.items()}
        torch.save(tensors, path, _use_new_zipfile_serialization=kind == "pt")
    else:
        peer("h5py")
        keras = peer("keras")
        keras.Sequential([keras.Input((None, 3)), keras.layers.GRU(4)]).save(path)
    return path.read_bytes()


def mutations(size):
    """Lists of changes: cut off, overwrite, delete, insert."""
    place = st.integers(0, size - 1)
    word = st.sampled_from([b"\xff" * 8, bytes(8), b"\x7f" + b"\xff" * 7]) | st.binary(min_size=1, max_size=8)
    change = (
        st.tuples(st.just("write"), place, word)
        | st.tuples(st.just("insert"), place, word)
        | st.tuples(st.just("delete"), place, st.integers(1, 16))
        | st.tuples(st.just("cut"), place, st.none())
    )
    return st.lists(change, min_size=1, max_size=12)


def mutated(data, changes):
    """`data` with the changes made, one after the other."""
    data = bytearray(data)
    for kind, place, what in changes:
        if kind == "write":
            data[place : place + len(what)] = what
        elif kind == "insert":
            data[place:place] = what
        elif kind == "delete":
            del data[place : place + what]
        else:
            del data[place:]
    return bytes(data)


@pytest.mark.parametrize("kind", DOORS)
def test_a_changed_file_is_read_or_refused(kind, tmp_path):
    good = whole_file(kind, tmp_path)
    path = tmp_path / f"bad.{kind}"
    path.write_bytes(good)
    assert DOORS[kind](path).hidden_size == 4

    @settings(max_examples=EXAMPLES.get(kind, 300), suppress_health_check=list(HealthCheck))
    @given(mutations(len(good)))
    def read(changes):
        path.write_bytes(mutated(good, changes))
        try:
            DOORS[kind](path)
        except (ValueError, OSError) as error:
            assert str(error)

    read()


@pytest.mark.parametrize("kind", ["keras", "h5"])
def test_a_changed_file_of_a_network_is_read_or_refused(kind, tmp_path):
    peer("h5py")
    keras = peer("keras")
    layers = [keras.layers.GRU(4), keras.layers.BatchNormalization(), keras.layers.Dense(2)]
    path = tmp_path / f"chain.{kind}"
    keras.Sequential([keras.Input((None, 3)), *layers]).save(path)
    good = path.read_bytes()
    assert chain_from_keras(path).output_size == 2

    @settings(max_examples=EXAMPLES[kind], suppress_health_check=list(HealthCheck))
    @given(mutations(len(good)))
    def read(changes):
        path.write_bytes(mutated(good, changes))
        try:
            chain_from_keras(path)
        except (ValueError, OSError) as error:
            assert str(path) in str(error)

    read()
    for content in (b"", b"hello", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", os.urandom(999)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=re.escape(str(path))):
            chain_from_keras(path)
    with pytest.raises(FileNotFoundError):
        chain_from_keras(tmp_path / "missing.keras")


@pytest.mark.parametrize("kind", DOORS)
def test_a_file_that_is_something_else(kind, tmp_path):
    if kind.endswith("pt"):
        peer("torch")
    if kind in ("keras", "h5"):
        peer("h5py")
    if kind.endswith("onnx"):
        peer("onnx")
    path = tmp_path / f"model.{kind}"
    hdf5 = b"\x89HDF\r\n\x1a\n"
    for content in (b"", b"\0", b"hello", b"PK\x03\x04", hdf5, b"{}", b"[" * 100_000, os.urandom(999)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=re.escape(str(path))):
            DOORS[kind](path)
    with pytest.raises(OSError):
        DOORS[kind](tmp_path)
    with pytest.raises(FileNotFoundError):
        DOORS[kind](tmp_path / f"missing.{kind}")


# ---- one by one


def test_hdf5_that_hangs_the_library(tmp_path):
    """A size of -16 in the global heap sends the HDF5 library (1.14) round for ever; it is refused within 5 s.

    They are counted from where the child is ready: on a busy machine Python itself may take long to start.
    """
    data = bytearray(whole_file("h5", tmp_path))
    heap = data.find(b"GCOL")
    data[heap + 24 : heap + 32] = (2**64 - 16).to_bytes(8, "little")
    path = tmp_path / "bad.h5"
    path.write_bytes(data)
    begin = time.perf_counter()
    with pytest.raises(ValueError, match=r"bad\.h5 is damaged: reading it took more than 4(\.\d+)? s"):
        cgru.from_keras(path)
    slow = time.perf_counter() - begin
    begin = time.perf_counter()
    with pytest.raises(ValueError, match=r"bad\.h5 is damaged: reading it took more than 0\.25 s"):
        read_layers(str(path), seconds=0.25)
    start_of_python = time.perf_counter() - begin - 0.25
    assert slow - start_of_python < 5


class Exploit:
    """Runs when it is unpickled, if anybody does that."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_code_in_pickles_is_not_run(tmp_path):
    mark = tmp_path / "mark"
    attack = pickle.dumps({"weight_ih_l0": Exploit(mark)})
    np.savez(tmp_path / "model.npz", Wx=np.array([Exploit(mark)]), Wh=np.zeros((12, 4)))
    (tmp_path / "plain.pt").write_bytes(attack)
    with zipfile.ZipFile(tmp_path / "zip.pt", "w") as archive:
        archive.writestr("archive/data.pkl", attack)
        archive.writestr("archive/version", "3")
    with pytest.raises(ValueError, match="no GRU"):
        cgru.from_mlx(tmp_path / "model.npz")
    peer("torch")
    for name in ("plain.pt", "zip.pt"):
        with pytest.raises(ValueError, match="without running code"):
            cgru.from_torch(tmp_path / name)
    assert not mark.exists()


def test_sizes_that_are_no_sizes(tmp_path):
    onnx = peer("onnx")
    good = single_node(onnx, random_state(np.random.default_rng(3), 3, 4))
    for dims in ([1, -12, 3], [1, 2**62, 2**62], [1, 12, 2**40], [], [36]):
        model = onnx.ModelProto.FromString(good.SerializeToString())
        model.graph.initializer[0].ClearField("dims")
        model.graph.initializer[0].dims.extend(dims)
        with pytest.raises(ValueError, match="W"):
            cgru.from_onnx(model)
    for number in ("NaN", "-1e999", "1e999", '"x"', "null"):
        text = '{"layers": [{"type": "gru", "weights": [[[0, 0, X]], [[0, 0, 0]], [[0, 0, 0], [0, 0, 0]]]}]}'
        (tmp_path / "model.json").write_text(text.replace("X", number))
        if number in ('"x"', "null"):
            with pytest.raises(ValueError, match=r"kernel|number"):
                cgru.from_rtneural(tmp_path / "model.json")
        else:      # infinite weights are accepted, with a warning
            assert cgru.from_rtneural(tmp_path / "model.json").hidden_size == 1


@pytest.mark.parametrize("attributes", [
    {"clip": -1.0}, {"clip": float("nan")}, {"clip": 1}, {"direction": "sideways"}, {"layout": 2}, {"layout": "0"},
    {"activations": ["Sigmoid"]}, {"activations": ["Sigmoid", "Gelu"]}, {"activations": [1, 2]},
    {"activations": ["Sigmoid", "Elu"], "activation_alpha": [float("nan")]}, {"linear_before_reset": 1.0},
], ids=str)  # fmt: skip
def test_attributes_that_make_no_sense(attributes):
    with pytest.raises(ValueError, match=rf"{next(iter(attributes))}|activation"):
        cgru.from_onnx(single_node(peer("onnx"), random_state(np.random.default_rng(3), 3, 4), **attributes))


def onnx_with(nodes, **tensors):
    """A model whose GRU gets its W from some nodes."""
    onnx = peer("onnx")
    model = single_node(onnx, random_state(np.random.default_rng(3), 3, 4))
    nodes = [onnx.helper.make_node(kind, list(given), list(made), **options) for kind, given, made, options in nodes]
    del model.graph.initializer[0]
    tensors = [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in tensors.items()]
    model.graph.initializer.extend(tensors)
    model.graph.node.extend(nodes)
    return model


def test_graphs_that_go_in_circles_or_nowhere(tmp_path):
    doubling = [("Concat", [f"w{i}" if i else "seed"] * 2, [f"w{i + 1}"], {"axis": 0}) for i in range(60)]
    cases = {
        "not a constant": onnx_with([]),
        "depends on itself": onnx_with([("Identity", ["W"], ["W"], {})]),
        "depends on itself ": onnx_with([("Identity", ["a"], ["W"], {}), ("Identity", ["W"], ["a"], {})]),
        "comes from a Add": onnx_with([("Add", ["R", "R"], ["W"], {})]),
        "too large": onnx_with([*doubling, ("Identity", ["w40"], ["W"], {})], seed=np.ones(99, "f")),
        "too large ": onnx_with([("Expand", ["s", "n"], ["W"], {})], s=np.ones((1, 1, 1), "f"), n=[1, 12, 1 << 40]),
        "cannot be evaluated": onnx_with([("Transpose", ["R"], ["W"], {"perm": [0, 1, 7]})]),
    }
    for reason, model in cases.items():
        (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(ValueError, match=reason.strip()):
            cgru.from_onnx(tmp_path / "model.onnx")


def test_gru_nodes_that_feed_each_other_in_a_circle():
    onnx = peer("onnx")
    model = single_node(onnx, random_state(np.random.default_rng(3), 4, 4))
    first = model.graph.node[0]
    first.input[0] = "back"
    model.graph.node.append(onnx.helper.make_node("Squeeze", ["Y"], ["back"], axes=[1]))
    assert cgru.from_onnx(model, "gru").hidden_size == 4      # its weights are there
    with pytest.raises(ValueError, match=r"inputs|no input"):
        first.input[1] = ""
        cgru.from_onnx(model)


BOMBS = """
import resource, sys, warnings
import cgru
warnings.simplefilter("ignore")
doors = {"onnx": cgru.from_onnx, "npz": cgru.from_mlx, "keras": cgru.from_keras, "safetensors": cgru.from_torch,
         "pt": cgru.from_torch}
for path in sys.argv[1:]:
    try:
        doors[path.rpartition(".")[2]](path)
    except (ValueError, OSError) as error:
        print(path, error)
    else:
        raise SystemExit(f"{path} was read")
with open("/proc/self/status") as file:      # ru_maxrss of this process would count its parent's memory before exec
    own = int(file.read().partition("VmHWM:")[2].split()[0])
usage = own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(usage, "KiB")
assert max(usage) < 1 << 20, "more than 1 GiB"
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the memory is asked of /proc")
def test_bombs_take_no_memory(tmp_path):
    peer("h5py")
    torch, onnx = peer("torch"), peer("onnx")
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 31, 3)})
    with zipfile.ZipFile(tmp_path / "declared.npz", "w") as archive:
        archive.writestr("Wx.npy", header.getvalue())
    for name in ("model.npz", "model.pt", "model.keras"):
        inner = "Wx.npy" if "npz" in name else "config.json"
        with (
            zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            archive.open(inner, "w", force_zip64=True) as member,
        ):
            for _ in range(1100):
                member.write(bytes(1 << 20))
    expanded = {f"weight_{kind}_l0": torch.zeros(1).expand(3 << 20, 1 << 20) for kind in ("ih", "hh")}
    torch.save(expanded, tmp_path / "expanded.pt")
    (tmp_path / "long.safetensors").write_bytes((1 << 40).to_bytes(8, "little") + b"{}")
    model = single_node(onnx, random_state(np.random.default_rng(3), 3, 4))
    model.graph.initializer[0].ClearField("dims")
    model.graph.initializer[0].dims.extend([1, 3 << 20, 1 << 20])
    (tmp_path / "dims.onnx").write_bytes(model.SerializeToString())
    ones = onnx_with([("Expand", ["s", "n"], ["W"], {})], s=np.ones((1, 1, 1), "f"), n=[1, 12, 1 << 30])
    (tmp_path / "expand.onnx").write_bytes(ones.SerializeToString())
    paths = sorted(str(path) for path in tmp_path.iterdir())
    assert len(paths) == 8
    done = subprocess.run([sys.executable, "-P", "-c", BOMBS, *paths], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
