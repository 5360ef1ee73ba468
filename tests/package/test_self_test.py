"""The fixed run, its published hashes, and `cgru.self_test`, which must notice whatever is wrong."""

import hashlib
import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import cgru
from cgru import engines, fixed_run
from cgru.__main__ import main
from cgru.engines.isas import named
from cgru.fixed_run import CASES, HIDDEN, INPUTS, LENGTHS, ROWS, STEPS
from cgru.quantize import Quantized
from cgru.weights import Weights
from golden import make_self_test
from support.models import random_state
from support.processes import run_cgru
from support.quantized import dequantized, int8_affine
from support.variants import WEIGHTS, variants

FUSED = sorted({one.isa for one in variants(engine="packed", fused=True, weights=WEIGHTS)})
PLAIN = sorted({one.isa for one in variants(engine="packed", fused=False, weights=WEIGHTS)})
USABLE = engines.isas_usable()
ROWS_OF = {isa: fixed_run.cases_of(isa) for isa in USABLE}
ALL = sum(map(len, ROWS_OF.values()))
int8_case = pytest.mark.parametrize("case", [one for one in CASES if one.weights == "int8"], ids=lambda one: one.name)
SINGLE = [case for case in CASES if not case.layers]
by_cell = pytest.mark.parametrize("case", SINGLE, ids=lambda case: case.name)
by_network = pytest.mark.parametrize("case", [case for case in CASES if case.layers], ids=lambda case: case.name)
by_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


# ------------------------------------------------------------------------------------- what is published


def test_every_case_has_its_row():
    assert [*fixed_run.published()] == [case.name for case in CASES] == [*fixed_run.stored()]
    assert len(set(fixed_run.published().values())) == len(CASES)
    assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in fixed_run.published().values())
    cells = {case.cell for case in CASES}
    assert {(case.cell, case.weights) for case in CASES} == {(cell, one) for cell in cells for one in WEIGHTS}


@pytest.mark.parametrize("isa", USABLE)
def test_an_instruction_set_runs_what_it_has_modules_for(isa):
    """Every case, or those with int8 weights where it adds them to another one."""
    wanted = CASES if named(isa).base is None else [case for case in CASES if case.weights == "int8"]
    assert ROWS_OF[isa] == list(wanted)
    assert [one.case for one in fixed_run.outcomes(isa)] == list(wanted)


@pytest.mark.parametrize("isa", FUSED)
def test_the_hashes_are_reproduced(isa):
    found = fixed_run.outcomes(isa)
    assert {one.case.name: one.found for one in found} == {
        name: sha256 for name, sha256 in fixed_run.published().items() if name in {case.name for case in ROWS_OF[isa]}
    }
    assert all(one.fused and one.passed and one.forms and all(one.forms.values()) for one in found)


@pytest.mark.parametrize("isa", PLAIN)
def test_without_fused_multiply_adds_the_outputs_are_near(isa):
    for one in fixed_run.outcomes(isa):
        assert not one.fused and one.found != one.expected
        assert one.passed and 0 < one.difference <= {"float32": 2e-6, "bfloat16": 2e-6, "int8": 2e-2}[one.case.weights]


@by_case
def test_the_stored_outputs_are_the_oracle_s(case):
    expected = fixed_run.sample(make_self_test.oracle(case))
    assert expected.dtype == np.float64
    found = fixed_run.stored()[case.name]
    assert found.shape == expected.shape and np.abs(found - expected).max() < 5e-7


