"""Tests that watch other processes."""

import time


def wait(what, seconds, said=lambda: ""):
    """Until ``what()`` holds; after so many seconds the test fails with what ``said()`` tells."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, said()
        time.sleep(0.02)


def lives(pid):
    """Whether a process works; one that is dead and not yet collected does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
