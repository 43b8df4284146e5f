"""This process's cores, and the environment of those that it starts."""

import os
import subprocess
import sys

from ncp import process


def test_this_machine_has_cores():
    assert len(process.own_cores()) >= 1


def test_what_a_process_starts_gets_the_variables_and_afterwards_the_old_ones_are_back(monkeypatch):
    monkeypatch.setenv("NCP_TEST_OLD", "old")
    monkeypatch.delenv("NCP_TEST_NONE", raising=False)
    names = ("NCP_TEST_OLD", "NCP_TEST_NONE")
    line = [sys.executable, "-c", f"import os; print([os.environ.get(name) for name in {names}])"]
    with process.environment(NCP_TEST_OLD="new", NCP_TEST_NONE="some"):
        assert subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip() == "['new', 'some']"
    assert [os.environ.get(name) for name in names] == ["old", None]
