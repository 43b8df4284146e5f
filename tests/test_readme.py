"""The README's commands do what it says: each is run, or composed where it needs data that this project does not bring."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [line for kind, text in BLOCKS if kind == "bash" for line in text.splitlines() if line.strip()]
PYTHON = [text for kind, text in BLOCKS if kind == "python"]
# what needs real data, imported tables or a finished training is only composed
NOT_HERE = ("/data/", "NCP/data", "src.benchmark", "outputs/train/")
SHORTER = {"src.train": ["debug=tiny"]}  # the built-in training takes a minute otherwise


def words(command: str) -> list[str]:
    return shlex.split(command, comments=True)


@cache
def outputs() -> Path:
    """A folder of its own for all commands of this module, in the place of ``outputs``."""
    import tempfile

    return Path(tempfile.mkdtemp(prefix="ncp-readme-"))


@pytest.fixture(scope="module", autouse=True)
def tidy_up():
    yield
    shutil.rmtree(outputs())


def run(command: list[str], limit: int = 600) -> subprocess.CompletedProcess:
    environment = {**os.environ, "NCP_OUTPUTS": str(outputs()), "COLUMNS": "160"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=limit)


@cache
def a_search() -> Path:
    """The folder of a finished search, for commands that continue from one."""
    done = run([sys.executable, "-m", "src.search", "objectives=[cls,seg]"])
    assert done.returncode == 0, done.stderr
    return next(iter(sorted(outputs().glob("search/*/*/result.json")))).parent


def test_the_readme_has_the_commands_that_everything_starts_with():
    assert [words(c) for c in COMMANDS[:2]] == [["make", "demo"], ["make", "test"]]
    assert len(COMMANDS) > 15
    assert len(PYTHON) == 1


@pytest.mark.parametrize("target", ["setup", "demo", "test", "lint", "bench"])
def test_make_has_the_target(target):
    done = run(["make", "-n", target])
    assert done.returncode == 0, done.stderr
    listed = run(["make"]).stdout
    assert f"make {target} " in listed
    if target == "demo":
        assert "src.search 'objectives=[cls,seg]'" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("command", [c for c in COMMANDS if not c.startswith("make ")])
def test_a_command_of_the_readme(command):
    given = words(command)
    assert given[:2] == ["python", "-m"], command
    if any(part in command for part in NOT_HERE):
        given = [w for w in given if w not in ("--multirun", "-m") or w == given[1]]
        done = run([sys.executable, *given[1:], "--cfg", "job"])
        assert done.returncode == 0, done.stderr
        return
    if "outputs/search/DATE/RUN" in command:
        given = [w.replace("outputs/search/DATE/RUN", str(a_search())) for w in given]
    done = run([sys.executable, *given[1:], *SHORTER.get(given[2], [])])
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_python_of_the_readme_runs():
    done = run([sys.executable, "-c", PYTHON[0]])
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "[1969946624]"
    assert len(lines) == 4
    assert int(lines[3].split()[-1]) <= 1.5e9


def test_pictures_and_pages_of_the_readme_are_here_and_small():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert "docs/search.png" in links
    for link in links:
        assert (ROOT / link).is_file(), link
    assert (ROOT / "docs" / "search.png").stat().st_size < 200_000


def test_the_documented_keys_of_a_search_are_in_its_result():
    from ncp.runs import read_result

    text = (ROOT / "docs" / "result.md").read_text().partition("## `python -m src.search`")[2].partition("Beside it")[0]
    keys = [
        key for row in re.findall(r"^\| (`.*?) \|", text, flags=re.MULTILINE) for key in re.findall(r"`([^`]+)`", row)
    ]
    assert len(keys) > 15
    result = read_result(a_search())
    for key in keys:
        node = result
        for part in key.replace("SETTING", "seg").replace("METRIC", "mIoU").split("."):
            assert part in node, key
            node = node[part]
