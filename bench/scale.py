"""Arithmetic, time and price of the paper's benchmark on today's GPUs (docs/scale.md): python -m bench.scale

Operations are exact: the mean over a sample of the space of our own count, at each setting's own sizes, times the recipe's
images. What a card makes of them was measured on one H100 and one H200 (``python -m bench.gpu large detection``); for other cards
the H100's share of their peak is assumed, or ``--share``. ``--rate`` puts your own number of images a second of the default code
(``python -m src.train setting=... arch=default`` prints it) in the place of both.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bench._timing import show
from ncp.spaces import cost
from ncp.spaces.multires import SPACE

MODELS = 2_500  # a setting (paper, section 3.2)
PAPER_HOURS = 400_000  # paper, section 3.2
BACKWARD = 3  # forward and backward are three times the forward
# card: dense bf16 peak (makers' data sheets; V100: fp32), and dollars an hour to rent one (assumed)
CARDS = {
    "V100 (fp32)": (15.7e12, 0.5), "A100": (312e12, 1.5), "H100": (989e12, 2.5), "H200": (989e12, 3.0), "B200": (2250e12, 5.0)
}  # fmt: skip
# operations a second (three times the forward, two a multiply-add), over the default and three random codes together. cls:
# 224x224, batch 16 (video: taken as the same); seg: 512x1024, batch 4; 3ddet: the default code, 16 scenes (the H100's kernel by
# kernel with matches scene by scene, as they were). The H100 was not measured again after graphs had Triton's kernels in them
MEASURED = {
    ("H100", "kernel by kernel"): {"cls": 11.5e12, "seg": 31.8e12, "3ddet": 72.5e12},
    ("H100", "graphs"): {"cls": 49.9e12, "seg": 78.1e12, "3ddet": 94.0e12},
    ("H200", "kernel by kernel"): {"cls": 10.9e12, "seg": 27.0e12, "3ddet": 118.7e12},
    ("H200", "graphs"): {"cls": 53.6e12, "seg": 89.1e12, "3ddet": 123.1e12},
    ("H200", "graphs, Triton's kernels"): {"cls": 64.1e12, "seg": 105.5e12, "3ddet": 183.3e12},
}
OTHERS = ("H100", "graphs")  # whose share of the peak is taken for cards that were not measured


@dataclass(frozen=True)
class Load:
    """A setting: images (clips, scenes) that a training reads, evaluated images, and multiply-adds of each."""

    name: str
    trained: float
    evaluated: float
    macs: np.ndarray
    macs_eval: np.ndarray

    @property
    def operations(self) -> float:
        """Floating-point operations of the mean training, two a multiply-add."""
        return 2 * float(BACKWARD * self.trained * self.macs.mean() + self.evaluated * self.macs_eval.mean())


def loads(sample: int = 2_507, seed: int = 0) -> list[Load]:
    """The nine settings (paper, appendix A.1), over a sample of the space."""
    codes = SPACE.sample_codes(sample, np.random.default_rng(seed))

    def images(size: tuple[int, int], head: str, classes: int) -> np.ndarray:
        return np.asarray(cost.count(codes, size=size, head=head, classes=classes).macs, dtype=float)

    cls = images((224, 224), "classification", 50)
    crop, frame = images((512, 1024), "segmentation", 19), images((1024, 2048), "segmentation", 19)
    small, small_frame = images((128, 256), "segmentation", 19), images((256, 512), "segmentation", 19)
    scene = np.asarray(cost.bev(codes).macs, dtype=float)
    clip = np.asarray(cost.video(codes).macs, dtype=float)
    steps = 25_000 * 64
    return [
        Load("cls-50-1000", 100 * 50_000, 20 * 2_500, cls, cls),
        Load("cls-50-100", 100 * 5_000, 20 * 2_500, cls, cls),
        Load("cls-10-1000", 100 * 10_000, 20 * 500, cls, cls),
        Load("cls-10c", 10 * 50_000, 2 * 2_500, cls, cls),
        Load("seg", steps, 5 * 500, crop, frame),
        Load("seg-4x", steps, 5 * 500, small, small_frame),
        Load("3ddet", 80 * 3_712, 5 * 3_769, scene, scene),
        Load("video", 100 * 3_570, 20 * 1_530, clip, clip),
        Load("video-p", 100 * 3_570, 20 * 1_530, clip, clip),
    ]


def measured_hours(every: list[Load], rates: Mapping[str, float]) -> float:
    """GPU hours of the whole benchmark at measured rates."""
    kinds = {"video": "cls"}
    seconds = 0.0
    for load in every:
        kind = load.name.split("-")[0]
        seconds += MODELS * load.operations / rates[kinds.get(kind, kind)]
    return seconds / 3600


def main() -> int:
    """Print the arithmetic and what it costs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, help="of the bf16 peak that trainings reach; unless given, the H100's")
    parser.add_argument("--share-v100", type=float, default=0.4, help="of the V100's fp32 peak")
    parser.add_argument("--rate", type=float, help="images a second of the default code in cls-50-1000, measured")
    parser.add_argument(
        "--price", type=float, default=2.5, help="dollars an hour of the card on which --rate was measured"
    )
    options = parser.parse_args()
    every = loads()
    total = MODELS * sum(load.operations for load in every)
    rows = [
        (
            load.name,
            f"{load.macs.mean() / 1e9:.2f}",
            f"{load.trained / 1e6:.2f}",
            f"{load.operations / 1e15:.2f}",
            f"{MODELS * load.operations / total:.1%}",
        )
        for load in every
    ]
    show(
        "a training of the mean architecture",
        ("setting", "G MACs an image", "M images trained", "P operations", "share of the benchmark"),
        [*rows, ("all, 2,500 each", "", "", f"{total / 1e15:,.0f}", "100%")],
    )
    hours_of = {way: measured_hours(every, rates) for way, rates in MEASURED.items()}
    reached = options.share or total / 3600 / hours_of[OTHERS] / CARDS[OTHERS[0]][0]
    known = {card for card, _ in MEASURED} if not options.share else set()
    ways = [(f"{card}, measured, {way}", hours, *CARDS[card]) for (card, way), hours in hours_of.items()]
    for card, (peak, price) in CARDS.items():
        share = options.share_v100 if "V100" in card else reached
        if card not in known:
            ways.append((card, total / (peak * share) / 3600, peak, price))
    cards = [
        (
            name,
            f"{total / 3600 / hours / peak:.1%}",
            f"{hours:,.0f}",
            f"{hours / 24 / 64:.1f}",
            f"{hours * price:,.0f}",
        )
        for name, hours, peak, price in ways
    ]
    if options.rate:
        default = SPACE.default()
        macs = float(cost.count([default.code], size=(224, 224), head="classification", classes=50).macs[0])
        hours = total / (2 * BACKWARD * macs * options.rate) / 3600
        cards.append(("at your rate", "", f"{hours:,.0f}", f"{hours / 24 / 64:.1f}", f"{hours * options.price:,.0f}"))
    show(
        f"22,500 models (the paper: {PAPER_HOURS:,} GPU hours)",
        ("card", "share of peak", "GPU hours", "days on 64", "dollars"),
        cards,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
