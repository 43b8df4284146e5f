"""The command paper, as a user runs it, without tables."""

import csv
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from ncp import jobs, spaces
from ncp.errors import UserError
from ncp.jobs import paper
from ncp.paper import printed
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
    assert [seg[source]["training"] for source in seg] == ["T3.4", "T3.5", "T3.6"]  # after Cls, in the table's order
    cls = next(row for row in rows if row["objective"] == "Cls")
    assert (cls["training"], cls["train"], cls["note"]) == ("", "", "its code is not public")
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
        (["table=7"], "table is one of 2, 3, 4, 5, 8, 9, 10, a list of them, or all, given was 7"),
        (["figure=[3,2]"], "figure is one of 3, 4, .*, 24, a list of them, or all, given was 2"),
        (["claims=[depht]"], "there is no claim 'depht'"),
        (["figure=6"], "Figure 6 shows all cells of NAS-Bench-201, whose table is not imported"),
    ],
)
def test_mistakes_are_one_line(tmp_path, words, message):
    with pytest.raises(UserError, match=message):
        run(tmp_path, *words)


DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "paper.md").read_text()
TRAININGS = list(csv.DictReader((DOCS / "paper_trainings.csv").open()))


def test_every_training_of_the_page_composes(tmp_path):
    """The commands beside docs/paper.md: a network of a row in a setting of which the row has a figure.

    Those that differ in the text of an architecture alone, which must be one, or in a network's name in timm are composed once.
    """
    assert {row["table"] for row in TRAININGS} == {"2", "3", "4", "5", "8", "9", "10"}
    alike, texts, names = {}, set(), set()
    for row in TRAININGS:
        module, *words = row["command"].removeprefix("python -m ").split()
        assert (module, words[0]) == ("src.train", f"setting={row['setting']}")
        texts |= {w.removeprefix("arch.code=") for w in words if w.startswith("arch.code=")}
        names |= {w.removeprefix("arch.name=") for w in words if w.startswith("arch.name=")}
        alike.setdefault(tuple(w.partition("=")[0] if w.startswith("arch.") else w for w in words), words)
    assert len(texts) > 60
    assert all(SPACE.parse(text).text == text for text in texts)
    assert names == {*(f"resnet{n}" for n in (18, 34, 50, 101)), *(f"hrnet_w{n}" for n in (18, 32, 48))}  # timm's
    assert len(alike) >= 9 + 3
    for words in alike.values():
        given = [w.replace("=DATA", f"={tmp_path}").replace("=CHECKPOINT", f"={tmp_path / 'last.ckpt'}") for w in words]
        options = jobs.options("train", *given)
        assert (options.data["root"], f"setting={options.setting}") == (str(tmp_path), words[0])
        assert (options.setting == "video-p") == bool(options.pretrained)


def test_every_row_of_the_page_says_which_training_it_depends_on():
    """By its last cell: the commands' row, or why there is none; printed figures of trained networks are marked."""
    named = set()
    for part in re.split("^### Table ", PAGE, flags=re.MULTILINE)[1:]:
        number = part.partition(":")[0]
        lines = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in part.splitlines()]
        lines = [cells for cells in lines if len(cells) > 5 and cells[1] in ("paper", "faithful", "default")]
        assert len(lines) > 8
        for _, source, *_, last in lines:
            assert last.startswith("† ") == (source == "paper" and number != "10")  # that one prints seconds
            if source != "paper":
                assert last.startswith(f"T{number}."), last
            named |= {word for word in last.split() if word.startswith(f"T{number}.")}
    assert named == {row["row"] for row in TRAININGS}


def test_a_run_writes_the_trainings_of_the_page(tmp_path):
    """Table 9 anew, without tables: the same rows, and where the search is the paper's the same commands."""
    outcome, folder = run(tmp_path, "table=9", f"page={tmp_path / 'page.md'}")
    rows = list(csv.DictReader((tmp_path / "page_trainings.csv").open()))
    kept = [row for row in TRAININGS if row["table"] == "9"]
    same = ("objective", "source", "setting")
    assert [[row[key] for key in same] for row in rows] == [[row[key] for key in same] for row in kept]
    assert len(rows) == 3 * (3 + 3 + 1 + 2)  # three settings; found both ways, the one public network, and two of timm
    words = [[r["command"].partition("train ")[2] for r in each if r["source"] == "paper"] for each in (rows, kept)]
    assert words[0] == words[1]
    assert len(words[0]) == 9
    assert [row["row"] for row in rows] == [row["row"] for row in kept]
    assert all("pretrained=CHECKPOINT" in row["command"] for row in rows if row["setting"] == "video-p")
    cells = list(csv.DictReader((folder / "table9.csv").open()))
    assert cells[-1]["train"].count("setting=") == 3
    lines = [line for done in outcome.tables for line in done.lines]
    assert sum(len(line.trainings) for line in lines) == len(rows)


def test_all_tables_or_figures_are_asked_for_by_a_word():
    assert paper._numbers("table", "all", (2, 3), False) == [2, 3] == paper._numbers("table", None, (2, 3), True)
    assert paper._numbers("table", [3, 3], (2, 3), False) == [3]


def test_every_figure_has_a_way_to_be_drawn():
    special = {3, 4, 5, 6, 7}
    ways = [special, set(paper_figures.ONE), set(paper_figures.TRANSFERS), set(paper_figures.SIDE_BY_SIDE)]
    assert sorted(number for way in ways for number in way) == list(printed.FIGURES) == list(range(3, 25))
    with pytest.raises(UserError, match="figure is one of"):
        paper_figures.draw(2, None, None)
    told = []  # the page's list
    for words, *_ in paper_figures.described()[1:]:
        for part in words.split(", "):
            low, _, high = part.partition(" to ")
            told += range(int(low.split()[0]), int((high or low).split()[0]) + 1)
    assert sorted(set(told)) == list(range(1, 25))


def test_figure_5_c_is_of_what_is_printed(tmp_path):
    """Ranks of Table 3's eleven networks: the most precise for cars is that for segmentation and 3D detection together."""
    ranks = paper_figures._detection_rankings()
    names = [row.name for row in printed.table(3).rows]
    assert ranks.correlation.labels == ("Car-3D", "Car-BEV", "Ped-3D", "Ped-BEV")
    assert ranks.ranks.shape == (11, 4)
    assert names[int(ranks.ranks[:, 0].argmin())] == "Seg + 3dDet"
    assert names[int(ranks.ranks[:, 1].argmin())] == "Cls + 3dDet"
    assert ranks.correlation.matrix[2, 3] == pytest.approx(0.945, abs=0.01)


def test_a_summary_counts_verdicts():
    verdicts = ["holds", "does not hold", "holds"]
    claims = [SimpleNamespace(measured=SimpleNamespace(verdict=v)) for v in verdicts]
    assert report.counts(claims) == "2 holds, 1 does not hold"
