"""Bits that later versions keep: what "packed" computes everywhere.

`support/recorded.py golden` writes packed_bits.json, once. Files that are kept: `test_golden_models.py`.
"""

import json
from pathlib import Path

import pytest

from support import recorded_api as api
from support.recorded import digest_all
from support.recorded_cases import is_golden, model_cases
from support.recorded_runs import outputs

GOLDEN = Path(__file__).parents[1] / "golden"
BITS = json.loads((GOLDEN / "packed_bits.json").read_text())
FUSED = [isa for isa in api.isas() if api.is_fused(isa)]
CASES = [case for case in model_cases("packed") if is_golden(case)]


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
