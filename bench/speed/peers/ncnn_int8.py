"""ncnn's recurrent layers with 8-bit weights."""

import tempfile
from pathlib import Path
from typing import ClassVar

import numpy as np

from bench.common.contestant import Contestant
from bench.common.numpy_cells import ARRAYS
from bench.common.timing import PythonRunner

INT8_TAG = 0x000D4B38  # before a tensor of a model file; 0 before float32
_ORDERS = {"gru": (0, 1, 2), "lstm": (0, 1, 3, 2)}  # its gate order in PyTorch's: r, z, n and i, f, o, g


class NcnnInt8(Contestant):
    """A net of one layer whose state goes in and comes out; x and h are rounded to 8 bits row by row.

    Its layers have no axis of rows: N is 1.
    """

    name, distribution = "ncnn int8", "ncnn"
    weight_dtype, cells, stacks = "int8", ("gru", "lstm"), False
    style: ClassVar = {"color": "#56B4E9", "linewidth": 1.6, "marker": "v", "markersize": 4}

    def load(self):
        import ncnn

        self.ncnn = ncnn

    def takes(self, point):
        return super().takes(point) and point.N == 1

    def net(self, problem):
        """The loaded net of a problem."""
        net = self.ncnn.Net()
        net.opt.num_threads = self.threads
        # Of a model in memory it keeps references to the weights, not the memory: hence a file.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            text, weights = Path(folder) / "layer.param", Path(folder) / "layer.bin"
            text.write_text(layer_text(problem.point), encoding="ascii")
            weights.write_bytes(weights_bytes(problem))
            if net.load_param(str(text)) != 0 or net.load_model(str(weights)) != 0:
                raise RuntimeError("ncnn did not take the layer or its weights")
        return net

    def runners(self, problem):
        net, names = self.net(problem), ["h", "c"][: len(problem.states)]
        # A Mat of an array does not keep it: these names do, until it is copied.
        arrays = [problem.x[:, 0].copy(), *(plane[0].copy() for plane in problem.states)]

        def prepare():
            mats = [self.ncnn.Mat(array).clone() for array in arrays]
            return {"net": net, **dict(zip(["x", *names], mats, strict=True)), "array": np.array, "y": None}

        feeds = "; ".join(f"e.input('{name}0', {name})" for name in names)
        call = f"e = net.create_extractor(); e.input('x', x); {feeds}; _, y = e.extract('y')"
        if problem.point.is_step:
            call += "".join(f"; _, {name} = e.extract('{name}1')" for name in names)
        return [PythonRunner(call, "array(y)[:, None]", prepare, problem.check_calls)]


def layer_text(point):
    """The text of the net: inputs x and the state, and the layer, `8=2` of which says 8-bit weights."""
    names = ["h", "c"][: 2 if point.cell == "lstm" else 1]
    firsts, lasts = [f"{name}0" for name in names], [f"{name}1" for name in names]
    lines = [f"Input {name} 0 1 {name}" for name in ["x", *firsts]]
    blobs = " ".join(["x", *firsts, "y", *lasts])
    count = 1 + len(names)
    sizes = f"0={point.H} 1={point.columns * point.I} 2=0 8=2"
    lines.append(f"{point.cell.upper()} layer {count} {count} {blobs} {sizes}")
    return "\n".join(["7767517", f"{len(lines)} {2 * count}", *lines]) + "\n"


def weights_bytes(problem):
    """W in 8 bits, the biases, U in 8 bits, then the scales of both: numbers of 8 bits for 1, a row each."""
    p, order = problem.point, list(_ORDERS[problem.point.cell])
    w, u, b, c = (problem.state[f"{name}_l0"] for name in ARRAYS)
    w, u, b, c = (array.reshape(-1, p.H, *array.shape[1:])[order].reshape(array.shape) for array in (w, u, b, c))
    if p.cell == "gru":  # the candidate's two biases stay apart
        bias = np.concatenate([(b + c)[: 2 * p.H], b[2 * p.H :], c[2 * p.H :]])
    else:
        bias = b + c
    (w, w_scales), (u, u_scales) = _int8(w), _int8(u)
    return b"".join([w, _tag(0), bias.tobytes(), u, w_scales.tobytes(), u_scales.tobytes()])


def _int8(matrix):
    """A matrix as in the file, padded to words, and its scales."""
    scales = np.float32(127) / abs(matrix).max(axis=1)
    rounded = np.rint(matrix * scales[:, None]).astype(np.int8).tobytes()
    return _tag(INT8_TAG) + rounded + b"\0" * (-len(rounded) % 4), scales


def _tag(tag):
    return np.uint32(tag).tobytes()
