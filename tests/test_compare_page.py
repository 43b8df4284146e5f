"""The examples of docs/compare.md run, where the libraries that they use are installed; its commands compose."""

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ncp import jobs
from ncp.search.querying.strategies import STRATEGIES

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "compare.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [line for kind, text in BLOCKS if kind == "bash" for line in text.splitlines()]
EXAMPLES = {
    library: text for kind, text in BLOCKS for library in ("optuna", "pymoo") if kind == "python" and library in text
}


@pytest.mark.parametrize("library", ["optuna", "pymoo"])
def test_the_example_runs(library, tmp_path):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    given = {"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 300}
    done = subprocess.run([sys.executable, "-c", EXAMPLES[library]], **given)
    assert done.returncode == 0, done.stderr
    found, asked = done.stdout.split()
    assert int(asked) == {"optuna": 30, "pymoo": 100}[library]
    assert float(found) > 0


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_are_right(command):
    _, _, module, *words = shlex.split(command)
    options = jobs.options(module.removeprefix("src."), *words)
    assert set(options.strategies) <= set(STRATEGIES)


def test_every_strategy_that_it_names_is_there():
    rows = re.findall(r"^\| (`.*?`) \| ", PAGE, flags=re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named <= set(STRATEGIES)
    assert len(named) >= 15
