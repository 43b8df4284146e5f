"""Times of 3D detection: pillars, one training step, one inference, the AP tool.

    python -m bench.detection
    python -m bench.detection --labels label_2 --results results     # the AP tool on real files as well

Every time is the best of some repetitions, on one thread unless OMP_NUM_THREADS says otherwise. The AP tool must take less than
20 s of the processor for 1,059 frames. Inference goes from points to boxes, norms folded. On a GPU both are in bf16, inference
on KITTI's grid is compiled into a CUDA graph too and compared with PointPillars' published 62 Hz (GTX 1080 Ti, TensorRT).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench._timing import best, show

PUBLISHED_HZ = 62.0
FRAMES, LIMIT = 1059, 20.0  # of the AP tool: frames, seconds


def crowded_frames(count: int, seed: int = 0) -> tuple[list[Any], list[Any]]:
    """Labels and detections of frames with 12 cars each, most of them found (the AP tool's load, without files)."""
    from ncp.metrics.kitti_files import Objects

    rng = np.random.default_rng(seed)
    labels, results = [], []
    for _ in range(count):
        values = np.zeros((12, 14))
        values[:, 3:5] = rng.uniform(0, 900, (12, 2))
        values[:, 5:7] = values[:, 3:5] + rng.uniform(30, 120, (12, 2))
        values[:, 7:10] = (1.5, 1.6, 3.9)
        values[:, 10:13] = rng.uniform([-30, 1, 5], [30, 2, 60], (12, 3))
        values[:, 13] = rng.uniform(-3, 3, 12)
        found = np.hstack([values + rng.normal(0, 0.03, values.shape), rng.uniform(size=(12, 1))])
        labels.append(Objects(np.array(["Car"] * 12), values))
        results.append(Objects(np.array(["Car"] * 12), found))
    return labels, results


def scan(rng: np.random.Generator, number: int = 20_000) -> np.ndarray:
    """``(number, 4)`` float32 points, as dense near the sensor as a LiDAR's: x, y, z in metres, reflectance."""
    distance, across = rng.gamma(2.0, 9.0, number), rng.uniform(-0.7, 0.7, number)
    height, reflectance = rng.normal(-1, 0.6, number), rng.uniform(size=number)
    spread = [distance * np.cos(across), distance * np.sin(across), height, reflectance]
    return np.stack(spread, 1).astype(np.float32)


def network_rows(repeats: int, compiled: bool, batch: int) -> list[tuple[str, float, str]]:
    """Pillars, a training step of ``batch`` scenes and an inference of one, on KITTI's grid and the built-in set's."""
    import torch

    from bench.trainings import largest_of
    from ncp.data.kitti import PILLAR, RANGE, grid_size
    from ncp.data.lidar import LIMITS
    from ncp.models import build
    from ncp.models.detector import Detector, PointPillarsNet
    from ncp.models.pillars import Grid, pillarise
    from ncp.models.runtime import compile_in_place, fused
    from ncp.spaces.multires import SPACE

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    gpu = device.type == "cuda"
    wait = torch.cuda.synchronize if gpu else lambda: None
    rng = np.random.default_rng(0)
    rows = []
    boxes = torch.tensor([[[10.0, 1, -1, 3.9, 1.6, 1.56, 0.2]]]).repeat(batch, 1, 1)
    labels = torch.zeros(batch, 1, dtype=torch.int64)
    networks: dict[str, Callable[[], torch.nn.Module]] = {
        "narrow": lambda: build(SPACE.decode(SPACE.lower[None])[0], task="det3d"),
        "default": lambda: build(SPACE.default(), task="det3d"),
        "pointpillars": PointPillarsNet,
    }
    if gpu:
        networks["largest of 2,000"] = lambda: build(largest_of(2_000), task="det3d")
    for name, limits in (("KITTI", RANGE), ("built-in", LIMITS)):
        grid = Grid(limits, PILLAR, grid_size(limits, PILLAR))
        points = torch.from_numpy(scan(rng)).to(device)
        counts = torch.tensor([len(points)], device=device)
        many = points.repeat(batch, 1), counts.repeat(batch)

        def pillars(grid: Grid = grid, points: torch.Tensor = points, counts: torch.Tensor = counts) -> None:
            pillarise(points, counts, grid, 12_000)
            wait()

        shape = f"{grid.size[0]}x{grid.size[1]}, 20,000 points, {device.type}"
        rows.append((f"pillars, {name}", best(pillars, 3 * repeats, 0), shape))
        for title, make in networks.items():
            if not gpu and name == "KITTI" and title == "default":
                continue  # half a minute a step
            detector = Detector(make(), grid).to(device)
            quick = Detector(fused(detector.network), grid).to(device)
            if gpu and compiled and name == "KITTI":
                compile_in_place(quick.network, device=device)

            def step(d: Detector = detector, many: tuple[torch.Tensor, torch.Tensor] = many) -> None:
                d.train()
                d.zero_grad()
                with torch.autocast(device.type, torch.bfloat16, enabled=gpu):
                    found = d(*many)
                parts = d.losses(found, boxes, labels)
                (parts["box"] + parts["class"] + parts["direction"]).backward()
                wait()

            def look(d: Detector = quick, points: torch.Tensor = points, counts: torch.Tensor = counts) -> None:
                d.eval()
                with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=gpu):
                    d.detect(d(points, counts))
                wait()

            if gpu:
                torch.cuda.reset_peak_memory_stats()
            seconds = best(step, repeats, 0)
            peak = f", {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB" if gpu else ""
            rows.append((f"training step, {name}, {title}", seconds, f"batch {batch}{peak}"))
            seconds = best(look, repeats, 0)
            rate = f"{1 / seconds:.1f} Hz"
            rate += f", {1 / seconds / PUBLISHED_HZ:.2f} x the published {PUBLISHED_HZ:.0f} Hz" if gpu else ""
            rows.append((f"inference, {name}, {title}", seconds, rate))
    return rows


def processor_seconds(work: Callable[[], Any]) -> float:
    """What one call takes of the processor."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> int:
    """Print the table; 1 where the AP tool misses its bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path, help="folder of KITTI label files")
    parser.add_argument("--results", type=Path, help="folder of KITTI result files")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch", type=int, default=1, help="scenes of a training step")
    parser.add_argument(
        "--compile", action=argparse.BooleanOptionalAction, default=True, help="inference on KITTI's grid, on a GPU"
    )
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from ncp.metrics import kitti

    labels, results = crowded_frames(FRAMES)
    seconds = [processor_seconds(lambda: kitti.evaluate_objects(labels, results))]
    rows = [(f"AP tool, {FRAMES:,} made frames", seconds[0], f"36 figures, one core, bar {LIMIT:.0f} s")]
    if options.labels and options.results:
        seconds.append(processor_seconds(lambda: kitti.evaluate(options.labels, options.results)))
        rows.append(("AP tool, the given files", seconds[1], "reading included"))
    rows += network_rows(options.repeats, options.compile, options.batch)
    show("3D detection", ("what", "ms", "note"), [(name, f"{1000 * value:.1f}", note) for name, value, note in rows])
    return int(max(seconds) > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
