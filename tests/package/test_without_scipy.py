"""A machine without SciPy, or with one that does not work: float32 computes, and what cannot is said in one line.

Everything runs in child processes whose import of SciPy is blocked.
"""

import importlib.util
import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

import cgru
from cgru import engines
from cgru.commands import COMMANDS
from support.processes import ROOT, run_python
from support.variants import variants

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PLAIN = [one.isa for one in variants(kind="gru", engine="packed", fused=False)]

BLOCK = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "scipy":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
"""
COMMAND = "from cgru.__main__ import main\nsys.exit(main(sys.argv[1:]))\n"

NO_BLAS = (
    "engine 'blas' (for float64{}) needs SciPy, which is not installed: pip install scipy; or take dtype float32 and "
    "engine 'packed', which does without"
)
NO_GRADIENTS = (
    "gradients need SciPy, which is not installed: pip install scipy; without it float32 models compute, but do not "
    "train"
)


def blocked(program, *arguments, check=True, **options):
    """The CompletedProcess of a program without SciPy."""
    done = run_python(BLOCK + program, *arguments, check=False, **options)
    assert not check or done.returncode == 0, done.stderr
    return done


def command(*arguments, **options):
    """Status, output and errors of the command line without SciPy."""
    done = blocked(COMMAND, *arguments, check=False, **options)
    return done.returncode, done.stdout, done.stderr


def test_scipy_is_blocked():
    done = blocked("import scipy.linalg", check=False)
    assert done.stderr.endswith("ModuleNotFoundError: No module named 'scipy'\n")


# --------------------------------------------------------------------------------------------- what works

EVERYTHING = """
import hashlib, pickle, sys, tempfile, os
import numpy as np
import cgru
from safetensors.numpy import save_file

kind, options = sys.argv[1], eval(sys.argv[2])
rng = np.random.default_rng(3)
T, N, I, H = 7, 5, 3, 19
x = rng.standard_normal((T, N, I)).astype(np.float32)
network = getattr(cgru, kind)
found = {}

def keep(name, value):
    arrays = []
    def collect(value):
        if isinstance(value, (tuple, list)):
            for part in value:
                collect(part)
        elif isinstance(value, dict):
            collect(list(value.values()))
        else:
            arrays.append(np.ascontiguousarray(value))
    collect(value)
    assert arrays and all(array.dtype == np.float32 and np.isfinite(array).all() for array in arrays), name
    found[name] = hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()

wide = network(I, H, num_layers=2, bidirectional=True, rng=1, engine="packed", **options)
hx = rng.standard_normal((4, N, H)).astype(np.float32)
hx = (hx, hx / 2) if kind == "LSTM" else hx
keep("call", wide(x, hx))
keep("lengths", wide(x, hx, lengths=[7, 0, 3, 5, 1]))
keep("threads", wide(x, threads=2))
keep("list", wide([x[:4, 0], x[:, 1]]))
keep("map", list(wide.map([x[:4, 0], x[:, 1], x[:2, 2]], threads=2)))

narrow = network(I, H, rng=2, engine="packed", **options)
stream = narrow.stream(N)
keep("steps", [stream.step(x_t) for x_t in x])
keep("some rows", stream.step(x[0, :2], rows=[1, 3]))
stream.reset(rows=[0])
keep("run", stream.run(x))
keep("state", stream.state)
y, final, gates = narrow.trace(x)
keep("trace", [y, final, list(gates)])
last = (final[0][0], final[1][0]) if kind == "LSTM" else final[0]
keep("jacobian", np.float32(narrow.jacobian(x[0], last)))
keep("record", narrow.record(x)[0])

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "model.safetensors")
    wide.save(path)
    read = cgru.load(path, engine="packed")
    assert read == wide
    keep("file", read(x, hx))
    if not options:      # those are not in a state dict
        plain = os.path.join(folder, "plain.safetensors")
        save_file({f"net.{name}": array for name, array in wide.state_dict().items()}, plain)
        keep("foreign file", cgru.from_torch(plain, prefix="net.", engine="packed")(x, hx))
        arrays = os.path.join(folder, "plain.npz")
        np.savez(arrays, **wide.state_dict())
        keep("npz", cgru.load(arrays, engine="packed")(x, hx))
    if os.environ.get("WITH_ONNX"):
        wide.to_onnx(os.path.join(folder, "model.onnx"))
        keep("onnx", cgru.load(os.path.join(folder, "model.onnx"), engine="packed")(x, hx))
