"""A command made of commands: what is run, shown, timed, and told when it fails."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from ncp import jobs
from ncp.errors import UserError
from ncp.jobs.steps import Commands


@dataclass
class Told:
    command: str
    words: tuple[str, ...]


@pytest.fixture
def commands(tmp_path, monkeypatch):
    def run(options, folder):
        if "fail=1" in options.words:
            raise UserError("it is wrong")
        (folder / "b.png").touch()
        (folder / "a.png").touch()
        return options.words

    monkeypatch.setattr(jobs, "options", lambda command, *words: Told(command, words))
    monkeypatch.setattr(jobs, "module", lambda command: SimpleNamespace(run=run))
    return Commands(tmp_path, {"first": 1.0, "second": 2.0}, "NCP_CONFIG=mine ")


def test_a_step_is_shown_as_one_would_type_it(commands, tmp_path):
    outcome = commands.run("first", "fit", f"source={tmp_path}/tables", "name=it's")
    assert outcome == (f"source={tmp_path}/tables", "name=it's")
    assert commands.commands["first"].startswith("NCP_CONFIG=mine ")
    assert commands.commands["first"].endswith(
        """fit source=tables 'name=it'"'"'s'"""
    )  # the folder's own paths are short
    assert commands.pictures["first"] == "runs/00-fit/a.png"
    assert commands.seconds["first"] >= 0
    assert commands.cpu_seconds["first"] >= 0


def test_a_failing_step_is_named_with_its_command(commands, tmp_path):
    with pytest.raises(
        UserError, match=r"the step 'second' failed \(it is wrong\); its command: NCP_CONFIG=mine .*fail=1"
    ):
        commands.run("second", "search", "fail=1", place=tmp_path / "elsewhere")
    assert "second" not in commands.seconds
    assert (tmp_path / "elsewhere").is_dir()
