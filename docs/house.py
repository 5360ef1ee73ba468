"""The map of the code, out of its imports: `python docs/house.py` fills docs/house.md and draws pictures/house.png.

The tables of the page say which files are which room; the last column, what a room imports, is written here. Imports go
to lower floors. Those that a function does for something that stands above, and modules that are loaded by name when
somebody asks for them, are "later".

A new file: its name in the page. A new room: its row there, and its place in `FLOORS`. The picture needs matplotlib.
"""

import hashlib
import re
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))

from support.imports import first, imported, name_of  # noqa: E402

PACKAGE = ROOT / "cgru"
PAGE = Path(__file__).with_name("house.md")
PICTURE = Path(__file__).parent / "pictures" / "house.png"
SUFFIXES = (".py", ".pyx", ".pxd", ".h", ".c")
LOADERS = ("__init__.py", "engines/isas.py")     # those that load modules of other rooms by name
HEAD = "| room | files | what is in it | imports |"
#: From the top down, and from left to right. A room imports from floors below its own.
FLOORS = [
    ["command line"],
    ["judge", "batch"],
    ["study", "self-test", "torch"],
    ["converters", "C interface"],
    ["models"],
    ["traces", "gradients", "streams"],
    ["export", "forward"],
    ["files", "threads"],
    ["weights", "choice"],
    ["checks", "cells", "loops"],
    ["equations"],
    ["products"],
]


class Room(NamedTuple):
    """A row of the page."""

    name: str
    section: str
    patterns: tuple[str, ...]


class House(NamedTuple):
    """Rooms by name; their files, relative to the package; who imports whom, at once or later."""

    rooms: dict[str, Room]
    files: dict[str, list[str]]
    edges: set[tuple[str, str]]
    later: set[tuple[str, str]]


# ---- which file is in which room


def rooms_of(text):
    """The rooms of a page, in its order."""
    found, section, inside = {}, "", False
    for line in text.splitlines():
        section = line.removeprefix("## ") if line.startswith("## ") else section
        inside = line == HEAD or (inside and line.startswith("|"))
        if inside and line != HEAD and not line.startswith("| ---"):
            name, files = line.split(" | ")[:2]
            name = name.removeprefix("| ")
            found[name] = Room(name, section, tuple(patterns_of(files)))
    return found


def patterns_of(cell):
    """`` `engines/`: `a.pyx`, `b.pyx` `` are files of that folder, and `` `convert/` `` is all of a folder."""
    folder = ""
    for name, colon in re.findall(r"`([^`]+)`(:?)", cell):
        if colon:
            folder = name
        else:
            yield folder + name


def room_of(file, rooms):
    """The one room whose files it is among; what names it comes before what names its folder."""
    named = [room.name for room in rooms.values() if any(fnmatch(file, one) for one in room.patterns)]
    folder = [
        room.name for room in rooms.values() if any(one.endswith("/") and file.startswith(one) for one in room.patterns)
    ]
    found = named or folder
    assert len(found) == 1, f"cgru/{file} is in {' and '.join(found) or 'no room'}: mend the tables of docs/house.md"
    return found[0]


def read(text, package=PACKAGE):
    """The house as the page has its rooms and the package its imports."""
    rooms = rooms_of(text)
    paths = sorted(path for suffix in SUFFIXES for path in package.rglob(f"*{suffix}"))
    assert paths, f"there is no source in {package}"
    homes = {path: room_of(path.relative_to(package).as_posix(), rooms) for path in paths}
    files = {name: [path.relative_to(package).as_posix() for path in paths if homes[path] == name] for name in rooms}
    for room in rooms.values():
        for one in room.patterns:
            there = any(fnmatch(file, one) or (one.endswith("/") and file.startswith(one)) for file in files[room.name])
            assert there, f"docs/house.md has {one} in {room.name}, which is not there"
    modules = {name_of(path, package): path for path in paths if path.suffix in (".py", ".pyx", ".pxd")}
    edges, later = set(), set()
    for path in paths:
        for other, way in wanted(path, modules, package):
            pair = homes[path], homes[other]
            above = floor(pair[1]) <= floor(pair[0])
            if pair[0] != pair[1]:
                assert way != "at once" or not above, (
                    f"cgru/{path.relative_to(package)} imports {other.relative_to(package)}: "
                    f"{pair[1]} is not below {pair[0]} (FLOORS in docs/house.py)"
                )
                (later if above or way == "by name" else edges).add(pair)
    return House(rooms, files, edges, later - edges)


