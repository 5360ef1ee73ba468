"""Writes the published cases: cases.npz, cases.json, cgru_cases.h, and FORMAT.md, which says what they hold."""

from __future__ import annotations

import contextlib
import io
import json
import os
import zipfile

import numpy as np

from cgru._version import __version__
from cgru.cells import CELLS
from cgru.files import whole_file
from cgru.judge.case_format import HEADER, TYPES, format_text
from cgru.judge.cases import CASES, FUNCTIONS, PADDING

#: The format of the files, not of the package.
VERSION = 1
NAMES = ("cases.npz", "cases.json", "cgru_cases.h", "FORMAT.md")
#: Arrays of a case beside its weights, in the order in which they are written.
_ARRAYS = ("x", "h_0", "c_0", "y", "h_n", "c_n")


def write_cases(directory, *, seed=0, progress=None):
    """Write the cases of a seed into a directory: all four files or none.

    Parameters
    ----------
    directory : str or path
        Made where it is not there; its parent must be. Files of these names are replaced.
    seed : int
    progress : callable, optional
        Called with (done, total).

    Returns
    -------
    list of str
        The paths of the files.

    Raises
    ------
    OSError
        The directory is none, or cannot be written.
    ValueError, TypeError
        The seed is no integer from 0 on.
    """
    directory = os.fspath(directory)
    refuse_directory(directory)
    cases = CASES(seed, progress=progress)
    writers = (_npz, _json, _header, _format)
    contents = [writer(cases, seed) for writer in writers]
    made = not os.path.isdir(directory)
    if made:
        os.mkdir(directory)
    paths = [os.path.join(directory, name) for name in NAMES]
    try:
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(whole_file(path)) for path in paths]
            for file, content in zip(files, contents, strict=True):
                file.write(content)
    except BaseException:
        if made:
            with contextlib.suppress(OSError):
                os.rmdir(directory)
        raise
    return paths


def refuse_directory(directory):
    """Refuse a directory that the cases cannot be written to.

    Raises
    ------
    OSError
        It is a file, its parent is not there, it cannot be written, or there is a folder of a file's name in it.
    """
    if not os.path.isdir(directory):
        if os.path.lexists(directory):
            raise NotADirectoryError(f"{directory} is a file, expected a folder for the cases: give another name")
        parent = os.path.dirname(os.path.abspath(directory))
        if not os.path.isdir(parent):
            raise FileNotFoundError(f"{directory} cannot be made: there is no folder {parent}; make it first")
        if not os.access(parent, os.W_OK | os.X_OK):
            raise PermissionError(f"{directory} cannot be made: the folder {parent} cannot be written to")
        return
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PermissionError(f"the folder {directory} cannot be written to: give another one for the cases")
    for name in NAMES:
        if os.path.isdir(os.path.join(directory, name)):
            raise IsADirectoryError(f"{os.path.join(directory, name)} is a folder, expected a file name: move it away")


def metadata(case):
    """What a case is apart from its arrays, as JSON has it."""
    return {
        "name": case.name,
        "cell": case.cell,
        "input_size": case.I,
        "hidden_size": case.H,
        "rows": case.N,
        "steps": case.T,
        "reset_after": case.reset_after,
        "z_keeps": case.z_keeps,
        "gates": CELLS[case.cell].gates,
        "activations": [
            {"of": letter, "name": function.name, "alpha": function.alpha, "beta": function.beta}
            for letter, function in zip(CELLS[case.cell].functions, case.activations, strict=True)
        ],
        "lengths": None if case.lengths is None else case.lengths.tolist(),
    }


def arrays(case):
    """Its arrays by name, weights first; None where the cell has no such state."""
    return case.weights | {name: getattr(case, name) for name in _ARRAYS}


# ---- the files


def _npz(cases, seed):
    """Arrays under NAME.ARRAY; `cases` is the text of the JSON without the arrays."""
    about = _about(seed) | {"cases": [metadata(case) for case in cases]}
    members = {"cases": np.array(json.dumps(about))}
    for case in cases:
        members |= {f"{case.name}.{name}": array for name, array in arrays(case).items() if array is not None}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in members.items():
            member = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))      # no clock: the same bytes every time
            member.compress_type = zipfile.ZIP_DEFLATED
            data = io.BytesIO()
            np.lib.format.write_array(data, array, allow_pickle=False)
            archive.writestr(member, data.getvalue())
    return buffer.getvalue()


