"""One built-in training in a process of its own, as the benchmark of trainings starts it: prints one line of JSON."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

STARTED = time.perf_counter()


def main(overrides: list[str]) -> None:
    """Train with ``conf/train.yaml`` and these overrides; metrics, seconds and speed on stdout."""
    from ncp import jobs
    from ncp.tasks import run as tasks

    options = jobs.options("train", "callbacks.progress=false", *overrides)
    with tempfile.TemporaryDirectory() as folder:
        run = tasks.assemble(options, Path(folder))
        tasks.fit(run)
        result = tasks.summarise(run, tasks.evaluate(run))
    cpu = time.process_time()
    print(json.dumps({**result, "wall": time.perf_counter() - STARTED, "cpu": cpu}))


if __name__ == "__main__":
    main(sys.argv[1:])
