"""The fixed run, its published hashes, and `cgru.self_test`, which must notice whatever is wrong."""

import hashlib
import re

import numpy as np
import pytest

import cgru
from cgru import engines, fixed_run
from cgru.__main__ import main
from cgru.fixed_run import CASES, HIDDEN, INPUTS, LENGTHS, ROWS, STEPS
from cgru.weights import Weights
from golden import make_self_test
from support.models import random_state
from support.processes import run_cgru
from support.variants import variants

FUSED = sorted({one.isa for one in variants(engine="packed", fused=True)})
PLAIN = sorted({one.isa for one in variants(engine="packed", fused=False)})
by_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


# ------------------------------------------------------------------------------------- what is published


def test_every_case_has_its_row():
    assert [*fixed_run.published()] == [case.name for case in CASES] == [*fixed_run.stored()]
    assert len(set(fixed_run.published().values())) == len(CASES)
    assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in fixed_run.published().values())


@pytest.mark.parametrize("isa", FUSED)
def test_the_hashes_are_reproduced(isa):
    found = fixed_run.outcomes(isa)
    assert {one.case.name: one.found for one in found} == fixed_run.published()
    assert all(one.fused and one.passed and one.forms and all(one.forms.values()) for one in found)


@pytest.mark.parametrize("isa", PLAIN)
def test_without_fused_multiply_adds_the_outputs_are_near(isa):
    for one in fixed_run.outcomes(isa):
        assert not one.fused and one.found != one.expected
        assert one.passed and 0 < one.difference <= 2e-6


@by_case
def test_the_stored_outputs_are_the_oracle_s(case):
    expected = fixed_run.sample(make_self_test.oracle(case))
    assert expected.dtype == np.float64
    found = fixed_run.stored()[case.name]
    assert found.shape == expected.shape and np.abs(found - expected).max() < 5e-7


def test_the_script_makes_these_files(tmp_path, monkeypatch):
    if engines.isa() not in FUSED:
        pytest.skip("hashes are made with fused multiply-adds")
    monkeypatch.setattr(make_self_test, "FOLDER", tmp_path)
    committed = tmp_path / "hashes.md"
    committed.write_bytes((make_self_test.Path(fixed_run.__file__).parent / "hashes.md").read_bytes())
    before = committed.read_text()
    make_self_test.main()
    assert committed.read_text() == before
    with np.load(tmp_path / "outputs.npz") as made:
        assert list(made) == list(fixed_run.stored())
    monkeypatch.setattr(fixed_run, "published", lambda: {CASES[0].name: "0" * 64})
    with pytest.raises(SystemExit, match="the published hash is 0000"):
        make_self_test.main()


# ------------------------------------------------------------------------------------------ what goes in


def number(k, scale):
    """As the docstring says, in Python's integers."""
    s = k
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        s ^= s >> shift
        s = s * factor % 2**32
    return ((s >> 8) - 2**23) / 2**23 * scale


@by_case
def test_the_numbers_are_those_of_the_description(case):
    given, k = fixed_run.inputs(case), 1
    tensors = given.weights.tensors
    arrays = [(given.x, 2), *((plane, 1) for plane in given.states)]
    arrays += [(array, 0.25 if "weight" in name else 0.5) for name, array in tensors.items()]
    for array, scale in arrays:
        assert array.dtype == np.float32
        flat = array.ravel()
        for place in (0, 1, len(flat) // 2, len(flat) - 1):
            assert flat[place] == number(k + place, scale)
        k += len(flat)
    assert list(tensors)[:4] == ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]
    assert list(tensors)[4] == "weight_ih_l0_reverse" and list(tensors)[-1] == "bias_hh_l1_reverse"


@by_case
def test_nothing_is_degenerate(case):
    given = fixed_run.inputs(case)
    assert len({STEPS, ROWS, INPUTS, HIDDEN}) == 4 and HIDDEN > 32 and HIDDEN % 8
    assert len(LENGTHS) == ROWS and min(LENGTHS) == 0 and max(LENGTHS) == STEPS and LENGTHS[0] not in (0, STEPS)
    for array in (given.x, *given.states, *given.weights.tensors.values()):
        assert len(np.unique(array)) > 0.99 * array.size and abs(array.mean()) < np.abs(array).max() / 4
    y = fixed_run.whole(given)[0]
    assert np.abs(y).mean() > 0.05 and np.abs(y).max() < 1 and y[max(LENGTHS) - 1].any()


