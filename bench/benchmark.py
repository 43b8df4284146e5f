"""Tables of trained architectures: loading nine of them, look-ups, queries: python -m bench.benchmark

Synthetic tables of 2,500 rows, nine settings, written by the product. The peer is what users of the release do: unpickle
its lists of dicts, and look for an architecture by comparing lists.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench._timing import best, show
from ncp import benchmark
from ncp.benchmark import settings, store
from ncp.benchmark.table import Table
from ncp.spaces import cost
from ncp.spaces.multires import SPACE

ROWS = 2500
LOAD_BAR = 0.2  # seconds for nine tables, imports of other people's packages not counted
LOOK_UP_BAR = 100e-6  # "microseconds"
IMPORT = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def synthetic(setting: settings.Setting, seed: int) -> Table:
    """A table as the release's: the same architectures in every setting, metrics with two decimals, recorded costs."""
    codes = SPACE.sample_codes(ROWS, np.random.default_rng(0))
    rng = np.random.default_rng(seed)
    columns = {name: rng.uniform(40, 80, ROWS).round(2) for name in setting.metrics}
    flops, params = cost.release_units(codes)
    return Table(setting, codes, {**columns, "flops": flops, "params": params}, {"failed": rng.random(ROWS) < 0.01})


def write(folder: Path) -> list[str]:
    """Nine tables in our format and in the release's; their names."""
    for seed, name in enumerate(settings.PAPER):
        table = synthetic(settings.get(name), seed)
        store.put(table, folder, name)
        rows: list[dict[str, Any]] = []
        for i, architecture in enumerate(SPACE.decode(table.codes)):
            blocks = [[len(b.units), list(b.units), list(b.channels)] for b in architecture.blocks]
            values = {column: float(v[i]) for column, v in table.columns.items()}
            rows.append({**values, "inverted_residual_setting": blocks, "embedding": list(architecture.code)})
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(rows, protocol=3))
    return list(settings.PAPER)


def import_seconds(module: str) -> float:
    """Seconds that importing a module takes in a fresh process, the least of three."""
    command = [sys.executable, "-c", IMPORT.format(module)]
    return min(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(3))


def main() -> int:
    """Measure, print, and return 1 when a bar is missed."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        names = write(folder)
        load = best(lambda: [benchmark.load(name, folder) for name in names])
        peer = best(lambda: [pickle.loads((folder / f"{name}.pkl").read_bytes()) for name in names], repeat=5)
        tables = benchmark.load(folder)
        rows = pickle.loads((folder / "seg.pkl").read_bytes())
    seg = tables["seg"]
    some = [SPACE.parse(rows[i]["embedding"]) for i in range(0, ROWS, 50)]
    plain = [list(a.code) for a in some]
    texts = [a.text for a in some]
    look_up = best(lambda: [seg.query(a) for a in some]) / len(some)
    text = best(lambda: [seg.query(t) for t in texts]) / len(some)
    scan = best(lambda: [next(r for r in rows if r["embedding"] == code) for code in plain], repeat=5) / len(some)
    over_all = best(lambda: [tables.query(a) for a in some]) / len(some)
    under = best(lambda: seg.best("mIoU", 10, max_macs=1e9))
    show(
        f"Nine tables of {ROWS:,} rows, one core",
        ["", "ours", "bar", "release's format, by hand"],
        [
            ["load nine tables", f"{load * 1e3:.1f} ms", f"{LOAD_BAR * 1e3:g} ms", f"{peer * 1e3:.0f} ms ({peer / load:.1f}x)"],
            ["  numpy and pyarrow, once", f"{import_seconds('numpy, pyarrow.parquet') * 1e3:.0f} ms", "", ""],
            ["  import ncp.benchmark", f"{import_seconds('ncp.benchmark') * 1e3:.1f} ms", "", ""],
            [
                "look up an architecture", f"{look_up * 1e6:.1f} us", f"{LOOK_UP_BAR * 1e6:g} us",
                f"{scan * 1e6:.0f} us ({scan / look_up:.0f}x)",
            ],
            ["  given as text", f"{text * 1e6:.1f} us", "", ""],
            ["  over all nine settings", f"{over_all * 1e6:.1f} us", "", ""],
            ["best 10 under a limit", f"{under * 1e3:.2f} ms", "", ""],
        ],
    )  # fmt: skip
    return int(load > LOAD_BAR or look_up > LOOK_UP_BAR)


if __name__ == "__main__":
    raise SystemExit(main())
