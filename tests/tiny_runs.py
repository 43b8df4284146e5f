"""Tiny trainings of every task, and samples of their validation sets as files."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from composed import compose
from PIL import Image

from ncp import jobs
from ncp.data.base import Key
from ncp.data.kitti import frames_of
from ncp.tasks import export
from ncp.tasks import run as tasks

OPTIONS = {
    "cls": ("+data.tiny=true", "data.size=32"),
    "seg": ("+data.tiny=true",),
    "det3d": ("+data.tiny=true", "data.limits=[2.56,-2.56,-3,7.68,2.56,1]", "task.nms.score=0.005"),
    "video": ("data.videos=6", "data.val_videos=6", "data.clips=3"),
}
COMMON = (
    "arch=narrow", "data.workers=0", "recipe.batch=2", "recipe.length=2", "recipe.eval_every=2",
    "recipe.save_every=2", "callbacks.progress=false", "trainer.precision=32-true",
)  # fmt: skip


class Trained(NamedTuple):
    """A finished training."""

    run: tasks.Run
    folder: Path
    inputs: Path  # a folder of files of its validation set

    def export(self, kind: str) -> Path:
        """Its network as a file of ``kind``, written once."""
        path = self.folder / f"net.{kind}"
        if not path.is_file():
            found = export.from_checkpoint(self.folder / "checkpoints" / "last.ckpt")
            export.write(found, kind, path, None)
        return path


def written(run: tasks.Run, folder: Path) -> Path:
    """Two samples of a validation set as files."""
    folder.mkdir()
    if run.task.name == "det3d":
        root = frames_of(run.data.val_set).frames[0].folder
        for part in ("velodyne", "calib", "image_2"):
            (folder / part).mkdir()
            for frame in frames_of(run.data.val_set).frames:
                (file,) = root.glob(f"{part}/{frame.name}.*")
                (folder / part / file.name).write_bytes(file.read_bytes())
        return folder / "velodyne"
    for i in range(2):
        if run.task.name == "video":
            write_lossless(folder / f"{i}.mkv", run.data.sources["validation"].videos_NTCHW[i])
        else:
            image = run.data.val_set[Key(-1, i)]["image"].permute(1, 2, 0).contiguous().numpy()
            Image.fromarray(image).save(folder / f"{i}.png")
    return folder


def write_lossless(path: Path, frames_TCHW: np.ndarray) -> Path:
    """A video whose frames are read again as they are."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.height, stream.width, stream.pix_fmt = *frames_TCHW.shape[-2:], "bgr0"
        for frame in frames_TCHW:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame.transpose(1, 2, 0)), format="rgb24")
            for packet in stream.encode(picture):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def lines_of(out: Path) -> list[dict[str, Any]]:
    """The JSON lines of a prediction."""
    return [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]


def predict(out: Path, *words: str) -> Any:
    """A prediction into a folder; its outcome."""
    return jobs.predict.run(compose(f"out={out}", *words, name="predict"), out.parent / f"{out.name}-run")