def test_every_unit_row_and_step_is_in_the_sample():
    t, n, unit = np.unravel_index(np.arange(0, STEPS * ROWS * 2 * HIDDEN, fixed_run.STRIDE), (STEPS, ROWS, 2 * HIDDEN))
    valid = t < np.array(LENGTHS)[n]
    assert set(t[valid]) == set(range(STEPS)) and set(unit[valid]) == set(range(2 * HIDDEN))
    assert set(n[valid]) == {row for row in range(ROWS) if LENGTHS[row]}


@by_case
def test_the_hash_is_of_the_public_interface_s_outputs(case):
    """Whoever builds the model by hand gets the published hash."""
    given = fixed_run.inputs(case)
    options = {"batch_first": False, "engine": "packed", **case.options}
    model = getattr(cgru, case.kind.upper()).from_state_dict(given.weights.tensors, **options)
    assert (model.num_layers, model.bidirectional, model.bias) == (2, True, True)
    y, final = model(given.x, given.states if case.kind == "lstm" else given.states[0], lengths=LENGTHS)
    data = y.tobytes() + b"".join(plane.tobytes() for plane in (final if case.kind == "lstm" else [final]))
    found = hashlib.sha256(data).hexdigest()
    assert (found == fixed_run.published()[case.name]) == (engines.isa() in FUSED)


# --------------------------------------------------------------------------------------- what it reports


def test_the_report():
    found = cgru.self_test(mode="dicts")
    assert found["passed"] is True
    assert (found["cgru"], found["engine"]) == (cgru.__version__, "packed")
    assert found["isa"] == {"usable": list(engines.isas_usable()), "chosen": engines.isa()}
    assert [(row["isa"], row["cell"], row["weights"]) for row in found["rows"]] == [
        (isa, case.cell, case.weights) for isa in engines.isas_usable() for case in CASES
    ]
    for row in found["rows"]:
        assert row["passed"] and row["forms"] == {"two threads": True, "step by step": True}
        assert row["fused"] == (row["isa"] in FUSED) == (row["found"] == row["expected"])
    with pytest.raises(ValueError, match="mode must be 'stdout' or 'dicts'; got 'json'"):
        cgru.self_test("json")


def test_the_command(tmp_path):
    done = run_cgru("self-test", cwd=tmp_path)
    assert (done.returncode, done.stderr, list(tmp_path.iterdir())) == (0, "", [])
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"cgru {cgru.__version__}, Python ") and lines[1].startswith("processor: ")
    assert lines[2].startswith("engine: packed; instruction sets: ") and f"{engines.isa()} (chosen)" in lines[2]
    rows = lines[4:-2]
    assert len(rows) == len(CASES) * len(engines.isas_usable())
    for line in rows:
        plain = line.split()[0] in PLAIN
        assert line.endswith(": no fused multiply-adds" if plain else "  as published")
        assert plain != any(f" {sha256[:16]} " in line for sha256 in fixed_run.published().values())
    assert lines[-1].startswith("passed: ")
    assert (f"{len(CASES) * len(FUSED)} hashes as published" in lines[-1]) == bool(FUSED)
    assert (f"{len(CASES) * len(PLAIN)} rows within 2e-06, without fused multiply-adds" in lines[-1]) == bool(PLAIN)


def test_a_bad_setting_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(engines, "isa", engines.choose_isa)      # asked again, in a process that has chosen
    monkeypatch.setenv("CGRU_ISA", "x86-64-v9")
    assert main(["self-test"]) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith("cgru: error: CGRU_ISA='x86-64-v9'") and err.count("\n") == 1


# ------------------------------------------------------------------------------------- what it must notice


def failed(capsys):
    """What the command prints when it fails."""
    with pytest.raises(SystemExit) as stop:
        main(["self-test"])
    assert stop.value.code == 1
    assert cgru.self_test(mode="dicts")["passed"] is False
    out, err = capsys.readouterr()
    assert not err and "passed" not in out and out.splitlines()[-1].startswith("FAILED: ")
    return out


