"""The recorded set's other half: weights of foreign systems, files, `cgru.torch`, training, `check`.

Arrays are deterministic; none of the foreign systems is needed but onnx and torch, whose cases are left out where they
are missing.
"""

import copy
import importlib.util
import itertools
import json
import pickle
import sys
import tempfile
from pathlib import Path

import numpy as np

import cgru
from support import recorded_api as api
from support.recorded_runs import parameter_shapes

HAS_TORCH, HAS_ONNX = (importlib.util.find_spec(name) is not None for name in ("torch", "onnx"))
I, H = 3, 5     # noqa: E741


def draw(*shape, seed=0, dtype=np.float32, bound=1.0):
    """Uniform in +-bound."""
    rng = np.random.default_rng([seed, *shape])
    return ((2 * rng.random(shape) - 1) * bound).astype(dtype)


def state_of(kind="gru", dtype=np.float32, input_size=I, hidden_size=H, **options):
    """Parameters under PyTorch's names."""
    shapes = parameter_shapes(kind, input_size, hidden_size, **options)
    return {name: draw(*shape, seed=k, dtype=dtype, bound=0.6) for k, (name, shape) in enumerate(shapes.items())}


def seen(model):
    """A model's parameters, and what it computes."""
    x = draw(*((4, 6) if model.batch_first else (6, 4)), model.input_size, dtype=model.dtype)
    y, state = model(x, lengths=[3, 6, 0, 5])
    found = {"y": y} | {f"state {k}": plane for k, plane in enumerate(api.planes(state))}
    return found | {name: array.copy() for name, array in model.state_dict().items()}


def bytes_of(data):
    """Bytes as an array."""
    return np.frombuffer(data, np.uint8)


# ---- converters


def keras_models():
    """Name -> model: every form of `get_weights()`."""
    kernel, recurrent, bias = draw(I, 3 * H), draw(H, 3 * H), draw(2, 3 * H)
    nine = [draw(*shape, seed=k) for k in range(3) for shape in ((I, H), (H, H), (H,))]
    twice = [array.astype(np.float64) for array in (kernel, recurrent, bias)]
    swish = {"activations": ("hard_sigmoid", "relu"), "go_backwards": True}
    return {
        "two": lambda: cgru.from_keras([kernel, recurrent]),
        "three": lambda: cgru.from_keras([kernel, recurrent, bias]),
        "before": lambda: cgru.from_keras([kernel, recurrent, bias[0]]),
        "before, no bias": lambda: cgru.from_keras([kernel, recurrent], reset_after=False),
        "nine": lambda: cgru.from_keras(nine),
        "float64": lambda: cgru.from_keras(twice),
        "to float32": lambda: cgru.from_keras(twice, dtype="float32", engine="blas"),
        "others": lambda: cgru.from_keras([kernel, recurrent, bias], **swish),
    }


def tree_models():
    """Name -> model: Flax, Haiku, TensorFlow 1, MLX, RTNeural."""
    linen = {gate: {"kernel": draw(I if gate[0] == "i" else H, H, seed=k)} for k, gate in enumerate(
        ("ir", "iz", "in", "hr", "hz", "hn"))}  # fmt: skip
    for gate in ("ir", "iz", "in", "hn"):
        linen[gate]["bias"] = draw(H, seed=7)
    nnx = {"dense_i": {"kernel": draw(I, 3 * H), "bias": draw(3 * H)}, "dense_h": {"kernel": draw(H, 3 * H)}}
    haiku = {"a/gru": {"w_i": draw(I, 3 * H), "w_h": draw(H, 3 * H), "b": draw(3 * H)}}
    haiku |= {"b/gru": {"w_i": draw(H, 3 * H), "w_h": draw(H, 3 * H), "b": draw(3 * H)}}
    tf1 = {}
    for name, rows in (("rnn/cell_0", I + H), ("rnn/cell_1", 2 * H)):
        tf1 |= {f"{name}/gates/kernel:0": draw(rows, 2 * H), f"{name}/gates/bias:0": draw(2 * H),
                f"{name}/candidate/kernel:0": draw(rows, H), f"{name}/candidate/bias:0": draw(H)}  # fmt: skip
    mlx = {"layer": {"Wx": draw(3 * H, I), "Wh": draw(3 * H, H), "b": draw(3 * H), "bhn": draw(H)}}
    arrays = [draw(I, 3 * H).tolist(), draw(H, 3 * H).tolist(), draw(2, 3 * H).tolist()]
    rtneural = {"layers": [{"type": "dense"}, {"type": "gru", "weights": arrays}]}
    return {
        "linen": lambda: cgru.from_flax({"params": {"GRUCell_0": linen}}),
        "linen, others": lambda: cgru.from_flax(linen, activations=("hard_sigmoid", "relu"), batch_first=False),
        "nnx": lambda: cgru.from_flax({"cell": nnx}),
        "haiku": lambda: cgru.from_haiku(haiku, "a/gru"),
        "haiku b": lambda: cgru.from_haiku(haiku, "b/gru", batch_first=True),
        "tensorflow1": lambda: cgru.from_tensorflow1(tf1, ["rnn/cell_0", "rnn/cell_1"]),
        "tensorflow1, relu": lambda: cgru.from_tensorflow1(tf1, "rnn/cell_1", activation="relu"),
        "mlx": lambda: cgru.from_mlx(mlx),
        "mlx, no bias": lambda: cgru.from_mlx({"Wx": draw(3 * H, I), "Wh": draw(3 * H, H)}, batch_first=False),
        "rtneural": lambda: cgru.from_rtneural(rtneural),
        "rtneural float64": lambda: cgru.from_rtneural(rtneural, 1, dtype="float64", batch_first=True),
    }


