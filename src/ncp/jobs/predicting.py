"""``ncp predict``: every input is looked at as its network's task asks, and what a program and a person want to see is left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ncp import terminal
from ncp.inference.inputs import Input
from ncp.inference.network import Network
from ncp.inference.outputs import Results
from ncp.jobs.looking import Asked
from ncp.jobs.looking_at_images import Classes, Segments
from ncp.jobs.looking_at_rooms import Layouts, Made, Puzzles
from ncp.jobs.looking_at_scenes import Scenes, Videos

KINDS: dict[str, Any] = {
    "cls": Classes, "seg": Segments, "det3d": Scenes, "video": Videos, "class_scene": Classes, "class_object": Classes,
    "room_layout": Layouts, "jigsaw": Puzzles, "segmentsemantic": Segments, "normal": Made, "autoencoder": Made,
}  # fmt: skip
"""Task -> what is done with its inputs."""


def look(network: Network, inputs: Sequence[Input], asked: Asked, results: Results) -> list[Path]:
    """Look at every input with a progress bar, and write the results; the paths of lines and tables.

    What was found until an interruption or an error is written too.
    """
    task = KINDS[network.card.task](network, asked, results)
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
