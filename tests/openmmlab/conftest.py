"""Tests inside OpenMMLab's real frameworks: mmsegmentation with the extra ``mmseg``, all of them in `make openmmlab`."""

import importlib.util

import pytest


@pytest.fixture(autouse=True)
def _seeded():
    """Weights and inputs are random, and what rounds differently is compared: the same ones every time."""
    import torch

    torch.manual_seed(0)


def installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def operators() -> bool:
    return installed("mmcv._ext") if installed("mmcv") else False


@pytest.fixture(scope="session")
def mmseg():
    if not installed("mmseg"):
        pytest.skip("needs mmsegmentation: pip install 'ncp-nas[mmseg]'")
    import mmseg.utils

    import ncp.openmmlab  # noqa: F401

    mmseg.utils.register_all_modules()
    return mmseg


@pytest.fixture(scope="session")
def mmdet3d(mmseg):
    if not installed("mmdet3d") or not operators():
        pytest.skip("needs mmdetection3d and mmcv's operators: make openmmlab")
    import mmdet3d.utils

    mmdet3d.utils.register_all_modules()
    return mmdet3d
