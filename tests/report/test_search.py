"""What a search shows: its table, its line among many, and its progress."""

import io
import sys

import numpy as np
import pytest
from toy_predictors import Toy, capacity

from ncp import jobs, progress, spaces, terminal
from ncp.benchmark import settings
from ncp.report import search as report
from ncp.report.search_table import comparison, in_a_line
from ncp.search import search

SPACE = spaces.get("multires")
UNSURE = Toy("seg", capacity(np.linspace(0.5, 2, 27) * SPACE.lower), std=lambda x: 0.25 + 0 * x[:, 0])
UNSURE.noise_std += 0.75


def shown(result, capsys):
    terminal.console().print(comparison(result, report.title(result), result.kappa))
    return capsys.readouterr().out


def test_the_table_names_both_uncertainties_and_what_floors_take_off(capsys):
    result = search(["seg"], predictor={"seg": UNSURE}, floor={"seg": 70}, kappa=2, starts=2, iterations=3)
    out = shown(result, capsys)
    (row,) = (line for line in out.splitlines() if line.startswith("seg mIoU"))
    assert row.split()[-5:-1] == ["±", "0.25", "±", "0.75"]
    assert "of which the search takes off 2" in out
    assert in_a_line(result).endswith("% (± 0.25 doubt, ± 0.75 noise)")
    assert result.std["seg"]["mIoU"] == pytest.approx(np.hypot(0.25, 0.75))


def test_limits_of_several_machines_are_told():
    result = search(["seg"], predictor={"seg": UNSURE}, starts=2, iterations=2)
    told = report.subtitle(result, {"budget": {"macs": 1e9, "params": None, "latency_ms": [200, 80]}})
    assert "macs at most 1e9; latency_ms at most 200 and 80" in told


def test_figures_outside_of_the_rows_are_marked(capsys):
    narrow = Toy("seg", UNSURE.function)
    narrow.card.region = {"lower": SPACE.lower.tolist(), "upper": np.minimum(SPACE.upper, 32).tolist()}
    result = search(["seg"], predictor={"seg": narrow}, starts=2, iterations=3)
    out = shown(result, capsys)
    (row,) = (line for line in out.splitlines() if line.startswith("seg mIoU"))
    assert row.split()[4:6] == ["%", "*"]  # the default code's
    assert row.count("*") == 1
    assert "* extrapolated" in out
    content = report.summary(result, {})
    assert (content["start"]["extrapolated"], content["extrapolated"]) == (True, False)


def test_a_judge_of_its_own_has_rows_of_its_own(capsys):
    result = search(["seg"], strategy="paper", iterations=3)
    out = shown(result, capsys)
    rows = [line for line in out.splitlines() if line.startswith("seg mIoU")]
    assert [row.split("  ")[0] for row in rows] == ["seg mIoU, predicted by paper", "seg mIoU, judged by default"]
    for row, figures in zip(rows, (result.predicted, result.judged), strict=True):
        assert f"{figures['seg']['mIoU']:.2f} %" in row


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_long_search_tells_its_progress_on_a_terminal_alone(monkeypatch):
    for stream, after, seen in ((Terminal(), 0, True), (Terminal(), 60, False), (io.StringIO(), 0, False)):
        monkeypatch.setattr(sys, "stderr", stream)
        with progress.bar("search", after) as tell:
            search(["seg"], predictor={"seg": UNSURE}, starts=1100, iterations=1, progress=tell)
        assert bool(stream.getvalue()) == seen, (after, stream)
        assert ("starts" in stream.getvalue()) == seen


@pytest.mark.parametrize("setting", ["cls-10c", "video-p"])
def test_the_command_that_trains_what_was_found_names_the_setting(setting, tmp_path):
    """A task alone would be trained as another setting of it."""
    metric = settings.get(setting).main
    toy = Toy(setting, capacity(np.linspace(0.5, 2, 27) * SPACE.lower), (metric,))
    result = search([setting], predictor={setting: toy}, starts=2, iterations=3)
    command = report.architecture_yaml(result).splitlines()[1].removeprefix("#   ").partition("train ")[2]
    path = tmp_path / "architecture.yaml"
    path.write_text(report.architecture_yaml(result))
    told = jobs.options("train", *command.replace("THIS_FILE", str(path)).split())
    assert told.setting == setting
    assert SPACE.parse(path) == result.architecture


def test_what_was_found_for_a_setting_of_ones_own_is_trained_in_it(monkeypatch, tmp_path):
    (tmp_path / "setting").mkdir()
    text = "name: yard\ntask: det3d\nmetrics: [moderate]\nreal:\n  data: folder\n"
    (tmp_path / "setting" / "yard.yaml").write_text(text)
    monkeypatch.setenv("NCP_CONFIG", str(tmp_path))
    assert report._trained_as("yard") == [("setting", "yard")]
    assert report._trained_as("seg") == [("task", "seg")]
    assert report._trained_as("nas-bench-201/cifar10") == []
