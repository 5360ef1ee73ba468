"""Writes the good files of the corpus: ``python -m fuzz.make_corpus`` in tests/, with all peers installed.

What fuzzing found is kept beside them by hand, as ``found_...``. More of cgru's own files are those of golden/models.
"""

import io
import json
import tempfile
from pathlib import Path

import numpy as np

import cgru
from fuzz.formats import CORPUS, DATA
from support import rtneural_models
from support.models import random_state
from support.onnx_models import single_node
from support.onnx_networks import Net
from support.peers import peer

I, H, O = 3, 4, 2  # noqa: E741
RNG = np.random.default_rng(20140603)


def draw(*shape):
    """Random numbers."""
    return RNG.normal(size=shape).astype(np.float32)


def put(name, data):
    """Keep a file."""
    path = CORPUS / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())


def written(suffix, write):
    """The bytes of a file that `write` makes at a path."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{suffix}"
        write(path)
        return path.read_bytes()


def own():
    """Networks, a Linear; the rest is golden."""
    gru = cgru.GRU(I, H, rng=1)
    nets = {
        "network": cgru.Sequential([gru, cgru.Linear(H, O, rng=2)], last=True),
        "network_skip": cgru.Sequential(
            [cgru.LSTM(I, H, rng=3), cgru.Linear(H, I, activation="tanh", rng=4)], skip=True
        ),
        "network_int8": cgru.Sequential([gru, cgru.RNN(H, H, rng=5)]).quantize("int8"),
        "linear": cgru.Linear(I, O, rng=6, dtype=np.float64),
    }
    for name, net in nets.items():
        put(f"cgru/{name}.safetensors", written(".safetensors", net.save))


def trees():
    """Name -> arrays, as each system names them."""
    torch_names = random_state(RNG, I, H, num_layers=2)
    gates = {
        f"{side}{gate}": {"kernel": draw(I if side == "i" else H, H), "bias": draw(H)}
        for side in "ih"
        for gate in "rzn"
    }
    linen = {
        f"params/GRUCell_0/{layer}/{part}": array for layer, parts in gates.items() for part, array in parts.items()
        if part == "kernel" or layer not in ("hr", "hz")
    }  # fmt: skip
    head = {"head.weight": draw(O, H), "head.bias": draw(O)}
    nnx = {"dense_i.kernel": draw(I, 3 * H), "dense_i.bias": draw(3 * H), "dense_h.kernel": draw(H, 3 * H)}
    return {
        "torch": {f"gru.{name}": array for name, array in torch_names.items()} | head,
        "torch_lstm": random_state(RNG, I, H, bidirectional=True, kind="lstm"),
        "mlx": {"layer.Wx": draw(3 * H, I), "layer.Wh": draw(3 * H, H), "layer.b": draw(3 * H), "layer.bhn": draw(H)},
        "mlx_rnn": {"Wxh": draw(H, I), "Whh": draw(H, H), "bias": draw(H)},
        "flax": linen,
        "nnx": {f"cell.{name}": array for name, array in nnx.items()},
        "haiku": {"a/gru/w_i": draw(I, 3 * H), "a/gru/w_h": draw(H, 3 * H), "a/gru/b": draw(3 * H)},
        "haiku_lstm": {"lstm/linear/w": draw(I + H, 4 * H), "lstm/linear/b": draw(4 * H)},
        "tf1": {
            "rnn/gru_cell/gates/kernel:0": draw(I + H, 2 * H), "rnn/gru_cell/gates/bias:0": draw(2 * H),
            "rnn/gru_cell/candidate/kernel:0": draw(I + H, H), "rnn/gru_cell/candidate/bias:0": draw(H),
        },
        "tf1_lstm": {"rnn/basic_lstm_cell/kernel": draw(I + H, 4 * H), "rnn/basic_lstm_cell/bias": draw(4 * H)},
    }  # fmt: skip


def arrays():
    """.safetensors, .npz and PyTorch's of foreign parameters."""
    torch, safetensors = peer("torch"), peer("safetensors.numpy")
    for name, tree in trees().items():
        tree = {key: np.asarray(array, np.float32) for key, array in tree.items()}
        put(f"safetensors/{name}.safetensors", safetensors.save(tree))
        put(f"npz/{name}.npz", written(".npz", lambda path, tree=tree: np.savez(path, **tree)))
        if name.startswith("torch"):
            tensors = {key: torch.from_numpy(array) for key, array in tree.items()}
            for form, nested, zipped in (("zip", {"epoch": 3, "model": tensors}, True), ("legacy", tensors, False)):
                data = written(
                    ".pt", lambda path, n=nested, z=zipped: torch.save(n, path, _use_new_zipfile_serialization=z)
                )
                put(f"pt/{name}_{form}.pt", data)
    state = random_state(RNG, I, H, kind="rnn")
    halves = {key: torch.from_numpy(array).bfloat16() for key, array in state.items()}
    put("safetensors/bfloat16.safetensors", peer("safetensors.torch").save(halves))


