"""What commands read of a result: files of this project pass, other content is refused."""

import msgspec
import pytest

from ncp import results

SEARCH = {
    "architecture": {"text": "8_8", "code": [8, 8]},
    "objectives": [{"setting": "seg", "metric": "mIoU"}],
    "predicted": {"seg": {"mIoU": 70.5, "mAcc": None}},
    "cost": {"macs": 10, "params": 5},
    "seconds": {"search": 1.0},
    "something_newer": {"x": 1},
}
TRAINING = {
    "architecture": {"text": "resnet18", "code": None},
    "task": "cls",
    "main_metric": "top1",
    "metrics": {"top1": 50.0, "top5": None},
    "cost": {"params": 5},
}


def test_what_is_needed_is_read_and_more_is_passed_over():
    found = msgspec.convert(SEARCH, results.Found)
    assert (found.architecture.code, found.cost.macs, found.objectives[0].name) == ([8, 8], 10, "seg.mIoU")
    assert found.keeps_limits
    trained = msgspec.convert(TRAINING, results.Training)
    assert (trained.architecture.code, trained.cost.macs, trained.metrics["top5"]) == (None, None, None)


@pytest.mark.parametrize(
    ("kind", "base", "change"),
    [
        (results.Found, SEARCH, {"objectives": []}),
        (results.Found, SEARCH, {"architecture": {"text": "x"}}),
        (results.Found, SEARCH, {"predicted": {"seg": {"mIoU": 1e300}}}),
        (results.Found, SEARCH, {"cost": {"macs": -1, "params": 5}}),
        (results.Found, SEARCH, {"min_overlap": {"3ddet": {"car": 2}}}),
        (results.Training, TRAINING, {"metrics": {"top1": "high"}}),
        (results.Training, TRAINING, {"architecture": {"text": "x" * 2000}}),
        (results.Training, TRAINING, {"steps": -1}),
    ],
)
def test_other_content_is_refused(kind, base, change):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**base, **change}, kind)
