"""Fixtures that every test may ask for."""

import os

import numpy as np
import pytest
from hypothesis import settings

import cgru
from samples import CONFIGURATIONS
from variants import BEST, VARIANTS

# The same examples at every run, and no deadline: the machine may be busy.
settings.register_profile("cgru", derandomize=True, deadline=None, database=None)
settings.load_profile("cgru")


@pytest.fixture
def rng():
    """A NumPy Generator that starts from the same seed in every test."""
    return np.random.default_rng(20140603)


@pytest.fixture(params=VARIANTS, ids=str)
def variant(request):
    """Each engine, instruction set and dtype in turn; models built in the test run on it."""
    with request.param.selected():
        yield request.param


@pytest.fixture(params=BEST, ids=str)
def best(request):
    """Each engine and dtype in turn, on the chosen instruction set: for what is decided in Python."""
    return request.param


@pytest.fixture(params=CONFIGURATIONS, ids=repr)
def model(request, best):
    """A model of each configuration, engine and dtype."""
    return best.gru(3, 5, rng=1, **request.param)


@pytest.fixture
def torch():
    """PyTorch on one thread, or a skipped test; with CGRU_REQUIRE_TORCH=1, a failed one.

    On a busy machine its threads wait for each other at every tiny step: 0.4 s instead of 1 ms per call.
    """
    if os.environ.get("CGRU_REQUIRE_TORCH") == "1":
        import torch
    else:
        torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch
    torch.set_num_threads(threads)


def pytest_report_header():
    """Say which cgru is tested, from where, and on which instruction sets."""
    isas = ", ".join(cgru.engines.isas_usable())
    return f"cgru: {cgru.__version__} from {cgru.__file__}, {isas}; here {cgru.engines.ISA}"
