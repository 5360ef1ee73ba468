"""What the experiments share: Adam, the cells in NumPy, where results go; and that every record can be read."""

import importlib
import json
import re
import types
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import bench
from bench.common import environment, results
from bench.common.adam import Adam, clip_norm
from bench.common.numpy_cells import numpy_model
from support import reference
from support.models import random_sizes, random_state

FOLDER = Path(bench.__file__).parent
EXPERIMENTS = sorted(path.parent.name for path in FOLDER.glob("*/run.py"))


# ---- Adam


def test_adam_by_hand():
    tensors = {"p": np.array([1.0, -2.0])}
    adam = Adam(tensors)
    adam.update(tensors, {"p": np.array([0.5, -4.0]), "surplus": None}, 0.1)
    # m / (1 - b1) = g and v / (1 - b2) = g * g: the first step is rate * sign(g)
    assert_allclose(tensors["p"], [0.9, -1.9], atol=1e-8)
    adam.update(tensors, {"p": np.array([-0.5, 0.0])}, 0.2)
    # m = 0.9 * 0.1 g1 + 0.1 g2, over 1 - 0.81; v = 0.999 * 0.001 g1^2 + 0.001 g2^2, over 1 - 0.998001
    m = np.array([0.045 - 0.05, -0.36]) / 0.19
    v = np.array([0.00024975 + 0.00025, 0.015984]) / 0.001999
    assert_allclose(tensors["p"], [0.9, -1.9] - 0.2 * m / np.sqrt(v), atol=1e-7)


def test_clip_norm():
    gradients = {"a": np.array([3.0, 0], np.float32), "b": np.array([[4.0]])}
    clipped = clip_norm(gradients, 1.0)
    assert_allclose(clipped["a"], [0.6, 0], rtol=1e-6)
    assert_allclose(clipped["b"], [[0.8]])
    assert clipped["a"].dtype == np.float32 and gradients["a"][0] == 3
    assert_array_equal(clip_norm(gradients, 6.0)["b"], gradients["b"])
    assert_array_equal(clip_norm({"a": np.zeros(3)}, 1.0)["a"], np.zeros(3))


# ---- the cells in NumPy


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layers, directions", [(1, 1), (2, 1), (1, 2), (3, 2)])
@pytest.mark.parametrize("kind", ["gru", "lstm", "rnn"])
def test_the_numpy_cells_are_right(rng, kind, layers, directions, dtype):
    T, N, input_size, H = random_sizes(rng)
    state = random_state(rng, input_size, H, kind=kind, num_layers=layers, bidirectional=directions == 2)
    x = rng.normal(size=(T, N, input_size))
    planes = tuple(rng.normal(size=(layers * directions, N, H)) for _ in range(2 if kind == "lstm" else 1))
    hx = planes if kind == "lstm" else planes[0]
    y, last = numpy_model(kind, state, dtype)(x.astype(dtype), tuple(plane.astype(dtype) for plane in planes))
    expected, expected_last = getattr(reference, kind)(x, state, hx)
    tolerance = {"rtol": 0, "atol": 4e-6 if dtype == np.float32 else 1e-13}
    assert y.dtype == dtype
    assert_allclose(y, expected, **tolerance)
    for plane, right in zip(last, expected_last if kind == "lstm" else [expected_last], strict=True):
        assert_allclose(plane, right, **tolerance)


# ---- results


def test_where_results_go(tmp_path):
    """Nowhere, to a folder, or to the record of this CPU beside the script."""
    script = tmp_path / "speed" / "run.py"
    options = types.SimpleNamespace(record=False, output=None)
    assert results.folder(options, script) is None
    options.output = tmp_path / "here"
    assert results.folder(options, script) == tmp_path / "here"
    options.record = True
    assert results.folder(options, script) == script.parent / "results" / environment.folder_name(environment.cpu())
    assert results.read(results.write({"a": 1}, tmp_path / "new").parent) == {"a": 1}
    with pytest.raises(ValueError):
        results.write({"a": float("nan")}, tmp_path / "odd")


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_has_its_parts(experiment):
    """A README, a run that is told where to write, and records, by CPU, that can be read; or it says there is none."""
    folder = FOLDER / experiment
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert (folder / "__init__.py").is_file()
    run = importlib.import_module(f"bench.{experiment}.run")
    assert callable(run.main) and run.__doc__
    records = sorted((folder / "results").glob("*/results.json"))
    assert records or "Not recorded yet" in readme
    for record in records:
        assert json.loads(record.read_text(encoding="utf-8"))


def test_nothing_of_the_package_but_what_is_public():
    """A benchmark measures what users have: no underscore names, nothing of the demo."""
    for path in FOLDER.rglob("*.py"):
        found = re.findall(r"cgru\.(?:demo|_[a-z])\w*", path.read_text(encoding="utf-8"))
        assert not found, path
