"""Who runs a block of silence from a given state: cgru's streams, exported C, PyTorch, ONNX Runtime.

A contestant is a class of a model: `at(state)` puts a state in, `run()` makes BLOCK steps of zeros from it and returns
y (BLOCK, O). Each imports its library only when it is made.
"""

import ctypes
import tempfile
from pathlib import Path

import numpy as np

import cgru
from bench.common import cbuild, onnx_session
from bench.silence.models import planes
from bench.silence.settings import BLOCK

FLAGS = ("-O3", "-march=native", "-mprefer-vector-width=512")
_C = """\
#include <string.h>
#include "layer.c"
static layer_state state;
void at(const float *h, const float *c)
{
    layer_reset(&state);
    memcpy(state.h0, h, sizeof state.h0);
    (void)c;
@c@}
void run(size_t steps, const float *x, float *y)
{
    layer_run(&state, steps, x, y);
}
"""


class Stream:
    """A stream of the model, whatever its engine and instruction set."""

    def __init__(self, model, x=0.0):
        self._stream = model.stream()
        self._x = np.full((BLOCK, model.input_size), x, model.dtype)
        self._y = np.empty((BLOCK, _width(model)), model.dtype)

    def at(self, state):
        self._stream.state = state

    def run(self):
        return self._stream.run(self._x, out=self._y)


class ExportedC:
    """What `to_c` writes of a layer, compiled for this machine."""

    def __init__(self, model):
        lstm = type(model).__name__ == "LSTM"
        with tempfile.TemporaryDirectory() as folder:
            model.to_c(Path(folder, "layer.c"), name="layer")
            source = Path(folder, "silence.c")
            source.write_text(_C.replace("@c@", "    memcpy(state.c0, c, sizeof state.c0);\n" if lstm else ""))
            self._library = cbuild.build(source, FLAGS)
        self._run, self._x = self._library.run, np.zeros((BLOCK, 1), np.float32)
        self._y = np.empty((BLOCK, model.hidden_size), np.float32)
        self._arguments = (ctypes.c_size_t(BLOCK), self._x.ctypes.data_as(ctypes.c_void_p), _pointer(self._y))

    def at(self, state):
        arrays = [np.ascontiguousarray(plane) for plane in planes(state)]
        self._library.at(_pointer(arrays[0]), _pointer(arrays[-1]))

    def run(self):
        self._run(*self._arguments)
        return self._y


class Torch:
    """`torch.nn`'s module of the model, in inference mode; not of a network."""

    def __init__(self, model):
        import torch

        self._torch, self._module = torch, model.to_torch().requires_grad_(False)
        self._x = torch.zeros(BLOCK, 1)

    def at(self, state):
        states = [self._torch.from_numpy(plane.copy()) for plane in planes(state)]
        self._state = tuple(states) if len(states) > 1 else states[0]

    def run(self):
        with self._torch.inference_mode():
            return self._module(self._x, self._state)[0].numpy()


class OnnxRuntime:
    """A session of the model by `to_onnx`."""

    def __init__(self, model):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "layer.onnx")
            model.to_onnx(path)
            self._session = onnx_session.session(path.read_bytes())
        self._x, *self._states = (value.name for value in self._session.get_inputs())
        self._zeros = np.zeros((BLOCK, 1, 1), np.float32)

    def at(self, state):
        arrays = [plane[:, None] for plane in planes(state)]
        self._inputs = {self._x: self._zeros, **dict(zip(self._states, arrays, strict=True))}

    def run(self):
        return self._session.run(None, self._inputs)[0].reshape(BLOCK, -1)


def _pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


def _width(model):
    """Numbers in y of a step."""
    return model.output_size if isinstance(model, cgru.Sequential) else model.hidden_size