@int8_case
def test_an_activation_that_rounds_the_other_way_is_allowed(case):
    """What the tolerance of int8 is for: states that are off by more than last bits, which takes some across ties."""
    rng = np.random.default_rng(5)

    def moved(a, W, b):
        return int8_affine(np.asarray(a) * (1 + 2e-5 * (2 * rng.random(np.shape(a)) - 1)), W, b)

    found = fixed_run.sample(make_self_test.of_numbers(case, moved))
    assert 1e-4 < np.abs(found - fixed_run.stored()[case.name]).max() <= fixed_run.TOLERANCES["int8"]


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
    given, k = fixed_run.numbers(case), 1
    tensors = given.weights.tensors
    arrays = [(given.x, 2), *((plane, 1) for plane in given.states)]
    arrays += [(array, 0.25 if "weight" in name else 0.5) for name, array in tensors.items()]
    for array, scale in arrays:
        assert array.dtype == np.float32
        flat = array.ravel()
        for place in (0, 1, len(flat) // 2, len(flat) - 1):
            assert flat[place] == number(k + place, scale)
        k += len(flat)
    layer = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]
    if case.layers:
        assert [plane.shape for plane in given.states] == [(1, ROWS, HIDDEN), (1, ROWS, 29), (1, ROWS, 29)]
        assert list(tensors) == [
            *(f"0.{name}" for name in layer), "1.weight", "1.bias",
            *(f"2.{name}" for name in layer), "3.weight", "3.bias",
        ]  # fmt: skip
        return
    assert list(tensors)[:4] == layer
    assert list(tensors)[4] == "weight_ih_l0_reverse" and list(tensors)[-1] == "bias_hh_l1_reverse"


@by_case
def test_the_weights_are_rounded_numbers_of_the_description(case):
    """Matrices in the case's type, by the oracle's rounding; everything else as it was."""
    given, start = fixed_run.inputs(case), fixed_run.numbers(case)
    layers = given.weights.layers if case.layers else (given.weights,)
    assert {one for layer in layers for one in layer.weight_dtypes} == {case.weights}
    assert_array_equal(given.x, start.x)
    assert all(map(np.array_equal, given.states, start.states))
    expected = {}
    for name, array in start.weights.tensors.items():
        own = name.rpartition(".")[2]       # of a network's "0.weight_ih_l0"
        expected[name] = dequantized({own: array}, case.weights)[own]
    for name, array in given.weights.tensors.items():
        assert_array_equal(array, expected[name], strict=True)
        changed = (array != start.weights.tensors[name]).mean()
        assert changed > 0.9 if "weight" in name and case.weights != "float32" else changed == 0


@by_case
def test_nothing_is_degenerate(case):
    given = fixed_run.numbers(case)
    assert len({STEPS, ROWS, INPUTS, HIDDEN}) == 4 and HIDDEN > 32 and HIDDEN % 8
    assert len(LENGTHS) == ROWS and min(LENGTHS) == 0 and max(LENGTHS) == STEPS and LENGTHS[0] not in (0, STEPS)
    for array in (given.x, *given.states, *given.weights.tensors.values()):
        assert len(np.unique(array)) > 0.99 * array.size and abs(array.mean()) < np.abs(array).max() / 4
    y, *final = fixed_run.whole(fixed_run.inputs(case))
    if case.layers:     # the LSTM's c has no bound, and y has x in it
        softmax = np.where(y == 0, 0, y - given.x[..., : y.shape[2]])
        assert softmax[y != 0].min() > 0.01 and softmax.max() < 0.3 and softmax[y != 0].std() > 0.02
        y = np.concatenate([plane.ravel() for plane in final[:2]])
        assert np.abs(y).mean() > 0.05 and np.abs(y).max() < 1
        return
    assert np.abs(y).mean() > 0.05 and np.abs(y).max() < 1 and y[max(LENGTHS) - 1].any()


def test_every_unit_row_and_step_is_in_the_sample():
    """Of y, the network's too."""
    for units in (2 * HIDDEN, fixed_run.LAYERS[-1]["hidden_size"]):
        t, n, unit = np.unravel_index(np.arange(0, STEPS * ROWS * units, fixed_run.STRIDE), (STEPS, ROWS, units))
        valid = t < np.array(LENGTHS)[n]
        assert set(t[valid]) == set(range(STEPS)) and set(unit[valid]) == set(range(units))
        assert set(n[valid]) == {row for row in range(ROWS) if LENGTHS[row]}


