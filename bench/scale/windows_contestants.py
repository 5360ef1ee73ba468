"""Who answers: windows, streams, whole windows computed afresh, ONNX Runtime, and a null model.

A contestant has a member for each model; members take turns, sample by sample, in one process on one core.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.common import onnx_session
from bench.scale import windows_models
from bench.scale.windows_models import POINTS, WEIGHTS

WINDOW, STREAM, AFRESH, ORT, NULL = "window", "stream", "afresh", "ONNX Runtime", "null"
LABELS = {
    WINDOW: "cgru, window.step", STREAM: "cgru, stream.step", AFRESH: "cgru, the window afresh",
    ORT: "ONNX Runtime, the window afresh", NULL: "null model",
}  # fmt: skip
MODELS = (1, 2, 4)
#: Largest error of y against float64 with the weights as they were rounded, absolute: that of float32 sums.
TOLERANCE = 2e-6
#: With int8, in parts of the spread of y (its standard deviation): activations are rounded too. ONNX Runtime rounds the
#: weights by itself and is compared with those that were not.
TOLERANCE_INT8 = 0.3


@dataclass
class Member:
    """One model: `step(x, out)`; a window's `settle()`; `reset()` of what has a state."""

    step: Callable
    settle: Callable | None = None
    reset: Callable | None = None


@dataclass
class Contestant:
    """Who takes part: a way, the weights, and so many models at once.

    `needs`: samples of each input, 1 or T. `expects`: which right answers, "windows" or "whole", or None; `exact`:
    whether to the last bit.
    """

    way: str
    weights: str
    members: list[Member]
    needs: int = 1
    expects: str | None = "windows"
    exact: bool = True

    @property
    def models(self):
        """How many."""
        return len(self.members)

    @property
    def name(self):
        """As tables have it."""
        return LABELS[self.way] + (f", {self.weights}" if self.way != NULL else "")


class Null:
    """A model that computes nothing: copies in and out, through NumPy, from a method in Python."""

    def __init__(self, features):
        self.x, self.y = np.zeros(features, np.float32), np.zeros(1, np.float32)

    def step(self, x, out):
        np.copyto(self.x, x)
        np.copyto(out, self.y)
        return out


def contestants(letter, say):
    """All of a shape; `say` is told who is absent."""
    point = POINTS[letter]
    nets = {weights: [windows_models.network(letter, weights, number) for number in range(max(MODELS))]
            for weights in WEIGHTS}  # fmt: skip
    found = [Contestant(NULL, "float32", [Member(Null(point.I).step)], expects=None)]
    for weights in WEIGHTS:
        first = nets[weights][0]
        stream = first.stream()
        found += [
            Contestant(STREAM, weights, [Member(stream.step, reset=stream.reset)], expects="whole"),
            *(Contestant(WINDOW, weights, [_window(net, point.T) for net in nets[weights][:models]])
              for models in MODELS),
            Contestant(AFRESH, weights, [Member(_afresh(first))], needs=point.T),
        ]  # fmt: skip
    for weights in ("float32", "int8"):
        try:
            step = onnx_runtime(nets["float32"][0], point.T, weights)
        except ImportError as error:
            say(f"{LABELS[ORT]}, {weights}, is absent: {error}")
        else:
            found.append(Contestant(ORT, weights, [Member(step)], needs=point.T, exact=False))
    return nets, found


def _window(net, T):
    window = net.window(T)
    return Member(window.step, window.settle, window.reset)


def _afresh(net):
    def step(x, out):
        net(x, out=out)

    return step


def onnx_runtime(net, T, weights):
    """The network by `to_onnx`, its states zeros inside; "int8": by ONNX Runtime's own dynamic quantisation.

    Through buffers that are bound once, which takes 2 to 6 % less time than `run` with a dictionary.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        net.to_onnx(path, h_0=False)
        if weights == "int8":
            path = quantized(path, path.with_name("int8.onnx"))
        session = onnx_session.session(path.read_bytes())
    binding, run, copy = session.io_binding(), session.run_with_iobinding, np.copyto
    y, window = np.empty((1, 1), np.float32), np.empty((T, 1, net.layers[0].input_size), np.float32)
    binding.bind_cpu_input("x", window)
    binding.bind_output("y", "cpu", 0, np.float32, y.shape, y.ctypes.data)
    rows, answer = window[:, 0], y[0]

    def step(x, out):
        copy(rows, x)
        run(binding)
        copy(out, answer)

    return step


def quantized(path, target):
    """The file `target`: ONNX Runtime's dynamic quantisation of the file `path`, its LSTMs among it; the path."""
    import logging

    from onnxruntime.quantization import QuantType, quantize_dynamic

    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it recommends a preprocessing that changes nothing here
    try:
        quantize_dynamic(path, target, weight_type=QuantType.QInt8)
    finally:
        logging.disable(before)
    return target
