"""The multi-resolution network once more, written plainly from its specification, with all the useless work done.

It shares nothing with ``ncp.models`` but the names of the weights, and reads the architecture from its text by itself.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor


class Plain:
    """``plain(x)`` computes what ``net(x)`` should, from ``net.state_dict()`` (which it updates in training, as a net does)."""

    def __init__(
        self, text: str, weights: Mapping[str, Tensor], training: bool, stem_strides: tuple[int, int] = (2, 2)
    ) -> None:
        self.groups = [[int(n) for n in group.split("_")] for group in text.split("-")]
        self.w = weights
        self.training = training
        self.stem_strides = stem_strides

    def norm(self, name: str, x: Tensor) -> Tensor:
        w = self.w
        mean, var = w[f"{name}.running_mean"], w[f"{name}.running_var"]
        return F.batch_norm(x, mean, var, w[f"{name}.weight"], w[f"{name}.bias"], self.training, 0.1, 1e-5)

    def unit(self, name: str, x: Tensor, kernel: int, stride: int = 1) -> Tensor:
        weight = self.w[f"{name}.conv.weight"]
        assert weight.shape[2:] == (kernel, kernel)
        x = F.conv2d(x, weight, None, stride, (kernel - 1) // 2)
        return F.relu(self.norm(f"{name}.norm", x))

    def residual(self, name: str, x: Tensor) -> Tensor:
        y = F.conv2d(x, self.w[f"{name}.conv1.weight"], None, 1, 1)
        y = F.relu(self.norm(f"{name}.norm1", y))
        y = F.conv2d(y, self.w[f"{name}.conv2.weight"], None, 1, 1)
        return F.relu(self.norm(f"{name}.norm2", y) + x)

    def fusion(self, name: str, xs: list[Tensor], outputs: int) -> list[Tensor]:
        ys: list[Tensor] = []
        for i in range(len(xs)):
            terms = []
            if i - 1 >= 0:
                terms.append(self.unit(f"{name}.down.{i - 1}", xs[i - 1], 3, 2))
            terms.append(self.unit(f"{name}.same.{i}", xs[i], 3))
            if i + 1 < len(xs):
                terms.append(F.interpolate(self.unit(f"{name}.up.{i}", xs[i + 1], 1), scale_factor=2, mode="nearest"))
            total = terms[0]
            for term in terms[1:]:
                total = total + bilinear(term, total.shape[2:])
            ys.append(F.relu(total))
        if outputs > len(ys):
            ys.append(self.unit(f"{name}.new", ys[-1], 3, 2))
        return ys

    def branches(self, x: Tensor) -> list[Tensor]:
        x = self.unit("backbone.stem.0", x, 3, self.stem_strides[0])
        xs = [self.unit("backbone.stem.1", x, 3, self.stem_strides[1])]
        index = 0
        for group in self.groups[1:-1]:
            blocks, branches, units = group[0], group[1], group[2 : 2 + group[1]]
            for _ in range(blocks):
                xs = self.fusion(f"backbone.blocks.{index}.fusion", xs, branches)
                for r, n in enumerate(units):
                    for u in range(n):
                        xs[r] = self.residual(f"backbone.blocks.{index}.branches.{r}.{u}", xs[r])
                index += 1
        return xs

    def join(self, x: Tensor, branch: int) -> Tensor:
        xs = self.branches(x)
        return torch.cat([bilinear(y, xs[branch].shape[2:]) for y in xs], 1)

    def segmentation(self, x: Tensor) -> Tensor:
        y = self.unit("head.join", self.join(x, 0), 1)
        if "head.classifier.weight" not in self.w:
            return y
        return F.conv2d(y, self.w["head.classifier.weight"], self.w["head.classifier.bias"])

    def classification(self, x: Tensor) -> Tensor:
        y = self.unit("head.join", self.join(x, -1), 1).mean((2, 3))
        return F.linear(y, self.w["head.classifier.weight"], self.w["head.classifier.bias"])

    def video(self, x: Tensor) -> Tensor:
        batch, frames = x.shape[:2]
        y = self.join(x.reshape(batch * frames, *x.shape[2:]), -1)
        y = y.reshape(batch, frames, *y.shape[1:]).transpose(1, 2)
        y = F.conv3d(y, self.w["head.conv.weight"], None, 1, 1)
        y = F.relu(self.norm("head.norm", y)).mean((2, 3, 4))
        return F.linear(y, self.w["head.classifier.weight"], self.w["head.classifier.bias"])


def bilinear(x: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
