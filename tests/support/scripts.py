"""The scripts beside the pages of docs/, as modules."""

import importlib.util
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def script_of(name):
    """What docs/NAME.py defines."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
