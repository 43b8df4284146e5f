"""The one wrapper of ``hydra.main``: every command starts, reports mistakes and ends in the same way.

An entry point ``src/NAME.py`` is

    from ncp import cli

    @cli.main("NAME")
    def main(config: DictConfig) -> None:
        "One line that says what the command does."
        ...

    if __name__ == "__main__":
        main()

A user's mistake is one line on stderr and exit code 2; what was computed until then stays in the run folder. A mistake of
ours keeps its traceback and exits with 1, an interrupt with 130 (SIGTERM: 143). In a multirun a failing job is named and the
others go on.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gc
import inspect
import logging
import os
import secrets
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

import ncp
from ncp import cli_config, cli_text, runs, signals
from ncp.errors import UserError

log = logging.getLogger(__name__)

OK, OUR_MISTAKE, USERS_MISTAKE = 0, 1, 2
# ranks other than the first leave the run's records alone; the first hands its folder down to those it starts
_RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")
_OUTPUTS = "NCP_OUTPUTS"

# the same string in every evaluation within one configuration, as with Hydra's own `now`
OmegaConf.register_new_resolver("ncp.suffix", lambda: secrets.token_hex(2), use_cache=True, replace=True)

# Python looks for cyclic garbage after every 700 new objects, a tenth of the start-up time of torch and all else that is
# imported once and stays
_GARBAGE = (100_000, 20, 20)

Function = Callable[[DictConfig], Any]
_began = time.perf_counter()
_folder: Path | None = None
_worst = OK  # exit code so far; jobs that run in this process raise it
_sweep: Path | None = None


def run_folder() -> Path:
    """The folder of the command that is running (the earlier one where ``ckpt_path=auto`` found one to continue)."""
    assert _folder is not None, "run_folder() is for commands that run under ncp.cli.main"
    return _folder


def seconds() -> float:
    """Seconds since the command began (in a multirun: since the job began)."""
    return time.perf_counter() - _began


def sweeping() -> bool:
    """Whether this is one job of a multirun."""
    return OmegaConf.select(HydraConfig.get(), "job.num", throw_on_missing=False) is not None  # type: ignore[arg-type]


def plain(config: DictConfig) -> dict[str, Any]:
    """The configuration as dictionaries and lists, every reference resolved. Raises for values that were not given."""
    content: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    return content


def main(config_name: str) -> Callable[[Function], Callable[..., Any]]:
    """Turn a function of a configuration into the command ``config_name``.

    Args:
        config_name: the command's name and that of its file in ``conf/``, the folder beside the one of the entry point.

    The decorated function, called with a configuration, runs as it stands (for tests and notebooks); called without
    arguments it reads the command line and ends the process.
    """

    def decorate(function: Function) -> Callable[..., Any]:
        conf = Path(inspect.getfile(function)).resolve().parents[1] / "conf"

        @functools.wraps(function)
        def command(config: DictConfig | None = None) -> Any:
            if config is not None:
                return function(config)
            sys.exit(_run_command(function, conf, config_name))

        return command

    return decorate


def _run_command(function: Function, conf: Path, name: str) -> int:
    """Run the command line; the exit code."""
    global _worst, _sweep
    _worst, _sweep = OK, None
    gc.set_threshold(*_GARBAGE)
    logging.raiseExceptions = False  # a log file on a full disk must not hide the one line that says so
    job = functools.update_wrapper(functools.partial(_run_job, function, conf, name), function)
    try:
        arguments = _parse_arguments()
        if arguments.help:
            print(cli_text.command_help(conf, name, function))
            return OK
        options = [argument for argument in sys.argv[1:] if argument not in arguments.overrides]
        sys.argv[1:] = options + cli_config.adapt(arguments.overrides, conf / f"{name}.yaml")
        with signals.handled(), _environment(**_settings(sys.argv[1:])), _bad_jobs_skipped(conf, name):
            hydra.main(version_base="1.3", config_path=str(conf), config_name=name)(job)()
    except KeyboardInterrupt as stop:
        if _is_first_rank():
            folder = _folder or _sweep or "no folder yet"
            print(f"interrupted; what was computed until then is in {folder}", file=sys.stderr)
        return signals.exit_code(stop)
    except Exception as error:  # outside of a job: composing the configuration, making the run folder
        message = cli_text.mistake(error, composing=True, known=lambda: cli_config.known_keys(conf, name))
        if message is None:
            raise
        _say_error(message)
        return USERS_MISTAKE
    return max(_worst, _worst_of_sweep(), key=(OK, USERS_MISTAKE, OUR_MISTAKE).index)


def _run_job(function: Function, conf: Path, command: str, config: DictConfig) -> Any:
    """Run the function in its folder; None after a failure, so that the other jobs of a multirun go on."""
    global _folder, _worst, _began
    settings: Any = HydraConfig.get()
    _folder = Path(settings.runtime.output_dir)
    overrides = _texts(settings.overrides.task)
    _began = time.perf_counter() if sweeping() else _began
    mine = False
    try:
        resolved: Any = OmegaConf.to_container(config, resolve=True)
        cli_config.check_types(resolved, conf, command, settings.runtime.choices)
        digest = runs.config_hash(resolved, _folder)
        _folder = _continue(config, command, digest, _folder)
        if not _is_first_rank():
            return function(config)
        with runs.locked(_folder):
            runs.begin(_folder, command, digest, overrides)
            mine = True
            (_folder / runs.CONFIG_FILE).write_text(OmegaConf.to_yaml(OmegaConf.create(resolved)))
            _log_to_file(f"ncp {ncp.__version__}: python -m src.{command} {' '.join(overrides)}", logging.INFO)
            answer = function(config)
    except (KeyboardInterrupt, SystemExit):
        _mark(_folder, "interrupted")
        raise
    except Exception as error:
        message = cli_text.mistake(error)
        where = f"job {settings.job.num} ({' '.join(overrides) or 'no overrides'}): " if sweeping() else ""
        _log_to_file("".join(traceback.format_exception(error)))
        if message is None:
            traceback.print_exception(error)
        if message is None and where:
            print(f"the error above is of {where[:-2]}", file=sys.stderr)
        elif message is not None:
            _say_error(where + message)
        if mine or not runs.state(_folder):  # not the record of another run that works there
            _mark(_folder, "failed", error=message or repr(error), mistake="ours" if message is None else "user")
        _worst = OUR_MISTAKE if message is None or _worst == OUR_MISTAKE else USERS_MISTAKE
        return None
    _mark(_folder, "finished")
    return answer


def _texts(overrides: Any) -> list[str]:
    """The overrides as they were typed (one may hold an interpolation, which is not resolved here)."""
    content: Any = OmegaConf.to_container(overrides, resolve=False)
    return [str(item) for item in content]


def _continue(config: DictConfig, command: str, digest: str, folder: Path) -> Path:
    """The folder to work in: with ``ckpt_path=auto`` that of the newest unfinished run of the same configuration."""
    if not _is_first_rank() and os.environ.get(runs.HANDED_DOWN):
        return Path(os.environ[runs.HANDED_DOWN])
    if OmegaConf.select(config, "ckpt_path") != "auto":
        return folder
    root = Path(OmegaConf.select(config, "paths.outputs") or "outputs")
    old = runs.find_unfinished(root, command, digest, ignore=folder)
    if old is None:
        log.info("ckpt_path=auto: no unfinished run with this configuration under %s; starting anew", root / command)
        return folder
    log.info("ckpt_path=auto: going on in %s", old)
    runs.begin(folder, command, digest, [])
    runs.mark(folder, "continued", continued_in=str(old))
    _move_log(old)
    return old


def _move_log(folder: Path) -> None:
    """Let the log file go on in another folder."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.acquire()
            handler.close()
            handler.baseFilename = str((folder / Path(handler.baseFilename).name).resolve())
            handler.release()  # the next record opens the file anew, at its end


