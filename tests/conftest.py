"""Fixtures that every test may ask for."""

import os

import numpy as np
import pytest
from hypothesis import settings

import cgru
from support.models import build, configurations
from support.variants import BEST, VARIANTS, variants

# The same examples at every run, and no deadline: the machine may be busy.
settings.register_profile("cgru", derandomize=True, deadline=None, database=None)
settings.load_profile("cgru")


def pytest_addoption(parser):
    """Declare how long searches go on, and from where."""
    group = parser.getgroup("cgru")
    group.addoption("--seconds", type=float, default=0.3, help="how long each random search goes on (default: 0.3)")
    group.addoption("--seed", default="0", help="where random searches start: a number, or `random` (default: 0)")


def pytest_configure(config):
    """Declare the marks that choose among variants and configurations."""
    config.addinivalue_line("markers", "variants(**values): only variants with these values of attributes")
    config.addinivalue_line("markers", "configurations(**values): only configurations with these values of attributes")


def _wanted(metafunc, mark):
    """What marks of this name ask for; a test's own come before its module's."""
    values = {}
    for one in reversed(list(metafunc.definition.iter_markers(mark))):
        values |= one.kwargs
    return values


def pytest_generate_tests(metafunc):
    """Each variant, each configuration, or each variant with each configuration of its kind in turn."""
    taken = {name for mark in metafunc.definition.iter_markers("parametrize") for name in str(mark.args[0]).split(",")}
    names = [name for name in metafunc.fixturenames if name not in taken]
    name = next((name for name in ("variant", "best") if name in names), None)
    ways = [] if name is None else variants(**_wanted(metafunc, "variants"))
    if name == "best":
        ways = [way for way in ways if way in BEST]
    if "configuration" not in names:
        if name is not None:
            metafunc.parametrize(name, ways, ids=str, indirect=True)
        return
    models = configurations(**_wanted(metafunc, "configurations"))
    if name is None:
        metafunc.parametrize("configuration", models, ids=str)
        return
    pairs = [
        pytest.param(way, one, id=f"{way}-{one.name}")
        for way in ways for one in models if one.kind == way.kind and (one.quantizes or not way.quantizes)
    ]  # fmt: skip
    metafunc.parametrize((name, "configuration"), pairs, indirect=[name])


@pytest.fixture
def rng():
    """A NumPy Generator that starts from the same seed in every test."""
    return np.random.default_rng(20140603)


@pytest.fixture
def seconds(request):
    """How long a random search goes on: what ``--seconds`` says."""
    return request.config.getoption("--seconds")


@pytest.fixture
def seed(request):
    """Where a random search starts: what ``--seed`` says; a search's errors name it."""
    told = request.config.getoption("--seed")
    return int.from_bytes(os.urandom(4)) if told == "random" else int(told)


@pytest.fixture
def variant(request):
    """Each kind, engine, instruction set and dtype in turn; models built in the test run on it."""
    with request.param.selected():
        yield request.param


@pytest.fixture
def best(request):
    """Each kind, engine and dtype in turn, on the chosen instruction set: for what is decided in Python."""
    return request.param


@pytest.fixture
def model(best, configuration):
    """A model of each kind, configuration, engine and dtype."""
    return build(best, configuration, 3, 5)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, a new and empty one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


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
    return f"cgru: {cgru.__version__} from {cgru.__file__}, {isas}; here {cgru.engines.isa()}, {len(VARIANTS)} variants"
