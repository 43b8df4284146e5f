"""mmdetection3d's anchor head with this project's choice of boxes."""

from __future__ import annotations

from typing import Any

import torch
from mmdet3d.models.dense_heads import Anchor3DHead
from mmdet3d.registry import MODELS
from mmdet3d.structures import LiDARInstance3DBoxes
from mmengine.structures import InstanceData
from torch import Tensor

from ncp.metrics.anchors import place
from ncp.models.anchors import AnchorClass, Prediction, detect


@MODELS.register_module(force=True)
class NCPAnchorHead(Anchor3DHead):  # type: ignore[misc]
    """Trains as ``Anchor3DHead`` does; predicts as :func:`ncp.models.anchors.detect`: each class's best ``before`` boxes go into
    the suppression (theirs: the best ``nms_pre`` of all), overlap is that of the enclosing rectangles unless ``rotated``.

    Args:
        kinds: length, width, height and bottom of each class's anchors, in metres.
        limits: x, y, z from and to of the map.
        nms: ``score``, ``overlap``, ``rotated``, ``before``, ``most``.
        kwargs: of ``Anchor3DHead``.
    """

    def __init__(self, *, kinds: Any, limits: Any, nms: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kinds = tuple(
            AnchorClass(str(i), float(a), float(b), float(c), float(d), 0.0, 0.0)
            for i, (a, b, c, d) in enumerate(kinds)
        )
        self.limits, self.nms = tuple(limits), dict(nms)

    def predict_by_feat(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        dir_cls_preds: list[Tensor],
        batch_input_metas: Any = None,
        cfg: Any = None,
        rescale: bool = False,
        **kwargs: Any,
    ) -> list[InstanceData]:
        """Boxes of every scene."""

        def flat(y: Tensor, width: int) -> Tensor:
            return y.permute(0, 2, 3, 1).reshape(y.shape[0], -1, width)

        scores, boxes, directions = cls_scores[0], bbox_preds[0], dir_cls_preds[0]
        written = Prediction(flat(scores, self.num_classes), flat(boxes, 7), flat(directions, 2))
        size = int(scores.shape[-2]), int(scores.shape[-1])
        anchors = torch.from_numpy(place(self.kinds, self.limits, size)[0]).to(scores.device)
        out = []
        for found in detect(written, anchors, **self.nms):
            boxes, labels, chosen = (value.to(scores.device) for value in found)
            boxes_3d = LiDARInstance3DBoxes(boxes, origin=(0.5, 0.5, 0.5))
            out.append(InstanceData(bboxes_3d=boxes_3d, scores_3d=chosen, labels_3d=labels))
        return out
