"""cgru: compiled GRUs, LSTMs and RNNs for Python. PyTorch's interface, everyone's weights, microsecond steps on a CPU.

* `GRU`, `LSTM` and `RNN` have one interface: calls, `stream`, `pool`, `window`, `record` and `backward`, `save`,
  `quantize`, `to_c`. `Linear` is PyTorch's. `Sequential` is a network of them, as one model.
* `load` reads a file of any readable system; `from_torch`, `from_keras`, `from_onnx` and the other ``from_...`` take
  what their system has, and `Sequential.from_...` whole networks. `check` compares a model with recorded outputs.
* `Stream`, `Pool` and `Window` are what a model's methods of these names return: running states.
* `show_config` and `self_test` tell of this installation, `get_include` of its C headers.

>>> import numpy as np, cgru
>>> lstm = cgru.LSTM(40, 100, rng=0)                # or cgru.load("model.safetensors")
>>> y, (h_n, c_n) = lstm(np.zeros((50, 8, 40), np.float32))
>>> y.shape
(50, 8, 100)

Public are the names that ``dir(cgru)`` shows and, beside them, the modules `cgru.activations` (names and formulas of
activations), `cgru.gradients` (`Tape` and `Gradients`), `cgru.quantize` (weights in 16 and 8 bits, and what is computed
with them), `cgru.batch` (files of sequences) and `cgru.torch` (modules that train in PyTorch). Everything else is the
house's own and may change.
"""

import importlib
from typing import TYPE_CHECKING, Any

from cgru._version import __version__
from cgru.gru import GRU
from cgru.linear import Linear
from cgru.lstm import LSTM
from cgru.pool import Pool
from cgru.rnn import RNN
from cgru.sequential import Sequential
from cgru.stream import Stream
from cgru.window import Window

if TYPE_CHECKING:
    from cgru.convert import load
    from cgru.convert.flax import from_flax
    from cgru.convert.haiku import from_haiku
    from cgru.convert.keras import from_keras
    from cgru.convert.mlx import from_mlx
    from cgru.convert.onnx import from_onnx
    from cgru.convert.paddle import from_paddle
    from cgru.convert.rtneural import from_rtneural
    from cgru.convert.tensorflow1 import from_tensorflow1
    from cgru.convert.torch import from_torch
    from cgru.installation import get_include, self_test, show_config
    from cgru.study.check import check

#: Imported when first asked for, so that ``import cgru`` stays fast.
_LATER = {
    "check": "cgru.study.check",
    "get_include": "cgru.installation",
    "load": "cgru.convert",
    "self_test": "cgru.installation",
    "show_config": "cgru.installation",
} | {
    f"from_{system}": f"cgru.convert.{system}"
    for system in ("flax", "haiku", "keras", "mlx", "onnx", "paddle", "rtneural", "tensorflow1", "torch")
}

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Linear",
    "Pool",
    "Sequential",
    "Stream",
    "Window",
    "__version__",
    "check",
    "from_flax",
    "from_haiku",
    "from_keras",
    "from_mlx",
    "from_onnx",
    "from_paddle",
    "from_rtneural",
    "from_tensorflow1",
    "from_torch",
    "get_include",
    "load",
    "self_test",
    "show_config",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'cgru' has no attribute {name!r}")
    value = getattr(importlib.import_module(_LATER[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
