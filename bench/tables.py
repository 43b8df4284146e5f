"""A table of a million rows: import, write, read, look-up, and the memory that each takes: python -m bench.tables [ROWS]

Rows of an architecture's text and three metrics, as CSV and as Parquet of another program; each file is read by a process of
its own. Time grows with the rows, memory with the table that is kept: a million rows of CSV took 690 MiB at the most, 240 of
them codes; with the table read back beside it and an index over it 1.1 GiB.
"""

from __future__ import annotations

import csv
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench._timing import show
from ncp.benchmark import importing, store
from ncp.spaces.multires import SPACE

METRICS = ("mIoU", "mAcc", "aAcc")


def make(folder: Path, rows: int) -> None:
    """``seg.csv`` and ``seg.parquet``."""
    import pyarrow as pa
    from pyarrow import parquet

    rng = np.random.default_rng(0)
    columns = {"architecture": SPACE.texts(SPACE.sample_codes(rows, rng))}
    columns |= {name: rng.uniform(40, 80, rows).round(2).tolist() for name in METRICS}
    parquet.write_table(pa.table(columns), folder / "seg.parquet")
    with (folder / "seg.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def measure(path: Path) -> int:
    """Print seconds and the largest memory so far (MiB) after each step, tab-separated."""
    start = time.perf_counter()

    def tell(step: str) -> None:
        nonlocal start
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{path.name}\t{step}\t{time.perf_counter() - start:.2f}\t{memory:.0f}")
        start = time.perf_counter()

    table = importing.import_file(path, "seg")
    tell("import")
    target = store.write(table, path.with_name(f"own-{path.suffix[1:]}.parquet"))
    tell("write")
    again = store.read(target)
    tell("read")
    assert again is not None
    again.query(again.codes[-1].tolist())
    tell("look up the first architecture")
    return 0


def main(rows: int) -> int:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as temporary:
        make(Path(temporary), rows)
        lines: list[list[str]] = []
        for name in ("seg.csv", "seg.parquet"):
            command = [sys.executable, "-m", "bench.tables", str(Path(temporary) / name)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            lines += [line.split("\t") for line in done.stdout.splitlines()]
    show(f"A table of {rows:,} rows", ["file", "step", "seconds", "memory, MiB"], lines)
    return 0


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else "1000000"
    raise SystemExit(main(int(given)) if given.isdecimal() else measure(Path(given)))
