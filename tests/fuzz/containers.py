"""Changes inside of file formats with the standard library and NumPy: what a flipped bit would only be refused for."""

import io
import json
import struct
import warnings
import zipfile

import numpy as np

from fuzz.mutations import changed_bytes, changed_json, changed_tree

_DTYPES = (
    "F64", "F32", "F16", "BF16", "I64", "I32", "I8", "U8", "BOOL", "F8_E4M3", "x", "", None,
)  # fmt: skip
_SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I8": 1, "U8": 1, "BOOL": 1}
_DESCR = (
    "<f4", ">f4", "<f8", ">f8", "<f2", "<i8", "<i4", "|i1", "|u1", "|b1", "|O", "<U5", "|V8", "|S3", "<c8",
    "<f16", "<M8[s]", "<m8[ns]", "x", "f4,f4", [("a", "<f4"), ("b", "<i8")], ("<f4", (2,)), None, 3,
)  # fmt: skip


# ---- .safetensors


def safetensors(data, rng):
    """The header changed: as a tree, in its configuration, in types and shapes, or in both so that they still fit."""
    length = int.from_bytes(data[:8], "little")
    header, numbers = json.loads(data[8 : 8 + length]), data[8 + length :]
    how = rng.randrange(6)
    metadata = header.get("__metadata__") or {}
    names = [name for name in header if name != "__metadata__"]
    if how <= 1 and "cgru" in metadata:
        metadata["cgru"] = json.dumps(changed_tree(json.loads(metadata["cgru"]), rng))
    elif how <= 3 and names:
        header, numbers = _fitting(header, numbers, names, rng)
    else:
        header = changed_tree(header, rng)
    text = json.dumps(header).encode()
    if not rng.randrange(12):
        text = changed_bytes(text, rng)
    declared = len(text) if rng.randrange(20) else rng.choice((0, 1, 2**31, 2**63, 2**64 - 1, len(text) + 1))
    return declared.to_bytes(8, "little") + text + numbers


