"""Times of video recognition: one training step, one inference, and how many clips a second one loader worker makes.

    python -m bench.video
    python -m bench.video --root /data/hmdb51        # the loader on the real videos too

Clips are those of ``setting=video``: 8 frames of 112x112. Every time is the best of some repetitions, on one thread unless
OMP_NUM_THREADS says otherwise; with a GPU, in bf16 on it. The loader reads files as HMDB51's (240 lines, MPEG-4 in AVI), which
the benchmark writes itself, with the setting's augmentation.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench._timing import best, show

FRAMES, SIDE, CLASSES = 8, 112, 51


def network_rows(repeats: int) -> list[tuple[str, str, str]]:
    """A training step and an inference of the default and the narrowest network, on the device at hand."""
    import torch
    from torch.nn import functional as F

    from ncp.models import build
    from ncp.spaces import cost, found
    from ncp.spaces.multires import SPACE

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    gpu = device.type == "cuda"
    batch = 20 if gpu else 1  # the paper's batch of 80 on four GPUs
    rows = []
    for name, architecture in (("default", found.get("default")), ("narrowest", SPACE.decode(SPACE.lower[None])[0])):
        network = build(architecture, "video", classes=CLASSES).to(device)
        clips = torch.randn(batch, FRAMES, 3, SIDE, SIDE, device=device)
        labels = torch.zeros(batch, dtype=torch.int64, device=device)
        macs = float(cost.video(architecture, (SIDE, SIDE), FRAMES, CLASSES, 3).macs)

        def step(network: Any = network, clips: Any = clips, labels: Any = labels) -> None:
            network.train().zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=gpu):
                loss = F.cross_entropy(network(clips), labels)
            loss.backward()
            _wait(gpu)

        def look(network: Any = network, clips: Any = clips) -> None:
            network.eval()
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=gpu):
                network(clips)
            _wait(gpu)

        for title, work, factor in (("training step", step, 3), ("inference", look, 1)):
            seconds = best(work, repeats) / batch
            rate = f"{FRAMES / seconds:.0f} frames/s, {factor * macs / seconds / 1e9:.0f} G multiply-adds/s"
            rows.append((f"{title}, {name}, {device.type}, batch {batch}", f"{1000 * seconds:.1f}", rate))
    return rows


def _wait(gpu: bool) -> None:
    if gpu:
        import torch

        torch.cuda.synchronize()


def write_set(root: Path, videos: int = 6, frames: int = 90) -> None:
    """Two classes in HMDB51's layout: moving pictures of 240x320."""
    import av

    rng = np.random.default_rng(0)
    (root / "splits").mkdir(parents=True)
    for name in ("cartwheel", "wave"):
        (root / "videos" / name).mkdir(parents=True)
        lines = []
        for i in range(videos):
            file = f"{name}_{i}.avi"
            coarse = rng.integers(0, 256, (240 + frames, 320, 3), dtype=np.uint8) // 4 + 60
            with av.open(str(root / "videos" / name / file), "w") as container:
                stream = container.add_stream("mpeg4", rate=30, options={"g": "300"})
                stream.height, stream.width, stream.pix_fmt, stream.bit_rate = 240, 320, "yuv420p", 1_000_000
                for k in range(frames):
                    picture = np.ascontiguousarray(coarse[k : k + 240])
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
                container.mux(stream.encode(None))
            lines.append(f"{file} {1 if i else 2}")
        (root / "splits" / f"{name}_test_split1.txt").write_text("\n".join(lines) + "\n")


def loader_row(root: Path, counts: Any, cache: Path, clips: int = 40) -> tuple[str, str, str]:
    """One worker's rate over ``clips`` training clips."""
    import torch

    from ncp import jobs
    from ncp.data.base import BatchPolicy
    from ncp.tasks.parts import make_data

    torch.set_num_threads(1)
    words = [f"data.root={root}", f"data.cache={cache}", "data.workers=0", f"data.counts={counts}"]
    data = make_data(jobs.options("train", "setting=video", *words))
    data.plan(BatchPolicy.fit(4), clips // 4 + 1)
    batches = iter(data.train_dataloader())
    next(batches)
    started = time.perf_counter()
    for _ in batches:
        pass
    seconds = (time.perf_counter() - started) / clips
    length = np.mean([data.sources["training"].length(i) for i in range(len(data.train_set))])  # type: ignore[attr-defined, arg-type]
    note = f"{1 / seconds:.1f} clips/s, {FRAMES / seconds:.0f} frames/s; videos of {length:.0f} frames on average"
    return (f"loader, one worker, {root.name}", f"{1000 * seconds:.1f}", note)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="folder of HMDB51 (videos, splits)")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    rows = network_rows(options.repeats)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made"
        write_set(made)
        rows.append(loader_row(made, "null", Path(folder)))
        if options.root:
            rows.append(loader_row(options.root, "[3570,1530,2649]", Path(folder)))
    show("Video recognition, 8 frames of 112x112", ("what", "ms a clip", "rate"), rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
