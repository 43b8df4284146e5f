"""From a configuration to the parts of a training: each is made here, once, and nothing else knows the configuration."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytorch_lightning as pl
import torch
from msgspec import Meta

from ncp import files, numeric, registry
from ncp import options as typed
from ncp.card import Use
from ncp.data.base import BatchPolicy, DataModule, Key
from ncp.errors import UserError
from ncp.models import default_precision
from ncp.models.blocks import scale_residuals, straighten_fusions
from ncp.models.runtime import COMPILE_MODES, REGIONAL
from ncp.process import free_memory_mb, own_cores
from ncp.spaces import AnyArchitecture
from ncp.tasks import architectures, bounds
from ncp.tasks.base import Task
from ncp.tasks.callbacks import History, StepsBar, Throughput
from ncp.tasks.loggers import make_loggers
from ncp.tasks.options import TrainOptions
from ncp.tasks.position import NEVER
from ncp.tasks.pretrained import load_pretrained
from ncp.tasks.processes import environment
from ncp.tasks.saving import CHECKPOINTS, Checkpoints
from ncp.tasks.storage import WholeFiles

log = logging.getLogger(__name__)
NUMBERS = ("decoder_width", "base", "stem_stride")  # keys of ``model`` that are neither true nor false
NOT_KEPT = ("ckpt_path",)  # of a training's options, in its checkpoints
LARGE_BATCH = 256  # samples at a time above which it is asked whether they fit into memory
LEAST_PROCESSES = 16  # of a training that a machine without GPUs may have, however few its cores


def check(options: TrainOptions) -> None:
    """Tell what is wrong with the recipe, the architecture, the task or the trainer, before the data is looked at, which may
    take minutes.

    Raises:
        UserError: in one line.
    """
    options.chosen_recipe.check_optimizer()
    if options.arch:  # a build has none of its own
        choose_architecture(options)
    settings = {key: value for key, value in options.task.items() if key != "_target_"}
    typed.check(task_class(options), settings, "task", len(_GIVEN), _GIVEN_BY_NAME)
    check_trainer(options.trainer)
    compile_mode(options.compile)


# what make_task gives every task: in order, and by name
_GIVEN = ("network", "recipe", "plan", "data")
_GIVEN_BY_NAME = ("seed", "compile", "about")


def make_data(options: TrainOptions) -> DataModule:
    """The data set of ``options.data``, prepared; it must yield what the task eats."""
    settings = dict(options.data)
    kind = registry.resolve(settings.pop("_target_", None), "data", DataModule)  # type: ignore[type-abstract]
    wanted = task_class(options).name
    several: Sequence[str] = getattr(kind, "tasks", (kind.task,))  # of one set that knows the truth of all
    if wanted not in several:
        raise UserError(
            f"this data set is for task={' or '.join(several)}, given was task={wanted}; "
            f"choose another with data=..., or leave data out for the built-in set of task={wanted}"
        )
    if hasattr(kind, "tasks"):
        given = settings.get("labels")
        if given is not None and given != wanted:
            raise UserError(
                f"task={wanted} is trained on data.labels={wanted}, given was {files.shown(given)}; leave it out"
            )
        settings["labels"] = wanted
    for excess in bounds.data_excesses(settings):
        raise UserError(f"data.{excess.key} is at most {excess.most:,}, given was {files.shown(excess.value)}")
    data: DataModule = typed.call(kind, settings, "data", seed=options.seed)
    frames = getattr(data, "frames", 1) if data.task == "video" else 1
    # pillars have their own bound
    sizes = () if data.task == "det3d" else (getattr(data, "size", None), data.eval_size)
    if large := bounds.too_large(data.in_channels, frames, *sizes):
        raise UserError(f"the data's samples have {large}; give a smaller data.size, data.crop or data.frames")
    data.setup()
    options.data.update(data.resolved())
    if data.builtin:
        log.info("%s", data.notice)
    return data


def task_class(options: TrainOptions) -> type[Task]:
    """The task of ``options.task``."""
    return registry.resolve(options.task.get("_target_"), "task", Task)  # type: ignore[type-abstract]


def choose_architecture(options: TrainOptions) -> AnyArchitecture | str:
    """The architecture that the options mean, in the setting's space, or a baseline's name.

    Raises:
        UserError: for what it cannot be, and one of a space for which the task has no networks.
    """
    chosen = architectures.choose(options.arch, architectures.space_of(options.setting, options.arch))
    task_class(options).check_architecture(chosen)
    return chosen


def make_network(options: TrainOptions, data: DataModule, architecture: AnyArchitecture | str) -> torch.nn.Module:
    """The network, initialised from the seed alone, with pretrained weights where they are asked for."""
    torch.manual_seed(options.seed)
    kind: Any = task_class(options)
    model = model_options(options.model, kind.model_options(architecture), architecture)
    if isinstance(architecture, str):
        if options.arch["kind"] == "pointpillars" and kind.name != "det3d":
            raise UserError(f"arch=pointpillars is a network of task=det3d, given was task={kind.name}; use arch=timm")
        extra = {key: value for key, value in options.arch.items() if key not in ("kind", "name")}
        network: torch.nn.Module = kind.make_baseline(architecture, data, **extra, **model)
    else:
        network = kind.make_network(architecture, data, **model)
    recipe = options.chosen_recipe
    if recipe.residual_scale != 1.0:
        scale_residuals(network, recipe.residual_scale)
    if recipe.fusion_scale is not None:
        straighten_fusions(network, recipe.fusion_scale)
    if options.pretrained:
        adapt = partial(kind.adapt_pretrained, settings=options.task)
        load_pretrained(network, Path(options.pretrained), adapt, str(architecture))
    return network


def model_options(
    given: Mapping[str, Any], known: Sequence[str], architecture: AnyArchitecture | str
) -> dict[str, Any]:
    """What ``model`` says of how the network is built.

    Args:
        given: ``config.model``; null leaves a key out.
        known: keys that this architecture's network takes.
        architecture: for the message.

    Raises:
        UserError: for a key that it does not take, or a value that is neither true nor false.
    """
    options = {key: value for key, value in given.items() if value is not None}
    for key, value in options.items():
        if key not in known:
            whose = f"arch={architecture}" if isinstance(architecture, str) else "searched architectures"
            raise UserError(
                f"model.{key} does not exist for {whose}; there are {', '.join(f'model.{name}' for name in known)}"
            )
        if key in NUMBERS:
            numeric.finite(f"model.{key}", value)
        elif key != "head" and not isinstance(value, bool):
            raise UserError(f"model.{key} must be true or false, given was {value!r}")
    return options


def make_task(options: TrainOptions, data: DataModule, architecture: AnyArchitecture | str) -> Task:
    """Recipe and network under the task's LightningModule."""
    settings = {key: value for key, value in options.task.items() if key != "_target_"}
    kind = task_class(options)
    recipe = options.chosen_recipe
    plan = recipe.plan(len(data.train_set), device_count(options.trainer))  # type: ignore[arg-type]
    _refuse_huge(plan.policy, data, on_gpu(options.trainer))
    data.plan(plan.policy, plan.steps)
    network = make_network(options, data, architecture)
    about = {
        "architecture": str(architecture),
        "task": kind.name,
        "classes": list(data.classes),
        "input": {
            "channels": data.in_channels,
            "size": list(data.eval_size or data.size),
            "mean": list(data.mean),
            "std": list(data.std),
        },
        "config": options.plain(drop=NOT_KEPT),
    }
    own = {"seed": options.seed, "compile": compile_mode(options.compile), "about": about}
    task: Task = typed.call(kind, settings, "task", network, recipe, plan, data, **own)
    assert set(own) == set(_GIVEN_BY_NAME)
    files.checked(task.usage(data), Use, f"what {kind.__name__}.usage says")
    task.about["use"] = task.usage(data)
    return task


