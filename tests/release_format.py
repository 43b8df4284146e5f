"""A small release, written as its authors write one."""

import pickle
from pathlib import Path

import numpy as np

from ncp.benchmark import settings
from ncp.spaces import cost, nasbench201
from ncp.spaces.multires import SPACE

# those of TransNAS-Bench-101, space/task, come in tables of their own form
NAMES = tuple(name for name, setting in settings.SETTINGS.items() if "/" not in name)


def row_of(architecture, metrics, flops=None, params=None):
    """One row as the release writes it."""
    recorded = cost.release_units(architecture)
    return {
        **metrics,
        "flops": float(recorded[0]) if flops is None else flops,
        "params": float(recorded[1]) if params is None else params,
        "input_channel": list(architecture.code[:2]),
        "inverted_residual_setting": [[len(b.units), list(b.units), list(b.channels)] for b in architecture.blocks],
        "last_channel": architecture["o1"],
        "embedding": list(architecture.code),
    }


def release_rows(name, n=60, seed=0):
    """``n`` plausible rows of a setting; the same architectures in every setting of a space."""
    rng = np.random.default_rng(seed)
    setting = settings.get(name)
    if setting.space == "nasbench201":
        cells = nasbench201.SPACE.sample(n, rng)
        found = nasbench201.SPACE.cost(nasbench201.SPACE.encode(cells).astype(int))
        return [
            {
                "embedding": np.array(cell.code, dtype=np.float32),
                "Acc": float(rng.uniform(20, 47)),
                "Flops": round(float(found.macs[i]) / 1e6, 2),
                "Params": round(float(found.params[i]) / 1e6, 3),
            }
            for i, cell in enumerate(cells)
        ]
    rows = []
    for i, architecture in enumerate(SPACE.sample(n, rng)):
        level = 70 + 3 * np.log(float(cost.count(architecture).macs) / 1e9) + rng.normal()
        metrics = {metric: round(float(level) + 5 * k, 2) for k, metric in enumerate(setting.metrics)}
        flops = params = None
        if setting.task == "det3d":
            flops, params = (round(float(v), 3) for v in cost.kitti_units(architecture, 112 if i % 3 else 128))
        rows.append(row_of(architecture, metrics, flops, params))
    return rows


def uneven_rows():
    """Rows of seg: one lacks a metric, one has another cost than its architecture, and one is refused."""
    rows = release_rows("seg", 30)
    rows[3]["aAcc"] = None
    rows[4]["flops"] += 1
    rows.append({"mIoU": -5})
    return rows


def write_release(folder: Path, names=NAMES, n=60) -> Path:
    """``<folder>/<setting>/trainval.pkl`` for each name."""
    for name in names:
        (folder / name).mkdir(parents=True)
        protocol = 4 if name == "nas-bench-201" else 3
        (folder / name / "trainval.pkl").write_bytes(pickle.dumps(release_rows(name, n), protocol=protocol))
    return folder
