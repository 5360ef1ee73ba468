"""Model files that releases wrote are read by every later one, as the same models with the same numbers.

`golden/make_models.py` writes a folder of `golden/models/` at each release: files, what they are, what they compute.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors

import cgru
from cgru.activations import DEFAULTS, ROW_FUNCTIONS
from cgru.cells import KINDS
from golden import make_models, model_set
from support import recorded_api as api

MODELS = Path(__file__).parents[1] / "golden" / "models"
TABLES = {path.parent.name: json.loads(path.read_text()) for path in sorted(MODELS.glob("*/models.json"))}
EVERY = [(version, name) for version, table in TABLES.items() for name in table]
FUSED = [isa for isa in api.isas() if api.is_fused(isa)]
TOLERANCE = {"float32": 2e-6, "float64": 1e-12}


def expected(version, name, model):
    """x, and what was computed: y, and the final states one after the other."""
    with np.load(MODELS / version / "outputs.npz") as stored:
        called, _ = model_set.x_of(model)
        x = stored[called] if called in stored else stored[f"{name} x"]
        states = [f"{name} {part}" for part in ("h_n", "c_n", *range(20))]
        return x, [stored[key] for key in (f"{name} y", *states) if key in stored]


def load(version, name, **options):
    """The model of a file."""
    return cgru.load(MODELS / version / f"{name}.safetensors", **options)


def has_packed_bits(version, name):
    """Whether the bits of what a file computed are promised: float32, on "packed", which had GRUs alone in 0.1."""
    attributes = TABLES[version][name]["attributes"]
    return attributes["dtype"] == "float32" and (version != "0.1.0" or name.startswith("gru"))


@pytest.mark.parametrize(("version", "name"), EVERY)
def test_it_is_the_same_model(version, name):
    found, wanted = make_models.about(load(version, name)), TABLES[version][name]
    assert found["class"] == wanted["class"]
    for attribute, value in wanted["attributes"].items():
        assert found["attributes"][attribute] == value, attribute
    for layer, was in zip(found.get("layers", []), wanted.get("layers", []), strict=True):
        assert layer["class"] == was["class"]
        assert layer["attributes"] | was["attributes"] == layer["attributes"]


@pytest.mark.parametrize("isa", FUSED)
@pytest.mark.parametrize("version", TABLES)
def test_it_gives_the_same_bits(version, isa):
    odd = []
    with api.using(isa):
        for name in TABLES[version]:
            if has_packed_bits(version, name):
                model = load(version, name, engine="packed")
                x, wanted = expected(version, name, model)
                found = make_models.computed(model, x)
                same = [a.tobytes() == b.tobytes() and a.dtype == b.dtype for a, b in zip(found, wanted, strict=True)]
                odd += [] if all(same) else [name]
    assert not odd


@pytest.mark.parametrize(("version", "name"), EVERY)
def test_it_gives_the_same_numbers(version, name):
    """On the engine that is chosen by itself, and on "blas" where there are no quantised weights."""
    model = load(version, name)
    x, wanted = expected(version, name, model)
    quantised = {"int8", "bfloat16"} & set(TABLES[version][name]["attributes"].get("weight_dtypes", ()))
    for engine in ("auto",) if quantised or api.OLD else ("auto", "blas"):
        for found, was in zip(make_models.computed(load(version, name, engine=engine), x), wanted, strict=True):
            assert found.dtype == was.dtype and found.shape == was.shape
            np.testing.assert_allclose(found, was, rtol=0, atol=TOLERANCE[str(model.dtype)])


@pytest.mark.parametrize("version", TABLES)
def test_every_file_is_tested(version):
    assert {path.stem for path in (MODELS / version).glob("*.safetensors")} == set(TABLES[version])
    assert {path.name for path in MODELS.iterdir() if path.is_dir()} == set(TABLES)


def formats(version):
    """The format versions of a release's files."""
    found = set()
    for path in (MODELS / version).glob("*.safetensors"):
        with safetensors.safe_open(path, framework="numpy") as file:
            found.add(json.loads(file.metadata()["cgru"])["format"])
    return found


def test_every_format_is_there():
    assert formats("0.1.0") == {1}
    assert formats("0.2.0") == {2, 3, 4}


def test_the_set_has_everything_that_there_is():
    """A cell, activation or weight type that joins must join the set before its release."""
    latest = TABLES[max(TABLES, key=lambda version: tuple(map(int, version.split("."))))]
    assert {row["class"].lower() for row in latest.values()} == {*KINDS, "sequential"}
    assert set(model_set.FUNCTIONS) == {*DEFAULTS, *ROW_FUNCTIONS}
    types = {one for row in latest.values() for one in row["attributes"].get("weight_dtypes", ())}
    assert types >= {"float32", "bfloat16", "int8"}
    assert {row["attributes"]["dtype"] for row in latest.values()} == {"float32", "float64"}
    assert set(model_set.names()) >= set(latest) >= set(TABLES["0.1.0"])


def test_a_release_writes_its_folder_once(tmp_path):
    names = ["gru", "linear_int8", "network_last"]
    make_models.write(tmp_path / "9.9.9", names)
    assert json.loads((tmp_path / "9.9.9" / "models.json").read_text()).keys() == set(names)
    with pytest.raises(FileExistsError):
        make_models.write(tmp_path / "9.9.9", names)


@pytest.mark.parametrize(("version", "said"), [("0.1.0", "not made again"), ("0.3.0.dev0", "written by the release")])
def test_the_script_refuses(version, said, monkeypatch, tmp_path):
    monkeypatch.setattr(cgru, "__version__", version)
    monkeypatch.setattr(make_models, "FOLDER", tmp_path)
    (tmp_path / "0.1.0").mkdir()
    with pytest.raises(SystemExit, match=said):
        make_models.main()
