"""Searches within milliseconds against searches within multiply-adds: python -m bench limits TABLES FILE ...

TABLES is the released ``data`` folder; each FILE a model that ``python -m src.latency`` measured on this machine, for cls or seg.
Three limits a file: the times of what multiply-add limited searches find at .5, 1 and 2 G. For each, one search runs within
the milliseconds, its best measured as the command does (``verify=auto``, ``latency.margin=0``). Its peer is the search within
multiply-adds as a person would tune it by hand: nineteen budgets between .15 and 4 G and the three, each answer measured, and the
one with the best prediction taken that keeps the same milliseconds: one of them takes exactly the limit. Both are judged by an
exact Gaussian process on all rows of the setting's table, which no search saw (as in ``bench search_quality``).
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from bench._timing import show
from bench.search_quality import judge, verdict
from ncp.benchmark import settings
from ncp.latency import storage
from ncp.latency.here import is_here
from ncp.latency.machine import of_card
from ncp.latency.measuring import median_time
from ncp.latency.model import Latency
from ncp.progress import bar
from ncp.search import Result, search
from ncp.search.verify import settle

LIMITS = (0.5e9, 1e9, 2e9)
BUDGETS = np.geomspace(0.15e9, 4e9, 19)
SECONDS = 2.0  # of measuring a network


def within_ms(objective: str, model: Latency, limit: float, timer: Any) -> Result:
    """The search within milliseconds, measured as the command does."""

    def searched(models: list[Latency]) -> Result:
        budget = {"latency_ms": limit}
        return search([objective], budget=budget, latency=models, latency_trust=True, latency_margin=0.0)

    return settle(searched([model]), {"latency_ms": timer}, searched)


def main() -> int:
    """Print the table; 1 where the searches within milliseconds are not ahead on average."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path, nargs="?", help="the released data folder")
    parser.add_argument("files", type=Path, nargs="*", help="latency.safetensors of this machine")
    options = parser.parse_args()
    if not options.files:
        print("left out: it needs the released tables and files that src.latency measured here")
        return 0
    rows, ahead = [], []
    for path in options.files:
        model = storage.load(path)
        card = model.card
        setting = settings.get(card.task)
        if not is_here(card):
            print(f"'{path}' was measured on another machine ({card.processor})", file=sys.stderr)
            return 2
        judged = judge(options.tables, setting.name)
        machine = of_card(card)

        @cache
        def timer(architecture: Any, machine: Any = machine) -> float:
            return median_time(machine.runner(architecture), SECONDS)

        with bar(f"{setting.name}, {card.runtime}") as tell:
            by_macs = []
            for i, budget in enumerate(sorted({*BUDGETS.tolist(), *LIMITS})):
                found = search([card.task], budget={"macs": budget})
                by_macs.append((budget, found, timer(found.architecture)))
                tell((i + 1) / (len(BUDGETS) + len(LIMITS)), f"within {budget / 1e9:.2f} G multiply-adds")
        for limit in (ms for budget, _, ms in by_macs if budget in LIMITS):
            ours = within_ms(card.task, model, limit, timer)
            keeping = [(found, ms) for _, found, ms in by_macs if ms <= limit]
            peer, peer_ms = max(keeping, key=lambda pair: pair[0].predicted[setting.name][setting.main])
            (mean, std), (peer_mean, _) = (verdict(judged, r.architecture) for r in (ours, peer))
            ahead.append(mean - peer_mean)
            took = {timed.text: timed.milliseconds for timed in ours.measured}
            ms = f"{took[ours.architecture.text]:.1f}" + ("" if ours.kept else ", not kept")
            rows.append(
                [f"{setting.name}, {card.runtime} {card.dtype}", f"{limit:.1f}", ms, f"{mean:.2f} ± {std:.2f}",
                 f"{ours.macs / 1e9:.2f}", f"{peer_ms:.1f}", f"{peer_mean:.2f}", f"{peer.macs / 1e9:.2f}", f"{ahead[-1]:+.2f}"]
            )  # fmt: skip
    columns = [
        "setting, runtime",
        "limit, ms",
        "within ms took",
        "judge",
        "G MACs",
        "within MACs took",
        "judge",
        "G MACs",
        "ahead",
    ]
    show(f"Searches within milliseconds and within multiply-adds; on average {np.mean(ahead):+.2f}", columns, rows)
    return 0 if np.mean(ahead) > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
