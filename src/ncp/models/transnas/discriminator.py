"""The network that a generator of images is trained against: does a target belong to an image?"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ncp.models.transnas.decoders import SLOPE, scaled

# channels, kernel and stride of the convolutions but the last
LAYERS = ((64, 5, 4), (128, 5, 4), (256, 5, 4), (256, 3, 1), (512, 3, 1), (512, 3, 1))


class Discriminator(nn.Module):
    """Seven convolutions over image and target together (6 channels), averaged over all places to one logit a sample.

    The first six have spectral norm and a leaky ReLU.

    Args:
        channels: of image and target together.
        width: share of the layers' channels, for light trainings.
    """

    def __init__(self, channels: int = 6, width: float = 1.0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for full, kernel, stride in LAYERS:
            outputs = scaled(full, width)
            layers.append(spectral_norm(nn.Conv2d(channels, outputs, kernel, stride, padding=kernel // 2)))
            channels = outputs
        self.layers = nn.ModuleList(layers)
        self.last = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, image_BCHW: Tensor, target_BCHW: Tensor) -> Tensor:
        """``(B,)`` logits: positive where the target looks real."""
        x_BCHW = torch.cat([image_BCHW, target_BCHW], dim=1)
        for layer in self.layers:
            x_BCHW = F.leaky_relu(layer(x_BCHW), SLOPE)
        out: Tensor = self.last(x_BCHW).mean((1, 2, 3))
        return out
