"""What tests of files for other programs share."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _seeded():
    """Weights and inputs are random, and what rounds differently is compared: the same ones every time."""
    torch.manual_seed(0)
