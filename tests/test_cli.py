"""The wrapper of all commands, on a small command of its own: messages, exit codes, run folders, continued runs, help."""

import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ncp import commandline, runs

ROOT = Path(__file__).resolve().parents[1]
CODE = """
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from ncp import cli
from ncp.commandline import command_line
from ncp.errors import UserError

@dataclass
class Options:
    name: str
    do: str
    need: str
    times: int
    loud: bool
    colour: dict[str, int]
    limits: dict[str, int]
    ckpt_path: str | None = None

def run(options, folder=None):
    "Say hello."
    with open(folder / "kept.txt", "a") as file:
        file.write(options.do + "\\n")
    if options.do == "mistake":
        raise UserError("the name is unknown;\\nnames: a, b")
    if options.do == "bug":
        raise RuntimeError("our bug")
    if options.do == "worker":
        raise BrokenPipeError("a worker has gone")
    if options.do == "interrupt":
        raise KeyboardInterrupt
    if options.do == "lost":  # as an extension does of a signal during its import
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except KeyboardInterrupt:
            raise UserError("the package is not installed") from None
    if options.do == "next":
        return (command_line("hello", name="you"),)
    if options.do == "full":
        with open("/dev/full", "w") as file:
            file.write("x")
    return "hello", options.name, options.colour["shade"], options.limits

def show(outcome, brief=False):
    print(*outcome)

job = SimpleNamespace(Options=Options, run=run, show=show)
main = cli.command("hello", job, Path(__file__).parents[1] / "conf")

if __name__ == "__main__":
    main()
"""
CONFIG = """# Say hello:
#   python -m src.hello name=you
defaults:
  - run
  - colour: red
  - _self_

# Whom to greet
name: you
ckpt_path: null
do: fine
times: 1
loud: false
need: nothing
# Any number of limits
limits: {}

hydra:
  verbose: false
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with one command, as the working directory."""
    (tmp_path / "src").mkdir()
    (tmp_path / "conf" / "colour").mkdir(parents=True)
    (tmp_path / "src" / "hello.py").write_text(CODE.replace("\\\\n", "\\n"))
    shutil.copy(ROOT / "conf" / "run.yaml", tmp_path / "conf")
    (tmp_path / "conf" / "hello.yaml").write_text(CONFIG)
    (tmp_path / "conf" / "colour" / "red.yaml").write_text("# like blood\nshade: 1\n")
    (tmp_path / "conf" / "colour" / "blue.yaml").write_text("# like the sky\nshade: 2\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(project, monkeypatch, capfd):
    """Run the command in this process: (exit code, stdout, stderr)."""
    spec = importlib.util.spec_from_file_location("hello", project / "src" / "hello.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["hello.py", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            module.main()
        out, err = capfd.readouterr()
        return ended.value.code, out, err

    return call


def folders(project: Path) -> list[Path]:
    return sorted(f.parent for f in (project / "outputs" / "hello").glob("*/*/run.json"))


def test_a_run_leaves_its_resolved_config_its_log_and_its_state(project, run):
    code, out, err = run("name=me", "colour=blue")
    assert (code, out, err) == (0, "hello me 2 {}\n", "")
    (folder,) = folders(project)
    assert folder.parent.parent == project / "outputs" / "hello"
    assert "shade: 2" in (folder / "config.yaml").read_text()
    assert "ncp hello name=me colour=blue" in (folder / "hello.log").read_text()
    state = json.loads((folder / "run.json").read_text())
    assert state["state"] == "finished"
    assert state["overrides"] == ["name=me", "colour=blue"]


def test_commands_to_copy_name_the_folder_of_configurations_that_was_given(project, run, monkeypatch):
    monkeypatch.setattr(commandline, "_configs", None)
    monkeypatch.setenv("NCP_CONFIG", "")
    (project / "my own").mkdir()
    assert run("do=next")[1].split("hello")[1] == " name=you\n"
    assert run("--config-dir", "my own", "do=next")[1].split("hello")[1] == " --config-dir 'my own' name=you\n"


@pytest.mark.parametrize("words", [["name=me"], ["name=me,you", "-m"]])
@pytest.mark.parametrize("variable", ["RANK", "LOCAL_RANK", "SLURM_PROCID"])
def test_a_further_process_of_torchrun_or_srun_leaves_no_run_folder(project, run, monkeypatch, variable, words):
    monkeypatch.setenv(variable, "1")
    monkeypatch.setattr(tempfile, "tempdir", str(project / "tmp"))
    (project / "tmp").mkdir()
    code, out, _ = run(*words)
    assert (code, out) == (0, "")  # the first one prints
    assert not (project / "outputs").exists()
    assert not list((project / "tmp").iterdir())


def test_two_runs_within_a_second_have_two_folders(project, run):
    run()
    run()
    assert len(folders(project)) == 2


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["do=mistake"], "error: the name is unknown; names: a, b"),
        (["need=???"], "error: 'need' has no value; give one as need=..."),
        (["nam=x"], "error: unknown key 'nam'; did you mean 'name'?; --help lists the keys"),
        (["hydra.rum.dir=x"], "error: unknown key 'hydra.rum.dir'; --help lists the keys"),
        (["colour=green"], "error: no option 'green' for 'colour'; options: blue, red"),
        (["colour=blu"], "error: no option 'blu' for 'colour'; options: blue, red; did you mean 'blue'?"),
        (["~nam"], "error: unknown key 'nam'; did you mean 'name'?; --help lists the keys"),
        (
            ["objectives=[cls,", "seg]"],
            "error: cannot read 'objectives=[cls,' (no viable alternative at input '[cls,'); a word of the command line ends "
            "at a blank: write objectives=... without blanks, or quote all of it, 'objectives=...'",
        ),
        (["a==b"], "error: cannot read 'a==b' (extraneous input '='); to give a text with such signs, write 'a=\"=b\"'"),
        (["--foo"], "error: unrecognized arguments: --foo; see --help"),
        (["times=x"], "error: times must be a whole number, given was 'x'"),
        (["loud=maybe"], "error: loud must be true or false, given was 'maybe'"),
        (["name=${nope}"], "error: Interpolation key 'nope' not found"),
        (["--config-name", "other"], None),
        (["--run", "--multirun"], None),
        (["do=full"], None),
    ],
)  # fmt: skip
def test_a_users_mistake_is_one_line_and_exit_code_2(run, arguments, line):
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("error: ")
    assert line is None or err == line + "\n"


