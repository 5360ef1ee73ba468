"""Trees of parameters: mappings inside mappings, searched for the part that is a GRU."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cgru.convert._errors import check_one_name, chosen, warn_left_out
from cgru.convert.untrusted.files import read_arrays

_DEPTH = 32


def flattened(source: Any) -> dict[str, Any]:
    """A tree as one dict whose names are joined by "/"; dots and slashes in names also separate.

    `source` is a mapping (of mappings), or the path of an .npz or .safetensors file. TensorFlow's ":0" is dropped.
    """
    if isinstance(source, str | os.PathLike):
        source = read_arrays(os.fspath(source))
    if not isinstance(source, Mapping):
        raise TypeError(f"expected a mapping from names to arrays, or a path; got {type(source).__name__}")
    return dict(_leaves(source, (), 0))


def path_of(name: str) -> str:
    """A parameter's name with "/" between its parts."""
    return name.removesuffix(":0").replace(".", "/").strip("/")


def _leaves(tree: Mapping[Any, Any], above: tuple[str, ...], depth: int) -> Iterator[tuple[str, Any]]:
    if depth > _DEPTH:
        raise ValueError(f"the parameters are nested more than {_DEPTH} deep")
    for name, value in tree.items():
        path = (*above, path_of(str(name)))
        if isinstance(value, Mapping):
            yield from _leaves(value, path, depth + 1)
        else:
            yield "/".join(path), value


def gru_parameters(
    source: Any, needed: Sequence[str], asked: str | None, optional: Sequence[str] = ()
) -> dict[str, Any]:
    """The parameters of the only GRU in a tree, or of the one at the path `asked`, under their last names.

    Parameters
    ----------
    source : mapping or path
        As for `flattened`.
    needed, optional : sequence of str
        Names below the GRU's own path, such as "ir/kernel".
    asked : str or None
    """
    check_one_name(asked, "name")
    flat = flattened(source)
    first = needed[0]
    prefixes = [name[: -len(first)] for name in flat if name == first or name.endswith(f"/{first}")]
    found = {
        prefix.rstrip("/"): prefix for prefix in prefixes if all(prefix + name in flat for name in needed)
    }  # fmt: skip
    if not found:
        held = ", ".join(list(flat)[:12]) + (", ..." if len(flat) > 12 else "")
        raise ValueError(f"there is no GRU with {', '.join(needed)} in the parameters, which are {held or 'none'}")
    if asked is not None:
        asked = asked.replace(".", "/").strip("/")
        if asked not in found and f"params/{asked}" in found:
            asked = f"params/{asked}"
    name = chosen(found, asked, "GRU", "name")
    own = {found[name] + last: last for last in (*needed, *optional) if found[name] + last in flat}
    warn_left_out(_others(flat, own), name, asked)
    return {last: flat[path] for path, last in own.items()}


def _others(flat, own):
    """The arrays that are not the GRU's own, nor an optimizer's, which stand below the variable that they belong to."""
    for path, value in flat.items():
        if path not in own and path.rpartition("/")[0] not in flat and len(getattr(value, "shape", ())) > 0:
            yield path
