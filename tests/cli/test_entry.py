"""``ncp COMMAND``: the script of an installed package, its listing and its completion."""

import json
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


@pytest.mark.parametrize("words", [("train", "--help"), ("--help",), ("search", "--cfg", "job")])
def test_a_reader_that_goes_away_is_no_mistake(words):
    read, write = os.pipe()
    os.close(read)
    start = "import sys; from ncp.cli import entry; sys.argv[0] = 'ncp'; entry()"
    done = subprocess.run(
        [sys.executable, "-c", start, *words], stdout=write, stderr=subprocess.PIPE, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (141, "")


def search(outputs, *more, **streams):
    words = ("objectives=[seg]", "iterations=2", "starts=1", f"paths.outputs={outputs}", *more)
    start = "import sys; from ncp.cli import entry; sys.argv[0] = 'ncp'; entry()"
    done = subprocess.run([sys.executable, "-c", start, "search", *words], timeout=120, check=False, **streams)
    folders = [file.parent for file in outputs.glob("search/**/run.json")]
    states = {json.loads((folder / "run.json").read_text())["state"] for folder in folders}
    return done, len(folders), states, all((folder / "result.json").exists() for folder in folders)


@pytest.mark.parametrize(("more", "jobs"), [((), 1), (("-m", "seed=1,2"), 2)])
def test_what_was_computed_stays_when_nobody_reads_what_is_shown(tmp_path, more, jobs):
    read, write = os.pipe()
    os.close(read)
    done, *found = search(tmp_path, *more, stdout=write, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, *found) == (141, jobs, {"finished"}, True)
    assert not any(word in done.stderr for word in ("Error", "error", "Traceback", "Exception")), done.stderr
    assert more or not done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full, which takes no byte")
def test_a_run_ends_with_its_state_even_where_no_line_can_be_written(tmp_path):
    with open("/dev/full", "w") as full:
        done, *found = search(tmp_path, stdout=full, stderr=full)
    assert (done.returncode, *found) == (2, 1, {"failed"}, True)


def test_a_job_stays_where_it_was_started(tmp_path):
    done = ncp("search", "objectives=[seg]", "hydra.job.chdir=true", f"paths.outputs={tmp_path}")
    assert done.returncode == 2
    assert done.stderr == (
        "error: hydra.job.chdir=true is not for these commands: paths are those of where they are started\n"
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
@pytest.mark.parametrize("words", [("search", "--help"), ("search", "objectives=[seg]", "iterations=1", "starts=1")])
def test_a_full_disk_below_what_is_printed_is_told_as_such(tmp_path, words):
    code = "import sys; sys.argv[0] = 'ncp'; from ncp.cli import entry; entry()"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code, *words], stdout=full, stderr=subprocess.PIPE, text=True, timeout=120,
            env={**os.environ, "NCP_OUTPUTS": str(tmp_path)},
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: what is printed cannot be written (No space")
    assert done.stderr.count("\n") == 1
    assert words[1] == "--help" or list(tmp_path.glob("search/*/*/architecture.yaml"))


def test_a_folder_with_a_configuration_of_somebody_elses_is_left_alone(tmp_path):
    (tmp_path / "config.yaml").write_text("mine: 1\n")
    words = ("search", "objectives=[seg]", "iterations=1", "starts=1", f"hydra.run.dir={tmp_path}")
    for _ in range(2):
        done = ncp(*words)
        assert done.returncode == 2
        assert "holds a config.yaml that is no run's and would be lost; give another hydra.run.dir" in done.stderr
    assert (tmp_path / "config.yaml").read_text() == "mine: 1\n"
    (tmp_path / "config.yaml").unlink()
    assert [ncp(*words).returncode for _ in range(2)] == [0, 0]  # a run's own folder is used again
