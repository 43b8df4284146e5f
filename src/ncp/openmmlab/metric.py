"""KITTI's average precision inside mmdetection3d, without numba.cuda."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS

from ncp.data.kitti_frames import DEFAULT_IMAGE, Calibration, image_size
from ncp.errors import UserError
from ncp.files import printable
from ncp.metrics.kitti import MIN_OVERLAP, evaluate_objects
from ncp.metrics.kitti_files import Objects, read
from ncp.metrics.kitti_names import short


@METRICS.register_module(force=True)
class NCPKittiMetric(BaseMetric):  # type: ignore[misc]
    """Average precision of 2D, bird's-eye view, 3D and orientation, with 11 and 40 recalls, as KITTI's own tool counts it.

    All figures are those of the official tool. mmdetection3d's ``KittiMetric``, which runs on NVIDIA's GPUs alone, says the
    same in the image and in 3D; from above it is lower (by 1 to 9 points on a thousand recorded frames): in frames with
    ``DontCare`` areas the official tool leaves out what is found where nothing is, theirs counts it as errors.

    Args:
        root: KITTI's ``training`` folder, with ``label_2``, ``calib`` and (for the images' sizes) ``image_2``.
        classes: names of the labels' numbers, in their order.
        min_overlap: what counts as found, by class.
        all_figures: also report the 36 figures by their names such as ``car/3d/moderate/AP40``.
        kwargs: of mmengine's ``BaseMetric``.
    """

    default_prefix = "KITTI"

    def __init__(
        self,
        root: str,
        classes: Sequence[str] = ("Pedestrian", "Cyclist", "Car"),
        min_overlap: Mapping[str, float] = MIN_OVERLAP,
        all_figures: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.root, self.classes = Path(root), list(classes)
        self.min_overlap, self.all_figures = dict(min_overlap), all_figures
        for part in ("label_2", "calib"):
            if not (self.root / part).is_dir():
                raise UserError(f"NCPKittiMetric finds no folder {part} in root='{printable(self.root)}'")

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Keep the boxes of a batch as numbers, with the names of their frames."""
        for sample in data_samples:
            found = sample["pred_instances_3d"]
            boxes = found["bboxes_3d"]
            centred = np.concatenate([_numbers(boxes.gravity_center), _numbers(boxes.tensor)[:, 3:7]], 1)
            name = Path(str(sample["lidar_path"])).stem
            self.results.append((name, centred, _numbers(found["labels_3d"]), _numbers(found["scores_3d"])))

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """The figures of the paper's tables, in percent."""
        truth, detections = [], []
        for name, boxes, labels, scores in results:
            truth.append(read(self.root / "label_2" / f"{name}.txt", scores=False))
            detections.append(self._result(name, boxes, labels, scores))
        full = evaluate_objects(truth, detections, self.min_overlap)
        told = short(full, list(self.min_overlap))
        if self.all_figures:
            told |= {f"{key}/{kind}": value for key, row in full.items() for kind, value in row.items()}
        return told

    def _result(self, name: str, boxes: np.ndarray, labels: np.ndarray, scores: np.ndarray) -> Objects:
        calibration = Calibration.read(self.root / "calib" / f"{name}.txt")
        image = image_size(self.root / "image_2" / f"{name}.png") or DEFAULT_IMAGE
        return calibration.results(boxes.astype(np.float64), labels.astype(np.int64), scores, image, self.classes)


def _numbers(value: Any) -> np.ndarray:
    out: np.ndarray = value.detach().cpu().numpy()
    return out
