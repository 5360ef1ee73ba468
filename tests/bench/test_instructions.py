"""bench/instructions: what is read from callgrind's files, what is compared, and what a run says."""

import json
import shutil

import pytest

import cgru
from bench.instructions import cases, counting, run

# The own costs of cgru's functions here: 5 + 7 + 11; 100 are another library's, 1000 what a called function cost.
FILE = """\
version: 1
creator: callgrind-3.19.0
desc: Trigger: Client Request: GRU int8 step|2
events: Ir
fl=(1) ???
ob=(1) /usr/lib/libc.so.6
fn=(1) memcpy
0 100
ob=(2) /somewhere/cgru/engines/_packed_x86_64_v3.so
fn=(2) 0x1234
0 5
cob=(3) /somewhere/cgru/stream.so
cfn=(3) 0x55
calls=3 0
0 1000
+12 7
ob=(1)
fn=(4) free
* 100
ob=(3)
fn=(3)
-7 11
totals: 1323
"""


def test_the_own_costs_of_cgru_s_modules_are_read():
    assert counting.read(FILE) == ("GRU int8 step", 23 // 2)


@pytest.mark.parametrize(("now", "off"), [(1029, []), (971, []), (1031, ["a"]), (969, ["a"])])
def test_three_percent_either_way(now, off):
    _, found = run.compared({"a": now, "b": 10}, {"a": 1000, "b": 10})
    assert found == off


def test_a_case_on_one_side_only_is_off():
    lines, found = run.compared({"new": 5, "both": 7}, {"gone": 6, "both": 7})
    assert sorted(found) == ["gone", "new"]
    assert any("not recorded" in line for line in lines) and any("not counted" in line for line in lines)


@pytest.mark.parametrize(
    ("counts", "maker", "status", "said"),
    [
        ({"a": 1000}, "this", 0, "all 1 within 3% of the record"),
        ({"a": 1100}, "this", 1, "over 3% from the record, or without one: a"),
        ({"a": 1100}, "that", 0, "SKIPPED: counts are not judged: made by that, the record by this"),
    ],
)
def test_verdicts(counts, maker, status, said):
    lines, found = run.verdict(counts, maker, {"made_by": "this", "counts": {"a": 1000}})
    assert found == status and said in lines[-1]


def test_without_a_record_it_says_so():
    lines, status = run.verdict({"a": 1}, "this", None)
    assert status == 0 and lines[-1] == "there is no record yet"


def test_every_cell_and_weight_type_is_counted_and_recorded():
    names = [name for name, call, times in cases.cases()]
    expected = {
        f"{kind} {weights} {what}"
        for kind in ("GRU", "LSTM", "RNN") for weights in ("float32", "bfloat16", "int8", "float64")
        for what in ("step", "sequence", "training step") if what != "training step" or weights.startswith("float")
    }  # fmt: skip
    assert sorted(names) == sorted(expected)
    record = json.loads(run.RECORD.read_text())
    assert record["counts"].keys() == expected and record["made_by"] and record["isa"] == counting.ISA


def test_the_cases_run():
    for _, call, times in cases.cases():
        call()
        assert times >= 1


def test_without_valgrind_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert run.main([]) == 2
    assert capsys.readouterr().err == "cannot count: there is no valgrind\n"


def test_the_modules_say_what_made_them():
    if counting.ISA not in cgru.engines.isas_built():
        pytest.skip("this build has not the instruction set")
    assert "Cython 3." in counting.made_by()
