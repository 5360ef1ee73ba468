"""What the tests of cgru.torch ask for."""

import pytest


@pytest.fixture
def room(torch):
    """The module cgru.torch; PyTorch's generator starts from the same seed in every test."""
    import cgru.torch

    torch.manual_seed(3)
    return cgru.torch
