"""Contestants in their child process: what they compute, and what becomes of those that crash, hang or trespass."""

import dataclasses
import gc
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

import cgru
from cgru.cells import CELLS
from cgru.judge import build, host, native
from support.tools import tool

pytestmark = pytest.mark.skipif(os.name != "posix", reason="contestants run on POSIX systems")
HERE = Path(__file__).parent / "contestants"
SIZES = {"I": 3, "H": 5, "N": 2, "T": 4}


def layer(cell, *, I, H, N, T):  # noqa: E741
    """The arguments of `run`: random weights, inputs and states."""
    rng = np.random.default_rng([I, H, N, T])
    G = CELLS[cell].stacked * H
    shapes = {"weight_ih_l0": (G, I), "weight_hh_l0": (G, H), "bias_ih_l0": (G,), "bias_hh_l0": (G,)}
    weights = {name: rng.uniform(-0.8, 0.8, shape).astype(np.float32) for name, shape in shapes.items()}
    x, *states = (
        rng.uniform(-1, 1, shape).astype(np.float32) for shape in [(T, N, I)] + [(N, H)] * len(CELLS[cell].states)
    )
    return weights, cell, x, *states


def by_cgru(weights, cell, x, *states, reset_after=True):
    """The same by this package."""
    options = {"reset_after": reset_after} if "reset_after" in CELLS[cell].options else {}
    model = getattr(cgru, CELLS[cell].name).from_state_dict(weights, **options)
    hx = [state[None] for state in states]
    return model(x, hx[0] if len(hx) == 1 else tuple(hx))[0]


def contestant(name, *defines, **options):
    cc = tool("c++" if name.endswith("pp") else "cc")
    return host.Contestant.of(HERE / name, flags=["-O1", *(f"-D{define}" for define in defines)], cc=cc, **options)


