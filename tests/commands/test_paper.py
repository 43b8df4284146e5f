"""The command paper, as a user runs it, without tables."""

import csv
import json
from types import SimpleNamespace

import pytest

from ncp import jobs, spaces
from ncp.errors import UserError
from ncp.jobs import paper
from ncp.paper import printed, tables
from ncp.paper.searches import SEARCHES
from ncp.report import paper as report
from ncp.report import paper_figures

SPACE = spaces.get("multires")


def run(tmp_path, *words):
    folder = tmp_path / "run"
    options = jobs.options("paper", f"store={tmp_path / 'none'}", *words)
    return paper.run(options, folder), folder


def test_a_table_a_figure_and_a_claim(tmp_path, capsys):
    outcome, folder = run(tmp_path, "table=3", "figure=13", "claims=[space,table-9]")
    rows = list(csv.DictReader((folder / "table3.csv").open()))
    assert len(rows) == 33
    seg = {row["source"]: row for row in rows if row["objective"] == "Seg"}
    assert list(seg) == ["paper", "faithful", "default"]
    assert seg["paper"]["seg.mIoU"] == "77.15"
    assert seg["paper"]["ade20k.mIoU"] == "33.32"
    assert float(seg["default"]["macs"]) < 0.91e9
    assert float(seg["default"]["doubt.seg.mIoU"]) > 0
    assert "arch=ncp_seg" in seg["paper"]["train"]
    assert "arch=code arch.code=" in seg["default"]["train"]
    result = json.loads((folder / "result.json").read_text())
    assert result["claims"]["table-9"]["verdict"] == "does not hold"
    assert set(result["missing"]) >= {"seg", "video"}
    assert (folder / "figure13.png").stat().st_size > 10_000
    paper.show(outcome)
    said = capsys.readouterr().out
    assert "Four tasks" in said
    assert "DOES NOT HOLD: Its FLOPs are at 112 x 112. (Table 9)" in said
    assert "no exact judge of" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing was asked for; give table=3, figure=9, claims=true or all=true"),
        (["table=7"], "table is one of 2, 3, 4, 5, 8, 9, 10, or a list of them, given was 7"),
        (["figure=[3,2]"], "figure is one of 3, 4, .*, 24, or a list of them, given was 2"),
        (["claims=[depht]"], "there is no claim 'depht'"),
        (["figure=6"], "Figure 6 shows all cells of NAS-Bench-201, whose table is not imported"),
    ],
)
def test_mistakes_are_one_line(tmp_path, words, message):
    with pytest.raises(UserError, match=message):
        run(tmp_path, *words)


def test_commands_that_train_a_row_compose(tmp_path):
    """One of each setting that a search is for; what else differs is the text of an architecture, which must parse."""
    outcome, _ = run(tmp_path, "table=9")
    lines = [line for done in outcome.tables for line in done.lines if line.train]
    assert len(lines) == 3 + 3 + 1  # found both ways, and the one public network
    for line in lines:
        text = line.train.partition("arch.code=")[2].partition(" ")[0]
        assert not text or SPACE.parse(text) == line.architecture
    commands = {
        search.objectives[0]: tables._command(search.objectives, "arch=ncp_seg") for search in SEARCHES.values()
    }
    assert len(commands) == 8
    for command in (*commands.values(), lines[1].train):
        _, _, words = command.partition("train ")
        options = jobs.options("train", *words.replace("DATA", str(tmp_path)).split())
        assert options.data["root"] == str(tmp_path)


def test_every_figure_has_a_way_to_be_drawn():
    special = {3, 4, 5, 6, 7}
    ways = [special, set(paper_figures.ONE), set(paper_figures.TRANSFERS), set(paper_figures.SIDE_BY_SIDE)]
    assert sorted(number for way in ways for number in way) == list(printed.FIGURES) == list(range(3, 25))
    with pytest.raises(UserError, match="figure is one of"):
        paper_figures.draw(2, None, None)


def test_a_summary_counts_verdicts():
    verdicts = ["holds", "does not hold", "holds"]
    claims = [SimpleNamespace(measured=SimpleNamespace(verdict=v)) for v in verdicts]
    assert report.counts(claims) == "2 holds, 1 does not hold"