def _fitting(header, numbers, names, rng):
    """Tensors that are gone, renamed, of other types and shapes, with offsets that fit."""
    parts = {name: dict(header.pop(name)) for name in names}
    bodies = {name: numbers[slice(*part["data_offsets"])] for name, part in parts.items()}
    for _ in range(rng.choice((1, 1, 2, 3))):
        name, how = rng.choice(list(parts)), rng.randrange(5)
        if how == 0 and len(parts) > 1:
            del parts[name]
        elif how == 1:
            new = rng.choice(
                (name + ".scale", name + "_reverse", "0." + name, name[:-1] + "1", "x", rng.choice(names), "a\nb")
            )
            parts[new], bodies[new] = dict(parts[name]), bodies[name]
        elif how == 2:
            parts[name]["dtype"] = rng.choice(_DTYPES)
        else:
            shape = list(parts[name]["shape"])
            if shape and rng.randrange(3):
                shape[rng.randrange(len(shape))] = rng.choice((0, 1, 2, 3, 4, 12, 2**31, shape[0] + 1))
            else:
                shape = rng.choice(([], [1, *shape], shape[::-1], [*shape, 1], [*shape, 0]))
            parts[name]["shape"] = shape
    place, out = 0, []
    for name, part in parts.items():
        size = int(np.prod(part["shape"], dtype=object)) * _SIZES.get(part["dtype"], 1)
        size = size if size < 1 << 16 else len(bodies[name])
        out.append((bodies[name] * (size // max(1, len(bodies[name])) + 1))[:size].ljust(size, b"\0"))
        header[name] = part | {"data_offsets": [place, place + size]}
        place += size
    return header, b"".join(out)


# ---- .npy


def npy(data, rng):
    """Another dtype, shape or order in the header, often with as many numbers as that asks for; another version."""
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    header = dict(zip(("shape", "fortran_order", "descr"), np.lib.format.read_array_header_1_0(stream), strict=True))
    numbers = stream.read()
    header["descr"] = np.lib.format.dtype_to_descr(header["descr"])
    how = rng.randrange(4)
    if how == 0:
        header["descr"] = rng.choice(_DESCR)
    elif how == 1:
        header["fortran_order"] = rng.choice((True, False, not header["fortran_order"], 1, "x"))
    if how >= 2 or not rng.randrange(3):
        shape = list(header["shape"])
        size = rng.choice((0, 1, 2, 3, 5, -1, 2**31, 2**63, 10**30, True, 2.0, "3", len(numbers)))
        if shape and rng.randrange(3):
            shape[rng.randrange(len(shape))] = size
        header["shape"] = rng.choice(
            (tuple(shape), (size,), (), (size, *shape), (*shape, size), (0, 2**62), shape, None)
        )
    text = repr(header if rng.randrange(8) else changed_tree(header, rng)).encode("utf-8", "replace")
    if not rng.randrange(8):
        text = changed_bytes(text, rng)
    size = _declared(header)
    if size is not None and rng.randrange(4):
        numbers = (numbers * (size // max(1, len(numbers)) + 1))[:size].ljust(size, b"\0")
    version = version if rng.randrange(6) else rng.choice(((1, 0), (2, 0), (3, 0), (9, 9)))
    return (
        b"\x93NUMPY"
        + bytes(version)
        + struct.pack("<H" if version == (1, 0) else "<I", len(text) + 1)
        + text
        + b"\n"
        + numbers
    )


def _declared(header):
    """Bytes of the numbers, where that is a small size."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            size = int(np.prod(header["shape"], dtype=object)) * np.dtype(header["descr"]).itemsize
        return size if 0 <= size < 1 << 16 else None
    except (TypeError, ValueError, OverflowError, SyntaxError):
        return None


# ---- zip archives


def zipped(inside):
    """A change of one member of an archive by its suffix in the dict `inside`, or of the members' names and storage."""

    def change(data, rng):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(name, archive.read(name)) for name in archive.namelist()]
        number, how = rng.randrange(len(members)), rng.randrange(10)
        name, content = members[number]
        if how == 0:
            del members[number]
        elif how == 1:
            other = rng.choice(members)
            members[number] = (name, other[1])
        elif how == 2:
            new = rng.choice(
                (
                    name + "x",
                    name[1:],
                    "../" + name,
                    "/" + name,
                    "x.npy",
                    "a\nb.npy",
                    name.replace("/", "."),
                    rng.choice(members)[0],
                )
            )
            members.append((new, content))
        else:
            change_one = next((one for suffix, one in inside.items() if name.endswith(suffix)), changed_bytes)
            members[number] = (name, change_one(content, rng))
        return _packed(members, rng)

    return change


def _packed(members, rng):
    out = io.BytesIO()
    kind = (
        zipfile.ZIP_STORED
        if rng.randrange(4)
        else rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are there twice
        with zipfile.ZipFile(out, "w", kind) as archive:
            for name, content in members:
                archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, compress_type=kind)
    return out.getvalue()


NPZ = zipped({".npy": npy})
KERAS_PARTS = {".json": changed_json}


# ---- .csv and lists of numbers


_CELLS = (
    b"", b"nan", b"inf", b"-inf", b"1e999", b"1e-999", b"0x1", b"1_000", b" 1 ", b"\0", b'"1"', b"1;2", b"x",
    b"-", b"+1", b"True", "\u0661".encode(), b"\xff", b"1" * 400, b"9223372036854775808", b"-1", b"2.5", b"#",
)  # fmt: skip
_LINES = (
    b"", b"\r", b"\n\n", b",", b",,,", b"a,b,c", b"# no", b"\x0c", "\u2028".encode(), b"\xef\xbb\xbf",
    b"\xff\xfe", b" ",
)  # fmt: skip


def csv(data, rng):
    """Cells, lines and line ends that are odd, missing, or too many."""
    lines = data.split(b"\n")
    for _ in range(rng.choice((1, 1, 2, 4))):
        number, how = rng.randrange(len(lines)), rng.randrange(6)
        cells = lines[number].split(b",")
        if how == 0:
            lines.insert(number, rng.choice(_LINES))
        elif how == 1 and len(lines) > 1:
            del lines[number]
        elif how == 2:
            lines.append(rng.choice(lines))
        elif how == 3:
            lines = [line + b"\r" for line in lines]
        else:
            place = rng.randrange(len(cells))
            cells[place : place + rng.randrange(2)] = [rng.choice(_CELLS)]
            lines[number] = b",".join(cells)
    return b"\n".join(lines)
