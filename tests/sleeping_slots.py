"""Two processes side by side that train nothing: ``python -m sleeping_slots FOLDER`` waits until somebody ends it."""

import logging
import multiprocessing
import os
import sys
import time
from pathlib import Path

from ncp import signals
from ncp.campaign import packing
from ncp.campaign.options import BuildOptions
from ncp.campaign.plan import BuildPlan
from ncp.campaign.store import Folder
from ncp.process import own_cores


def sleep(options, plan, store, first):
    """What each of them does."""
    try:
        store.path(f"{os.getpid()}.started").touch()
        time.sleep(120)
    finally:
        store.path(f"{os.getpid()}.left").touch()


def tell(options, plan, store, first):
    """What a process of several knows of its loaders: how they start, and how many there may be."""
    from ncp.data.base import worker_count

    said = f"{multiprocessing.get_start_method()} {worker_count()} of {len(own_cores())}"
    logging.getLogger("ncp.data.folder.files").info("process %d tells of the data", first)
    store.path(f"{first}.told").write_text(said)


def main():
    """As the command does it: an interrupt is its signal's exit code."""
    plan = BuildPlan("seg", ("a", "b"), (1, 1), {}, 0)
    try:
        packing.side_by_side(BuildOptions(), plan, Folder(Path(sys.argv[1])), 2, sleep)
    except KeyboardInterrupt as stop:
        sys.exit(signals.exit_code(stop))


if __name__ == "__main__":
    main()
