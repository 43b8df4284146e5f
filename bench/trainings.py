"""Do the built-in trainings keep their promise? Any architecture within two minutes on two cores, far above chance.

``python -m bench trainings`` trains the default, the narrowest, and the largest of 200 random architectures on the built-in
set of every task (``python -m bench trainings det3d video``: of these), and then measures whether the loader could be the
bottleneck on real layouts: images a second of the loader alone, one worker, on files of the real sizes that it makes itself.

The two minutes are checked where the machine is otherwise idle; the processor's seconds over two are shown beside.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from ncp.metrics.kitti_names import in_words
from ncp.spaces import cost, found
from ncp.spaces.multires import SPACE, Architecture

LIMIT = 120.0
SAMPLES = 200
# the metric, what the best constant answer gets, and the bar: far above it
TASKS = {
    "cls": ("top1", 10.0, 40.0),
    "seg": ("mIoU", 4.0, 12.0),
    "det3d": ("moderate", 0.0, 5.0),
    "video": ("top1", 25.0, 45.0),
}


def largest_of(samples: int) -> Architecture:
    """The one with the most multiply-adds among so many random ones."""
    codes = SPACE.sample_codes(samples, np.random.default_rng(0))
    return SPACE.decode(codes[[int(np.argmax(cost.count(codes).macs))]])[0]


def architectures() -> dict[str, str]:
    """The three architectures as text."""
    return {
        "default": str(found.get("default")),
        "narrowest": str(SPACE.decode(SPACE.lower[None])[0]),
        f"largest of {SAMPLES}": str(largest_of(SAMPLES)),
    }


def train(task: str, text: str) -> dict[str, float]:
    """The figures of one training."""
    command = [sys.executable, "-m", "bench._trainings", f"task={task}", "arch=code", f"arch.code={text}", "keep=none"]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def loader_rates(folder: Path) -> list[tuple[str, float]]:
    """Images a second that one loader worker makes of files of the real sizes."""
    import torch
    from PIL import Image

    from ncp.data.base import BatchPolicy
    from ncp.data.cityscapes import Cityscapes
    from ncp.data.imagenet import ImageNet

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 256, (24, 48, 3), dtype=np.uint8))
    for split in ("train", "val"):
        (folder / "imagenet" / split / "n01440764").mkdir(parents=True)
        for i in range(8):
            smooth.resize((500, 375)).save(folder / "imagenet" / split / "n01440764" / f"{i}.JPEG", quality=92)
        for kind, ending in (("leftImg8bit", "leftImg8bit"), ("gtFine", "gtFine_labelIds")):
            place = folder / "cityscapes" / kind / split / "aachen"
            place.mkdir(parents=True)
            noise = np.asarray(smooth.resize((2048, 1024))).astype(int) + rng.integers(-4, 5, (1024, 2048, 3))
            image = Image.fromarray(noise.clip(0, 255).astype(np.uint8))
            label = Image.fromarray(rng.integers(0, 34, (16, 32), dtype=np.uint8).repeat(64, 0).repeat(64, 1))
            for i in range(4):
                (image if kind == "leftImg8bit" else label).save(place / f"aachen_{i:06d}_{ending}.png")
    small = {"resized": (256, 512), "crop": (128, 256), "cache": str(folder / "cache")}
    sets = (
        ("ImageNet, 500x375 to 224x224", ImageNet(str(folder / "imagenet"), workers=0), 400),
        ("Cityscapes, 1024x2048 to 512x1024", Cityscapes(str(folder / "cityscapes"), workers=0), 24),
        ("Cityscapes resized, 256x512 to 128x256", Cityscapes(str(folder / "cityscapes"), workers=0, **small), 400),  # type: ignore[arg-type]
    )
    rates = []
    for name, data, count in sets:
        data.setup()
        data.plan(BatchPolicy.fit(8), count // 8)
        batches = iter(data.train_dataloader())
        next(batches)
        started = time.perf_counter()
        images = sum(len(batch["image"]) for batch in batches)
        rates.append((name, images / (time.perf_counter() - started)))
    return rates


def main() -> int:
    """Print both tables; 1 where a bar is missed."""
    console, missed = Console(), False
    table = Table(title=f"Built-in trainings (bars: {LIMIT:.0f} s on two idle cores; the metric's in brackets)")
    for column in ("task", "architecture", "metric", "seconds", "processor / 2", "images/s", "waiting for data"):
        table.add_column(column)
    unknown = set(sys.argv[1:]) - set(TASKS)
    if unknown:
        console.print(f"unknown task '{unknown.pop()}'; tasks: {', '.join(TASKS)}", style="red", highlight=False)
        return 2
    for task in sys.argv[1:] or list(TASKS):
        metric, chance, bar = TASKS[task]
        for name, text in architectures().items():
            result = train(task, text)
            value, wall = result["metrics"][metric], result["wall"]  # type: ignore[index]
            missed |= value < bar or min(wall, result["cpu"] / 2 + 15) > LIMIT
            speed, wait = f"{result['images_per_second']:.3g}", f"{result['data_wait_share']:.1%}"
            words = in_words(metric, result.get("min_overlap", {}))  # type: ignore[arg-type]
            shown = f"{words} {value:.1f} (chance {chance:.0f}, bar {bar:.0f})"
            console.print(f"{task}, {name}: {shown}, {wall:.0f} s", highlight=False)
            table.add_row(task, name, shown, f"{wall:.0f}", f"{result['cpu'] / 2:.0f}", speed, wait)
    console.print(table)
    loading = Table(title="The loader alone, one worker")
    loading.add_column("set")
    loading.add_column("images/s")
    with tempfile.TemporaryDirectory() as folder:
        for name, rate in loader_rates(Path(folder)):
            loading.add_row(name, f"{rate:.0f}")
    console.print(loading)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
