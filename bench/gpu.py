"""Trainings on a GPU, side by side: python -m bench.gpu [PIECE ...] [--cpu]

Pieces, each within ten minutes (``make bench-gpu`` runs all of them, one after the other):

* train: the default code and three random ones, 128x128, batch 64: plain (fp32, channels first), eager bf16, regional (what
  follows its convolutions compiled), kernels (that, sums and joins of maps by Triton's kernels) and graphs (whole steps as CUDA
  graphs; with kernels, that is what src.train does). Bars: that 3x plain and 2.5x eager bf16. Losses of 50 steps of it are held
  against those of eager bf16: they may be as far from them as those are from plain's, which is what bf16 makes of a path.
* large: classification at 224x224 and segmentation at 512x1024, batch 16 and 4. Bar: the better of graphs and regional 1.5x
  eager bf16.
* detection: PointPillars' grid of KITTI, the default code, 16 scenes and 2. Bar: 1.5x eager bf16; and what src.predict makes of
  one scene after the other, from points on the host to boxes on the host, 100 boxes of each class good enough to be chosen from:
  in float32, as it runs, and in bf16, kernel by kernel and as one CUDA graph. Bar: 100 Hz.
* compile: seconds of regional compilation for the largest of 2,000 codes, without and with the compiler's cache. Bar: 60 s.
* share: 1, 2, 4 and 8 trainings of the narrow quarter of the space in one process, each on a stream of its own. Bar: 1.5x.
* loading: a batch's copy to the device on a side stream, and without; colours of training images changed by the loader (one core
  of the CPU) and on the device, for Cityscapes' windows (512x1024) and HMDB51's clips (8x112x112).

The geometric means are over the codes; variants take turns of four steps, and medians count. Without a GPU nothing is measured,
unless --cpu asks for a trial of the same code (without graphs), which has no bars. Detection: ``python -m bench.detection
--batch 16``; several processes on one card, with and without MPS: ``python -m bench.packing 1 2 4 8 --mps``.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench._timing import show
from bench.detection import scan
from bench.models import PEAKS
from ncp.data import transforms as T
from ncp.data.cityscapes import FULL
from ncp.data.clip_augmentation import ClipAugmentation
from ncp.data.colours import PHOTOMETRIC
from ncp.models import build, kernels
from ncp.models.capture import CudaGraphs
from ncp.models.recorded import WARM, Recorded
from ncp.models.runners import side_by_side
from ncp.models.runtime import compile_regions
from ncp.spaces import cost
from ncp.spaces.multires import SPACE
from ncp.tasks.stepping.base import Eager, Stepping
from ncp.tasks.stepping.graphs import Graphs, Settings
from ncp.tasks.stepping.part import Part, PartGraphs

CLASSES = 19
VARIANTS = (
    "plain",
    "eager bf16",
    "kernels bf16",
    "regional bf16",
    "graphs bf16",
    "kernels graphs bf16",
    "regional graphs bf16",
)
OURS = "kernels graphs bf16"  # what src.train does
MEASURED = ("plain", "eager bf16", "graphs bf16", OURS)
BARS = {"plain": 3.0, "eager bf16": 2.5}  # of ours, in the piece "train"
LARGE = 1.5  # of the best, over eager bf16
COMPILE = 60.0  # seconds
HERTZ = 100  # scenes a second
CHOSEN = 100  # boxes of each class whose scores are high enough
SHARED = 1.5  # steps a second of several narrow trainings, over one's
STEPS = 50  # whose losses are compared
AT_ONCE = 4  # steps after which the device is waited for: a training waits for its figures alone
REPEATS = 16  # images whose mean is one measurement


def training(
    variant: str, code: Any, task: str, size: Sequence[int], batch: int, device: torch.device
) -> Callable[[], Tensor]:
    """A training step of a variant, which returns its loss; the same network and batch for every variant."""
    torch.manual_seed(0)
    plain = variant == "plain"
    net = build(code, task, CLASSES, channels_last=not plain).to(device).train()
    if variant.startswith("regional"):
        compile_regions(net)
    if variant.startswith("kernels"):
        kernels.use(net)
    x = torch.randn(batch, 3, *size, device=device)
    x = x if plain else x.contiguous(memory_format=torch.channels_last)
    sides = () if task == "cls" else (size[0] // 4, size[1] // 4)
    given = {"image": x, "label": torch.randint(CLASSES, (batch, *sides), device=device)}

    def loss(batch: dict[str, Any], report: bool) -> tuple[Tensor, dict[str, Tensor]]:
        return F.cross_entropy(net(batch["image"]).float(), batch["label"]), {}

    fused = {} if plain or device.type == "cpu" else {"fused": True}
    optimizer = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9, weight_decay=1e-4, **fused)
    graphs = "graphs" in variant
    stepping: Stepping = Graphs(loss, list(net.parameters()), Settings(), CudaGraphs(device)) if graphs else Eager(loss)
    return stepper(stepping, optimizer, given, device, not plain)


def stepper(
    stepping: Stepping,
    optimizer: torch.optim.Optimizer,
    given: dict[str, Any],
    device: torch.device,
    lowered: bool,
) -> Callable[[], Tensor]:
    """A step as Lightning takes it, on the same batch each time, taken often enough to be recorded; returns its loss."""
    stepping.prepare(optimizer)
    precision = torch.autocast(device.type, torch.bfloat16, enabled=lowered)
    last: list[Tensor] = []

    def closure() -> Tensor:
        with precision:
            found, _ = stepping.forward(given, False, True)
        stepping.clear(optimizer)
        stepping.backward(found)
        last[:] = [found.detach()]
        return found

    def step() -> Tensor:
        stepping.finish(optimizer, closure)
        return last[0]

    for _ in range(6):
        step()
    return step


def taken(steps: dict[str, Callable[[], Tensor]], seconds: float) -> dict[str, float]:
    """Seconds of a step of each."""

    def several(step: Callable[[], Tensor]) -> None:
        for _ in range(AT_ONCE):
            step()
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    runs = {name: partial(several, step) for name, step in steps.items()}
    return {name: found / AT_ONCE for name, found in side_by_side(runs, seconds).items()}


def compared(
    title: str, task: str, size: Sequence[int], batch: int, options: argparse.Namespace, variants: Sequence[str]
) -> dict[str, float]:
    """Print a table of the codes; the geometric mean of each variant's seconds over plain's (or the first one's)."""
    codes = [SPACE.default(), *SPACE.sample(options.random, np.random.default_rng(2022))]
    rows, ratios = [], {name: [] for name in variants}  # type: ignore[var-annotated]
    for i, code in enumerate(codes):
        steps = {name: training(name, code, task, size, batch, options.device) for name in variants}
        times = taken(steps, options.seconds)
        del steps
        torch.cuda.empty_cache()
        macs = cost.count(code, (size[0], size[1]), "classification" if task == "cls" else "segmentation", CLASSES).macs
        cells = []
        for name in variants:
            ratios[name].append(times[variants[0]] / times[name])
            cells.append(f"{batch / times[name]:,.0f} ({ratios[name][-1]:.2f}x)")
        fastest = min(times.values())
        rate = 6 * float(macs) * batch / fastest / 1e12
        rows.append((f"random {i}" if i else "default", *cells, f"{rate:.1f} T{_share(rate, options.device)}"))
    means = {name: math.exp(sum(map(math.log, found)) / len(found)) for name, found in ratios.items()}
    rows.append(("geometric mean", *(f"{means[name]:.2f}x" for name in variants), ""))
    name = torch.cuda.get_device_name() if options.device.type == "cuda" else "CPU"
    columns = ("code", *variants, "operations/s of the fastest")
    show(f"{title}, batch {batch}: images/s (times {variants[0]}) on {name}", columns, rows)
    return means


def _share(tera: float, device: torch.device) -> str:
    """Of the card's stated rate in bf16."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    stated = next((rate for key, rate in PEAKS.items() if key in name), None)
    return f", {tera * 1e12 / stated:.1%} of {stated / 1e12:.0f} T" if stated else ""


def train(options: argparse.Namespace) -> list[str]:
    """See above; what is missed."""
    variants = [
        name
        for name in options.variants
        if options.device.type == "cuda" or not set(name.split()) & {"graphs", "regional", "kernels"}
    ]
    size, batch = (options.size, options.size), options.batch
    means = compared("training, classification", "cls", size, batch, options, variants)
    if OURS not in means:
        return []
    missed = [
        f"{OURS} is {means[OURS] / means[other]:.2f}x {other}, the bar is {bar}x"
        for other, bar in BARS.items()
        if other in means and means[OURS] / means[other] < bar
    ]
    paths = {
        name: [float(step()) for _ in range(STEPS)]
        for name in ("plain", "eager bf16", OURS)
        for step in [training(name, SPACE.default(), "cls", size, batch, options.device)]
    }
    apart, noise = (_apart(paths[name], paths["eager bf16"]) for name in (OURS, "plain"))
    print(
        f"losses of {STEPS} steps: {OURS} {apart:.1%} from eager bf16, which is {noise:.1%} from plain (mean over the steps)"
    )
    return missed + ([f"losses are {apart:.1%} apart, the bar is {noise:.1%}"] if apart > noise else [])


def _apart(losses: Sequence[float], others: Sequence[float]) -> float:
    """Mean distance of two paths, as a share of the mean loss."""
    return sum(abs(a - b) for a, b in zip(losses, others, strict=True)) / sum(others)


def large(options: argparse.Namespace) -> list[str]:
    """See above; what is missed."""
    missed = []
    for task, size, batch in (("cls", (224, 224), 16), ("seg", (512, 1024), 4)):
        variants = (
            [name for name in options.variants if name != "plain"] if options.device.type == "cuda" else VARIANTS[1:2]
        )
        means = compared(f"training, {task} at {size[0]}x{size[1]}", task, size, batch, options, variants)
        if len(means) > 1 and max(means.values()) < LARGE:
            missed.append(f"{task} is {max(means.values()):.2f}x eager bf16, the bar is {LARGE}x")
    return missed


def detection(options: argparse.Namespace) -> list[str]:
    """See above; what is missed."""
    from ncp.data.kitti import PILLAR, RANGE, grid_size
    from ncp.models.detector import Detector
    from ncp.models.pillars import Grid

    device, missed, rows = options.device, [], []
    grid = Grid(RANGE, PILLAR, grid_size(RANGE, PILLAR))
    given = scan(np.random.default_rng(0))
    points = torch.from_numpy(given).to(device)
    names = [name for name in options.variants if name != "plain"] if device.type == "cuda" else ["eager bf16"]
    for batch in (16, 2):
        steps = {name: _detector_step(name, grid, points, batch, device) for name in names}
        times = taken(steps, options.seconds)
        ratios = {name: times[names[0]] / times[name] for name in names}
        rows.append((str(batch), *(f"{1e3 * times[name]:.1f} ms ({ratios[name]:.2f}x)" for name in names)))
        if len(names) > 1 and max(ratios.values()) < LARGE:
            missed.append(f"detection of {batch} scenes is {max(ratios.values()):.2f}x {names[0]}, the bar is {LARGE}x")
        del steps
    show("training, detection on KITTI's grid", ("scenes", *names), rows)
    looks: dict[str, Callable[[], Any]] = {}
    for lowered, precision in ((False, "float32"), (True, "bf16")):
        for way in ("kernel by kernel", "as a graph")[: 1 + (device.type == "cuda")]:
            torch.manual_seed(0)
            detector = Detector(build(SPACE.default(), "det3d"), grid).eval()
            looks[f"{precision}, {way}"] = _looking(detector, given, device, lowered, "graph" in way)
    rates = {name: 1 / seconds for name, seconds in side_by_side(looks, options.seconds).items()}
    show("one scene, points to boxes", ("network", "Hz"), [(name, f"{rate:.0f}") for name, rate in rates.items()])
    return missed + ([f"{max(rates.values()):.0f} Hz, the bar is {HERTZ} Hz"] if max(rates.values()) < HERTZ else [])


def _looking(detector: Any, points: np.ndarray, device: torch.device, lowered: bool, graph: bool) -> Callable[[], Any]:
    """What src.predict does to a scene's points, often enough done to be recorded."""
    import msgspec

    from ncp import card
    from ncp.inference.detection import Finder, Scene
    from ncp.inference.torch_network import TorchNetwork
    from ncp.models.detector_file import space_of

    kinds = [kind.name for kind in detector.kinds]
    about = card.make(
        where="bench", task="det3d", architecture="default", classes=kinds, channels=64, size=detector.encoder.grid.size,
        mean=None, std=None, use=card.Use(space=msgspec.convert(space_of(detector, {}), card.SeenSpace)),
    )  # fmt: skip
    lowest = float(detector.ranked(torch.from_numpy(points), CHOSEN)[:, -1, 7].min())
    network = TorchNetwork(detector, about, device.type, dtype="bf16" if lowered else "fp32")
    finder, scene = Finder(network, lowest), Scene(points, None, (1, 1))
    recorded = network.run
    if isinstance(recorded, Recorded) and not graph:
        network.run = recorded.call

    def look() -> Any:
        return finder(scene)

    for _ in range(WARM + 1):
        look()
    assert not isinstance(recorded, Recorded) or recorded.refused is None, recorded.refused
    return look


def _detector_step(variant: str, grid: Any, points: Tensor, batch: int, device: torch.device) -> Callable[[], Tensor]:
    """A training step of the default detector on ``batch`` scenes."""
    from ncp.models.detector import Detector

    torch.manual_seed(0)
    detector = Detector(build(SPACE.default(), "det3d"), grid).to(device).train()
    if variant.startswith("regional"):
        compile_regions(detector)
    if variant.startswith("kernels"):
        kernels.use(detector)
    given = {
        "points": points.repeat(batch, 1),
        "counts": torch.tensor([len(points)] * batch),  # these three are read on the host
        "boxes": torch.tensor([[[10.0, 1, -1, 3.9, 1.6, 1.56, 0.2]]]).repeat(batch, 1, 1),
        "labels": torch.zeros(batch, 1, dtype=torch.int64),
    }

    def loss(batch: dict[str, Any], report: bool) -> tuple[Tensor, dict[str, Tensor]]:
        parts = detector.losses(detector(batch["points"], batch["counts"]), batch["boxes"], batch["labels"])
        return parts["box"] + parts["class"] + parts["direction"], {}

    optimizer = torch.optim.AdamW(detector.parameters(), 1e-4, fused=device.type == "cuda")
    stepping: Stepping = Eager(loss)
    if "graphs" in variant:
        used = [*detector.network.parameters(), *detector.head.parameters()]
        part = Part(partial(Detector.maps, detector), used, partial(setattr, detector, "maps"))
        stepping = PartGraphs(loss, part, False, CudaGraphs(device), print)
    return stepper(stepping, optimizer, given, device, lowered=True)


COMPILING = """
import sys, time, torch
from bench.trainings import largest_of
from ncp.models import build
from ncp.models.runtime import compile_regions
device = torch.device(sys.argv[1])
net = compile_regions(build(largest_of(2_000), "cls", 19).to(device))
x = torch.randn(4, 3, 64, 64, device=device)
began = time.perf_counter()
with torch.autocast(device.type, torch.bfloat16):
    loss = net(x).float().square().mean()
loss.backward()
print(time.perf_counter() - began)
"""


def compile_(options: argparse.Namespace) -> list[str]:
    """See above; what is missed."""
    with tempfile.TemporaryDirectory() as cache:
        line = [sys.executable, "-c", COMPILING, options.device.type]
        took = []
        for _ in range(2):
            done = subprocess.run(
                line, env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache}, capture_output=True, text=True, check=False
            )
            if done.returncode:
                return [f"regional compilation failed: {done.stderr.strip().splitlines()[-1]}"]
            took.append(float(done.stdout.split()[-1]))
    rows = [("without a cache", f"{took[0]:.1f}"), ("with the first's", f"{took[1]:.1f}")]
    show("first step of the largest of 2,000 codes, compiled by its repeated parts", ("process", "seconds"), rows)
    return [f"compiling took {took[0]:.0f} s, the bar is {COMPILE:.0f} s"] if took[0] > COMPILE else []


