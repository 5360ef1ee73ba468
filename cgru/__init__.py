"""cgru: a compiled GRU for Python. PyTorch's interface, everyone's weights, microsecond steps on a CPU."""

from cgru.gru import GRU
from cgru.lstm import LSTM
from cgru.models import load
from cgru.rnn import RNN

__version__ = "0.1.0"
__all__ = ["GRU", "LSTM", "RNN", "__version__", "load"]
