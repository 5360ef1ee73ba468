"""A folder full of modules with well-known names, beside the file that is read: none of them runs."""

import os
import subprocess
import sys

import numpy as np
import pytest

from support.peers import peer
from support.processes import ROOT

NAMES = (
    "json", "h5py", "numpy", "scipy", "cgru", "types", "importlib", "encodings", "codecs", "os", "io", "re", "zipfile",
    "collections", "functools", "typing", "contextlib", "math", "resource", "site", "struct", "subprocess", "warnings",
    "sitecustomize", "usercustomize", "safetensors", "torch", "onnx", "keras", "ml_dtypes", "mpi4py", "org",
)  # fmt: skip
PACKAGES = ("json", "h5py", "numpy", "cgru", "sitecustomize", "usercustomize")
RUNS = "open({mark!r}, 'a').write(__name__ + '\\n')\n"

# Everything that the parent itself needs is imported before it goes there.
PARENT = """
import os, sys, warnings
import cgru, cgru.convert.keras, cgru.study.check
os.chdir(sys.argv[1])
sys.path[:0] = sys.argv[3:]
print(cgru.from_keras(sys.argv[2]).hidden_size)
"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """The folder, with model.keras and model.h5; and the mark that appears when a module in it runs."""
    keras = peer("keras")
    peer("h5py")
    folder, mark = tmp_path_factory.mktemp("hostile"), tmp_path_factory.mktemp("mark") / "ran"
    for suffix in ("keras", "h5"):
        keras.Sequential([keras.Input((None, 3)), keras.layers.GRU(4, name="memory")]).save(folder / f"model.{suffix}")
    text = RUNS.format(mark=str(mark))
    for name in NAMES:
        (folder / f"{name}.py").write_text(text)
    (folder / "hostile.pth").write_text(f"import sys; exec({text!r})\n")
    (folder / "pyvenv.cfg").write_text("home = .\ninclude-system-site-packages = true\n")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for inner in ("site-packages", f"lib/{version}/site-packages", f"lib/{version}"):
        for name in PACKAGES:
            (folder / inner / name).mkdir(parents=True)
            (folder / inner / name / "__init__.py").write_text(text)
        (folder / inner / "hostile.pth").write_text(f"import sys; exec({text!r})\n")
    return folder, mark


pytestmark = pytest.mark.filterwarnings("ignore")      # Keras's own


def run(command, mark, folder, **environment):
    """What the command prints; it ends well, and nothing of the folder has run."""
    mark.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-P", *map(str, command)], cwd=folder, env=os.environ | environment, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    assert not mark.exists(), mark.read_text()
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_trap_works(hostile):
    folder, mark = hostile
    mark.unlink(missing_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [sys.executable, "-c", "import json"]
    subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, timeout=60)
    assert mark.exists()


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_the_command_line(hostile, suffix):
    folder, mark = hostile
    command = ["-m", "cgru", "info", f"model.{suffix}"]
    assert "GRU" in run(command, mark, folder, PYTHONPATH=str(ROOT))


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("entries", [[], [""], ["."], ["./"], ["site-packages", ""], ["../hostile0"]], ids=str)
def test_python_with_the_current_folder_on_its_path(hostile, suffix, entries, tmp_path):
    folder, mark = hostile
    command = ["-c", PARENT, folder, f"model.{suffix}", *entries]
    assert run(command, mark, tmp_path, PYTHONPATH=str(ROOT)) == "4\n"


@pytest.mark.parametrize("variables", [
    {"PYTHONPATH": f"{ROOT}{os.pathsep}"}, {"PYTHONPATH": f".{os.pathsep}{ROOT}"},
    {"PYTHONPATH": f"site-packages{os.pathsep}{ROOT}"}, {"PYTHONUSERBASE": ".", "PYTHONPATH": str(ROOT)},
], ids=str)  # fmt: skip
def test_an_environment_that_means_the_current_folder(hostile, variables, tmp_path):
    """The parent has read it in another folder; a child that read it again would find the modules of this one."""
    folder, mark = hostile
    assert run(["-c", PARENT, folder, "model.keras"], mark, tmp_path, **variables) == "4\n"


def test_entries_of_other_types_are_no_matter(hostile, monkeypatch):
    import cgru

    folder, mark = hostile
    mark.unlink(missing_ok=True)
    monkeypatch.setattr(sys, "path", [folder, b"bytes", *sys.path])
    assert cgru.from_keras(folder / "model.keras").state_dict()["weight_ih_l0"].dtype == np.float32
    assert not mark.exists()
