"""What a training tells beside its checkpoints: scores of the classes, sizes that were used, lines on the way, loggers' facts."""

import logging

import numpy as np
import pytest
from composed import SMALL_SEG, compose
from layouts import make_ade20k, make_cityscapes

from ncp.spaces import cost
from ncp.tasks import run as tasks

pytestmark = pytest.mark.usefixtures("one_thread")


def train(folder, *words):
    folder.mkdir(parents=True, exist_ok=True)
    run = tasks.assemble(compose(*words), folder)
    tasks.fit(run)
    return run, tasks.summarise(run, tasks.evaluate(run))


def test_scores_of_the_classes_are_those_of_the_whole_set(tmp_path):
    run, result = train(tmp_path, *SMALL_SEG, "trainer.precision=32-true")
    run.task.eval()
    classes = len(run.data.classes)
    hits, labelled, predicted = np.zeros(classes), np.zeros(classes), np.zeros(classes)
    for batch in run.data.val_dataloader():
        guess = run.task.predict(batch).numpy()
        label = batch["label"].numpy()
        for k in range(classes):
            hits[k] += ((guess == k) & (label == k)).sum()
            labelled[k] += (label == k).sum()
            predicted[k] += ((guess == k) & (label != 255)).sum()
    with np.errstate(invalid="ignore"):
        expected = 100 * hits / (labelled + predicted - hits)
    assert list(result["per_class"]) == list(run.data.classes)
    np.testing.assert_allclose(list(result["per_class"].values()), expected, atol=0.01)
    assert np.nanmean(expected) == pytest.approx(result["metrics"]["mIoU"], abs=0.01)


def test_a_finished_training_that_is_called_again_has_them_too(tmp_path):
    words = (*SMALL_SEG, "recipe.length=2", "recipe.eval_every=2", "ckpt_path=auto")
    _, first = train(tmp_path, *words)
    _, again = train(tmp_path, *words)
    assert again["metrics"] == first["metrics"]
    assert again["per_class"] == pytest.approx(first["per_class"], nan_ok=True)


@pytest.mark.parametrize(
    ("data", "make", "sizes"), [("cityscapes", make_cityscapes, {(64, 128)}), ("ade20k", make_ade20k, None)]
)
def test_cost_is_counted_at_the_size_of_the_images_that_are_there(data, make, sizes, tmp_path):
    root = make(tmp_path / "set")
    words = ("task=seg", f"data={data}", f"data.root={root}", "data.crop=[32,32]", "data.workers=0", "arch=narrow",
             "recipe.length=1", "recipe.batch=2", "recipe.eval_every=1", "callbacks.progress=false")  # fmt: skip
    (tmp_path / "run").mkdir()
    run = tasks.assemble(compose(*words), tmp_path / "run")
    before = tasks.costs(run.task, run.data, run.architecture)
    tasks.fit(run)
    told = tasks.costs(run.task, run.data, run.architecture)
    seen = run.task.sizes
    assert sum(seen.values()) == len(run.data.val_set)
    assert sizes is None or set(seen) == sizes
    assert tuple(told["size"]) in seen
    assert told["sizes"] == len(seen)
    assert told["classes"] == len(run.data.classes)
    expected = cost.count(run.architecture, tuple(told["size"]), "segmentation", len(run.data.classes)).macs
    assert told["macs_at_size"] == int(expected)
    assert tuple(before["size"]) in seen  # before anything was evaluated some images are looked at


class Handler(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


@pytest.mark.parametrize(
    "more", [("recipe.log_every=50",), ("recipe.log_every=50", "recipe.per_device=1", "data.crop=[64,64]"), ()]
)
def test_a_short_training_tells_its_loss(more, tmp_path):
    handler, log = Handler(), logging.getLogger("ncp.tasks.callbacks")
    log.addHandler(handler)
    level = log.level
    log.setLevel(logging.INFO)
    try:
        train(tmp_path, *SMALL_SEG, "callbacks.progress=true", *more)
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
    lines = [line for line in handler.lines if line.startswith("step ")]
    steps = [int(line.split()[1]) for line in lines]
    assert steps == [2, 4, 6, 8]
    assert all("of 8: loss " in line for line in lines)
    losses = [float(line.split("loss ")[1].split(",")[0]) for line in lines]
    assert all(0 < loss < 5 for loss in losses)  # of a whole step, not of a part of it
    assert any(line.startswith("evaluation at step 8: mIoU") for line in handler.lines)


def test_loggers_get_what_a_sweep_may_vary(tmp_path, monkeypatch):
    from pytorch_lightning.loggers.logger import DummyLogger

    got = {}

    class Notes(DummyLogger):
        def log_hyperparams(self, params, *args, **kwargs):
            got.update(params)

    from ncp.tasks import parts

    monkeypatch.setattr(parts, "make_loggers", lambda *_: [Notes()])
    tasks.assemble(compose(*SMALL_SEG, "recipe.length=3"), tmp_path)
    assert got["recipe"]["length"] == 3
    assert got["recipe"]["batch"] == 2
    assert got["data"]["scenes"] == 7
    assert got["seed"] == 1
    assert got["architecture"].startswith("8_8-")
