"""SIGTERM as an orderly end, of a process and of those that it started."""

import os
import signal
import subprocess
import sys
import time

import pytest

from ncp.campaign.scheduler import signals


@pytest.fixture(autouse=True)
def _as_in_a_terminal():
    """A shell lets what it starts in the background ignore Ctrl-C, and children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def send(number):
    os.kill(os.getpid(), number)
    time.sleep(0.01)  # Python runs handlers between two of its instructions


def test_sigterm_leaves_with_its_own_code_and_only_inside_the_block():
    with signals.terminable() as ours:
        assert ours
        with pytest.raises(SystemExit) as leaving:
            send(signal.SIGTERM)
    assert leaving.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_whoever_handles_the_signal_already_goes_on_doing_so():
    seen = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append(1))
    try:
        with signals.terminable() as ours:
            assert not ours
            send(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [1]


def test_tidying_up_is_not_disturbed():
    with signals.terminable():
        with signals.undisturbed():
            send(signal.SIGTERM)
            send(signal.SIGINT)
        with pytest.raises(SystemExit):
            send(signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_the_processes_of_a_worker_end_with_it(tmp_path, number, code):
    """However it ends: also when nothing of it gets to see that."""
    parent = subprocess.Popen(
        [sys.executable, "-m", "sleeping_slots", str(tmp_path)], cwd=os.path.dirname(os.path.dirname(__file__))
    )
    try:
        wait(lambda: len(list(tmp_path.glob("*.started"))) == 2)
        children = [int(file.stem) for file in tmp_path.glob("*.started")]
        parent.send_signal(number)
        assert parent.wait(90) == code
        wait(lambda: not any(map(lives, children)))
        assert sorted(int(file.stem) for file in tmp_path.glob("*.left")) == sorted(children)  # and had time to tidy up
    finally:
        parent.kill()


def wait(what):
    end = time.monotonic() + 90
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
