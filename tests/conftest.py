"""Shared fixtures. The recorded data lies beside a developer's checkout as ``../shared``; elsewhere its tests are skipped."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recorded data, or a skip with a reason."""
    if not (SHARED / "nas-bench-mr").is_dir():
        pytest.skip(f"needs the recorded data in {SHARED}, which is not part of the project")
    return SHARED
