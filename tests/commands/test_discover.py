"""Discoveries: with rows of a table in the place of trainings, and from a folder of images to an exported network."""

import contextlib
import html
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from layouts import make_own_frames, make_own_videos
from PIL import Image

from ncp import benchmark, jobs, predictors
from ncp.benchmark import settings
from ncp.campaign import discovery as found_
from ncp.errors import UserError
from ncp.jobs import discovering, estimating
from ncp.models import export
from ncp.report import discovery as report
from ncp.spaces.multires import SPACE
from ncp.tasks.trial import Trial

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
    # better than the best of the rows that it saw (whose measured value is a lucky one)
    best = outcome.discovery.candidates["best sampled"]
    assert float(truth.predict(found)["mIoU"][0]) > float(truth.predict(best)["mIoU"][0])
    assert len(np.unique(outcome.discovery.tables["seg"].codes, axis=0)) == 20
    assert 0 < result["std"]["seg"]["mIoU"] < 10
    assert result["fitted"]["seg"]


def test_what_was_trained_is_not_surer_than_what_was_found(chosen):
    """The search begins with the trained architecture that its predictor is surest of."""
    outcome, folder = chosen
    [file] = folder.parent.glob("outputs/discover/*/fit-seg/seg.safetensors")
    predictor, table = predictors.load(file), outcome.discovery.tables["seg"]
    within = table.codes[np.asarray(SPACE.cost(table.codes).macs) <= LIMIT]

    def sure(codes):
        return predictor.predict(codes)["mIoU"] - predictor.predict_std(codes, noise=False)["mIoU"]

    assert sure([outcome.discovery.candidates["found"].code])[0] >= sure(within).max() - 1e-4
    best = SPACE.parse(within[sure(within).argmax()].tolist())
    assert re.search(rf"start=\W*{best.text}\W", outcome.discovery.commands["search"])


def test_the_page_is_one_file_that_can_be_sent(chosen):
    page = (chosen[1] / "discovery.html").read_text()
    assert page.startswith("<!doctype html>")
    pictures = re.findall(r'<img src="([^"]{0,40})', page)
    assert len(pictures) >= 3
    assert all(start.startswith("data:image/png;base64,") for start in pictures)
    assert "<table>" in page
    assert "search 'objectives=[seg]'" in html.unescape(page)


def test_the_end_names_the_command_that_uses_the_found_network(chosen, tmp_path, capsys, monkeypatch):
    outcome = chosen[0]
    report.show(outcome.discovery, outcome.files)
    assert "use it:" not in capsys.readouterr().out  # of a table's rows none was trained
    monkeypatch.chdir(tmp_path)
    exports = {"safetensors": str(tmp_path / "a b" / "found.safetensors"), "onnx": str(tmp_path / "a b" / "found.onnx")}
    trained = replace(outcome.discovery, exports=exports)
    report.show(trained, outcome.files)
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("use it:")]
    assert line.split("predict ")[1] == """input=FOLDER out=seen 'ckpt="a b/found.safetensors"'"""
    assert f"""'ckpt="{tmp_path}/a b/found.safetensors"'""" in report.page(trained, "discovery")


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
    assert "must be a finite number" in told(*there, "budget.macs=much")
    assert "must be a finite number" in told(*there, "budget.macs=nan")
    assert "unknown budget 'flops'" in told(*there, "budget.flops=1e9")
    assert "budget.latency_ms is for src.search" in told(*there, "budget.latency_ms=20")
    assert "within the bounds, which has 548,134,912" in told(*there, "bounds.c=[64,128]", "budget.macs=1e8")
    assert "rounds is for sampler=adaptive" in told(*there, "sampler=random", "rounds=3")
    assert "reach is of trainings" in told(*there, "reach=2")
    assert "within the bounds to draw from" in told(*there, "sampler=random", "bounds.c=[8,16]")


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("known=[nothing]", "known must be all, none, or of"),
        ("known=3", "known must be all, none, or of"),
        ("full=[recipe.lenght=3]", "unknown key 'recipe.lenght'"),
        ("full=[recipe.length=long]", "length"),
        ("baseline=resnet_of_mine", "resnet_of_mine"),
        (
            "bounds={c:[8,8],n:[1,1],b:[1,1],i:[8,8],o1:[8,40]}",
            "there are only 5 architectures, given was trainings=40",
        ),
    ],
)
def test_what_only_late_steps_need_is_asked_for_before_anything_is_trained(word, reason, tmp_path):
    assert reason in told("setting=seg", "sampler=random", f"dir={tmp_path / 'place'}", word)
    assert not (tmp_path / "place").exists()


