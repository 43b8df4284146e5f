"""From a configuration to a trained network: every part is made here, once, and nothing else knows the configuration.

``src/train.py``, ``src/evaluate.py`` and the builder of benchmarks are short lists of these functions.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from ncp.data.base import DataModule
from ncp.errors import UserError, missing_extra
from ncp.models import default_precision
from ncp.spaces import cost, found
from ncp.spaces.multires import SPACE, Architecture
from ncp.tasks.base import CHECKPOINT_KEY, Task
from ncp.tasks.callbacks import LAST, Checkpoints, History, Progress, Throughput
from ncp.tasks.recipe import Plan, Recipe

log = logging.getLogger(__name__)
CHECKPOINTS = "checkpoints"
HISTORY = "metrics.csv"
LOGGERS = ("csv", "tensorboard", "wandb")
# keys of conf/trainer that are ours; the others go to Lightning's Trainer
OURS = ("accelerator", "devices", "num_nodes", "strategy", "precision", "deterministic")


@dataclass
class Run:
    """All parts of a training."""

    config: DictConfig
    folder: Path
    data: DataModule
    architecture: Architecture | str
    task: Task
    trainer: pl.Trainer
    history: History
    throughput: Throughput
    seconds: float = 0.0
    seconds_evaluation: float = 0.0  # of an evaluation outside of the training
    checkpoint: Path | None = None  # of a restored run


def make_data(config: DictConfig) -> DataModule:
    """The data set of ``config.data``, prepared; it must yield what the task eats."""
    settings = _plain(config.data)
    kind = get_class(settings.pop("_target_"))
    wanted = get_class(config.task._target_).name  # type: ignore[attr-defined]
    if kind.task != wanted:  # type: ignore[attr-defined]
        raise UserError(
            f"this data set is for task={kind.task}, given was task={wanted}; "  # type: ignore[attr-defined]
            f"choose another with data=..., or leave data out for the built-in set of task={wanted}"
        )
    try:
        data: DataModule = kind(seed=int(config.seed), **settings)
    except TypeError as error:
        raise UserError(f"conf/data: {str(error).split('()')[-1].strip()} for {kind.__name__}") from None
    data.setup()
    if data.builtin:
        log.info("%s", data.notice)
    return data


def choose_architecture(settings: Mapping[str, Any]) -> Architecture | str:
    """What ``arch=...`` means: an architecture of the space, or the name of a baseline."""
    kind = str(settings.get("kind"))
    if kind == "random":
        import numpy as np

        return SPACE.sample(1, np.random.default_rng(int(settings["seed"])))[0]
    if kind == "named":
        return found.get(str(settings["name"]))
    if kind in ("timm", "pointpillars"):
        return str(settings["name"])
    if kind in ("code", "file"):
        value = settings["code" if kind == "code" else "path"]
        return Architecture.parse(Path(value) if kind == "file" else value)
    raise UserError(f"unknown kind of architecture '{kind}'; kinds: random, named, code, file, timm, pointpillars")


def make_network(config: DictConfig, data: DataModule, architecture: Architecture | str) -> torch.nn.Module:
    """The network, initialised from the seed alone, with pretrained weights where they are asked for."""
    torch.manual_seed(int(config.seed))
    kind: Any = get_class(config.task._target_)
    if isinstance(architecture, str):
        extra = {key: value for key, value in _plain(config.arch).items() if key not in ("kind", "name")}
        network: torch.nn.Module = kind.make_baseline(architecture, data, **extra)
    else:
        network = kind.make_network(architecture, data, **_plain(config.get("model") or {}))
    if config.get("pretrained"):
        load_pretrained(network, Path(config.pretrained))
    return network


def load_pretrained(network: torch.nn.Module, path: Path) -> None:
    """Take the weights of a training's checkpoint that fit by name and shape; the rest keeps its initialisation.

    Raises:
        UserError: when less than the whole backbone fits.
    """
    weights = read_checkpoint(path)["state_dict"]
    weights = {key.removeprefix("network."): value for key, value in weights.items()}
    own = network.state_dict()
    fitting = {key: value for key, value in weights.items() if key in own and own[key].shape == value.shape}
    lacking = [key for key in own if key.startswith("backbone.") and key not in fitting]
    if lacking or not fitting:
        raise UserError(
            f"pretrained='{path}' is of another architecture: {len(lacking) or len(own)} of the backbone's entries do not "
            f"fit, first: {lacking[0] if lacking else next(iter(own))}"
        )
    network.load_state_dict({**own, **fitting})
    log.info("pretrained: %d of %d entries taken from %s", len(fitting), len(own), path)


def make_task(config: DictConfig, data: DataModule, architecture: Architecture | str) -> Task:
    """Recipe and network under the task's LightningModule."""
    settings = _plain(config.task)
    kind: Any = get_class(settings.pop("_target_"))
    recipe = Recipe.from_config(_plain(config.recipe))
    plan = recipe.plan(len(data.train_set), device_count(config.trainer))  # type: ignore[arg-type]
    data.plan(plan.policy, plan.steps)
    network = make_network(config, data, architecture)
    about = {
        "architecture": str(architecture),
        "task": kind.name,
        "classes": list(data.classes),
        "config": _plain(config, drop=("paths", "ckpt_path")),
    }
    compiled = config.get("compile") or None
    mode = "default" if compiled is True else compiled
    task: Task = kind(network, recipe, plan, data, seed=int(config.seed), compile=mode, about=about, **settings)
    return task


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


