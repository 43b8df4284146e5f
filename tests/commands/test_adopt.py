"""Weights that were trained elsewhere become a run of this project."""

import pytest
import torch
from composed import SMALL_SEG, compose

from ncp import jobs
from ncp.errors import UserError
from ncp.models.formats import openmmlab
from ncp.tasks import export, foreign
from ncp.tasks import run as tasks


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    run = tasks.assemble(compose(*SMALL_SEG, "recipe.length=2", "recipe.eval_every=2"), folder)
    tasks.fit(run)
    found = export.from_checkpoint(folder / "checkpoints" / "last.ckpt")
    files = export.write(found, "mmseg", folder / "mmseg", None)
    return run, folder / "mmseg" / openmmlab.WEIGHTS, files


def test_the_same_scores_and_a_run_that_can_be_read(training, tmp_path):
    run, weights, _ = training
    outcome = jobs.adopt.run(jobs.options("adopt", f"weights={weights}", *SMALL_SEG), tmp_path)
    assert outcome.metrics["mIoU"] == pytest.approx(run.task.latest["mIoU"])
    again = export.from_checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    x = torch.randn(1, 3, 32, 64)
    assert torch.equal(again.net.eval()(x), run.task.network.eval()(x))
    (tmp_path / "again").mkdir()
    restored = tasks.restore(compose(f"ckpt_path={tmp_path}", name="evaluate"), tmp_path / "again")
    assert tasks.evaluate(restored)["mIoU"] == pytest.approx(run.task.latest["mIoU"])


def test_weights_that_fit_in_part_are_counted(training, tmp_path):
    content = torch.load(training[1])
    total = len(content["state_dict"])
    content["state_dict"].pop("decode_head.conv_seg.bias")
    torch.save(content, tmp_path / "part.pth")
    words = f"{total - 1} of the network's {total} entries fit weights in .*missing: head.classifier.bias"
    with pytest.raises(UserError, match=words):
        jobs.adopt.run(jobs.options("adopt", f"weights={tmp_path / 'part.pth'}", *SMALL_SEG), tmp_path / "run")


class Evil:
    def __reduce__(self):
        return (print, ("it runs",))


def test_nothing_in_a_file_is_run(tmp_path, capsys):
    torch.save({"state_dict": {"a": torch.zeros(1)}, "message_hub": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(UserError, match=r"asks for '\w+\.print', which is not on the list .*; nothing in it was run"):
        foreign.weights_of(tmp_path / "evil.pth")
    assert "it runs" not in capsys.readouterr().out
    torch.save({"state_dict": {"a": torch.full((1,), torch.nan)}}, tmp_path / "nan.pth")
    with pytest.raises(UserError, match="not finite"):
        foreign.weights_of(tmp_path / "nan.pth")


class Getter:
    def __reduce__(self):
        return (getattr, ("curve", "upper"))


def test_what_curves_are_made_of_stays_inert(tmp_path):
    """mmengine's checkpoints name methods through getattr, which is never called."""
    torch.save({"state_dict": {"a": torch.zeros(1)}, "message_hub": Getter()}, tmp_path / "mm.pth")
    assert list(foreign.weights_of(tmp_path / "mm.pth")) == ["a"]


def test_a_detector(tmp_path):
    """There and back: mmdetection3d's names hold every entry, and the run predicts what the training did."""
    from tiny_runs import COMMON, OPTIONS

    words = ("task=det3d", *COMMON, *OPTIONS["det3d"])
    run = tasks.assemble(compose(*words), tmp_path)
    tasks.fit(run)
    found = export.from_checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    export.write(found, "mmdet3d", tmp_path / "there", None)
    given = f"weights={tmp_path / 'there' / openmmlab.WEIGHTS}"
    outcome = jobs.adopt.run(jobs.options("adopt", given, *words), tmp_path / "back")
    for name, value in run.task.latest.items():
        assert outcome.metrics[name] == pytest.approx(value), name
    again = export.from_checkpoint(tmp_path / "back" / "checkpoints" / "last.ckpt")
    kept = found.net.state_dict()
    assert again.net.state_dict().keys() == kept.keys()
    assert all(torch.equal(value, kept[name]) for name, value in again.net.state_dict().items())


def test_other_tasks_are_refused(tmp_path):
    torch.save({"state_dict": {"a": torch.zeros(1)}}, tmp_path / "some.pth")
    words = (f"weights={tmp_path / 'some.pth'}", "task=cls", "arch=narrow", "+data.tiny=true")
    with pytest.raises(UserError, match=r"task=seg \(mmsegmentation\) and det3d \(mmdetection3d\), not cls"):
        jobs.adopt.run(jobs.options("adopt", *words), tmp_path / "run")
