"""From a configuration to the parts of a training: each is made here, once, and nothing else knows the configuration."""

from __future__ import annotations

import inspect
import logging
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import pytorch_lightning as pl
import torch
from msgspec import Meta

from ncp import files, registry
from ncp import options as typed
from ncp.card import Use
from ncp.data.base import DataModule
from ncp.errors import UserError, missing_extra
from ncp.models import default_precision
from ncp.models.blocks import scale_residuals, straighten_fusions
from ncp.models.runtime import COMPILE_MODES
from ncp.spaces import found
from ncp.spaces.multires import SPACE, Architecture
from ncp.tasks.base import Task
from ncp.tasks.callbacks import History, StepsBar, Throughput
from ncp.tasks.options import TrainOptions
from ncp.tasks.position import NEVER
from ncp.tasks.pretrained import load_pretrained
from ncp.tasks.processes import environment
from ncp.tasks.recipe import Recipe
from ncp.tasks.saving import CHECKPOINTS, Checkpoints
from ncp.tasks.storage import WholeFiles

log = logging.getLogger(__name__)
LOGGERS = ("csv", "tensorboard", "wandb", "mlflow")
BASELINES = ("timm", "pointpillars")  # kinds of architectures that are not in the space
NOT_KEPT = ("ckpt_path",)  # of a training's options, in its checkpoints
# keys of conf/trainer that are ours; the others go to Lightning's Trainer
OURS = ("accelerator", "devices", "num_nodes", "strategy", "precision", "deterministic")


def make_data(options: TrainOptions) -> DataModule:
    """The data set of ``options.data``, prepared; it must yield what the task eats."""
    settings = dict(options.data)
    kind = registry.resolve(settings.pop("_target_", None), "data", DataModule)  # type: ignore[type-abstract]
    wanted = task_class(options).name
    if kind.task != wanted:
        raise UserError(
            f"this data set is for task={kind.task}, given was task={wanted}; "
            f"choose another with data=..., or leave data out for the built-in set of task={wanted}"
        )
    data: DataModule = typed.call(kind, settings, "data", seed=options.seed)
    data.setup()
    options.data.update(data.resolved())
    if data.builtin:
        log.info("%s", data.notice)
    return data


def task_class(options: TrainOptions) -> type[Task]:
    """The task of ``options.task``."""
    return registry.resolve(options.task.get("_target_"), "task", Task)  # type: ignore[type-abstract]


def choose_architecture(settings: Mapping[str, Any]) -> Architecture | str:
    """What ``arch=...`` means: an architecture of the space, or the name of a baseline.

    Raises:
        UserError: for an unknown ``kind``, a key that it does not have, one that is missing, a value that it cannot use.
    """
    kind = settings.get("kind")
    if not isinstance(kind, str) or kind not in _ARCHITECTURES:
        raise UserError(f"unknown kind of architecture '{files.shown(kind)}'; kinds: {', '.join(_ARCHITECTURES)}")
    return typed.call(_ARCHITECTURES[kind], {key: value for key, value in settings.items() if key != "kind"}, "arch")


def _random(seed: Annotated[int, Meta(ge=0)]) -> Architecture:
    import numpy as np

    return SPACE.sample(1, np.random.default_rng(seed))[0]


def _named(name: str) -> Architecture:
    return found.get(name)


def _code(code: Any) -> Architecture:
    if isinstance(code, int):
        raise UserError(
            "arch.code without a '-' or a comma is read as a single number; write the 31-number text or a list: "
            "'arch.code=[64,64,2,...]'"
        )
    return Architecture.parse(code)


def _file(path: str) -> Architecture:
    return Architecture.parse(Path(path))


def _baseline(name: str, **more: Any) -> str:
    """``more`` goes to the network, see :func:`make_network`."""
    return name


_ARCHITECTURES: dict[str, Callable[..., Architecture | str]] = {
    **{"random": _random, "named": _named, "code": _code, "file": _file},
    **dict.fromkeys(BASELINES, _baseline),
}
"""Kind -> what makes it, of keys that its signature names."""


def make_network(options: TrainOptions, data: DataModule, architecture: Architecture | str) -> torch.nn.Module:
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
    scale = float(options.recipe.get("residual_scale", 1.0))
    if scale != 1.0:
        scale_residuals(network, scale)
    if options.recipe.get("fusion_scale") is not None:
        straighten_fusions(network, float(options.recipe["fusion_scale"]))
    if options.pretrained:
        adapt = partial(kind.adapt_pretrained, settings=options.task)
        load_pretrained(network, Path(options.pretrained), adapt, str(architecture))
    return network


def model_options(given: Mapping[str, Any], known: Sequence[str], architecture: Architecture | str) -> dict[str, Any]:
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
        if key != "head" and not isinstance(value, bool):
            raise UserError(f"model.{key} must be true or false, given was {value!r}")
    return options


def make_task(options: TrainOptions, data: DataModule, architecture: Architecture | str) -> Task:
    """Recipe and network under the task's LightningModule."""
    settings = {key: value for key, value in options.task.items() if key != "_target_"}
    kind = task_class(options)
    recipe = Recipe.from_config(options.recipe)
    plan = recipe.plan(len(data.train_set), device_count(options.trainer))  # type: ignore[arg-type]
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
    files.checked(task.usage(data), Use, f"what {kind.__name__}.usage says")
    task.about["use"] = task.usage(data)
    return task


