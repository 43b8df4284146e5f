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
    import hydra

    from ncp.tasks import run as tasks

    conf = Path(__file__).resolve().parents[1] / "conf"
    with hydra.initialize_config_dir(str(conf), version_base="1.3"):
        config = hydra.compose("train", overrides=["callbacks.progress=false", *overrides])
    with tempfile.TemporaryDirectory() as folder:
        run = tasks.assemble(config, Path(folder))
        tasks.fit(run)
        result = tasks.summarise(run, tasks.evaluate(run))
    cpu = time.process_time()
    print(json.dumps({**result, "wall": time.perf_counter() - STARTED, "cpu": cpu}))


if __name__ == "__main__":
    main(sys.argv[1:])
