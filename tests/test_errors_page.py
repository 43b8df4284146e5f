"""The errors on the site are what the program says: each command of the page ends with the line that stands below it."""

import re
import shlex
import sys

import pytest
from pages import DOCS, examples

from ncp import jobs, runs
from ncp.errors import UserError

SHOWN = [text.splitlines() for kind, text in examples(DOCS / "errors.md") if kind == "console"]


def test_the_page_has_the_errors_that_people_meet():
    assert len(SHOWN) >= 20
    assert all(len(lines) == 2 and lines[0].startswith("$ python -m src.") for lines in SHOWN)


@pytest.mark.parametrize(
    ("command", "said"), [pytest.param(*lines, id=lines[0].removeprefix("$ python -m src.")) for lines in SHOWN]
)
def test_the_program_says_it(command, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NCP_DATA", str(tmp_path / "tables"))
    monkeypatch.delenv("NCP_CONFIG", raising=False)
    monkeypatch.setattr(runs, "_prefix", "python -m src.")
    name, *words = shlex.split(command.removeprefix("$ python -m src."))
    if "logger=mlflow" in words:
        monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(UserError) as caught:
        jobs.module(name).run(jobs.options(name, *words), tmp_path / "run")
    message = f"error: {caught.value}"
    assert "\n" not in message
    parts = [re.escape(part) for part in re.split(r"\s*…\s*", said)]
    assert re.fullmatch(".*".join(parts), message), message