@pytest.fixture(scope="module")
def textbook():
    return contestant("textbook.c")


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    """Temporary files go where they can be counted."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


# ---- what is computed


@pytest.mark.parametrize("sanitize", [False, True])
@pytest.mark.parametrize(("cell", "reset_after"), [("gru", True), ("gru", False), ("lstm", True), ("rnn", True)])
def test_outputs(textbook, cell, reset_after, sanitize):
    if sanitize and not textbook.sanitizes:
        pytest.skip("the sanitizers do not link")
    given = layer(cell, **SIZES)
    expected = by_cgru(*given, reset_after=reset_after)
    for way in ("step", "run"):
        result = host.run(textbook, *given, reset_after=reset_after, way=way, sanitize=sanitize)
        assert (result.verdict, result.detail) == ("ok", "")
        assert result.y.dtype == np.float32 and result.y.shape == expected.shape
        assert np.abs(result.y - expected).max() < 1e-6


def test_facts(textbook):
    assert textbook.name == "textbook loops" and textbook.has_run and not textbook.fixed
    assert re.fullmatch(r"\S+ \d+[\d.]* -O1", textbook.label)


def test_biases_may_be_missing(textbook):
    given = layer("gru", **SIZES)
    without = {name: array for name, array in given[0].items() if "bias" not in name}
    zeros = {**given[0], "bias_ih_l0": np.zeros(15, np.float32), "bias_hh_l0": np.zeros(15, np.float32)}
    got, expected = (host.run(textbook, one, *given[1:]).y for one in (without, zeros))
    assert np.array_equal(got, expected) and not np.array_equal(got, host.run(textbook, *given).y)


def test_many_in_one_process(textbook):
    """Problems of all kinds in one file, each with its own answer."""
    problems = [
        host.Problem(*layer(cell, I=size, H=size + 1, N=1, T=2), way=way)
        for size in (1, 8, 33) for cell in CELLS if CELLS[cell].states for way in ("step", "run")
    ]  # fmt: skip
    seen = []
    results = host.run_all(textbook, problems, each=seen.append)
    for problem, result in zip(problems, results, strict=True):
        states = [state for state in (problem.h_0, problem.c_0) if state is not None]
        assert np.abs(result.y - by_cgru(problem.layer, problem.cell, problem.x, *states)).max() < 1e-6
    assert seen == sorted(seen) and seen[-1] == len(problems) - 1


def test_cpp():
    one = contestant("rnn.cpp")
    given = layer("rnn", I=3, H=5, N=1, T=4)
    for sanitize in {False, one.sanitizes}:
        assert np.abs(host.run(one, *given, sanitize=sanitize).y - by_cgru(*given)).max() < 1e-6
    assert (one.name, one.has_run) == ("a class", False)
    assert host.run(one, *given, way="run").verdict == "refused"
    assert host.run(one, *layer("gru", **SIZES)).detail == "cgru_judge_make gave NULL"


def test_library(tmp_path):
    library = tmp_path / "mine.so"
    words = [tool("cc"), "-shared", "-fPIC", "-I", build.INCLUDE, HERE / "textbook.c", "-o", library, "-lm"]
    subprocess.run(words, check=True)
    one = host.Contestant.of(library)
    given = layer("lstm", **SIZES)
    assert np.abs(host.run(one, *given).y - by_cgru(*given)).max() < 1e-6
    assert (one.name, one.label, one.has_run, one.sanitizes) == ("textbook loops", "as it is", True, False)


def test_fixed_sizes():
    """Compiled anew for every shape, once; one that does not compile is refused."""
    one = contestant("fixed.c")
    assert one.fixed and one.name == "fixed" and one.label.endswith(", for each shape")
    problems = [host.Problem(*layer("gru", I=3, H=H, N=1, T=4)) for H in (5, 8, 5)]
    problems = [dataclasses.replace(problem, h_0=np.zeros_like(problem.h_0)) for problem in problems]
    for problem, result in zip(problems, host.run_all(one, problems), strict=True):
        assert np.abs(result.y - by_cgru(problem.layer, "gru", problem.x, problem.h_0)).max() < 1e-6
    assert one.build(host.Shape("gru", 3, 5)) == one.build(host.Shape("gru", 3, 5, 2))
    assert one.build(host.Shape("gru", 3, 5)) != one.build(host.Shape("gru", 5, 3))
    assert host.run(one, *layer("gru", I=3, H=5, N=1, T=4)).detail == "cgru_judge_reset gave -1"
    lstm = host.run(one, *layer("lstm", I=3, H=5, N=1, T=4))
    assert lstm.verdict == "refused" and "only GRUs" in lstm.detail and "\n" not in lstm.detail


# ---- faults


@pytest.mark.parametrize(("fault", "verdict", "detail"), [
    ("PAST_Y=0", "wrote outside", "cgru_judge_step (writes|touches) byte 1 past the end of y"),
    ("PAST_Y=9", "wrote outside", "cgru_judge_step (writes|touches) byte 37 past the end of y"),
    ("BEFORE_Y", "wrote outside", "cgru_judge_step wrote byte [1-4] before the start of y"),
    ("RUN_PAST_Y", "wrote outside", "cgru_judge_run (writes|touches) byte 1 past the end of y"),
    ("INTO_X", "wrote outside", "cgru_judge_step writes into x, which is const"),
    ("WRITES_WEIGHTS", "wrote outside", "cgru_judge_make writes into weight_hh, which is const"),
    ("PAST_X", "read outside", "cgru_judge_step (reads|touches) byte 1 past the end of x"),
    ("PAST_STATE", "read outside", "cgru_judge_reset (reads|touches) byte 1 past the end of h_0"),
    ("USES_WEIGHTS", "read outside", "cgru_judge_step (reads|touches) weight_ih after it is gone: copy it"),
    ("KEEPS_STATE", "read outside", "cgru_judge_step (reads|touches) h_0 after it is gone: copy it"),
    ("CRASHES", "crashed", "SIG(SEGV|BUS), in cgru_judge_step, step 0"),
    ("ABORTS", "crashed", "SIGABRT, in cgru_judge_step, step 0"),
    ("OVERFLOWS", "crashed", "SIG(SEGV|BUS), in cgru_judge_step, step 0"),
    ("FREES_TWICE", "crashed", "SIGABRT, in cgru_judge_free"),
    ("EXITS=3", "exited", "exit status 3, in cgru_judge_step, step 0"),
    ("EXITS=0", "exited", "exit status 0, in cgru_judge_step, step 0"),
    ("SHOUTS", "ok", ""),
    ("REFUSES_ALL", "refused", "cgru_judge_make gave NULL"),
    ("REFUSES_STATE", "refused", "cgru_judge_reset gave 7"),
])  # fmt: skip
def test_faults(fault, verdict, detail):
    """Each a verdict with its place in one line; this process goes on, and so does the next contestant."""
    way = "run" if fault.startswith("RUN") else "step"
    result = host.run(contestant("bad.c", fault), *layer("gru", **SIZES), way=way)
    assert result.verdict == verdict and re.fullmatch(detail, result.detail), (result.verdict, result.detail)
    assert (result.y is None) == (verdict != "ok")


@pytest.mark.parametrize(("fault", "detail"), [
    ("PAST_Y=0", "AddressSanitizer: heap-buffer-overflow, AT, in cgru_judge_step, step 0"),
    ("BEFORE_Y", "AddressSanitizer: heap-buffer-overflow, AT, in cgru_judge_step, step 0"),
    ("PAST_X", "AddressSanitizer: heap-buffer-overflow, AT, in cgru_judge_step, step 0"),
    ("PAST_ITS_OWN", "AddressSanitizer: heap-buffer-overflow, AT, in cgru_judge_step, step 0"),
    ("USES_WEIGHTS", "AddressSanitizer: heap-use-after-free, AT, in cgru_judge_step, step 0"),
    ("FREES_TWICE", "AddressSanitizer: (attempting double-free|heap-use-after-free).*, in cgru_judge_free"),
    ("SHIFTS", "shift exponent .*, bad.c:42, in cgru_judge_step, step 0"),
])  # fmt: skip
def test_sanitizers(fault, detail):
    one = contestant("bad.c", fault)
    if not one.sanitizes:
        pytest.skip("the sanitizers do not link")
    result = host.run(one, *layer("gru", **SIZES), sanitize=True)
    detail = detail.replace("AT", r"(READ|WRITE) of size \d+, (bad|textbook)\.c:\d+").replace("42", r"\d+")
    assert result.verdict == "sanitizer" and re.fullmatch(detail, result.detail), (result.verdict, result.detail)


def test_sanitizers_see_what_is_const():
    one = contestant("bad.c", "INTO_X")
    if not one.sanitizes:
        pytest.skip("the sanitizers do not link")
    result = host.run(one, *layer("gru", **SIZES), sanitize=True)
    assert (result.verdict, result.detail) == ("wrote outside", "cgru_judge_step wrote into x, which is const")


def test_what_is_not_written_is_nan():
    """And a NaN is handed on as it is."""
    y = host.run(contestant("bad.c", "LEAVES_LAST"), *layer("gru", **SIZES)).y
    assert np.isnan(y[:, -1, -1]).all() and np.isnan(y).sum() == len(y)


def test_hang(own_folder):
    one = contestant("bad.c", "LOOPS")
    before = time.monotonic()
    result = host.run(one, *layer("gru", **SIZES), timeout=0.5)
    assert (result.verdict, result.detail) == ("hung", "not done after 0.5 s, in cgru_judge_step, step 0")
    assert time.monotonic() - before < 60


def gone(pid):
    """Whether this process ends, or is a zombie that nobody waits for."""
    for _ in range(200):
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_processes_of_a_contestant_end_with_it(tmp_path):
    note = tmp_path / "pid"
    result = host.run(contestant("bad.c", f'FORKS="{note}"'), *layer("gru", **SIZES), timeout=1)
    assert result.verdict == "hung" and gone(int(note.read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_interrupted(tmp_path):
    """Ctrl-C while a contestant hangs: it is ended, and no temporary file stays."""
    note, folder = tmp_path / "pid", tmp_path / "temporary"
    folder.mkdir()
    fault = f'FORKS="{note}"'
    program = (
        f"import signal, sys; sys.path[:0] = {sys.path!r}\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"        # a background job starts with it ignored
        "from judge.test_host import contestant, host, layer, SIZES\n"
        f"host.run(contestant('bad.c', {fault!r}), *layer('gru', **SIZES), timeout=100)\n"
    )
    words, environment = [sys.executable, "-c", program], {**os.environ, "TMPDIR": str(folder)}
    with subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True) as running:
        for _ in range(1000):
            if note.exists() and note.read_text():
                break
            assert running.poll() is None, running.stderr.read()
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in running.communicate(timeout=60)[1]
    assert gone(int(note.read_text())) and not list(folder.iterdir())


def test_a_crash_belongs_to_its_shape():
    """The others have their results, from before and after it."""
    one = contestant("bad.c", "CRASHES_AT_5")
    problems = [host.Problem(*layer("gru", I=3, H=H, N=2, T=4)) for H in (4, 5, 6, 5, 7)]
    results = host.run_all(one, problems)
    assert [result.verdict for result in results] == ["ok", "crashed", "ok", "crashed", "ok"]
    for problem, result in list(zip(problems, results, strict=True))[::2]:
        assert np.abs(result.y - by_cgru(problem.layer, "gru", problem.x, problem.h_0)).max() < 1e-6
    results = host.run_all(one, problems, most=1)
    assert [result.verdict for result in results] == ["ok", "crashed", "not asked", "not asked", "not asked"]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_results_are_written_over():
    """The host's own counts become nonsense: a verdict of that problem, and the others have theirs."""
    one = contestant("bad.c", "SCRIBBLES_AT_5")
    problems = [host.Problem(*layer("gru", I=3, H=H, N=2, T=4)) for H in (4, 5, 6, 5)]
    seen = []
    results = host.run_all(one, problems, each=seen.append)
    assert [result.verdict for result in results] == ["ok", "wrote outside", "ok", "wrote outside"]
    assert results[1].detail.startswith("into the file of results")
    assert seen == sorted(seen) and max(seen, default=0) < len(problems)      # a quick child is never asked


