"""JSON files of models: RTNeural's, AIDA-X's, Neural Amp Modeler's."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from cgru.convert.untrusted.files import file_size


def json_object(source: Any, expected: str) -> Mapping[str, Any]:
    """The object in a JSON file, or `source` itself where it is one that was read already.

    Parameters
    ----------
    source : path or dict
    expected : str
        What it should be, for messages: "a dict with layers".

    Raises
    ------
    TypeError
        Neither a path nor a dict.
    ValueError
        No JSON, or no object.
    OSError
        The file cannot be read.
    """
    if isinstance(source, Mapping):
        return source
    if not isinstance(source, str | os.PathLike):
        raise TypeError(f"expected a path or {expected}; got {type(source).__name__}")
    path = os.fspath(source)
    file_size(path)
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, Mapping):
        raise ValueError(f"{path} holds a {type(found).__name__}, expected {expected}")
    return found
