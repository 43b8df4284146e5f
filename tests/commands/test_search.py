"""The commands search and report, run as a user runs them, with the recorded predictor of the release for seg."""

import csv
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from recorded_runs import load_run, predictor

import ncp.predictors
from ncp import runs, spaces
from ncp.spaces.cost import paper_units

ROOT = Path(__file__).resolve().parents[2]
SPACE = spaces.get("multires")


@pytest.fixture(scope="module")
def seg_file(tmp_path_factory):
    """A predictor file with a known spread of trainings: half a point."""
    recorded = predictor(load_run(), "seg")
    recorded.noise_std += 0.5
    path = tmp_path_factory.mktemp("predictors") / "seg.safetensors"
    recorded.save(path)
    return path


@pytest.fixture
def command(tmp_path, seg_file, monkeypatch, capfd):
    """Run a command from the project's root with outputs elsewhere, in this process: (stdout, stderr)."""
    monkeypatch.chdir(ROOT)

    def call(name, *arguments, code=0):
        spec = importlib.util.spec_from_file_location(name, ROOT / "src" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        given = [f"predictors={{seg:{seg_file}}}"] if name == "search" else []
        monkeypatch.setattr(sys, "argv", [name, f"paths.outputs={tmp_path}", *given, *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            module.main()
        out, err = capfd.readouterr()
        assert ended.value.code == code, err
        return out, err

    return call


def run_folders(tmp_path, name="search"):
    return sorted(f.parent for f in (tmp_path / name).rglob("run.json"))


def test_a_search_shows_and_leaves_what_it_found(command, tmp_path):
    out, err = command("search", "objectives=[seg]", "strategy=paper", "cost=exact", "lam=0.3")
    (folder,) = run_folders(tmp_path)
    names = {f.name for f in folder.iterdir()}
    assert names >= {"result.json", "architecture.yaml", "trajectory.csv", "search.png", "config.yaml", "search.log"}
    result = json.loads((folder / "result.json").read_text())
    architecture = SPACE.parse(result["architecture"]["text"])

    assert list(architecture.code) == result["architecture"]["code"]
    assert SPACE.parse(folder / "architecture.yaml") == architecture
    cost = SPACE.cost([architecture.code])
    assert (result["cost"]["macs"], result["cost"]["params"]) == (int(cost.macs[0]), int(cost.params[0]))
    assert result["cost"]["flops_g"] == pytest.approx(paper_units(architecture)[0])
    predicted = predictor(load_run(), "seg").predict(architecture)["mIoU"][0]
    assert result["predicted"]["seg"]["mIoU"] == pytest.approx(predicted, abs=1e-4)
    assert result["std"]["seg"]["mIoU"] == pytest.approx(0.5, abs=1e-4)
    assert result["start"]["code"] == list(SPACE.default().code)
    assert result["reason"] == "70 iterations done"
    assert 0 < result["seconds"]["search"] < result["seconds"]["total"]

    rows = list(csv.DictReader((folder / "trajectory.csv").open()))
    assert len(rows) == result["steps"] + 1 == 71
    chosen = rows[result["chosen_step"]]
    assert [int(chosen[f"rounded.{label}"]) for label in SPACE.labels] == result["architecture"]["code"]
    assert int(chosen["macs"]) == result["cost"]["macs"]

    assert err == ""
    for part in ("seg mIoU, predicted", "± doubt", "± noise", "multiply-adds", "parameters", architecture.text):
        assert part in out
    line = next(line for line in out.splitlines() if line.startswith("seg mIoU, predicted"))
    before = result["start"]["predicted"]["seg"]["mIoU"]
    # found, the predictor's own doubt (it has none), a training's noise, gain
    assert line.split()[3:] == [
        f"{before:.2f}",
        "%",
        f"{predicted:.2f}",
        "%",
        "-",
        "±",
        "0.50",
        f"{predicted - before:+.2f}",
    ]
    assert result["doubt"]["seg"]["mIoU"] == 0
    assert result["noise"]["seg"]["mIoU"] == pytest.approx(0.5, abs=1e-4)
    assert f"{runs.invocation('train')} task=seg arch=file arch.path={folder}/architecture.yaml" in out


def test_limits_start_fixed_and_bounds_reach_the_search(command, tmp_path):
    command("search", "objectives=[seg]", "strategy=paper", "cost=exact")
    (first,) = run_folders(tmp_path)
    start = json.loads((first / "result.json").read_text())["architecture"]["code"]
    options = ["budget.macs=0.6e9", "bounds.c4_4=[8,64]", "fixed=[i1,o1]", f"start={first}", "objectives=[seg.mAcc]"]
    command("search", *options, "starts=4")
    (second,) = (f for f in run_folders(tmp_path) if f != first)
    result = json.loads((second / "result.json").read_text())
    code = dict(zip(SPACE.labels, result["architecture"]["code"], strict=True))
    assert result["cost"]["macs"] <= 0.6e9
    assert code["c4_4"] <= 64
    assert (code["i1"], code["o1"]) == (start[0], start[26])
    assert [o["name"] for o in result["objectives"]] == ["seg.mAcc"]
    config = yaml.safe_load((second / "config.yaml").read_text())
    assert config["budget"]["macs"] == 0.6e9


def test_the_given_start_and_the_default_code_are_what_gains_are_told_against(command, tmp_path):
    start = SPACE.parse("64_64-2_1_2_64-2_2_2_2_64_64-2_3_2_2_2_64_64_64-2_4_2_2_2_2_64_64_64_64-32")
    out, _ = command("search", "objectives=[seg]", f"start={start.text}", "starts=4", "iterations=5", "kappa=0")
    result = json.loads((run_folders(tmp_path)[0] / "result.json").read_text())
    seg = predictor(load_run(), "seg")
    values = {name: seg.predict(a)["mIoU"][0] for name, a in (("start", start), ("default", SPACE.default()))}
    found = result["predicted"]["seg"]["mIoU"]
    assert result["start"]["code"] == list(start.code)
    assert result["start"]["given"] is True
    assert result["default"]["code"] == list(SPACE.default().code)
    for name, value in values.items():
        assert result[name]["predicted"]["seg"]["mIoU"] == pytest.approx(value, abs=1e-4)
        assert result["gain"][name]["seg"]["mIoU"] == pytest.approx(found - value, abs=1e-3)
        assert f"{value:.2f} %" in out
        assert f"{found - value:+.2f}" in out
    assert "against start" in out
    assert "against default" in out


@pytest.mark.parametrize("given", ["floor={seg:{mIoU:76}}", "floor={seg:76}", "floor.seg=76", "floor={seg.mIoU:76}"])
def test_floors_are_given_whole_or_by_keys(command, tmp_path, given):
    command("search", "objectives=[seg]", given, "bounds={c4_4:[8,64]}", "starts=2", "iterations=5")
    result = json.loads((run_folders(tmp_path)[0] / "result.json").read_text())
    assert result["predicted"]["seg"]["mIoU"] >= 76
    assert result["architecture"]["code"][SPACE.labels.index("c4_4")] <= 64


def test_a_floor_is_given_without_a_plus(command, tmp_path):
    command("search", "objectives=[seg]", "floor.seg.mIoU=76", "starts=4")
    result = json.loads((run_folders(tmp_path)[0] / "result.json").read_text())
    assert result["predicted"]["seg"]["mIoU"] >= 76
    assert result["limits"]["floor"] == {"seg": {"mIoU": 76}}
    assert result["cost"]["macs"] < SPACE.cost([SPACE.default().code]).macs[0]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["objectives=[sag]"], "seg-4x"),  # the names are listed
        (["budget.macs=1000"], "10,914,816"),  # the smallest possible cost is stated
        (["start=8_8-1"], "27 numbers"),
        (["start=nowhere/architecture.yaml"], "nowhere/architecture.yaml"),
        (["start=nowhere/result.json"], "nowhere/result.json"),
        (["fixed=[x9]"], "c4_4"),
        (["bounds.c4_4=[8,63]"], "steps of 8"),
        (["strategy=paper", "propagation.loss=l2"], "smooth_l1"),
        (["strategy=robust", "propagation.loss=l1"], "propagation.loss"),
        (["predictors={seg:nowhere.safetensors}"], "nowhere.safetensors"),
        (["iterations=many"], "must be a whole number"),
        (["objectives=[]"], "objectives=[cls,seg]"),
        (["objectives=5"], "objectives"),
        (["start=/nonexistent"], "there is no such path"),
        (["start=nonexistent"], "there is no such path"),
        (["seed=-1"], "seed"),
        (["seed=1.5"], "seed"),
        (["seed=null"], "seed"),
        (["seed=many"], "seed"),
        (["starts=0"], "starts"),
        (["floor=77"], "floor"),
        (["floor=[77]"], "floor"),
        (["floor={seg:{mIoU:{a:1}}}"], "floor.seg.mIoU must be a finite number"),
        (["floor={seg:{iou:77}}"], "mIoU, mAcc, aAcc"),
        (["bounds=[8,64]"], "bounds"),
        (["bounds={c4_4:8}"], "bounds.c4_4 is [lower, upper]"),
        (["bounds={x9:[8,64]}"], "unknown dimension 'x9'"),
        (["budget=1e9"], "budget"),
        (["judge=best"], "unknown predictor family 'best'"),
        (["force=7"], "force"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(command, arguments, part):
    given = [] if any(a.startswith("objectives") for a in arguments) else ["objectives=[seg]"]
    out, err = command("search", *given, *arguments, code=2)
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("error: ")
    assert part in err


def test_a_sweep_ends_with_one_table_and_a_pareto_plot(command, tmp_path):
    out, err = command(
        "search", "-m", "objectives=[seg]", "strategy=paper", "cost=exact", "lam=0.1,2", "budget.macs=null,1", code=2
    )
    (sweep,) = (f.parent for f in (tmp_path / "search").rglob("sweep.csv"))
    rows = list(csv.DictReader((sweep / "sweep.csv").open()))
    assert [row["overrides"] for row in rows] == ["lam=0.1", "lam=2"]
    assert [row["judge"] for row in rows] == [row["predictor"] for row in rows]
    assert float(rows[0]["seg.mIoU"]) > float(rows[1]["seg.mIoU"])
    assert int(rows[0]["macs"]) > int(rows[1]["macs"])
    assert (sweep / "pareto.png").read_bytes()[:4] == b"\x89PNG"
    assert "2 searches" in out
    assert err.count("error: job") == 2  # the two with an impossible budget
    assert "error: job 1 (" in err
    assert "lam=0.1 budget.macs=1" in err


def test_a_sweep_over_strategies_has_one_judge_and_loses_none(command, tmp_path):
    """The paper's strategies ask the paper's predictors and cannot keep this budget; the table says so."""
    out, err = command(
        "search", "-m", "predictors=null", "objectives=[seg]", "strategy=robust,paper,winner_takes_all",
        "budget.macs=200000000.0,1e9", "iterations=5",
    )  # fmt: skip
    assert "error" not in err
    (sweep,) = (f.parent for f in (tmp_path / "search").rglob("sweep.csv"))
    rows = list(csv.DictReader((sweep / "sweep.csv").open()))
    assert len(rows) == 6
    for row in rows:
        judge = ncp.predictors.load("seg").predict(SPACE.parse(row["text"]))["mIoU"][0]
        assert float(row["seg.mIoU"]) == pytest.approx(judge, rel=1e-5)
        assert (row["keeps_limits"] == "True") == (int(row["macs"]) <= float(row["overrides"].rpartition("=")[2]))
        assert row["overrides"] in out
    assert {row["predictor"] for row in rows} == {"default", "paper"}
    assert {row["judge"] for row in rows} == {"default"}
    assert {row["overrides"].rpartition("=")[2] for row in rows} == {"2e8", "1e9"}
    assert "misses its limit" in out


def test_a_predictor_that_has_learned_nothing_is_refused_unless_forced(command, tmp_path):
    mlp = predictor(load_run(), "seg")
    mlp.card.rows, mlp.card.errors = 24, {"mIoU": {"kendall": -0.32, "rmse": 9.0}}
    path = mlp.save(tmp_path / "poor.safetensors")
    given = ["objectives=[seg]", f"predictors={{seg:{path}}}", "starts=2", "iterations=2"]
    _, err = command("search", *given, code=2)
    assert "has not learned mIoU" in err
    assert err.count("\n") == 1
    out, _ = command("search", *given, "force=true")
    assert "note: the predictor of seg has not learned mIoU" in out


def test_report_compares_searches_and_given_architectures(command, tmp_path):
    command("search", "objectives=[seg]", "strategy=paper", "cost=exact")
    (found,) = run_folders(tmp_path)
    text = SPACE.default().text
    out, _ = command("report", f"runs=[{found},{found}/architecture.yaml,{text}]", "names=[ours,same,default]")
    (folder,) = run_folders(tmp_path, "report")
    assert {f.name for f in folder.iterdir()} >= {"architectures.png", "trajectories.png", "result.json"}
    ours, same, default = json.loads((folder / "result.json").read_text())["architectures"]
    assert (
        ours["architecture"] == same["architecture"] == json.loads((found / "result.json").read_text())["architecture"]
    )
    assert default["architecture"]["text"] == text
    assert "seg.mIoU" in ours["predicted"]
    lines = [line.split() for line in out.splitlines() if line.split()[:1] in (["ours"], ["same"], ["default"])]
    assert [words[0] for words in lines] == ["ours", "same", "default"]
    assert lines[0][1:] == lines[1][1:]  # the same architecture in the eyes of one judge
    assert all("seg.mIoU" in one["predicted"] for one in (ours, same, default))


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "nothing to compare"),
        (["runs=[nowhere]"], "neither a run folder"),
        (["runs=[nowhere/result.json]"], "no result at"),
        (["runs=[8_8]"], "27 numbers"),
        (["runs=[]"], "nothing to compare"),
    ],
)
def test_report_refuses_what_it_cannot_compare(command, arguments, part):
    _, err = command("report", *arguments, code=2)
    assert err.count("\n") == 1
    assert part in err


@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "job"], ["objectives=[seg]", "starts=2", "iterations=3"]])
def test_a_search_imports_neither_torch_nor_what_draws_axes(arguments, tmp_path):
    code = f"import sys, runpy; sys.argv = ['search', *{arguments!r}]\n"
    code += "import ncp.cli; assert 'numpy' not in sys.modules  # its threads are settled before it is imported\n"
    code += "try: runpy.run_module('src.search', run_name='__main__')\nexcept SystemExit as end: assert not end.code\n"
    code += "heavy = {'torch', 'matplotlib', 'scipy', 'pyarrow', 'sklearn', 'pandas'} & set(sys.modules)\n"
    code += "assert not heavy, heavy"
    environment = {**os.environ, "NCP_OUTPUTS": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "objectives" in done.stdout or list(tmp_path.glob("search/*/*/search.png"))
