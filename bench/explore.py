"""The explorer's page against Python: python -m bench explore

Twenty problems (weighted tasks, lambdas, limits, floors, narrower bounds), searched by the page's modules in node and by
``ncp.search``: what both found is scored by the same criterion. Then the time from a change of a setting to the first network,
also for a task of one's own whose predictor leans on all bundled ones, and of the paper's 70 steps, in the CPU time of one
thread. At last a slider is dragged in a browser: what a frame costs the main thread, against the 16.7 ms that it has, in CPU time
too.
Needs node, and a Chromium for the last.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench._frames import CHROMIUM, FRAME, dragged
from bench._timing import show
from ncp import jobs, spaces
from ncp.benchmark import settings
from ncp.explore import bundle, describe
from ncp.predictors import fit, load
from ncp.search import search
from ncp.search.criterion import Criterion

ASK = Path(__file__).resolve().parents[1] / "tests" / "explorer_ask.mjs"
POINTS = 0.05  # bar: how much worse the page may be, in points of the first objective
MILLISECONDS = 100.0  # bar: to the first network


def problems(n: int) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """``n`` problems as arguments of ``ncp.search.search`` and as the page asks them, drawn with seed 0."""
    rng = np.random.default_rng(0)
    out = []
    for _ in range(n):
        names = [str(name) for name in rng.choice(settings.PAPER, rng.integers(1, 4), replace=False)]
        main = {name: settings.get(name).main for name in names}
        weights = rng.integers(1, 9, len(names)) / 4
        given: dict[str, Any] = {
            "objectives": [
                {"metric": f"{k}.{main[k]}", "weight": float(w)} for k, w in zip(names, weights, strict=True)
            ]
        }
        asked: dict[str, Any] = {
            "objectives": [
                {"setting": k, "metric": main[k], "weight": float(w)} for k, w in zip(names, weights, strict=True)
            ]
        }
        kind = rng.integers(3)
        if kind == 0:
            given["lam"] = asked["lam"] = float(rng.choice([0.1, 0.3, 1.0, 2.0]))
        elif kind == 1:
            macs, params = float(rng.choice([0.3e9, 0.8e9, 2e9])), float(rng.choice([2e6, 8e6]))
            given["budget"], asked["limits"] = {"macs": macs, "params": params}, {"macs": macs, "params": params}
        else:
            predictor, metric = load(names[0]), main[names[0]]
            value = float(predictor.predict(predictor.space.default())[metric][0])
            given["floor"] = {f"{names[0]}.{metric}": value}
            asked["floors"] = [{"setting": names[0], "metric": metric, "value": value}]
        if rng.random() < 0.4:
            given["bounds"], asked["bounds"] = {"c4_4": [8, 64]}, {"25": [8, 64]}
        out.append((given, asked))
    return out


def own() -> Any:
    """A predictor of a task of one's own, from 40 trainings, that leans on all bundled ones."""
    space = spaces.get("multires")
    trained = space.sample(40, np.random.default_rng(0))
    values = load("video").predict(trained)["top1"] + np.random.default_rng(1).normal(0, 0.3, len(trained))
    predictor = fit(trained, {"top1": values}, known="all")
    predictor.card.setting = "mine"
    return predictor


def ask(folder: Path, *questions: dict[str, Any]) -> list[Any]:
    """What the page's modules answer in node."""
    block = describe.Arrays()
    bundled = [describe.Given(load(name)) for name in settings.PAPER]
    bundled.append(describe.Given(describe.paper_part(load("seg", family="paper")), "paper"))
    bundled.append(describe.Given(own()))
    content = {"description": describe.description(bundled, [], block), "numbers": bundle.packed(block.joined())}
    file = folder / "questions.json"
    file.write_text(json.dumps({**content, "questions": questions}))
    node = shutil.which("node")
    if node is None:
        raise SystemExit("node is not installed")
    done = subprocess.run([node, str(ASK), str(bundle.PAGE), str(file)], capture_output=True, text=True, check=True)
    answers: list[Any] = json.loads(done.stdout)
    return answers


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and return 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=20, help="how many (default 20)")
    options = parser.parse_args(arguments)
    both = problems(options.problems)
    walk = {"what": "propagation", "problem": {"objectives": [{"setting": "seg", "metric": "mIoU"}]}}
    cls, seg = ({"setting": "cls-50-1000", "metric": "top1"}, {"setting": "seg", "metric": "mIoU"})
    mine = {"setting": "mine", "metric": "top1"}
    near = [{"what": "near", "problem": {"objectives": o}} for o in ([seg], [cls, seg], [mine])]
    with tempfile.TemporaryDirectory() as folder:
        searches = [{"what": "search", "problem": asked} for _, asked in both]
        *found, paper, one, two, three = ask(Path(folder), *searches, {**walk, "repeat": 5}, *near)
    rows, worst, same = [], 0.0, 0
    for (given, _), answer in zip(both, found, strict=True):
        result = search(**given)
        goals, budget = result.trajectory.objectives, result.budget
        assert budget is not None
        codes = np.array([answer["code"], result.architecture.code], dtype=np.float64)
        scores = Criterion(goals, budget, given.get("lam", 0.5)).scores(codes)
        spread = float(goals.std_K[0] / goals.weights_K[0])
        behind = float(scores.value[1] - scores.value[0]) * (spread if "floor" not in given else 1.0)
        worst, same = max(worst, behind, float(scores.excess[0])), same + (answer["code"] == list(codes[1]))
        rows.append(
            [json.dumps(given)[:100], f"{behind:+.4f}", "same" if answer["code"] == list(codes[1]) else "other"]
        )
    show("The page's searches against Python's", ["problem", "points behind", "network"], rows)
    times = {
        "first network, seg": one,
        "first network, cls and seg": two,
        "first network, a task of one's own": three,
        "the paper's 70 steps": paper["milliseconds"],
    }
    show("CPU time in node", ["what", "ms"], [[k, f"{v:.0f}"] for k, v in times.items()])
    print(f"{same} of {len(both)} networks are the same; at most {worst:.4f} points behind (bar {POINTS})")
    return int(worst > POINTS or max(one, two, three) > MILLISECONDS or not _smooth())


def _smooth() -> bool:
    """Whether the page keeps up with a screen of 60 frames a second, printed; true where there is no browser to ask."""
    if CHROMIUM is None:
        print("no Chromium is installed: what a frame costs was not measured")
        return True
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        page = jobs.explore.run(jobs.options("explore", f"out={place}/page.html", "open=false"), place / "run").page
        state = "for=seg.mIoU:1,cls-50-1000.top1:1"
        drags = {
            "a limit of multiply-adds": dragged(page, f"{state}&macs=1e9", "Multiply-adds, at most"),
            "the weight of a task": dragged(page, state, "Segmentation (seg), how much"),
        }
    head = ["slider", "a frame, of 16.7 ms", "longest task, of 16.7 ms", "tasks above", "frames drawn, of 60 a second"]
    rows = [
        [name, f"{d.busy / FRAME:.2f}", f"{d.longest / FRAME:.2f}", f"{d.late:.1%}", f"{d.shown:.0%}"]
        for name, d in drags.items()
    ]
    show(
        "The main thread while a slider is dragged (CPU time; the last column tells how busy the machine was)",
        head,
        rows,
    )
    return all(d.busy < FRAME for d in drags.values())


if __name__ == "__main__":
    sys.exit(main())
