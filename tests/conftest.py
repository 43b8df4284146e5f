"""Shared fixtures. The recorded data lies beside a developer's checkout as ``../shared``; elsewhere its tests are skipped."""

import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# an example's time says nothing where other work runs on the same cores
hypothesis.settings.register_profile("ours", deadline=None)
hypothesis.settings.load_profile("ours")
SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(autouse=True)
def streams_stay_open() -> Iterator[None]:
    """absl, which OpenVINO imports, closes what it logs to when logging is set up anew; here that is pytest's own capture."""
    yield
    absl = sys.modules.get("absl.logging")
    if absl is not None:
        absl.get_absl_handler().python_handler.stream = sys.__stderr__


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recorded data, or a skip with a reason."""
    if not (SHARED / "nas-bench-mr").is_dir():
        pytest.skip(f"needs the recorded data in {SHARED}, which is not part of the project")
    return SHARED


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Small networks on one thread of torch: several take longer, and round differently from machine to machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Files that data sets derive (objects to paste, resized images) go to a folder of these tests, not to the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that wait for a cluster first, then those with slow tests, then the others, which fill the gaps of parallel runs."""
    rank: dict[Path, int] = {}
    for item in items:
        marked = 2 if item.get_closest_marker("cluster") else 1 if item.get_closest_marker("slow") else 0
        rank[item.path] = max(rank.get(item.path, 0), marked)
    items.sort(key=lambda item: -rank[item.path])
