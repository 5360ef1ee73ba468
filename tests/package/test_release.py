"""What a release says of itself: version, CHANGELOG, citation, and what is kept of it. RELEASING.md has the steps."""

import re
from pathlib import Path

import pytest

import cgru

ROOT = Path(__file__).parents[2]
RELEASED = ".dev" not in cgru.__version__
CHANGELOG = ROOT / "CHANGELOG.md"
CITATION = ROOT / "CITATION.cff"
SECTION = re.compile(r"^## (\d+\.\d+\.\d+) \((.+)\)$", flags=re.MULTILINE)


def sections():
    """(version, date or words) of CHANGELOG.md, the newest first."""
    if not CHANGELOG.is_file():
        pytest.skip("CHANGELOG.md is in the repository and the source distribution only")
    return SECTION.findall(CHANGELOG.read_text(encoding="utf-8"))


def numbers(version):
    """As they are sorted."""
    return tuple(map(int, version.split(".")))


def test_the_changelog_has_the_version():
    (version, when), *_ = sections()
    assert version == cgru.__version__.partition(".dev")[0]
    if RELEASED:
        assert re.fullmatch(r"20\d\d-[01]\d-[0-3]\d", when)
    else:
        assert when == "not released yet"


def test_versions_go_down():
    found = [numbers(version) for version, _ in sections()]
    assert len(found) > 1 and found == sorted(set(found), reverse=True)


@pytest.mark.skipif(not CITATION.is_file(), reason="CITATION.cff is in the repository only")
def test_the_citation_names_the_newest_release():
    text = CITATION.read_text(encoding="utf-8")
    found = [re.search(rf"^{name}: (.+)$", text, flags=re.MULTILINE)[1] for name in ("version", "date-released")]
    released = [section for section in sections() if section[1][:2] == "20"]
    assert tuple(found) == released[0]


@pytest.mark.parametrize(
    "kept", ["tests/golden/models", pytest.param("bench/releases", marks=pytest.mark.skipif(
        not (ROOT / "bench").is_dir(), reason="bench/ is in the repository only"))]
)  # fmt: skip
def test_what_is_kept_of_every_release(kept):
    found = {path.name for path in (ROOT / kept).iterdir() if path.is_dir()}
    versions = [version for version, _ in sections()]
    assert found == set(versions if RELEASED else versions[1:])


@pytest.mark.skipif(not (ROOT / "RELEASING.md").is_file(), reason="the steps are in the repository only")
def test_the_steps_name_what_is_there():
    """Files and scripts that RELEASING.md speaks of."""
    text = (ROOT / "RELEASING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\w/])((?:\.ci|\.github|bench|cgru|docs|tests)/[\w./-]+\.\w+|\.ci/\w+)", text))
    assert len(named) >= 12
    gone = [name for name in named if "<" not in name and not (ROOT / name).exists()]
    assert not [name for name in gone if (ROOT / name.split("/")[0]).exists()]
