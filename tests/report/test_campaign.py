"""What a build shows: counts, what blocks, and nothing that a file could have meant for the terminal."""

from dataclasses import replace

import made_records
import pytest

from ncp.campaign.growth import Growth
from ncp.campaign.status import STATES, UNCHOSEN, RoundStatus, Status, UnitStatus, blockers, summarise
from ncp.report import campaign

PLAN = made_records.plan(4)


def status(**counts):
    return Status({state: counts.get(state, 0) for state in STATES}, 4, 0.25, None, None)


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")


def test_every_state_has_words():
    assert set(campaign._WORDS) == {*STATES, UNCHOSEN}


def test_what_blocks_is_shown_and_how_it_is_freed(tmp_path, capsys):
    units = [UnitStatus(name, "damaged", problem=f"[red]x[/red]\x1b[31m {name}") for name in PLAN.units]
    campaign.show_status(PLAN, status(damaged=3, silent=1), tmp_path, [*blockers(units, 300.0), *map(str, range(20))])
    said = capsys.readouterr().out
    assert "record damaged, will be trained again" in said
    assert "unit 000003: [red]x[/red]\\x1b[31m 000003; it will be trained again" in said  # neither markup nor escapes
    assert "\x1b" not in said
    assert "... and 14 more like these" in said
    assert "action=release" in said


def test_a_build_that_is_done_says_nothing_of_that(tmp_path, capsys):
    units = [UnitStatus(name, "done", made_records.record(PLAN, i)) for i, name in enumerate(PLAN.units)]
    campaign.show_status(PLAN, summarise(PLAN, units), tmp_path)
    said = capsys.readouterr().out
    assert "expected end: reached; 2.00 hours" in said
    assert "action=release" not in said


def test_reasons_and_folders_are_no_markup(tmp_path, capsys):
    odd = Status(status(failed=1).counts, 4, 0.0, None, None, reasons={"[/x]\x1b]0;": 2})
    (tmp_path / "[a]").mkdir()
    campaign.show_status(PLAN, odd, tmp_path / "[a]")
    said = capsys.readouterr().out
    assert "attempts that failed: [/x]\\x1b]0; 2" in said
    assert f"folder: {tmp_path}/[a]" in said


def test_what_was_freed(capsys):
    campaign.show_released(["000001"])
    assert "freed: 000001" in capsys.readouterr().out
    campaign.show_released([])
    assert "nothing to free" in capsys.readouterr().out
    campaign.show_released([f"{i:06d}" for i in range(30)])
    assert capsys.readouterr().out.strip().endswith("000009, ...")


@pytest.mark.parametrize("terminal", [True, False])
def test_units_are_gone_through_with_and_without_a_bar(monkeypatch, capsys, terminal):
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    assert list(campaign.track(range(1000), 1000)) == list(range(1000))
    assert bool(capsys.readouterr().err) is terminal


def test_the_result_names_the_build(tmp_path):
    content = campaign.result(PLAN, {"total": 4}, tmp_path, [tmp_path / "seg.parquet"])
    assert (content["setting"], content["plan"], content["build"]) == ("seg", PLAN.hash, str(tmp_path))
    assert content["table"] == [str(tmp_path / "seg.parquet")]


def test_rounds_are_shown_with_their_best(capsys):
    grows = replace(PLAN, growth=Growth((4, 2, 2)))
    campaign.show_rounds([RoundStatus(1, 4, 3, 4, 71.234)], grows)
    said = capsys.readouterr().out
    assert "1 of 3 rounds chosen" in said
    assert "best mIoU" in said
    assert "71.23" in said