def _is_first_rank() -> bool:
    return not any(os.environ.get(name, "0").isdigit() and int(os.environ.get(name, "0")) for name in _RANKS)


def _mark(folder: Path, state: str, **more: Any) -> None:
    with contextlib.suppress(OSError):  # the folder may have become unwritable: that was reported
        if _is_first_rank():
            runs.mark(folder, state, **more)


def _say_error(message: str) -> None:
    line = f"error: {message}"
    print(line, file=sys.stderr)
    _log_to_file(line)


def _log_to_file(text: str, level: int = logging.ERROR) -> None:
    record = logging.LogRecord("ncp", level, __file__, 0, text.rstrip(), None, None)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)


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


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Set environment variables, for processes that are started from here too, and put the old ones back."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _settings(arguments: Sequence[str]) -> dict[str, str]:
    """What Hydra must find in the environment: to raise its errors instead of printing them over several lines, and the
    folder of all outputs (a multirun's own folder is made before Hydra applies the overrides of its jobs)."""
    out = {"HYDRA_FULL_ERROR": "1"}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if key == "paths.outputs" and equals:
            out[_OUTPUTS] = value.strip("'\"")
    return out


@contextlib.contextmanager
def _bad_jobs_skipped(conf: Path, name: str) -> Iterator[None]:
    """Leave those jobs out of a multirun whose configuration cannot be composed, naming them.

    Hydra checks all jobs before the first starts and gives up at the first bad one.
    """
    from hydra.errors import HydraException
    from hydra.plugins.sweeper import Sweeper

    original = Sweeper.validate_batch_is_legal

    def keep_the_good(self: Sweeper, batch: Sequence[Sequence[str]]) -> None:
        global _worst
        good = []
        for overrides in batch:
            try:
                original(self, [overrides])
                good.append(overrides)
            except HydraException as error:
                message = cli_text.mistake(error, composing=True, known=list)
                _say_error(f"job ({' '.join(overrides)}): {message}")
                _worst = USERS_MISTAKE
        if not good:
            raise UserError("no job of this multirun can start")
        batch[:] = good  # type: ignore[index]

    Sweeper.validate_batch_is_legal = keep_the_good  # type: ignore[method-assign]
    try:
        yield
    finally:
        Sweeper.validate_batch_is_legal = original  # type: ignore[method-assign]


class NoteSweep(Callback):
    """Remembers the folder of a multirun, whose jobs may run in other processes or on other machines."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Hydra calls this before the first job."""
        global _sweep
        _sweep = Path(config.hydra.sweep.dir)


def _worst_of_sweep() -> int:
    """The exit code that the jobs of a multirun deserve, by what they left in their folders."""
    if _sweep is None:
        return OK
    states = [runs.state(file.parent) for file in _sweep.glob(f"*/{runs.STATE_FILE}")]
    states = [runs.state(Path(s["continued_in"])) if "continued_in" in s else s for s in states]
    failed = [s for s in states if s.get("state") == "failed"]
    if failed:
        print(f"{len(failed)} of {len(states)} jobs failed; see {_sweep}", file=sys.stderr)
    if any(s.get("mistake") == "ours" for s in failed):
        return OUR_MISTAKE
    return USERS_MISTAKE if failed else OK
