"""PyTorch: modules, state dicts and their files. Gate order r, z, n; reset after; z keeps the old h.

The canonical form is PyTorch's own, so names are all there is to convert.
"""

import os
import re
from collections.abc import Mapping

from cgru.activations import rnn_activations
from cgru.convert._build import chosen, missing, real_array
from cgru.convert._files import check_expansion, check_zip, file_size, read_safetensors
from cgru.weights import weights_from_state_dict

_CELLS = {3: "gru", 4: "lstm", 1: "rnn"}     # by the rows of weight_hh over its columns
_FIRST = re.compile(r"(.*?)weight_ih(_l0)?")
_NAME = re.compile(r"(?:weight|bias)_(?:ih|hh)(?:_l\d+(?:_reverse)?)?")


def weights_from_torch(source, *, prefix=None, batch_first=None, nonlinearity=None, dtype=None):
    """`Weights` of a GRU, LSTM or RNN, of a module or state dict that holds one, or of a file; see `from_torch`."""
    modules = {}
    if isinstance(source, str | os.PathLike):
        state = _read(os.fspath(source))
    elif isinstance(source, Mapping):
        state = _flat(source)
    elif callable(getattr(source, "state_dict", None)):
        state = _flat(source.state_dict())
        modules = dict(source.named_modules())
    else:
        raise TypeError(
            "expected an nn.GRU (GRUCell, LSTM, RNN), a module or a state dict that holds one, or the path of a "
            f".safetensors or .pt file; got {type(source).__name__}"
        )
    prefix, cell = _network(state, prefix)
    module = modules.get(prefix.removesuffix("."))
    if batch_first is None:
        batch_first = bool(getattr(module, "batch_first", False))
    arrays = {
        _layered(name[len(prefix) :]): real_array(name, value)
        for name, value in state.items()
        if name.startswith(prefix) and _NAME.fullmatch(name[len(prefix) :])
    }
    options = {}
    if cell == "rnn":
        options["activations"] = rnn_activations(nonlinearity or getattr(module, "nonlinearity", "tanh"))
    elif nonlinearity is not None:
        raise ValueError(f"nonlinearity={nonlinearity!r} is for an RNN; these are weights of a {cell.upper()}")
    return weights_from_state_dict(arrays, dtype=dtype, cell=cell, batch_first=batch_first, **options)


def _layered(name):
    """A GRUCell's name as that of layer 0."""
    return name if "_l" in name else name + "_l0"


def _flat(mapping, above=""):
    """A checkpoint's mappings inside mappings as one, their names joined by dots."""
    flat: dict = {}
    for name, value in mapping.items():
        if isinstance(value, Mapping) and above.count(".") < 8:
            flat |= _flat(value, f"{above}{name}.")
        else:
            flat[f"{above}{name}"] = value
    return flat


def _network(state, asked):
    """Prefix and cell of the only GRU in the state dict, or else of its only LSTM or RNN; or of the one asked for.

    The prefix that is asked for may lack its last dot.
    """
    found = {}
    for name, value in state.items():
        match = _FIRST.fullmatch(name)
        recurrent = state.get(name.replace("weight_ih", "weight_hh"))
        if match and len(getattr(value, "shape", ())) == len(getattr(recurrent, "shape", ())) == 2:
            found[match[1]] = value.shape[0] / max(1, recurrent.shape[1])
    networks = {prefix: _CELLS[rows] for prefix, rows in found.items() if rows in _CELLS}
    if asked is not None and asked not in networks and f"{asked}." in networks:
        asked = f"{asked}."
    other = asked if asked in found else next(iter(found), None)
    if found and other not in networks and (asked in found or not networks):
        raise ValueError(
            f"the weights at prefix {other!r} have {found[other]:g} * hidden_size rows, expected 3 * hidden_size "
            "for a GRU, 4 for an LSTM or 1 for an RNN"
        )
    if not found:
        held = ", ".join(list(state)[:20]) + (", ..." if len(state) > 20 else "")
        raise ValueError(
            f"there is no weight_ih_l0 with its weight_hh_l0 in the state dict, which holds {held or 'nothing'}"
        )
    grus = {prefix: cell for prefix, cell in networks.items() if cell == "gru"}
    if asked is not None or not grus:
        prefix = chosen(networks, asked, "recurrent network", "prefix")
    else:
        prefix = chosen(grus, None, "GRU", "prefix")
    return prefix, networks[prefix]


def _read(path):
    """The state dict in a file."""
    if path.endswith(".safetensors"):
        return read_safetensors(path, lambda name: _NAME.fullmatch(name.rpartition(".")[2]))
    return _read_pt(path)


def _read_pt(path):
    """A file of `torch.save`, read with ``weights_only=True``: tensors and containers, no code."""
    import zipfile

    size = file_size(path)
    try:
        import torch
    except ImportError as error:
        raise missing("PyTorch", "torch", error) from error
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                check_zip(archive, size)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
        state = _flat(loaded) if isinstance(loaded, Mapping) else {}
    except Exception as error:      # whatever PyTorch's readers and unpicklers meet
        reason = str(error).strip().split("\n")[0]
        raise ValueError(f"{path} is not a state dict that can be read without running code: {reason}") from error
    if not isinstance(loaded, Mapping):
        raise ValueError(f"{path} holds a {type(loaded).__name__}, expected a state dict")
    for name, value in state.items():
        if hasattr(value, "nelement"):      # an expanded tensor claims more than its storage
            check_expansion(f"{path}: {name}", value.nelement() * value.element_size(), size)
    return state


def to_torch(weights):
    """A torch.nn.GRU with these weights; see `GRU.to_torch`."""
    config = weights.config
    refused = [
        f"{name}={getattr(config, name)!r}"
        for name in ("reset_after", "activations", "clip", "reverse", "go_backwards", "merge_mode", "initial_state")
        if getattr(config, name) != _plain(config)[name]
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


def _plain(config):
    """What PyTorch's GRU has in the fields that it does not let one choose."""
    plain = type(config)(input_size=1, hidden_size=1, bidirectional=config.bidirectional)
    return {name: getattr(plain, name) for name in plain.__dataclass_fields__}
