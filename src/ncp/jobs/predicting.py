"""What ``ncp predict`` does for each task: look at every input, and leave what a program and what a person wants to see."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ncp import terminal
from ncp.data.video_index import CorruptVideo
from ncp.errors import UserError
from ncp.files import printable
from ncp.inference import classification, detection, segmentation, video
from ncp.inference.inputs import Input
from ncp.inference.loading import Failed, Work, ahead, batches
from ncp.inference.network import Network
from ncp.inference.outputs import TABLE, Results, label_picture, rounded
from ncp.inference.samples import Sample, samples
from ncp.jobs.reels import Reels
from ncp.metrics import kitti_files
from ncp.process import own_cores

if TYPE_CHECKING:
    from ncp.report.predictions import Guess

log = logging.getLogger(__name__)
THREADS = 4  # that read, at most
PIXELS = 2**22  # of a batch of whole images, at most
WINDOWS = "windows.csv"


class Asked(Protocol):
    """What is asked for (``conf/predict.yaml``)."""

    batch: int
    window: list[int] | None
    overlap: float
    every: int
    clips: int | None
    top: int
    score: float | None
    calib: str | None
    pictures: bool
    movies: bool


Heads = dict[str, Sequence[str]]
Watch = Callable[[Input], None]


def look(network: Network, inputs: Sequence[Input], asked: Asked, results: Results) -> list[Path]:
    """Look at every input with a progress bar, and write the results; the paths of lines and tables.

    What was found until an interruption or an error is written too.
    """
    kind = {"cls": Classes, "seg": Segments, "det3d": Scenes, "video": Videos}[network.card.task]
    task: Any = kind(network, asked, results)
    seen: set[Path] = set()
    with terminal.Progress(f"{network.card.task}", total=len(inputs)) as progress:

        def watch(given: Input) -> None:
            seen.add(given.path)
            progress.tell(len(seen), f"{len(results.failed)} left out" if results.failed else "")

        try:
            with task.reels:
                task.run(inputs, watch)
        finally:
            written = results.close(task.heads())
    return written


def _read(
    work: Iterator[tuple[Input, Work[Any]]], most: int, results: Results, watch: Watch
) -> Iterator[tuple[Input, Any]]:
    """What could be read; the rest is noted."""
    for given, found in ahead(work, min(THREADS, len(own_cores())), most):
        if isinstance(found, Failed):
            results.fail(found)
        else:
            yield given, found
        watch(given)


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
        for _, found in _read(work, self.waiting, self.results, watch):
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
        return {TABLE: ["frame", *_top_columns(self.top)]}

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
        best = _named(top, self.names)
        words, shares = [self.names[k] for k, _ in top], [value for _, value in top]
        if self.asked.pictures and self.drawn(sample):
            from ncp.report import movies

            frame["movie"] = self.reels.add(
                sample.input, movies.guesses(sample.image, words, shares, f"frame {sample.frame}")
            )
        self.results.add(sample.input, {**frame, "top": best}, [[sample.frame, *_top_cells(best)]])
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


class Scenes:
    """Boxes in LiDAR scenes."""

    def __init__(self, network: Network, asked: Asked, results: Results) -> None:
        from ncp.report import bev

        self.network, self.asked, self.results = network, asked, results
        self.finder = detection.Finder(network, asked.score)
        self.names = [printable(name) for name in network.card.classes]
        self.types = [kitti_type(name) for name in self.names]
        self.lowest = bev.SHOWN if asked.score is None else asked.score
        self.reels = Reels(results)

    def heads(self) -> Heads:
        """The columns of the table."""
        return {TABLE: ["class", "score", "x", "y", "z", "length", "width", "height", "yaw"]}

    def run(self, inputs: Sequence[Input], watch: Watch) -> None:
        """Look at all scenes."""
        calib = None if self.asked.calib is None else Path(self.asked.calib).expanduser()
        work = ((one, partial(detection.read_scene, one.path, self.finder.space, calib)) for one in inputs)
        for given, scene in _read(work, 8, self.results, watch):
            self.note(given, scene, self.finder(scene))

    def note(self, given: Input, scene: detection.Scene, boxes: detection.Boxes) -> None:
        """Write the result of a scene."""
        found, results = boxes.found, self.results
        rows = [
            [self.names[k], rounded(score), *(rounded(value) for value in box)]
            for k, score, box in zip(found.labels.tolist(), found.scores, found.boxes.tolist(), strict=True)
        ]
        line: dict[str, Any] = {"points": len(scene.points)}
        if scene.calibration is not None:
            objects = scene.calibration.results(*found, scene.image, self.types)
            path = results.place("kitti", given.name, "txt")
            line["kitti"] = results.write(path, lambda scratch: kitti_files.write_objects(scratch, objects))
        if self.asked.pictures:
            from ncp.report import predictions

            limits = self.finder.space.limits
            figure = predictions.scene(scene.points, *found, self.names, limits, self.lowest, given.shown)
            line["picture"] = results.write(results.place("bev", given.name, "png"), figure.savefig)
        line["boxes"] = [{"class": row[0], "score": row[1], "box": row[2:]} for row in rows]
        results.add(given, line, rows)


class Videos:
    """The class of whole videos."""

    def __init__(self, network: Network, asked: Asked, results: Results) -> None:
        if asked.batch < 1 or asked.top < 1:
            raise UserError(f"batch and top must be at least 1, given were {asked.batch} and {asked.top}")
        self.network, self.asked, self.results = network, asked, results
        self.sampling = video.sampling_of(network.card, asked.clips)
        self.reels = Reels(results)
        self.names = [printable(name) for name in network.card.classes]
        self.top = min(asked.top, len(self.names))

    def heads(self) -> Heads:
        """The columns of the tables: of videos, and of their clips."""
        return {
            TABLE: ["frames", *_top_columns(self.top)],
            WINDOWS: ["window", "first_frame", "last_frame", *self.names],
        }

    def run(self, inputs: Sequence[Input], watch: Watch) -> None:
        """Look at all videos, the clips of several together."""
        card, size = self.network.card, self.network.fixed or self.network.card.size
        work = ((one, partial(video.seen, one.path, self.sampling, size, card.use.share)) for one in inputs)
        together = max(1, self.asked.batch // self.sampling.clips)
        for batch in batches(_read(work, 2 * together, self.results, watch), together, same=lambda one: 0):
            clips = np.concatenate([seen.clips for _, seen in batch])
            every = video.scores(self.network, clips, self.asked.batch).clips
            for i, (given, seen) in enumerate(batch):
                mine = every[i * self.sampling.clips : (i + 1) * self.sampling.clips]
                self.note(given, seen, mine)

    def note(self, given: Input, seen: video.Seen, scores_KN: np.ndarray) -> None:
        """Write the result of a video."""
        top = classification.top(scores_KN.mean(0), self.top)
        best, results = _named(top, self.names), self.results
        windows = [
            {"frames": numbers.tolist(), "top": _named(classification.top(one, self.top), self.names)}
            for numbers, one in zip(seen.numbers, scores_KN, strict=True)
        ]
        line: dict[str, Any] = {"frames": seen.total, "top": best, "windows": windows}
        results.tables.setdefault(WINDOWS, []).extend(
            [given.shown, k, int(numbers.min()), int(numbers.max()), *map(rounded, one)]
            for k, (numbers, one) in enumerate(zip(seen.numbers, scores_KN, strict=True))
        )
        if self.asked.pictures:
            from ncp.report import predictions

            chosen = [k for k, _ in top]
            figure = predictions.clips(
                seen.thumbs, seen.numbers, scores_KN, chosen, self.names, given.shown, seen.total
            )
            line["picture"] = results.write(results.place("strips", given.name, "png"), figure.savefig)
            if self.asked.movies:
                line |= self.movie(given, seen, scores_KN, chosen)
        results.add(given, line, [[seen.total, *_top_cells(best)]])

    def movie(self, given: Input, seen: video.Seen, scores_KN: np.ndarray, chosen: Sequence[int]) -> dict[str, str]:
        """The movie of a video; none, and why, where a frame that no window has cannot be decoded."""
        try:
            return {"movie": self.reels.of_windows(given, seen.numbers, scores_KN, chosen, self.names)}
        except CorruptVideo as error:
            log.warning("the movie of '%s' ends early: it %s", given.shown, error)
            return {"movie_error": str(error)}


def kitti_type(name: str) -> str:
    """A class as KITTI's files hold it: one word of at most 32 characters."""
    return "_".join(name.split())[: kitti_files.LONGEST_TYPE] or "Misc"


def _named(top: Sequence[tuple[int, float]], names: Sequence[str]) -> list[dict[str, Any]]:
    return [{"class": names[k], "index": k, "probability": rounded(value)} for k, value in top]


def _top_columns(count: int) -> list[str]:
    return [f"{what}_{k}" for k in range(1, count + 1) for what in ("class", "probability")]


def _top_cells(best: Sequence[dict[str, Any]]) -> list[Any]:
    return [cell for one in best for cell in (one["class"], one["probability"])]
