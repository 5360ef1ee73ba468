"""Trees of parameters: mappings inside mappings, searched for the part that is a recurrent network."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from cgru.cells import CELLS, Cell
from cgru.convert._errors import check_one_name, chosen, networks_in_words, warn_left_out
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


class Form(NamedTuple):
    """The names by which a system's parameters of one kind of network are known.

    Attributes
    ----------
    kind : str
        Of the network: a key of `CELLS`.
    needed, optional : tuple of str
        Names below the network's own path, such as "ir/kernel".
    named : str
        Where these names are not enough, a pattern of the last part of its path; a network that is asked for by its
        name need not fit.
    stacked : str
        Where other kinds have the same names, the one of them whose longer side is `Cell.stacked` times the other.
    """

    kind: str
    needed: tuple[str, ...]
    optional: tuple[str, ...] = ()
    named: str = ""
    stacked: str = ""

    @property
    def cell(self) -> Cell:
        """Its row in the table of cells."""
        return CELLS[self.kind]

    def has_names(self, flat: Mapping[str, Any], prefix: str, asked: bool) -> bool:
        """Whether a network at `prefix`, which was `asked` for or not, is one by its names."""
        if any(prefix + name not in flat for name in self.needed):
            return False
        last = prefix.rstrip("/").rpartition("/")[2]
        return asked or not self.named or re.fullmatch(self.named, last) is not None

    def has_shape(self, flat: Mapping[str, Any], prefix: str) -> bool:
        """Whether its shape does not speak against it."""
        shape = getattr(flat[prefix + self.stacked], "shape", ()) if self.stacked else ()
        return len(shape) != 2 or max(shape) == self.cell.stacked * min(shape)


def network_parameters(
    source: Any, forms: Sequence[Form], asked: str | None
) -> tuple[Form, dict[str, Any]]:
    """The only recurrent network in a tree, or the one at the path `asked`: its form, and its parameters by last name.

    Parameters
    ----------
    source : mapping or path
        As for `flattened`.
    forms : sequence of Form
        What to look for. Of several forms that fit at one path the first is taken.
    asked : str or None
    """
    check_one_name(asked, "name")
    flat = flattened(source)
    asked = None if asked is None else asked.replace(".", "/").strip("/")
    found = _networks(flat, forms, () if asked is None else (asked, f"params/{asked}"))
    if not found:
        held = ", ".join(list(flat)[:12]) + (", ..." if len(flat) > 12 else "")
        kinds = {form.kind: form for form in reversed(forms)}      # of each kind the first
        looked = [f"{form.cell.name} with {', '.join(form.needed)}" for form in forms if form in kinds.values()]
        raise ValueError(f"there is no {' and no '.join(looked)} in the parameters, which are {held or 'none'}")
    if asked is not None and asked not in found and f"params/{asked}" in found:
        asked = f"params/{asked}"
    name = chosen(found, asked, networks_in_words(form.cell for form, _ in found.values()), "name")
    form, prefix = found[name]
    own = {prefix + last: last for last in (*form.needed, *form.optional) if prefix + last in flat}
    warn_left_out(_others(flat, own), name, asked, form.cell.name)
    return form, {last: flat[path] for path, last in own.items()}


def _networks(flat, forms, asked):
    """Path of a network -> its `Form` and what its parameters' names start with, in their order."""
    found = {}
    for name in flat:
        for first in dict.fromkeys(form.needed[0] for form in forms):
            if name == first or name.endswith(f"/{first}"):
                prefix = name[: -len(first)]
                own = prefix.rstrip("/")
                fitting = [form for form in forms if form.has_names(flat, prefix, False)]
                if not fitting and own in asked:
                    fitting = [form for form in forms if form.has_names(flat, prefix, True)]
                if fitting:      # where no shape is right, the first one's error tells
                    found[own] = next((form for form in fitting if form.has_shape(flat, prefix)), fitting[0]), prefix
    return found


def _others(flat, own):
    """The arrays that are not the network's own, nor an optimizer's, which stand below the variable of theirs."""
    for path, value in flat.items():
        if path not in own and path.rpartition("/")[0] not in flat and len(getattr(value, "shape", ())) > 0:
            yield path
