"""Hydra's sweeps over shards: how many there are, and which of them a cluster did not bring to their end."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict

from ncp import runs
from ncp.terminal import say

MAX_TIMEOUTS = 500  # so many time limits a job outlives; the plugin's default is none


class Shards(Callback):
    """For the process that starts a sweep.

    ``shard=range(0,250)`` means that there are 250 shards: every job gets ``shards=250`` unless the user says otherwise. Of
    jobs on a cluster that end without a result (killed, out of their time limit for good) the others are waited for
    all the same, and the shards to repeat are named.

    Args:
        check: seconds, at most, between two questions to the cluster about jobs that left no result (yet).
    """

    def __init__(self, check: float = 120) -> None:
        self.check = check

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Hydra calls this before it divides the sweep into jobs."""
        overrides = _texts(config)
        number = number_of_shards(overrides)
        if number is not None:
            with open_dict(config.hydra.overrides):
                config.hydra.overrides.task = [*overrides, f"shards={number}"]
        _Jobs.unfinished.clear()
        if "submitit" in str(config.hydra.launcher.get("_target_", "")):
            _outlive_time_limits(config)
            _Jobs.folder = Path(str(config.hydra.sweep.dir))
            _Jobs.install(self.check)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Hydra calls this when all jobs have ended."""
        unfinished = _Jobs.unfinished
        if unfinished:
            shards = ",".join(
                value.partition("=")[2] for job in unfinished for value in job if value.startswith("shard=")
            )
            again = (
                f"to repeat: shard={shards} "
                if shards
                else "to repeat: " + "; ".join(" ".join(job) for job in unfinished)
            )
            say(f"{again}(the same command does it too: nothing that is recorded is trained again)", stderr=True)


def number_of_shards(overrides: Sequence[str]) -> int | None:
    """How many values the sweep gives to ``shard``; None where it gives none, or the user says ``shards=...``."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    if any(override.key_or_group == "shards" for override in parsed):
        return None
    for override in parsed:
        if override.key_or_group == "shard" and override.is_sweep_override():
            return 1 + max(int(str(value).partition("=")[2] or value) for value in override.sweep_string_iterator())
    return None


def _outlive_time_limits(config: DictConfig) -> None:
    """Let a job that meets its time limit be queued again, unless the user says how often: a build goes on by itself."""
    key = "max_num_timeout"
    given = any(str(item).lstrip("+").startswith(f"hydra.launcher.{key}=") for item in config.hydra.overrides.hydra)
    if not given and config.hydra.launcher.get(key) == 0:
        config.hydra.launcher[key] = MAX_TIMEOUTS


def _texts(config: DictConfig) -> list[str]:
    content: Any = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
    return [str(item) for item in content]


class _Jobs:
    """Submitit's launcher gives up at the first job without a result, while the others go on unseen: wait for all."""

    unfinished: list[list[str]] = []  # noqa: RUF012  (one sweep a process)
    folder = Path()
    original: Callable[..., Any] | None = None

    @classmethod
    def install(cls, check: float) -> None:
        """Let the launcher's executor hand out jobs that do not raise."""
        import submitit

        submitit.SlurmJob.watcher = type(submitit.SlurmJob.watcher)(delay_s=check)  # type: ignore[arg-type]

        if cls.original is None:
            cls.original = submitit.AutoExecutor.map_array

            def map_array(executor: Any, function: Callable[..., Any], *arguments: Any) -> list[Any]:
                lists = [list(values) for values in arguments]
                assert cls.original is not None
                jobs = cls.original(executor, function, *lists)
                return [
                    _Job(job, overrides, number)
                    for job, overrides, number in zip(jobs, lists[0], lists[2], strict=True)
                ]

            submitit.AutoExecutor.map_array = map_array  # type: ignore[method-assign, assignment]


class _Job:
    """One job of a sweep: its result, or, where there is none, a note of that."""

    def __init__(self, job: Any, overrides: Sequence[str], number: int) -> None:
        self.job, self.overrides, self.number = job, list(overrides), number

    def results(self) -> list[Any]:
        """Waits for the job, however often the cluster queues it again."""
        while True:
            try:
                out: list[Any] = self.job.results()
                return out
            except Exception as error:
                if not _queued(self.job):
                    return self._none(error)
                self.job.watcher.clear()  # it remembers for good what it once took for the end
                time.sleep(1)

    def _none(self, error: Exception) -> list[Any]:
        """Note that there is no result."""
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        reason = f"its process ended without a result (SLURM says {_state(self.job)}; {said})"
        say(f"job {self.number} ({' '.join(self.overrides)}): {reason}", stderr=True)
        runs.mark(_Jobs.folder / str(self.number), "failed", error=reason, mistake="ours")
        _Jobs.unfinished.append(self.overrides)
        return [JobReturn(overrides=self.overrides, _return_value=None, status=JobStatus.COMPLETED)]


def _queued(job: Any) -> bool:
    """Whether a job without a result waits or runs: of a lost node SLURM says NODE_FAIL before it queues the job again."""
    if job.paths.result_pickle.exists():
        return False
    try:
        answer = subprocess.run(
            ["squeue", "-h", "-j", str(job.job_id), "-o", "%T"], capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return bool({"PENDING", "RUNNING", "REQUEUED", "CONFIGURING", "SUSPENDED"} & set(answer.stdout.split()))


def _state(job: Any) -> str:
    try:
        return str(job.state)
    except Exception:
        return "unknown"
