"""3D detection from LiDAR: a searched network under PointPillars' encoder and head, KITTI's average precision.

Source: paper, appendix A.1; Lang et al. 2019 (PointPillars). The last epochs are unstable, so those that the recipe keeps
(76 to 80) are all evaluated; ``pick`` says which of them is the result.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ncp.data.base import DataModule
from ncp.data.kitti import Kitti, frames_of
from ncp.errors import UserError
from ncp.metrics.detection import KittiScores, short
from ncp.metrics.kitti_files import write
from ncp.metrics.kitti_names import in_words
from ncp.models.anchors import Detections, Prediction
from ncp.models.detector import Detector, PointPillarsNet
from ncp.models.pillars import CHANNELS, MAX_PILLARS, MAX_POINTS, Grid, Windows
from ncp.spaces import cost
from ncp.spaces.multires import Architecture
from ncp.tasks.base import Task, counted_macs
from ncp.tasks.budget import shortened
from ncp.tasks.recipe import Plan

log = logging.getLogger(__name__)
PICKS = ("last", "best", "mean")
POINTPILLARS = "pointpillars"
EVALUATIONS = "kitti_ap.json"
RESULTS = "kitti_results"
Full = dict[str, dict[str, float]]


def sum_of_macs(detector: Detector, size: tuple[int, int]) -> int:
    """Multiply-adds of network and head for one map of ``size``, exact: counted from the code where there is one."""
    architecture = getattr(getattr(detector.network, "backbone", None), "architecture", None)
    kinds = detector.head.kinds
    cells = math.prod(-(-side // detector.stride) for side in size)
    head = cells * detector.head.classes.in_channels * kinds * (len(detector.kinds) + 7 + 2)
    if isinstance(architecture, Architecture):
        return int(cost.bev(architecture, size, CHANNELS).macs) + head
    return counted_macs(detector.network, (1, CHANNELS, *size)) + head


class Detection(Task):
    """Batches are those of :func:`ncp.data.kitti.collate`.

    Args:
        args, kwargs: of :class:`ncp.tasks.base.Task`; the network maps a bird's-eye view to a map, encoder and head are added.
        max_pillars: of a scene, in training and in evaluation.
        max_points: of a pillar.
        z_offset: ten channels a point instead of the published nine.
        nms: options of :func:`ncp.models.anchors.detect`: score, overlap, rotated, before, most.
        pick: which of the kept evaluations is the result: the ``last``, the ``best`` (by the main metric), the ``mean``.
        write_results: leave the last evaluation's KITTI result files in the run folder.
    """

    name = "det3d"
    main_metric = "moderate"

    def __init__(
        self,
        network: nn.Module,
        recipe: Any,
        plan: Plan,
        data: DataModule,
        *,
        max_pillars: Sequence[int] = MAX_PILLARS,
        max_points: int = MAX_POINTS,
        z_offset: bool = False,
        nms: Mapping[str, Any] | None = None,
        pick: str = "last",
        write_results: bool = False,
        **kwargs: Any,
    ) -> None:
        if not isinstance(data, Kitti):
            raise UserError(f"task=det3d needs KITTI or the built-in LiDAR scenes, not {type(data).__name__}")
        if pick not in PICKS:
            raise UserError(f"task.pick must be one of {', '.join(PICKS)}, given was '{pick}'")
        if not isinstance(network, Detector):
            grid = Grid(data.limits, data.pillar, data.grid_size)
            network = Detector(
                network,
                grid,
                prior=recipe.prior,
                max_pillars=max_pillars,
                max_points=max_points,
                z_offset=z_offset,
            )
        self.window = None if data.size == data.grid_size else data.size
        plan = shortened(plan, data, sum_of_macs(network, data.size))
        super().__init__(network, recipe, plan, data, **kwargs)
        self.detector = [network]  # in a list so that it is no second submodule
        self.nms, self.pick, self.write_results = dict(nms or {}), pick, write_results
        self.frames = frames_of(data.val_set)
        self.scores: KittiScores = KittiScores(self.frames, data.min_overlap)
        self.evaluations: dict[int, Full] = {}
        self._dropped = {"training": torch.zeros(()), "validation": torch.zeros(())}

    @classmethod
    def make_network(cls, architecture: Any, data: DataModule, **options: Any) -> nn.Module:
        """The network from bird's-eye view to map; encoder and head are added by the task."""
        from ncp.models import build

        return build(architecture, cls.name, classes=0, in_channels=CHANNELS, **options)

    @classmethod
    def make_baseline(cls, name: str, data: DataModule, **options: Any) -> nn.Module:
        """``pointpillars`` (the published backbone), or a timm network."""
        if name == POINTPILLARS:
            return PointPillarsNet()
        from ncp.models import build_timm

        return build_timm(name, task=cls.name, classes=0, **options)

    @classmethod
    def adapt_pretrained(
        cls, weights: Mapping[str, Tensor], network: nn.Module, settings: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        """The network's part of another detector's weights; encoder and head start anew.

        Raises:
            UserError: for a training of another task, whose stem reads other channels.
        """
        mine = {key.removeprefix("network."): value for key, value in weights.items() if key.startswith("network.")}
        if not mine:
            raise UserError(
                "pretrained: task=det3d reads a 64-channel map; only another task=det3d training can be its start"
            )
        return mine

    def forward(self, batch: dict[str, Any], windows: Windows | None = None) -> Prediction:
        """What the head writes for every anchor of a batch (in the windows)."""
        out: Prediction = self._compiled[0](batch["points"], batch["counts"], windows)
        return out

    def loss(self, batch: dict[str, Any], report: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """The three losses' sum, a mean over the scenes (Lang et al. 2019, section 2.3)."""
        detector, windows = self.detector[0], None
        if self.window is not None:
            windows = Windows.draw(len(batch["counts"]), self.window, detector.encoder.grid)
        parts = detector.losses(self(batch, windows), batch["boxes"], batch["labels"], windows)
        loss = parts["box"] + parts["class"] + parts["direction"]
        self._count_dropped("training", batch)
        return loss, {f"{name}_loss": value.detach() for name, value in parts.items()} if report else {}

    @torch.no_grad()
    def detections(self, batch: dict[str, Any]) -> list[Detections]:
        """Boxes found in each scene of a batch, in the LiDAR frame."""
        return self.detector[0].detect(self(batch), **self.nms)

    def _count_dropped(self, split: str, batch: dict[str, Any]) -> None:
        """Without waiting for a GPU; read when an evaluation ends."""
        dropped = batch["dropped"].sum()
        self._dropped[split] = self._dropped[split].to(dropped.device) + dropped

    def in_words(self, metric: str) -> str:
        """With the overlap from which a box counts as found."""
        return in_words(metric, self.scores.min_overlap)

    def predict(self, batch: dict[str, Any]) -> list[Detections]:
        """See :meth:`detections`."""
        return self.detections(batch)

    @torch.no_grad()
    def score(self, batch: dict[str, Any]) -> None:
        """Collect detections."""
        self._count_dropped("validation", batch)
        for index, found in zip(batch["index"].tolist(), self.detections(batch), strict=True):
            self.scores.update(index, found.boxes, found.labels, found.scores)

    def macs(self, architecture: Architecture | str, data: DataModule, size: tuple[int, int] | None = None) -> int:
        """Of network and head; the pillar net adds 576 (nine channels to 64) for every point."""
        assert isinstance(data, Kitti)
        return sum_of_macs(self.detector[0], data.grid_size)

    # ---- evaluation of the kept epochs

    def on_train_start(self) -> None:
        """Take up the evaluations of a run that is continued (its step is known by now)."""
        super().on_train_start()
        path = Path(self.trainer.default_root_dir) / EVALUATIONS
        if path.is_file():
            known = json.loads(path.read_text())["evaluations"]
            self.evaluations = {int(step): full for step, full in known.items() if int(step) <= self.step}

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Evaluate a kept step where Lightning would not."""
        plan, step = self.plan, self.step
        finished = (batch_idx + 1) % plan.policy.accumulate == 0
        if (
            finished
            and step in plan.keep
            and step % plan.eval_every
            and step != plan.steps
            and step not in self.evaluations
        ):
            self.evaluate_now()

    @torch.no_grad()
    def evaluate_now(self) -> None:
        """Go over the validation set in the middle of a training, as Lightning would."""
        self.average_buffers()
        self.eval()
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        with self.trainer.precision_plugin.val_step_context():
            for batch in data.val_dataloader():
                self.score(self.trainer.strategy.batch_to_device(batch))
        self.on_validation_epoch_end()
        self.train()

    def on_validation_epoch_end(self) -> None:
        """Score, and keep all figures of the steps that are kept; after the last one, pick."""
        super().on_validation_epoch_end()
        if self.trainer.sanity_checking:
            return
        self.evaluations[self.evaluated_step] = self.scores.full
        if self.evaluated_step >= self.plan.steps:
            self.latest = self.picks()[self.pick]
        for split, count in self._dropped.items():
            if int(count):
                log.warning("points left out of %s scenes for not being finite: %d", split, int(count))
            self._dropped[split] = torch.zeros(())
        if self.trainer.is_global_zero:
            self._write(Path(self.trainer.default_root_dir))

    @property
    def evaluated_step(self) -> int:
        """The step that an evaluation is of, within a training or of its checkpoint alone."""
        return self.step if self.restored_step < 0 else self.restored_step

    def picks(self) -> dict[str, dict[str, float]]:
        """The paper's figures for every way to choose among the kept steps (and the last one)."""
        kept = {
            step: full for step, full in self.evaluations.items() if step in self.plan.keep or step >= self.plan.steps
        }
        kept = kept or self.evaluations
        tables = {step: short(full) for step, full in sorted(kept.items())}
        best = max(tables.values(), key=lambda t: np.nan_to_num(t[self.main_metric], nan=-1.0))
        mean = {name: float(np.mean([t[name] for t in tables.values()])) for name in best}
        return {"last": tables[max(tables)], "best": best, "mean": mean}

    def _write(self, folder: Path) -> None:
        """``kitti_ap.json``: all 36 figures (11 and 40 recalls) of every evaluation, and the picks."""
        content = {
            "evaluations": {str(step): full for step, full in sorted(self.evaluations.items())},
            "epochs": {str(step): round(step / self.plan.epoch, 3) for step in sorted(self.evaluations)},
            "pick": self.pick,
            "picks": self.picks(),
            "min_overlap": self.scores.min_overlap,
        }
        scratch = folder / f".{EVALUATIONS}.tmp"
        scratch.write_text(json.dumps(content, indent=1))
        os.replace(scratch, folder / EVALUATIONS)
        if self.write_results and (self.restored_step >= 0 or self.step >= self.plan.steps):
            target = folder / RESULTS / "data"
            target.mkdir(parents=True, exist_ok=True)
            for index, objects in self.scores.results.items():
                write(target / f"{self.frames.frames[index].name}.txt", objects)
