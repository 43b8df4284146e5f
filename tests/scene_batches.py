"""Made-up scenes with the targets of all seven tasks, for tests of networks and trainings: two halves of plain colours."""

from typing import Any, ClassVar

import torch
from torch.utils.data import Dataset

from ncp.data.base import DataModule, Key

TASKS = ("class_object", "class_scene", "room_layout", "jigsaw", "segmentsemantic", "normal", "autoencoder")
COUNTS = {"class_object": 6, "class_scene": 6, "room_layout": 9, "jigsaw": 6, "segmentsemantic": 4}
TARGET = f"{__name__}.MadeUp"


class Halves(Dataset[Any]):
    def __init__(self, count: int, size: int, labels: str, first: int) -> None:
        self.count, self.size, self.labels, self.first = count, size, labels, first

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, key: Key) -> Any:
        random = torch.Generator().manual_seed(self.first + key.item)
        colours = torch.rand((2, 3, 1, 1), generator=random)
        classes = (colours[:, 0, 0, 0] * 4).long().clamp(max=3)
        half = self.size // 2
        left = torch.arange(self.size) < half
        image = torch.where(left, colours[0], colours[1]).expand(3, self.size, self.size) * 2 - 1
        label = torch.where(left, *classes).expand(self.size, self.size).clone()
        label[0] = 255  # not counted
        kind = int(colours[0, 0, 0, 0] * 6)
        permutations = [torch.arange(9).roll(shift) for shift in range(6)]
        tiles = torch.stack([(image * (place + 1) / 9)[:, :half, :half] for place in range(9)])
        shares = torch.full((6,), 0.04)
        shares[kind] = 0.8
        dense = {"normal": -image, "autoencoder": image.clone()}
        targets = {
            "class_object": shares, "class_scene": shares, "room_layout": torch.arange(9.0) / 8 * image.mean(),
            "jigsaw": torch.tensor(kind), "segmentsemantic": label, **dense,
        }  # fmt: skip
        if self.labels == "jigsaw":
            image = tiles[permutations[kind]]
        return image, targets[self.labels]


class MadeUp(DataModule):
    task: ClassVar[str] = "class_scene"
    tasks: ClassVar[tuple[str, ...]] = TASKS
    builtin = True
    mean, std = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    source = "halves"
    palette = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (90, 90, 90))

    def __init__(
        self, *, labels: str, images: int = 8, size: int = 32, training_macs: float | None = None, **common: Any
    ) -> None:
        super().__init__(**common)
        self.training_macs = training_macs
        self.labels, self.images = labels, images
        self.classes = tuple(f"{labels} {i}" for i in range(COUNTS.get(labels, 3)))
        self.size = self.eval_size = (size, size)

    def prepare(self) -> None:
        self.train_set = Halves(self.images, self.size[0], self.labels, 0)
        self.val_set = Halves(4, self.size[0], self.labels, 1000)
