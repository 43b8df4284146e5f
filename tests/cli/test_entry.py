"""``ncp COMMAND``: the script of an installed package, its listing and its completion."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ncp import jobs


def ncp(*words, **environment):
    """The script, started as an installed package's is."""
    code = "import sys; sys.argv[0] = 'ncp'; from ncp.cli import entry; entry()"
    environment = {name: value for name, value in {**os.environ, **environment}.items() if value is not None}
    return subprocess.run(
        [sys.executable, "-c", code, *words], env=environment, capture_output=True, text=True, timeout=120
    )


def test_the_listing_names_every_command_with_what_it_does():
    done = ncp("--help")
    assert done.returncode == 0
    for name in jobs.COMMANDS:
        assert f"  ncp {name} " in done.stdout
    assert ncp().stdout == done.stdout


def test_version():
    import ncp as package

    assert ncp("--version").stdout == f"ncp {package.__version__}\n"


def test_an_unknown_command_is_one_line():
    done = ncp("trian", "x=1")
    assert done.returncode == 2
    assert done.stderr.startswith("error: unknown command 'trian'; the commands are search, front, train")


@pytest.mark.parametrize(
    ("line", "choices"),
    [
        ("ncp ", list(jobs.COMMANDS)),
        ("ncp se", ["search"]),
        ("ncp search strategy=ro", ["strategy=robust"]),
        ("ncp train logger=", ["logger=csv", "logger=mlflow", "logger=tensorboard", "logger=wandb"]),
    ],
)
def test_completion_knows_commands_and_their_options(line, choices):
    done = ncp("-sc", "query=bash", COMP_LINE=line, COMP_POINT=str(len(line)))
    assert done.stdout.split() == choices, done.stderr


def test_the_script_for_the_shell_completes_ncp():
    """By the line that the page on the start tells."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "start.md").read_text()
    (words,) = re.findall(r'`eval "\$\(ncp ([^)]*)\)"`', page)
    script = ncp(*words.split(), COMP_LINE=None).stdout
    assert "complete -o nospace -o default -F hydra_bash_completion ncp" in script


def test_a_reader_that_goes_away_is_no_mistake():
    done = subprocess.run(
        [
            "bash",
            "-c",
            f"{sys.executable} -c 'from ncp.cli import entry; entry()' train --help | true; echo ${{PIPESTATUS[0]}}",
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stderr == ""
    assert done.stdout.split() in (["141"], ["1"], ["0"])  # 0 where all was written before the reader went