def _json(cases, seed):
    """One array to a line, rows nested as in NumPy."""
    texts = []
    for case in cases:
        lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in metadata(case).items()]
        lines += [f"{json.dumps(name)}: {_nested(array)}" for name, array in arrays(case).items()]
        texts.append("{\n" + ",\n".join(lines) + "\n}")
    about = "".join(f"{json.dumps(key)}: {json.dumps(value)},\n" for key, value in _about(seed).items())
    return ("{\n" + about + '"cases": [\n' + ",\n".join(texts) + "\n]\n}\n").encode("ascii")


def _about(seed):
    return {
        "format": "cgru cases", "version": VERSION, "seed": int(seed), "written_by": f"cgru {__version__}",
        "see": "FORMAT.md",
    }  # fmt: skip


def _nested(array):
    if array is None:
        return "null"
    if array.ndim == 1:
        return f"[{', '.join(_decimals(array))}]"
    return f"[{', '.join(map(_nested, array))}]"


def _decimals(array):
    """The shortest decimals that are read back as the same numbers, each with a point or an exponent."""
    return [str(number) for number in array] if array.dtype == np.float32 else list(map(repr, array.tolist()))


def _header(cases, seed):
    """A C99 and C++ header: static const arrays, and an array of structs over them."""
    text = [HEADER.format(version=__version__, seed=int(seed), format=VERSION)]
    text += [f"#define CGRU_CASE_{name.upper()} {number}\n" for number, name in enumerate(FUNCTIONS)]
    text.append(TYPES)
    rows = []
    for case in cases:
        names = {}
        if case.lengths is not None:
            names["lengths"] = f"cgru_case_{case.name}_lengths"
            text.append(f"static const int {names['lengths']}[{case.N}] = {{{', '.join(map(str, case.lengths))}}};\n")
        for name, array in arrays(case).items():
            if array is not None:
                names[name] = f"cgru_case_{case.name}_{name.removesuffix('_l0')}"
                text.append(_c_array(names[name], array))
        rows.append(_c_struct(case, names))
    text.append(f"\n#define CGRU_CASES_COUNT {len(cases)}\n\n")
    text.append("static const cgru_case cgru_cases[CGRU_CASES_COUNT] = {\n" + ",\n".join(rows) + "\n};\n\n#endif\n")
    return "".join(text).encode("ascii")


def _c_array(name, array):
    single = array.dtype == np.float32
    numbers = [f"{number}f" for number in _decimals(array.ravel())] if single else _decimals(array.ravel())
    lines = [", ".join(numbers[start : start + 12]) for start in range(0, len(numbers), 12)]
    return f"static const {'float' if single else 'double'} {name}[{array.size}] = {{\n" + ",\n".join(lines) + "};\n"


def _c_struct(case, names):
    functions = [*case.activations, *[case.activations[-1]] * 3][:3]
    codes = ", ".join(str(list(FUNCTIONS).index(function.name)) for function in functions)
    alpha, beta = (", ".join(repr(getattr(function, which)) for function in functions) for which in ("alpha", "beta"))
    form = ", ".join("-1" if value is None else str(int(value)) for value in (case.reset_after, case.z_keeps))
    sizes = f"{case.I}, {case.H}, {case.N}, {case.T}"
    pointers = [names.get(name, "0") for name in ("lengths", *arrays(case))]
    return (
        f'    {{"{case.name}", {CELLS[case.cell].code}, {sizes}, {form}, {{{codes}}}, {{{alpha}}}, {{{beta}}},\n     '
        + ",\n     ".join(pointers) + "}"
    )


def _format(cases, seed):
    sizes = sorted({case.H for case in cases})
    return format_text(
        functions=FUNCTIONS, padding=PADDING, count=len(cases), seed=int(seed), version=__version__, format=VERSION,
        least=sizes[0], most=sizes[-1],
    ).encode("ascii")  # fmt: skip