keep("state dict", network.from_state_dict(wide.state_dict(), engine="packed", **options)(x, hx))
keep("pickle", pickle.loads(pickle.dumps(wide))(x, hx))
keep("copy", wide.replace(batch_first=True)(x.swapaxes(0, 1), hx))
others = [name for name in ("file", "foreign file", "npz", "pickle", "state dict") if name in found]
assert {found[name] for name in others} == {found["call"]}
print(wide.summary(), file=sys.stderr)
assert not [name for name in sys.modules if name.startswith("scipy")], "float32 loads SciPy"
for name, digest in found.items():
    print(name, digest)
"""


@pytest.mark.parametrize(("kind", "options"), [
    ("GRU", {}), ("GRU", {"reset_after": False}), ("LSTM", {}), ("RNN", {}), ("RNN", {"nonlinearity": "relu"}),
])  # fmt: skip
def test_float32_computes_the_same(kind, options):
    """Calls, lengths, threads, lists, streams, traces, files: with the bits that it has where SciPy is installed."""
    environment = {"WITH_ONNX": "1" if importlib.util.find_spec("onnx") else ""}
    without = blocked(EVERYTHING, kind, options, environment=environment)
    with_scipy = run_python(EVERYTHING, kind, options, environment=environment)
    assert without.stdout == with_scipy.stdout
    assert len(without.stdout.splitlines()) >= 16


def test_a_misread_model_is_still_found_out():
    """`check` tries its changes on "blas" where that is there."""
    program = """
import numpy as np, cgru
gru = cgru.GRU(3, 5, rng=0, engine="packed")
x = np.random.default_rng(0).normal(size=(7, 2, 3))
y, _ = cgru.GRU.from_state_dict(gru.state_dict(), reset_after=False, engine="packed")(x)
assert cgru.check(gru, x, gru(x)[0]).matches
report = cgru.check(gru, x, y)
assert not report.matches and report.changes[0].startswith("the reset gate before"), report
"""
    blocked(program)


def test_a_pickle_from_a_machine_with_scipy():
    """An engine that is not here is replaced by the automatic choice."""
    data = pickle.dumps(cgru.GRU(3, 5, rng=0, engine="blas")).hex()
    program = """
import pickle, cgru
model = pickle.loads(bytes.fromhex(sys.argv[1]))
assert model == cgru.GRU(3, 5, rng=0, engine="packed")
print(model.engine)
"""
    if engines.choose("auto", np.dtype(np.float32)) == "packed":
        assert blocked(program, data).stdout == "packed\n"
    else:
        assert "NoScipy" in blocked(program, data, check=False).stderr


# ------------------------------------------------------------------------------------------ what is refused

ERROR = """
import numpy as np, cgru
x = np.ones((4, 2, 3), np.float32)
def gradient():
    model = cgru.GRU(3, 5, engine="packed")
    y, _, tape = model.record(x)
    model.backward(tape, y)
for again in range(2):
    try:
        eval(sys.argv[1])
    except ImportError as error:
        print(error)
    else:
        print("no error")