def loading(options: argparse.Namespace) -> list[str]:
    """See above; there is no bar."""
    colours(options)
    if options.device.type == "cpu":
        return []
    from ncp.data.ahead import CudaSide, ahead

    step = training(OURS, SPACE.default(), "cls", (options.size, options.size), options.batch, options.device)
    images = torch.zeros(options.batch, 3, 224, 224, dtype=torch.uint8).pin_memory()
    batches = [{"image": images}] * 50

    def direct() -> None:
        for batch in batches:
            batch["image"].to(options.device, non_blocking=True).float().mean()
            step()

    def beside() -> None:
        for batch in ahead(batches, CudaSide(options.device)):
            batch["image"].float().mean()
            step()

    times = side_by_side({"on the computing stream": direct, "on a side stream": beside}, options.seconds)
    rows = [(name, f"{1e3 * seconds / len(batches):.2f}") for name, seconds in times.items()]
    show("a step with its batch's copy", ("copied", "ms"), rows)
    return []


def colours(options: argparse.Namespace) -> None:
    """Print what a training image costs before it has its colours, and its colours, here and there."""
    rng = np.random.default_rng(0)
    photo, label = torch.randint(256, (3, *FULL), dtype=torch.uint8), torch.randint(19, FULL, dtype=torch.uint8)
    frames = torch.randint(256, (8, 3, 240, 320), dtype=torch.uint8)
    clips = ClipAugmentation()
    window, clip = photo[:, :512, :1024].contiguous(), clips.crop(frames, rng, (112, 112))
    work: dict[str, tuple[Callable[[], Any], Callable[[Tensor], Any], Tensor]] = {
        "a window of 512x1024": (
            lambda: T.random_scale_crop(photo, label, rng, (512, 1024)),
            lambda image: PHOTOMETRIC.apply(image, PHOTOMETRIC.draw(rng)),
            window,
        ),
        "a clip of 8x112x112": (
            lambda: clips.crop(frames, rng, (112, 112)),
            lambda image: clips.apply(image, clips.draw(rng)),
            clip,
        ),
    }
    rows = []
    for name, (cut, change, image) in work.items():
        ways = {"cut": partial(_mean, cut), "loader": partial(_mean, partial(change, image))}
        if options.device.type == "cuda":
            ways["device"] = partial(_mean, partial(change, image.to(options.device)))
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # as a loader's process has
        times = side_by_side(ways, options.seconds)
        torch.set_num_threads(threads)
        ms = [1e3 * times[way] / REPEATS if way in times else math.nan for way in ("cut", "loader", "device")]
        rows.append(
            (name, *("" if math.isnan(value) else f"{value:.2f}" for value in ms), f"{(ms[0] + ms[1]) / ms[0]:.1f}x")
        )
    columns = (
        "milliseconds (decoding aside)",
        "cut out",
        "colours, loader",
        "colours, device",
        "a core's images without colours",
    )
    show("colours of training images", columns, rows)


