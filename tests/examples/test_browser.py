"""The page with the demo's recogniser, in a browser without a window: its numbers are Python's."""

import html
import re
import subprocess
import urllib.parse

import numpy as np
import pytest
from browser import build

from cgru.demo.data import load_utterances
from support.exported_networks import FUSED
from support.tools import tool, zig_cc


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The page as it is built, and with the multiply-add in software; emulated? -> path."""
    zig_cc()
    tool("chromium", "chromium-browser", "google-chrome")
    folder = tmp_path_factory.mktemp("pages")
    found = {}
    for emulated in (False, True):
        found[emulated] = folder / f"page{emulated}.html"
        build.main(["--out", str(found[emulated]), *["--emulate-fma"] * emulated])
    return found


def loaded(page, query, folder):
    """The page's text after its scripts have run."""
    program = tool("chromium", "chromium-browser", "google-chrome")
    command = [
        program, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}",
        "--virtual-time-budget=10000", "--dump-dom", f"{page.as_uri()}?{query}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and 'data-done="yes"' in done.stdout, done.stderr[-3000:]
    return done.stdout


def numbers(dom):
    """The page's table of numbers, which it offers as a file: utterance, frame, nine probabilities."""
    link = html.unescape(re.search(r'href="data:text/csv,([^"]*)"', dom)[1])
    head, *lines = urllib.parse.unquote(link).splitlines()
    assert head.split(",")[:3] == ["utterance", "frame", "speaker 1"]
    return np.array([[float(number) for number in line.split(",")] for line in lines])


def pythons(rows):
    """The same table by cgru's stream."""
    utterances, found = load_utterances("test"), []
    stream = build.demo_network().stream()
    for row in rows:
        frames = utterances.frames[: utterances.lengths[row], row]
        stream.reset()
        found += [[row, t, *p] for t, p in enumerate(stream.run(frames))]
    return np.array(found, np.float64)


def said(dom):
    """The sentence under the drawing."""
    return re.search(r'<p id="result"[^>]*>(.*?)</p>', dom)[1]


@pytest.mark.parametrize("emulated", [False, True], ids=["as it is", "emulated"])
def test_all_utterances(pages, emulated, tmp_path):
    """Every probability of the test split, after every frame."""
    dom = loaded(pages[emulated], "utterance=all", tmp_path)
    found, expected = numbers(dom), pythons(range(370))
    assert found.shape == expected.shape == (5687, 11)
    np.testing.assert_array_equal(found[:, :2], expected[:, :2])
    if emulated and FUSED:
        np.testing.assert_array_equal(found.astype(np.float32), expected.astype(np.float32))
    else:
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)
    assert said(dom) == "361 of 370 utterances are heard right (97.6 %)."


def test_one_utterance_step_by_step(pages, tmp_path):
    """Played in its own time, it ends with the same numbers, and says who speaks."""
    dom = loaded(pages[False], "utterance=99&pace=40", tmp_path)
    expected = pythons([99])
    np.testing.assert_allclose(numbers(dom), expected, rtol=0, atol=2e-6)
    guess, speaker = expected[-1, 2:].argmax(), load_utterances("test").speaker[99]
    assert guess == speaker
    assert said(dom) == f"It hears speaker {guess + 1} ({100 * expected[-1, 2 + guess]:.1f} %): right."
    assert re.search(r'<span id="time">One step of the network takes [\d.]+ µs here', dom)
