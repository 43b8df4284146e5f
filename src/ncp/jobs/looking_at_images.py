"""What ``ncp predict`` leaves of images, and of videos frame by frame: the likeliest classes, or the class of every pixel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ncp.errors import UserError
from ncp.files import printable
from ncp.inference import classification, segmentation, video
from ncp.inference.inputs import Input
from ncp.inference.loading import batches
from ncp.inference.network import Network
from ncp.inference.outputs import TABLE, Results, label_picture, rounded
from ncp.inference.samples import Sample, samples
from ncp.jobs.looking import THREADS, Asked, Heads, Watch, named, readable, top_cells, top_columns
from ncp.jobs.reels import Reels

if TYPE_CHECKING:
    from ncp.report.predictions import Guess

PIXELS = 2**22  # of a batch of whole images, at most


class Images:
    """What classification and segmentation share."""

    def __init__(self, network: Network, asked: Asked, results: Results) -> None:
        if asked.every < 1 or asked.batch < 1:
            raise UserError(f"every and batch must be at least 1, given were {asked.every} and {asked.batch}")
        self.network, self.asked, self.results = network, asked, results
        self.names = [printable(name) for name in network.card.classes]
        self.waiting = THREADS + 1  # images that are read ahead; they may be large
        self.reels = Reels(results, asked.every)

    def prepare(self, image_CHW: np.ndarray) -> np.ndarray:
        """What the network is to see of an image."""
        raise NotImplementedError

    def samples(self, inputs: Sequence[Input], watch: Watch) -> Iterator[Sample]:
        """All images that can be read."""
        work = samples(inputs, self.network.card, self.prepare, self.asked.every)
        for _, found in readable(work, self.waiting, self.results, watch):
            yield from found

    def drawn(self, sample: Sample) -> bool:
        """Whether a sample is shown as a frame of a movie."""
        return self.asked.movies and sample.frame is not None

    def name(self, sample: Sample) -> str:
        """Of a sample's results."""
        return sample.input.name if sample.frame is None else self.results.frame_name(sample.input, sample.frame)


class Classes(Images):
    """The likeliest classes of images."""

    def __init__(self, network: Network, asked: Asked, results: Results) -> None:
        super().__init__(network, asked, results)
        if asked.top < 1:
            raise UserError(f"top must be at least 1, given was {asked.top}")
        self.top, self.waiting = min(asked.top, len(self.names)), 2 * asked.batch
        self.page: list[Guess] = []
        self.pages = 0

    def prepare(self, image_CHW: np.ndarray) -> np.ndarray:
        """The centred window."""
        return classification.prepared(image_CHW, self.network)

    def heads(self) -> Heads:
        """The columns of the table."""
        return {TABLE: ["frame", *top_columns(self.top)]}

    def run(self, inputs: Sequence[Input], watch: Watch) -> None:
        """Look at all images."""
        for batch in batches(self.samples(inputs, watch), self.asked.batch, same=lambda sample: 0):
            found = classification.probabilities(self.network, np.stack([sample.x for sample in batch]))
            for sample, probabilities in zip(batch, found, strict=True):
                self.note(sample, classification.top(probabilities, self.top))
        self.turn()

    def note(self, sample: Sample, top: list[tuple[int, float]]) -> None:
        """Write the result of an image."""
        frame: dict[str, Any] = {} if sample.frame is None else {"frame": sample.frame}
        best = named(top, self.names)
        words, shares = [self.names[k] for k, _ in top], [value for _, value in top]
        if self.asked.pictures and self.drawn(sample):
            from ncp.report import movies

            frame["movie"] = self.reels.add(
                sample.input, movies.guesses(sample.image, words, shares, f"frame {sample.frame}")
            )
        self.results.add(sample.input, {**frame, "top": best}, [[sample.frame, *top_cells(best)]])
        if self.asked.pictures and not self.drawn(sample):
            from ncp.report import predictions

            shown = sample.input.shown + ("" if sample.frame is None else f", frame {sample.frame}")
            self.page.append(predictions.Guess(video.thumb(sample.image), shown, words, shares))
            if len(self.page) == predictions.PAGE:
                self.turn()

    def turn(self) -> None:
        """Draw a page."""
        if self.page:
            from ncp.report import predictions

            self.pages += 1
            drawn = predictions.page(self.page, f"The {self.top} likeliest classes", self.network.card.architecture)
            path = self.results.place("top", f"page-{self.pages:04d}", "png")
            self.results.write(path, drawn.save)
            self.page = []


class Segments(Images):
    """The class of every pixel."""

    def __init__(self, network: Network, asked: Asked, results: Results) -> None:
        super().__init__(network, asked, results)
        self.window = segmentation.window_of(asked.window, asked.overlap, network.fixed)
        self.palette = network.card.palette()
        if len(self.names) > segmentation.MOST:
            raise UserError(f"labels of {len(self.names):,} classes cannot be written; at most {segmentation.MOST:,}")

    def prepare(self, image_CHW: np.ndarray) -> np.ndarray:
        """All of the image."""
        return segmentation.prepared(image_CHW, self.network, self.window)

    def heads(self) -> Heads:
        """The columns of the table."""
        return {TABLE: ["frame", "labels", "height", "width", "confidence", *(f"share of {n}" for n in self.names)]}

    def run(self, inputs: Sequence[Input], watch: Watch) -> None:
        """Look at all images: those of one size together, or each window by window."""
        stream = self.samples(inputs, watch)
        if self.window is not None:
            for sample in stream:
                size = sample.image.shape[-2:]
                found = segmentation.through_window(
                    self.network, sample.x, (size[0], size[1]), self.window, self.asked.batch
                )
                self.note(sample, found)
            return
        for batch in batches(stream, self._most, same=lambda sample: sample.x.shape):
            sizes = [(sample.image.shape[1], sample.image.shape[2]) for sample in batch]
            every = segmentation.whole(self.network, np.stack([sample.x for sample in batch]), sizes)
            for sample, found in zip(batch, every, strict=True):
                self.note(sample, found)

    def _most(self, sample: Sample) -> int:
        """Images like this one that are looked at together."""
        height, width = sample.x.shape[-2:]
        return max(1, min(self.asked.batch, PIXELS // (int(height) * int(width))))

    def note(self, sample: Sample, found: segmentation.Labels) -> None:
        """Write the result of an image."""
        name, results = self.name(sample), self.results
        picture = label_picture(found.labels, self.palette)
        labels = results.write(results.place("labels", name, "png"), picture.save)
        height, width = found.labels.shape
        counts = np.bincount(found.labels.reshape(-1), minlength=len(self.names)) / found.labels.size
        shares = {self.names[k]: rounded(counts[k]) for k in np.flatnonzero(counts)}
        line = {"labels": labels, "size": [height, width], "confidence": rounded(found.confidence), "shares": shares}
        if self.asked.pictures and self.drawn(sample):
            from ncp.report import movies

            picture_HW3 = movies.segments(sample.image, found.labels, self.palette, self.names)
            line["movie"] = self.reels.add(sample.input, picture_HW3)
        elif self.asked.pictures:
            from ncp.report import predictions

            drawn = predictions.overlay(sample.image, found.labels, self.palette, self.names)
            line["overlay"] = results.write(results.place("overlays", name, "png"), drawn.save)
        frame = {} if sample.frame is None else {"frame": sample.frame}
        row = [sample.frame, labels, height, width, rounded(found.confidence), *map(rounded, counts)]
        results.add(sample.input, {**frame, **line}, [row])
