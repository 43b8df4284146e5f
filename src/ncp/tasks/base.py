"""What the tasks share: optimisation, precise control of rates and random states, evaluation, records.

Shape suffixes: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import copy
import platform
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NoReturn

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import Metric

from ncp import signals, spaces
from ncp.data.base import DataModule, sharing_cores
from ncp.data.transforms import normalise
from ncp.errors import UserError
from ncp.models.bf16 import protect
from ncp.models.runtime import REGIONAL, compile_regions
from ncp.process import own_cores
from ncp.spaces.base import AnyArchitecture
from ncp.tasks.ledger import Evaluation, Ledger
from ncp.tasks.own import KEY as CHECKPOINT_KEY
from ncp.tasks.position import Plan, Position, resumed
from ncp.tasks.recipe import Recipe
from ncp.tasks.stepping import Eager, Part, Stepping, choose
from ncp.tasks.stepping.optimiser import plain_groups, set_rate, switch, switches_of

NORMS = nn.modules.batchnorm._BatchNorm


def counted_macs(network: nn.Module, shape: Sequence[int]) -> int:
    """Multiply-adds of any network for an input of ``shape``, counted by torch (without data or arithmetic)."""
    from torch.utils.flop_counter import FlopCounterMode

    trial = copy.deepcopy(network).to("meta").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        trial(torch.empty(*shape, device="meta"))
    return int(counter.get_total_flops() // 2)


def weights_of(recipe: Recipe, classes: Sequence[str]) -> Tensor | None:
    """``(K,)`` float32: the recipe's weights of the classes, None where it has none.

    Raises:
        UserError: where there are not as many as classes.
    """
    if recipe.class_weights is None:
        return None
    if len(recipe.class_weights) != len(classes):
        raise UserError(
            f"recipe.class_weights needs a number for each of the {len(classes)} classes, given were {len(recipe.class_weights)}"
        )
    return torch.tensor([float(weight) for weight in recipe.class_weights])


def weighted_cross_entropy(logits_BK: Tensor, label_B: Tensor, weights_K: Tensor | None, smoothing: float) -> Tensor:
    """Cross entropy, a mean over the samples, each counted as often as its class's weight says.

    Not divided by the weights' sum: so a batch that is spread over devices has the gradient of the whole.
    """
    if weights_K is None:
        return F.cross_entropy(logits_BK, label_B, label_smoothing=smoothing)
    weights = weights_K.to(logits_BK.dtype)
    total = F.cross_entropy(logits_BK, label_B, weight=weights, label_smoothing=smoothing, reduction="sum")
    return total / len(label_B)


def _compiled(network: nn.Module, mode: str | None) -> Any:
    """What is called in the network's place: compiled as a whole, in its repeated parts, or as it is."""
    if mode == REGIONAL:
        return compile_regions(network)
    return torch.compile(network, mode=mode) if mode else network


