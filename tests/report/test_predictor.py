"""What a fit leaves behind, for a predictor whose answers are known."""

import json
from pathlib import Path

import fit_rows
import numpy as np
import pytest
from rich.console import Console

from ncp.benchmark import settings, store
from ncp.benchmark.table import Table
from ncp.errors import UserError
from ncp.jobs.fit import tables
from ncp.predictors import load, protocols, training
from ncp.predictors.rows import from_table
from ncp.report import predictor as report


@pytest.fixture(scope="module")
def outcome() -> protocols.Outcome:
    rows = fit_rows.make(60)
    mlp = training.fit(rows, epochs=2, shared=16, separate=8)
    predicted = rows.targets + np.array([1.0, -2.0, 0.0])
    held = protocols.HeldOut(rows.metrics, rows.targets, predicted, np.full_like(predicted, 2.0), rows.good)
    mlp.card.errors, mlp.card.protocol = held.errors(), "made up"
    return protocols.Outcome(mlp, held, {"fitted": 60, "test": 60}, 1.5)


def test_the_picture_shows_every_row_of_every_metric(outcome: protocols.Outcome) -> None:
    figure = report.errors_figure(outcome)
    assert [ax.get_title("left") for ax in figure.axes] == ["mIoU (%)", "mAcc (%)", "recorded flops (billions)"]
    for i, ax in enumerate(figure.axes):
        points = ax.collections[0].get_offsets()
        np.testing.assert_allclose(points, np.stack([outcome.held.measured[:, i], outcome.held.predicted[:, i]], 1))
        assert ax.get_xlim() == ax.get_ylim()
        assert "measured" in ax.get_xlabel()
        assert "predicted" in ax.get_ylabel()
    assert "MAE 1.00 points" in figure.axes[0].texts[0].get_text()
    texts = [text.get_text() for text in figure.texts]
    assert texts[0] == "seg: predicted and measured"
    assert texts[1].startswith("60 rows not fitted")


def test_the_files_hold_the_predictor_its_card_and_the_picture(outcome: protocols.Outcome, tmp_path: Path) -> None:
    files = report.write_fit(outcome, tmp_path / "run", tmp_path / "bundled")
    assert set(files) == {"predictor", "card", "picture", "bundled"}
    assert files["bundled"] == tmp_path / "bundled" / "seg.safetensors"
    assert files["bundled"].stat().st_size < files["predictor"].stat().st_size
    codes = fit_rows.make(5).codes
    np.testing.assert_array_equal(
        load(files["predictor"]).predict(codes)["mIoU"], outcome.predictor.predict(codes)["mIoU"]
    )
    card = json.loads(files["card"].read_text())
    assert card["errors"]["mAcc"]["mae"] == pytest.approx(2)
    assert files["picture"].read_bytes()[:4] == b"\x89PNG"


def test_the_table_and_the_summary_state_the_errors(outcome: protocols.Outcome) -> None:
    console = Console(record=True, width=140)
    console.print(report.errors_table({"seg": outcome}))
    lines = console.export_text().splitlines()
    assert any(line.split()[:5] == ["seg", "mIoU", "%", "1.000", "1.000"] for line in lines)
    summary = report.summary({"seg": outcome}, {"protocol": "honest", "seed": 3, "predictor": {"family": "paper"}}, 2.0)
    assert summary["errors"]["seg"]["mIoU"]["calibration"] == pytest.approx(0.5)
    assert summary["rows"] == {"seg": {"fitted": 60, "test": 60}}
    assert summary["seconds"] == {"fit": {"seg": 1.5}, "total": 2.0}


def table(name: str) -> Table:
    rows = fit_rows.make(30)
    return Table(settings.get(name), rows.codes, dict.fromkeys(settings.get(name).metrics, rows.targets[:, 0]))


def test_tables_are_found_in_a_file_a_folder_and_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("seg", "cls-50-1000"):
        store.write(table(name), tmp_path / f"{name}.parquet")
    assert [t.name for t in tables("cls", tmp_path)] == ["cls-50-1000"]
    assert [t.name for t in tables("seg", tmp_path / "seg.parquet")] == ["seg"]
    assert from_table(tables("seg", tmp_path)[0]).metrics == ("mIoU", "mAcc", "aAcc")
    monkeypatch.setenv("NCP_DATA", str(tmp_path / "data"))
    store.write(table("video"), store.path_of("video"))
    assert [t.name for t in tables("video", None)] == ["video"]
    for setting, source, message in (
        ("seg", None, "no table of 'seg'"),
        ("video", tmp_path, "holds no table of video; it holds cls-50-1000, seg"),
        ("all", tmp_path, "holds no table of"),
        ("all", tmp_path / "seg.parquet", "needs a folder"),
        ("seg", tmp_path / "nothing", "does not exist"),
        ("sky", tmp_path, "unknown setting 'sky'"),
    ):
        with pytest.raises(UserError, match=message):
            tables(setting, source)
