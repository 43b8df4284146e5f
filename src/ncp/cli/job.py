"""One job of a command: its options from Hydra's configuration, its run folder and records, and how it ended."""

from __future__ import annotations

import contextlib
import logging
import os
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

import ncp
from ncp import jobs, overrides, registry, runs, signals, terminal
from ncp import options as typed
from ncp.cli import text
from ncp.errors import UserError
from ncp.files import printable
from ncp.jobs import composing, mistakes

log = logging.getLogger(__name__)
OK, OUR_MISTAKE, USERS_MISTAKE = 0, 1, 2
UNREAD = 141  # 128 + SIGPIPE, as of every program whose output nobody reads on
# ranks other than the first leave the run's records alone; the first hands its folder down to those it starts
_RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")


@dataclass
class Ended:
    """How the jobs of this process ended so far."""

    worst: int = OK
    folder: Path | None = None
    sweep: Path | None = None
    unread: bool = False

    def __post_init__(self) -> None:
        NoteSweep.folder = None

    def place(self) -> Path | None:
        """The folder in which to look."""
        return self.folder or self.sweep

    def note(self, code: int) -> None:
        """Take a job's exit code into account; a mistake of ours outweighs a user's."""
        self.worst = max(self.worst, code, key=(OK, USERS_MISTAKE, OUR_MISTAKE).index)

    def code(self) -> int:
        """The exit code that the command deserves; of a multirun by what its jobs, which may have run elsewhere, left."""
        self.sweep = self.sweep or NoteSweep.folder
        if self.sweep is not None:
            self.note(worst_of_sweep(self.sweep))
        return self.worst or (UNREAD if self.unread else OK)


class Job:
    """The function that Hydra calls with a configuration, here or on another machine."""

    def __init__(self, command: str, module: Any, ended: Ended) -> None:
        self.command, self.ended = command, ended
        # a module that is not one of the project's (a test's) stays in this process
        self._module = module

    def __getstate__(self) -> dict[str, Any]:
        return {"command": self.command}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """On another machine."""
        self.__init__(state["command"], None, Ended())  # type: ignore[misc]

    @property
    def module(self) -> Any:
        """With ``Options``, ``run`` and ``show``."""
        return self._module or jobs.module(self.command)

    def __call__(self, config: DictConfig) -> Any:
        """Run in the job's folder; None after a failure, so that the other jobs of a multirun go on."""
        settings: Any = HydraConfig.get()
        folder = self.ended.folder = Path(settings.runtime.output_dir)
        words = overrides.shown(_texts(settings.overrides.task))
        if sweeping():
            runs.start_clock()
        mine, others = False, _is_anothers(folder)
        try:
            if others:
                raise UserError(
                    f"'{printable(folder)}' holds a {runs.CONFIG_FILE} that is no run's and would be lost; give another "
                    "hydra.run.dir"
                )
            if settings.job.chdir:  # files that the user names would be looked for in the run's folder
                raise UserError(
                    "hydra.job.chdir=true is not for these commands: paths are those of where they are started"
                )
            resolved: Any = OmegaConf.to_container(config, resolve=True)
            digest = runs.config_hash(resolved, folder)
            options = self._options(config, words)
            folder = self.ended.folder = _continue(config, self.command, digest, folder)
            if not is_first_rank():
                return self.module.run(options, folder)
            with runs.locked(folder):
                runs.begin(folder, self.command, digest, words)
                mine = True
                (folder / runs.CONFIG_FILE).write_text(OmegaConf.to_yaml(OmegaConf.create(resolved)))
                text.log_to_file(
                    f"ncp {ncp.__version__}: {runs.invocation(self.command)} {' '.join(words)}", logging.INFO
                )
                outcome = self.module.run(options, folder)
                self._show(outcome)
        except (KeyboardInterrupt, SystemExit):
            _mark(folder, "interrupted")
            raise
        except terminal.ReaderGone:  # of what it tells while it works
            _mark(folder, "interrupted")
            terminal.hush()
            raise SystemExit(UNREAD) from None
        except Exception as error:
            if signals.received():  # within an import, for instance, its exception becomes another one
                _mark(folder, "interrupted")
                raise signals.interruption() from None
            message = mistakes.mistake(error)
            self.ended.note(OUR_MISTAKE if message is None else USERS_MISTAKE)
            self._tell(
                error, message, f"job {settings.job.num} ({' '.join(words) or 'no overrides'}): " if sweeping() else ""
            )
            if mine or not (others or runs.state(folder)):  # not the record of another run that works there
                if (
                    not mine
                ):  # a configuration that was refused: the record says of which words, and nothing goes on from it
                    _begin(folder, self.command, words)
                _mark(folder, "failed", error=message or repr(error), mistake="ours" if message is None else "user")
            return None
        _mark(folder, "finished")
        return outcome

    def _show(self, outcome: Any) -> None:
        """What nobody reads on goes nowhere; what was done is done, and the other jobs of a multirun follow."""
        try:
            self.module.show(outcome, brief=sweeping())
        except BrokenPipeError:
            self.ended.unread = True
            terminal.hush()

    def _options(self, config: DictConfig, words: list[str]) -> Any:
        """The typed options; the classes that this configuration names are the user's own word."""
        content = composing.values(config)
        for group in registry.GROUPS:
            target = content[group].get("_target_") if isinstance(content.get(group), dict) else None
            if isinstance(target, str):
                registry.name(target)
        if self._module is None:
            return composing.read(self.command, content, words)
        return typed.read(self._module.Options, {k: v for k, v in content.items() if k not in ("hydra", "paths")})

    def _tell(self, error: Exception, message: str | None, where: str) -> None:
        trace = "".join(traceback.format_exception(error))
        text.log_to_file(trace)
        if message is None:
            terminal.say(trace.rstrip(), stderr=True)
        if message is None and where:
            terminal.say(f"the error above is of {where[:-2]}", stderr=True)
        elif message is not None:
            text.say_error(where + message)


