"""Run by test_ddp.py as a script: trains in two processes and leaves every process's weights in the folder given."""

import os
import subprocess
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

from composed import SMALL_SEG, compose

from ncp.tasks import run as tasks

TWO = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2")
EXACT = (
    *SMALL_SEG, "data.crop=[64,64]", "recipe.batch=4", "recipe.length=5", "recipe.eval_every=5",
    "recipe.freeze_norms=true", "trainer.precision=64-true", "+recipe.optimizer={name:sgd,lr:0.1,momentum:0.9}",
)  # fmt: skip
LIVE = (*SMALL_SEG, "recipe.batch=4")
FEW = (*EXACT, "data.val_scenes=1")  # fewer samples than devices
# goes on from a checkpoint that one process wrote in the folder of that name
RESUMED = (*EXACT, "recipe.save_every=3", "recipe.keep=[3]", "recipe.eval_every=2", "recipe.per_device=1")


def first_gradients(run: tasks.Run) -> dict[str, torch.Tensor]:
    """Filled in during the fit: the gradients of the first step, after they were averaged over the processes."""
    import pytorch_lightning as pl

    found: dict[str, torch.Tensor] = {}

    class Take(pl.Callback):
        def on_before_optimizer_step(
            self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: object
        ) -> None:
            if trainer.global_step == 0:
                named = pl_module.network.named_parameters()
                found.update({f"gradient of {name}": p.grad.clone() for name, p in named if p.grad is not None})

    run.trainer.callbacks.append(Take())
    return found


def launch(script: Path, folder: Path, names: tuple[str, ...]) -> Path:
    """Run such a script, with a folder for each of its trainings, as on a machine with nothing else in the environment."""
    for name in names:
        (folder / name).mkdir()
    clean = {key: value for key, value in os.environ.items() if key not in ("LOCAL_RANK", "RANK", "WORLD_SIZE")}
    done = subprocess.run(
        [sys.executable, str(script), str(folder)], capture_output=True, text=True, timeout=500,
        env={**clean, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    checkpoint = folder / "begun" / "checkpoints" / "step-000003.ckpt"
    resumed = (*RESUMED, f"ckpt_path={checkpoint}")
    for name, options in (("exact", EXACT), ("live", LIVE), ("few", FEW), ("resumed", resumed)):
        run = tasks.assemble(compose(*options, *TWO), folder / name)
        gradients = first_gradients(run)
        tasks.fit(run)
        metrics = tasks.evaluate(run)
        content = {"weights": run.task.network.state_dict(), "gradients": gradients, "metrics": metrics}
        torch.save(content, folder / f"{name}-{os.environ.get('LOCAL_RANK', '0')}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