def _refuse_huge(policy: BatchPolicy, data: DataModule, gpu: bool) -> None:
    """Refuse a batch whose samples alone, as they are and as the network's numbers, are more than the memory."""
    if policy.per_device <= LARGE_BATCH:
        return
    sample = data.train_set[Key(0, 0)]
    each = sum(value.nbytes for value in sample.values() if isinstance(value, (torch.Tensor, np.ndarray))) * 5 / 2**20
    memory = torch.cuda.mem_get_info()[1] / 2**20 if gpu else free_memory_mb()
    if each * policy.per_device > memory:
        raise UserError(
            f"{policy.per_device:,} samples at a time need {each * policy.per_device / 2**10:,.0f} GiB and more, and there are "
            f"{memory / 2**10:,.0f}; set recipe.per_device=64 (accumulation keeps the total), or a smaller recipe.batch"
        )


def compile_mode(value: Any) -> str | None:
    """What ``compile=...`` means: None, or a mode of ``torch.compile``; raises ``UserError`` for another."""
    if not value:
        return None
    mode = "default" if value is True else str(value)
    if mode not in (*COMPILE_MODES, REGIONAL):
        modes = ", ".join((*COMPILE_MODES, REGIONAL))
        raise UserError(f"compile must be true, false or one of {modes}, given was '{value}'")
    return mode


