"""What a contestant can do to its process, once each; the problems in between must still come out right."""

import dataclasses
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from cgru.judge import host
from cgru.judge.child import SAFE
from cgru.judge.reports import report
from support.tools import tool

pytestmark = pytest.mark.skipif(os.name != "posix", reason="contestants run on POSIX systems")

SOURCE = Path(__file__).parent / "hostile" / "misdeeds.c"
I, H, T = 3, 5, 6               # noqa: E741
FLAGS = ["-O1", "-lpthread"]
FIRST = 1000                    # number of NONE in the source
NAMES = re.findall(r"\b[A-Z][A-Z_0-9]+\b", re.search(r"enum \{(.*?)\};", SOURCE.read_text(), re.DOTALL)[1])

#: Misdeed -> verdict and a word of its detail; NONE and those that leave everything as it is are "ok".
PLAIN = {
    "NONE": ("ok", ""),
    "WRITE_BEHIND_Y": ("wrote outside", "byte 1 past the end of y"),
    "WRITE_BEFORE_Y": ("wrote outside", "byte 1 before the start of y"),
    "READ_BEHIND_Y": ("read outside", "byte 1 past the end of y"),
    "WRITE_X": ("wrote outside", "cgru_judge_step writes into x"),
    "READ_BEHIND_X": ("read outside", "byte 1 past the end of x"),
    "KEEP_WEIGHTS": ("read outside", "weight_ih after it is gone"),
    "KEEP_STATE": ("read outside", "h_0 after it is gone"),
    "WRITE_WEIGHTS": ("wrote outside", "cgru_judge_make writes into weight_hh"),
    "WRITE_STATE": ("wrote outside", "cgru_judge_reset writes into h_0"),
    "WRITE_LAYER": ("wrote outside", "cgru_judge_make writes into the layer"),
    "NULL_WRITE": ("crashed", "SIGSEGV, in cgru_judge_step, step 1"),
    "RECURSE": ("crashed", "SIGSEGV"),
    "TRAP": ("crashed", "SIG"),
    "DIVIDE": ("crashed", "SIGFPE"),
    "ABORT": ("crashed", "SIGABRT"),
    "KILL_ITSELF": ("crashed", "SIGKILL"),
    "EXIT_0": ("exited", "status 0, in cgru_judge_step"),
    "EXIT_3": ("exited", "status 3, in cgru_judge_step"),
    "EXIT_IN_MAKE": ("exited", "status 3, in cgru_judge_make"),
    "EXIT_IN_RESET": ("exited", "status 4, in cgru_judge_reset"),
    "EXIT_IN_FREE": ("exited", "status 5, in cgru_judge_free"),
    "EXIT_86": ("exited", "status 86, in cgru_judge_step"),
    "LOOP_IN_STEP": ("hung", "in cgru_judge_step"),
    "LOOP_IN_MAKE": ("hung", "in cgru_judge_make"),
    "LOOP_IN_FREE": ("hung", "in cgru_judge_free"),
    "SLEEP": ("hung", "in cgru_judge_step"),
    "IGNORE_SIGNALS": ("hung", "in cgru_judge_step"),
    "PRINT": ("ok", ""),
    "PRINT_MUCH": ("ok", ""),
    "CLOSE_FILES": ("ok", ""),
    "LEAVE_CHILD": ("ok", ""),
    "LEAVE_THREAD": ("ok", ""),
    "CHANGE_FOLDER": ("ok", ""),
    "WRITE_NAN": ("ok", ""),
    "WRITE_NOTHING": ("ok", ""),
    "WRITE_THE_LAST": ("wrote outside", "byte 1 past the end of y"),
    "REFUSE_STATE": ("refused", "gave 7"),
    "EAT_MEMORY": ("crashed", "SIGABRT"),
    "LEAK": ("ok", ""),
    "KEEP_FOR_NEXT": ("ok", ""),
}
#: Where sanitizers say it, or where without them nobody sees it; the line is that of the misdeed.
SANITIZED = {
    "WRITE_BEHIND_Y": "heap-buffer-overflow, WRITE of size 4",
    "WRITE_BEFORE_Y": "heap-buffer-overflow, WRITE of size 4",
    "READ_BEHIND_Y": "heap-buffer-overflow, READ of size 4",
    "READ_BEHIND_X": "heap-buffer-overflow, READ of size 4",
    "KEEP_WEIGHTS": "heap-use-after-free, READ of size 4",
    "KEEP_STATE": "heap-use-after-free, READ of size 4",
    "KEEP_X": "heap-use-after-free, READ of size 4",
    "BEHIND_HEAP": "heap-buffer-overflow, WRITE of size 4",
    "AFTER_FREE": "heap-use-after-free, READ of size 4",
    "OVERFLOW": "signed integer overflow",
    "WRITE_THE_LAST": "heap-buffer-overflow, WRITE of size 4",
}
SLOW = {name for name, (verdict, _) in PLAIN.items() if verdict == "hung"}


