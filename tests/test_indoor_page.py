"""docs/indoor.md: its commands compose, the one that draws works, and what it says of the sets is so."""

import json
import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

from ncp import jobs
from ncp.data.indoor.names import OBJECTS, OWN_SHARE, SCENES, SEMANTIC
from ncp.data.jigsaw import MOST
from ncp.jobs import data as job

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "indoor.md").read_text()
COMMANDS = [
    line
    for text in re.findall(r"^```bash\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    for line in text.splitlines()
]


def _options(command):
    _, _, module, *words = shlex.split(command)
    return module, jobs.options(module.removeprefix("src."), *words)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_are_right(command):
    module, options = _options(command)
    if module == "src.data":
        kind, settings = job.views_of(options)
        assert kind.__name__ == ("Taskonomy" if "data.root" in command else "Indoor")
        assert settings["labels"] == ("normal" if "data.root" in command else None)


def test_rooms_are_drawn_and_counted(tmp_path, capsys):
    _, options = _options(COMMANDS[0])
    options.data |= {"scenes": 5, "size": 48, "cache": str(tmp_path / "cache")}
    options.samples = 2
    found = job.run(options, tmp_path / "run")
    job.show(found)
    assert "12" in capsys.readouterr().out
    with Image.open(found.files["samples"]) as picture:
        assert picture.width > 900
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["files"] == {"train": 5, "val": 4}
    for shares in result["shares"].values():
        assert sum(shares.values()) == pytest.approx(1, abs=0.01)
    assert set(result["shares"]) == {"class_scene", "class_object", "segmentsemantic"}


def test_the_numbers_are_those_of_the_sets():
    assert f"{len(SCENES)} kinds of rooms; {f'{OWN_SHARE:g}'[1:]} of the label" in PAGE
    assert f"{len(OBJECTS)} objects" in PAGE
    assert f"{len(SEMANTIC)} classes" in PAGE
    assert f"up to {MOST:,}" in PAGE
