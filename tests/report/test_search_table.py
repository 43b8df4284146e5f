"""The table at the end of a search, cell by cell, from a result whose every number is given."""

from types import SimpleNamespace

import pytest

from ncp import terminal
from ncp.report.search_table import asked_by, comparison, in_a_line, references
from ncp.search.objectives import parse_objectives
from ncp.search.result import Candidate, Opinion


def opinion(miou, doubt=0.25, noise=0.75, **more):
    figures = [{"seg": {"mIoU": value, "flops": 1.5, **dict.fromkeys(more, value)}} for value in (miou, doubt, noise)]
    return Opinion(*figures, std={"seg": {"mIoU": 1.0}})


def candidate(name, miou, macs, params, known=True, judged=None, **others):
    own = opinion(miou)
    return Candidate(name, macs, params, own, own if judged is None else opinion(judged, 0.0, 0.5), known, others)


def result(start="default", judge="default", quantities=(), **others):
    default = candidate("default", 70.0, 2_000_000_000, 4_000_000, **dict.fromkeys(others, 10.0))
    before = default if start == "default" else candidate(start, 72.0, 1_000_000_000, 5_000_000, known=False)
    found = candidate("found", 73.5, 1_500_000_000, 3_000_000, judged=74.0 if judge != "default" else None, **others)
    walk = SimpleNamespace(reason="nothing near is better")
    trajectory = SimpleNamespace(walk=walk, starts=1200, objectives=SimpleNamespace(quantities=quantities))
    return SimpleNamespace(
        default=default, before=before, found=found, predictor={"seg": "default"}, judge={"seg": judge}, seconds=1.234,
        objectives=parse_objectives(["seg"]), trajectory=trajectory, strategy="robust",
    )  # fmt: skip


def cells(given, kappa=None):
    table = comparison(given, "Found", kappa)
    columns = [list(column.cells) for column in table.columns]
    heads = [str(column.header) for column in table.columns]
    return heads, [[str(cell) for cell in row] for row in zip(*columns, strict=True)], str(table.caption)


def test_gains_are_against_the_default():
    heads, rows, caption = cells(result(), kappa=2)
    assert heads == ["", "default", "found", "± doubt", "± noise", "against default"]
    assert rows == [
        ["seg mIoU, predicted", "70.00 %", "73.50 %", "± 0.25", "± 0.75", "+3.50"],
        ["multiply-adds", "2.000 G", "1.500 G", "", "", "-25 %"],
        ["parameters", "4.000 M", "3.000 M", "", "", "-25 %"],
        ["search", "1,200 starts", "1.23 s", "", "", ""],
    ]
    assert "strategy robust: nothing near is better" in caption
    assert "of which the search takes off 2" in caption
    assert "extrapolated" not in caption


def test_a_start_of_the_users_has_a_column_and_what_is_unknown_a_star():
    heads, rows, caption = cells(result(start="mine"))
    assert heads == ["", "default", "start", "found", "± doubt", "± noise", "against default", "against start"]
    assert rows[0][1:4] == ["70.00 %", "72.00 % *", "73.50 %"]
    assert rows[0][-2:] == ["+3.50", "+1.50"]
    assert rows[1][-2:] == ["-25 %", "+50 %"]
    assert "* extrapolated" in caption
    assert list(references(result(start="mine"))) == ["default", "start"]


def test_a_judge_of_its_own_has_a_row_and_doubt_that_is_none_a_dash():
    _, rows, _ = cells(result(judge="other"))
    assert rows[0][0] == "seg mIoU, predicted by default"
    assert rows[1] == ["seg mIoU, judged by other", "70.00 %", "74.00 %", "-", "± 0.50", "+4.00"]
    assert in_a_line(result(judge="other")) == "seg.mIoU 74.00 % (± 0.50 noise)"
    assert in_a_line(result()) == "seg.mIoU 73.50 % (± 0.25 doubt, ± 0.75 noise)"


def test_what_else_was_asked_for_is_shown_in_its_unit():
    quantity = SimpleNamespace(name="latency_ms", unit="ms", words="latency")
    _, rows, _ = cells(result(quantities=(quantity,), latency_ms=12.5, latency_ms_std=0.5))
    assert rows[3] == ["latency", "10 ms", "12.5 ms", "± 0.5", "", "+25 %"]


@pytest.mark.parametrize(
    ("panel", "words"),
    [({"seg": "a"}, "a"), ({"seg": "a", "cls": "a"}, "a"), ({"seg": "a", "cls": "b"}, "seg: a, cls: b")],
)
def test_who_was_asked(panel, words):
    assert asked_by(panel) == words


def test_learned_costs_are_shown_where_they_are_an_objective():
    given = result()
    given.objectives = parse_objectives(["seg.flops"])
    _, rows, _ = cells(given)
    assert [row[0] for row in rows[:2]] == ["seg mIoU, predicted", "seg flops, predicted"]
    terminal.console().print(comparison(given, "Found"))  # rich takes it