def make_trainer(config: DictConfig, folder: Path, task: Task, history: History, throughput: Throughput) -> pl.Trainer:
    """Lightning's Trainer for a task's plan."""
    settings = _plain(config.trainer)
    gpu, devices, plan = on_gpu(settings), device_count(settings), task.plan
    deterministic = bool(settings.get("deterministic", False))
    precision: Any = settings.get("precision", "auto")
    if precision == "auto":
        precision = default_precision("cuda" if gpu else "cpu", deterministic)
    strategy: Any = settings.get("strategy", "auto")
    if devices > 1 and strategy in ("auto", "ddp"):
        from pytorch_lightning.strategies import DDPStrategy

        # running statistics are averaged before evaluations and checkpoints instead of copied before every step
        strategy = DDPStrategy(
            broadcast_buffers=False, gradient_as_bucket_view=True, process_group_backend="nccl" if gpu else "gloo"
        )
    if gpu and not deterministic:
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
    _quiet()
    options = {key: value for key, value in settings.items() if key not in OURS}
    callbacks: list[Any] = [throughput, Checkpoints(folder / CHECKPOINTS, str(config.keep))]
    if config.callbacks.progress:
        callbacks.append(Progress(history, throughput))
    try:
        return pl.Trainer(
            accelerator="gpu" if gpu else "cpu",
            devices=settings.get("devices", 1),
            num_nodes=int(settings.get("num_nodes", 1)),
            strategy=strategy if devices > 1 else "auto",
            precision=precision,
            deterministic=deterministic,
            sync_batchnorm=task.recipe.sync_norms and gpu and devices > 1,
            max_epochs=-1,
            max_steps=plan.steps,
            accumulate_grad_batches=plan.policy.accumulate,
            gradient_clip_val=task.recipe.clip,
            check_val_every_n_epoch=None,
            val_check_interval=plan.eval_every * plan.policy.accumulate,
            num_sanity_val_steps=0,
            log_every_n_steps=1,  # figures go to the loggers when the recipe says so
            logger=[history, *make_loggers(config, folder)],
            callbacks=callbacks,
            default_root_dir=folder,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            use_distributed_sampler=False,
            **options,
        )
    except (TypeError, ValueError, pl.utilities.exceptions.MisconfigurationException) as error:
        raise UserError(f"trainer: {str(error).splitlines()[0]}") from None


