"""Video recognition: clips under a 3D head, cross entropy, top-1 and top-5 (paper, appendix A.1).

The 2D network runs on every frame. The paper replaces "the last 2D convolutional layer before the final classification layer"
by a 3x3x3 one. In the searched networks that is the convolution that joins the four branches: stride 1, padding 1, the same
channels, then the average over time and space and one linear layer (:class:`ncp.models.heads.VideoHead`). What else the paper
leaves open, and our choice, stands in ``conf``: length and sampling of the clips, clips of a test video, the crops' scale.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ncp.data.base import DataModule
from ncp.data.clips import VideoData
from ncp.data.transforms import normalise
from ncp.errors import UserError
from ncp.metrics.classification import TopK, percent
from ncp.spaces import cost
from ncp.spaces.base import AnyArchitecture
from ncp.spaces.multires import Architecture
from ncp.tasks.base import Task, counted_macs, weighted_cross_entropy
from ncp.tasks.budget import shortened
from ncp.tasks.position import Plan
from ncp.tasks.recipe import Recipe

log = logging.getLogger(__name__)
LAYERS = ("inflated", "fresh")
JOIN = "head.join.conv.weight"  # of a classification network
CONV = "head.conv.weight"  # of a video network


class VideoRecognition(Task):
    """Batches hold ``image`` ``(B, K, T, C, H, W)``, K clips of a video, ``label`` ``(B,)`` (-1: not counted) and ``skipped``.

    Args:
        network, recipe, plan, data, kwargs: see :class:`ncp.tasks.base.Task`.
        pretrained_layer: how the 3D convolution starts from a classification checkpoint; see :func:`inflate`.
        pretrained_required: refuse to train from scratch.
    """

    name = "video"
    main_metric = "top1"

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        plan: Plan,
        data: DataModule,
        *,
        pretrained_layer: str = "inflated",
        pretrained_required: bool = False,
        **kwargs: Any,
    ) -> None:
        if not isinstance(data, VideoData):
            raise UserError(f"task=video needs videos, not {type(data).__name__}")
        check_layer(pretrained_layer)
        plan = shortened(plan, data, clip_macs(network, data, data.size))
        super().__init__(network, recipe, plan, data, **kwargs)
        self.pretrained_required = pretrained_required
        self.ks = (1, min(5, len(self.classes)))
        self.scores = TopK(self.ks)

    @classmethod
    def adapt_pretrained(
        cls, weights: Mapping[str, Tensor], network: nn.Module, settings: Mapping[str, Any]
    ) -> dict[str, Tensor]:
        """A classification checkpoint's weights as this network's; the classifier and, if ``fresh``, the join are left out."""
        layer = check_layer(str(settings.get("pretrained_layer", LAYERS[0])))
        own = network.state_dict()
        if not any(key.startswith("backbone.") for key in weights):  # a network of timm, which is one piece
            prefix = next((k.removesuffix("conv1.weight") for k in own if k.endswith("net.conv1.weight")), "")
            weights = {f"{prefix}{key}": value for key, value in weights.items()}
        elif JOIN in weights and CONV not in weights:
            weights = {**weights, **(inflate(weights, own) if layer == "inflated" else {})}
            log.info("pretrained: the 3D convolution is %s", layer)
        return {key: value for key, value in weights.items() if not key.startswith("head.classifier.")}

    def prepare_batch(self, batch: dict[str, Any]) -> Tensor:
        """``(B * K, T, C, H, W)``: all clips, their frames normalised on the device, channels last."""
        frames = batch["image"].flatten(0, 2)
        x = normalise(frames, self.mean, self.std, next(self.network.parameters()).dtype)
        x = x.contiguous(memory_format=torch.channels_last)
        out: Tensor = x.unflatten(0, (-1, batch["image"].shape[2]))  # type: ignore[no-untyped-call]
        return out

    def on_fit_start(self) -> None:
        """Refuse to begin without a pretrained network where one is required."""
        if self.pretrained_required and not self.about.get("config", {}).get("pretrained"):
            raise UserError(
                "this experiment starts from a classification training of the same architecture; give "
                "pretrained=<its checkpoints/last.ckpt>, or use setting=video to train from scratch"
            )

    def loss(self, batch: dict[str, Any], report: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross entropy; with the batch's top-1 and top-5."""
        logits_BK = self(batch)
        label_B = batch["label"].repeat_interleave(batch["image"].shape[1])
        loss = weighted_cross_entropy(logits_BK, label_B, self.class_weights, self.recipe.label_smoothing)
        if not report:
            return loss, {}
        return loss, percent(logits_BK.detach(), label_B, self.ks)

    def usage(self, data: DataModule) -> dict[str, Any]:
        """With which frames are read."""
        assert isinstance(data, VideoData)
        sampling = data.sampling
        clips = {"kind": sampling.kind, "frames": sampling.frames, "stride": sampling.stride, "clips": sampling.clips}
        return {**super().usage(data), "clips": clips}

    def macs(self, architecture: AnyArchitecture | str, data: DataModule, size: tuple[int, int] | None = None) -> int:
        """Of one clip."""
        assert isinstance(data, VideoData)
        return clip_macs(self.network, data, size or data.eval_size or data.size)

    def probabilities(self, batch: dict[str, Any]) -> Tensor:
        """``(B, classes)``: averaged over a video's clips."""
        logits = self(batch).float()
        out: Tensor = logits.softmax(1).unflatten(0, batch["image"].shape[:2]).mean(1)
        return out

    @torch.no_grad()
    def score(self, batch: dict[str, Any]) -> None:
        """Count hits among the videos that could be read."""
        counted = batch["label"] >= 0
        self.scores.update(self.probabilities(batch)[counted], batch["label"][counted])

    @torch.no_grad()
    def predict(self, batch: dict[str, Any]) -> Tensor:
        """``(B,)`` the likeliest classes."""
        classes_B: Tensor = self.probabilities(batch).argmax(1)
        return classes_B


def check_layer(layer: str) -> str:
    """``layer`` itself, or a ``UserError``."""
    if layer not in LAYERS:
        raise UserError(f"task.pretrained_layer must be one of {', '.join(LAYERS)}, given was '{layer}'")
    return layer


def inflate(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The head's 3x3x3 convolution and its norm from a classification network's 1x1 join.

    The join's weights stand in the middle of the 27 taps, the others are zero: the video network begins as the average of the
    classification network over the frames.

    Args:
        weights: of the classification network, with ``head.join.conv`` ``(O, I, 1, 1)`` and ``head.join.norm``.
        own: of the video network.
    """
    conv = torch.zeros_like(own[CONV])
    join = weights[JOIN]
    if join.ndim != 4 or join.shape[:2] != conv.shape[:2]:
        return {}  # another architecture: load_pretrained says so
    conv[:, :, 1, 1, 1] = join[:, :, 0, 0]
    norm = {key: value for key, value in weights.items() if key.startswith("head.join.norm.")}
    return {CONV: conv, **{key.replace("head.join.norm.", "head.norm."): value for key, value in norm.items()}}


def clip_macs(network: nn.Module, data: VideoData, size: tuple[int, int]) -> int:
    """Multiply-adds of one clip, exact: counted from the code where there is one, by torch on the network where not."""
    architecture = getattr(getattr(network, "backbone", None), "architecture", None)
    if isinstance(architecture, Architecture):
        return int(cost.video(architecture, size, data.frames, len(data.classes), data.in_channels).macs)
    return counted_macs(network, (1, data.frames, data.in_channels, *size))
