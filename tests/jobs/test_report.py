"""The command that compares: what can be shown is shown, and what the user got wrong ends it with one line."""

import pytest
import recorded_results as recorded

from ncp import jobs
from ncp.errors import UserError


def report(tmp_path, *given):
    return jobs.report.run(jobs.report.Options(runs=[str(value) for value in given]), tmp_path / "out")


def test_a_mistyped_entry_is_told_after_the_others_are_shown(tmp_path, capsys):
    outcome = report(tmp_path, recorded.training(tmp_path / "one", 1), tmp_path / "oen", "defualt")
    with pytest.raises(UserError, match=r"left out: '.*oen' is neither .*; left out: 'defualt' is neither") as error:
        jobs.report.show(outcome)
    assert "\n" not in str(error.value)
    out, err = capsys.readouterr()
    assert "41.00" in out
    assert "defualt" not in out + err


def test_a_damaged_job_of_a_multirun_is_no_mistake_in_what_was_given(tmp_path, capsys):
    for number in range(2):
        recorded.training(tmp_path / "sweep" / str(number), number)
    (tmp_path / "sweep" / "1" / "result.json").write_text("{")
    jobs.report.show(report(tmp_path, tmp_path / "sweep"))
    assert "left out: " in capsys.readouterr().err