class Task(pl.LightningModule):
    """Base of the tasks: a network, a recipe, and how a batch becomes a loss and a score.

    A subclass names itself and its main metric, builds ``self.scores`` (a torchmetrics ``Metric`` whose ``compute`` gives
    ``{name: value}`` in percent points), and implements ``loss`` and ``score``.

    Args:
        network: from :func:`ncp.models.build` or a baseline.
        recipe: how to train.
        plan: the recipe on this data set.
        data: classes' names and the images' mean and deviation are read from it.
        seed: of everything random in the network (the data has its own).
        compile: None, ``regional``, or the mode of ``torch.compile`` (``default``, ``reduce-overhead`` for CUDA graphs, ...).
        about: what is written into every checkpoint (architecture, configuration), plain values only.

    Attributes:
        static: whether every step does the same to arrays of the same shapes, so that it can be recorded.
        prefix: before the names that ``scores`` has, in the metrics' own names.
        spaces: whose architectures the task has networks for.
        ledger: the evaluations so far.
        stepping: how steps are run; chosen when a training begins.
        graphs: whether they may be recorded (``trainer.graphs``).
        kernels: whether Triton's may be taken for them (``trainer.kernels``).
        kept_at: where the checkpoint of a step is kept, None for a step that is not.
        restored_step: of the checkpoint whose weights these are, when there is no training; else -1.
    """

    name: ClassVar[str]
    main_metric: ClassVar[str]
    prefix: ClassVar[str] = ""
    spaces: ClassVar[tuple[str, ...]] = ("multires",)
    static: ClassVar[bool] = True
    scores: Metric

    @classmethod
    def check_architecture(cls, architecture: Any) -> None:
        """Raise ``UserError`` for an architecture of a space that the task has no networks for; names of baselines pass."""
        space = None if isinstance(architecture, str) else spaces.of_form(architecture)
        if space is not None and space not in cls.spaces:
            raise UserError(f"task={cls.name} has networks for {', '.join(cls.spaces)}; '{architecture}' is of {space}")

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        plan: Plan,
        data: DataModule,
        seed: int = 0,
        compile: str | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.network = protect(network)
        self.recipe, self.plan, self.seed = recipe, plan, seed
        self.classes: Sequence[str] = data.classes
        self.mean, self.std = data.mean, data.std
        self.about = dict(about or {})
        self.ledger = Ledger()
        self.kept_at: Callable[[int], str | None] = lambda step: None
        self.restored_step = -1
        self.last_good: str | None = None  # the newest checkpoint's path
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", weights_of(recipe, self.classes), persistent=False)
        self._rate = recipe.rate()
        self._first_bad: Tensor | None = None
        self.compiled_as = compile
        self.graphs: Any = False
        self.kernels: Any = False
        self.stepping: Stepping = Eager(self.loss)
        # kept in a list so that the compiled twin is no second submodule
        self._compiled = [_compiled(network, compile)]

    # ---- what a task defines

    @classmethod
    def make_network(cls, architecture: Any, data: DataModule, **options: Any) -> nn.Module:
        """The network of an architecture for this task's data (``options`` go to :func:`ncp.models.build`)."""
        from ncp.models import build

        return build(architecture, cls.name, classes=len(data.classes), in_channels=data.in_channels, **options)

    @classmethod
    def make_baseline(cls, name: str, data: DataModule, **options: Any) -> nn.Module:
        """A hand-designed network under this task's head (``options`` go to :func:`ncp.models.build_timm`)."""
        from ncp.models import build_timm

        return build_timm(name, task=cls.name, classes=len(data.classes), in_channels=data.in_channels, **options)

    @classmethod
    def model_options(cls, architecture: Any) -> tuple[str, ...]:
        """The keys of ``model`` that an architecture's network takes."""
        return ("channels_last", "grad_checkpointing")

    @classmethod
    def adapt_pretrained(
        cls, weights: Mapping[str, Tensor], network: nn.Module, settings: Mapping[str, Any]
    ) -> Mapping[str, Tensor]:
        """Another training's weights under this network's names (``settings`` are the task's). Default: as they are."""
        return weights

    @abstractmethod
    def loss(self, batch: dict[str, Any], report: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, a mean over the samples, and, when ``report``, the figures to log beside it."""

    @abstractmethod
    def score(self, batch: dict[str, Any]) -> None:
        """Update ``self.scores`` with an evaluation batch."""

    def score_nothing(self) -> None:
        """What a device without evaluation samples gives to ``self.scores``: sums need nothing."""

    def prepare_batch(self, batch: dict[str, Any]) -> Tensor:
        """The network's input: the batch's ``image`` normalised on the device, channels last."""
        dtype = next(self.network.parameters()).dtype
        x_BCHW = normalise(batch["image"], self.mean, self.std, dtype)
        return x_BCHW.contiguous(memory_format=torch.channels_last)

    def forward(self, batch: dict[str, Any]) -> Any:
        """The network's output for a batch."""
        return self._compiled[0](self.prepare_batch(batch))

    def usage(self, data: DataModule) -> dict[str, Any]:
        """How an evaluation brings samples to the network, as :class:`ncp.card.Use` has it; for its checkpoints."""
        reading: Any = getattr(data, "reading", None)  # of images that are no photographs
        ranges = {} if reading is None or reading.photo else {"low": list(reading.low), "high": list(reading.high)}
        return {"share": data.eval_share, **ranges}

    def macs(self, architecture: AnyArchitecture | str, data: DataModule, size: tuple[int, int] | None = None) -> int:
        """Multiply-adds for one evaluation input (of ``size``, where it is not the data's), counted by torch."""
        return counted_macs(self.network, (1, data.in_channels, *(size or data.eval_size or data.size)))

    def part(self) -> Part | None:
        """What always does the same where a step as a whole does not (``static`` is false); None for nothing."""
        return None

    # ---- training

    def setup(self, stage: str) -> None:
        """Tell the data how many processes load from the same cores; all processes are there by now."""
        mine = (platform.node(), own_cores())
        everybody: list[Any] = [mine] * self.trainer.world_size
        if self.trainer.world_size > 1:
            torch.distributed.all_gather_object(everybody, mine)
        self.trainer.datamodule.sharing = sharing_cores(mine, everybody)  # type: ignore[attr-defined]

    @property
    def step(self) -> int:
        """Optimiser steps done."""
        return int(self.trainer.global_step)

    @property
    def quick(self) -> bool:
        """Whether this is Lightning's ``fast_dev_run``: one batch of everything, nothing written."""
        return bool(getattr(self.trainer, "fast_dev_run", False))

    def train(self, mode: bool = True) -> Task:
        """As ever, except that frozen norms stay as they are."""
        super().train(mode)
        if self.recipe.freeze_norms:
            for module in self.network.modules():
                if isinstance(module, NORMS):
                    module.eval()
        return self

    def trained(self) -> list[nn.Parameter]:
        """What is trained, in the order in which the optimiser holds it."""
        return list(self.network.parameters())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The recipe's optimiser; its rate is set before every step."""
        return self.recipe.make_optimizer(self.network.parameters())

    def _choose_stepping(self) -> None:
        """Decide how steps are run; the optimiser computes as this device does it, wherever its state comes from."""
        optimizer = self.trainer.optimizers[0]
        switch(optimizer, switches_of(self.configure_optimizers()))
        self.stepping = choose(self, self.trainer, self.graphs, kernels=self.kernels)
        self.stepping.prepare(optimizer)

    def rate_at(self, step: int) -> float:
        """The learning rate of optimiser step ``step`` (from 0)."""
        return self._rate(min(1.0, step / self.plan.steps))

    def on_train_start(self) -> None:
        """Set the modes again: Lightning restores those it found. An evaluation that was interrupted comes first."""
        self.train()
        self._choose_stepping()
        place = Position.reached(self.trainer, self.plan)
        if self.owed(place.step) and not self.quick:
            # Lightning looks whether this number divides the passes done
            self.trainer.val_check_batch = place.number

    def on_train_end(self) -> None:
        """What steps took, evaluations after them and exports need not see."""
        self.stepping.close()

    def owed(self, step: int) -> bool:
        """Whether an evaluation was due after ``step`` steps that is not in the ledger."""
        return step > 0 and self.plan.due(step).evaluate and step not in self.ledger

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Rates and random states as functions of the position: a resumed run needs no more than that."""
        signals.check()
        place = Position.running(self.trainer, self.plan)
        torch.manual_seed(place.seed(self.seed, self.global_rank))  # numpy's and Python's are not used in a step
        if not self.quick:
            ends = place.last_pass and self.plan.due(place.step + 1).evaluate
            self.trainer.val_check_batch = place.interval(ends)
        if place.passes == 0:
            done = self.step / self.plan.steps
            for group in self.trainer.optimizers[0].param_groups:
                set_rate(group, self.rate_at(self.step))
                if self.recipe.momentum_schedule == "poly":
                    power = float(self.recipe.schedule.get("power", 0.9))
                    group["momentum"] = float(self.recipe.optimizer["momentum"]) * (1 - done) ** power

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """One pass; records loss, rate and the task's figures every ``log_every`` steps."""
        place = Position.running(self.trainer, self.plan)
        due = self.quick or (place.last_pass and self.plan.due(place.step + 1).log)
        loss, figures = self.stepping.forward(batch, due, first=place.passes == 0)
        self._watch(loss, due)
        if due:
            values = {f"train/{key}": float(value) for key, value in {"loss": loss.detach(), **figures}.items()}
            self.record({**values, "train/lr": self.rate_at(self.step)}, self.step + 1)
        return loss

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Any) -> None:
        """As steps are run; see :class:`ncp.tasks.stepping.Stepping`."""
        self.stepping.clear(optimizer)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """As steps are run."""
        self.stepping.backward(loss)

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        """As steps are run."""
        self.stepping.finish(optimizer, optimizer_closure)

    def _watch(self, loss: Tensor, due: bool) -> None:
        """Stop at a loss that is not finite. On GPUs the first bad step is noted there and read when figures are due."""
        now = torch.where(torch.isfinite(loss.detach()), torch.inf, float(self.step))
        self._first_bad = now if self._first_bad is None else torch.minimum(self._first_bad, now)
        if loss.device.type == "cpu" or due:
            self.check_finite()

    def check_finite(self) -> None:
        """Raise a ``UserError`` if a loss was not finite since the run began (on every device alike)."""
        if self._first_bad is None:
            return
        if self.trainer.world_size > 1:  # all stop together
            torch.distributed.all_reduce(self._first_bad, torch.distributed.ReduceOp.MIN)
        first = float(self._first_bad)
        if not np.isfinite(first):
            return
        self._stop("the loss", int(first))

    def check_weights(self) -> None:
        """Raise a ``UserError`` if a weight is not finite (before a checkpoint is written)."""
        norms = torch._foreach_norm([p.detach() for p in self.trained()])
        if not bool(torch.isfinite(torch.stack(norms)).all()):
            self._stop("a weight", self.step - 1)

    def _stop(self, what: str, step: int) -> NoReturn:
        if step == 0:  # nothing has been learnt yet: no learning rate can be the cause
            precision = str(self.trainer.precision)
            other = (
                ""
                if precision.startswith(("32", "64"))
                else f", or the precision {precision} (try trainer.precision=32-true)"
            )
            raise UserError(
                f"{what} is NaN or infinite at step 1 of {self.plan.steps}, before anything was learnt; look for the cause in "
                f"the data or in the weights that the training starts from{other}"
            )
        raise UserError(
            f"{what} became NaN or infinite at step {step + 1} of {self.plan.steps}, learning rate "
            f"{self.rate_at(step):.3g}; last good checkpoint: {self.last_good or 'none was written yet'}; lower "
            "recipe.optimizer.lr or set recipe.clip"
        )

    # ---- evaluation

    def on_validation_start(self) -> None:
        """Devices without synchronised norms collected their own running statistics: evaluate with the mean."""
        self.average_buffers()

    def average_buffers(self) -> None:
        """Give all devices the mean of their running statistics."""
        if self.trainer.world_size > 1:
            for buffer in self.network.buffers():
                if buffer.is_floating_point():
                    torch.distributed.all_reduce(buffer)
                    buffer /= self.trainer.world_size

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Count one batch."""
        if self.trainer.datamodule.idle:  # type: ignore[attr-defined]
            self.score_nothing()
        else:
            self.score(batch)

    def on_validation_epoch_end(self) -> None:
        """The scores over the whole set, on all devices alike, into the ledger."""
        found = {key: float(value) for key, value in self.scores.compute().items()}
        values = {f"{self.prefix}{key}": value for key, value in found.items()}
        self.scores.reset()
        place = Position(self.plan, self.evaluated_step)
        entry = Evaluation(
            step=place.step,
            samples=place.samples,
            set=self.plan.samples,
            metrics={**values, **self.further_figures()},
            checkpoint=self.kept_at(place.step),
        )
        self.ledger.add(entry, write=self.trainer.is_global_zero and not self.quick)
        self.record({f"val/{key}": value for key, value in found.items() if np.isfinite(value)}, place.step)

    @property
    def evaluated_step(self) -> int:
        """The step that an evaluation is of, within a training or of its checkpoint alone."""
        return self.step if self.restored_step < 0 else self.restored_step

    def further_figures(self) -> dict[str, float]:
        """What ``scores`` measured beside its own metrics, for the ledger and for records."""
        return {}

    def measured(self) -> dict[str, float]:
        """All figures of the result so far: those of the newest evaluation."""
        newest = self.ledger.newest
        return dict(newest.metrics) if newest is not None else {}

    @property
    def latest(self) -> dict[str, float]:
        """The task's own metrics of the result so far, ``{}`` before the first evaluation."""
        return self.measured()

    @property
    def latest_step(self) -> int:
        """The step of the newest evaluation, -1 before the first."""
        newest = self.ledger.newest
        return newest.step if newest is not None else -1

    def in_words(self, metric: str) -> str:
        """What people are told a metric is, where its name alone does not say how it was counted."""
        return metric

    def record(self, values: Mapping[str, float], step: int) -> None:
        """Send figures to all loggers (and thereby to the progress bar and the history)."""
        if self.trainer.is_global_zero:
            for logger in self.trainer.loggers:
                logger.log_metrics(dict(values), step)

    # ---- checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what is needed to build the network again and to go on, and the newest scores for whoever gets the file alone."""
        for state in checkpoint.get("optimizer_states", ()):
            state["param_groups"] = plain_groups(state["param_groups"])
        place = Position.reached(self.trainer, self.plan)
        checkpoint[CHECKPOINT_KEY] = {
            **self.about,
            "step": place.step,
            "position": place.as_dict(),
            "latest": {key: value if np.isfinite(value) else None for key, value in self.latest.items()},
            "at": self.latest_step,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put Lightning's counters where the checkpoint's steps are under this run's devices and passes."""
        if self.trainer.state.fn != "fit":
            return
        self.ledger.take(self.trainer.strategy.broadcast(self.ledger.entries()))  # what the first process read
        place = resumed(checkpoint[CHECKPOINT_KEY], self.plan, "ckpt_path")
        counters = place.counters(self.trainer.fit_loop.state_dict(), self.owed(place.step))
        checkpoint["loops"] = {"fit_loop": counters}
