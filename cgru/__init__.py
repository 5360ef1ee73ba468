"""cgru: a compiled GRU for Python. PyTorch's interface, everyone's weights, microsecond steps on a CPU."""

from cgru._config import show_config
from cgru._version import __version__
from cgru.study.check import check
from cgru.frontdoors import from_keras, from_onnx, from_torch
from cgru.frontdoors_arrays import (
    from_flax,
    from_haiku,
    from_mlx,
    from_paddle,
    from_rtneural,
    from_tensorflow1,
)
from cgru.gru import GRU
from cgru.lstm import LSTM
from cgru.models import load
from cgru.rnn import RNN
from cgru.stream import Stream

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Stream",
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
    "load",
    "show_config",
]