def plain_models():
    """Name -> model: Paddle, equations, state dicts."""
    found = {}
    for keeps, reverse in itertools.product((False, True), (False, True)):
        options = {"origin_mode": keeps, "is_reverse": reverse}
        found[f"paddle {options}"] = lambda options=options: cgru.from_paddle(
            draw(H, 3 * H), draw(I, 3 * H), draw(1, 3 * H), draw(3 * H, seed=1), **options
        )
    found["paddle, no bias"] = lambda: cgru.from_paddle(draw(H, 3 * H), draw(I, 3 * H), candidate_activation="relu")
    matrices, biases = [draw(H, H + I, seed=k) for k in range(3)], [draw(H, seed=k) for k in range(3)]
    wide = [array.astype(np.float64) for array in matrices + biases]
    found["equations"] = lambda: cgru.GRU.from_equations(*matrices, *biases)
    found["equations, no bias"] = lambda: cgru.GRU.from_equations(*matrices, batch_first=True)
    found["equations float64"] = lambda: cgru.GRU.from_equations(*wide)
    for kind, made in api.CLASSES.items():
        for bidirectional, dtype, layers in itertools.product((False, True), ("float32", "float64"), (1, 2)):
            options = {"bidirectional": bidirectional, "num_layers": layers}
            state = {f"net.{name}": array for name, array in state_of(kind, dtype, **options).items()}
            name = f"state dict {kind} {dtype} {options}"
            found[name] = lambda made=made, state=state: made.from_state_dict(state, prefix="net.", batch_first=True)
            found[f"{name} drawn"] = lambda made=made, options=options, dtype=dtype: made(
                I, H, rng=7, dtype=dtype, **options
            )
    return found


def onnx_models():
    """Name -> model: written and read again."""
    many = [
        ({}, {}), ({"reset_after": False, "clip": 0.5}, {"lengths": True}), ({"bidirectional": True}, {"h_0": False}),
        ({"num_layers": 2, "bias": False}, {}), ({"activations": ("hard_sigmoid", "softsign")}, {}),
        ({"initial_state": True}, {"h_0": False}), ({"reverse": True, "batch_first": True}, {"lengths": True}),
        ({"go_backwards": True}, {}), ({"bidirectional": True, "merge_mode": "sum"}, {}),
    ]  # fmt: skip

    def both(options, written):
        model = api.build("gru", "auto", state_of(**options), input_size=I, hidden_size=H, **options)
        nodes = ["gru_0", "gru_1"] if "num_layers" in options else None
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            model.to_onnx(path, **written)
            return seen(cgru.from_onnx(path, nodes)) | {"file": bytes_of(path.read_bytes())}

    return {f"onnx {options} {written}": lambda o=options, w=written: both(o, w) for options, written in many}


# ---- files


FILED = {
    "gru": ("gru", {}), "before": ("gru", {"reset_after": False, "num_layers": 2}),
    "others": ("gru", {"activations": (("hard_sigmoid", 0.3, 0.4), "softsign"), "clip": 0.75}),
    "merged": ("gru", {"bidirectional": True, "merge_mode": "ave", "batch_first": True}),
    "initial": ("gru", {"initial_state": True, "bidirectional": True, "num_layers": 2}),
    "backwards": ("gru", {"go_backwards": True, "bias": False}), "reverse": ("gru", {"reverse": True}),
    "relu": ("rnn", {"activations": ("sigmoid", "relu")}), "lstm": ("lstm", {"bidirectional": True}),
}  # fmt: skip


def filed(kind, options, dtype):
    """A model's file, and the models that come out of it, of pickle and of copy."""
    model = api.build(kind, "auto", state_of(kind, dtype, **options), input_size=I, hidden_size=H, **options)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        model.save(path)
        data, loaded = path.read_bytes(), cgru.load(path)
    end = 8 + int.from_bytes(data[:8], "little")
    configuration = api.stored_configuration(json.loads(data[8:end])["__metadata__"]["cgru"])
    found = {"file's numbers": bytes_of(data[end:]), "file's configuration": bytes_of(configuration.encode())}
    several = {"loaded": loaded, "pickled": pickle.loads(pickle.dumps(model)), "copied": copy.deepcopy(model)}
    for name, other in several.items():
        found |= {f"{name} {key}": array for key, array in seen(other).items()}
    return found


# ---- training, check