def _own_trainer(
    accelerator: Literal["auto", "cpu", "gpu", "cuda"] = "auto",
    devices: int | str | list[int] = 1,
    num_nodes: Annotated[int, Meta(ge=1)] = 1,
    strategy: str = "auto",
    precision: int | str = "auto",
    deterministic: bool | Literal["warn"] = False,
    graphs: bool | Literal["auto"] = "auto",
    kernels: bool | Literal["auto"] = "auto",
) -> None:
    """The keys of ``conf/trainer`` that are ours; the others go to Lightning's Trainer."""


OURS = tuple(inspect.signature(_own_trainer).parameters)


def check_trainer(settings: Mapping[str, Any]) -> None:
    """Refuse what ``trainer`` says where neither we nor Lightning know it, or this machine has not so much."""
    typed.check(_own_trainer, {key: value for key, value in settings.items() if key in OURS}, "trainer")
    typed.check(pl.Trainer, _lightnings(settings), "trainer")
    gpu, devices = on_gpu(settings), settings.get("devices", 1)
    if isinstance(devices, list) and (not gpu or not devices or min(devices) < 0 or len(set(devices)) < len(devices)):
        advice = "" if gpu else f"; there are none here, give trainer.devices={max(1, len(devices))}"
        raise UserError(f"trainer.devices={devices} must name GPUs, each once, from 0 up{advice}")
    count = device_count(settings) // int(settings.get("num_nodes", 1))
    most = max(LEAST_PROCESSES, len(own_cores()))
    if not gpu and count > most:
        raise UserError(
            f"trainer.devices={devices} asks for {count} processes on the CPU, which has {len(own_cores())} cores; "
            f"give at most {most}"
        )


def _lightnings(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in OURS}


def device_count(settings: Mapping[str, Any]) -> int:
    """How many devices (GPUs, or processes on CPUs) a run has in all."""
    devices, gpu = settings.get("devices", 1), settings.get("accelerator") != "cpu" and torch.cuda.is_available()
    if devices in ("auto", -1, "-1"):
        count = torch.cuda.device_count() if gpu else 1
    elif isinstance(devices, (int, str)):
        if not str(devices).isdigit() or int(devices) < 1:
            raise UserError(f"trainer.devices must be auto, a positive number or a list, given was {devices!r}")
        count = int(devices)
    else:
        count = len(list(devices))
    return count * int(settings.get("num_nodes", 1))