def problem(name, way="step"):
    """A problem for the misdeed of this name, and what is right."""
    rng = np.random.default_rng(NAMES.index(name))

    def some(*shape):
        return rng.uniform(-0.5, 0.5, shape).astype(np.float32)

    layer = {"weight_ih_l0": some(H, I), "weight_hh_l0": some(H, H), "bias_ih_l0": some(H), "bias_hh_l0": some(H)}
    x, h = some(T, 1, I), some(1, H)
    layer["bias_hh_l0"][0] = 0
    states = [h]
    for x_t in x:
        sums = x_t @ layer["weight_ih_l0"].T + states[-1] @ layer["weight_hh_l0"].T
        states.append(np.tanh(sums + layer["bias_ih_l0"] + layer["bias_hh_l0"]))
    layer["bias_hh_l0"][0] = FIRST + NAMES.index(name)
    return host.Problem(layer, "rnn", x, h, way=way), np.array(states[1:])


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The same as a library that somebody else compiled."""
    path = tmp_path_factory.mktemp("library") / "misdeeds.so"
    include = Path(host.__file__).parents[1] / "include"
    subprocess.run(
        [tool("cc", "gcc", "clang"), "-O1", "-shared", "-fPIC", f"-I{include}", SOURCE, "-o", path, "-lm", "-lpthread"],
        check=True,
    )
    return host.Contestant.of(path)


@pytest.fixture(scope="module")
def source():
    tool("cc", "gcc", "clang")
    return host.Contestant.of(SOURCE, flags=FLAGS)


def ask(contestant, names, way, sanitize=False):
    """Results of the misdeeds, in the order of their names; between them and behind the last all is right."""
    asked = [problem(one, way) for name in names for one in (name, "NONE")]
    results = host.run_all(contestant, [one for one, _ in asked], sanitize=sanitize, timeout=1.5)
    for (_, expected), result in zip(asked[1::2], results[1::2], strict=True):
        assert result.verdict == "ok" and np.abs(result.y - expected).max() < 1e-6
    for name, (_, expected), result in zip(names, asked[::2], results[::2], strict=True):
        if result.verdict == "ok" and not name.startswith("WRITE"):
            assert np.abs(result.y - expected).max() < 1e-6, name
    return dict(zip(names, results[::2], strict=True))


def check(results, expected, way):
    """All that differ from what is expected, at once."""
    wrong = []
    for name, (verdict, words) in expected.items():
        if way == "run":
            words = words.partition(", step")[0].replace("cgru_judge_step", "cgru_judge_run")
        if words not in results[name].detail or results[name].verdict != verdict:
            wrong.append((name, results[name].verdict, results[name].detail))
    assert not wrong


def test_the_table_is_whole():
    assert set(PLAIN) | set(SANITIZED) == set(NAMES)


@pytest.mark.parametrize("what", ["source", "library"])
def test_every_misdeed_is_told_from_the_others(what, request):
    names = [name for name in PLAIN if what == "source" or name not in SLOW]
    results = ask(request.getfixturevalue(what), names, "step")
    check(results, {name: PLAIN[name] for name in names}, "step")
    assert np.isnan(results["WRITE_NOTHING"].y).all()
    y = results["WRITE_NAN"].y
    assert np.isnan(y[:, 0, -1]).all() and not np.isnan(y[:, 0, :-1]).any()


def test_in_a_run_too(source):
    """What lies behind the y of one step is that of the next: a write there is seen at the last step alone."""
    inside = {"NONE", "WRITE_NAN", "READ_BEHIND_X", "READ_BEHIND_Y", "WRITE_BEFORE_Y"}
    names = [name for name in PLAIN if name not in SLOW | inside]
    expected = {name: PLAIN[name] for name in names}
    expected["WRITE_NOTHING"] = expected["WRITE_THE_LAST"] = ("ok", "")
    check(ask(source, names, "run"), expected, "run")


def test_sanitizers_say_what_and_where(source):
    if not source.sanitizes:
        tool("a compiler with the address and undefined sanitizers")
    lines = SOURCE.read_text().splitlines()
    results = ask(source, list(SANITIZED), "step", sanitize=True)
    for name, words in SANITIZED.items():
        assert results[name].verdict == "sanitizer" and words in results[name].detail, (name, results[name])
        line = re.search(r"misdeeds\.c:(\d+)", results[name].detail)
        assert f"case {name}:" in lines[int(line[1]) - 1], (name, results[name])
    others = ["NONE", "EXIT_86", "ABORT", "WRITE_X", "WRITE_WEIGHTS", "PRINT", "CLOSE_FILES", "REFUSE_STATE"]
    expected = {name: (PLAIN[name][0], "") for name in others}
    check(ask(source, others, "step", sanitize=True), expected, "step")


@pytest.mark.parametrize("sanitize", [False, True])
def test_what_models_leave_on_the_heap_is_said(source, sanitize):
    """Of each model; not what is kept once. It is no verdict: nothing is touched that must not be."""
    if sanitize and not source.sanitizes:
        tool("a compiler with the address and undefined sanitizers")
    if not sanitize and not has_mallinfo():
        pytest.skip("this C library does not say how much of its heap is taken")
    names = ["NONE", "LEAK", "KEEP_FOR_NEXT"]
    asked = [dataclasses.replace(problem(name)[0], kind=SAFE) for name in names]
    results = host.run_all(source, asked, sanitize=sanitize)
    assert [result.verdict for result in results] == ["ok"] * 3
    assert [result.detail for result in results[::2]] == ["", ""]
    left = re.fullmatch(r"each model leaves (\d+) bytes on the heap when it is freed", results[1].detail)
    assert 4 * H <= int(left[1]) <= 4 * H + 16


def has_mallinfo():
    """glibc's, from 2.33 on."""
    name, version = platform.libc_ver()
    return name == "glibc" and tuple(int(part) for part in version.split(".")[:2]) >= (2, 33)


