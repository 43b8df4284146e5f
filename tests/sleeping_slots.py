"""Two processes side by side that train nothing: ``python -m sleeping_slots FOLDER`` waits until somebody ends it."""

import os
import sys
import time
from pathlib import Path

from ncp import signals
from ncp.campaign import packing
from ncp.campaign.options import BuildOptions
from ncp.campaign.plan import BuildPlan
from ncp.campaign.store import Folder


def sleep(options, plan, store, first):
    """What each of them does."""
    try:
        store.path(f"{os.getpid()}.started").touch()
        time.sleep(120)
    finally:
        store.path(f"{os.getpid()}.left").touch()


def main():
    """As the command does it: an interrupt is its signal's exit code."""
    plan = BuildPlan("seg", ("a", "b"), (1, 1), {}, 0)
    try:
        packing.side_by_side(BuildOptions(), plan, Folder(Path(sys.argv[1])), 2, sleep)
    except KeyboardInterrupt as stop:
        sys.exit(signals.exit_code(stop))


if __name__ == "__main__":
    main()