@pytest.mark.skipif(not FUSED, reason="hashes need fused multiply-adds")
@pytest.mark.parametrize("name", ["weight_hh_l0", "bias_ih_l1_reverse"])
def test_one_weight_off_by_a_millionth(name, monkeypatch, capsys):
    """Far below the tolerance, and yet another hash."""
    made = fixed_run.inputs

    def changed(case):
        given = made(case)
        if case == CASES[2]:
            array = given.weights.tensors[name]
            array.flags.writeable = True
            array.ravel()[7] += np.float32(2**-20)
        return given

    monkeypatch.setattr(fixed_run, "inputs", changed)
    out = failed(capsys)
    expected = fixed_run.published()[CASES[2].name]
    for isa in FUSED:
        assert f"WRONG: LSTM, float32, engine packed, {isa}\n  hash expected: {expected}" in out
    assert f"FAILED: {len(FUSED)} of {len(CASES) * len(engines.isas_usable())} rows are wrong" in out
    (found,) = set(re.findall(r"hash found:    ([0-9a-f]{64})", out))
    assert found not in fixed_run.published().values()
    assert all(float(value) < 2e-6 for value in re.findall(r"stored outputs: (\S+), allowed: 2e-06", out))
    assert "two threads: the same bits" in out and "OTHER bits" not in out


def test_a_wrong_weight_is_noticed_on_every_instruction_set(monkeypatch, capsys):
    """Also without fused multiply-adds; the difference says how wrong it is."""
    made = fixed_run.inputs
    state = random_state(np.random.default_rng(0), INPUTS, HIDDEN, num_layers=2, bidirectional=True)

    def changed(case):
        given = made(case)
        return given._replace(weights=Weights(given.weights.config, state, np.float32)) if case == CASES[0] else given

    monkeypatch.setattr(fixed_run, "inputs", changed)
    out = failed(capsys)
    for isa in engines.isas_usable():
        assert f"WRONG: GRU, reset after, float32, engine packed, {isa}\n" in out
    assert all(float(value) > 0.1 for value in re.findall(r"stored outputs: (\S+),", out))


def test_nan_is_noticed_on_every_instruction_set(monkeypatch, capsys):
    ran = fixed_run.whole

    def spoilt(given, threads=1):
        found = ran(given, threads)
        found[0][0, 0, 0] = np.nan
        return found

    monkeypatch.setattr(fixed_run, "whole", spoilt)
    assert f"FAILED: {len(CASES) * len(engines.isas_usable())} of" in failed(capsys)


@pytest.mark.parametrize(("form", "function"), [("two threads", "whole"), ("step by step", "stepped")])
def test_another_form_with_other_bits(form, function, monkeypatch, capsys):
    """The hash of the one call is right, and yet it fails."""
    ran = getattr(fixed_run, function)

    def spoilt(*args, **options):
        found = ran(*args, **options)
        if function == "stepped" or options:
            found[0].ravel()[0] *= np.float32(1 + 2**-23)
        return found

    monkeypatch.setattr(fixed_run, function, spoilt)
    out = failed(capsys)
    assert f"{form}: OTHER bits as in one call" in out
    assert out.count("OTHER bits") == out.count("the same bits") == len(CASES) * len(engines.isas_usable())


def test_a_wrong_hash(monkeypatch, capsys):
    published = {name: sha256[::-1] for name, sha256 in fixed_run.published().items()}
    monkeypatch.setattr(fixed_run, "published", lambda: published)
    if FUSED:
        assert f"hash expected: {published[CASES[0].name]}" in failed(capsys)
    else:
        assert cgru.self_test() is True


def test_a_machine_without_fused_multiply_adds(monkeypatch, capsys):
    """It has no hash to reach: what counts is the distance from the stored outputs, and that is said."""

    def outcomes(difference):
        rest = "plain", False, "a" * 64, "b" * 64, difference, {"form": True}
        found = [fixed_run.Outcome(case, *rest) for case in CASES]
        monkeypatch.setattr(fixed_run, "outcomes", lambda isa: found if isa == "plain" else [])

    monkeypatch.setattr(engines, "isas_usable", lambda: ("plain",))
    monkeypatch.setattr(engines, "isa", lambda: "plain")
    outcomes(4e-7)
    assert cgru.self_test() is True
    out = capsys.readouterr().out
    assert "plain      LSTM              float32   bbbbbbbbbbbbbbbb  within 4.0e-07: no fused multiply-adds" in out
    assert f"passed: {len(CASES)} rows within 2e-06, without fused multiply-adds;" in out and "published" not in out
    for difference in (2.1e-6, np.nan, np.inf):
        outcomes(difference)
        assert cgru.self_test() is False
        out = capsys.readouterr().out
        assert "hash expected" not in out and f"FAILED: {len(CASES)} of {len(CASES)} rows" in out