def steps(folder, *words, **changes):
    """The steps of a discovery in seg, none of them done."""
    options = jobs.options("discover", "setting=seg", *words)
    plan = jobs.discover.plan_of(options, settings.get("seg"), ["setting=seg"], folder)
    return discovering._Steps(replace(plan, **changes), folder)


def test_bounds_of_some_dimensions_are_those_of_the_rows_and_of_the_search(table, tmp_path, monkeypatch):
    given = steps(
        tmp_path, f"source={table}", "sampler=random", "trainings=20", "bounds.o1=[8,64]", "bounds.c1_1=[16,128]"
    )
    codes = given.drawn("seg").codes
    assert codes[:, SPACE.labels.index("o1")].max() <= 64
    assert codes[:, SPACE.labels.index("c1_1")].min() >= 16

    def asked(step, command, *words):
        raise UserError(repr(jobs.options(command, *words).bounds))

    monkeypatch.setattr(given.commands, "run", asked)
    monkeypatch.setattr(given, "surest", lambda files: None)  # nothing has been trained or fitted here
    with pytest.raises(UserError) as told_:
        given.search()
    assert "'c1_1': [16, 128]" in str(told_.value)
    assert "'o1': [8, 64]" in str(told_.value)
    assert "'c2_1': [8, 128]" in str(told_.value)


def test_rows_that_could_not_be_chosen_are_fitted_and_searched_for_what_lies_far_from_them(
    table, tmp_path, monkeypatch
):
    """Where nothing is known of other settings, or what is trained was chosen where the search goes, all is as usual."""
    recorded = f"source={table}"
    cases = (
        (recorded, "random", "all", "large", discovering.DOUBT),
        (recorded, "random", "none", None, 1.0),
        (recorded, "adaptive", "all", "large", discovering.DOUBT),
        ("source=null", "adaptive", "all", None, 1.0),
    )
    for source, sampler, known, remainder, kappa in cases:
        words = (source, f"sampler={sampler}", f"known={known}", "trainings=20")
        given, asked = steps(tmp_path, *words), []

        def run(step, command, *words, seen=asked):
            seen.append(jobs.options(command, *words))
            raise UserError("enough")

        monkeypatch.setattr(given.commands, "run", run)
        monkeypatch.setattr(given, "surest", lambda files: None)
        for step in (lambda g=given: g.fit("seg"), given.search):
            with pytest.raises(UserError, match="enough"):
                step()
        assert asked[0].predictor.get("remainder") == remainder
        assert asked[1].kappa == kappa


def test_hours_are_of_what_is_left_to_do(tmp_path, monkeypatch):
    """An hour a training; of 20 trainings and 2 x 3 compared ones 26 hours, and 6 less after 6 trainings."""
    monkeypatch.setattr("ncp.tasks.trial.run", lambda options, folder: Trial(3600, 0, 1.0, 0.0, 0.0))
    monkeypatch.setattr(estimating.found_, "usual_cost", lambda space, *_: found_.cost_of(space, space.default()))
    given = steps(tmp_path, "trainings=20", "repeats=2", "baseline=null", "hours=21", "sampler=random")
    with pytest.raises(
        UserError, match=r"^20 trainings and the comparison take about 26 hours .* in which 15 trainings"
    ):
        given.estimate()
    for number in range(6):
        (tmp_path / f"sample-seg/units/{number:06d}").mkdir(parents=True)
        (tmp_path / f"sample-seg/units/{number:06d}/record.json").touch()
    given.estimate()
    assert given.out.estimate["hours"] == pytest.approx(26)
    given = steps(tmp_path, "trainings=20", "repeats=2", "baseline=null", "hours=19", "sampler=random")
    given.estimate()  # what was begun goes on as far as the hours reach
    given = steps(tmp_path, "trainings=20", "repeats=2", "baseline=null", "hours=7", "sampler=random")
    with pytest.raises(UserError, match=r"^14 more .* in which 1 training fits, and 8 are the least"):
        given.estimate()


