"""Large jobs, as commands in processes of their own: python -m bench load [small]

Searches from up to 100,000 starts, tables of up to a million rows (import, query, fit), builds of up to 22,500 models (status,
merge). Each is run at two or three sizes; printed are processor seconds, the peak memory of the process, and how much dearer a
start, a row or a model is at the largest size than at the one before: 1 is linear. It returns 1 where memory or that ratio
misses its bar. ``small`` takes hundredths of the sizes, to see that all of it runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from bench._timing import show
from ncp.spaces.multires import SPACE

RATIO = 1.5  # dearer a piece than at the size before; below 1 the start of the process is what is paid for
MEMORY = 1000.0  # MiB
STARTS, ROWS, MODELS = (1_000, 10_000, 100_000), (100_000, 1_000_000), (2_250, 22_500)


class Cost(NamedTuple):
    """Of a command: processor seconds and peak memory in MiB."""

    seconds: float
    memory: float


class Job(NamedTuple):
    """What is measured: a name, what is counted, its sizes, and the command at each; the memory that it may take."""

    name: str
    unit: str
    sizes: Sequence[int]
    words: Callable[[int], list[str]]
    memory: float = MEMORY


def run(words: Sequence[str]) -> Cost:
    """Run ``python -m src.NAME WORD ...``, without its output unless it fails."""
    with tempfile.TemporaryFile() as output:
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", *words],
            {**os.environ, "OMP_NUM_THREADS": "1"},
            file_actions=[(os.POSIX_SPAWN_DUP2, output.fileno(), 1), (os.POSIX_SPAWN_DUP2, output.fileno(), 2)],
        )
        _, status, used = os.wait4(pid, 0)
        if status:
            output.seek(0)
            raise RuntimeError(f"{' '.join(words)} failed:\n{output.read().decode(errors='replace')[-4000:]}")
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def make(place: Path, rows: Sequence[int], models: Sequence[int]) -> None:
    """Tables and builds below ``place``."""
    from bench import build, tables
    from ncp.campaign.store import Folder

    for count in rows:
        (place / str(count)).mkdir()
        tables.make(place / str(count), count)
    for count in models:
        plan = build.make_plan(count)
        store = Folder(place / f"build-{count}")
        store.create("plan.json", plan.content)
        build.write_records(plan, store)


def sizes_of(share: int) -> list[tuple[int, ...]]:
    """Starts, rows and models."""
    return [tuple(size // share for size in sizes) for sizes in (STARTS, ROWS, MODELS)]


def jobs(place: Path, share: int = 1) -> list[Job]:
    """All that is measured, on what :func:`make` left below ``place``."""
    starts, rows, models = sizes_of(share)
    outputs = f"paths.outputs={place}/outputs"

    def store_of(count: int) -> str:
        return f"store={place}/store-{count}"

    def imported(kind: str) -> Callable[[int], list[str]]:
        return lambda n: [
            "src.benchmark", "action=import", "setting=seg", f"source={place}/{n}/seg.{kind}", store_of(n), outputs,
        ]  # fmt: skip

    text = SPACE.default().text
    return [
        Job("search", "starts", starts, lambda n: ["src.search", "objectives=[seg]", f"starts={n}", outputs]),
        Job("import CSV", "rows", rows, imported("csv")),
        Job("import Parquet", "rows", rows, imported("parquet")),
        Job(
            "query", "rows", rows,
            lambda n: ["src.benchmark", "action=query", "setting=seg", f"architecture={text}", store_of(n), outputs],
            1.2 * MEMORY,
        ),
        Job("fit", "rows", rows, lambda n: [
            "src.fit", "setting=seg", f"source={place}/store-{n}/seg.parquet", "predictor=default", outputs,
        ], 1.75 * MEMORY),  # of which torch alone is 530
        Job("status of a build", "models", models, lambda n: [
            "src.build", "action=status", f"build.dir={place}/build-{n}", outputs,
        ]),
        Job("merge of a build", "models", models, lambda n: [
            "src.build", "action=merge", f"build.dir={place}/build-{n}", outputs,
        ]),
    ]  # fmt: skip


def ratio(sizes: Sequence[int], costs: Sequence[Cost]) -> float:
    """How much dearer a piece is between the two largest sizes than it is up to the smaller of them."""
    before, last = costs[-2].seconds / sizes[-2], (costs[-1].seconds - costs[-2].seconds) / (sizes[-1] - sizes[-2])
    return last / before


def main(share: int = 1) -> int:
    """Print the table; 1 where a bar is missed."""
    lines, missed = [], False
    with tempfile.TemporaryDirectory() as temporary:
        # in a process of its own: what this one takes is counted with each that it starts
        subprocess.run([sys.executable, "-m", "bench.load", "make", temporary, str(share)], check=True)
        for job in jobs(Path(temporary), share):
            costs = [run(job.words(size)) for size in job.sizes]
            found, top = ratio(job.sizes, costs), max(cost.memory for cost in costs)
            missed |= found > RATIO or top > job.memory
            lines += [
                (job.name if i == 0 else "", f"{size:,} {job.unit}", f"{cost.seconds:.1f}", f"{cost.memory:.0f}",
                 f"{found:.2f}" if i == len(costs) - 1 else "", f"{job.memory:.0f}" if i == 0 else "")
                for i, (size, cost) in enumerate(zip(job.sizes, costs, strict=True))
            ]  # fmt: skip
    columns = ["command", "size", "processor s", "peak MiB", f"a piece, bar {RATIO}", "memory bar"]
    show("Large jobs", columns, lines)
    return int(missed)


if __name__ == "__main__":
    if sys.argv[1:2] == ["make"]:
        make(Path(sys.argv[2]), *sizes_of(int(sys.argv[3]))[1:])
    else:
        sys.exit(main(100 if sys.argv[1:] == ["small"] else 1))