assert not [name for name in sys.modules if name.startswith("scipy") or "_blas_" in name]
"""


@pytest.mark.parametrize("program", [
    "cgru.GRU(3, 5, dtype=np.float64)",
    "cgru.LSTM(3, 5, dtype='float64')",
    "cgru.RNN(3, 5, engine='blas')",
    "cgru.GRU(3, 5, engine='packed').astype(np.float64)",
    "cgru.GRU(3, 5, engine='packed').replace(engine='blas')",
    "cgru.GRU.from_equations(*np.ones((3, 4, 6)))",
])  # fmt: skip
def test_who_needs_blas_is_told(program):
    """The same words each time it is asked for."""
    isa = f", and float32 on {engines.isa()}, which has no fused multiply-adds" if engines.isa() in PLAIN else ""
    assert blocked(ERROR, program).stdout.splitlines() == [NO_BLAS.format(isa)] * 2


def test_who_needs_a_gradient_is_told():
    assert blocked(ERROR, "gradient()").stdout.splitlines() == [NO_GRADIENTS] * 2


@pytest.mark.parametrize("isa", PLAIN)
def test_without_fused_multiply_adds_packed_must_be_asked_for(isa):
    words = NO_BLAS.format(f", and float32 on {isa}, which has no fused multiply-adds")
    environment = {"CGRU_ISA": isa}
    assert blocked(ERROR, "cgru.GRU(3, 5)", environment=environment).stdout.splitlines() == [words] * 2
    asked = "cgru.GRU(3, 5, engine='packed')(x)"
    assert blocked(ERROR, asked, environment=environment).stdout == "no error\n" * 2
    assert command("demo", environment=environment) == (2, "", f"cgru: error: {words}\n")


BROKEN = {
    "built for another NumPy": ("raise AttributeError('_ARRAY_API not found')", None, "AttributeError: _ARRAY_API"),
    "half": ("", None, "ModuleNotFoundError: No module named 'scipy.linalg'"),
    "a library is missing": ("raise ImportError('libopenblas.so.0: cannot open')", None, "ImportError: libopenblas"),
    "without the functions": ("__version__ = '1.17.0'", "", "AttributeError: "),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_scipy_that_does_not_work(case, tmp_path):
    """The same: what is wrong with it is said, and float32 computes."""
    package, functions, cause = BROKEN[case]
    (tmp_path / "scipy").mkdir()
    (tmp_path / "scipy" / "__init__.py").write_text(package + "\n")
    if functions is not None:
        (tmp_path / "scipy" / "linalg").mkdir()
        (tmp_path / "scipy" / "linalg" / "__init__.py").touch()
        (tmp_path / "scipy" / "linalg" / "cython_blas.py").write_text(functions)
    program = """
import sys, numpy as np, cgru
assert np.isfinite(cgru.GRU(3, 5, engine="packed")(np.ones((4, 2, 3)))[0]).all()
for again in range(2):
    for make in (lambda: cgru.GRU(3, 5, dtype="float64"), lambda: cgru.engines.load("backward")):
        try:
            make()
        except cgru.engines.NoScipy as error:
            print(error)
            assert error.__cause__ is not None
"""
    environment = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    lines = run_python(program, environment=environment).stdout.splitlines()
    assert len(lines) == 4 and lines[:2] == lines[2:]
    for line in lines[:2]:
        assert f"which cannot be used ({cause}" in line and "pip install --upgrade scipy" in line


def test_a_missing_module_of_cgru_s_own_is_not_scipy_s_fault(monkeypatch):
    monkeypatch.setitem(sys.modules, engines.row_of("blas").module("blas"), None)
    with pytest.raises(ModuleNotFoundError) as caught:
        engines.load("blas")
    assert not isinstance(caught.value, engines.NoScipy) and "cgru.engines._blas" in str(caught.value)


# ------------------------------------------------------------------------------------------ the installation


def test_show_config_says_so():
    program = """
