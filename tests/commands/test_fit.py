"""The command that fits a predictor, from its configuration to its run folder."""

import importlib.util
import json
import sys
from collections.abc import Callable
from dataclasses import fields
from inspect import signature
from pathlib import Path

import fit_rows
import numpy as np
import pytest
from transnas_files import write_csv

from ncp import jobs, runs
from ncp.benchmark import settings, store
from ncp.benchmark.table import Table
from ncp.jobs.fit import family_of
from ncp.predictors import few, gp_fit, load, training
from ncp.search import search

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rows = fit_rows.make(120, metrics=("mIoU", "mAcc", "aAcc", "flops"))
    columns = dict(zip(rows.metrics, rows.targets.T, strict=True))
    store.write(Table(settings.get("seg"), rows.codes, columns), tmp_path / "tables" / "seg.parquet")
    return tmp_path / "tables"


Command = Callable[..., tuple[str, str]]


@pytest.fixture
def fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Run the command as from the project's root, in this process, with outputs elsewhere: (stdout, stderr)."""
    monkeypatch.chdir(ROOT)

    def call(*arguments: str, code: int = 0) -> tuple[str, str]:
        spec = importlib.util.spec_from_file_location("fit", ROOT / "src" / "fit.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setattr(sys, "argv", ["fit", f"paths.outputs={tmp_path / 'out'}", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            module.main()
        out, err = capfd.readouterr()
        assert ended.value.code == code, err
        return out, err

    return call


def test_a_fit_leaves_predictor_card_errors_and_picture(fit: Command, source: Path, tmp_path: Path) -> None:
    given = ["setting=seg", f"source={source}", "predictor=paper", "predictor.epochs=3", "protocol=paper"]
    out, _ = fit(*given, f"out={tmp_path / 'weights'}")
    (folder,) = (tmp_path / "out" / "fit").glob("*/*")
    result = json.loads((folder / "result.json").read_text())
    predictor = load(folder / "predictor.safetensors")
    assert predictor.metrics == ("mIoU", "mAcc", "aAcc", "flops")
    assert result["protocol"] == "paper"
    assert result["rows"]["seg"] == {"fitted": 96, "validation": 24}
    assert result["errors"]["seg"] == predictor.card.errors
    assert set(result["errors"]["seg"]["mIoU"]) == {"mae", "rmse", "spearman", "kendall", "calibration"}
    assert (folder / "scatter.png").stat().st_size > 5000
    codes = fit_rows.make(4).codes
    bundled = load(tmp_path / "weights" / "seg.safetensors")
    np.testing.assert_allclose(bundled.predict(codes)["mIoU"], predictor.predict(codes)["mIoU"], rtol=1e-3)
    assert f"{predictor.card.errors['mIoU']['mae']:.3f}" in out
    assert f"{runs.invocation('search')} 'objectives=[seg]'" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["protocol=best"], "unknown protocol 'best'; protocols: honest, paper, all-rows"),
        (
            ["predictor=paper", "+predictor.width=3"],
            "the paper predictor has no option 'width'; its options: activation",
        ),
        (["setting=video"], "holds no table of video; it holds seg"),
        (["setting=sky"], "unknown setting 'sky'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(fit: Command, source: Path, arguments: list[str], message: str) -> None:
    given = [] if any("setting=" in a for a in arguments) else ["setting=seg"]
    _, err = fit(*given, f"source={source}", *arguments, code=2)
    lines = [line for line in err.splitlines() if line.strip()]
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert message in lines[0]


def test_what_cannot_be_written_is_told_before_the_fit(fit: Command, source: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("ncp.predictors.protocols.run", lambda *_, **__: pytest.fail("it was fitted"))
    (tmp_path / "file").touch()
    _, err = fit("setting=seg", f"source={source}", f"out={tmp_path / 'file'}", code=2)
    assert err.splitlines()[-1].endswith("file' cannot be made a folder (File exists)")


def test_files_that_are_not_imported_are_no_tables(fit: Command, tmp_path: Path) -> None:
    folder = write_csv(tmp_path / "raw")
    for place in (folder, folder / "best_over_epochs.csv.gz"):
        _, err = fit("setting=transnas-micro/class_scene", f"source={place}", code=2)
        assert err.count("\n") == 1
        assert "holds the files of TransNAS-Bench-101, not tables" in err
        assert f"benchmark action=import source={place}, then leave source out" in err


def test_every_setting_can_be_named() -> None:
    for name in (*settings.SETTINGS, *settings.SHORT, "all"):
        options = jobs.options("fit", f"setting={name}")
        assert options.setting == name
        assert options.protocol == "honest"


def test_the_configured_options_are_the_papers_and_those_of_the_code() -> None:
    paper = jobs.options("fit", "setting=seg", "predictor=paper").predictor
    default = jobs.options("fit", "setting=seg", "predictor=default").predictor
    # appendix E.1
    expected = {"heads": "metric", "shared": 256, "separate": 128, "dropout": 0.5, "lr": 0.01, "weight_decay": 1e-7}
    assert expected.items() <= dict(paper).items()
    assert (paper["batch_size"], paper["epochs"]) == (128, 200)
    parameters = signature(training.fit).parameters
    for name, value in paper.items():
        if name != "family":
            assert parameters[str(name)].default == value, name
    assert set(default) == {"family", *(field.name for field in fields(gp_fit.Options))} - {"seed"}
    assert family_of(dict(default)) == ("default", {})
    transfer = jobs.options("fit", "setting=seg", "predictor=transfer").predictor
    assert set(transfer) == {"family", *(field.name for field in fields(few.Options))} - {"seed"}
    assert family_of(dict(jobs.options("fit", "setting=seg").predictor)) == ("auto", {"known": "all"})


def test_a_fit_that_taught_nothing_says_so(fit: Command, tmp_path: Path) -> None:
    rows = fit_rows.make(24, metrics=("mIoU", "mAcc", "aAcc"))
    noise = np.random.default_rng(0).normal(50, 3, rows.targets.shape)
    store.write(
        Table(settings.get("seg"), rows.codes, dict(zip(rows.metrics, noise.T, strict=True))), tmp_path / "seg.parquet"
    )
    quick = ["predictor=default", "predictor.steps=3", "predictor.points=8", "predictor.directions=4", "folds=3"]
    out, _ = fit("setting=seg", f"source={tmp_path / 'seg.parquet'}", "protocol=all-rows", *quick)
    assert "warning: the predictor of seg has not learned mIoU: on 24 rows that it did not see" in out
    assert "force=true" in out
    (folder,) = (tmp_path / "out" / "fit").glob("*/*")
    assert "24 rows" in json.loads((folder / "result.json").read_text())["without_skill"]["seg"]["mIoU"]
    same = {name: np.full(24, 70.0) for name in rows.metrics}
    store.write(Table(settings.get("seg"), rows.codes, same), tmp_path / "seg.parquet")
    _, err = fit("setting=seg", f"source={tmp_path / 'seg.parquet'}", code=2)
    assert "mIoU is 70 in all 24 rows of seg" in err
    assert err.count("\n") == 1


def test_few_rows_end_with_what_more_would_bring(fit: Command, tmp_path: Path) -> None:
    rows = fit_rows.like_classification(20, 1)
    columns = dict.fromkeys(("mIoU", "mAcc", "aAcc"), rows.targets[:, 0])
    store.write(Table(settings.get("seg"), rows.codes, columns), tmp_path / "seg.parquet")
    out, _ = fit("setting=seg", f"source={tmp_path / 'seg.parquet'}", "predictor.known=[cls]", "folds=2")
    (folder,) = (tmp_path / "out" / "fit").glob("*/*")
    result = json.loads((folder / "result.json").read_text())
    curve = result["curve"]["seg"]
    assert out.rstrip().endswith(curve["sentence"])
    assert curve["sentence"].startswith("20 more trainings would likely gain ")
    assert (curve["rows"], curve["metric"]) == (20, "mIoU")
    assert {point["rows"] for point in curve["points"]} >= {20, 40}
    assert "known are cls-50-1000" in result["choice"]["seg"]
    assert (folder / "curve.png").stat().st_size > 5000
    predictor = load(folder / "predictor.safetensors")
    assert predictor.card.kind == "transfer"
    found = search(["seg"], predictor={"seg": predictor}, budget={"macs": 1e9}, iterations=5, starts=4)
    assert found.kept
