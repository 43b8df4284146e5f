"""A checkpoint evaluated again gives what its training recorded; what its training was is taken from it."""

import json

import pytest

from ncp import jobs
from ncp.errors import UserError

WORDS = (
    "task=cls", "+data.tiny=true", "data.size=32", "arch=narrow", "data.workers=0", "recipe.batch=2", "recipe.length=2",
    "recipe.eval_every=2", "recipe.save_every=2", "callbacks.progress=false", "trainer.precision=32-true",
)  # fmt: skip


def test_it_gives_the_figures_of_the_training(tmp_path, own_cache, one_thread):
    trained = jobs.train.run(jobs.options("train", *WORDS), tmp_path / "train")
    options = jobs.options("evaluate", f"ckpt_path={tmp_path / 'train'}", "data.workers=0")
    again = jobs.evaluate.run(options, tmp_path / "evaluate")
    recorded = [json.loads(line) for line in (tmp_path / "train" / "evaluations.jsonl").read_text().splitlines()]
    assert again.result["metrics"] == pytest.approx(recorded[-1]["metrics"])
    written = json.loads((tmp_path / "evaluate" / "result.json").read_text())
    assert written["metrics"] == again.result["metrics"]
    assert written["architecture"] == trained.result["architecture"]


def test_a_file_that_is_no_checkpoint_is_one_line(tmp_path):
    path = tmp_path / "last.ckpt"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match=r"last\.ckpt"):
        jobs.evaluate.run(jobs.options("evaluate", f"ckpt_path={path}"), tmp_path / "out")