def test_nothing_stays(source, tmp_path, monkeypatch):
    """No process of it, no folder of a run."""
    assert source.name == "misdeeds"        # builds it, in a folder that stays as long as the contestant
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("CGRU_TEST_MARK", mark := f"cgru-{os.getpid()}-stays")
    for name, verdict in {"LEAVE_CHILD": "ok", "ABORT": "crashed"}.items():
        assert host.run_all(source, [problem(name)[0]])[0].verdict == verdict
    assert not list(tmp_path.iterdir())
    if os.path.isdir("/proc"):
        deadline = time.monotonic() + 5
        while (left := marked(mark)) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not left


def marked(mark):
    """Processes, zombies apart, that were started with this in their environment."""
    found = []
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            if mark in Path("/proc", number, "environ").read_text("utf-8", "replace"):
                found.append(number)
        except OSError:
            continue
    return found


def test_the_search_for_processes_finds_one():
    with subprocess.Popen(["sleep", "100"], env={**os.environ, "CGRU_TEST_MARK": "cgru-found"}) as child:
        try:
            if os.path.isdir("/proc"):
                assert str(child.pid) in marked("cgru-found")
        finally:
            child.kill()


@pytest.mark.parametrize(("printed", "expected"), [
    ("==7==ERROR: AddressSanitizer: SEGV on unknown address 0x0 (pc 0x5)\n    #0 0x5 in f(int, int) /a b/c.cc:9:3\n",
     "AddressSanitizer: SEGV, c.cc:9"),
    ("==7==ERROR: AddressSanitizer: attempting double-free on 0x602 in thread T0:\n    #0 0x5 in free (/x/host+0xb)\n",
     "AddressSanitizer: attempting double-free"),
    ("/x/y.c:3:5: runtime error: load of misaligned address 0x7f for type 'float'\n",
     "load of misaligned address for type 'float', y.c:3"),
    ("==9==AddressSanitizer: hard rss limit exhausted (512Mb vs 530Mb)\n", "it took more than 512 MB of memory"),
    ("all is well\n", ""),
])  # fmt: skip
def test_reports_in_one_line(printed, expected):
    assert report(printed) == expected