def _is_anothers(folder: Path) -> bool:
    """Whether a folder, such as that of ``hydra.run.dir=.``, holds a configuration that no run of ours has left."""
    return (folder / runs.CONFIG_FILE).exists() and not (folder / runs.STATE_FILE).exists()


def sweeping() -> bool:
    """Whether this is one job of a multirun."""
    return OmegaConf.select(HydraConfig.get(), "job.num", throw_on_missing=False) is not None  # type: ignore[arg-type]


def is_first_rank() -> bool:
    """Whether this process is the first, or the only one, of a run."""
    return not any(os.environ.get(name, "0").isdigit() and int(os.environ.get(name, "0")) for name in _RANKS)


def _texts(words: Any) -> list[str]:
    """The overrides as they were typed (one may hold an interpolation, which is not resolved here)."""
    content: Any = OmegaConf.to_container(words, resolve=False)
    return [str(item) for item in content]


def _continue(config: DictConfig, command: str, digest: str, folder: Path) -> Path:
    """The folder to work in: with ``ckpt_path=auto`` that of the newest unfinished run of the same configuration."""
    if not is_first_rank():  # the first one looks for all, see ncp.tasks.processes
        return Path(os.environ.get(runs.HANDED_DOWN) or folder)
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


def _begin(folder: Path, command: str, words: Sequence[str]) -> None:
    with contextlib.suppress(OSError):
        if is_first_rank():
            runs.begin(folder, command, "", words)


def _mark(folder: Path, state: str, **more: Any) -> None:
    with contextlib.suppress(OSError):  # the folder may have become unwritable: that was reported
        if is_first_rank():
            runs.mark(folder, state, **more)


def worst_of_sweep(sweep: Path) -> int:
    """The exit code that the jobs of a multirun deserve, by what they left in their folders."""
    states = [runs.state(file.parent) for file in sweep.glob(f"*/{runs.STATE_FILE}")]
    states = [runs.state(Path(s["continued_in"])) if "continued_in" in s else s for s in states]
    failed = [s for s in states if s.get("state") == "failed"]
    if failed:
        terminal.say(f"{len(failed)} of {len(states)} jobs failed; see {sweep}", stderr=True)
    if any(s.get("mistake") == "ours" for s in failed):
        return OUR_MISTAKE
    return USERS_MISTAKE if failed else OK


class NoteSweep(Callback):
    """A Hydra callback that remembers the folder of a multirun, whose jobs may run in other processes or on other machines."""

    folder: Path | None = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Hydra calls this before the first job."""
        NoteSweep.folder = Path(config.hydra.sweep.dir)
