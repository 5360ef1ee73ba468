"""`import cgru` in a folder that holds its source and no compiled modules."""

import shutil
import subprocess
import sys

from support.processes import ROOT


def import_from(folder, program="import cgru"):
    """The last line that Python says in this folder, which comes first on its path."""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    return done.stderr.strip().splitlines()[-1]


def copy_of_the_source(folder):
    shutil.copytree(ROOT / "cgru", folder / "cgru", ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__"))


def test_it_says_that_this_is_the_source_folder(tmp_path):
    copy_of_the_source(tmp_path)
    for program in ("import cgru", "import cgru.convert", "from cgru import engines"):
        assert import_from(tmp_path, program) == (
            f"ImportError: the cgru in {tmp_path} is source without modules compiled for this Python: run Python from "
            "another folder to import the installed cgru, or compile it in place with "
            "`python setup.py build_ext --inplace`"
        )


def test_another_module_that_is_missing_is_named(tmp_path):
    copy_of_the_source(tmp_path)
    (tmp_path / "cgru" / "engines" / "_cpu.py").write_text("import nothing_of_this_name\n")
    assert import_from(tmp_path) == "ModuleNotFoundError: No module named 'nothing_of_this_name'"
