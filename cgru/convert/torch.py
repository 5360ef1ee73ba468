"""PyTorch: modules, state dicts and their files.

The canonical form is PyTorch's own, so names are all there is to convert.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cgru.convert._build import BY_ROWS, functions, model_from
from cgru.convert._errors import check_one_name, chosen, networks_in_words, warn_left_out
from cgru.convert.torch_files import flat, read_state
from cgru.weights import Weights, weights_from_state_dict

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from cgru.gru import GRU
    from cgru.lstm import LSTM
    from cgru.rnn import RNN

_FIRST = re.compile(r"(.*?)weight_ih(_l0)?")
_OPTIMIZER = re.compile(r"(.*\.)?optim[^.]*\..*")      # a checkpoint's; no part of a model
_NAME = re.compile(r"(?:weight|bias)_(?:ih|hh)(?:_l\d+(?:_reverse)?)?")


def from_torch(
    source: Any,
    *,
    prefix: str | None = None,
    batch_first: bool | None = None,
    nonlinearity: Any = None,
    dtype: DTypeLike | None = None,
    engine: str = "auto",
) -> GRU | LSTM | RNN:
    """A GRU from PyTorch, or an LSTM or RNN: from a module, a state dict or a file.

    Parameters
    ----------
    source : torch.nn.GRU, torch.nn.GRUCell, torch.nn.Module, mapping or path
        A module that is or contains a GRU, an nn.LSTM, an nn.RNN or one of their cells;
        a state dict, which may lie inside other dicts, as in checkpoints; the path of a ``.safetensors`` file, or of
        a ``.pt`` file of `torch.save`, which needs PyTorch and is read with ``weights_only=True``: no code in it is
        run; or of an ``.npz`` file that holds a state dict.
    prefix : str, optional
        Which network, where there are several: what stands before ``weight_ih_l0`` (a GRUCell's ``weight_ih``), such
        as "encoder.gru.".
    batch_first : bool, optional
        As in `GRU`; by default as in the module, and False for a state dict, which does not hold it.
    nonlinearity : activation, optional
        Of an RNN, see `cgru.activations`; by default as in the module, and "tanh" for a state dict, which does not
        hold it.
    dtype : dtype, optional
        float32 or float64; by default float64 where all parameters are float64, else float32.
    engine : str, default "auto"
        As in `GRU`.

    Returns
    -------
    GRU, LSTM or RNN
        With PyTorch's shapes. A GRUCell is a GRU of one layer: ``gru(x_t[None], h[None])`` is its step.

    Raises
    ------
    TypeError
        Something else was given.
    ValueError
        No such network, several (their prefixes are listed), `nonlinearity` without an RNN, or a file that is
        damaged or needs code run.
    OSError
        The file cannot be read.
    ImportError
        A ``.pt`` file without PyTorch.

    Warns
    -----
    UserWarning
        The source holds other tensors, which are left out: they are named. Not where `prefix` is given.

    Examples
    --------
    >>> import torch, cgru
    >>> gru = cgru.from_torch(torch.nn.GRU(3, 5, batch_first=True))
    >>> gru.batch_first
    True
    """
    return model_from(
        weights_from_torch, source, prefix=prefix, batch_first=batch_first, nonlinearity=nonlinearity,
        dtype=dtype, engine=engine,
    )  # fmt: skip


def weights_from_torch(
    source, *, prefix=None, batch_first=None, nonlinearity=None, dtype=None, option="prefix"
) -> Weights:
    """`Weights` of a GRU, LSTM or RNN, of a module or state dict that holds one, or of a file; see `from_torch`.

    `option` is what the messages call `prefix`.
    """
    check_one_name(prefix, option)
    modules: dict[str, Any] = {}
    others: list[str] = []
    if isinstance(source, str | os.PathLike):
        state, others = read_state(os.fspath(source), lambda name: _NAME.fullmatch(name.rpartition(".")[2]))
    elif isinstance(source, Mapping):
        state = flat(source)
    elif callable(getattr(source, "state_dict", None)):
        state = flat(source.state_dict())
        modules = dict(source.named_modules())
    else:
        raise TypeError(
            "expected an nn.GRU (GRUCell, LSTM, RNN), a module or a state dict that holds one, or the path of a "
            f".safetensors, .npz or .pt file; got {type(source).__name__}"
        )
    asked = prefix
    prefix, cell = _network(state, prefix, option)
    module = modules.get(prefix.removesuffix("."))
    if batch_first is None:
        batch_first = bool(getattr(module, "batch_first", False))
    own = [name for name in state if name.startswith(prefix) and _NAME.fullmatch(name[len(prefix) :])]
    arrays = {_layered(name[len(prefix) :]): state[name] for name in own}
    others += [name for name in state if name not in own and _is_tensor(state[name])]
    others += _without_parameters(modules, prefix)
    left = (name for name in others if not _OPTIMIZER.fullmatch(name))
    warn_left_out(left, prefix, asked, cell.name, door="from_torch")
    if "nonlinearity" in cell.options and nonlinearity is None:
        nonlinearity = getattr(module, "nonlinearity", None)
    activations = functions(cell, nonlinearity=nonlinearity)
    reset_after = getattr(module, "reset_after", None)      # of cgru.torch's own
    own_options = {"reset_after": reset_after} if isinstance(reset_after, bool) else {}
    return weights_from_state_dict(
        arrays, dtype=dtype, kind=cell.kind, batch_first=batch_first, activations=activations, **own_options
    )


def _is_tensor(value):
    return len(getattr(value, "shape", ())) > 0


#: What has no part in the outputs of a trained model, is a loss, or an empty container.
_IDLE = re.compile(r"Identity|\w*Dropout\w*|\w+Loss|Sequential|ModuleList|ModuleDict")


def _without_parameters(modules, prefix):
    """The modules apart from the one at `prefix` that compute something and have no parameters: "act (Tanh)"."""
    return [
        f"{name} ({type(module).__name__})"
        for name, module in modules.items()
        if name and name != prefix.removesuffix(".") and not any(True for _ in module.children())
        and not module.state_dict() and not _IDLE.fullmatch(type(module).__name__)
    ]  # fmt: skip


def _layered(name):
    """A GRUCell's name as that of layer 0."""
    return name if "_l" in name else name + "_l0"


def _network(state, asked, option):
    """Prefix and cell of the only network in the state dict, or of the one asked for.

    The prefix that is asked for may lack its last dot.
    """
    found = {}
    for name, value in state.items():
        match = _FIRST.fullmatch(name)
        recurrent = state.get(name.replace("weight_ih", "weight_hh"))
        if match and len(getattr(value, "shape", ())) == len(getattr(recurrent, "shape", ())) == 2:
            found[match[1]] = value.shape[0] / max(1, recurrent.shape[1])
    networks = {prefix: BY_ROWS[rows] for prefix, rows in found.items() if rows in BY_ROWS}
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
    prefix = chosen(networks, asked, networks_in_words(networks.values()), option)
    return prefix, networks[prefix]
