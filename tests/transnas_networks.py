"""The encoders of TransNAS-Bench-101 as the benchmark describes them, a second time and plainly, to compare with."""

import torch
from torch import nn


def conv(i: int, o: int, kernel: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(nn.ReLU(), nn.Conv2d(i, o, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(o))


class FactorizedReduce(nn.Module):
    def __init__(self, i: int, o: int, stride: int) -> None:
        super().__init__()
        self.a, self.b = (nn.Conv2d(i, o // 2, 1, stride, bias=False) for _ in range(2))
        self.norm = nn.BatchNorm2d(o)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shifted = nn.functional.pad(x.relu(), (0, 1, 0, 1))[..., 1:, 1:]
        return self.norm(torch.cat([self.a(x.relu()), self.b(shifted)], 1))


class Cell(nn.Module):
    def __init__(self, text: str, i: int, o: int, stride: int) -> None:
        super().__init__()
        self.o, self.stride = o, stride
        self.nodes = nn.ModuleList()
        for node in text.split("_"):
            edges = []
            for source, digit in enumerate(node):
                a, s = (i, stride) if source == 0 else (o, 1)
                changed = FactorizedReduce(a, o, s) if (a, s) != (o, 1) else nn.Identity()
                edges.append({"0": None, "1": changed, "2": conv(a, o, 1, s), "3": conv(a, o, 3, s)}[digit])
            self.nodes.append(nn.ModuleList(edges))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        sums = [x]
        size = [(n + self.stride - 1) // self.stride for n in x.shape[2:]]
        for edges in self.nodes:
            node = x.new_zeros(len(x), self.o, *size)
            for edge, given in zip(edges, sums, strict=False):
                node = node + edge(given) if edge is not None else node
            sums.append(node)
        return sums[-1]


class Block(nn.Module):
    def __init__(self, i: int, o: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(i, o, 3, stride), conv(o, o, 3))
        changed = nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))
        self.shortcut = changed if (i, stride) != (o, 1) else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x) + self.shortcut(x)


def built(text: str) -> nn.Module:
    _, modules, cell = text.split("-")
    stem = nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), conv(32, 64, 3, 2))
    layers, width = [stem], 64
    for digit in modules:
        o, stride = width * (2 if digit in "24" else 1), 2 if digit in "34" else 1
        make = Block if cell == "basic" else lambda *sizes: Cell(cell, *sizes)
        layers += [make(width, o, stride), make(o, o, 1)]
        width = o
    return nn.Sequential(*layers)
