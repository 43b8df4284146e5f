"""Discoveries: with rows of a table in the place of trainings, and from a folder of images to an exported network."""

import html
import json
import re

import numpy as np
import pytest
from PIL import Image

from ncp import benchmark, jobs, predictors
from ncp.benchmark import settings
from ncp.errors import UserError
from ncp.jobs import discovering
from ncp.models import export
from ncp.spaces.multires import SPACE

LIMIT = 2e9
NARROW = ("bounds.c=[8,16]", "bounds.i=[8,16]", "bounds.b=[1,1]", "bounds.n=[1,1]", "bounds.o1=[8,16]")
SHORT = ("recipe.unit=steps", "recipe.length=2", "recipe.eval_every=2", "data.workers=0", "repeats=1", "per_device=1")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """120 architectures of which the bundled predictor of seg, with a training's noise, says what they reach."""
    rng = np.random.default_rng(3)
    codes = SPACE.encode(SPACE.sample(120, rng)).astype(int)
    values = predictors.load("seg").predict(codes)["mIoU"] + rng.normal(0, 0.5, len(codes))
    names = ("mIoU", "mAcc", "aAcc")
    rows = [{"code": c.tolist(), **dict.fromkeys(names, float(v))} for c, v in zip(codes, values, strict=True)]
    path = tmp_path_factory.mktemp("table") / "seg.parquet"
    benchmark.from_rows(rows, "seg").to_parquet(path)
    return path


def discover(folder, *words):
    options = jobs.options("discover", *words)
    options.outputs = str(folder / "outputs")
    return jobs.discover.run(options, folder / "run")


def told(*words):
    with pytest.raises(UserError) as caught:
        jobs.discover.run(jobs.options("discover", *words))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def chosen(table, tmp_path_factory):
    """A discovery with rows chosen in rounds, and its folder."""
    folder = tmp_path_factory.mktemp("chosen")
    words = ("setting=seg", f"source={table}", "known=[cls,video]", "trainings=20", "rounds=2", f"budget.macs={LIMIT}")
    return discover(folder, *words), folder / "run"


def test_rows_of_a_table_stand_for_trainings(chosen):
    outcome, folder = chosen
    result = json.loads((folder / "result.json").read_text())
    found, truth = SPACE.parse(result["architecture"]["text"]), predictors.load("seg")
    assert SPACE.cost([found.code]).macs[0] <= LIMIT
    assert result["trainings"] == {"seg": 20}
    assert set(result["compared"]) == {"found", "default", "best sampled"}
    # better than the best of the rows that it saw
    assert float(truth.predict(found)["mIoU"][0]) > result["compared"]["best sampled"]["scores"]["seg"]["mean"]
    assert len(np.unique(outcome.discovery.tables["seg"].codes, axis=0)) == 20
    assert 0 < result["std"]["seg"]["mIoU"] < 10
    assert result["fitted"]["seg"]


def test_the_page_is_one_file_that_can_be_sent(chosen):
    page = (chosen[1] / "discovery.html").read_text()
    assert page.startswith("<!doctype html>")
    pictures = re.findall(r'<img src="([^"]{0,40})', page)
    assert len(pictures) >= 3
    assert all(start.startswith("data:image/png;base64,") for start in pictures)
    assert "<table>" in page
    assert "search 'objectives=[seg]'" in html.unescape(page)


def test_the_same_rows_for_the_same_seed(table, tmp_path):
    def drawn(seed):
        options = jobs.options(
            "discover", "setting=seg", f"source={table}", "sampler=random", "trainings=20", f"seed={seed}"
        )
        plan = jobs.discover.plan_of(options, settings.get("seg"), [], tmp_path)
        return discovering._Steps(plan, tmp_path).drawn("seg").codes.tolist()

    assert drawn(1) == drawn(1) != drawn(2)


def test_mistakes_are_one_line(table, tmp_path):
    there = ("setting=seg", f"source={table}")
    assert "8" in told(*there, "sampler=random", "trainings=5")
    assert "trainings" in told(*there, "trainings=5")
    assert "below the smallest network" in told(*there, "budget.macs=1000")
    assert "120 rows" in told(*there, "sampler=random", "trainings=500")
    assert "known" in told(*there, "known=[nothing]")
    assert "sampler" in told(*there, "sampler=best")
    assert "does not exist" in told("setting=seg", f"source={tmp_path / 'none'}")
    assert "unknown setting" in told("setting=none")


def images(root, colours, counts):
    rng = np.random.default_rng(0)
    for split, count in counts.items():
        for name, colour in colours.items():
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 90, (40, 48, 3)).astype(np.uint8)
                pixels[10:30, 10:30] = colour
                Image.fromarray(pixels).save(root / split / name / f"{number}.png")


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    root = tmp_path_factory.mktemp("mine") / "fruit"
    images(root, {"red": (200, 30, 30), "green": (30, 200, 30)}, {"train": 8, "val": 4})
    return root


@pytest.mark.slow
def test_from_a_folder_of_images_to_an_exported_network(mine, tmp_path, one_thread):
    words = (
        "task=cls",
        "data=folder",
        f"data.root={mine}",
        "trainings=9",
        "rounds=1",
        "budget.macs=6e7",
        *NARROW,
        *SHORT,
    )
    words = (*words, "baseline=mobilenetv3_small_100")
    outcome = discover(tmp_path, *words)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert set(result["compared"]) == {"found", "default", "best sampled", "mobilenetv3_small_100"}
    assert result["estimate"]["hours"] > 0
    [setting] = result["settings"]
    assert setting == "fruit-cls"
    net = export.load(result["exports"]["safetensors"])
    assert net.architecture.text == result["architecture"]["text"]
    assert (tmp_path / "run" / "discovery.html").is_file()
    assert all(line.startswith("NCP_CONFIG=") for line in result["commands"].values())  # they find the setting again

    # the same command again trains nothing anew
    [place] = (tmp_path / "outputs" / "discover").glob("fruit-cls-*")
    records = {path: path.stat().st_mtime_ns for path in place.glob("*/units/*/record.json")}
    assert len(records) >= 9 + 2
    options = jobs.options("discover", *words)
    options.outputs = str(tmp_path / "outputs")
    again = jobs.discover.run(options, tmp_path / "again")
    assert {path: path.stat().st_mtime_ns for path in place.glob("*/units/*/record.json")} == records
    assert again.discovery.candidates["found"].text == outcome.discovery.candidates["found"].text


def test_hours_are_asked_for_beforehand(mine, tmp_path, one_thread):
    words = ("task=cls", "data=folder", f"data.root={mine}", "trainings=400", *NARROW, *SHORT)
    options = jobs.options("discover", *words, "hours=0.0001")
    options.outputs = str(tmp_path)
    with pytest.raises(UserError, match=r"400 trainings and the comparison take about .* given was hours=0.0001"):
        jobs.discover.run(options, tmp_path / "run")
    assert not list(tmp_path.glob("discover/*/sample-*"))


def test_images_that_cannot_be_trained_on_are_refused_before_anything_starts(tmp_path):
    images(tmp_path / "one", {"red": (200, 30, 30)}, {"train": 8, "val": 4})
    assert "one class alone (red)" in told("task=cls", "data=folder", f"data.root={tmp_path / 'one'}")
