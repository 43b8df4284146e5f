"""The processes of a training on several devices: who starts them, what they run, and that none outlives the first.

Three ways to be several: ``torchrun``, SLURM's ``srun``, which start every process themselves, or one process a machine, which
starts the others here (:class:`Siblings`). In a multirun every job has its own, which run that job alone, in its folder.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.environments import LightningEnvironment, SLURMEnvironment  # type: ignore[attr-defined, attr-defined]

from ncp import runs, signals
from ncp.errors import UserError

log = logging.getLogger(__name__)
PARENT = "NCP_PARENT"  # the process that started this one
_RENDEZVOUS = ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "NODE_RANK")
_WITH_VALUE = ("--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn")  # options of Hydra
_script: Siblings | None = None  # of a script, whose processes take part in all its trainings


class OnePerMachine(LightningEnvironment):
    """One process a machine, beside which :class:`Siblings` starts the others."""

    @property
    def creates_processes_externally(self) -> bool:
        """Lightning must start none."""
        return True


class Srun(SLURMEnvironment):
    """The tasks of ``srun``, whichever way their number was given."""

    def __init__(self) -> None:
        super().__init__(auto_requeue=False)

    @staticmethod
    def _validate_srun_variables() -> None:
        """Lightning refuses ``--ntasks``; :func:`environment` compares the number itself."""


def environment(devices: int, nodes: int) -> Any:
    """What Lightning needs to know of where the processes come from; None where it sees that itself (torchrun, LSF, MPI).

    Args:
        devices: on a machine.
        nodes: machines.

    Raises:
        UserError: where a job step of SLURM has another number of tasks than the training has devices.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return None
    step = os.environ.get("SLURM_STEP_ID") or os.environ.get("SLURM_STEPID")
    tasks = int(os.environ.get("SLURM_STEP_NUM_TASKS") or os.environ.get("SLURM_NTASKS") or 1)
    if step is None or tasks == 1:  # no SLURM, its batch script or shell, or one task that has all devices
        return OnePerMachine() if devices * nodes > 1 or "SLURM_NTASKS" in os.environ else None
    if tasks != devices * nodes:
        raise UserError(
            f"srun started {tasks} tasks, this training has {devices * nodes} devices in all; give trainer=ddp with "
            f"trainer.devices (on a machine) times trainer.num_nodes = {tasks}, or srun --ntasks=1"
        )
    return Srun()


def agree(trainer: pl.Trainer, value: Any) -> Any:
    """``value`` as the first process has it, where each was started from outside and has a run folder of its own.

    Those that :class:`Siblings` starts know the first one's folder.
    """
    strategy: Any = trainer.strategy
    if trainer.world_size == 1 or (_ours(trainer) and trainer.num_nodes == 1):
        return value
    strategy.setup_environment()  # what a training begins with; a second time does nothing
    return strategy.broadcast(value)


def _ours(trainer: pl.Trainer) -> bool:
    return isinstance(getattr(trainer.strategy, "cluster_environment", None), OnePerMachine)


