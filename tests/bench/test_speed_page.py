"""docs/speed.md is what docs/speed.py writes from the recorded results."""

import json

import pytest

from support.scripts import DOCS, script_of


@pytest.fixture
def script():
    return script_of("speed")


def test_the_page_is_what_the_script_writes(script):
    written = (DOCS / "speed.md").read_text(encoding="utf-8")
    assert written == script.page(), "the records changed: python docs/speed.py writes the page anew"


def test_every_missed_goal_is_there(script):
    page = script.page()
    for experiment in script.EXPERIMENTS:
        for path in DOCS.parent.glob(f"bench/{experiment.folder}/results/*/{experiment.inside}/results.json"):
            for goal in json.loads(path.read_text(encoding="utf-8")).get("goals", []):
                if goal.get("passed", goal.get("met")) is False:
                    assert goal["goal"] in page


def test_what_is_not_recorded_is_left_out(script, tmp_path, monkeypatch):
    """A clone without records, and one with a single record of one CPU, which has no other experiment."""
    monkeypatch.setattr(script, "ROOT", tmp_path)
    assert "##" not in script.page()
    (kept,) = (DOCS.parent / "bench" / "spelling" / "results").glob("*/results.json")
    folder = tmp_path / "bench" / "spelling" / "results" / kept.parent.name
    folder.mkdir(parents=True)
    (folder / "results.json").write_bytes(kept.read_bytes())
    (tmp_path / "bench" / "training" / "results" / "another-cpu").mkdir(parents=True)
    page = script.page()
    assert page.count("\n## ") == page.count("\n### ") == 1 and "another-cpu" not in page


def test_goals_of_both_forms(script):
    missed = {"goal": "a", "sense": ">=", "target": 7, "measured": 6.5, "unit": "x", "passed": False, "note": "H|8"}
    met = {"goal": "b", "part": "sets", "figure": 1.2, "at_most": 1.25, "met": True}
    open_one = {"goal": "c", "figure": None, "at_most": 5000, "met": None}
    lines = list(script.goals([missed, met, open_one]))
    assert "1 of 2 goals were met. The others:" in lines and lines[-1] == "| a | >= 7 x | 6.5 | H/8 |"
    assert list(script.goals([met])) == ["", "1 of 1 goals were met."]


COMMITS = [({"commit": "abc1234"}, ", of commit abc1234"), ({"commit": None}, ""), ({}, "")]


@pytest.mark.parametrize(("machine", "said"), COMMITS)
def test_the_commit_is_named_where_it_was_recorded(script, machine, said):
    found = {"date": "2026-11-30T00:00:00+00:00", "machine": machine, "versions": {"cgru": "0.2.0", "numpy": "2.4.6"}}
    expected = f"Measured 2026-11-30{said}, with cgru 0.2.0, numpy 2.4.6. All figures: `there/results.json`."
    assert script.origin(found, "there") == expected
