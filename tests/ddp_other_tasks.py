"""Run by test_ddp_other_tasks.py as a script: detection and video in two processes, their states left in the folder given."""

import os
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

from composed import compose
from ddp_worker import TWO

from ncp.tasks import run as tasks

EXACT = (
    "arch=narrow", "recipe.batch=4", "recipe.length=2", "recipe.eval_every=2", "recipe.log_every=1", "recipe.freeze_norms=true",
    "recipe.optimizer.name=sgd", "recipe.optimizer.lr=0.01",
    "trainer.precision=64-true", "data.workers=0", "callbacks.progress=false",
)  # fmt: skip
TASKS = {
    "det3d": (
        "task=det3d", "data.scenes=4", "data.val_scenes=3", "data.limits=[2.56,-2.56,-3,7.68,2.56,1]",
        "task.max_points=9999", "recipe.keep=[1]", "task.nms.score=0.001", "task.write_results=true",
        "~recipe.optimizer.floor",
    ),
    "video": ("task=video", "data.videos=8", "data.val_videos=7"),
}  # fmt: skip


def main(folder: Path) -> None:
    """Train both and keep what the processes ended with."""
    torch.set_num_threads(1)
    for name, options in TASKS.items():
        run = tasks.assemble(compose(*options, *EXACT, "data.eval_batch=2", *TWO), folder / name)
        tasks.fit(run)
        content = {"weights": run.task.network.state_dict(), "metrics": tasks.evaluate(run)}
        torch.save(content, folder / f"{name}-{os.environ.get('LOCAL_RANK', '0')}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
