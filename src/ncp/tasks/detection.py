"""3D detection from LiDAR: a searched network under PointPillars' encoder and head, KITTI's average precision.

Source: paper, appendix A.1; Lang et al. 2019 (PointPillars). The last epochs are unstable, so those that the recipe keeps
(76 to 80) are all evaluated; ``pick`` says which of them is the result.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ncp import files
from ncp import options as typed
from ncp.card import Suppression
from ncp.data.base import DataModule
from ncp.data.kitti import Kitti, frames_of
from ncp.errors import UserError
from ncp.metrics.detection import KittiScores
from ncp.metrics.kitti_files import write_objects
from ncp.metrics.kitti_names import MAIN, in_words, names_of
from ncp.models.anchors import KITTI_ANCHORS, AnchorClass, Detections, Prediction, detect
from ncp.models.detector import Detector, pointpillars
from ncp.models.detector_file import space_of
from ncp.models.factory import to_channels_last
from ncp.models.pillars import CHANNELS, MAX_PILLARS, MAX_POINTS, Grid
from ncp.models.setups import POINTPILLARS
from ncp.spaces import cost
from ncp.spaces.base import AnyArchitecture
from ncp.spaces.multires import Architecture
from ncp.tasks.base import Task, counted_macs
from ncp.tasks.budget import shortened
from ncp.tasks.ledger import flat, nested
from ncp.tasks.position import Plan
from ncp.tasks.stepping import Part

log = logging.getLogger(__name__)
PICKS = ("last", "best", "mean")
EVALUATIONS = "kitti_ap.json"
RESULTS = "kitti_results"


def sum_of_macs(detector: Detector, size: tuple[int, int]) -> int:
    """Multiply-adds of network and head for one map of ``size``, exact: counted from the code where there is one."""
    architecture = getattr(getattr(detector.network, "backbone", None), "architecture", None)
    kinds = detector.head.kinds
    cells = math.prod(-(-side // detector.stride) for side in size)
    head = cells * detector.head.classes.in_channels * kinds * (len(detector.kinds) + 7 + 2)
    if isinstance(architecture, Architecture):
        return int(cost.bev(architecture, size, CHANNELS).macs) + head
    return counted_macs(detector.network, (1, CHANNELS, *size)) + head


def anchors_of(data: Kitti) -> tuple[AnchorClass, ...]:
    """The anchors of a set's classes: KITTI's, unless the set has its own."""
    if data.anchors is None:
        return KITTI_ANCHORS
    return tuple(AnchorClass(name=name, **data.anchors[name]) for name in data.classes)


class Detection(Task):
    """Batches are those of :func:`ncp.data.kitti.collate`.

    Args:
        args, kwargs: of :class:`ncp.tasks.base.Task`; the network maps a bird's-eye view to a map, encoder and head are added.
        max_pillars: of a scene, in training and in evaluation.
        max_points: of a pillar.
        z_offset: ten channels a point instead of the published nine.
        nms: options of :func:`ncp.models.anchors.detect`: score, overlap, rotated, before, most.
        min_pos_iou: an object whose best anchors overlap it by less has none of its own; 0: it always has some (see
            :func:`ncp.models.anchors.match`).
        pick: which of the kept evaluations is the result: the ``last``, the ``best`` (by the main metric), the ``mean``.
        write_results: leave the last evaluation's KITTI result files in the run folder.
    """

    name = "det3d"
    main_metric = "moderate"
    static = False  # as many points, pillars and objects as a scene has

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
        min_pos_iou: float = 0.0,
        pick: str = "last",
        write_results: bool = False,
        **kwargs: Any,
    ) -> None:
        if not isinstance(data, Kitti):
            raise UserError(f"task=det3d needs KITTI or the built-in LiDAR scenes, not {type(data).__name__}")
        if not 0 <= min_pos_iou <= 1:
            raise UserError(f"task.min_pos_iou is an overlap from 0 to 1, given was {min_pos_iou}")
        if pick not in PICKS:
            raise UserError(f"task.pick must be one of {', '.join(PICKS)}, given was '{pick}'")
        if recipe.class_weights is not None:
            raise UserError("recipe.class_weights does nothing for task=det3d; leave it out")
        typed.check(detect, dict(nms or {}), "task.nms", first=2, title="the suppression")
        files.checked(dict(nms or {}), Suppression, "task.nms")
        if not isinstance(network, Detector):
            grid = Grid(data.limits, data.pillar, data.grid_size)
            network = Detector(
                network,
                grid,
                anchors_of(data),
                prior=recipe.prior,
                max_pillars=max_pillars,
                max_points=max_points,
                z_offset=z_offset,
            )
        plan = shortened(plan, data, sum_of_macs(network, data.size))
        super().__init__(network, recipe, plan, data, **kwargs)
        self.detector = [network]  # in a list so that it is no second submodule
        self.nms, self.pick, self.write_results = dict(nms or {}), pick, write_results
        self.min_pos_iou = min_pos_iou
        self.frames = frames_of(data.val_set)
        self.scores: KittiScores = KittiScores(self.frames, data.min_overlap)
        self._dropped = {"training": torch.zeros(()), "validation": torch.zeros(())}

    @classmethod
    def make_network(cls, architecture: Any, data: DataModule, **options: Any) -> nn.Module:
        """The network from bird's-eye view to map; encoder and head are added by the task."""
        from ncp.models import build

        return build(architecture, cls.name, classes=0, in_channels=CHANNELS, **options)

    @classmethod
    def make_baseline(cls, name: str, data: DataModule, **options: Any) -> nn.Module:
        """The published backbone (``pointpillars``) or its thinner kin, or a timm network."""
        if name in POINTPILLARS:
            return to_channels_last(pointpillars(name)) if options.get("channels_last") else pointpillars(name)
        from ncp.models import build_timm

        return build_timm(name, task=cls.name, classes=0, **options)

    @classmethod
    def model_options(cls, architecture: Any) -> tuple[str, ...]:
        """PointPillars' backbone is small: it keeps all its maps for the backward pass."""
        return ("channels_last",) if architecture in POINTPILLARS else super().model_options(architecture)

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

    def part(self) -> Part:
        """Network and head: pillars before them and matches after them are as many as a scene has."""
        detector = self.detector[0]
        used = [*detector.network.parameters(), *detector.head.parameters()]
        return Part(partial(Detector.maps, detector), used, partial(setattr, detector, "maps"))

    def forward(self, batch: dict[str, Any]) -> Prediction:
        """What the head writes for every anchor of a batch."""
        out: Prediction = self._compiled[0](batch["points"], batch["counts"])
        return out

    def loss(self, batch: dict[str, Any], report: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """The three losses' sum, a mean over the scenes (Lang et al. 2019, section 2.3)."""
        parts = self.detector[0].losses(self(batch), batch["boxes"], batch["labels"], self.min_pos_iou)
        loss = parts["box"] + parts["class"] + parts["direction"]
        self._count_dropped("training", batch)
        return loss, {f"{name}_loss": value.detach() for name, value in parts.items()} if report else {}

    @torch.no_grad()
    def detections(self, batch: dict[str, Any]) -> list[Detections]:
        """Boxes found in each scene of a batch, in the LiDAR frame."""
        return self.detector[0].detect(self(batch), **self.nms)

    def _count_dropped(self, split: str, batch: dict[str, Any]) -> None:
        """Read when an evaluation ends: where it lies on a GPU it is not waited for."""
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

    def score_nothing(self) -> None:
        """Lists are gathered from all devices, empty ones too."""
        self.scores.update_nothing()

    def usage(self, data: DataModule) -> dict[str, Any]:
        """What the detector sees, and how its boxes are chosen."""
        return {"space": space_of(self.detector[0], self.nms)}

    def macs(self, architecture: AnyArchitecture | str, data: DataModule, size: tuple[int, int] | None = None) -> int:
        """Of network and head; the pillar net adds 576 (nine channels to 64) for every point."""
        assert isinstance(data, Kitti)
        return sum_of_macs(self.detector[0], data.grid_size)

    # ---- evaluations

    def on_train_start(self) -> None:
        """KITTI's file as the ledger of a run that is continued says."""
        super().on_train_start()
        if len(self.ledger) and self.trainer.is_global_zero:
            self._write_file(Path(self.trainer.default_root_dir))

    def on_validation_epoch_end(self) -> None:
        """Score, and write_objects KITTI's files."""
        super().on_validation_epoch_end()
        for split, count in self._dropped.items():
            if int(count):
                log.warning("points left out of %s scenes for not being finite: %d", split, int(count))
            self._dropped[split] = torch.zeros(())
        if self.trainer.is_global_zero and not self.quick:
            self._write_file(Path(self.trainer.default_root_dir))
            if self.write_results and (self.restored_step >= 0 or self.step >= self.plan.steps):
                self._write_results(Path(self.trainer.default_root_dir))

    def further_figures(self) -> dict[str, float]:
        """All 36, with 11 and with 40 recalls, such as ``car/3d/moderate/AP40``."""
        return flat(self.scores.full)

    def picks(self) -> dict[str, dict[str, float]]:
        """All figures for every way to choose among the kept steps (and the last one)."""
        tables = {entry.step: dict(entry.metrics) for entry in self.ledger}
        kept = {step: t for step, t in tables.items() if step in self.plan.keep or step >= self.plan.steps} or tables
        best = max(kept.values(), key=lambda t: np.nan_to_num(t[self.main_metric], nan=-1.0))
        mean = {name: float(np.mean([t.get(name, np.nan) for t in kept.values()])) for name in best}
        return {"last": kept[max(kept)], "best": best, "mean": mean}

    def measured(self) -> dict[str, float]:
        """Of the end what ``pick`` chooses, before it those of the newest evaluation."""
        return self.picks()[self.pick] if self.latest_step >= self.plan.steps else super().measured()

    @property
    def latest(self) -> dict[str, float]:
        """The figures of the paper's tables."""
        return {name: value for name, value in self.measured().items() if name in self.told}

    @property
    def told(self) -> tuple[str, ...]:
        """The figures that are told of every evaluation, the main one first."""
        return (MAIN, *(name for name in names_of(list(self.scores.min_overlap)) if name != MAIN))

    def _write_file(self, folder: Path) -> None:
        """``kitti_ap.json``: the ledger's figures as KITTI's tools name them, and the picks."""
        picks = {way: {k: v for k, v in table.items() if k in self.told} for way, table in self.picks().items()}
        content = {
            "evaluations": {str(entry.step): nested(entry.metrics) for entry in self.ledger},
            "epochs": {str(entry.step): round(float(entry.epoch), 3) for entry in self.ledger},
            "pick": self.pick,
            "picks": picks,
            "min_overlap": self.scores.min_overlap,
        }
        files.write_text(folder / EVALUATIONS, json.dumps(content, indent=1))

    def _write_results(self, folder: Path) -> None:
        target = folder / RESULTS / "data"
        target.mkdir(parents=True, exist_ok=True)
        for index, objects in self.scores.results.items():
            write_objects(target / f"{self.frames.frames[index].name}.txt", objects)