def test_compared_trainings_of_an_earlier_start_are_not_waited_for_again(tmp_path, monkeypatch):
    """An hour a training: all eight to learn from are there, three and one compared ones and one hand-designed network; of a
    search that ends elsewhere than before none is."""
    monkeypatch.setattr("ncp.tasks.trial.run", lambda options, folder: Trial(3600, 0, 1.0, 0.0, 0.0))
    monkeypatch.setattr(estimating.found_, "usual_cost", lambda space, *_: found_.cost_of(space, space.default()))
    given = steps(tmp_path, "trainings=8", "repeats=2", "hours=1", "sampler=random")
    monkeypatch.setattr(given, "hand_designed", lambda *_: ("like", found_.cost_of(SPACE, SPACE.default())))
    names = ("found", "default", "best sampled")
    candidates = dict(zip(names, SPACE.sample(3, np.random.default_rng(0)), strict=True))
    (tmp_path / "candidates.txt").write_text("".join(f"{a.text}  # {name}\n" for name, a in candidates.items()))
    assert set(given.done_before("seg").values()) == {0}
    given.out.candidates = candidates
    units = [(tmp_path / "sample-seg", 8), (given.compared("seg", 0), 3), (given.compared("seg", 1), 1)]
    for place, count in units:
        for number in range(count):
            (place / f"units/{number:06d}").mkdir(parents=True)
            (place / f"units/{number:06d}/record.json").touch()
    (given.baseline_place("seg", "like", 0)).mkdir()
    (given.baseline_place("seg", "like", 0) / "result.json").touch()
    given.out.candidates = {}
    there = {"compare seg, seed 1000": 3, "compare seg, seed 1001": 1}
    there |= {"compare baseline, seed 1000": 1, "compare baseline, seed 1001": 0}
    assert given.done_before("seg") == there
    said = []
    monkeypatch.setattr(estimating.log, "info", lambda text, *of: said.append(text % of if of else text))
    given.estimate()
    assert "to compare: about 16.0 h, one after the other (3,600 steps of 1 s, 0 evaluations, measured" in said[-3]
    assert said[-2] == "of these an earlier start has done 8 and 5"
    assert said[-1] == "the comparison takes about 3 hours here, given was hours=1; it goes on until then"
    clocks = []
    monkeypatch.setattr("ncp.terminal.clock", lambda seconds: clocks.append(seconds) or "later")
    with given.commands.timed("build seg", lambda: 8):
        pass
    assert clocks[-1] == pytest.approx(3 * 3600, rel=0.02)
    given.out.candidates = {"found": SPACE.default()}
    assert sum(given.done_before("seg").values()) == 1  # the hand-designed network is the same


def test_the_page_says_what_a_detections_figure_is():
    rows = [{"architecture": SPACE.default().text, "moderate": 70.0}]
    table = benchmark.from_rows(rows, "3ddet")
    page = report._data(found_.Discovery(("3ddet",), {}, {"3ddet": table}))
    assert page == [
        "3ddet: moderate (%): car 3D AP at IoU 0.7, moderate, of KITTI, 3D boxes of cars at IoU .7, moderate  "
    ]


def test_a_network_that_was_found_twice_is_one():
    """Deviation 1.41 with two degrees of freedom, so a gap is sure from 4.303 x 1.41 = 6.08 on; with three 4.50 would do."""
    found, default = SPACE.sample(2, np.random.default_rng(0))
    names = {"found": found, "default": default, "best sampled": found, "resnet18": "resnet18"}
    one = found_.Discovery(("seg",), {}, candidates=names)
    one.scores = {
        "found": {"seg": np.array([70.0, 72.0])}, "default": {"seg": np.array([64.2, 66.2])},
        "best sampled": {"seg": np.array([70.0, 72.0])}, "resnet18": {"seg": np.array([60.0])},
    }  # fmt: skip
    assert report.against(one, "seg") == [
        "+5.80 against the default (standard error 1.41: too close to call)",
        "it is the best sampled one itself",
        "+11.00 against the resnet18 (standard error 1.73: won)",
    ]