# ---- builds


@pytest.mark.parametrize("command", ["gcc", "clang"])
@pytest.mark.parametrize("flag", ["-ffast-math", "-Ofast", "-funsafe-math-optimizations"])
def test_the_process_does_not_flush_subnormals(command, flag):
    """GCC and Clang link a start-up file that does, where the flag is there at the link."""
    contestant = host.Contestant.of(SOURCE.with_name("flushes.c"), flags=["-O1", flag], cc=tool(command))
    result = host.run_all(contestant, [problem("NONE")[0]])[0]
    assert result.verdict == "ok" and (result.y > 0).all() and (result.y < 1e-39).all()


def test_flags_that_the_link_needs(tmp_path):
    """A library by path, one by name, and a source that is right with them alone."""
    compiler, archiver = tool("cc", "gcc", "clang"), tool("ar")
    for name in ("one", "two"):
        (tmp_path / f"{name}.c").write_text(f"int {name}(void) {{ return 1; }}\n")
        subprocess.run([compiler, "-c", f"{name}.c"], cwd=tmp_path, check=True)
        subprocess.run([archiver, "rc", f"lib{name}.a", f"{name}.o"], cwd=tmp_path, check=True)
    (tmp_path / "mine.c").write_text(
        f'#define cgru_judge_free its_free\n#include "{SOURCE}"\n#undef cgru_judge_free\n'
        "int one(void), two(void);\nvoid cgru_judge_free(void *model) { if (one() + two() == 2) its_free(model); }\n"
    )
    flags = [*FLAGS, str(tmp_path / "libone.a"), "-L", str(tmp_path), "-ltwo"]
    asked, expected = problem("NONE")
    result = host.run_all(host.Contestant.of(tmp_path / "mine.c", flags=flags), [asked])[0]
    assert result.verdict == "ok" and np.abs(result.y - expected).max() < 1e-6
    with pytest.raises(host.BuildError, match=r"undefined (reference|symbol).*one"):
        host.run_all(host.Contestant.of(tmp_path / "mine.c", flags=FLAGS), [asked])


MISBUILT = {
    "main": ("int main(void) { return 0; }", "main"),
    "symbol": ("double other(double); double (*keep)(double) = other;", "other"),
    "compile": ("int wrong(void) { return nothing; }", "nothing"),
    "header": ("#include <nothere.h>", "nothere.h"),
}


@pytest.mark.parametrize("name", MISBUILT)
def test_what_does_not_build_says_why(name, tmp_path):
    text, word = MISBUILT[name]
    tool("cc", "gcc", "clang")
    (tmp_path / "mine.c").write_text(f'#include "{SOURCE}"\n{text}\n')
    with pytest.raises(host.BuildError) as found:
        host.Contestant.of(tmp_path / "mine.c", flags=FLAGS).build(host.Shape("rnn", I, H))
    first = found.value.reason
    assert "mine.c" in first and word in first


