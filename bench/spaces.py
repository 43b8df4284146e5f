"""Exact costs: architectures a second, against the bar and against a loop over layers: python -m bench.spaces"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from bench._timing import best, show
from ncp.spaces import cost, nasbench201
from ncp.spaces.multires import SPACE, Architecture

BATCH = 2507
BAR = 1_000_000  # architectures a second on one core


def by_layers(architecture: Architecture, size: int = 128, classes: int = 19) -> tuple[int, int]:
    """Multiply-adds and parameters as a plain script counts them: every layer of every block."""
    area = [(size // (4 * 2**r)) ** 2 for r in range(4)]
    macs = params = 0

    def conv(kernel: int, source: int, target: int, pixels: int) -> None:
        nonlocal macs, params
        macs += kernel * kernel * source * target * pixels
        params += kernel * kernel * source * target + 2 * target

    conv(3, 3, architecture["i1"], (size // 2) ** 2)
    conv(3, architecture["i1"], architecture["i2"], area[0])
    before: tuple[int, ...] = (architecture["i2"],)
    for units, channels in architecture.blocks:
        for i, width in enumerate(channels):
            if i and i == len(before):  # the branch that this stage adds
                conv(3, channels[i - 1], width, area[i])
            else:
                if i:
                    conv(3, before[i - 1], width, area[i])
                conv(3, before[i], width, area[i])
                if i + 1 < len(before):
                    conv(1, before[i + 1], width, area[i + 1])
            for _ in range(2 * units[i]):
                conv(3, width, width, area[i])
        before = channels
    conv(1, sum(before), architecture["o1"], area[0])
    return macs + architecture["o1"] * classes * area[0], params + (architecture["o1"] + 1) * classes


def main() -> int:
    """Measure, print, and return 1 when the bar is missed."""
    codes = SPACE.sample_codes(BATCH, np.random.default_rng(0))
    architectures = [Architecture(tuple(code)) for code in codes[:100].tolist()]
    slow = [by_layers(a) for a in architectures]
    exact = cost.count(codes[:100])
    assert slow == list(zip(exact.macs.tolist(), exact.params.tolist(), strict=True)), "the two counts differ"
    cells = nasbench201.SPACE.encode(nasbench201.SPACE.all()).astype(np.int64)

    loop = len(architectures) / best(lambda: [by_layers(a) for a in architectures])
    rates = {
        "cost.count": BATCH / best(lambda: cost.count(codes)),
        "cost.release_units": BATCH / best(lambda: cost.release_units(codes)),
        "nasbench201 cost": len(cells) / best(lambda: nasbench201.SPACE.cost(cells)),
        "sample_codes": BATCH / best(lambda: SPACE.sample_codes(BATCH, np.random.default_rng(0))),
        "round": BATCH / best(lambda: SPACE.round(codes)),
        "loop over layers": loop,
    }
    rows = [
        [
            name,
            f"{rate / 1e6:.3f} M/s",
            f"{rate / BAR:.2f}" if name == "cost.count" else "",
            f"{rate / loop:,.0f}x" if name.startswith("cost") else "",
        ]
        for name, rate in rates.items()
    ]
    title = f"Architectures a second, batches of {BATCH:,}, one core"
    show(title, ["", "rate", f"of the bar of {BAR / 1e6:g} M/s", "of the loop"], rows)
    return int(rates["cost.count"] < BAR)


if __name__ == "__main__":
    raise SystemExit(main())