class Siblings:
    """The other processes of a training on this machine.

    A context: entering it starts them where that is this process's part and they do not run yet; an exception ends them.

    Args:
        trainer: of the training.
        folder: its run folder, which is theirs too.
    """

    def __init__(self, trainer: pl.Trainer, folder: Path) -> None:
        self.trainer, self.folder = trainer, folder
        self.started: list[subprocess.Popen[bytes]] = []
        self._over = threading.Event()
        self._before: dict[str, str | None] = {}

    def __enter__(self) -> Siblings:
        global _script
        if parent := os.environ.get(PARENT):
            _end_with(int(parent))
        if self._is_theirs() or self.started:
            return self
        if not _commanded():
            if _script is not None:
                return self
            _script = self
        self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if error is None:
            return
        with signals.leaving():
            first: tuple[int, int] | None = None  # one that failed by itself may be the reason
            if isinstance(error, (RuntimeError, KeyboardInterrupt)):
                first = self._failed(patience=5.0 if isinstance(error, RuntimeError) else 0.0)
            count = len(self.started) + 1
            self.end()
        if first is None:
            return
        rank, code = first
        for number in signals.END:
            if code in (-number, 128 + number):
                raise signals.Interrupted(number) from None
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        raise UserError(f"process {rank} of this training's {count} {how}; what it said stands above") from None

    def _is_theirs(self) -> bool:
        """Whether another one starts the processes, or there are none to start."""
        return not _ours(self.trainer) or self.trainer.num_devices == 1 or "LOCAL_RANK" in os.environ

    def _start(self) -> None:
        self._before = {name: os.environ.get(name) for name in _RENDEZVOUS}
        place: Any = self.trainer.strategy.cluster_environment  # type: ignore[attr-defined]
        shared = {
            "MASTER_ADDR": str(place.main_address),
            "MASTER_PORT": str(place.main_port),
            "NODE_RANK": str(place.node_rank()),
            "WORLD_SIZE": str(self.trainer.num_devices * self.trainer.num_nodes),
            PARENT: str(os.getpid()),
            runs.HANDED_DOWN: str(self.folder.resolve()),
        }
        arguments, where = command()
        for rank in range(1, self.trainer.num_devices):
            own = {**os.environ, **shared, "LOCAL_RANK": str(rank)}
            self.started.append(subprocess.Popen(arguments, env=own, cwd=where))
        threading.Thread(target=self._watch, daemon=True, name="siblings").start()
        atexit.register(self._end_after, 10.0)

    def _watch(self) -> None:
        """One that fails leaves the others waiting for it: tell this process, in which :meth:`__exit__` says so."""
        while not self._over.wait(0.5):
            if any(process.poll() for process in self.started):
                if not self._over.wait(2.0):  # mostly this process has met the same fault
                    os.kill(os.getpid(), signal.SIGTERM)
                    if not self._over.wait(60.0):  # it hangs in a collective operation
                        os.kill(os.getpid(), signal.SIGKILL)
                return

    def _failed(self, patience: float) -> tuple[int, int] | None:
        """Number and exit code (negative: a signal) of one that failed, None where all go on."""
        until = time.monotonic() + patience
        while self.started:
            for rank, process in enumerate(self.started, 1):
                if code := process.poll():
                    return rank, code
            if time.monotonic() >= until:
                break
            time.sleep(0.1)
        return None

    def wait(self, patience: float = 60.0) -> None:
        """Let them end by themselves after the last common operation. Those of a script go on with it."""
        if self is not _script:
            self._end_after(patience)

    def end(self) -> None:
        """None is left, and a further training of this process can have others."""
        if not self.started:
            return
        self._over.set()
        atexit.unregister(self._end_after)
        for process in self.started:
            process.terminate()
        until = time.monotonic() + 3.0
        for process in self.started:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.started = []
        if torch.distributed.is_initialized() and torch.distributed.get_backend() == "gloo":
            with contextlib.suppress(RuntimeError):
                torch.distributed.destroy_process_group()
        elif torch.distributed.is_initialized() and sys.exc_info()[0] is None:
            torch.distributed.destroy_process_group()
        for name, value in self._before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value

    def _end_after(self, patience: float) -> None:
        """Wait for them, then end those that are left."""
        until = time.monotonic() + patience
        for process in self.started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))
        self.end()


def _commanded() -> bool:
    """Whether a command of ours runs, one job of a multirun perhaps, and no script of somebody else's."""
    from hydra.core.hydra_config import HydraConfig

    return bool(HydraConfig.initialized())


def command() -> tuple[list[str], str]:
    """What the others run, and where: this script, or this job of this command in this job's folder."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    start = [sys.executable, "-m", spec.name] if spec else [sys.executable, os.path.abspath(sys.argv[0])]
    if not _commanded():
        return start + sys.argv[1:], os.getcwd()
    from hydra.core.hydra_config import HydraConfig

    config = HydraConfig.get()
    folder = str(config.runtime.output_dir).replace("\\", "\\\\").replace("'", "\\'")
    own = [f"hydra.run.dir='{folder}'", f"hydra.job.name={config.job.name}_process", "hydra.output_subdir=null"]
    return start + options(sys.argv[1:]) + list(config.overrides.task) + own, str(config.runtime.cwd)


def options(arguments: Sequence[str]) -> list[str]:
    """Of a command line what is neither an override nor asks for a multirun.

    >>> options(["train", "--config-dir", "my=own", "-m", "seed=1,2", "~recipe.keep"])
    ['train', '--config-dir', 'my=own']
    """
    kept: list[str] = []
    for argument in arguments:
        value = bool(kept) and kept[-1] in _WITH_VALUE
        override = argument[:1] in ("+", "~") or ("=" in argument and not argument.startswith("-"))
        if value or not (override or argument in ("-m", "--multirun")):
            kept.append(argument)
    return kept


def _end_with(parent: int) -> None:
    """End this process when the one that started it has gone without a word."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(128 + signal.SIGTERM)

    if not any(thread.name == "parent" for thread in threading.enumerate()):
        threading.Thread(target=watch, daemon=True, name="parent").start()
