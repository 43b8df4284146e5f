"""One cluster for all tests of this folder."""

import pytest
from slurm_cluster import Cluster, Unavailable, install


@pytest.fixture(scope="session")
def cluster():
    """A real SLURM with two nodes; skipped, saying why, only where it cannot be installed."""
    try:
        install()
    except Unavailable as reason:
        pytest.skip(f"no SLURM here: {reason}")
    with Cluster() as up:
        yield up
