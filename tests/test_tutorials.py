"""The tutorials of the site do what they say: their commands run one after the other, on small data."""

import csv
import re
import shlex
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from pages import DOCS, carry_out, commands, examples

from ncp import jobs, latency, spaces

PYTHON = [
    pytest.param(text, id=f"{page.stem}-{number}")
    for page in (DOCS / "tutorials" / "search.md", DOCS / "concepts.md", DOCS / "coming_from.md")
    for number, (kind, text) in enumerate(examples(page))
    if kind == "python"
]


def tiny(command: str, words: list[str]) -> list[str] | None:
    """A step is trained in the place of two minutes; what needs data that is not here is only composed."""
    if any(word.startswith("data.root=/data/") for word in words):
        return None
    if command == "train" and any("arch.path=" in word for word in words) and "debug=tiny" not in words:
        return None  # minutes; the line before it takes a step of the same
    if command == "train":
        words = [word for word in words if not word.startswith(("recipe.", "debug="))]
        return [*words, "debug=tiny", "callbacks.progress=false", "callbacks.pictures=false", "trainer=cpu"]
    return words


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to work in, with the scenes of the docs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NCP_CACHE", str(tmp_path / "cache"))
    shutil.copytree(DOCS / "scenes", tmp_path / "docs" / "scenes")
    return tmp_path


@pytest.mark.slow
def test_searching(place, one_thread):
    page = DOCS / "tutorials" / "search.md"
    ran = carry_out(commands(page), place, tiny)
    assert [command for command, _ in ran] == ["search"] * 8 + ["front", "report"]
    for command, folder in ran[:8]:
        assert (folder / "architecture.yaml").is_file(), command
    assert (ran[8][1] / "front.png").is_file()
    assert (ran[9][1] / "architectures.png").is_file()


@pytest.mark.slow
def test_training_what_was_found(place, one_thread):
    pytest.importorskip("onnxruntime", reason="needs the extra: pip install 'ncp-nas[export]'")
    ran = carry_out(commands(DOCS / "tutorials" / "train.md"), place, tiny)
    assert {"search", "train", "evaluate", "report", "predict", "export"} <= {command for command, _ in ran}
    assert (place / "seen" / "predictions.jsonl").is_file()
    assert (place / "net.safetensors").is_file()
    assert (place / "net.onnx").is_file()
    assert (place / "plain" / "model.py").is_file()


@pytest.mark.slow
def test_your_own_device(place, one_thread):
    """A phone's times are made up, and so are those that limits are given in; the README's test measures."""
    space = spaces.get("multires")
    codes = space.sample_codes(40, np.random.default_rng(0))
    machines = {}
    for name in ("LATENCY_FILE", "CPU_FILE", "PHONE_FILE", "TORCH_FILE", "ONNXRUNTIME_FILE"):
        machines[name] = place / f"{name}.safetensors"
        latency.save(latency.fit(space, codes, 5 + space.cost(codes).macs / 2e7), machines[name])

    def shorter(command, words):
        if command == "front":
            return [*words, "points=2", "starts=1", "iterations=10"]
        if command != "latency":
            return words
        if "action=export" in words:
            return [word.replace("codes=100", "codes=1") for word in words]
        if "action=import" in words:
            [table] = place.glob("runs/*-latency/codes.csv")
            assert {"code", "ms"} <= set(next(csv.reader(table.open())))
            with (place / "codes.csv").open("w") as file:
                writer = csv.writer(file)
                writer.writerow(["code", "ms"])
                writer.writerows([" ".join(map(str, code)), 3 + 0.1 * i] for i, code in enumerate(codes[:12]))
            return words
        return None

    lines = []
    for line in commands(DOCS / "latency.md"):
        for name, file in machines.items():
            line = re.sub(rf"\b{name}\b", str(file), line)
        lines.append(line)
    ran = [command for command, _ in carry_out(lines, place, shorter)]
    assert (ran.count("search"), ran.count("latency"), ran.count("front")) == (5, 2, 1)


@pytest.mark.parametrize("page", ["build", "explorer", "elsewhere"])
def test_commands_of_other_pages_compose(page):
    lines = [shlex.split(line, comments=True) for line in commands(DOCS / f"{page}.md")]
    ours = [words[2:] for words in lines if words[:2] == ["python", "-m"] and words[2].startswith("src.")]
    for module, *words in ours:
        if any(word.startswith("hydra/launcher=") for word in words) and find_spec("submitit") is None:
            continue  # the extra slurm brings it
        if "-m" in words:
            words = [word for word in words if word != "-m" and not word.startswith("shard=range")]
        assert jobs.options(module.removeprefix("src."), *words)
    assert ours


@pytest.mark.slow
def test_commands_for_people_from_elsewhere(place, one_thread):
    assert carry_out(commands(DOCS / "coming_from.md"), place, tiny)


@pytest.mark.parametrize("text", PYTHON)
def test_examples_in_python(text, capsys):
    exec(compile(text, "example", "exec"), {"__name__": "example"})
    assert capsys.readouterr().out.strip()


def test_the_start_page_begins_as_the_readme_does():
    readme = (Path(__file__).resolve().parents[1] / "README.md").read_text()
    for line in commands(DOCS / "start.md"):
        assert line in readme, line