def test_compared_trainings_that_are_longer_count_as_such(tmp_path, monkeypatch):
    """An hour a training to learn from, three a compared one: 20 + 3 x 6; a baseline of as many multiply-adds: 20 + 3 x 8."""
    monkeypatch.setattr(
        "ncp.tasks.trial.run", lambda options, folder: Trial(int(options.recipe["length"]), 0, 1.0, 0.0, 0.0)
    )
    monkeypatch.setattr(estimating.found_, "usual_cost", lambda space, *_: found_.cost_of(space, space.default()))
    given = steps(tmp_path, "trainings=20", "full=[recipe.length=10800]", "baseline=null", "sampler=random")
    given.plan.words["seg"].append("recipe.length=3600")
    given.estimate()
    assert given.clock.times == pytest.approx(3)
    assert given.out.estimate["hours"] == pytest.approx(20 + 3 * 6)
    given.plan.baseline = "auto"
    monkeypatch.setattr(given, "hand_designed", lambda *_: ("like", found_.cost_of(SPACE, SPACE.default())))
    given.estimate()
    assert given.out.estimate["hours"] == pytest.approx(20 + 3 * 8)


@pytest.mark.parametrize("word", ["seed=3", "arch=default", "arch.code=x", "task=seg", "data.root=/x", "keep=none"])
def test_what_the_compared_trainings_have_of_the_discovery_stays_out_of_full(tmp_path, word):
    """A seed there, for example, would make all repetitions the same one, whose spread says nothing."""
    given = steps(tmp_path, f"full=[recipe.length=7,{word}]", "baseline=null")
    with pytest.raises(UserError, match=f": {word.split('=')[0]} is the discovery's own to say; full is for"):
        given.check()
    steps(tmp_path, "full=[recipe.length=7,data.workers=0]", "baseline=null").check()


def test_hours_count_what_the_first_round_costs_more(tmp_path):
    """Three fifths of the trainings are drawn from what costs up to ``reach`` times the limit."""
    kept, wide, drawn = (
        steps(tmp_path, "trainings=20", "budget.macs=1e9", *more).usual()
        for more in (["reach=1"], ["reach=3"], ["sampler=random"])
    )
    assert kept == drawn <= 1e9
    cost = SPACE.cost(SPACE.encode(SPACE.sample(3000, np.random.default_rng(5)))).macs.astype(float)
    assert wide == pytest.approx(0.6 * cost[cost <= 3e9].mean() + 0.4 * cost[cost <= 1e9].mean(), rel=0.05)


def test_hours_hold_while_it_runs(table, tmp_path, monkeypatch):
    given = steps(tmp_path, "trainings=20", "repeats=3", "hours=2", "sampler=random")
    rows, asked = benchmark.load(table), []

    def build(step, setting, *words, unshown=(), **_):
        asked.append((step, list(unshown)))
        return rows.select(np.arange(9) if step == "build seg" else np.arange(3))

    monkeypatch.setattr(given, "build", build)
    given.collect("seg")
    assert float(asked[0][1][1].removeprefix("build.hours=")) == pytest.approx(2.0, abs=0.01)
    assert asked[0][1][0] == "build.alike=8"
    assert asked[0][1][2].startswith("build.after={macs:[")
    assert given.out.notes == ["hours=2 ended the trainings after 0 of 20; the same command goes on with the others"]
    monkeypatch.setattr(given.clock, "left", lambda: 0.0)
    found, default, best = SPACE.decode(rows.codes[:3])
    given.compare({"found": found, "default": default, "best sampled": best})
    assert [step for step, _ in asked[1:]] == ["compare seg, seed 1000"]  # once, whatever the clock says
    assert given.out.scores["found"]["seg"].shape == (1,)
    assert given.out.notes[-2:] == [
        "hours=2 ended the comparison after 1 of 3 seeds; the same command goes on with the others",
        "hours=2 ended the comparison after 0 of 1 trainings of hrnet_w18; the same command goes on with the others",
    ]
    assert set(given.out.candidates) == {"found", "default", "best sampled"}
    monkeypatch.setattr(given, "build", lambda *_, **__: rows.select(np.arange(7)))
    with pytest.raises(UserError, match="ended the trainings after 0 of 20, and a predictor needs 8; the same command"):
        given.collect("seg")


