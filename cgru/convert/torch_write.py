"""`to_torch` of models: a torch.nn.GRU, LSTM or RNN with the same weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cgru.config import Config
from cgru.convert._errors import missing

if TYPE_CHECKING:
    from cgru.weights import Weights

_NONLINEARITIES = ("tanh", "relu")      # of torch.nn.RNN


def to_torch(weights: Weights) -> Any:
    """A torch.nn.GRU, LSTM or RNN with these weights; see `Recurrent.to_torch`."""
    config, cell = weights.config, weights.config.cell
    plain = Config(input_size=1, hidden_size=1, bidirectional=config.bidirectional, kind=config.kind)
    own = {}
    if "nonlinearity" in cell.options and config.nonlinearity in _NONLINEARITIES:
        own["nonlinearity"] = config.nonlinearity
    refused = [
        f"{name}={getattr(config, name)!r}"
        for name in cell.options
        if name not in own and getattr(config, name) != getattr(plain, name)
    ]
    if refused:
        raise ValueError(f"torch.nn.{cell.name} cannot have {', '.join(refused)}")
    try:
        import torch
    except ImportError as error:
        raise missing("PyTorch", "torch", error) from error
    module = getattr(torch.nn, cell.name)(
        config.input_size,
        config.hidden_size,
        config.num_layers,
        bias=config.bias,
        batch_first=config.batch_first,
        bidirectional=config.bidirectional,
        dtype=getattr(torch, weights.dtype.name),
        **own,
    )
    module.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.tensors.items()})
    return module
