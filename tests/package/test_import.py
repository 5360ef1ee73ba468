"""What `import cgru` does and does not do to a process, and which build of the engines it takes."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from cgru import engines
from support.processes import run_python

FRAMEWORKS = "torch", "tensorflow", "keras", "jax", "onnx", "onnxruntime", "openvino", "flax", "matplotlib", "pytest"


def test_import_is_light():
    """No scipy.linalg (0.1 s), no framework and no converter, until something needs it."""
    words = run_python("import sys, cgru; print(*sys.modules)").stdout.split()
    assert "numpy" in words and "cgru.gru" in words
    heavy = [name for name in words if name.startswith("scipy.linalg") or name.split(".")[0] in FRAMEWORKS]
    assert heavy == []
    rooms = ("cgru.convert", "cgru.commands", "cgru.demo", "cgru.torch", "cgru.study.check", "cgru.installation")
    assert [name for name in words if name.startswith(rooms)] == []


def test_a_float64_model_brings_blas():
    words = run_python("import sys, cgru; cgru.GRU(2, 3, dtype='float64'); print(*sys.modules)").stdout.split()
    assert "scipy.linalg.cython_blas" in words


FLOATING_POINT = """
import ctypes, platform, sys
import numpy as np

def facts():
    tiny = np.array([1e-40, -3e-42], np.float32), np.array([1e-310, -4e-320])
    facts = [float(v) for a in tiny for v in a * np.array(0.5, a.dtype)]
    third = np.array(1, np.float32) / np.array(3, np.float32)
    facts += [float(third), float(-third), 5e-324 / 2, 2.2250738585072014e-308 / 2]
    libm = ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None)
    environment = ctypes.create_string_buffer(64)
    facts.append(libm.fegetround())
    if platform.machine() == "x86_64":
        libm.fegetenv(environment)
        # bytes 28..32 are the MXCSR: exception masks, rounding, flush-to-zero; its low six bits are sticky flags
        facts.append(int.from_bytes(environment.raw[28:32], "little") & ~0x3F)
        facts.append(int.from_bytes(environment.raw[0:2], "little"))
    return facts

before = facts()
import cgru
x = np.random.default_rng(0).normal(size=(5, 3, 4))
for isa in cgru.engines.isas_usable():
    with cgru.engines.using(isa):
        for network, engine in [("GRU", "packed"), ("GRU", "blas"), ("RNN", "blas"), ("LSTM", "blas")]:
            getattr(cgru, network)(4, 19, rng=1, engine=engine)(x * 1e3)
        for network in ("GRU", "RNN", "LSTM"):
            getattr(cgru, network)(4, 19, rng=1, dtype=np.float64)(x * 1e3)
after = facts()
assert before == after, (before, after)
assert all(before[:4]), before
print("unchanged")
"""


def test_floating_point_mode_is_untouched():
    """Subnormals survive, exceptions stay masked, rounding stays to nearest."""
    result = run_python(FLOATING_POINT)
    assert result.stdout == "unchanged\n"
    assert result.stderr == ""


@pytest.mark.variants(kind="gru")
def test_subnormals_inside_a_model(variant):
    """With z = 0 and n = tanh(x) = x, subnormal input comes out as it went in."""
    state = {"weight_ih_l0": [[0.0], [0.0], [1.0]], "weight_hh_l0": [[0.0]] * 3}
    state |= {"bias_ih_l0": [0.0, -1000.0, 0.0], "bias_hh_l0": [0.0] * 3}
    tiny = np.finfo(variant.dtype).smallest_normal
    x = variant.cast([[[tiny / 4]], [[-tiny / 1024]], [[tiny]]])
    y, _ = variant.from_state(state)(x)
    assert np.abs(y - x).max() < tiny * 1e-3
    assert y[0] != 0 and y[1] != 0


SHOW = "import cgru; print(cgru.engines.isa(), cgru.GRU(3, 5).engine)"


@pytest.mark.parametrize("isa", engines.isas_usable())
def test_forced_instruction_set(isa):
    assert run_python(SHOW, environment={"CGRU_ISA": isa}).stdout.split()[0] == isa


def test_the_best_is_taken():
    assert engines.isas_usable()[0] == run_python(SHOW, environment={"CGRU_ISA": ""}).stdout.split()[0]


@pytest.mark.parametrize("isa", ["x86-64-v9", "avx2", "X86-64-V3", "../blas"])
def test_unknown_instruction_set(isa):
    """The error names the variable, the value and what this machine has."""
    result = run_python(SHOW, environment={"CGRU_ISA": isa}, check=False)
    assert result.returncode == 1
    message = result.stderr.splitlines()[-1]
    assert message.startswith(f"ValueError: CGRU_ISA={isa!r}")
    assert ", ".join(engines.isas_usable()) in message
    assert result.stdout == ""


def test_instruction_sets_that_the_processor_lacks_are_not_offered(monkeypatch):
    for level in range(5):
        here = frozenset(f"x86-64-v{number}" for number in range(2, level + 1))
        monkeypatch.setattr(engines, "features", lambda here=here: here)
        usable = engines.isas_usable()
        assert all(int(isa[-1]) <= level for isa in usable if isa.startswith("x86-64"))
        monkeypatch.setenv("CGRU_ISA", "x86-64-v4")
        if level < 4:
            with pytest.raises(ValueError, match="CGRU_ISA='x86-64-v4'"):
                engines.choose_isa()


def test_nothing_usable_is_a_clear_error(monkeypatch):
    monkeypatch.delenv("CGRU_ISA", raising=False)
    monkeypatch.setattr(engines, "isas_usable", tuple)
    with pytest.raises(RuntimeError, match=r"can run none of them; build it from source"):
        engines.choose_isa()


@pytest.mark.parametrize("network", ["GRU", "RNN", "LSTM"])
def test_instruction_sets_agree(rng, network):
    """Float for float within the contract; test_oracle_agreement holds each to the oracle."""
    results = []
    x = rng.normal(size=(9, 3, 5))
    for isa in engines.isas_usable():
        result = run_python(
            "import sys, numpy as np, cgru; "
            "x = np.frombuffer(bytes.fromhex(sys.argv[1])).reshape(9, 3, 5); "
            "print(getattr(cgru, sys.argv[2])(5, 21, rng=1, dtype='float64')(x)[0].tobytes().hex())",
            x.tobytes().hex(), network,
            environment={"CGRU_ISA": isa},
        )
        results.append(np.frombuffer(bytes.fromhex(result.stdout.strip())))
    for result in results[1:]:
        assert np.abs(result - results[0]).max() < 1e-14
    assert_array_equal(np.isfinite(results[0]), True)
