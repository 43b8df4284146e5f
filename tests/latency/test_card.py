"""What a latency model says of itself."""

import pytest

from ncp.errors import UserError
from ncp.latency.card import TASKS, TRUSTED, Card
from ncp.models.factory import TASKS as BUILT


def test_networks_are_measured_as_they_are_built():
    """Classes, channels and strides of a task are those of the network that is built for it."""
    for task, setup in BUILT.items():
        assert TASKS[task]["classes"] == setup.classes
        assert TASKS[task].get("in_channels", 3) == setup.in_channels
        assert tuple(TASKS[task].get("stem_strides", (2, 2))) == tuple(setup.stem_strides)
    assert set(TASKS) == set(BUILT)


def test_arguments_of_the_work_it_was_fitted_on():
    assert Card("multires", task="seg", size=[64, 96], classes=7).setting() == {
        "head": "segmentation", "classes": 7, "size": (64, 96),
    }  # fmt: skip
    assert Card("multires", task="cls").setting()["size"] == (128, 128)
    assert Card("nasbench201", task="cls").setting() == {}
    with pytest.raises(UserError, match="unknown task 'depth'; tasks: cls, seg, det3d, video"):
        Card("multires", task="depth").setting()


def test_only_measured_errors_make_a_limit():
    assert not Card("multires", task="seg").trusted
    assert Card("multires", task="seg", median_error=TRUSTED).trusted
    assert not Card("multires", task="seg", median_error=TRUSTED * 1.01).trusted
    assert Card("multires", task="seg", threads=1, device="cpu").described().endswith("1 thread")
