"""The one wrapper of ``hydra.main``: every command starts, reports mistakes and ends in the same way.

An entry point is

    from ncp import cli

    main = cli.command("train")

    if __name__ == "__main__":
        main()

and ``ncp train`` of an installed wheel (:func:`entry`) is the same. What a command does is a module of :mod:`ncp.jobs`: typed
``Options``, ``run(options, folder)``, ``show(outcome)``.

A user's mistake is one line on stderr and exit code 2; what was computed until then stays in the run folder. A mistake of
ours keeps its traceback and exits with 1, an interrupt with 130 (SIGTERM: 143). In a multirun a failing job is named and the
others go on.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import hydra

import ncp
from ncp import configs, jobs, overrides, runs, signals, terminal
from ncp.cli import sweep, text
from ncp.cli.job import OK, UNREAD, USERS_MISTAKE, Ended, Job, is_first_rank
from ncp.commandline import configured_by, hydra_value
from ncp.errors import UserError
from ncp.jobs import composing, mistakes
from ncp.process import environment

# Python looks for cyclic garbage after every 700 new objects, a tenth of the start-up time of torch and all else that is
# imported once and stays
_GARBAGE = (100_000, 20, 20)
_OUTPUTS = "NCP_OUTPUTS"
# `ncp train` starts further processes with the words of the command line alone; this tells them which command it was
_COMMAND = "NCP_COMMAND"


def command(name: str, module: Any = None, conf: Path | None = None) -> Callable[[], NoReturn]:
    """The command ``name``: a function that reads the command line and ends the process.

    Args:
        name: of the command and of its file in the folder of configurations.
        module: with ``Options``, ``run`` and ``show``; None for that of :mod:`ncp.jobs`.
        conf: the folder of configurations; None for the shipped one.
    """

    def main() -> NoReturn:
        if str(getattr(sys.modules["__main__"].__spec__, "name", "")).startswith("src."):
            runs.invoked_as("python -m src.")
        _end(lambda: _run(name, module, conf or configs.shipped()))

    return main


def entry() -> NoReturn:
    """``ncp COMMAND ...``, the script that an installed wheel brings."""
    if {"-sc", "--shell-completion"} & set(sys.argv[1:2]):
        _end(_complete)
    given = sys.argv[1:2]
    if given and given[0] in jobs.COMMANDS:
        os.environ[_COMMAND] = sys.argv.pop(1)
    elif os.environ.get(_COMMAND) not in jobs.COMMANDS or "LOCAL_RANK" not in os.environ:
        _end(lambda: _overview(given[0] if given else "--help"))
    runs.invoked_as("ncp ")
    command(os.environ[_COMMAND])()


def _end(run: Callable[[], int]) -> NoReturn:
    """End the process with the exit code that ``run`` returns, in silence where nobody reads on (``ncp --help | head``)."""
    try:
        code = run()
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        terminal.hush()
        code = UNREAD
    sys.exit(code)


def _complete() -> int:
    """Shell completion: the commands' names, then what Hydra knows of the command that the line begins with."""
    name, _, rest = os.environ.get("COMP_LINE", "").partition(" ")[2].lstrip().partition(" ")
    if "COMP_LINE" not in os.environ:  # the script for the shell is the same for all commands
        name = jobs.COMMANDS[0]
    elif name not in jobs.COMMANDS:
        terminal.say(" ".join(known for known in jobs.COMMANDS if known.startswith(name)))
        return OK
    else:
        os.environ["COMP_LINE"] = f"ncp {rest}"
    return _run(name, None, configs.shipped())


def _overview(given: str) -> int:
    if given in ("--version", "-V"):
        terminal.say(f"ncp {ncp.__version__}")
        return OK
    lines = [f"  ncp {name:<10} {text.first_line(jobs.module(name))}" for name in jobs.COMMANDS]
    listing = "\n".join(
        ["Usage: ncp COMMAND [KEY=VALUE ...]", "", *lines, "", "ncp COMMAND --help explains its options."]
    )
    if given in ("--help", "-h", "help"):
        terminal.say(listing)
        return OK
    text.say_error(f"unknown command '{given}'; the commands are {', '.join(jobs.COMMANDS)}")
    return USERS_MISTAKE


