"""The commands of docs/own_data.md do what the page says, on folders as it describes them."""

import re
import shlex
from pathlib import Path

import pytest
from layouts import make_own_frames, make_own_images, make_own_masks, make_own_videos

from ncp import jobs
from ncp.data.folder import classes

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "own_data.md").read_text()
COMMANDS = [
    line
    for kind, text in re.findall(r"^```(\w+)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    for line in text.splitlines()
    if kind == "bash" and line.strip()
]
# the page's own are for a GPU and an afternoon
TINIEST = (
    "trainer=cpu",
    "bounds={b:[1,1],n:[1,1],c:[8,8],i:[8,8],o1:[8,8]}",
)
SHORTER = {
    "train": ("debug=tiny", "callbacks.progress=false", "callbacks.pictures=false"),
    "build": ("count=1", "recipe.unit=steps", "recipe.length=1", "recipe.eval_every=1", "recipe.batch=2", *TINIEST),
}  # fmt: skip
MAKE = {"fields": make_own_masks, "trees": make_own_images, "films": make_own_videos, "yard": make_own_frames}


def test_the_page_has_a_command_of_each_kind():
    kinds = {shlex.split(line)[2].removeprefix("src.") for line in COMMANDS}
    assert {"data", "train", "build", "discover", "predict"} <= kinds


@pytest.mark.slow
def test_its_commands_one_after_the_other(tmp_path, monkeypatch, capsys):
    pytest.importorskip("av")
    monkeypatch.setenv("NCP_CACHE", str(tmp_path / "cache"))
    for name, make in MAKE.items():
        make(tmp_path / name)
    trained = None
    for number, line in enumerate(COMMANDS):
        words = shlex.split(line.replace("/data/", f"{tmp_path}/"))
        assert words[:2] == ["python", "-m"]
        command, given = words[2].removeprefix("src."), words[3:]
        monkeypatch.setenv("NCP_CONFIG", "")
        if "--config-dir" in given:
            at = given.index("--config-dir")
            monkeypatch.setenv("NCP_CONFIG", str(tmp_path / given[at + 1]))
            del given[at : at + 2]
        given = [f"out={tmp_path / word[4:]}" if word.startswith("out=") else word for word in given]
        extra = SHORTER.get(command, ())
        if "debug=tiny" in given or command == "build":
            extra = tuple(word for word in extra if word != "debug=tiny")
        if command == "train":  # debug=tiny takes a step
            given = [word for word in given if not word.startswith("recipe.")]
        if command == "build":
            given = [word for word in given if not word.startswith("count=")]
            extra = (*extra, f"build.dir={tmp_path / 'build'}")
        if command == "discover":  # minutes: tests/commands/test_discover.py carries one out
            assert jobs.options(command, *given).trainings == 40
            continue
        given = [word.replace("outputs/discover/DATE/RUN/found.safetensors", str(trained)) for word in given]
        folder = tmp_path / "runs" / str(number)
        trained = folder if command == "train" else trained
        folder.mkdir(parents=True)
        module = jobs.module(command)
        module.show(module.run(jobs.options(command, *given, *extra), folder))
    assert (tmp_path / "mine" / "setting" / "fields.yaml").is_file()
    assert (tmp_path / "build" / "fields.parquet").is_file()
    assert list((tmp_path / "seen").glob("predictions.jsonl"))
    assert "mIoU" in capsys.readouterr().out


def test_the_classes_file_of_the_page_is_one(tmp_path):
    (text,) = re.findall(r"^```csv\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "classes.csv").write_text(text)
    entries = classes.read(tmp_path / "classes.csv")
    assert [entry.name for entry in entries if not entry.ignored] == ["ground", "building", "water"]
    assert entries[3].id == 9


def test_links_of_the_page_are_here():
    for link in re.findall(r"\]\(([^)]+)\)", PAGE):
        assert (Path(__file__).resolve().parents[1] / "docs" / link).exists(), link
