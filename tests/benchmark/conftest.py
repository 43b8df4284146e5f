"""A small release as its authors would write one, and the recorded one where it is at hand."""

import pytest
from release_format import write_release

from ncp import benchmark


@pytest.fixture
def release(tmp_path):
    """A folder like the release's ``data``."""
    return write_release(tmp_path / "data")


@pytest.fixture(scope="session")
def released(shared, tmp_path_factory):
    """The recorded benchmark, imported into a store and read back from it."""
    store = tmp_path_factory.mktemp("store")
    benchmark.import_release(shared / "nas-bench-mr" / "data", store)
    return benchmark.load(store)