def torch_case(options, dtype, form):
    """Outputs and gradients of `cgru.torch.GRU`, and without them."""
    import torch

    import cgru.torch

    torch.set_num_threads(1)
    real = getattr(torch, dtype)
    module = cgru.torch.GRU(I, H, dtype=real, **options)
    plain = {name: value for name, value in options.items() if name != "reset_after"}
    state = state_of("gru", dtype, **plain)
    module.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    batch = () if form == "unbatched" else (4,)
    leading = (*batch, 6) if options.get("batch_first") else (6, *batch)
    planes = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    x = torch.from_numpy(draw(*leading, I, dtype=dtype)).requires_grad_()
    h_0 = torch.from_numpy(draw(planes, *batch, H, dtype=dtype)).requires_grad_()
    lengths = torch.tensor([3, 6, 1, 5])
    given, extra = x, {"lengths": lengths} if form == "lengths" else {}
    if form == "packed sequence":
        given = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, options.get("batch_first", False), False)
    with torch.no_grad():
        y, h_n = module(given, h_0, **extra)
        found = {"plain y": getattr(y, "data", y).numpy(), "plain h_n": h_n.numpy()}
    y, h_n = module(given, h_0, **extra)
    y = y.data if form == "packed sequence" else y
    weights = [torch.from_numpy(draw(*tensor.shape, seed=5, dtype=dtype)) for tensor in (y, h_n)]
    torch.autograd.backward([y, h_n], weights)
    found |= {"y": y.detach().numpy(), "h_n": h_n.detach().numpy(), "d.x": x.grad.numpy(), "d.h_0": h_0.grad.numpy()}
    return found | {f"d.{name}": tensor.grad.numpy() for name, tensor in module.named_parameters()}


def demo_case():
    """The demo's training, two epochs of it."""
    sys.path.append(str(Path(__file__).resolve().parents[2] / "examples"))
    from speakers.train import Settings, evaluate, load_utterances, train

    utterances = load_utterances("train")
    tensors = train(utterances, Settings(2, 0.15, 0.05), 3)
    return tensors | {"evaluated": np.array(evaluate(tensors, utterances))}


def check_case(options):
    """What `check` finds where a convention was misread."""
    state = state_of("gru", np.float64)
    model = cgru.GRU.from_state_dict(state)
    x, h_0 = draw(6, 4, I, dtype=np.float64), draw(1, 4, H, dtype=np.float64)
    y, _ = cgru.GRU.from_state_dict(state, **options)(x, h_0)
    return {"report": np.array(api.check(model, x, y, h_0), float)}


def training_cases():
    """(name, function) of what depends on the instruction set."""
    if HAS_TORCH:
        forms = ("plain", "unbatched", "lengths", "packed sequence")
        axes = itertools.product(({}, {"num_layers": 2, "bias": False}), ({}, {"bidirectional": True}), forms,
                                 ({}, {"batch_first": True}), (True, False), ("float32", "float64"))  # fmt: skip
        for layers, direction, form, layout, after, dtype in axes:
            options = {**layers, **direction, **layout, "reset_after": after}
            yield f"torch {form} {dtype} {options}", lambda o=options, d=dtype, f=form: torch_case(o, d, f)
    yield "demo", demo_case
    for options in ({}, {"reset_after": False}, {"reverse": True}, {"activations": ("hard_sigmoid", "tanh")}):
        yield f"check {options}", lambda options=options: check_case(options)


def foreign_cases():
    """(name, function) of converters and files."""
    for family in (keras_models, tree_models, plain_models):
        for name, make in family().items():
            yield f"from {family.__name__}: {name}", lambda make=make: seen(make())
    for name, (kind, options) in FILED.items():
        for dtype in ("float32", "float64"):
            yield f"file {name} {dtype}", lambda k=kind, o=options, d=dtype: filed(k, o, d)
    if HAS_ONNX:
        yield from onnx_models().items()
    if HAS_TORCH:
        yield from torch_models()


def torch_models():
    """(name, function): PyTorch's modules, to and fro."""
    import torch

    for name, bidirectional in itertools.product(("GRU", "LSTM", "RNN", "GRUCell"), (False, True)):
        if name != "GRUCell" or not bidirectional:
            yield f"from torch {name} {bidirectional}", lambda n=name, b=bidirectional: _torch_model(torch, n, b)


def _torch_model(torch, name, bidirectional):
    options = {"num_layers": 2, "bidirectional": bidirectional, "batch_first": True} if name != "GRUCell" else {}
    module = getattr(torch.nn, name)(I, H, **options)
    drawn = {key: torch.from_numpy(draw(*tensor.shape, seed=k)) for k, (key, tensor) in enumerate(
        module.state_dict().items())}  # fmt: skip
    module.load_state_dict(drawn)
    model = cgru.from_torch(torch.nn.ModuleDict({"inner": module}))
    found = seen(model)
    if name == "GRU":
        found |= {f"back {key}": tensor.numpy() for key, tensor in model.to_torch().state_dict().items()}
    return found
