"""Take a training of another framework over: ``ncp adopt weights=iter_160000.pth setting=seg arch=ncp_seg data.root=...``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ncp import files, runs
from ncp.errors import UserError
from ncp.jobs.train import Outcome, conclude, show
from ncp.tasks.options import TrainOptions

__all__ = ["Options", "Outcome", "run", "show"]


@dataclass(kw_only=True)
class Options(TrainOptions):
    """``conf/adopt.yaml``: the options of a training, and whose weights are taken.

    Attributes:
        weights: a checkpoint of mmsegmentation or mmdetection3d whose network is that of ``src.export format=mmseg|mmdet3d``.
    """

    weights: str


def run(options: Options, folder: Path | None = None) -> Outcome:
    """Evaluate weights of mmsegmentation or mmdetection3d as a training of this project, and leave them as its checkpoint.

    Args:
        options: as of the training that it would have been; nothing is trained.
        folder: where the files go; None for a new run folder.

    Raises:
        UserError: for weights that do not fit: it says how many entries do and which is the first that does not.
    """
    from ncp import tensorfile
    from ncp.models.formats import openmmlab
    from ncp.tasks import foreign
    from ncp.tasks import run as tasks
    from ncp.tasks.saving import CHECKPOINTS, LAST

    path = Path(options.weights)
    found = foreign.weights_of(path)
    training = tasks.assemble(options.training(), runs.made(folder, "adopt"))
    kind = {task: name for name, task in openmmlab.TASK.items() if name != "mmdet"}.get(training.task.name)
    if kind is None:
        raise UserError(
            f"weights are taken over for task=seg (mmsegmentation) and det3d (mmdetection3d), not {training.task.name}"
        )
    own = training.task.network.state_dict()
    mine = openmmlab.ours(found, kind)
    fitting = [name for name, value in own.items() if name in mine and mine[name].shape == value.shape]
    tensorfile.check_shapes(
        tensorfile.shapes_of({name: value for name, value in mine.items() if name in own}),
        tensorfile.shapes_of(own),
        f"{len(fitting)} of the network's {len(own)} entries fit weights in '{files.printable(path)}', all must",
    )
    training.task.network.load_state_dict({name: mine[name] for name in own})
    outcome = conclude(training, options.callbacks.pictures)
    training.trainer.save_checkpoint(training.folder / CHECKPOINTS / LAST)
    return outcome
