"""What the seven tasks share: batches, networks of several spaces, exact cost.

Shape suffixes: B batch, P tiles, C channels, H, W height and width.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ncp.data.base import DataModule, Key
from ncp.data.transforms import normalise
from ncp.errors import UserError
from ncp.models.transnas import nets
from ncp.spaces import AnyArchitecture, transnas_macro, transnas_micro
from ncp.spaces.base import of_form
from ncp.tasks.base import Task, counted_macs
from ncp.tasks.budget import shortened
from ncp.tasks.position import Plan
from ncp.tasks.recipe import Recipe


class SceneTask(Task):
    """Base of the seven tasks. A batch is a pair (images, targets), or a mapping with ``image`` and ``label``.

    Images are ``(B, C, H, W)`` (a jigsaw's ``(B, 9, C, H, W)``), float32 and normalised, or uint8. Where several tasks have
    targets, these are a mapping with the tasks' names.
    """

    prefix = "valid_"
    spaces: ClassVar[tuple[str, ...]] = ("multires", "transnas-micro", "transnas-macro")
    weighs_classes: ClassVar[bool] = False
    """Whether the loss knows ``recipe.class_weights``."""

    def __init__(self, network: nn.Module, recipe: Recipe, plan: Plan, data: DataModule, **kwargs: Any) -> None:
        self._refuse_idle(recipe)
        plan = shortened(plan, data, self._macs(network, shape_of(data)))
        super().__init__(network, recipe, plan, data, **kwargs)

    @classmethod
    def _refuse_idle(cls, recipe: Recipe) -> None:
        """Refuse what a recipe says about the loss and this task's loss does not know."""
        if recipe.class_weights is not None and not cls.weighs_classes:
            raise UserError(f"recipe.class_weights does nothing for task={cls.name}; leave it out")
        if recipe.label_smoothing:
            raise UserError(f"recipe.label_smoothing does nothing for task={cls.name}; leave it out")

    @classmethod
    def make_network(cls, architecture: Any, data: DataModule, **options: Any) -> nn.Module:
        """The network of an architecture of any of ``spaces`` (``options`` go to :func:`ncp.models.build_scene`)."""
        dense = nets.TASKS[cls.name].head == "image"
        outputs = None if dense else len(data.classes)
        return nets.build_scene(architecture, cls.name, outputs, data.in_channels, **options)

    @classmethod
    def make_baseline(cls, name: str, data: DataModule, **options: Any) -> nn.Module:
        """There are none: raises ``UserError``."""
        raise UserError(
            f"task={cls.name} trains architectures of {', '.join(cls.spaces)}; there is no arch={name} for it"
        )

    @classmethod
    def model_options(cls, architecture: Any) -> tuple[str, ...]:
        """A decoder's width and depth; checkpointing of the multi-resolution backbone; the other encoders' light form."""
        decoder = ("decoder_width", "short_decoder") if nets.TASKS[cls.name].head in ("pixels", "image") else ()
        own = ("grad_checkpointing",) if of_form(architecture) == "multires" else ("base", "stem_stride")
        return ("channels_last", *decoder, *own)

    def prepare_batch(self, batch: Any) -> Tensor:
        """The network's input, in its own kind of numbers; bytes are normalised on the device."""
        images = images_of(batch)
        dtype = next(self.network.parameters()).dtype
        flat = images.flatten(0, images.ndim - 4)
        flat = normalise(flat, self.mean, self.std, dtype) if flat.dtype == torch.uint8 else flat.to(dtype)
        flat = flat.contiguous(memory_format=torch.channels_last)
        return flat if images.ndim == 4 else flat.unflatten(0, images.shape[:-3])  # type: ignore[no-any-return, no-untyped-call]

    def targets(self, batch: Any) -> Tensor:
        """This task's targets of a batch."""
        return targets_of(batch, self.name)

    def macs(self, architecture: AnyArchitecture | str, data: DataModule, size: tuple[int, int] | None = None) -> int:
        """Of one sample: the encoder as the benchmark counts it, with all edges of its cells, and the head."""
        shape = shape_of(data, training=False)
        return self._macs(self.network, (*shape[:-2], *(size or shape[-2:])) if len(shape) == 3 else shape)

    def _macs(self, network: nn.Module, shape: tuple[int, ...]) -> int:
        """Multiply-adds of a sample ``(C, H, W)`` or ``(P, C, H, W)``."""
        assert isinstance(network, nets.SceneNet)
        tiles, size = (1 if len(shape) == 3 else shape[0]), (shape[-2], shape[-1])
        architecture = network.architecture
        counts: dict[type, Any] = {
            transnas_micro.Architecture: transnas_micro.count, transnas_macro.Architecture: transnas_macro.count,
        }  # fmt: skip
        if type(architecture) in counts and shape[-3] == 3 and not network.backbone.light:
            encoder = int(counts[type(architecture)]([architecture.code], size).macs[0])
        else:
            encoder = counted_macs(network.backbone, (1, *shape[-3:]))
        trial = copy.deepcopy(network.backbone).to("meta").eval()
        with torch.no_grad():
            features = trial(torch.empty(1, *shape[-3:], device="meta")).shape
        return tiles * encoder + counted_macs(network.head, (1, tiles * features[1], *features[2:]))


def images_of(batch: Any) -> Tensor:
    """The images of a batch, or of a sample."""
    images: Tensor = batch["image"] if isinstance(batch, Mapping) else batch[0]
    return images


def targets_of(batch: Any, task: str) -> Tensor:
    """A task's targets of a batch, or of a sample."""
    found: Any = batch["label"] if isinstance(batch, Mapping) else batch[1]
    targets: Tensor = found[task] if isinstance(found, Mapping) else found
    return targets


def side_of(data: DataModule) -> int:
    """Pixels of the shorter side of an evaluation's images."""
    return min(data.eval_size or data.size)


def shape_of(data: DataModule, training: bool = True) -> tuple[int, ...]:
    """``(C, H, W)`` of an image of a training (an evaluation), ``(P, C, H, W)`` of a jigsaw's tiles."""
    sample = data.train_set[Key(0, 0)] if training else data.val_set[Key(-1, 0)]
    return tuple(torch.as_tensor(images_of(sample)).shape)