def compile_mode(value: Any) -> str | None:
    """What ``compile=...`` means: None, or a mode of ``torch.compile``; raises ``UserError`` for another."""
    if not value:
        return None
    mode = "default" if value is True else str(value)
    if mode not in COMPILE_MODES:
        raise UserError(f"compile must be true, false or one of {', '.join(COMPILE_MODES)}, given was '{value}'")
    return mode


def device_count(settings: Mapping[str, Any]) -> int:
    """How many devices (GPUs, or processes on CPUs) a run has in all."""
    devices = settings.get("devices", 1)
    if devices in ("auto", -1, "-1"):
        count = max(1, torch.cuda.device_count()) if settings.get("accelerator") != "cpu" else 1
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
    gpu, devices, plan = on_gpu(settings), device_count(settings), task.plan
    deterministic = bool(settings.get("deterministic", False))
    precision: Any = settings.get("precision", "auto")
    if precision == "auto":
        precision = default_precision("cuda" if gpu else "cpu", deterministic)
    strategy: Any = settings.get("strategy", "auto")
    if devices > 1 and strategy in ("auto", "ddp"):
        from pytorch_lightning.strategies import DDPStrategy

        # running statistics are averaged before evaluations and checkpoints instead of copied before every step
        known = inspect.signature(torch.nn.parallel.DistributedDataParallel.__init__).parameters
        copied = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"  # until torch 2.12
        buffers: Any = {copied: False}
        strategy = DDPStrategy(gradient_as_bucket_view=True, process_group_backend="nccl" if gpu else "gloo", **buffers)
    if gpu and not deterministic:
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
    _quiet()
    more = {key: value for key, value in settings.items() if key not in OURS}
    requeue = options.ckpt_path == "auto"  # the job that runs again goes on in this folder
    callbacks: list[Any] = [throughput, Checkpoints(folder / CHECKPOINTS, options.keep, requeue)]
    if options.callbacks.progress:
        callbacks.append(StepsBar(history, throughput))
    nodes = int(settings.get("num_nodes", 1))
    place = environment(devices // nodes, nodes)
    try:
        trainer = pl.Trainer(
            accelerator="gpu" if gpu else "cpu",
            devices=settings.get("devices", 1),
            num_nodes=nodes,
            plugins=[WholeFiles(), *([place] if place is not None else [])],
            strategy=strategy if devices > 1 else "auto",
            precision=precision,
            deterministic=deterministic,
            sync_batchnorm=task.recipe.sync_norms and gpu and devices > 1,
            max_epochs=-1,
            max_steps=plan.steps,
            accumulate_grad_batches=plan.policy.accumulate,
            gradient_clip_val=task.recipe.clip,
            check_val_every_n_epoch=None,
            val_check_interval=NEVER,  # the task says before every pass whether an evaluation follows
            num_sanity_val_steps=0,
            log_every_n_steps=1,  # figures go to the loggers when the recipe says so
            logger=[history, *make_loggers(options.logger, folder)],
            callbacks=callbacks,
            default_root_dir=folder,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            use_distributed_sampler=False,
            **more,
        )
    except (TypeError, ValueError, pl.utilities.exceptions.MisconfigurationException) as error:  # type: ignore[attr-defined]
        raise UserError(f"trainer: {str(error).splitlines()[0]}") from None
    # its handlers would answer a signal with a collective operation that the other processes do not expect
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    return trainer


def make_loggers(given: Mapping[str, Any], folder: Path) -> list[Any]:
    """What ``logger=...`` adds to the history: nothing (csv), TensorBoard, MLflow, or W&B (offline where there is no key)."""
    settings = dict(given)
    kind = settings.pop("kind", None)
    if kind not in LOGGERS:
        raise UserError(f"unknown logger '{kind}'; loggers: {', '.join(LOGGERS)}")
    if kind == "tensorboard":
        from pytorch_lightning.loggers import TensorBoardLogger

        try:
            return [TensorBoardLogger(folder, name="", version="tensorboard", **settings)]
        except ModuleNotFoundError:
            raise missing_extra("tensorboard", "tensorboard") from None
    if kind == "mlflow":
        from pytorch_lightning.loggers import MLFlowLogger

        settings.setdefault("save_dir", str(folder / "mlruns"))
        if (
            settings.get("tracking_uri") is None
        ):  # newer versions refuse files unless told; a data base needs more packages
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        try:
            return [MLFlowLogger(**{key: value for key, value in settings.items() if value is not None})]
        except ModuleNotFoundError:
            raise missing_extra("mlflow", "mlflow") from None
    if kind == "wandb":
        from ncp.tasks.wandb import make_wandb

        return [make_wandb(folder, settings)]
    return []


def _quiet() -> None:
    """Lightning's greetings and the warnings that are about what is meant so."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric", "pytorch_lightning.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for text in (
        "LeafSpec",
        "does not have many workers",
        "Checkpoint directory",
        "in eval mode",
        "lr_scheduler",
        "srun",
    ):
        warnings.filterwarnings("ignore", message=f".*{text}.*")