def _run(name: str, module: Any, conf: Path) -> int:
    """Run the command line; the exit code."""
    gc.set_threshold(*_GARBAGE)
    terminal.take_over()
    logging.raiseExceptions = False  # a log file on a full disk must not hide the one line that says so
    ended = Ended()
    job = Job(name, module, ended)
    try:
        arguments = _parse_arguments()
        if arguments.config_dir:
            configs.use(arguments.config_dir)
            configured_by(arguments.config_dir)
        if arguments.help:
            terminal.say(text.command_help(conf, name, module or jobs.module(name), arguments.overrides))
            return OK
        _compose_and_run(name, conf, job, arguments)
    except KeyboardInterrupt as stop:
        if is_first_rank():
            where = ended.place() or "no folder yet"
            terminal.say(f"interrupted; what was computed until then is in {where}", stderr=True)
        return signals.exit_code(stop)
    except BrokenPipeError:  # of the standard output: a job's own mistakes end in the job
        raise
    except Exception as error:  # outside of a job: composing the configuration, making the run folder
        message = mistakes.mistake(error, composing=True, known=lambda: composing.known_keys(name, conf))
        if message is None:
            raise
        text.say_error(message)
        return USERS_MISTAKE
    return ended.code()


def _compose_and_run(name: str, conf: Path, job: Job, arguments: argparse.Namespace) -> None:
    words = sweep.Words(name, conf / f"{name}.yaml", arguments.overrides, bool(arguments.multirun))
    options = [argument for argument in sys.argv[1:] if argument not in arguments.overrides]
    own = configs.own()
    if own and not arguments.config_dir:
        options += ["--config-dir", str(own[0])]
    further = [composing.search_path(own[1:])] if len(own) > 1 else []
    sys.argv[1:] = options + words.for_hydra + further
    # a file of a user's own may ask for a multirun too; ours do not
    asked = arguments.multirun or any("hydra.mode" in word for word in arguments.overrides)
    settled = not own and not asked and conf == configs.shipped()
    with _own_place(), sweep.mode_settled() if settled else contextlib.nullcontext():
        _start(name, conf, job, words)


def _start(name: str, conf: Path, job: Job, words: sweep.Words) -> None:
    # Hydra names the job and its log after the task function's module
    function = partial(job)
    function.__module__ = f"ncp.jobs.{name}"
    with signals.handled(), environment(**_settings(sys.argv[1:])), sweep.jobs_checked(words, job.ended):
        hydra.main(version_base="1.3", config_path=str(conf), config_name=name)(function)()


@contextlib.contextmanager
def _own_place() -> Iterator[None]:
    """Of a process that torchrun or srun started beside the first one: what Hydra makes lies in a folder that goes again.

    The run's folder is the first one's (:func:`ncp.tasks.processes.agree`).
    """
    if is_first_rank() or runs.HANDED_DOWN in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="ncp-rank-") as place:
        places = [hydra_value(f"{place}/{kind}") for kind in ("run", "sweep")]
        sys.argv += [f"hydra.run.dir={places[0]}", f"hydra.sweep.dir={places[1]}", "hydra.output_subdir=null"]
        yield


def _parse_arguments() -> argparse.Namespace:
    """Hydra's own arguments; a wrong option is a user's mistake like any other."""
    from hydra._internal.utils import get_args_parser

    def refuse(message: str) -> NoReturn:
        raise UserError(f"{message}; see --help")

    parser = get_args_parser()
    parser.error = refuse  # type: ignore[method-assign]
    arguments = parser.parse_intermixed_args()  # `objectives=[seg] -m lam=1,2` too
    for override in arguments.overrides:
        if override.startswith("-"):
            raise UserError(f"unknown option '{override}'; see --help")
    return arguments


def _settings(arguments: Sequence[str]) -> dict[str, str]:
    """What must stand in the environment: for Hydra, to raise its errors instead of printing them over several lines, and the
    folder of all outputs (a multirun's own folder is made before Hydra applies the overrides of its jobs); for numpy, which is
    imported later, the number of its threads."""
    out = {"HYDRA_FULL_ERROR": "1"}
    if not {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"} & set(os.environ):
        # what numpy multiplies here is small: further threads would only wait for work, and keep processors busy with that
        out["OPENBLAS_NUM_THREADS"] = "1"
    outputs = overrides.value_of(arguments, "paths.outputs")
    return out if outputs is None else {**out, _OUTPUTS: outputs}
