"""bench/ is in the repository only: where it is missing, there is nothing to test here."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if (ROOT / "bench" / "__init__.py").is_file():
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))      # behind what is installed: cgru is found there
else:
    collect_ignore_glob = ["test_*.py"]
