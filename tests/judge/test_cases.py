"""The published cases: right against the oracle, the same for a seed, and three files of the same numbers."""

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import cgru
from cgru.judge import case_files
from cgru.judge.case_files import NAMES, arrays, metadata, write_cases
from cgru.judge.cases import CASES, FAMILIES, PADDING
from support import reference
from support.functions import activation

CHECK = Path(__file__).with_name("check_cases.c")


@cache
def cases():
    return CASES()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with the files of seed 0."""
    folder = tmp_path_factory.mktemp("cases") / "new"
    write_cases(folder)
    return folder


def oracle(case):
    """y and the final states, by the tests' oracle; a z that takes the new value is one with its rows negated."""
    weights, form = {name: array.astype(np.float64) for name, array in case.weights.items()}, {}
    functions = dict(zip({"lstm": "fgh"}.get(case.cell, "fg" if case.cell == "gru" else "g"), case.activations,
                         strict=True))
    form |= {letter: activation(tuple(function)) for letter, function in functions.items()}
    hx = case.h_0[None]
    if case.cell == "gru":
        form["reset_after"] = case.reset_after
        for array in weights.values():
            array[case.H : 2 * case.H] *= 1 if case.z_keeps else -1
    elif case.cell == "lstm":
        hx = (hx, case.c_0[None])
    y, ends = getattr(reference, case.cell)(case.x, weights, hx, case.lengths, **form)
    ends = ends if isinstance(ends, tuple) else (ends, )
    return y, *(end[0] for end in ends)


@pytest.mark.parametrize("family", FAMILIES)
def test_outputs_are_the_oracle_s(family):
    ours = [case for case in cases() if case.name.startswith(family)]
    assert len(ours) >= 20
    for case in ours:
        found = [case.y, case.h_n] + ([] if case.c_n is None else [case.c_n])
        for one, expected in zip(found, oracle(case), strict=True):
            np.testing.assert_allclose(one, expected, rtol=0, atol=1e-12, err_msg=case.name)


def test_z_that_takes_is_another_equation():
    """Not the same outputs under another name."""
    for case in cases():
        if case.z_keeps is False and case.is_usual:
            weights, h_0 = case.weights, case.h_0[None]
            y, _ = reference.gru(case.x, weights, h_0, case.lengths, reset_after=case.reset_after)
            assert np.abs(y - case.y).max() > 1e-3


@pytest.mark.parametrize(("dtype", "most"), [(np.float32, 1e-6), (np.float64, 1e-14)])
def test_the_engines_agree(dtype, most):
    """So 1e-5 is far from what float32 loses, in all cases."""
    for case in cases():
        weights = {name: array.copy() for name, array in case.weights.items()}
        name = "nonlinearity" if case.cell == "rnn" else "activations"
        options = {name: case.activations[0] if case.cell == "rnn" else case.activations}
        if case.cell == "gru":
            options["reset_after"] = case.reset_after
            for array in weights.values():
                array[case.H : 2 * case.H] *= 1 if case.z_keeps else -1
        model = getattr(cgru, case.cell.upper()).from_state_dict(weights, dtype=dtype, **options)
        hx = case.h_0[None] if case.c_0 is None else (case.h_0[None], case.c_0[None])
        y, _ = model(case.x, hx, lengths=case.lengths)
        assert np.abs(y - case.y).max() <= most * max(1, np.abs(case.y).max()), case.name


def test_what_there_is():
    """Every H from 1 to 70, lengths with 0 and T, zero and other states, other functions, float32 inputs."""
    found = cases()
    assert {case.H for case in found} == set(range(1, 71)) and max(case.I for case in found) == 70
    assert len({case.name for case in found}) == len(found) and all(case.name.isidentifier() for case in found)
    for family, (cell, reset_after, z_keeps) in FAMILIES.items():
        ours = [case for case in found if case.name.startswith(family)]
        assert {(case.cell, case.reset_after, case.z_keeps) for case in ours} == {(cell, reset_after, z_keeps)}
        assert {1, 3, 17, 33} <= {case.H for case in ours} and {1, 2, 3} <= {case.N for case in ours}
        assert sum(case.h_0.any() for case in ours) > len(ours) / 2 and not all(case.h_0.any() for case in ours)
        padded = [case for case in ours if case.lengths is not None]
        assert padded and {0, padded[0].T} <= set(padded[0].lengths) and (padded[0].x == PADDING).any()
        assert sum(not case.is_usual for case in ours) == 4
        assert all(np.abs(case.weights["bias_ih_l0"]).max() > 700 for case in ours if "saturated" in case.name)
    for case in found:
        for array in (*case.weights.values(), case.x, case.h_0):
            assert array.dtype == np.float32 and np.isfinite(array).all()
        assert case.N == 1 or len({case.T, case.N, case.I, case.H}) == 4


def test_a_seed_gives_the_same_numbers_and_another_does_not():
    for one, again, other in zip(cases(), CASES(0), CASES(7), strict=True):
        assert (one.name, one.H, one.I) == (again.name, again.H, again.I) == (other.name, other.H, other.I)
        for name, array in arrays(one).items():
            assert_array_equal(array, arrays(again)[name])
        assert (one.weights["weight_hh_l0"] != other.weights["weight_hh_l0"]).any()


def test_the_first_numbers_of_seed_0_stay():
    """As published: bits of PCG64, four decimals."""
    first, last = cases()[0], cases()[-1]
    assert_array_equal(first.weights["weight_ih_l0"].ravel(), np.array([0.4207, 1.0415, 0.2386], np.float32))
    assert_array_equal(last.x[0, 0], np.array([-1.8866, -0.2346, 0.2476, -0.0444], np.float32))


