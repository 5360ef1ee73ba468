"""Exported models as WebAssembly, run by node: no operating system, no library, no fused multiply-add."""

import base64
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from support.c_programs import C99, compiled
from support.exported_networks import FUSED, Samples
from support.tools import tool, zig_cc

RUNNER = Path(__file__).with_name("run_wasm.mjs")
TARGET = ("-target", "wasm32-freestanding", "-nostdlib", "-Wl,--no-entry", "-O3")
#: One state, input and output of a model, and what JavaScript calls.
GLUE = """
#include "NAME.h"
static NAME_state NAME_memory;
static float NAME_in[UPPER_INPUT_SIZE], NAME_out[UPPER_OUTPUT_SIZE];
#define AS(name) __attribute__((export_name("NAME_" name)))
AS("x") float *NAME_x(void) { return NAME_in; }
AS("y") float *NAME_y(void) { return NAME_out; }
AS("outputs") int NAME_outputs(void) { return UPPER_OUTPUT_SIZE; }
AS("reset") void NAME_begin(void) { NAME_reset(&NAME_memory); }
AS("step") void NAME_next(void) { NAME_step(&NAME_memory, NAME_in, NAME_out); }
double NAME_test(void);
AS("test") double NAME_checked(void) { return NAME_test(); }
#undef AS
"""


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Networks, their C files, inputs and outputs."""
    return Samples(tmp_path_factory.mktemp("exported"), np.random.default_rng(2008))


def module(samples, folder, *flags):
    """One WebAssembly module of all networks."""
    glue = folder / "glue.c"
    texts = [GLUE.replace("NAME", model.name).replace("UPPER", model.upper) for model in samples.models]
    glue.write_text("".join(texts), encoding="utf-8")
    sources = [glue, *(source for model in samples.models for source in (model.source, model.test))]
    # what the glue exports is declared nowhere: its names are JavaScript's
    flags = [*flags, "-Wno-missing-prototypes", *(f"-D{model.upper}_TEST_NO_MAIN" for model in samples.models)]
    compiled([*zig_cc(), *C99, *TARGET, *flags, "-I", samples.models[0].folder, *sources], folder / "module.wasm")
    return folder / "module.wasm"


def emulate(samples):
    """Flags for the multiply-add in software."""
    return [f"-D{model.upper}_EMULATE_FMA" for model in samples.models]


def node(*arguments, given=None):
    """What node prints."""
    command = [tool("node", "nodejs"), *map(str, arguments)]
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def outputs(samples, path):
    """What node gives for every input."""
    requests = [
        {"name": name, "steps": len(x), "x": base64.b64encode(x.astype("<f4").tobytes()).decode()}
        for name, x, _ in samples.requests()
    ]
    answers = json.loads(node(RUNNER, path, given=json.dumps(requests)))
    answers = [np.frombuffer(base64.b64decode(answer), "<f4") for answer in answers]
    return [answer.reshape(len(x), -1) for answer, (_, x, _) in zip(answers, samples.requests(), strict=True)]


SIMD = pytest.mark.parametrize("simd", [("-msimd128",), ()], ids=["simd128", "scalar"])


@SIMD
def test_outputs_are_pythons(simd, samples, tmp_path):
    """Without fused multiply-adds: within the tolerance."""
    samples.check(outputs(samples, module(samples, tmp_path, *simd)), same_bits=False)


@SIMD
def test_same_bits_by_emulation(simd, samples, tmp_path):
    """With the multiply-add in software: the bits of the engine."""
    samples.check(outputs(samples, module(samples, tmp_path, *simd, *emulate(samples))), same_bits=True)


def test_nothing_is_imported(samples, tmp_path):
    """The module asks its surroundings for no function and no memory."""
    script = "const m = new WebAssembly.Module(require('fs').readFileSync(process.argv[1]));"
    script += "console.log(JSON.stringify(WebAssembly.Module.imports(m)))"
    assert json.loads(node("-e", script, module(samples, tmp_path, "-msimd128"))) == []


@pytest.mark.parametrize("emulated", [False, True], ids=["near", "emulated"])
def test_its_own_test(emulated, samples, tmp_path):
    """name_test.c without a main, as a function: the largest difference."""
    script = "const m = new WebAssembly.Module(require('fs').readFileSync(process.argv[1]));"
    script += "const {exports} = new WebAssembly.Instance(m);"
    script += "console.log(JSON.stringify(process.argv.slice(2).map(name => exports[name + '_test']())))"
    path = module(samples, tmp_path, "-msimd128", *emulate(samples) * emulated)
    names = [model.name for model in samples.models]
    differences = json.loads(node("-e", script, path, *names))
    assert len(differences) == len(names)
    for name, difference in zip(names, differences, strict=True):
        most = 0 if emulated and FUSED else 2e-2 if "int8" in name else 2e-6
        assert 0 <= difference <= most, name
    assert any(differences) != (emulated and FUSED)