def test_nothing_is_left(own_folder, monkeypatch):
    monkeypatch.chdir(own_folder)
    one = contestant("bad.c", "ABORTS")
    assert host.run(one, *layer("gru", **SIZES)).verdict == "crashed"
    left = [path for path in own_folder.iterdir() if not list(path.glob("*.o"))]
    assert left == []
    folder = Path(one.build(host.Shape("gru", 3, 5))).parent
    assert folder.parent == own_folder
    del one
    gc.collect()
    assert not folder.exists()


# ---- what cannot be built


def test_missing_function():
    with pytest.raises(host.BuildError, match=r"bad\.c lacks the function cgru_judge_step: declare it as "):
        host.run(contestant("bad.c", "LACKS_STEP"), *layer("gru", **SIZES))
    with pytest.raises(host.BuildError, match="lacks the function cgru_judge_step"):
        _ = contestant("bad.c", "LACKS_STEP").name


def test_missing_in_a_library(tmp_path):
    library = tmp_path / "mine.so"
    words = [tool("cc"), "-shared", "-fPIC", "-I", build.INCLUDE, "-DLACKS_STEP", HERE / "bad.c", "-o", library, "-lm"]
    subprocess.run(words, check=True)
    with pytest.raises(host.BuildError, match=r"mine\.so lacks the function cgru_judge_step"):
        host.run(host.Contestant.of(library), *layer("gru", **SIZES))
    library.write_text("no library")
    with pytest.raises(host.BuildError, match=r"mine\.so cannot be loaded: "):
        host.run(host.Contestant.of(library), *layer("gru", **SIZES))


