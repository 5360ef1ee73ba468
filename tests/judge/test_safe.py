"""The second question of the judge: what it finds in contestants that are unsafe, and nothing in those that are not."""

import json
import os
import platform
import re
import subprocess

import pytest

from cgru.judge import build, host
from cgru.judge.safe import LARGEST, safe
from judge.test_host import HERE, SIZES, contestant, layer
from support.tools import tool

pytestmark = pytest.mark.skipif(os.name != "posix", reason="contestants run on POSIX systems")


def group(found, name):
    return next(one for one in found.groups if one.name == name)


def watches(one):
    return ["guards", "sanitizers"] if one.sanitizes else ["guards"]


def test_textbook():
    """All sizes of all kinds, of both ways, by one row and several."""
    one, seen = contestant("textbook.c"), []
    found = safe(one, progress=lambda done, total: seen.append((done, total)))
    assert found.passed, found.text
    assert [each.name for each in found.groups] == ["GRU, reset after", "GRU, reset before", "RNN", "LSTM"]
    for each in found.groups:
        assert {outcome.verdict for outcome in each.outcomes} == {"ok"} and not each.from_zero
        for watched in watches(one):
            asked = [outcome for outcome in each.outcomes if outcome.watched == watched]
            for way in ("step", "run"):
                assert {outcome.H for outcome in asked if outcome.way == way} == set(range(1, LARGEST + 1))
                assert {outcome.rows for outcome in asked if outcome.way == way} == {1, 2, 3}
            assert {outcome.I for outcome in asked} == set(range(1, LARGEST + 1))
    total = sum(len(each.outcomes) for each in found.groups)
    assert seen == sorted(seen) and seen[-1] == (total, total)
    per_watch = total // 4 // len(watches(one))
    lines = found.text.splitlines()
    assert len(lines) == 5 and f"LSTM: safe {per_watch} of {per_watch} with guards" in lines[-1]
    assert json.loads(json.dumps(found.as_dict()))["groups"][3]["outcomes"][5]["verdict"] == "ok"


def test_kinds_and_quick():
    found = safe(contestant("textbook.c"), kinds=["lstm"], quick=True)
    assert found.passed and [each.name for each in found.groups] == ["LSTM"]
    assert {outcome.H for outcome in found.groups[0].outcomes} == {1, 5, 8, 13, 32, 70}


@pytest.mark.parametrize(("name", "faults", "verdict", "detail"), [
    ("globals.c", (), "disturbed", "with a second model beside it its outputs are others"),
    ("bad.c", ("RESETS_ONCE",), "disturbed", "after two resets its outputs are others"),
    ("bad.c", ("REFUSES_SECOND",), "disturbed", "gave NULL for a second model"),
    ("bad.c", ("RUN_FORGETS",), "disturbed", "in a run in two parts its outputs are others"),
    ("bad.c", ("ROUNDS_UP",), "changed mode", "step left the processor's floating-point mode changed: how it rounds"),
    ("bad.c", ("RUN_PAST_Y",), "wrote outside", "byte 1 past the end of y"),
    ("bad.c", ("EXITS=3",), "exited", "exit status 3, in cgru_judge_step"),
    ("bad.c", ("FREES_TWICE",), "crashed", "SIGABRT, in cgru_judge_free"),
])  # fmt: skip
def test_faults(name, faults, verdict, detail):
    """The first one is shown with its size; after three of a kind it is asked no more."""
    found = safe(contestant(name, *faults), kinds=["gru"], quick=True)
    assert not found.passed and not found.as_dict()["passed"]
    failed = [outcome for outcome in group(found, "GRU, reset after").failed if outcome.watched == "guards"]
    assert len(failed) == 3 and failed[0].verdict == verdict and detail in failed[0].detail, failed
    assert f"  guards: H {failed[0].H}, I {failed[0].I}, rows 1, {failed[0].way}: {verdict}: " in found.text
    assert "  guards: and 1 more" in found.text
    assert "were not asked, after so many failures" in found.text


def test_a_hang_ends_a_kind_of_layer(monkeypatch):
    """It takes long, so once is enough: not again under sanitizers either."""
    monkeypatch.setattr("cgru.judge.safe.TIMEOUT", 0.3)
    found = safe(contestant("bad.c", "LOOPS"), kinds=["lstm"], quick=True)
    assert not found.passed and [outcome.verdict for outcome in found.groups[0].failed] == ["hung"]
    assert "guards: H 1, I 1, rows 1, step: hung: not done after 0.3 s, in cgru_judge_step, step 0" in found.text


def test_what_only_sanitizers_see():
    one = contestant("bad.c", "PAST_ITS_OWN")
    if not one.sanitizes:
        pytest.skip("the sanitizers do not link")
    found = safe(one, kinds=["rnn"], quick=True)
    assert not found.passed
    failed = {outcome.detail for outcome in found.groups[0].failed if outcome.watched == "sanitizers"}
    assert len(failed) == 1
    assert re.search(r"heap-buffer-overflow, WRITE of size 4, bad.c:\d+, in cgru_judge_step, step 0", failed.pop())