def make_loggers(config: DictConfig, folder: Path) -> list[Any]:
    """What ``logger=...`` adds to the history: nothing (csv), TensorBoard, or W&B (offline where there is no key)."""
    settings = _plain(config.logger)
    kind = settings.pop("kind")
    if kind not in LOGGERS:
        raise UserError(f"unknown logger '{kind}'; loggers: {', '.join(LOGGERS)}")
    if kind == "tensorboard":
        from pytorch_lightning.loggers import TensorBoardLogger

        try:
            return [TensorBoardLogger(folder, name="", version="tensorboard", **settings)]
        except ModuleNotFoundError:
            raise missing_extra("tensorboard", "tensorboard") from None
    if kind == "wandb":
        from ncp.tasks.wandb import make_wandb

        return [make_wandb(folder, settings)]
    return []


def assemble(config: DictConfig, folder: Path) -> Run:
    """Make all parts of a training."""
    data = make_data(config)
    data.describe(folder)
    architecture = choose_architecture(_plain(config.arch))
    task = make_task(config, data, architecture)
    history, throughput = History(folder / HISTORY), Throughput()
    trainer = make_trainer(config, folder, task, history, throughput)
    facts = {"architecture": str(architecture), **costs(task, data, architecture), "seed": int(config.seed)}
    for logger in trainer.loggers:
        logger.log_hyperparams(facts)
    return Run(config, folder, data, architecture, task, trainer, history, throughput)


def fit(run: Run) -> None:
    """Train, from the newest checkpoint where there is one to continue."""
    checkpoint = find_checkpoint(run)
    started = time.perf_counter()
    if checkpoint is not None:
        step = int(read_checkpoint(checkpoint)[CHECKPOINT_KEY]["step"])
        log.info("continuing at step %d of %d from %s", step, run.task.plan.steps, checkpoint)
        if run.trainer.is_global_zero:
            run.history.truncate(step)
        run.task.last_good = str(checkpoint)
    elif run.trainer.is_global_zero:
        run.history.path.unlink(missing_ok=True)
    try:
        run.trainer.fit(run.task, run.data, ckpt_path=checkpoint, weights_only=True)
    except RuntimeError as error:
        raise _does_not_fit(error, run.task.plan) or error from None
    run.seconds = time.perf_counter() - started


def restore(config: DictConfig, folder: Path) -> Run:
    """Make all parts again from a checkpoint (``config.ckpt_path``), with the weights in it.

    What ``config.data`` gives (root, ...) takes the place of the training's own; the trainer is the new configuration's.

    Raises:
        UserError: when the file is no checkpoint, or the data has other classes than the training's.
    """
    path = Path(config.ckpt_path)
    content = read_checkpoint(path)
    about = content[CHECKPOINT_KEY]
    changes = {"data": {key: value for key, value in _plain(config.data).items() if value is not None}}
    merged: Any = OmegaConf.merge(about["config"], changes)
    merged.trainer, merged.logger = config.trainer, config.logger
    merged.keep, merged.pretrained, merged.ckpt_path = "none", None, str(path)
    data = make_data(merged)
    if list(data.classes) != about["classes"]:
        raise UserError(f"'{path}' was trained on other classes than this data has; give the training's data.root")
    # the written-out text, since "random" or a file may mean another architecture today
    text = about["architecture"]
    architecture = text if merged.arch.kind == "timm" else Architecture.parse(text)
    task = make_task(merged, data, architecture)
    network = {k.removeprefix("network."): v for k, v in content["state_dict"].items() if k.startswith("network.")}
    task.network.load_state_dict(network)
    history, throughput = History(folder / HISTORY), Throughput()
    trainer = make_trainer(merged, folder, task, history, throughput)
    return Run(merged, folder, data, architecture, task, trainer, history, throughput, checkpoint=path)


