"""Frameworks to compare with: a test without its framework skips, and must not skip where CGRU_REQUIRE_PEERS=1."""

import importlib
import os

import numpy as np
import pytest

REQUIRED = os.environ.get("CGRU_REQUIRE_PEERS") == "1"
TOLERANCE = 2e-6


def peer(name):
    """The module `name`, or a skipped test."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    return importlib.import_module(name) if REQUIRED else pytest.importorskip(name)


def single(a):
    """A float32 array, of whatever array this is."""
    return np.asarray(a, np.float32)


def assert_same(got, expected, tolerance=TOLERANCE):
    """Same shape, and equal within the contract's float32 tolerance."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance)
