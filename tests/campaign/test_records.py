"""What is written down about trainings, good and bad."""

import json

import made_records
import pytest

from ncp.benchmark import settings
from ncp.campaign import records
from ncp.errors import UserError


@pytest.mark.parametrize(
    ("metrics", "words", "kind"),
    [
        ({"top1": float("nan"), "top5": 3.0}, "top1 became NaN", "nan"),
        ({"top1": 1.0, "top5": float("inf")}, "top5 became NaN", "nan"),
        ({"top1": 1.0}, "measured top1, but the setting cls-50-1000 needs top5", "crash"),
        ({}, "measured nothing", "crash"),
        ({"top1": 130.0, "top5": 1.0}, "in percent points", "crash"),
    ],
)
def test_a_training_without_its_metrics_has_failed_and_says_of_what(metrics, words, kind):
    with pytest.raises(UserError, match=words) as error:
        records.check_metrics(metrics, settings.get("cls"))
    assert records.kind_of(error.value) == kind  # after a NaN the next attempt has another seed


def test_metrics_beside_those_of_the_setting_may_be_anything():
    records.check_metrics({"top1": 0.0, "top5": 100.0, "loss": float("nan")}, settings.get("cls"))


def test_a_settings_own_ranges_hold():
    layout = settings.get("transnas-micro/room_layout")
    records.check_metrics({"valid_neg_loss": -0.7}, layout)
    with pytest.raises(
        UserError, match=r"the metric valid_neg_loss is a number, -100\.\.0; the training measured 0\.2"
    ):
        records.check_metrics({"valid_neg_loss": 0.2}, layout)


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (UserError("the loss became NaN or infinite at step 3"), "nan", "the loss became NaN or infinite at step 3"),
        (RuntimeError("CUDA out of memory. Tried\nmore"), "memory", "CUDA out of memory. Tried"),
        (MemoryError(), "memory", "no message"),
        (ZeroDivisionError("x"), "crash", "ZeroDivisionError: x"),
        (ValueError("y" * 9000), "crash", None),
    ],
)
def test_a_failure_names_its_kind_and_reason(error, kind, reason):
    content = records.failure(error, 3, {"host": "x"}, 1.5)
    assert (content["kind"], content["seed"]) == (kind, 3)
    assert content["reason"] == reason or (reason is None and len(content["reason"]) == 500)
    assert json.dumps(content)


def test_a_row_holds_the_final_metrics_those_by_epoch_and_numbers():
    plan = made_records.plan(2)
    early, late = (records.RecordedEvaluation(10, epoch, {"mIoU": value}) for epoch, value in ((0.6, 1.0), (1.4, 2.0)))
    row = made_records.record(plan, 1, evaluations=[early, late], images_per_second=None).row()
    assert (row["mIoU"], row["mIoU@1"], row["unit"], row["network_macs"]) == (40.0, 2.0, 1, 3)  # both are epoch 1
    assert "images_per_second" not in row
    assert "mIoU@0" not in row


def test_software_is_known():
    found = records.versions()
    assert {"python", "ncp", "torch", "numpy"} <= set(found)