def find_checkpoint(run: Run) -> Path | None:
    """The checkpoint that ``ckpt_path`` means: of this folder (auto), a path, or none; checked against the network."""
    wanted = run.config.get("ckpt_path")
    path = run.folder / CHECKPOINTS / LAST
    if not wanted or (wanted == "auto" and not path.is_file()):
        return None
    path = path if wanted == "auto" else Path(wanted)
    content = read_checkpoint(path)
    theirs, ours = content[CHECKPOINT_KEY], run.task.about
    for what in ("task", "architecture"):
        if theirs.get(what) != ours[what]:
            raise UserError(
                f"the checkpoint '{path}' is of {what} {theirs.get(what)}, this run is of {ours[what]}; give the "
                f"checkpoint's own {what}, or another checkpoint"
            )
    if int(theirs["step"]) > run.task.plan.steps:
        raise UserError(
            f"the checkpoint '{path}' is at step {theirs['step']}, beyond this recipe's {run.task.plan.steps}"
        )
    return path


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint of ours; plain values and tensors only, so reading it runs no foreign code."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except FileNotFoundError:
        raise UserError(f"there is no checkpoint '{path}'") from None
    except Exception as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise UserError(f"'{path}' cannot be read as a checkpoint ({reason})") from None
    if not isinstance(content, dict) or "state_dict" not in content or CHECKPOINT_KEY not in content:
        raise UserError(f"'{path}' is no checkpoint of a training of this project")
    return content


def evaluate(run: Run) -> dict[str, float]:
    """The scores on the whole validation set; those of the last step where they are there already."""
    if run.task.latest_step != run.task.plan.steps:
        started = time.perf_counter()
        run.trainer.validate(run.task, run.data, verbose=False)
        run.seconds_evaluation = time.perf_counter() - started
    return dict(run.task.latest)


def costs(task: Task, data: DataModule, architecture: Architecture | str) -> dict[str, Any]:
    """Parameters of this network and its multiply-adds: in the project's unit, the paper's, and at the evaluation's size."""
    params = sum(p.numel() for p in task.network.parameters())
    size = data.eval_size or data.size
    out: dict[str, Any] = {"params": params, "size": list(size)}
    if isinstance(architecture, Architecture):
        out["macs"] = int(cost.count(architecture).macs)
        out["flops_g"] = float(cost.paper_units(architecture)[0])
    out["macs_at_size"] = task.macs(architecture, data)
    return out


def summarise(run: Run, metrics: Mapping[str, float]) -> dict[str, Any]:
    """The content of ``result.json`` (docs/result.md)."""
    last = run.checkpoint or run.folder / CHECKPOINTS / LAST
    text = str(run.architecture)
    images = len(run.data.val_set)  # type: ignore[arg-type]
    code = list(run.architecture.code) if isinstance(run.architecture, Architecture) else None
    return {
        "task": run.task.name,
        "main_metric": run.task.main_metric,
        "metrics": dict(metrics),
        "images_per_second": run.throughput.images_per_second,
        "eval_images_per_second": images / run.seconds_evaluation if run.seconds_evaluation else None,
        "data_wait_share": run.throughput.wait_share,
        "peak_memory_mb": peak_memory_mb(),
        "architecture": {"text": text, "code": code},
        "cost": costs(run.task, run.data, run.architecture),
        "data": {"name": type(run.data).__name__, "builtin": run.data.builtin, "classes": len(run.data.classes)},
        "steps": run.task.plan.steps,
        "seconds": {"training": run.seconds},
        "checkpoint": str(last) if last.is_file() else None,
    }


def peak_memory_mb() -> float:
    """Peak memory of the GPU where one is used, else of this process, in MiB."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / 2**20
    import resource
    import sys

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def _does_not_fit(error: RuntimeError, plan: Plan) -> UserError | None:
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError) or "out of memory" in text or "can't allocate memory" in text:
        size = plan.policy.per_device
        return UserError(
            f"a batch of {size} per device does not fit into memory; set recipe.per_device={max(1, size // 2)} (the total "
            f"batch of {plan.policy.total} is kept by accumulation) or model.grad_checkpointing=true"
        )
    return None


def _plain(config: Any, drop: tuple[str, ...] = ()) -> dict[str, Any]:
    """A resolved configuration as plain dictionaries and lists."""
    content: Any = OmegaConf.to_container(config, resolve=True) if OmegaConf.is_config(config) else dict(config)
    return {str(key): value for key, value in content.items() if key not in drop}


def _quiet() -> None:
    """Lightning's greetings and the warnings that are about what is meant so."""
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric", "pytorch_lightning.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for text in (".*LeafSpec.*", ".*does not have many workers.*", ".*Checkpoint directory.*", ".*in eval mode.*", ".*lr_scheduler.*"):
        warnings.filterwarnings("ignore", message=text)
