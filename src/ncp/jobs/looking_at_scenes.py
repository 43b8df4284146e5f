"""What ``ncp predict`` leaves of LiDAR scenes and of whole videos: boxes, or the scores of a video's clips."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ncp.data.video_index import CorruptVideo
from ncp.errors import UserError
from ncp.files import printable
from ncp.inference import classification, detection, video
from ncp.inference.inputs import Input
from ncp.inference.loading import batches
from ncp.inference.network import Network
from ncp.inference.outputs import TABLE, Results, rounded
from ncp.jobs.looking import Asked, Heads, Watch, named, readable, top_cells, top_columns
from ncp.jobs.reels import Reels
from ncp.metrics import kitti_files

log = logging.getLogger(__name__)
WINDOWS = "windows.csv"


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
        for given, scene in readable(work, 8, self.results, watch):
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
            TABLE: ["frames", *top_columns(self.top)],
            WINDOWS: ["window", "first_frame", "last_frame", *self.names],
        }

    def run(self, inputs: Sequence[Input], watch: Watch) -> None:
        """Look at all videos, the clips of several together."""
        card, size = self.network.card, self.network.fixed or self.network.card.size
        work = ((one, partial(video.seen, one.path, self.sampling, size, card.use.share)) for one in inputs)
        together = max(1, self.asked.batch // self.sampling.clips)
        for batch in batches(readable(work, 2 * together, self.results, watch), together, same=lambda one: 0):
            clips = np.concatenate([seen.clips for _, seen in batch])
            every = video.scores(self.network, clips, self.asked.batch).clips
            for i, (given, seen) in enumerate(batch):
                mine = every[i * self.sampling.clips : (i + 1) * self.sampling.clips]
                self.note(given, seen, mine)

    def note(self, given: Input, seen: video.Seen, scores_KN: np.ndarray) -> None:
        """Write the result of a video."""
        top = classification.top(scores_KN.mean(0), self.top)
        best, results = named(top, self.names), self.results
        windows = [
            {"frames": numbers.tolist(), "top": named(classification.top(one, self.top), self.names)}
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
        results.add(given, line, [[seen.total, *top_cells(best)]])

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
