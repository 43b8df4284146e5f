"""docs/design.md, "where to add things", followed to the letter without a change of the package: a task, a data set, a recipe, an
architecture and a space of one's own (a setting: test_own_setting.py; a kind of predictor: predictors/test_announced.py)."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ncp import jobs, registry, spaces
from ncp.benchmark import settings
from ncp.errors import UserError
from ncp.search import search
from ncp.spaces import nasbench201

ROOT = Path(__file__).resolve().parents[1]
MODULE = """
import torch
from torchmetrics import Metric
from ncp.data.base import DataModule
from ncp.models import build
from ncp.tasks.base import Task

class Grey(torch.utils.data.Dataset):
    def __init__(self, count): self.count = count
    def __len__(self): return self.count
    def __getitem__(self, key):
        level = (key.item * 37 % 101) / 100
        return {"image": torch.full((3, 32, 32), round(255 * level), dtype=torch.uint8), "level": torch.tensor(level)}

class Greys(DataModule):
    task, builtin, classes, size, source = "level", True, ("level",), (32, 32), "grey images"
    def __init__(self, *, images: int = 24, **more):
        super().__init__(**more)
        self.images = images
    def prepare(self):
        self.train_set, self.val_set = Grey(self.images), Grey(5)

class Near(Metric):
    def __init__(self):
        super().__init__()
        self.add_state("far", torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("seen", torch.zeros(()), dist_reduce_fx="sum")
    def update(self, a, b):
        self.far += (a - b).abs().sum(); self.seen += len(a)
    def compute(self):
        return {"near": 100 * (1 - self.far / self.seen)}

class Level(Task):
    name, main_metric = "level", "near"
    def __init__(self, *arguments, power: float = 2.0, **more):
        super().__init__(*arguments, **more)
        self.power, self.scores = power, Near()
    @classmethod
    def make_network(cls, architecture, data, **options):
        return build(architecture, "cls", classes=1, in_channels=data.in_channels, **options)
    def told(self, batch):
        return self(batch)[:, 0].float().sigmoid()
    def loss(self, batch, report):
        return (self.told(batch) - batch["level"]).abs().pow(self.power).mean(), {}
    def score(self, batch):
        self.scores.update(self.told(batch), batch["level"])
"""
THIN = "8_8-1_1_1_8-1_2_1_1_8_8-1_3_1_1_1_8_8_8-1_4_1_1_1_1_8_8_8_8-8"
FILES = {
    "task/level.yaml": "_target_: mine_of_level.Level\npower: 1.5\n",
    "data/greys.yaml": """\
defaults: [{/recipe@_global_.recipe: quick}, _self_]
_target_: mine_of_level.Greys
images: 24
""",
    "recipe/quick.yaml": """\
optimizer: {name: sgd, lr: 0.01}
schedule: {shape: cosine}
batch: 4
unit: steps
length: 2
eval_every: 2
""",
    "arch/thin.yaml": f"kind: code\ncode: {THIN}\n",
    "setting/grey-levels.yaml": """\
name: grey-levels
task: level
metrics: [near]
builtin: {data: greys, change: {data: {images: 9}}}
""",
}
QUIET = ("callbacks.progress=false", "callbacks.pictures=false", "trainer=cpu")


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "mine_of_level.py").write_text(MODULE)
    for name, text in FILES.items():
        (tmp_path / "conf" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "conf" / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("NCP_CONFIG", str(tmp_path / "conf"))
    yield tmp_path
    sys.modules.pop("mine_of_level", None)


def test_the_table_of_the_design_page_says_so():
    table = (ROOT / "docs" / "design.md").read_text()
    for row in (
        "| a task | a `Task` (`ncp/tasks/base.py`) anywhere | `task/NAME.yaml` with its `_target_` in `conf/` or in a folder of "
        "your own |",
        "| a data set | a `DataModule` (`ncp/data/base.py`) anywhere | `data/NAME.yaml` with its `_target_` likewise |",
        "| a recipe, an architecture | `recipe/NAME.yaml`, `arch/NAME.yaml` likewise | nothing |",
    ):
        assert row in table


def test_a_task_and_a_data_set_of_ones_own_are_trained_and_built(own):
    assert settings.get("grey-levels").task == "level"
    assert "level" in settings.tasks()
    options = jobs.options("train", "setting=grey-levels", "arch=thin", *QUIET)
    assert (options.task["power"], options.data["images"]) == (1.5, 9)
    trained = jobs.train.run(options, own / "train")
    checkpoint = torch.load(own / "train" / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["ncp"]["task"] == "level"
    again = jobs.evaluate.run(jobs.options("evaluate", f"ckpt_path={own / 'train'}"), own / "evaluate")
    assert again.metrics == pytest.approx(trained.metrics)
    without = jobs.options("train", "task=level", "data=greys", "arch=thin", *QUIET)
    assert (without.setting, without.data["images"]) == (None, 24)
    built = jobs.build.run(
        jobs.options("build", "setting=grey-levels", "sample=small", "count=1", f"build.dir={own / 'build'}", *QUIET),
        own / "run",
    )
    assert built.merged.table.setting.metrics == ("near",)
    assert len(built.merged.table) == 1


def test_without_the_folder_they_are_unknown(own, monkeypatch):
    monkeypatch.delenv("NCP_CONFIG")
    for words in (("setting=grey-levels",), ("task=level", "data=greys")):
        with pytest.raises(UserError):
            jobs.options("train", *words)


def test_a_setting_of_an_unknown_task_is_trained_nowhere(own):
    (own / "conf" / "task" / "level.yaml").unlink()
    with pytest.raises(
        UserError, match=r"task must be one of .*, room_layout, seg, segmentsemantic, video, given was 'level'"
    ):
        settings.get("grey-levels")


def test_a_search_space_that_a_package_announces_is_searched(tmp_path, monkeypatch):
    about = tmp_path / "cells-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: cells\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[ncp.spaces]\ntheir-cells = their_cells:SPACE\n")
    (tmp_path / "their_cells.py").write_text(
        "from ncp.spaces.nasbench201 import NasBench201Space\n"
        "class Theirs(NasBench201Space):\n    name = 'their-cells'\nSPACE = Theirs()\n"
    )
    (tmp_path / "conf" / "setting").mkdir(parents=True)
    (tmp_path / "conf" / "setting" / "theirs.yaml").write_text(
        "name: theirs\ntask: cls\nmetrics: [Acc]\nspace: their-cells\n"
    )
    monkeypatch.setenv("NCP_CONFIG", str(tmp_path / "conf"))
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.announced.cache_clear()
    try:
        import ncp.predictors

        space = spaces.get("their-cells")
        cells = space.sample(60, np.random.default_rng(0))
        macs = nasbench201.SPACE.cost(nasbench201.SPACE.encode(cells)).macs
        fitted = ncp.predictors.fit(cells, {"Acc": 40 + 1e-7 * macs}, "none", space="their-cells", setting="theirs")
        path = fitted.save(tmp_path / "theirs.safetensors")
        found = search(objectives=["theirs"], predictor={"theirs": path}, starts=4, iterations=10, force=True)
        # more multiply-adds are better there: the search goes there
        assert found.macs >= np.quantile(macs, 0.75)
        assert settings.get("theirs").space == "their-cells"
    finally:
        registry.announced.cache_clear()
        sys.modules.pop("their_cells", None)