def test_compilers(tmp_path, monkeypatch):
    (tmp_path / "mine.c").write_text("int main(void) { return wrong; }\n")
    says = r"mine\.c does not compile: .*wrong.*; the command was: .*-c .*mine\.c"
    with pytest.raises(host.BuildError, match=says) as caught:
        host.Contestant.of(tmp_path / "mine.c", cc=tool("cc")).build(host.Shape("gru", 3, 5))
    assert "error:" in caught.value.reason and " -c " not in caught.value.reason and "\n" not in str(caught.value)
    with pytest.raises(host.BuildError, match=r"--cc names the C compiler nosuch, which is not there: give .* cc, gcc"):
        host.Contestant.of(tmp_path / "mine.c", cc="nosuch -x")
    monkeypatch.setenv("CC", "nowhere")
    with pytest.raises(host.BuildError, match=r"\$CC names the C compiler nowhere, which is not there"):
        host.Contestant.of(tmp_path / "mine.c")
    monkeypatch.delenv("CC")
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, looked in {"mine.c": r"\$CC, cc, gcc, clang", "mine.cc": r"\$CXX, c\+\+, g\+\+, clang\+\+"}.items():
        (tmp_path / name).touch()
        with pytest.raises(host.BuildError, match=rf"compiler: looked for {looked}; install .*apt install g"):
            host.Contestant.of(tmp_path / name)
    with pytest.raises(native.NoCompiler, match=r"looked for \$CC, cc, gcc, clang; install gcc \(Debian: apt"):
        native.compiler()
    assert native.compiler_version() is None