@pytest.mark.parametrize(("seed", "error"), [(-1, ValueError), (1.5, TypeError), (True, TypeError), ("0", TypeError)])
def test_a_seed_that_is_none(seed, error):
    with pytest.raises(error, match=r"seed must be .* got"):
        CASES(seed)


# ---- the files


def test_npz(written):
    with np.load(written / "cases.npz", allow_pickle=False) as file:
        about = json.loads(str(file["cases"]))
        assert about["seed"] == 0 and about["cases"] == [metadata(case) for case in cases()]
        names = {"cases"}
        for case in cases():
            for name, array in arrays(case).items():
                if array is not None:
                    names.add(f"{case.name}.{name}")
                    assert_array_equal(file[f"{case.name}.{name}"], array)
                    assert file[f"{case.name}.{name}"].dtype == array.dtype
        assert set(file.files) == names


def test_json_reads_back_as_the_same_numbers(written):
    about = json.loads((written / "cases.json").read_text("ascii"))
    assert (about["format"], about["version"], about["seed"]) == ("cgru cases", case_files.VERSION, 0)
    for found, case in zip(about["cases"], cases(), strict=True):
        assert {name: found[name] for name in metadata(case)} == metadata(case)
        for name, array in arrays(case).items():
            if array is None:
                assert found[name] is None
            else:
                assert_array_equal(np.array(found[name], np.float64).astype(array.dtype), array)


def compilers():
    """Each compiler with the flags of C99, and as C++."""
    flags = {"gcc": ["-std=c99"], "clang": ["-std=c99"], "g++": ["-x", "c++"], "clang++": ["-x", "c++"]}
    return [pytest.param([name, *more], id=name,
                         marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"needs {name}"))
            for name, more in flags.items()]  # fmt: skip


@pytest.mark.skipif(os.name != "posix", reason="a compiler with gcc's options")
@pytest.mark.parametrize("compiler", compilers())
def test_the_header_in_a_c_program(written, tmp_path, compiler):
    """A program over FORMAT.md alone gets every output, within 1e-12."""
    program = tmp_path / "check"
    strict = ["-Wall", "-Wextra", "-pedantic", "-Werror"]
    subprocess.run([*compiler, *strict, "-I", written, CHECK, "-lm", "-o", program], check=True, timeout=120)
    done = subprocess.run([program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, f"{len(cases())} cases\n")


@pytest.mark.skipif(os.name != "posix" or shutil.which("cc") is None, reason="needs a C compiler, cc")
def test_the_c_program_finds_what_is_wrong(written, tmp_path):
    """One weight of one case changed in its last decimal."""
    text = (written / "cgru_cases.h").read_text()
    name = "cgru_case_gru_before_takes_h17_i70_weight_hh"
    head, array, rest = text.partition(f"{name}[867] = {{\n")
    number, comma, tail = rest.partition("f,")
    (tmp_path / "cgru_cases.h").write_text(f"{head}{array}{float(number) + 1e-4:.4f}{comma}{tail}")
    subprocess.run(["cc", "-I", tmp_path, CHECK, "-lm", "-o", tmp_path / "check"], check=True, timeout=120)
    done = subprocess.run([tmp_path / "check"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stdout.count("\n") == 2
    assert done.stdout.startswith("gru_before_takes_h17_i70: ")


def test_the_format_names_every_key(written):
    text = (written / "FORMAT.md").read_text("ascii")
    for case in cases():
        for name in (*metadata(case), *arrays(case)):
            assert name in text
        assert all(f"| {function.name} |" in text for function in case.activations)
    assert f"{len(cases())} cases, format {case_files.VERSION}, seed 0, written by cgru {cgru.__version__}" in text


def test_the_same_bytes_again_and_other_ones_are_replaced(written, tmp_path):
    (tmp_path / "cases.json").write_text("old")
    (tmp_path / "mine").write_text("stays")
    seen = []
    paths = write_cases(tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert [os.path.basename(path) for path in paths] == list(NAMES)
    assert {path.name for path in tmp_path.iterdir()} == {*NAMES, "mine"}
    for name in NAMES:
        assert (tmp_path / name).read_bytes() == (written / name).read_bytes()
    assert seen == [(number + 1, len(cases())) for number in range(len(cases()))]


def test_all_or_nothing(tmp_path, monkeypatch):
    """A file that cannot be written leaves no other one, and no new folder."""
    whole_file = case_files.whole_file

    def full(path):
        if str(path).endswith("FORMAT.md"):
            raise OSError(28, "No space left on device", path)
        return whole_file(path)

    monkeypatch.setattr(case_files, "whole_file", full)
    for folder in (tmp_path, tmp_path / "new"):
        with pytest.raises(OSError, match="No space left"):
            write_cases(folder)
        assert not list(tmp_path.iterdir())


def test_folders_that_are_none(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "taken" / "cases.json").mkdir(parents=True)
    for folder, error, words in [
        ("file", NotADirectoryError, "is a file, expected a folder"),
        ("no/new", FileNotFoundError, "there is no folder .*no; make it first"),
        ("taken", IsADirectoryError, "cases.json is a folder, expected a file name"),
    ]:
        with pytest.raises(error, match=words):
            write_cases(tmp_path / folder)
    assert {path.name for path in tmp_path.rglob("*")} == {"file", "taken", "cases.json"}


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "shut").mkdir(mode=0o500)
    for folder in ("shut", "shut/new"):
        with pytest.raises(PermissionError, match="cannot be written to"):
            write_cases(tmp_path / folder)