def test_what_models_leave_on_the_heap_is_told():
    """From the largest layer; it does not fail."""
    one = contestant("bad.c", "FREES_NOTHING")
    found = safe(one, kinds=["rnn"], quick=True)
    assert found.passed
    assert bool(re.search(r"  H 70, I 2, rows 1, step: each model leaves \d{5} bytes", found.text)) == one.sanitizes
    assert "leaves" not in safe(contestant("textbook.c"), kinds=["rnn"], quick=True).text


def test_one_size_is_named():
    found = safe(contestant("bad.c", "CRASHES_AT_5"), kinds=["rnn"])
    assert not found.passed and {outcome.H for outcome in found.groups[0].failed} == {5}
    done = [outcome for outcome in found.groups[0].done if outcome.watched == "guards"]
    assert f"RNN: safe {len(done) - 2} of {len(done)} with guards" in found.text
    assert "H 5, I 46, rows 1, step: crashed: SIGABRT, in cgru_judge_make" in found.text


def test_wrong_at_one_size():
    """Twice what float32 may be off, at one unit of one size; the run is right."""
    one = contestant("bad.c", "WRONG_AT_22")
    found = safe(one, kinds=["lstm"])
    failed = found.groups[0].failed
    assert not found.passed and {(outcome.H, outcome.way) for outcome in failed} == {(22, "step")}
    assert [outcome.watched for outcome in failed] == watches(one)
    assert re.search(
        r"guards: H 22, I 45, rows 1, step: wrong: is 2(\.\d+)?e-05 off at step \d, row 0, unit 21 \(at most 1e-05 is",
        found.text,
    )


def test_nan():
    found = safe(contestant("bad.c", "LEAVES_LAST"), kinds=["rnn"], quick=True)
    assert not found.passed and {outcome.verdict for outcome in found.groups[0].failed} == {"nan"}
    assert "H 5, I 3, rows 1, step: nan: gives nan first at step 0, row 0, unit 4" in [
        line.partition(": ")[2] for line in found.text.splitlines()
    ]


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="sets a register of x86")
def test_flush_to_zero_is_not_left_on():
    """Safe alone asks: outputs may be right all the same."""
    one = contestant("bad.c", "FLUSHES")
    found = safe(one, kinds=["rnn"], quick=True)
    first = found.groups[0].failed[0]
    assert first.verdict == "changed mode" and first.detail.endswith("mode changed: that subnormals become zero")
    assert host.run(one, *layer("rnn", **SIZES)).verdict == "ok"


def test_what_is_refused_is_no_failure():
    found = safe(contestant("rnn.cpp"), quick=True)
    assert found.passed
    for name in ("GRU, reset after", "LSTM"):
        assert not group(found, name).done and f"{name}: refused (cgru_judge_make gave NULL)" in found.text
    lines = found.text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("RNN: safe 6 of 6 with guards"))
    assert lines[start + 1 : start + 3] == ["  run: refused (it has no cgru_judge_run)", "  several rows: refused"]
    nothing = safe(contestant("bad.c", "REFUSES_ALL"), quick=True)
    assert not nothing.passed and nothing.text.endswith("it did none of the sizes")


def test_zero_states_where_others_are_refused():
    found = safe(contestant("bad.c", "REFUSES_STATE"), kinds=["rnn"], quick=True)
    assert found.passed and found.groups[0].from_zero and "from zero states alone: it refuses others" in found.text


def test_fixed_sizes():
    found = safe(contestant("fixed.c"))
    assert found.passed and group(found, "GRU, reset after").from_zero
    assert {(outcome.H, outcome.I) for outcome in group(found, "GRU, reset after").done} == {
        (1, 1), (5, 3), (8, 1), (13, 7), (32, 33), (70, 2),
    }  # fmt: skip
    refused = group(found, "LSTM").outcomes[0]
    assert refused.verdict == "refused" and "only GRUs" in refused.detail


def test_without_sanitizers(tmp_path, monkeypatch):
    """It is said why: a library, a compiler that has none, flags that do not go with them."""
    library = tmp_path / "mine.so"
    words = [tool("cc"), "-shared", "-fPIC", "-I", build.INCLUDE, HERE / "textbook.c", "-o", library, "-lm"]
    subprocess.run(words, check=True)
    found = safe(host.Contestant.of(library), kinds=["rnn"], quick=True)
    assert found.passed and found.watched.endswith("alone: sanitizers need its source")
    assert {outcome.watched for outcome in found.groups[0].outcomes} == {"guards"}
    source = tmp_path / "mine.c"
    source.write_text(f'#ifdef __SANITIZE_ADDRESS__\n#error "not so"\n#endif\n#include "{HERE / "textbook.c"}"\n')
    one = host.Contestant.of(source, flags=["-O1"], cc=tool("gcc"))
    if one.sanitizes:
        found = safe(one, kinds=["rnn"], quick=True)
        assert found.passed and "alone: with sanitizers it cannot be built (" in found.watched
        assert "not so" in found.watched
    monkeypatch.setattr(build, "sanitizes", lambda command: False)
    found = safe(contestant("textbook.c"), kinds=["rnn"], quick=True)
    assert found.passed and found.watched.endswith("alone: this compiler's sanitizers do not link")


def test_what_cannot_be_built():
    with pytest.raises(host.BuildError, match="lacks the function cgru_judge_step"):
        safe(contestant("bad.c", "LACKS_STEP"))