import cgru
found = cgru.show_config(mode="dicts")
print(found["engines"]["float32"], found["engines"]["float64"], found["blas"]["name"], found["blas"]["scipy"], sep="|")
cgru.show_config()
"""
    first, *lines = blocked(program).stdout.splitlines()
    float32, float64, blas, scipy = first.split("|")
    none = "none, engine 'blas' needs SciPy"
    assert (float32, float64, blas) == (none if engines.isa() in PLAIN else "packed", none, "none")
    assert scipy.startswith("engine 'blas' (for float64") and "pip install scipy" in scipy
    assert f"  float64:   {none}" in lines


def test_self_test():
    assert blocked("import cgru; print(cgru.self_test(mode='dicts')['passed'])").stdout == "True\n"


# ------------------------------------------------------------------------------------------ the command line


@pytest.fixture
def files(folder):
    """Models and arrays in the current folder, which the child processes have too."""
    gru = cgru.GRU(3, 5, rng=0)
    gru.save("m.safetensors")
    cgru.GRU(3, 5, rng=0, dtype=np.float64).save("double.safetensors")
    x = np.random.default_rng(1).standard_normal((7, 2, 3)).astype(np.float32)
    np.save("x.npy", x)
    np.save("y.npy", gru(x)[0])
    np.save("other.npy", cgru.GRU.from_state_dict(gru.state_dict(), reset_after=False)(x)[0])
    return folder


WORKS = {
    "info": "info m.safetensors",
    "convert": "convert m.safetensors n.safetensors",
    "quantize": "quantize m.safetensors q.safetensors --weights int8 --data x.npy --seconds 0.02",
    "run": "run m.safetensors x.npy -o z.npy",
    "trace": "trace m.safetensors x.npy -o gates.npz",
    "check": "check m.safetensors x.npy y.npy",
    "demo": "demo",
    "judge": "judge --write-cases cases",
    "bench": "bench --input-size 3 --hidden-size 5 --steps 4 --seconds 0.02",
    "self-test": "self-test",
}


@pytest.mark.skipif(engines.isa() in PLAIN, reason="float32 is on SciPy here, unless asked otherwise")
@pytest.mark.parametrize("name", WORKS)
def test_commands_that_work(name, files):
    status, out, err = command(*WORKS[name].split())
    assert (status, err) == (0, "") and len(out.splitlines()) >= 1
    if name == "run":
        assert np.load("z.npy").tobytes() == np.load("y.npy").tobytes()


@pytest.mark.skipif(engines.isa() in PLAIN, reason="float32 is on SciPy here, unless asked otherwise")
def test_check_names_the_change(files):
    status, out, err = command("check", "m.safetensors", "x.npy", "other.npy")
    assert (status, err) == (1, "") and "the reset gate before the recurrent product" in out


REFUSED = {
    "compare": NO_GRADIENTS,
    "info double.safetensors": NO_BLAS,
    "info m.safetensors --dtype float64": NO_BLAS,
    "info m.safetensors --engine blas": NO_BLAS,
    "convert double.safetensors n.safetensors": NO_BLAS,
    "run double.safetensors x.npy -o z.npy": NO_BLAS,
    "bench --dtype float64": NO_BLAS,
}


@pytest.mark.parametrize("arguments", REFUSED)
def test_commands_that_are_refused(arguments, files):
    isa = f", and float32 on {engines.isa()}, which has no fused multiply-adds" if engines.isa() in PLAIN else ""
    before = sorted(os.listdir())
    assert command(*arguments.split()) == (2, "", f"cgru: error: {REFUSED[arguments].format(isa)}\n")
    assert sorted(os.listdir()) == before


def test_every_command_is_tried():
    assert {*WORKS, "compare"} == set(COMMANDS)
    assert all(line.split()[0] in COMMANDS for line in (*WORKS.values(), *REFUSED))


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="needs the repository's examples/")
def test_training_the_demo_is_refused(folder):
    """Before anything is written."""
    program = "sys.path.append(sys.argv[1])\nfrom speakers.train import main\n"
    program += "sys.exit(main(['--seeds', '1', '--folds', '2']))\n"
    done = blocked(program, EXAMPLES, check=False)
    assert done.returncode == 2 and done.stderr.startswith("train.py: error: ") and not os.listdir()
    assert "needs SciPy, which is not installed: pip install scipy" in done.stderr
