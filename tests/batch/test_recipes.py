"""The recipes of docs/many.md for clusters, run as they stand there."""

import re
from pathlib import Path

import numpy as np
import pytest

import cgru
from cgru.batch.transform import Transform
from support.peers import peer
from support.processes import run_python

PAGE = Path(__file__).parents[2] / "docs" / "many.md"
N, INPUTS, H = 700, 3, 5

pa = peer("pyarrow")


def recipe(word):
    """The one Python block with this word."""
    if not PAGE.exists():
        pytest.skip("docs/ is in the repository only")
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    [found] = [block for block in blocks if word in block]
    return found


@pytest.fixture
def expected(folder, rng):
    """What comes out, in the order of id; the model and the data set are in the folder, as a file and as a folder."""
    from pyarrow import parquet

    frames = [rng.normal(size=(T, INPUTS)).astype(np.float32).tolist() for T in rng.integers(1, 9, N)]
    rows = pa.table({"id": np.arange(N), "frames": pa.array(frames, pa.list_(pa.list_(pa.float32())))})
    Path("rows").mkdir()
    for path in ("rows.parquet", "rows/a.parquet"):
        parquet.write_table(rows, path, row_group_size=300)
    model = cgru.GRU(INPUTS, H, rng=rng)
    model.save("model.safetensors")
    return pa.Table.from_batches([Transform(model, "frames", keep=["id"])(rows)])


def read(*paths):
    from pyarrow import parquet

    return pa.concat_tables([parquet.read_table(path) for path in paths]).sort_by("id")


def test_dask(expected):
    peer("dask")
    run_python(recipe("dask.compute"))
    paths = sorted(Path().glob("results-*.parquet"))
    assert len(paths) == 3
    assert read(*paths).equals(expected)


def test_ray(expected):
    peer("ray")
    start = "import ray; ray.init(num_cpus=4, object_store_memory=100 << 20, include_dashboard=False)\n"
    run_python(start + recipe("ray.data.read_parquet"), environment={"RAY_USAGE_STATS_ENABLED": "0"})
    assert read("results").equals(expected)
