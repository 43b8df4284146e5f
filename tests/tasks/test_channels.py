"""Images of other than three channels: from the files through network, costs, pictures and checkpoints."""

import numpy as np
import pytest
from composed import compose
from layouts import make_own_masks

from ncp import jobs
from ncp.spaces import cost
from ncp.tasks import run as tasks

TINY = ("debug=tiny", "callbacks.progress=false", "trainer=cpu")


@pytest.fixture
def bands(tmp_path, monkeypatch):
    """Segmentation of five bands of real numbers."""
    monkeypatch.setenv("NCP_CACHE", str(tmp_path / "cache"))
    root, rng = make_own_masks(tmp_path / "bands"), np.random.default_rng(0)
    for path in (root / "images").iterdir():
        np.save(path.with_suffix(".npy"), rng.normal(300, 40, (48, 64, 5)).astype(np.float32))
        path.unlink()
    return root


@pytest.mark.slow
def test_they_follow_everywhere(bands, tmp_path):
    options = jobs.options("train", "task=seg", "data=folder", f"data.root={bands}", *TINY)
    outcome = jobs.train.run(options, tmp_path / "run")
    assert (tmp_path / "run" / "seg.png").is_file()  # a picture is drawn of the first three
    found = tasks.read_checkpoint(outcome.result["checkpoint"])
    about = found["ncp"]["input"]
    assert (about["channels"], len(about["mean"]), len(about["std"])) == (5, 5, 5)
    assert len(found["ncp"]["config"]["data"]["low"]) == 5  # how the numbers were scaled
    code, size = outcome.result["architecture"]["code"], outcome.result["cost"]["size"]
    wanted = cost.count([code], tuple(size), "segmentation", 3, in_channels=5).macs[0]
    assert outcome.result["cost"]["macs_at_size"] == wanted > cost.count([code], tuple(size), "segmentation", 3).macs[0]
    again = jobs.evaluate.run(jobs.options("evaluate", f"ckpt_path={outcome.result['checkpoint']}"), tmp_path / "again")
    assert again.metrics == outcome.metrics
    exported = jobs.export.run(
        jobs.options("export", f"ckpt_path={outcome.result['checkpoint']}", f"out={tmp_path / 'a.safetensors'}"),
        tmp_path / "export",
    )
    assert exported is not None
    from ncp.models import export

    assert export.load(tmp_path / "a.safetensors").backbone.in_channels == 5


def test_a_baseline_reads_as_many(bands, tmp_path):
    words = ("task=seg", "data=folder", f"data.root={bands}", *TINY, "arch=timm", "arch.name=resnet18")
    run = tasks.assemble(compose(*words), tmp_path)
    assert next(iter(run.task.network.parameters())).shape[1] == 5
