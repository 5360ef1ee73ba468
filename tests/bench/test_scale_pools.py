"""The benchmark of pools, and that of threads."""

from types import SimpleNamespace

import numpy as np
import pytest

from bench.scale import pools, pools_contestants, threads
from cgru.judge.points import Point
from support.peers import peer

# ---- pools


@pytest.fixture
def options():
    return SimpleNamespace(tick_ms=1.0, ticks=20, confirm=40, budget=0.002)


@pytest.mark.parametrize("name", pools_contestants.WAYS)
@pytest.mark.parametrize("layers", [1, 2])
def test_ways_of_pools_are_right(name, layers):
    if name == pools_contestants.ORT:
        peer("onnxruntime")
        peer("onnx")
    pools.check(name, 12, layers)


def test_a_wrong_way_is_not_timed(monkeypatch):
    class Wrong(pools_contestants.Batch):
        def y(self, M):
            return super().y(M) + np.float32(1e-4)

    monkeypatch.setitem(pools_contestants.WAYS, "wrong", Wrong)
    with pytest.raises(SystemExit, match=r"wrong, H=12: differs from the truth by 1\.0e-04"):
        pools.check("wrong", 12)


def cost_of(ms_each, fixed=0.0, slow=()):
    """Stands for `timed`: a tick is the number of streams, which takes so long for each, and some ticks are slow."""

    def timed(M, count):
        ticks = np.full(count, fixed + ms_each * M)
        ticks[[at for at in slow if at < count]] *= 3
        return ticks

    return timed


@pytest.mark.parametrize(("ms_each", "most"), [(1e-4, 10_000), (0.003, 333), (0.02, 50), (0.6, 1), (7, 1)])
def test_the_search_ends_just_below_the_limit(monkeypatch, options, ms_each, most):
    monkeypatch.setattr(pools, "timed", cost_of(ms_each))
    monkeypatch.setattr(pools, "Problem", lambda H, M: M)
    monkeypatch.setattr(pools, "WAYS", {"way": lambda M: SimpleNamespace(tick=lambda _: M)})
    found = pools.search("way", 32, options)
    assert most / pools.CLOSE - 1 <= found <= most


def test_a_number_that_does_not_hold_is_lowered(monkeypatch, options):
    monkeypatch.setattr(pools, "timed", lambda M, count: np.full(count, 0.01 * M))
    monkeypatch.setattr(pools, "Problem", lambda H, M: M)
    monkeypatch.setattr(pools, "WAYS", {"way": lambda _: SimpleNamespace(tick=lambda M: M)})
    monkeypatch.setattr(pools, "check", lambda name, H: None)
    monkeypatch.setattr(pools, "search", lambda name, H, options: 130)
    found = pools.size(32, options, {})["ways"]["way"]
    assert 90 <= found["streams"] < 100 and found["held"] and found["p99_ms"] < 1
    monkeypatch.setattr(pools, "timed", lambda M, count: np.full(count, 5.0))
    found = pools.size(32, options, {})["ways"]["way"]
    assert found["streams"] == 1 and not found["held"]


def test_p99_is_of_a_tick_that_was():
    ticks = np.arange(1000.0)
    assert pools.percentile(ticks) == 990 and pools.percentile(ticks, 95) == 950 and pools.percentile(ticks[:30]) == 29


def test_cost_of_a_step(monkeypatch):
    monkeypatch.setattr(pools, "COST_M", (3, 5))
    found = pools.cost(0.002)
    assert set(found["M"]) == {"3", "5"}
    at, single = found["M"]["5"], found["single"]
    assert at["ratio"] == at["pool"]["median"] / at["batch"]["median"]
    assert single["over_ns"] == single["pool"]["median"] - single["stream"]["median"]


def test_other_bits_are_not_timed():
    runners = {name: SimpleNamespace(result=lambda y=y: np.float32(y)) for name, y in (("a", [1, 2]), ("b", [1, 3]))}
    with pytest.raises(SystemExit, match="b gives other bits than a"):
        pools.same_bits(runners)


# ---- threads


def test_threads_give_the_same_bits(monkeypatch):
    found = threads.compare(Point(40, 1, 5, 8, directions=2), 0.002)
    assert found["same_bits"] is True and found["point"] == "gru-T40-N1-I5-H8-L1-D2"
    assert found["speedup"] == found["one"]["median"] / found["two"]["median"]
