"""`GRU.to_torch`: a torch.nn.GRU with the same weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cgru.config import Config
from cgru.convert._errors import missing

if TYPE_CHECKING:
    from cgru.weights import Weights

_OURS = ("reset_after", "activations", "clip", "reverse", "go_backwards", "merge_mode", "initial_state")


def to_torch(weights: Weights) -> Any:
    """A torch.nn.GRU with these weights; see `GRU.to_torch`."""
    config = weights.config
    plain = Config(input_size=1, hidden_size=1, bidirectional=config.bidirectional)
    refused = [
        f"{name}={getattr(config, name)!r}" for name in _OURS if getattr(config, name) != getattr(plain, name)
    ]
    if refused:
        raise ValueError(f"torch.nn.GRU cannot have {', '.join(refused)}")
    try:
        import torch
    except ImportError as error:
        raise missing("PyTorch", "torch", error) from error
    module = torch.nn.GRU(
        config.input_size,
        config.hidden_size,
        config.num_layers,
        bias=config.bias,
        batch_first=config.batch_first,
        bidirectional=config.bidirectional,
        dtype=getattr(torch, weights.dtype.name),
    )
    module.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.tensors.items()})
    return module