def test_words_of_trainings_are_refused_beside_a_source(table):
    there = ("setting=seg", f"source={table}")
    for word in ("hours=3", "repeats=3", "baseline=null", "full=[recipe.length=3]", "per_device=2", "recipe.length=4"):
        message = told(*there, word)
        assert message.startswith(f"{word.split('=')[0]} is of trainings, and with source="), message
    assert "leave hours, repeats out" in told(*there, "hours=3", "repeats=3")


def test_a_compared_architecture_whose_trainings_failed_is_told_of(table, tmp_path, monkeypatch):
    given = steps(tmp_path, "repeats=2", "baseline=null", exports=False)
    rows = benchmark.load(table)
    found, default, best = SPACE.decode(rows.codes[:3])
    made = iter([rows.select(np.arange(120) != 1), rows.select(np.arange(120) > 1)])
    monkeypatch.setattr(given, "build", lambda *_, **__: next(made))
    with pytest.raises(UserError, match=r"the found architecture's trainings in seg failed.*action=status"):
        given.compare({"found": default, "best sampled": best})
    made = iter([rows.select(np.arange(120) != 1)] * 2)
    given.compare({"found": found, "default": default, "best sampled": best})
    assert set(given.out.scores) == {"found", "best sampled"}
    assert given.out.notes[-1] == "2 of 2 trainings of the default one failed in seg"


def test_other_candidates_are_compared_in_another_folder(tmp_path):
    given = steps(tmp_path, "repeats=1")
    found, default, other = SPACE.sample(3, np.random.default_rng(0))
    given.out.candidates = {"found": found, "default": default}
    place = given.compared("seg", 0)
    given.out.candidates["resnet18"] = "resnet18"  # a baseline is trained elsewhere
    assert given.compared("seg", 0) == place != given.compared("seg", 1)
    given.out.candidates["found"] = other
    assert given.compared("seg", 0) != place


def test_more_repeats_go_on_with_the_same_trainings():
    def place(*words):
        return jobs.discover._place(jobs.options("discover", "setting=seg", *words), "seg")

    assert place() == place("repeats=3", "baseline=null", "hours=4", "per_device=1") != place("recipe.length=7")


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


def test_words_about_own_data_reach_its_trainings_and_a_folder_is_of_one_data_set(mine, tmp_path, monkeypatch):
    plans = []

    def carry_out(plan, folder):
        plans.append(plan)
        raise UserError("enough")

    monkeypatch.setattr(jobs.discover, "carry_out", carry_out)
    words = ("task=cls", "data=folder", f"data.root={mine}", f"dir={tmp_path}", "data.workers=0", "data.size=64")
    with pytest.raises(UserError, match="enough"):
        jobs.discover.run(jobs.options("discover", *words), tmp_path / "run")
    assert list(plans[0].words["fruit-cls"]) == ["setting=fruit-cls", "data.workers=0", "data.size=64"]
    other = tmp_path / "other" / "fruit"
    images(other, {"red": (200, 30, 30), "green": (30, 200, 30)}, {"train": 8, "val": 4})
    assert "holds a discovery of other data" in told("task=cls", "data=folder", f"data.root={other}", f"dir={tmp_path}")

    # a folder that was received is not the user's word: no class that it names is imported
    (tmp_path / "conf" / "setting" / ".fruit-cls.x.tmp.yaml").write_text("na")  # of a start that was killed
    [file] = (tmp_path / "conf" / "setting").glob("[!.]*.yaml")
    whole = file.read_text()
    (tmp_path / "evil.py").write_text("open('imported', 'w')")
    file.write_text(whole.replace("data: {", "data: {_target_: evil.Data, ", 1))
    assert "evil.Data" in file.read_text()
    assert "holds a class (_target_) in " in told("task=cls", "data=folder", f"data.root={mine}", f"dir={tmp_path}")
    file.write_text(whole)
    (tmp_path / "conf" / "data").mkdir()
    (tmp_path / "conf" / "data" / "mine.yaml").write_text("_target_: evil.Data\n")
    assert "data/mine.yaml', which no discovery writes" in told(
        "task=cls", "data=folder", f"data.root={mine}", f"dir={tmp_path}"
    )
    (tmp_path / "conf" / "data" / "mine.yaml").unlink()
    with pytest.raises(UserError, match="enough"):
        jobs.discover.run(jobs.options("discover", *words), tmp_path / "run")


