"""The paper's network written plainly, with the module names of the public release."""

import torch
from torch import nn


class HeadByHead(nn.Module):
    """The same network written plainly: one small network per head, as the release has it."""

    def __init__(self, dim: int, sizes: list[int], norm: bool) -> None:
        super().__init__()

        def maybe(width: int) -> nn.Module:
            return nn.BatchNorm1d(width) if norm else nn.Identity()

        self.fc = nn.Sequential(maybe(dim), nn.Linear(dim, 256), maybe(256), nn.SiLU(), nn.Dropout(0.5))
        self.nets = nn.ModuleList(
            nn.Sequential(nn.Linear(256, 128), maybe(128), nn.SiLU(), nn.Dropout(0.5), nn.Linear(128, k)) for k in sizes
        )

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        h = self.fc(z)
        return torch.cat([net(h) for net in self.nets], dim=1)
