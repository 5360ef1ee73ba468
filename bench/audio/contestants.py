"""Who runs the trained network: cgru, cgru's GRU with the rest in NumPy, ONNX Runtime, PyTorch.

A contestant is a function of the network and x (T, 1) that gives the ways to call it, as runners: a step where T is 1,
a block otherwise; the state goes on from one call to the next. Each imports its library only when it is asked. A new
contestant is a function and a line in `CONTESTANTS`.
"""

import contextlib
import tempfile
from pathlib import Path

import numpy as np

from bench.common import onnx_session
from bench.common.timing import PythonRunner

CHECK_CALLS = 25
CGRU, GRU, GLUE = "cgru.Sequential", "cgru.GRU alone", "cgru.GRU and NumPy"
ORT, TORCH = "ONNX Runtime", "PyTorch"


def cgru_stream(net, x):
    """A stream of the whole network."""
    return _stream(net, net.output_size, x)


def gru_alone(net, x):
    """The first layer without the second: what the rest costs is the difference."""
    return _stream(net.layers[0], net.layers[0].hidden_size, x)


def _stream(model, width, x):
    one = len(x) == 1

    def prepare():
        stream, y = model.stream(), np.empty(width if one else (len(x), width), np.float32)
        return {"call": stream.step if one else stream.run, "x": x[0] if one else x, "y": y}

    return [PythonRunner("call(x, out=y)", "y", prepare, CHECK_CALLS)]


def glue(net, x):
    """The first layer's stream, and a line of NumPy behind it: one expression, or into a ready array."""
    (gru, head), one = net.layers, len(x) == 1
    head = head.state_dict()
    h = np.empty(gru.hidden_size if one else (len(x), gru.hidden_size), np.float32)
    line = {"w": np.ascontiguousarray(head["weight"].T), "b": head["bias"], "x": x[0] if one else x, "h": h}

    def prepare():
        stream, y = gru.stream(), np.empty(1 if one else (len(x), 1), np.float32)
        return line | {"call": stream.step if one else stream.run, "dot": np.dot, "y": y}

    return [
        PythonRunner("call(x, out=h); y = h @ w + b + x", "y", prepare, CHECK_CALLS),
        PythonRunner("call(x, out=h); dot(h, w, out=y); y += b; y += x", "y", prepare, CHECK_CALLS),
    ]


def onnx_runtime(net, x):
    """The same network by `net.to_onnx`: `run` with a dictionary, or IO binding to ready buffers."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        net.to_onnx(path)
        session = onnx_session.session(path.read_bytes())
    (x_name, h_name), names = (item.name for item in session.get_inputs()), [v.name for v in session.get_outputs()]
    x = np.ascontiguousarray(x[:, None])  # (T, 1, 1)
    shape = (1, 1, net.layers[0].hidden_size)

    def prepare():
        return {"run": session.run, "names": names, "x": x, "h": np.zeros(shape, np.float32)}

    def prepare_bound():
        y, states = np.empty((len(x), 1, 1), np.float32), [np.zeros(shape, np.float32) for _ in range(2)]
        bindings = []
        for before, after in (states, states[::-1]):
            binding = session.io_binding()
            binding.bind_cpu_input(x_name, x)
            binding.bind_cpu_input(h_name, before)
            for name, array in zip(names, (y, after), strict=True):
                binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
            bindings.append(binding)
        there, back = bindings
        return {"run": session.run_with_iobinding, "now": there, "then": back, "y": y, "keep": states}

    return [
        PythonRunner(f"y, h = run(names, {{'{x_name}': x, '{h_name}': h}})", "y", prepare, CHECK_CALLS),
        PythonRunner("run(now); now, then = then, now", "y", prepare_bound, CHECK_CALLS),
    ]


def torch_modules(net, x):
    """nn.GRU or, for a step, nn.GRUCell, and nn.Linear."""
    import torch

    torch.set_num_threads(1)
    state, hidden = net.layers[0].state_dict(), net.layers[0].hidden_size
    state = {name: torch.tensor(value) for name, value in state.items()}
    gru, cell, linear = torch.nn.GRU(1, hidden), torch.nn.GRUCell(1, hidden), torch.nn.Linear(hidden, 1)
    for module in (gru, cell, linear):
        module.requires_grad_(False)
    gru.load_state_dict(state)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in state.items()})
    linear.load_state_dict({name: torch.tensor(value) for name, value in net.layers[1].state_dict().items()})
    x = torch.tensor(x)

    def prepare():
        return {"gru": gru, "cell": cell, "linear": linear, "x": x, "h": torch.zeros(1, hidden)}

    whole = PythonRunner("y, h = gru(x, h); y = linear(y) + x", "y.numpy()", prepare, CHECK_CALLS)
    step = PythonRunner("h = cell(x, h); y = linear(h) + x", "y.numpy()", prepare, CHECK_CALLS)
    return [whole, step] if len(x) == 1 else [whole]


@contextlib.contextmanager
def inference():
    """Inside, PyTorch prepares for no gradients; nobody else sees it."""
    try:
        import torch
    except ImportError:
        yield
        return
    with torch.inference_mode():
        yield


CONTESTANTS = {CGRU: cgru_stream, GRU: gru_alone, GLUE: glue, ORT: onnx_runtime, TORCH: torch_modules}
DISTRIBUTIONS = {ORT: "onnxruntime", TORCH: "torch"}