def test_a_compiler_that_writes_nothing(tmp_path):
    fake = tmp_path / "fakecc"
    fake.write_text("#!/bin/sh\nexit 0\n")
    fake.chmod(0o755)
    with pytest.raises(host.BuildError, match=r"fakecc says that all is well, but wrote no file; name a .* --cc"):
        host.run(host.Contestant.of(HERE / "textbook.c", cc=str(fake)), *layer("gru", **SIZES))
    with pytest.raises(host.BuildError, match=r"textbook\.c does not compile: .* wrote no file"):
        one = host.Contestant.of(HERE / "textbook.c", flags=["-fsyntax-only"], cc=tool("cc"))
        host.run(one, *layer("gru", **SIZES))


def test_a_folder_in_which_nothing_may_run():
    """As one that is mounted noexec: it is said what to set."""
    one = contestant("textbook.c")
    program = one.build(host.Shape("gru", 3, 5))
    os.chmod(program, 0o644)
    with pytest.raises(host.BuildError, match=r"host0 cannot be run: Permission denied; .*noexec, set TMPDIR to one"):
        host.run(one, *layer("gru", **SIZES))



def test_which_files(tmp_path):
    (tmp_path / "mine.rs").touch()
    with pytest.raises(ValueError, match=r"mine\.rs: expected a name that ends with \.c, \.cc, .*\.so"):
        host.Contestant.of(tmp_path / "mine.rs")
    with pytest.raises(FileNotFoundError, match=r"there is no file nosuch\.c"):
        host.Contestant.of("nosuch.c")


def test_windows(monkeypatch):
    monkeypatch.setattr("cgru.judge.contestant.os", type("os", (), {"name": "nt"}))
    with pytest.raises(host.BuildError, match=r"Linux and macOS.*Windows: use WSL"):
        host.Contestant.of(HERE / "textbook.c")


def test_default_flags():
    """The first that the compiler takes, and in the label."""
    cc = tool("cc")
    one = host.Contestant.of(HERE / "textbook.c", cc=cc)
    flags = build.default_flags((cc,))
    assert flags in build.FLAGS and one.label.endswith(shlex.join(flags))
    more = host.Contestant.of(HERE / "textbook.c", flags=["-O1"], include=["/a b"], cc=f"{cc} -O0 -DX")
    assert more.label == f"{build.version((cc,))} -O0 -DX -O1 '-I/a b'"
    assert host.run(one, *layer("gru", **SIZES)).verdict == "ok"


def test_flags_of_the_machine():
    """The host is built for the same one; what cannot be is said."""
    given = layer("gru", **SIZES)
    with pytest.raises(host.BuildError, match="-static: the host looks for functions while it runs"):
        host.run(host.Contestant.of(HERE / "textbook.c", flags=["-O1", "-static"], cc=tool("cc")), *given)
    for flags, cc in ((["-shared"], tool("cc")), (["-O1"], f"{tool('cc')} -shared")):
        with pytest.raises(host.BuildError, match="-shared: a source is linked with the host as a program"):
            host.run(host.Contestant.of(HERE / "textbook.c", flags=flags, cc=cc), *given)
    one = host.Contestant.of(HERE / "textbook.c", flags=["-O1", "-m32", "-msse2", "-mfpmath=sse"], cc=tool("gcc"))
    try:
        result = host.run(one, *given)
    except host.BuildError as error:
        pytest.skip(f"no 32-bit programs here: {error}")
    assert result.verdict == "ok" and np.abs(result.y - by_cgru(*given)).max() < 1e-6
    times = host.measure(one, *given, calls=3, samples=2)
    assert (times > 0).all()


@pytest.mark.parametrize("where", ["flags", "cc"])
def test_fast_math_is_the_contestants_alone(tmp_path, where):
    """Linked without the flag, so that the process keeps its subnormals."""
    source = tmp_path / "subnormal.c"
    source.write_text(f'''
        #define cgru_judge_step good_step
        #define cgru_judge_run good_run
        #include "{HERE / "textbook.c"}"
        #undef cgru_judge_step
        void cgru_judge_step(void *model, const float *x, float *y)
        {{
            volatile float least = 1.5e-38f, half = 0.5f;
            good_step(model, x, y);
            y[0] = least * half;
        }}
    ''')
    flags, cc = (["-O2", "-ffast-math"], tool("cc")) if where == "flags" else (["-O2"], f"{tool('cc')} -ffast-math")
    one = host.Contestant.of(source, flags=flags, cc=cc)
    assert (host.run(one, *layer("gru", **SIZES)).y[:, 0, 0] == np.float32(1.5e-38) / 2).all()