def test_a_discovery_does_not_go_on_with_other_files(tmp_path, monkeypatch):
    """Pictures that were added would be in some of its trainings and not in others, and move the seeded split."""
    begun = []
    monkeypatch.setattr(jobs.discover, "carry_out", lambda plan, folder: begun.append(plan.names))
    root = tmp_path / "own"
    images(root, {"red": (200, 30, 30), "grün": (30, 200, 30)}, {".": 8})
    words = ("task=cls", "data=folder", f"data.root={root}", f"dir={tmp_path / 'there'}")

    def start():
        with contextlib.suppress(AttributeError):  # what is carried out leaves nothing here
            jobs.discover.run(jobs.options("discover", *words), tmp_path / "run")

    start()
    start()
    assert len(begun) == 2
    shutil.copy(root / "grün" / "0.png", root / "grün" / "neu.png")
    said = told(*words)
    assert "has changed since this discovery began (1 file more, 0 files less, first: grün/neu.png)" in said
    assert said.endswith("give dir=FOLDER to begin anew, or put the files back")
    (root / "grün" / "neu.png").unlink()
    [file] = (tmp_path / "there" / "conf" / "setting").glob("*.yaml")
    file.write_text(file.read_text().replace("data: {", "data: {split_seed: 7, ", 1))  # as a look may suggest
    assert "split_seed: 7" in file.read_text()
    start()
    assert len(begun) == 3


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


@pytest.mark.parametrize(("task", "make"), [("det3d", make_own_frames), ("video", make_own_videos)])
def test_frames_and_films_of_ones_own_end_with_a_page(task, make, tmp_path, monkeypatch):
    """Trainings are played: each ends with a point for every doubling of its multiply-adds. All other steps are real."""
    if task == "video":
        pytest.importorskip("av", reason="needs the extra: pip install 'ncp-nas[video]'")
    root = make(tmp_path / "mine")
    monkeypatch.setattr("ncp.tasks.trial.run", lambda options, folder: Trial(3600, 0, 1.0, 0.0, 0.0))

    def build(self, step, setting, *words, **_):
        sampled = step.startswith("build ")
        codes = np.array([a.code for a in self.out.candidates.values()])
        codes = SPACE.sample_codes(12, np.random.default_rng(0)) if sampled else codes
        values = 30 + np.log2(SPACE.cost(codes).macs / 1e9)
        metrics = settings.get(setting).metrics
        rows = [{"code": c.tolist(), **dict.fromkeys(metrics, v)} for c, v in zip(codes, values, strict=True)]
        table = benchmark.from_rows(rows, setting)
        if sampled:
            place = self.plan.place / f"sample-{setting}"
            place.mkdir()
            table.to_parquet(place / f"{setting}.parquet")
        return table

    monkeypatch.setattr(discovering._Steps, "build", build)
    words = (f"task={task}", "data=folder", f"data.root={root}", "sampler=random", "trainings=12", "known=none")
    outcome = discover(tmp_path, *words, "baseline=null", "budget.macs=4e9", "data.workers=0")
    found = outcome.discovery.candidates["found"]
    reached = 30 + np.log2(SPACE.cost([found.code]).macs[0] / 1e9)
    assert reached <= 32
    page = (tmp_path / "run" / "discovery.md").read_text()
    assert f"# A network designed for mine-{task}" in page
    assert f"reaches {reached:.2f}" in page
    assert "- 2 of 2 trainings" not in page
    for picture in ("discovery.png", "data.png"):
        assert f"]({picture})" in page
        with Image.open(tmp_path / "run" / picture) as image:
            assert min(image.size) > 200
    text = (tmp_path / "run" / "discovery.html").read_text()
    pictures = re.findall(r'<img src="([^"]{0,40})', text)
    assert len(pictures) >= 3
    assert all(start.startswith("data:image/png;base64,") for start in pictures)
