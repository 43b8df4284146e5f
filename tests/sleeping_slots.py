"""Two processes side by side that train nothing: ``python -m sleeping_slots FOLDER`` waits until somebody ends it."""

import os
import sys
import time
from pathlib import Path

from ncp.campaign import packing
from ncp.campaign.options import BuildOptions
from ncp.campaign.plan import BuildPlan
from ncp.campaign.scheduler import signals
from ncp.campaign.store import Folder


def slot(options, plan, root, first, errors):
    """What each of them runs."""
    with signals.terminable():
        signals.end_with_parent()
        try:
            (root / f"{os.getpid()}.started").touch()
            time.sleep(120)
        finally:
            (root / f"{os.getpid()}.left").touch()


def main():
    """As the command does it: an interrupt is exit code 130."""
    plan = BuildPlan("seg", ("a", "b"), (1, 1), {}, 0)
    try:
        packing.side_by_side(BuildOptions(), plan, Folder(Path(sys.argv[1])), 2, slot)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
