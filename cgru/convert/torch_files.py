"""State dicts out of PyTorch's files: tensors and containers, and no code is run."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

from cgru import stored
from cgru.convert._errors import missing
from cgru.convert.untrusted.files import (
    array_names,
    check_expansion,
    check_zip,
    file_size,
    read_arrays,
    safetensors_metadata,
)  # fmt: skip


def read_state(path: str, keep: Callable[[str], object] = lambda name: True) -> tuple[dict[str, Any], list[str]]:
    """The state dict in a .pt, .safetensors or .npz file, and the names of arrays that were not read.

    Of the last two, those are not read whose names `keep` refuses, unless it refuses all: then the names come alone.

    Raises
    ------
    OSError, ValueError, ImportError
    """
    if not path.lower().endswith((".safetensors", ".npz")):
        return _read_pt(path), []
    names = array_names(path)
    scaled = path.lower().endswith(".safetensors") and any(name.endswith(".scale") for name in names)
    if scaled and "cgru" in safetensors_metadata(path):
        return dict(stored.load(path).tensors), []      # cgru's own with int8 weights, nothing without their scales
    state = read_arrays(path, keep)
    # names alone, for the message that says what it holds
    return state or dict.fromkeys(names), [name for name in names if name not in state]


def flat(mapping: Mapping[Any, Any], above: str = "") -> dict[str, Any]:
    """A checkpoint's mappings inside mappings as one, their names joined by dots."""
    found: dict = {}
    for name, value in mapping.items():
        if isinstance(value, Mapping) and above.count(".") < 8:
            found |= flat(value, f"{above}{name}.")
        else:
            found[f"{above}{name}"] = value
    return found


def _refusal(text):
    """What is said of a file for which PyTorch's words are `text`: long, in colours, and about PyTorch's options."""
    unsafe = re.search(r"GLOBAL ([\w.]*\w)", text)
    if unsafe or "TorchScript" in text:
        what = f"a pickled {unsafe[1]}" if unsafe else "a TorchScript program"
        return (
            f"holds {what}, which cannot be read without running code; save the parameters alone instead: "
            "torch.save(model.state_dict(), path)"
        )
    words = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text.rpartition("WeightsUnpickler error:")[2]).split())
    first = re.match(r".*?[^.]\.(?= |$)|.*", words)
    return f"is not a state dict that can be read without running code: {first[0] if first else words}"


def _read_pt(path):
    """A file of `torch.save`, read with ``weights_only=True``: tensors and containers, no code."""
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
        state = flat(loaded) if isinstance(loaded, Mapping) else {}
    except Exception as error:      # whatever PyTorch's readers and unpicklers meet
        raise ValueError(f"{path} {_refusal(str(error))}") from None     # its own words are half a page, in colours
    if not isinstance(loaded, Mapping):
        raise ValueError(f"{path} holds a {type(loaded).__name__}, expected a state dict")
    for name, value in state.items():
        if hasattr(value, "nelement"):      # an expanded tensor claims more than its storage
            check_expansion(f"{path}: {name}", value.nelement() * value.element_size(), size)
    return state
