"""A setting in a folder of the user's own, as docs/design.md says: one file, and every command takes its name."""

import re
from pathlib import Path

import numpy as np
import pytest

from ncp import benchmark, jobs
from ncp.benchmark import settings
from ncp.errors import UserError
from ncp.spaces.multires import SPACE

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTED = re.search(r"^```yaml\n(.*?)^```", (ROOT / "docs" / "design.md").read_text(), re.M | re.S)[1]
TINY = ("debug=tiny", "callbacks.progress=false", "callbacks.pictures=false")


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The documented file in a folder of its own, nothing else."""
    (tmp_path / "mine" / "setting").mkdir(parents=True)
    (tmp_path / "mine" / "setting" / "crops.yaml").write_text(DOCUMENTED)
    monkeypatch.setenv("NCP_CONFIG", str(tmp_path / "mine"))
    monkeypatch.setenv("NCP_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_the_table_of_the_design_page_says_so():
    table = (ROOT / "docs" / "design.md").read_text()
    assert "| a setting | `setting/NAME.yaml` in `conf/` or in a folder of your own | nothing |" in table


def test_it_is_known_and_means_what_it_says(own):
    assert settings.get("crops").task == "seg"
    assert "crops" in list(settings.SETTINGS)
    built_in = jobs.options("train", "setting=crops")
    assert built_in.setting == "crops"
    assert built_in.data["_target_"].endswith(".Streets")
    assert built_in.recipe["length"] == 30
    real = jobs.options("build", "setting=crops", "data.root=/data/cityscapes", "count=3")
    assert real.data["crop"] == [256, 512]
    assert (real.recipe["length"], real.recipe["source"]) == (10000, "paper, appendix A.1")


def test_one_file_for_several_spaces(own):
    folder = own / "mine" / "setting" / "cells"
    folder.mkdir()
    text = "name: depth\nspaces: [nasbench201, transnas-micro]\ntask: normal\nmetrics: [rmse]\nsmaller: [rmse]\n"
    (folder / "depth.yaml").write_text(text)
    assert {"nasbench201/depth", "transnas-micro/depth"} < set(settings.SETTINGS)
    assert "cells/depth" not in settings.SETTINGS
    found = settings.get("transnas-micro/depth")
    assert (found.space, found.sign("rmse@3"), found.range("rmse")) == ("transnas-micro", -1, (0, 100))
    for wrong, name, message in (
        (text.replace("name: depth", "name: deep"), "transnas-micro/depth", "must have name: depth"),
        (text + "space: multires\n", "transnas-micro/depth", "takes the place of space"),
        (text.replace("[nasbench201, transnas-micro]", "[../x]"), "cells/depth", "spaces is a list of spaces' names"),
        (text + "ranges: {rmse: [3, 1]}\n", "transnas-micro/depth", "ranges gives"),
        (text + "ranges: {other: [0, 1]}\n", "transnas-micro/depth", "ranges gives"),
    ):
        (folder / "depth.yaml").write_text(wrong)
        with pytest.raises(UserError, match=message):
            settings.get(name)


def test_without_the_folder_it_is_unknown():
    with pytest.raises(UserError, match="unknown setting 'crops'"):
        jobs.options("train", "setting=crops")


@pytest.mark.slow
def test_train_build_fit_search_report_and_benchmark_take_its_name(own):
    trained = jobs.train.run(jobs.options("train", "setting=crops", *TINY), own / "train")
    assert trained.metrics["mIoU"] >= 0
    small = ("data.scenes=7", "data.val_scenes=3", "data.crop=[32,32]", "data.eval_size=[32,64]", "recipe.batch=2")
    words = ("setting=crops", "sample=small", "count=1", f"build.dir={own / 'build'}", "recipe.length=1", *small)
    (own / "run").mkdir()
    built = jobs.build.run(jobs.options("build", *words, "recipe.eval_every=1", "trainer=cpu"), own / "run")
    assert built.files[0].name == "crops.parquet"
    assert benchmark.load(built.files[0]).setting.name == "crops"

    codes = SPACE.sample_codes(60, np.random.default_rng(0))
    values = 40 + 10 * np.log(SPACE.cost(codes).macs / 1e9)
    rows = [
        {"code": code.tolist(), "mIoU": v, "mAcc": v + 5, "aAcc": v + 20} for code, v in zip(codes, values, strict=True)
    ]
    table = benchmark.store.write(benchmark.from_rows(rows, "crops"), own / "tables" / "crops.parquet")
    fitted = jobs.fit.run(jobs.options("fit", "setting=crops", f"source={table}"), own / "fit")
    found = jobs.search.run(
        jobs.options(
            "search", "objectives=[crops]", f"predictors={{crops: '{fitted.files['predictor']}'}}", "budget.macs=1e9"
        ),
        own / "search",
    )
    assert found.result.predicted["crops"]["mIoU"] > 30
    compared = jobs.report.run(jobs.options("report", f"runs=['{own / 'search'}','{own / 'train'}']"), own / "report")
    assert compared.files
    asked = jobs.options("benchmark", "action=best", "setting=crops", f"store={own / 'tables'}")
    assert len(jobs.benchmark.run(asked, own / "best").result["records"]) == 10


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("name: crops", "name: other"), "must have name: crops"),
        (("task: seg", "task: sgm"), "task must be one of autoencoder, class_object, class_scene, cls, det3d"),
        (("metrics: [mIoU, mAcc, aAcc]", "metrics: []"), "metrics must list"),
        (("dataset:", "datset:"), "unknown key 'datset'"),
        (("  data: builtin/seg", "  dta: builtin/seg"), "builtin: unknown key 'dta'"),
        (("  data: builtin/seg", "  data: 3"), r"\$\.builtin\.data"),
        (("change: { recipe", "change: { trainer"), "change may hold data, recipe, task, model"),
        (("task: seg", "task: &a [*a]"), "aliases"),
    ],
)
def test_a_wrong_file_is_refused_when_it_is_read_naming_the_key(own, change, line):
    file = own / "mine" / "setting" / "crops.yaml"
    assert change[0] in DOCUMENTED
    file.write_text(DOCUMENTED.replace(change[0], change[1]))
    with pytest.raises(UserError, match=line) as error:
        jobs.options("train", "setting=crops")
    assert "crops.yaml" in str(error.value)


def test_the_name_of_a_shipped_setting_is_taken(own):
    (own / "mine" / "setting" / "seg.yaml").write_text(DOCUMENTED.replace("name: crops", "name: seg"))
    with pytest.raises(UserError, match="is taken by a shipped setting"):
        settings.get("crops")
