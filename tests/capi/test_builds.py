"""What compiles and is imported: Cython, C++, versions that fit and do not, and what is installed."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import cgru
from support.extensions import compile_c, load
from support.processes import ROOT, run_python

CALLS = Path(__file__).parent / "calls.c"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "c-api.md"
HEADER = Path(cgru.get_include(), "cgru.h")
T, N, INPUT, H = 7, 3, 5, 19


def test_cython(loops, rng):
    """`cimport cgru` beside `import cgru`, steps without the GIL."""
    model = cgru.LSTM(INPUT, H, rng=1)
    x = rng.standard_normal((T, N, INPUT), dtype=np.float32)
    y, state, gru = loops.by_steps(model, x)
    stream = model.stream(N)
    assert_array_equal(y, stream.run(x))
    h, c = stream.state
    assert_array_equal(state, np.concatenate([h.ravel(), c.ravel()]))
    assert gru is cgru.GRU


def test_cython_s_errors(loops):
    with pytest.raises(ValueError, match="a bidirectional GRU cannot be streamed"):
        loops.by_steps(cgru.GRU(INPUT, H, bidirectional=True), np.ones((T, N, INPUT), np.float32))
    text = "the number of rows must be at least 1 and at most 2147483647"
    assert loops.refused(cgru.GRU(INPUT, H), 0) == (-3, text, True)
    with pytest.raises(TypeError, match="model must be a GRU"):
        loops.refused(None, 1)


def test_the_examples(examples, rng):
    """A chunk in place, one after the other."""
    model = cgru.Sequential([cgru.GRU(1, H, rng=1), cgru.Linear(H, 1, rng=2)], skip=True)
    x = rng.standard_normal(150, dtype=np.float32)
    expected, samples = model.stream().run(x[:, None])[:, 0], x.copy()
    examples.amp.process(model, samples)
    assert_array_equal(samples, expected)
    voice, samples = examples.voice.Voice(model), x.copy()
    for chunk in (samples[:40], samples[40:40], samples[40:]):
        voice.process(chunk)
    assert_array_equal(samples, expected)
    wide = cgru.GRU(1, H)
    for other in (samples.astype(np.float64), samples.view(np.uint8), samples.tobytes()):
        with pytest.raises((TypeError, BufferError, ValueError)):
            examples.amp.process(model, other)
    for make in (examples.voice.Voice, lambda model: examples.amp.process(model, samples)):
        with pytest.raises(TypeError, match="model must be a GRU"):
            make(None)
        for wrong in (wide, model.astype("float64"), cgru.GRU(1, 1, bidirectional=True)):
            with pytest.raises(ValueError, match=r"one float32 number in and out|a bidirectional GRU"):
                make(wrong)


@pytest.mark.skipif(not PAGE.is_file(), reason="needs the documentation's sources")
@pytest.mark.parametrize("name", ["amp.c", "voice.pyx", "setup.py"])
def test_the_examples_are_those_of_the_page(name):
    assert f"\n{(CALLS.parent / name).read_text(encoding='utf-8')}```\n" in PAGE.read_text(encoding="utf-8")


def test_cpp(tmp_path, rng):
    calls = load(compile_c(CALLS, tmp_path, "c++11"))
    model = cgru.GRU(INPUT, H, rng=1)
    x = rng.standard_normal((T, INPUT), dtype=np.float32)
    y = np.full((T, H), np.nan, np.float32)
    handle = calls.model_new(model)
    code, stream = calls.stream_new(handle, 1)
    assert code == calls.stream_run(stream, T, x, y, False) == 0
    assert_array_equal(y, model.stream().run(x))
    assert calls.stream_free(stream) == calls.model_free(handle) == 0


@pytest.mark.parametrize("language", ["c99", "c11", "c++17"])
def test_languages(tmp_path, language):
    assert compile_c(CALLS, tmp_path, language).is_file()


# ---- versions


def with_header(tmp_path, before, after):
    """A module that was compiled with another header: `before` there is `after`."""
    text = HEADER.read_text(encoding="utf-8")
    assert text.count(before) == 1
    (tmp_path / "cgru.h").write_text(text.replace(before, after), encoding="utf-8")
    return compile_c(CALLS, tmp_path, include=tmp_path)


def version():
    return int(re.search(r"#define CGRU_API_VERSION (\d+)", HEADER.read_text(encoding="utf-8"))[1])


@pytest.mark.parametrize("other", [0, 7])
def test_another_version_is_refused(tmp_path, other):
    """With both numbers, whichever is the newer one."""
    own = version()
    module = with_header(tmp_path, f"#define CGRU_API_VERSION {own}", f"#define CGRU_API_VERSION {other}")
    numbers = f"compiled for version {other} of cgru's C.* that is installed has version {own}:"
    with pytest.raises(ImportError, match=numbers):
        load(module)


LAST = "    int (*stream_set_state)(cgru_stream *stream, const void *state);\n"


def test_a_table_with_fewer_functions_is_refused(tmp_path):
    module = with_header(tmp_path, LAST, f"{LAST}    void (*of_tomorrow)(void);\n")
    word = np.dtype(np.uintp).itemsize      # the version and the size have one each, as ten functions have
    sizes = f"has {13 * word} bytes, and that of the cgru that is installed {12 * word}: install"
    with pytest.raises(ImportError, match=sizes):
        load(module)


def test_a_table_with_more_functions_is_taken(tmp_path):
    """Compiled with an older cgru, of the same version."""
    call = "cgru_table->stream_set_state(stream, state)"
    text = HEADER.read_text(encoding="utf-8")
    assert text.count(LAST) == text.count(call) == 1
    older = text.replace(LAST, "").replace(call, "stream && state ? CGRU_BUSY : CGRU_OK")
    (tmp_path / "cgru.h").write_text(older, encoding="utf-8")
    calls = load(compile_c(CALLS, tmp_path, include=tmp_path))
    handle = calls.model_new(cgru.GRU(INPUT, H))
    assert calls.sizes(handle) == (INPUT, H, H, 4)
    assert calls.model_free(handle) == 0


def test_a_cgru_without_the_table(tmp_path):
    """Or none at all: the module's import says what is missing."""
    module = compile_c(CALLS, tmp_path)
    (tmp_path / "cgru").mkdir()
    (tmp_path / "cgru" / "__init__.py").write_text("")
    program = "import sys; sys.path[:0] = [sys.argv[1]]; import calls"
    done = run_python(program, tmp_path, check=False)
    assert done.returncode == 1 and module.is_file()
    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'cgru.capi'"


# ---- what is installed


def test_the_header_and_the_declarations_are_there():
    """And name the same functions."""
    declared = Path(cgru.__file__).with_name("__init__.pxd").read_text(encoding="utf-8")
    header = HEADER.read_text(encoding="utf-8")
    functions = set(re.findall(r"static inline [\w ]+[ *](cgru_\w+)\(", header))
    assert len(functions) == 12 and functions == set(re.findall(r"\b(cgru_\w+)\(", declared))
    codes = set(re.findall(r"\b(CGRU_[A-Z_]+) = ", header))
    assert codes | {"CGRU_API_VERSION"} == set(re.findall(r"\bCGRU_[A-Z_]+", declared))


def test_cgru_itself_does_not_load_it():
    assert run_python("import sys, cgru; print('cgru.capi' in sys.modules)").stdout == "False\n"
    assert os.path.dirname(cgru.get_include()) == str(Path(ROOT, "cgru"))
