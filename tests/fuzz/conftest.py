"""The formats that can be read here."""

import os

import pytest

from fuzz.formats import FORMATS


@pytest.fixture(params=FORMATS.values(), ids=FORMATS)
def format_(request):
    """Each format whose libraries are there; CGRU_REQUIRE_PEERS=1 wants them all."""
    missing = request.param.missing()
    if missing and os.environ.get("CGRU_REQUIRE_PEERS") != "1":
        pytest.skip(f"no {', '.join(missing)}")
    return request.param
