"""From an image to another of its size: surface normals, and the image itself.

Shape suffixes: B batch, C channels, H, W height and width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ncp.data.base import DataModule
from ncp.errors import UserError
from ncp.metrics import similarity
from ncp.metrics.averages import Averages
from ncp.models.bf16 import protect
from ncp.models.transnas.discriminator import Discriminator
from ncp.tasks.position import Plan, Position
from ncp.tasks.recipe import Recipe
from ncp.tasks.scenes.adversary import Gradients, discriminator_loss, frozen, vanilla
from ncp.tasks.scenes.base import SceneTask, side_of

FIGURES = ("ssim", "ssim_usual", "l1_loss")


class Images(SceneTask):
    """Base: targets ``(B, 3, H, W)`` in -1..1, L1 loss and a conditional discriminator.

    ``ssim`` is the figure that the benchmark records, which takes images for such of a range of 1; ``ssim_usual`` is the one that
    belongs to the targets' own range. ``l1_loss`` holds its weight, as in the benchmark's code.

    Attributes:
        range: the least and the largest number of targets: of normals what the data says.

    Args:
        network, recipe, plan, data, kwargs: see :class:`ncp.tasks.base.Task`.
        l1, gan: weights of the two losses.
        discriminator_width: share of the discriminator's channels, for light trainings.
    """

    main_metric = "valid_ssim"
    static = False  # the discriminator takes a step of its own within a pass

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        plan: Plan,
        data: DataModule,
        *,
        l1: float = 0.99,
        gan: float = 0.01,
        discriminator_width: float = 1.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(network, recipe, plan, data, seed=seed, **kwargs)
        for key, weight in (("l1", l1), ("gan", gan)):
            if not weight >= 0:
                raise UserError(f"task.{key} is a loss's weight, 0 or more, given was {weight}")
        if not 0 < discriminator_width <= 1:
            raise UserError(f"task.discriminator_width must be above 0 and at most 1, given was {discriminator_width}")
        self.l1, self.gan = l1, gan
        given: Any = getattr(data, "normal_range", (-1.0, 1.0)) if self.name == "normal" else (-1.0, 1.0)
        self.range = (float(given[0]), float(given[1]))
        self.scores = Averages(FIGURES)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.discriminator = protect(Discriminator(data.in_channels + 3, discriminator_width))
        self._gradients = Gradients(self.discriminator)
        # its gradients are gathered here, not by torch's wrapper for several devices
        self._ddp_params_and_buffers_to_ignore = [
            name for name in self.state_dict() if name.startswith("discriminator.")
        ]

    def usage(self, data: DataModule) -> dict[str, Any]:
        """With the size that images are brought to, and how what is made becomes bytes."""
        scale = 255 / (self.range[1] - self.range[0])
        numbers = {"scale": [scale] * 3, "shift": [-self.range[0] * scale] * 3}
        return {**super().usage(data), "short": side_of(data), **numbers}

    def trained(self) -> list[nn.Parameter]:
        """The network's parameters, then the discriminator's."""
        return [*super().trained(), *self.discriminator.parameters()]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One optimiser of two groups."""
        groups: Any = [
            {"params": list(self.network.parameters())},
            {"params": list(self.discriminator.parameters())},
        ]
        return self.recipe.make_optimizer(groups)

    def loss(self, batch: Any, report: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """The network's loss, after the discriminator has learnt from what it made."""
        image, target = self.prepare_batch(batch), self.targets(batch)
        made = self._compiled[0](image)
        against = self._teach(image, target, made)
        with frozen(self.discriminator):
            fooled = vanilla(self.discriminator(image, made), real=True) * self.gan
        near = (made.float() - target).abs().mean() * self.l1
        if not report:
            return near + fooled, {}
        alike = similarity.released(made.detach(), target).mean()
        return near + fooled, {
            "g_loss": (near + fooled).detach(),
            "d_loss": against,
            "l1_loss": near.detach(),
            "ssim": alike,
        }

    def _teach(self, image: Tensor, target: Tensor, made: Tensor) -> Tensor:
        """One pass of the discriminator, and its step where a step ends; its loss."""
        place = Position.running(self.trainer, self.plan)
        loss = discriminator_loss(self.discriminator, image, target, made)
        self._gradients.add(loss, 1 / self.plan.policy.accumulate)
        if place.last_pass:
            others = list(self.network.parameters())
            self._gradients.step(self.trainer.optimizers[0], others, self.trainer.world_size)
        return loss.detach()

    @torch.no_grad()
    def score(self, batch: Any) -> None:
        """Compare with the targets."""
        made, target = self(batch).float(), self.targets(batch)
        self.scores.update({
            "ssim": similarity.released(made, target),
            "ssim_usual": similarity.usual(made, target, self.range[1] - self.range[0]),
            "l1_loss": (made - target).abs().mean((1, 2, 3)) * self.l1,
        })  # fmt: skip

    @torch.no_grad()
    def predict(self, batch: Any) -> Tensor:
        """``(B, 3, H, W)`` in -1..1."""
        out: Tensor = self(batch).float()
        return out

    def in_words(self, metric: str) -> str:
        """SSIM as the benchmark has it."""
        return f"{metric} (as released)" if metric.removeprefix(self.prefix) == "ssim" else metric


class SurfaceNormals(Images):
    """Which way every surface faces."""

    name = "normal"


class Autoencoding(Images):
    """The image itself."""

    name = "autoencoder"