def _mean(work: Callable[[], Any]) -> None:
    """So often that a mean over what is drawn comes out."""
    for _ in range(REPEATS):
        work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def share(options: argparse.Namespace) -> list[str]:
    """See above; what is missed."""
    if options.device.type == "cpu":
        return []
    codes = SPACE.sample(64, np.random.default_rng(7))
    narrow = sorted(codes, key=lambda code: float(cost.count(code).macs))[: len(codes) // 4]
    rows, gains = [], []
    for number in options.together:
        streams = [torch.cuda.Stream() for _ in range(number)]
        steps = []
        for stream, code in zip(streams, narrow, strict=False):
            with torch.cuda.stream(stream):
                size = (options.size, options.size)
                steps.append(training(OURS, code, "cls", size, options.batch, options.device))
        torch.cuda.synchronize()

        def all_once(streams: Any = streams, steps: Any = steps) -> None:
            for stream, step in zip(streams, steps, strict=True):
                with torch.cuda.stream(stream):
                    step()
            torch.cuda.synchronize()

        seconds = side_by_side({"all": all_once}, options.seconds)["all"]
        # the first trainings of each number are the same ones, so one's time is theirs alone
        alone = sum(side_by_side({"one": partial(_waited, step)}, 2.0)["one"] for step in steps)
        gains.append(alone / seconds)
        rows.append((str(number), f"{1e3 * seconds:.2f}", f"{1e3 * alone:.2f}", f"{gains[-1]:.2f}x"))
        del steps
        torch.cuda.empty_cache()
    show("narrow trainings in one process", ("at a time", "ms for a step of each", "one after the other", "gain"), rows)
    return [f"several narrow trainings gain {max(gains):.2f}x, the bar is {SHARED}x"] if max(gains) < SHARED else []


def _waited(step: Callable[[], Tensor]) -> None:
    step()
    torch.cuda.synchronize()


PIECES = {
    "train": train,
    "large": large,
    "detection": detection,
    "compile": compile_,
    "share": share,
    "loading": loading,
}


def main() -> int:
    """Measure, print, and return 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pieces", nargs="*", metavar="PIECE", help=f"of {', '.join(PIECES)}; all unless given")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--random", type=int, default=3, help="random codes beside the default one")
    parser.add_argument("--seconds", type=float, default=10.0, help="of measuring, for each network")
    parser.add_argument("--together", type=int, nargs="+", default=[1, 2, 4, 8], help="of the piece share")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(MEASURED), help="of train and large")
    parser.add_argument("--cpu", action="store_true", help="try the same code on the CPU")
    options = parser.parse_args()
    if unknown := set(options.pieces) - set(PIECES):
        parser.error(f"unknown piece {', '.join(sorted(unknown))}; there are {', '.join(PIECES)}")
    if not torch.cuda.is_available() and not options.cpu:
        print("nothing was measured: torch sees no GPU here (--cpu tries the same code)")
        return 0
    options.device = torch.device("cpu" if options.cpu else "cuda")
    if not options.cpu:
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
    missed = []
    for name in options.pieces or PIECES:
        began = time.perf_counter()
        missed += PIECES[name](options)
        print(f"{name}: {time.perf_counter() - began:.0f} s")
    for line in missed:
        print(f"MISSED: {line}")
    return int(bool(missed)) if not options.cpu else 0


if __name__ == "__main__":
    sys.exit(main())
