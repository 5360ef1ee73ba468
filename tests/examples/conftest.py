"""examples/ may be missing where tests are installed alone: then there is nothing to test here."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if (ROOT / "examples").is_dir():
    sys.path.append(str(ROOT / "examples"))
else:
    collect_ignore_glob = ["test_*.py"]