def test_names_are_a_line_without_commands(tmp_path):
    """A terminal would take what follows an ESC for a command."""
    tool("cc", "gcc", "clang")
    text = r'const char *cgru_judge_name(void) { return "a\x1b[31m\nname\t\xff"; }'
    (tmp_path / "mine.c").write_text(f'#include "{SOURCE}"\n{text}\n')
    name = host.Contestant.of(tmp_path / "mine.c", flags=FLAGS).name
    assert name.isprintable() and name.startswith("a") and "name" in name


@pytest.mark.parametrize("misdeed", ["exit(9)", "abort()", "loop()"])
def test_what_ends_before_it_is_asked(misdeed, tmp_path):
    """A constructor of a library runs when it is loaded."""
    tool("cc", "gcc", "clang")
    text = f"__attribute__((constructor)) static void begin(void) {{ {misdeed}; }}"
    (tmp_path / "mine.c").write_text(f'#include "{SOURCE}"\n{text}\n')
    contestant = host.Contestant.of(tmp_path / "mine.c", flags=FLAGS)
    result = host.run_all(contestant, [problem("NONE")[0]], timeout=0.5)[0]
    assert result.verdict == {"exit(9)": "exited", "abort()": "crashed", "loop()": "hung"}[misdeed]
    assert "before" in result.detail


# ---- interrupted; the sources themselves

PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)      # a background job starts with it ignored
import numpy as np
from cgru.judge import host
from cgru.judge.child import SAFE
layer = {"weight_ih_l0": np.ones((5, 3)), "weight_hh_l0": np.ones((5, 5)), "bias_hh_l0": np.array([%d, 0, 0, 0, 0])}
contestant = host.Contestant.of(%r, flags=["-O1", "-lpthread"])
contestant.name
print("built", flush=True)
host.run(contestant, layer, "rnn", np.ones((6, 1, 3)), np.ones((1, 5)), timeout=100)
"""


def test_an_interrupted_run_leaves_nothing(tmp_path):
    """No process, no file, by Ctrl-C in Python alone: the contestant is in another process group."""
    tool("cc", "gcc", "clang")
    program = PROGRAM % (FIRST + NAMES.index("LOOP_IN_STEP"), str(SOURCE))
    mark = f"cgru-{os.getpid()}-interrupted"
    environment = {**os.environ, "CGRU_TEST_MARK": mark, "TMPDIR": str(tmp_path)}
    environment["PYTHONPATH"] = str(Path(host.__file__).parents[2])
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-P", "-c", program], env=environment, **pipes) as python:
        assert python.stdout.readline() == "built\n"
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob("*/results"))) < 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)
        python.send_signal(signal.SIGINT)
        _, errors = python.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors
    assert not list(tmp_path.iterdir())
    if os.path.isdir("/proc"):
        deadline = time.monotonic() + 5
        while marked(mark) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not marked(mark)


STRICT = ["-Wall", "-Wextra", "-pedantic", "-Werror", "-O2", "-fsyntax-only"]


@pytest.mark.parametrize("command", ["gcc", "clang"])
@pytest.mark.parametrize("name", ["host.c", "null.c"])
def test_our_sources_are_clean_c(command, name):
    folder = Path(host.__file__).parent
    words = [tool(command), *STRICT, "-std=c99", f"-I{folder.parent / 'include'}", folder / name]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


HEADER = ["gcc -x c -std=c99", "clang -x c -std=c99", "g++ -x c++ -std=c++98", "clang++ -x c++"]


@pytest.mark.parametrize("command", HEADER)
def test_the_header_is_clean(command, tmp_path):
    (tmp_path / "mine.h").write_text("#include <cgru_judge.h>\n#include <cgru_judge.h>\nint unused_number(void);\n")
    program, *flags = command.split()
    (tmp_path / "mine").write_text('#include "mine.h"\nint unused_number(void) { return CGRU_JUDGE_VERSION; }\n')
    include = Path(host.__file__).parents[1] / "include"
    words = [tool(program), *STRICT, *flags, f"-I{include}", tmp_path / "mine"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