def on_gpu(settings: Mapping[str, Any]) -> bool:
    """Whether the run uses GPUs; raises ``UserError`` where they are asked for and there are none."""
    accelerator = str(settings.get("accelerator", "auto"))
    if accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        raise UserError("trainer.accelerator=gpu, but torch sees no GPU here; use trainer=cpu")
    return accelerator != "cpu" and torch.cuda.is_available()


def make_trainer(
    options: TrainOptions, folder: Path, task: Task, history: History, throughput: Throughput
) -> pl.Trainer:
    """Lightning's Trainer for a task's plan."""
    settings = dict(options.trainer)
    check_trainer(settings)
    gpu, devices, plan = on_gpu(settings), device_count(settings), task.plan
    task.graphs, task.kernels = settings.get("graphs", False), settings.get("kernels", False)
    deterministic = settings.get("deterministic", False)
    precision: Any = settings.get("precision", "auto")
    if precision == "auto":
        precision = default_precision("cuda" if gpu else "cpu", bool(deterministic))
    strategy: Any = settings.get("strategy", "auto")
    if devices > 1 and strategy in ("auto", "ddp"):
        from pytorch_lightning.strategies import DDPStrategy

        # running statistics are averaged before evaluations and checkpoints instead of copied before every step
        known = inspect.signature(torch.nn.parallel.DistributedDataParallel.__init__).parameters
        copied = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"  # until torch 2.12
        buffers: Any = {copied: False}
        if getattr(task.network, "idle", False):  # edges of a cell that lead nowhere get no gradient
            buffers["find_unused_parameters"] = True
        strategy = DDPStrategy(gradient_as_bucket_view=True, process_group_backend="nccl" if gpu else "gloo", **buffers)
    if gpu and not deterministic:
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
    _quiet()
    requeue = options.ckpt_path == "auto"  # the job that runs again goes on in this folder
    callbacks: list[Any] = [throughput, Checkpoints(folder / CHECKPOINTS, options.keep, requeue)]
    if options.callbacks.progress:
        callbacks.append(StepsBar(history, throughput))
    nodes = int(settings.get("num_nodes", 1))
    place = environment(devices // nodes, nodes)
    loggers = [history, *make_loggers(options.logger, folder)]
    fixed: dict[str, Any] = {
        "accelerator": "gpu" if gpu else "cpu",
        "devices": settings.get("devices", 1) if gpu else devices // nodes,
        "num_nodes": nodes,
        "plugins": [WholeFiles(), *([place] if place is not None else [])],
        "strategy": strategy if devices > 1 else "auto",
        "precision": precision,
        "deterministic": deterministic,
        "sync_batchnorm": task.recipe.sync_norms and gpu and devices > 1,
        "max_epochs": -1,
        "max_steps": plan.steps,
        "accumulate_grad_batches": plan.policy.accumulate,
        "gradient_clip_val": task.recipe.clip,
        "check_val_every_n_epoch": None,
        "val_check_interval": NEVER,  # the task says before every pass whether an evaluation follows
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 1,  # figures go to the loggers when the recipe says so
        "logger": loggers,
        "callbacks": callbacks,
        "default_root_dir": folder,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "use_distributed_sampler": False,
    }
    try:
        trainer = typed.call(pl.Trainer, _lightnings(settings), "trainer", **fixed)
    except UserError:
        raise
    except (ValueError, ImportError, pl.utilities.exceptions.MisconfigurationException) as error:  # type: ignore[attr-defined]
        raise UserError(f"trainer: {str(error).splitlines()[0]}") from None
    # its handlers would answer a signal with a collective operation that the other processes do not expect
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    return trainer


def _quiet() -> None:
    """Lightning's greetings and the warnings that are about what is meant so."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric", "pytorch_lightning.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for text in (
        "LeafSpec",
        "does not have many workers",
        "persistent_workers",  # a training's loader begins once
        "DataLoader will create",
        "Checkpoint directory",
        "in eval mode",
        "lr_scheduler",
        "srun",
    ):
        warnings.filterwarnings("ignore", message=f".*{text}.*")