@by_network
def test_the_network_s_hash_is_of_the_public_interface_s_outputs(case):
    """Whoever builds the network by hand, of layers that were built by hand, gets the published hash."""
    given = fixed_run.numbers(case)
    own = [{name[2:]: array for name, array in given.weights.tensors.items() if name[0] == str(number)}
           for number in range(4)]  # fmt: skip
    net = cgru.Sequential([
        cgru.GRU.from_state_dict(own[0], engine="packed"),
        cgru.Linear.from_state_dict(own[1], activation="elu", engine="packed"),
        cgru.LSTM.from_state_dict(own[2], engine="packed"),
        cgru.Linear.from_state_dict(own[3], activation="softmax", engine="packed"),
    ], skip=True)  # fmt: skip
    net = net if case.weights == "float32" else net.quantize(case.weights)
    h_0, *pair = given.states
    y, (h_n, (h, c)) = net(given.x, (h_0, tuple(pair)), lengths=LENGTHS)
    found = hashlib.sha256(y.tobytes() + h_n.tobytes() + h.tobytes() + c.tobytes()).hexdigest()
    assert (found == fixed_run.published()[case.name]) == (engines.isa() in FUSED)


@by_cell
def test_the_hash_is_of_the_public_interface_s_outputs(case):
    """Whoever builds the model by hand gets the published hash."""
    given = fixed_run.numbers(case)
    options = {"batch_first": False, "engine": "packed", **case.options}
    model = getattr(cgru, case.kind.upper()).from_state_dict(given.weights.tensors, **options)
    model = model if case.weights == "float32" else model.quantize(case.weights)
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
        (isa, case.cell, case.weights) for isa in USABLE for case in ROWS_OF[isa]
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
    assert len(rows) == ALL
    for line in rows:
        plain = line.split()[0] in PLAIN
        assert line.endswith(": no fused multiply-adds" if plain else "  as published")
        assert plain != any(f" {sha256[:16]} " in line for sha256 in fixed_run.published().values())
    assert lines[-1].startswith("passed: ")
    hashes = sum(len(ROWS_OF[isa]) for isa in FUSED)
    assert (f"{hashes} hashes as published" in lines[-1]) == bool(FUSED)
    near = f"{10 * len(PLAIN)} rows within 2e-06 and {5 * len(PLAIN)} rows within 0.02, without fused multiply-adds"
    assert (near in lines[-1]) == bool(PLAIN)
    columns = [[match.start() for match in re.finditer(r"(?<=\s)(GRU|LSTM|RNN|network|float32|bfloat16|int8)\b", row)]
               for row in rows]  # fmt: skip
    assert all(column == columns[0] for column in columns) and len(columns[0]) == 2


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
    wrong = [isa for isa in FUSED if CASES[2] in ROWS_OF[isa]]
    for isa in wrong:
        assert f"WRONG: LSTM, float32, engine packed, {isa}\n  hash expected: {expected}" in out
    assert f"FAILED: {len(wrong)} of {ALL} rows are wrong" in out
    (found,) = set(re.findall(r"hash found:    ([0-9a-f]{64})", out))
    assert found not in fixed_run.published().values()
    assert all(float(value) < 2e-6 for value in re.findall(r"stored outputs: (\S+), allowed: 2e-06", out))
    assert "two threads: the same bits" in out and "OTHER bits" not in out