def test_an_unwritable_folder_is_named(project, run):
    (project / "file").write_text("in the way")
    code, _, err = run("paths.outputs=file/outputs")
    assert code == 2
    assert err.count("\n") == 1
    assert "file/outputs/hello" in err


def test_what_was_computed_before_a_mistake_stays(project, run):
    run("do=mistake")
    (folder,) = folders(project)
    assert (folder / "kept.txt").read_text() == "mistake\n"
    state = json.loads((folder / "run.json").read_text())
    assert state["state"] == "failed"
    assert state["error"] == "the name is unknown; names: a, b"
    assert "Traceback" in (folder / "hello.log").read_text()  # for us; the terminal had one line


def test_our_own_mistake_keeps_its_traceback_and_exits_with_1(run):
    code, _, err = run("do=bug")
    assert code == 1
    assert "Traceback" in err
    assert "RuntimeError: our bug" in err


def test_a_pipe_that_breaks_within_the_work_is_our_mistake(project, run):
    """Of a process that died, for instance; nobody may take it for a reader who has seen enough."""
    code, _, err = run("do=worker")
    assert code == 1
    assert "BrokenPipeError: a worker has gone" in err
    (folder,) = folders(project)
    assert runs.state(folder)["state"] == "failed"


def test_an_interrupt_exits_with_130_and_names_the_folder(project, run):
    code, _, err = run("do=interrupt")
    assert code == 130
    (folder,) = folders(project)
    assert folder.name in err
    assert runs.state(folder)["state"] == "interrupted"


def test_a_signal_of_which_a_library_made_another_error_is_a_signal(project, run):
    code, _, err = run("do=lost")
    (folder,) = folders(project)
    assert (code, err) == (143, f"interrupted; what was computed until then is in {folder}\n")
    assert runs.state(folder)["state"] == "interrupted"


def test_in_a_multirun_the_failing_job_is_named_and_the_rest_go_on(project, run):
    code, out, err = run("do=fine,mistake,fine", "--multirun", "name=a")
    assert code == 2
    assert out.count("hello a") == 2
    assert "error: job 1 (do=mistake name=a): the name is unknown; names: a, b" in err
    assert "Traceback" not in err
    assert "1 of 3 jobs failed" in err


