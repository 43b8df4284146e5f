"""What ``ncp predict`` leaves of rooms beside classes and labels: layouts, images made of images, jigsaws put together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image

from ncp.inference import classification, rooms
from ncp.inference.images import normalised
from ncp.inference.inputs import Input
from ncp.inference.loading import batches
from ncp.inference.outputs import TABLE, rounded
from ncp.inference.samples import Sample
from ncp.jobs.looking import Heads, Watch
from ncp.jobs.looking_at_images import Images


class Rooms(Images):
    """What is alike: images of one size go through the network together, and each gets a line."""

    def run(self, inputs: Sequence[Input], watch: Watch) -> None:
        """Look at all images."""
        for batch in batches(self.samples(inputs, watch), self.asked.batch, same=lambda sample: sample.x.shape):
            written = self.network.logits(np.stack([sample.x for sample in batch]))
            for sample, one in zip(batch, self.answers(written), strict=True):
                self.note(sample, one)

    def answers(self, written: np.ndarray) -> Iterator[np.ndarray] | np.ndarray:
        """What the network wrote for each image, in its units."""
        raise NotImplementedError

    def note(self, sample: Sample, answer: np.ndarray) -> None:
        """Write the result of an image."""
        raise NotImplementedError

    def tell(self, sample: Sample, line: dict[str, Any], row: list[Any]) -> None:
        """A line and a row of the table, with the frame of a video."""
        frame = {} if sample.frame is None else {"frame": sample.frame}
        self.results.add(sample.input, {**frame, **line}, [[sample.frame, *row]])

    def picture(self, kind: str, name: str, image_CHW: np.ndarray) -> str:
        """Write a picture; its path below the folder of results."""
        drawn = Image.fromarray(np.ascontiguousarray(image_CHW.transpose(1, 2, 0)))
        return self.results.write(self.results.place(kind, name, "png"), drawn.save)


class Layouts(Rooms):
    """The nine numbers of a room's box."""

    def prepare(self, image_CHW: np.ndarray) -> np.ndarray:
        """The centred square."""
        return classification.prepared(image_CHW, self.network)

    def heads(self) -> Heads:
        """The columns of the table."""
        return {TABLE: ["frame", *self.names]}

    def answers(self, written: np.ndarray) -> np.ndarray:
        """In metres and radians, where the training knew them."""
        return rooms.numbers(written, self.network.card)

    def note(self, sample: Sample, answer: np.ndarray) -> None:
        """The numbers by their names."""
        values = [rounded(value) for value in answer]
        self.tell(sample, {"layout": dict(zip(self.names, values, strict=True))}, values)


class Made(Rooms):
    """Surface normals as colours, and images as they were made again."""

    def prepare(self, image_CHW: np.ndarray) -> np.ndarray:
        """All of the image, as large as in training."""
        return rooms.whole(image_CHW, self.network)

    def heads(self) -> Heads:
        """The columns of the table."""
        return {TABLE: ["frame", self.kind, "height", "width"]}

    @property
    def kind(self) -> str:
        """Of the pictures, and their folder."""
        return "normals" if self.network.card.task == "normal" else "made"

    def answers(self, written: np.ndarray) -> np.ndarray:
        """As bytes."""
        return rooms.made(written, self.network.card)

    def note(self, sample: Sample, answer: np.ndarray) -> None:
        """The picture, and beside what was seen."""
        name, size = self.name(sample), list(answer.shape[-2:])
        path = self.picture(self.kind, name, answer)
        line: dict[str, Any] = {self.kind: path, "size": size}
        if self.asked.pictures:
            seen = _bytes(sample.x, self.network.card)
            line["beside"] = self.picture("beside", name, np.concatenate([seen, answer], axis=-1))
        self.tell(sample, line, [path, *size])


class Puzzles(Rooms):
    """Every image is cut into nine tiles and shuffled by its name; the network puts them together."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.orders = rooms.permutations(self.network.card)
        self.side = min(self.network.fixed or self.network.card.size)

    def order(self, sample: Sample) -> int:
        """By which permutation an image is shuffled."""
        return rooms.shuffled(f"{sample.input.name} {sample.frame}", len(self.orders))

    def samples(self, inputs: Sequence[Input], watch: Watch) -> Iterator[Sample]:
        """All images that can be read, cut and shuffled."""
        for sample in super().samples(inputs, watch):
            cut = rooms.tiles(sample.image, self.orders[self.order(sample)], self.side)
            yield sample._replace(image=cut, x=normalised(cut, self.network.card))

    def prepare(self, image_CHW: np.ndarray) -> np.ndarray:
        """Nothing: an image is shuffled by its name (see :meth:`samples`)."""
        return image_CHW

    def heads(self) -> Heads:
        """The columns of the table."""
        return {TABLE: ["frame", "order", "found", "right", "probability"]}

    def answers(self, written: np.ndarray) -> np.ndarray:
        """Probabilities of the permutations."""
        return classification.softmax(written)

    def note(self, sample: Sample, answer: np.ndarray) -> None:
        """Which permutation it was, which the network found, and the picture that this makes."""
        order, found = self.order(sample), int(answer.argmax())
        probability = rounded(answer[found])
        line: dict[str, Any] = {"order": self.names[order], "found": self.names[found], "right": order == found}
        line["probability"] = probability
        if self.asked.pictures:
            shown = [rooms.put_together(sample.image, by) for by in (np.arange(9), self.orders[found])]
            line["beside"] = self.picture("beside", self.name(sample), np.concatenate(shown, axis=-1))
        self.tell(sample, line, [self.names[order], self.names[found], int(order == found), probability])


def _bytes(x_CHW: np.ndarray, card: Any) -> np.ndarray:
    """What a network saw, as an image."""
    mean, std = (np.array(values)[:, None, None] for values in (card.mean, card.std))
    out: np.ndarray = np.clip(np.rint(255 * (x_CHW * std + mean)), 0, 255).astype(np.uint8)
    return out