@pytest.mark.parametrize("wrong", [case for case in CASES if case.cell == "GRU, reset after"], ids=WEIGHTS)
def test_a_wrong_weight_is_noticed_on_every_instruction_set(wrong, monkeypatch, capsys):
    """Also without fused multiply-adds; the difference says how wrong it is."""
    made = fixed_run.numbers
    state = random_state(np.random.default_rng(0), INPUTS, HIDDEN, num_layers=2, bidirectional=True)

    def changed(case):
        given = made(case)
        return given._replace(weights=Weights(given.weights.config, state, np.float32)) if case == wrong else given

    monkeypatch.setattr(fixed_run, "numbers", changed)
    out = failed(capsys)
    for isa in USABLE:
        said = f"WRONG: GRU, reset after, {wrong.weights}, engine packed, {isa}\n" in out
        assert said == (wrong in ROWS_OF[isa])
    assert all(float(value) > 0.1 for value in re.findall(r"stored outputs: (\S+),", out))


@pytest.mark.parametrize("place", ["first", "last"])
@int8_case
def test_scales_that_are_wrong_by_a_tenth_are_beyond_the_tolerance(case, place):
    """In one of eight matrices, or of a network's recurrent ones; no activation that rounds otherwise hides that."""
    given, expected = fixed_run.inputs(case), fixed_run.stored()[case.name]
    layers = list(given.weights.layers) if case.layers else [given.weights]
    number, name = (0, "weight_ih_l0") if place == "first" else (-1, "weight_hh_l1")
    if case.layers:
        number, name = (0, "weight_ih_l0") if place == "first" else (2, "weight_hh_l0")
    matrix = layers[number].stored[name]
    stored = layers[number].stored | {name: Quantized(matrix.values, matrix.scale * np.float32(1.1))}
    layers[number] = Weights(layers[number].config, stored)
    spoilt = given._replace(weights=given.weights.with_layers(layers) if case.layers else layers[0])
    right, wrong = (np.abs(fixed_run.sample(fixed_run.whole(one)) - expected).max() for one in (given, spoilt))
    assert right < fixed_run.TOLERANCES["int8"] < wrong


@by_network
@pytest.mark.skipif(not FUSED, reason="hashes need fused multiply-adds")
def test_a_linear_s_weight_of_a_network_in_another_last_bit(case):
    """The softmax in front of nothing but a sum has its part in the hash."""
    given = fixed_run.inputs(case)
    layers = list(given.weights.layers)
    layers[3] = Weights(layers[3].config, layers[3].stored | {"bias": np.nextafter(layers[3].stored["bias"], 9)})
    found = fixed_run.whole(given._replace(weights=given.weights.with_layers(layers)))
    assert fixed_run.digest(found[1:]) == fixed_run.digest(fixed_run.whole(given)[1:])
    assert fixed_run.digest(found) != fixed_run.published()[case.name]
    assert np.abs(fixed_run.sample(found) - fixed_run.stored()[case.name]).max() < fixed_run.TOLERANCES[case.weights]


def test_nan_is_noticed_on_every_instruction_set(monkeypatch, capsys):
    ran = fixed_run.whole

    def spoilt(given, threads=1):
        found = ran(given, threads)
        found[0][0, 0, 0] = np.nan
        return found

    monkeypatch.setattr(fixed_run, "whole", spoilt)
    assert f"FAILED: {ALL} of" in failed(capsys)


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
    assert out.count("OTHER bits") == out.count("the same bits") == ALL


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
    line = "plain            LSTM              {:<10}bbbbbbbbbbbbbbbb  within 4.0e-07: no fused multiply-adds"
    assert all(line.format(weights) in out for weights in WEIGHTS)
    assert "passed: 10 rows within 2e-06 and 5 rows within 0.02, without fused multiply-adds;" in out
    assert "published" not in out
    for difference, wrong in ((2.1e-6, 10), (2.1e-2, 15), (np.nan, 15), (np.inf, 15)):
        outcomes(difference)
        assert cgru.self_test() is False
        out = capsys.readouterr().out
        assert "hash expected" not in out and f"FAILED: {wrong} of {len(CASES)} rows" in out
        assert out.count("allowed: 2e-06") == 10 and out.count("allowed: 0.02") == wrong - 10