def test_a_job_whose_configuration_is_refused_leaves_a_record_of_its_words(project, run):
    code, _, err = run("--multirun", "times=3,many", "name=a")
    assert (code, err.count("error: ")) == (2, 1)
    jobs = [file.parent for file in (project / "outputs" / "hello").glob("*/*/*/run.json")]
    states = sorted((runs.state(folder) for folder in jobs), key=lambda state: state["state"])
    assert [(state["state"], state["overrides"]) for state in states] == [
        ("failed", ["times=many", "name=a"]), ("finished", ["times=3", "name=a"]),
    ]  # fmt: skip
    assert states[0]["command"] == "hello"


def test_a_multirun_lies_where_the_outputs_shall_be(project, run, monkeypatch):
    monkeypatch.delenv("NCP_OUTPUTS", raising=False)
    run("--multirun", "name=a,b", "paths.outputs=elsewhere")
    (sweep,) = {f.parent.parent for f in (project / "elsewhere").rglob("run.json")}
    assert (sweep / "multirun.yaml").is_file()
    assert not (project / "outputs").exists()


def test_a_job_that_cannot_be_composed_is_named_and_the_rest_go_on(run):
    code, out, err = run("--multirun", "colour=blue,green,red")
    assert code == 2
    assert [line for line in out.splitlines() if line.startswith("hello")] == ["hello you 2 {}", "hello you 1 {}"]
    assert "error: job (colour=green): no option 'green' for 'colour'; options: blue, red" in err


def test_our_mistake_in_a_multirun_outweighs_the_users(run):
    code, out, err = run("--multirun", "do=bug,mistake,fine")
    assert code == 1
    assert "job 0 (do=bug)" in err
    assert out == "hello you 1 {}\n"


def test_open_keys_take_new_names_without_a_plus(run):
    assert run("limits.seg=77", "limits.other=1")[1] == "hello you 1 {'seg': 77, 'other': 1}\n"


def test_a_code_of_joined_numbers_stays_a_text(run):
    code = "_".join(["64"] * 27)
    assert run(f"name={code}")[1] == f"hello {code} 1 {{}}\n"


def test_auto_goes_on_in_the_newest_unfinished_run_of_the_same_configuration(project, run):
    run("do=interrupt")
    (old,) = folders(project)
    run("do=interrupt", "name=other")
    code, _, err = run("do=interrupt", "ckpt_path=auto")
    assert code == 130
    assert "going on in" in err
    assert old.name in err
    assert (old / "kept.txt").read_text() == "interrupt\ninterrupt\n"
    assert "ckpt_path=auto" in (old / "hello.log").read_text()
    newest = max(folders(project), key=lambda f: f.stat().st_ctime_ns if f != old else 0)
    assert runs.state(newest)["state"] == "continued"


def test_a_folder_in_which_another_run_works_is_left_as_it_is(project, run):
    folder = project / "mine"
    folder.mkdir()
    runs.begin(folder, "hello", "abc", [])
    before = runs.state(folder)
    with runs.locked(folder):
        code, _, err = run(f"hydra.run.dir={folder}")
    assert code == 2
    assert "another run works in" in err
    assert runs.state(folder) == before
    assert not (folder / "kept.txt").exists()


def test_auto_starts_anew_and_says_so_where_there_is_none(project, run):
    run()
    code, out, err = run("ckpt_path=auto")
    assert code == 0
    assert "starting anew" in err
    assert out == "hello you 1 {}\n"
    assert len(folders(project)) == 2


def test_help_shows_examples_keys_options_and_defaults(run):
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    for part in (
        "Say hello.",
        "ncp hello name=you",
        "# Whom to greet",
        "name: you",
        "colour=blue",
        "like the sky",
    ):
        assert part in out
    assert "verbose" not in out  # Hydra's own section is no help
    assert "defaults:" not in out


def test_a_fresh_process_does_the_same_without_torch_or_lightning(project):
    check = (
        "import sys; sys.argv=['hello', 'do=mistake']; import src.hello as h\ntry: h.main()\nexcept SystemExit as e: "
    )
    check += (
        "print(e.code, *sorted({'torch', 'pytorch_lightning', 'lightning', 'matplotlib', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", check], cwd=project, capture_output=True, text=True, check=True)
    assert done.stdout == "2\n"
    assert done.stderr == "error: the name is unknown; names: a, b\n"


def test_help_shows_the_keys_of_a_default_option_that_stand_at_the_top(project, run):
    (project / "conf" / "colour" / "red.yaml").write_text("# @package _global_\n# like blood:\n# How dark\nshade: 1\n")
    out = run("--help")[1]
    assert "colour=red" in out
    assert "like blood\n" in out
    assert "Keys of colour=red, the default:\n" in out
    assert "shade: 1" in out
    assert "@package" not in out
