"""PyTorch modules that train through cgru: `torch.nn.GRU`, `LSTM` and `RNN` under their own names, for the CPU.

`GRU`, `LSTM` and `RNN` take the place of PyTorch's classes; `replace` swaps them inside a model that is there already,
`restore` puts PyTorch's back, and `from_cgru` makes one of a model of cgru's. No other room of cgru imports PyTorch.
"""

try:
    import torch
except ImportError as error:
    raise ImportError(
        "cgru.torch needs PyTorch, which is not installed: pip install torch (https://pytorch.org); "
        "cgru.GRU trains without it, see its record and backward"
    ) from error

if hasattr(torch.library, "custom_op"):         # from PyTorch 2.4 on; programs of torch.export name the operators
    from cgru.torch import compiled  # noqa: F401

from cgru.torch.modules import GRU, LSTM, RNN
from cgru.torch.replacing import Report, from_cgru, replace, restore

__all__ = ["GRU", "LSTM", "RNN", "Report", "from_cgru", "replace", "restore"]
