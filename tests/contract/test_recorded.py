"""Bits and files that later versions keep: what "packed" computes everywhere, and models that earlier versions wrote.

`support/recorded.py golden` writes packed_bits.json, once; `golden/make_models.py` made the models.
"""

import json
from pathlib import Path

import numpy as np
import pytest

import cgru
from support import recorded_api as api
from support.recorded import digest_all
from support.recorded_cases import WEIGHTS, is_golden, model_cases
from support.recorded_runs import outputs

GOLDEN = Path(__file__).parents[1] / "golden"
BITS = json.loads((GOLDEN / "packed_bits.json").read_text())
FUSED = [isa for isa in api.isas() if api.is_fused(isa)]
CASES = [case for case in model_cases("packed") if is_golden(case)]

MODELS = json.loads((GOLDEN / "models" / "models.json").read_text())
QUANTIZED = json.loads((GOLDEN / "models" / "quantized.json").read_text())
TOLERANCE = {"float32": 2e-6, "float64": 1e-12}


@pytest.mark.parametrize("isa", FUSED)
@pytest.mark.parametrize("what", sorted({case.what for case in CASES}))
def test_packed_has_the_recorded_bits(isa, what):
    odd_inputs, odd = [], []
    with api.using(isa):
        for case in CASES:
            if case.what == what and api.computes(isa, "packed", case.weights):
                inputs, found = map(digest_all, outputs(case))
                if BITS[case.name][0] != inputs:
                    odd_inputs.append(case.name)
                elif BITS[case.name][1] != found:
                    odd.append(case.name)
    assert not odd_inputs, f"NumPy's generator gives other numbers: {odd_inputs}"
    assert not odd, f"{len(odd)} cases have other bits: {odd}"


def test_the_recorded_cases_are_those_of_today():
    assert {case.name for case in CASES} == set(BITS)


def load(name, engine, outputs="outputs.npz"):
    """A model of an earlier version, its input, and what it computed: (y, h_n) or (y, h_n, c_n)."""
    with np.load(GOLDEN / "models" / outputs) as stored:
        x, *expected = (stored[key] for key in (f"{name} {p}" for p in ("x", "y", "h_n", "c_n")) if key in stored)
    return cgru.load(GOLDEN / "models" / f"{name}.safetensors", engine=engine), x, expected


def as_lists(value):
    """Tuples as JSON has them."""
    return [as_lists(part) for part in value] if isinstance(value, tuple) else value


@pytest.mark.parametrize("name", MODELS)
def test_a_file_of_version_0_1_is_the_same_model(name):
    model, x, expected = load(name, "blas")
    assert type(model).__name__ == MODELS[name]["class"]
    for attribute, value in MODELS[name]["attributes"].items():
        assert as_lists(getattr(model, attribute)) == value, attribute
    y, final = model(x)
    for found, wanted in zip((y, *api.planes(final)), expected, strict=True):
        assert found.dtype == wanted.dtype == model.dtype
        np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE[str(model.dtype)])


@pytest.mark.parametrize("isa", FUSED)
@pytest.mark.parametrize("name", [name for name in MODELS if name.startswith("gru") and "float64" not in name])
def test_a_file_of_version_0_1_gives_the_same_bits(name, isa):
    with api.using(isa):
        model, x, expected = load(name, "packed")
        for found, wanted in zip(model(x), expected, strict=True):
            assert found.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("isa", FUSED)
@pytest.mark.parametrize("name", QUANTIZED)
def test_a_file_of_quantised_weights_gives_the_same_bits(name, isa):
    with api.using(isa):
        model, x, expected = load(name, "packed", "quantized.npz")
        y, final = model(x)
    assert type(model).__name__ == QUANTIZED[name]["class"]
    for attribute, value in QUANTIZED[name]["attributes"].items():
        assert as_lists(getattr(model, attribute)) == value, attribute
    for found, wanted in zip((y, *api.planes(final)), expected, strict=True):
        assert found.dtype == wanted.dtype == model.dtype
        assert found.tobytes() == wanted.tobytes()


def test_every_model_file_is_tested():
    assert {path.stem for path in (GOLDEN / "models").glob("*.safetensors")} == set(MODELS) | set(QUANTIZED)
    assert {kind for row in QUANTIZED.values() for kind in row["attributes"]["weight_dtypes"]} == {
        "float32", *WEIGHTS
    }  # fmt: skip