def wanted(path, modules, package):
    """The files that one imports, each with how: "at once", "inside" of a function, or "by name"."""
    if path.suffix in (".h", ".c"):
        return
    text = path.read_text(encoding="utf-8")
    for one in imported(path, text):
        other = modules[first(one.names, modules.__contains__)]
        if path.suffix != ".py" and other == package / "__init__.py":
            other = package / "__init__.pxd"      # a cimport of the package is one of its declarations
        yield other, "inside" if one.inside else "at once"
    if path.relative_to(package).as_posix() in LOADERS:
        for name in re.findall(r'"cgru\.([\w.]+)', text):
            home, _, last = name.rpartition(".")
            if last == "_":     # compiled for an instruction set, whose name follows
                built = [one for one in modules.values() if one.suffix == ".pyx" and one.parent == package / home]
                yield from ((one, "by name") for one in built if not one.stem.startswith("_"))
            else:
                yield modules[name.rstrip(".")], "by name"


def floor(name):
    """How far down a room is."""
    return next(number for number, names in enumerate(FLOORS) if name in names)


# ---- the page


def page(text, house):
    """The page with its last column filled."""
    lines = []
    for line in text.splitlines():
        cells = line.removeprefix("| ").removesuffix(" |").removesuffix(" |").split(" | ")
        if line.startswith("| ") and cells[0] in house.rooms:
            line = "| " + " | ".join([*cells[:3], said(cells[0], house)]) + " |"
        lines.append(line)
    return "\n".join(lines) + "\n"


def said(name, house):
    """What a room imports, in the page's order."""
    now, later = ([one for one in house.rooms if (name, one) in pairs] for pairs in (house.edges, house.later))
    return "; ".join([", ".join(now) or "nothing"] + ["later: " + ", ".join(later)] * bool(later))


def shown(house):
    """The arrows of the picture, each with whether it is of later; the others where no longer way implies them."""
    arrows = {pair: False for pair in sorted(house.edges) if pair[1] not in below(pair, house.edges)}
    return arrows | dict.fromkeys(sorted(house.later), True)


def below(pair, edges):
    """All that is reached from a room without this one arrow of it."""
    seen, ahead = set(), [other for one, other in edges if one == pair[0] and other != pair[1]]
    while ahead:
        name = ahead.pop()
        if name not in seen:
            seen.add(name)
            ahead += [other for one, other in edges if one == name]
    return seen


def mark(house):
    """What the picture shows, as a short text that the file of the picture holds, too."""
    words = repr((FLOORS, [(room.name, room.section) for room in house.rooms.values()], sorted(shown(house).items())))
    return "house " + hashlib.sha256(words.encode()).hexdigest()[:24]


def main(folder):
    """Draw the picture of the house as it is now."""
    sys.path.append(str(Path(__file__).parent))
    from house_picture import draw

    house = read(PAGE.read_text(encoding="utf-8"))
    sizes = {
        name: sum(len((PACKAGE / file).read_text(encoding="utf-8").splitlines()) for file in files)
        for name, files in house.files.items()
    }
    sections = {name: room.section for name, room in house.rooms.items()}
    draw(FLOORS, shown(house), sizes, sections).savefig(
        Path(folder) / PICTURE.name, dpi=110, metadata={"Description": mark(house)}
    )


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(page(text, read(text)), encoding="utf-8", newline="\n")
    main(*(sys.argv[1:] or [PICTURE.parent]))
