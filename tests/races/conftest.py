"""What makes small models go the ways of large ones."""

import pytest

from cgru import gradients_stages, staged


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    """However little the work is, `threads=` shares it out: in chunks of few steps, down to single rows."""
    monkeypatch.setattr(staged, "LEAST", 0)
    monkeypatch.setattr(staged, "CHUNK", 0)
    monkeypatch.setattr(gradients_stages, "LEAST", 0)
    monkeypatch.setattr(gradients_stages, "ROWS", 1)
