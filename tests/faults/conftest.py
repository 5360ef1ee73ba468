"""Files that commands read, and folders to write to."""

import pytest

from faults.outputs import make_inputs


@pytest.fixture(scope="session")
def inputs(tmp_path_factory):
    """A folder with what `outputs.WRITERS` read."""
    return make_inputs(tmp_path_factory.mktemp("inputs"))
