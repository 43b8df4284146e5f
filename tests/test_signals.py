"""Signals: what they raise, what a command exits with, and that nothing is left installed."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from ncp import signals


@pytest.fixture(autouse=True)
def _handlers():
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in numbers]
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def send(*numbers):
    for number in numbers:
        os.kill(os.getpid(), number)
    threading.Event().wait(0.1)  # Python runs handlers between two of its instructions


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_to_end_is_an_exception_with_the_shells_code(number, code):
    def end():
        with signals.handled(), signals.handled():
            os.kill(os.getpid(), number)
            threading.Event().wait(5)

    with pytest.raises(KeyboardInterrupt) as stop:
        end()
    assert signals.exit_code(stop.value) == code
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_exception_that_was_lost_is_raised_at_the_next_look():
    class Lost:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGTERM)
            threading.Event().wait(0.2)

    with signals.handled():
        signals.check()
        Lost()  # Python prints and drops what a destructor raises
        with pytest.raises(signals.Interrupted):
            signals.check()


def test_while_things_are_put_away_no_second_one_is_raised():
    with signals.handled():
        with signals.leaving():
            send(signal.SIGTERM, signal.SIGINT)
        with pytest.raises(signals.Interrupted):
            signals.check()
        with pytest.raises(signals.Interrupted):
            send(signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_whoever_handles_the_signal_already_goes_on_doing_so_where_that_is_asked_for():
    seen = []
    signal.signal(signal.SIGTERM, lambda *_: seen.append(1))
    with signals.handled(yielding=True):
        send(signal.SIGTERM)
    assert seen == [1]
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with signals.handled(yielding=True), pytest.raises(signals.Interrupted):
        send(signal.SIGTERM)


@pytest.mark.parametrize("number", signals.END)
def test_what_is_ignored_stays_ignored(number):
    signal.signal(number, signal.SIG_IGN)
    with signals.handled():
        assert signal.getsignal(number) == signal.SIG_IGN


def test_a_checkpoint_can_be_asked_for():
    with signals.handled():
        assert not signals.checkpoint_wanted()
        send(signal.SIGUSR1)
        assert signals.checkpoint_wanted()
        signals.checkpoint_written()
        assert not signals.checkpoint_wanted()


def test_a_forked_process_dies_of_the_signal_as_any_other():
    script = (
        "import os, signal, time\nfrom ncp import signals\n"
        "with signals.handled():\n    child = os.fork()\n"
        "    if child == 0:\n        time.sleep(30)\n        os._exit(0)\n"
        "    time.sleep(0.5)\n    os.kill(child, signal.SIGTERM)\n    print(os.waitpid(child, 0)[1])\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == (str(int(signal.SIGTERM)), "")


def test_an_error_that_comes_of_a_signal_is_told_from_others():
    with signals.handled():
        signals.check_after(RuntimeError("something else"))
        threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
        with pytest.raises(signals.Interrupted):
            signals.check_after(RuntimeError("DataLoader worker (pid 7) is killed by signal: Terminated."))