def keras_files():
    """.keras and .h5 of a layer, and of networks."""
    keras = peer("keras")
    layers = keras.layers
    for name, parts in {
        "gru": [layers.GRU(H)],
        "bidirectional": [layers.Bidirectional(layers.LSTM(2, return_sequences=True)), layers.Dense(O, "softmax")],
        "normalised": [layers.BatchNormalization(), layers.SimpleRNN(H, return_sequences=True), layers.Dropout(0.5),
                       layers.TimeDistributed(layers.Dense(O)), layers.Activation("relu")],
    }.items():  # fmt: skip
        model = keras.Sequential([keras.Input((None, I)), *parts])
        for suffix in (".keras", ".h5"):
            if suffix == ".h5" or name != "normalised":
                put(f"{suffix[1:]}/{name}{suffix}", written(suffix, model.save))


def onnx_files():
    """Single nodes with all attributes, and graphs of networks."""
    onnx = peer("onnx")
    options = {
        "activations": ["Sigmoid", "Elu"],
        "activation_alpha": [0.5],
        "initial_h": np.ones((1, 2, H)),
        "clip": 3.0,
    }
    lstm = random_state(RNG, I, H, kind="lstm")
    models = {
        "gru": single_node(onnx, random_state(RNG, I, H), constants="nodes", **options),
        "lstm": single_node(onnx, lstm, kind="lstm", lengths=True, h_0=True, c_0=True),
    }
    for form in ("plain", "gemm", "left", "folded"):
        net = Net(onnx, RNG)
        kind = "lstm" if form == "left" else "gru"
        y = net.joined(net.recurrent("x", kind, (I, H))[0], H)
        y = net.node("Tanh", net.dense(net.swapped(y), (H, O), form))
        models[f"net_{form}"] = net.model({"x": [None, None, I]}, {"y": y})
    for name, model in models.items():
        put(f"onnx/{name}.onnx", model.SerializeToString())


def json_files():
    """RTNeural's both forms, AIDA-X's, and Neural Amp Modeler's."""
    recorded = json.loads((DATA / "rtneural.json").read_text())
    for name in ("four", "stacked", "normalised"):
        put(f"rtneural/{name}.json", recorded[name]["model"])
    small, _ = rtneural_models.network(
        [I, rtneural_models.recurrent(RNG, "gru", I, H), rtneural_models.dense(RNG, H, O, "tanh")]
    )
    put("rtneural/small.json", small)
    lists = {f"rec.{name}": array.tolist() for name, array in random_state(RNG, 1, H, kind="lstm").items()}
    facts = {
        "model": "SimpleRNN",
        "input_size": 1,
        "skip": 1,
        "output_size": 1,
        "unit_type": "LSTM",
        "num_layers": 1,
        "hidden_size": H,
        "bias_fl": True,
    }
    put(
        "rtneural/state.json",
        {"model_data": facts, "state_dict": lists | {"lin.weight": [[0.5] * H], "lin.bias": [0.25]}},
    )
    amplifier = recorded["amplifier"]["model"] | {
        "in_skip": 1,
        "in_gain": -9.5,
        "out_gain": 3.0,
        "samplerate": 48000,
        "metadata": {"author": "a"},
    }
    put("aidax/amplifier.aidax", amplifier)
    for name, case in json.loads((DATA / "nam.json").read_text()).items():
        put(f"nam/{name}.nam", case["model"])


def npy(array):
    """The bytes of an .npy file."""
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def npz(**arrays):
    """The bytes of an .npz file."""
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def data():
    """What `cgru run` reads."""
    pa, parquet = peer("pyarrow"), peer("pyarrow.parquet")
    x = draw(5, 2, I)
    put("npy_input/rows.npy", npy(x))
    put("npy_input/steps.npy", npy(x[:, 0].astype(">f8")))
    put("npy_input/fortran.npy", npy(np.asfortranarray(x)))
    put("npz_input/x.npz", npz(x=x))
    put("csv_input/plain.csv", b"1,2,3\n4.5,-5e-3,6\n7,8,9\n")
    put("csv_input/named.csv", b"a,b,c\r\n1,2,3\r\n\r\n4,5,6")
    put("state_input/h.npy", npy(draw(1, 2, H)))
    put("state_input/h.npz", npz(h=draw(1, 2, H)))
    put("state_input/h.f32", draw(1, 2, H).tobytes())
    put("lengths_input/words.txt", b"5 3\n")
    put("lengths_input/column.csv", b"5\n0\n")
    put("lengths_input/lengths.npy", npy(np.array([4, 5])))
    put("lengths_input/lengths.npz", npz(lengths=np.array([4, 0], np.uint8)))
    nested = pa.list_(pa.list_(pa.float32()))
    for name, form, rows in (
        ("nested", nested, [x[:, 0].tolist(), None, x[:2, 1].tolist(), []]),
        ("flat", pa.list_(pa.float64()), [x[:, 0].ravel().tolist(), [1.0] * I]),
        ("fixed", pa.list_(pa.list_(pa.float32(), I)), [x[:, 0].tolist(), x[:1, 1].tolist()]),
    ):
        out = io.BytesIO()
        table = pa.table({"x": pa.array(rows, form), "id": pa.array(range(len(rows)))})
        parquet.write_table(table, out, row_group_size=2, compression="none")
        put(f"parquet_input/{name}.parquet", out.getvalue())


if __name__ == "__main__":
    for make in (own, arrays, keras_files, onnx_files, json_files, data):
        make()
