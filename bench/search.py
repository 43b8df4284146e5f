"""Speed of the search: python -m bench.search

The paper's 70-iteration search against a plain autograd loop of the same steps, and against that loop counting cost by
building a network at every step, as the released program does; then 1,024 starts at once. One thread. Predictors of the real
size with random weights, so that no data is needed; the arithmetic does not depend on the values. CPU seconds, which on an idle
machine are the wall seconds of one thread; the least of some repetitions, since other work on the machine only adds time.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench._timing import show
from ncp import models, spaces
from ncp.predictors import gp_fit
from ncp.predictors.base import Card, Predictor
from ncp.predictors.mlp import MLP, layout
from ncp.predictors.rows import Rows
from ncp.search import search
from ncp.search.criterion import Criterion
from ncp.search.limits import Budget, Region
from ncp.search.objectives import Objectives, parse_objectives
from ncp.search.propagation import Propagation
from ncp.search.robust import Robust

SPACE = spaces.get("multires")
METRICS = ("mIoU", "mAcc", "aAcc", "flops", "params")
STEPS, MANY, LARGE = 70, 1024, 20_000
MEMORY_BAR = 1000.0  # MB of the whole process, torch included, however many starts
PAPER_BAR, MANY_PAPER_BAR, MANY_DEFAULT_BAR = 0.015, 1.0, 4.0


def best(function: Callable[[], Any], repeat: int = 15) -> float:
    """CPU seconds of one call, the least of ``repeat``, after one that is not counted."""
    function()
    least = float("inf")
    for _ in range(repeat):
        start = time.process_time()
        function()
        least = min(least, time.process_time() - start)
    return least


def paper_predictor() -> MLP:
    """The release's layout (norms, three heads) with random weights."""
    torch.manual_seed(0)
    mlp = MLP(Card("mlp", "seg", METRICS, config=asdict(layout(METRICS, heads="group"))))
    mlp.standardise(
        SPACE.encode(SPACE.sample(500, np.random.default_rng(0))), np.random.default_rng(1).normal(size=(500, 5))
    )
    return mlp.eval().requires_grad_(False)


def default_predictor() -> Predictor:
    """The default family at its usual size, hardly fitted to made-up rows."""
    rng = np.random.default_rng(0)
    codes = SPACE.encode(SPACE.sample(800, rng))
    z = (codes - SPACE.center) / SPACE.scale
    targets = 75 + 3 * np.tanh(z @ rng.normal(size=27) / 6)[:, None] + rng.normal(size=(800, 1)) / 4
    return gp_fit.fit(Rows(codes, targets, ("mIoU",), "seg"), gp_fit.Options(steps=3))


def plain_loop(predictor: MLP, cost: Callable[[Tensor], Any] | None = None) -> Tensor:
    """The same 70 steps as a script would write them: autograd through the network as it was trained, torch's own SGD."""
    mean, std = predictor.input_mean, predictor.input_std
    e_1D = nn.Parameter((torch.tensor([SPACE.default().code], dtype=torch.float32) - mean) / std)
    lower, upper = ((torch.as_tensor(b, dtype=torch.float32) - mean) / std for b in (SPACE.lower, SPACE.upper))
    optimiser = torch.optim.SGD([e_1D], lr=3)
    for _ in range(STEPS):
        out_1M = predictor.net(e_1D)
        target = out_1M.detach() + torch.tensor([0.1, 0, 0, -0.1, 0])
        loss = (out_1M[0, 0] - target[0, 0]).abs() + 0.5 * (out_1M[0, 3] - target[0, 3]).abs()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        e_1D.data.clamp_(lower, upper)
        if cost is not None:
            cost(e_1D.detach() * std + mean)
    return e_1D.detach()


def build_and_count(code_1D: Tensor) -> int:
    """Multiply-adds the long way: build the rounded network and run it once with a counter on every convolution."""
    network = models.build(SPACE.decode(code_1D.double().numpy())[0], task="seg", classes=19).eval()
    total = 0

    def count(module: nn.Module, _: Any, y_BCHW: Tensor) -> None:
        nonlocal total
        assert isinstance(module, nn.Conv2d)
        kernel = module.kernel_size[0] * module.kernel_size[1]
        total += y_BCHW[0].numel() * kernel * module.in_channels // module.groups

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        network(torch.zeros(1, 3, 128, 128))
    for hook in hooks:
        hook.remove()
    return total


def main() -> int:
    """Print the table; 1 where a bar is missed."""
    torch.set_num_threads(1)
    mlp, gp = paper_predictor(), default_predictor()
    goals = Objectives(parse_objectives(["seg"]), {"seg": mlp}, cost="learned")
    budget = Budget(Region(SPACE))
    one, rng = SPACE.encode([SPACE.default()]), np.random.default_rng(0)
    many = SPACE.encode(SPACE.sample(MANY, rng))
    default_goals = Objectives(parse_objectives(["seg"]), {"seg": gp})
    criterion = Criterion(default_goals, budget)

    ours = best(lambda: Propagation().run(goals, one, budget, rng))
    whole = best(lambda: search(["seg"], strategy="paper", predictor={"seg": mlp}))
    plain = best(lambda: plain_loop(mlp), repeat=7)
    built = best(lambda: build_and_count(torch.as_tensor(one)), repeat=3) * STEPS + plain
    many_paper = best(lambda: Propagation().run(goals, many, budget, rng), repeat=3)
    many_default = best(lambda: Robust(iterations=STEPS).ascend(criterion, many), repeat=2)
    default = best(lambda: search(["seg"], predictor={"seg": gp}), repeat=3)
    began = time.process_time()
    search(["seg"], predictor={"seg": gp}, starts=LARGE)
    large, memory = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    def line(name: str, seconds: float, bar: float | None = None) -> list[str]:
        limit = "" if bar is None else f"{bar * 1e3:.0f} ms"
        met = "" if bar is None else "met" if seconds <= bar else "MISSED"
        return [name, f"{seconds * 1e3:.1f} ms", limit, met, f"{seconds / ours:.1f}"]

    rows = [
        line(f"paper's search, {STEPS} iterations, best step chosen", ours, PAPER_BAR),
        line("the same through ncp.search.search, result described", whole),
        line("plain autograd loop (steps alone)", plain),
        line("plain loop that builds a network to count cost", built),
        line(f"{MANY} starts x {STEPS}, paper's predictor", many_paper, MANY_PAPER_BAR),
        line(f"{MANY} starts x {STEPS}, default predictor, with its doubt", many_default, MANY_DEFAULT_BAR),
        line("default search (32 starts, polish)", default),
        line(f"default search, {LARGE:,} starts, in chunks; peak memory {memory:.0f} of {MEMORY_BAR:.0f} MB", large),
    ]
    show("Searching, one thread", ["what", "time", "bar", "", "x first line"], rows)
    missed = ours > PAPER_BAR or many_paper > MANY_PAPER_BAR or many_default > MANY_DEFAULT_BAR or memory > MEMORY_BAR
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
