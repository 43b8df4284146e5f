"""Detection's figures carry the overlap from which a box counts, from a table through a fit and a search to what is shown."""

import json
from dataclasses import replace

import fit_rows
import pytest
import recorded_results as recorded

from ncp import predictors
from ncp.predictors import protocols
from ncp.report import predictor as fits
from ncp.report import search as report
from ncp.report import sweep
from ncp.report.search_table import comparison, in_a_line
from ncp.search import search
from ncp.terminal import console

AT_HALF = {"car": 0.5, "pedestrian": 0.25, "cyclist": 0.25}


@pytest.fixture(scope="module")
def outcome():
    """A predictor of hand-made rows of the built-in scenes."""
    rows = replace(fit_rows.make(60, metrics=("moderate",), setting="3ddet"), min_overlap=AT_HALF)
    return protocols.run(rows, options={"steps": 20})


def test_it_goes_from_the_rows_into_the_file_and_back(outcome, tmp_path, capsys):
    again = predictors.load(outcome.predictor.save(tmp_path / "p.safetensors"))
    assert again.min_overlap == again.card.min_overlap == AT_HALF
    console().print(fits.errors_table({"3ddet": outcome}))
    assert "moderate (IoU 0.5)" in capsys.readouterr().out
    assert any(
        "moderate (IoU 0.5)" in ax.get_title(loc="left") + ax.get_title() for ax in fits.errors_figure(outcome).axes
    )


def test_the_bundled_ones_say_kittis_and_others_nothing():
    for family in ("default", "paper"):
        assert predictors.load("3ddet", family).min_overlap == {"car": 0.7, "pedestrian": 0.5, "cyclist": 0.5}
        assert predictors.load("seg", family).min_overlap == {}


def test_a_search_names_the_overlap_of_what_is_predicted_and_of_what_is_judged(outcome, tmp_path, capsys):
    result = search(
        objectives=["det3d"],
        predictor={"det3d": outcome.predictor},
        judge="default",
        force=True,
        starts=2,
        iterations=3,
    )
    console().print(comparison(result, "t"), width=300)
    out = capsys.readouterr().out
    assert "3ddet moderate (IoU 0.5), predicted by" in out
    assert "3ddet moderate (IoU 0.7), judged by default" in out
    assert in_a_line(result).startswith("3ddet.moderate (IoU 0.7) ")
    files = report.write_search(result, tmp_path / "a", {}, lambda: 1.0)
    content = json.loads(files["result"].read_text())
    assert content["min_overlap"] == {"3ddet": AT_HALF}
    assert content["judged_min_overlap"]["3ddet"]["car"] == 0.7


def test_a_table_of_searches_with_different_overlaps_judges_them_by_one_and_names_it(tmp_path, capsys):
    for job, car in enumerate((0.5, 0.7)):
        recorded.search(
            tmp_path / str(job), job, ["3ddet.moderate"], judged={"3ddet": {"moderate": 20.0}}, keeps_limits=True,
            judge={"3ddet": f"mine{car}.safetensors"}, predictor={"3ddet": f"mine{car}.safetensors"},
            min_overlap={"3ddet": {"car": car}}, judged_min_overlap={"3ddet": {"car": car}},
        )  # fmt: skip
    sweep.summarise(tmp_path)
    out = " ".join(capsys.readouterr().out.split())
    assert "3ddet.moderate (IoU 0.7), %" in out  # the default predictor judges both
    assert "3ddet.moderate (IoU 0.5) or moderate (IoU 0.7), its own" in out