def test_arguments(textbook):
    weights, cell, x, h_0 = layer("gru", **SIZES)
    for arguments, says in [
        ((weights, "linear", x, h_0), "cell must be"),
        ((weights, cell, x[0], h_0), r"x must be \(T, N, I\) and h_0 \(N, H\).* got \(2, 3\)"),
        ((weights, cell, x, h_0[:1]), r"got \(4, 2, 3\) and \(1, 5\)"),
        ((weights, cell, x, h_0, h_0), "c_0 goes with an LSTM"),
        ((weights, cell, x[:, :, :2], h_0), r"weight_ih_l0 must have the shape \(15, 2\); got \(15, 3\)"),
        (({"weight_ih_l0": weights["weight_ih_l0"]}, cell, x, h_0), "weight_hh_l0 is missing"),
    ]:
        with pytest.raises(ValueError, match=says):
            host.run(textbook, *arguments)
    with pytest.raises(ValueError, match="way must be 'step' or 'run'; got 'walk'"):
        host.run(textbook, weights, cell, x, h_0, way="walk")


# ---- times


@pytest.mark.parametrize("way", ["step", "run"])
def test_measure(textbook, way):
    tool("cc")
    given = layer("lstm", I=3, H=40, N=1, T=6)
    for one in (textbook, host.null()):
        found = host.measure(one, *given, calls=30, samples=7, instances=2, way=way)
        assert found.shape == (7,) and found.dtype == np.float64 and (found > 0).all() and np.isfinite(found).all()


def test_null_copies():
    """Its input, and zeros where that has no more."""
    tool("cc")
    one = host.null()
    assert one.name == "null (copies)"
    for I, H in ((3, 5), (5, 3)):  # noqa: E741
        given = layer("gru", I=I, H=H, N=1, T=4)
        for way in ("step", "run"):
            y = host.run(one, *given, way=way).y
            assert np.array_equal(y[..., : min(I, H)], given[2][..., : min(I, H)]) and not y[..., min(I, H) :].any()


def test_instances_are_stepped_in_turn(tmp_path):
    """Every sample begins with the first one, and each step of x goes to all of them."""
    note, source = tmp_path / "calls", tmp_path / "notes.c"
    source.write_text(f'''
        #include <stdio.h>
        #include <stdlib.h>
        #include <cgru_judge.h>
        static FILE *file;
        static int made;
        void *cgru_judge_make(const cgru_judge_layer *layer)
        {{
            int *model = malloc(sizeof *model);
            if (!file) file = fopen("{note}", "w");
            *model = made++;
            (void)layer;
            return model;
        }}
        int cgru_judge_reset(void *m, const float *h_0, const float *c_0) {{ return !m || !h_0 || c_0; }}
        void cgru_judge_step(void *m, const float *x, float *y) {{ fprintf(file, "%d:%g ", *(int *)m, *x); *y = 0; }}
        void cgru_judge_free(void *m) {{ fflush(file); free(m); }}
    ''')
    weights, cell, x, h_0 = layer("gru", I=1, H=5, N=1, T=3)
    x[:] = np.arange(3)[:, None, None]
    one = host.Contestant.of(source, flags=["-O1"], cc=tool("cc"))
    host.measure(one, weights, cell, x, h_0, calls=5, samples=2, instances=2)
    assert note.read_text().split() == ["0:0", "1:0", "0:1", "1:1", "0:2"] * 3      # to warm up, and two samples


def test_measure_what_fails(textbook):
    given = layer("gru", **SIZES)
    for fault, says in {"REFUSES_SECOND": "refused: cgru_judge_make gave NULL", "ABORTS": "crashed: SIGABRT"}.items():
        with pytest.raises(host.Failed, match=says) as caught:
            host.measure(contestant("bad.c", fault), *given, calls=3, samples=2, instances=2)
        assert caught.value.result.y is None
    with pytest.raises(host.Failed, match=r"hung: not done after 0\.5 s"):
        host.measure(contestant("bad.c", "LOOPS"), *given, calls=3, samples=2, timeout=0.5)
    with pytest.raises(ValueError, match="samples must be 1 or more; got 0"):
        host.measure(textbook, *given, calls=3, samples=0)
