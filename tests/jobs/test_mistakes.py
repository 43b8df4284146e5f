"""One line for whatever a user can get wrong; nothing that is ours passes for theirs."""

import errno
import os

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException

from ncp import configs
from ncp.errors import UserError
from ncp.jobs.mistakes import mistake


def hydras(*words):
    """What Hydra raises for words of the command line."""
    with initialize_config_dir(str(configs.shipped()), version_base="1.3"), pytest.raises(Exception) as error:
        compose("search", list(words))
    return error.value


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("iteration=3", "unknown key 'iteration'; did you mean 'iterations'?; --help lists the keys"),
        ("budget.mac=3", "unknown key 'budget.mac'; did you mean 'budget.macs'?; --help lists the keys"),
        ("budget={macs:1e9,mac:1}", "unknown key 'budget.mac'; did you mean 'budget.macs'?"),
        ("params=5e6", "unknown key 'params'; did you mean 'budget.params'?"),
        ("strategy.iterations=3", "unknown key 'strategy.iterations'; did you mean 'iterations'?"),
        ("strategy=fast", "no option 'fast' for 'strategy'; options: "),
        ("bounds={c4_4: [8,", "a word of the command line ends at a blank: write bounds=... without blanks"),
        ("objectives=[cls", "quote all of it, 'objectives=...'"),
        ("start=(a", "quote all of it, 'start=...'"),
        ("start=a=b=c", "to give a text with such signs, write 'start=\"a=b=c\"'"),
        ("a b", "overrides are key=value"),
        ("floor.a/b.m=3", "write 'floor={a/b:{m:3}}'"),
        (
            "strategy@x=paper",
            "a group stands where it belongs: 'strategy@x' puts strategy elsewhere; write strategy=OPTION",
        ),
        ("strategy=[1]", "the words of the command line cannot be put together ("),
        ("strategy=null", "takes the name of one of its options, not null"),
    ],
)
def test_words_that_cannot_be_read(word, line):
    known = ["iterations", "budget", "budget.macs", "budget.params", "strategy"]
    told = mistake(hydras(word), composing=True, known=lambda: known)
    assert line in told
    assert "\n" not in told


def test_a_full_disk_is_told_where_the_system_names_no_file():
    assert mistake(OSError(errno.ENOSPC, "No space left on device")) == (
        "cannot write the run's files (No space left on device); give another folder with paths.outputs=..."
    )
    named = mistake(OSError(errno.ENOSPC, "No space left on device", "/o/a\x1b.png"))
    assert named.startswith("cannot write '/o/a\\x1b.png' (No space")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 224. GiB for an array"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 240000000000 bytes\nmore"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_too_little_memory_is_told_in_one_line(error):
    told = mistake(error)
    assert told.startswith("there is too little memory (")
    assert told.endswith("give a smaller size or batch, or fewer rows")
    assert "\n" not in told


def test_a_users_mistake_below_others_is_found():
    around = RuntimeError("around it")
    around.__cause__ = UserError("one;\ntwo")
    assert mistake(around) == "one; two"


@pytest.mark.parametrize(
    "error", [RuntimeError("x"), ValueError("x"), KeyError("x"), OSError(errno.EINVAL, "x", "f"), AssertionError()]
)
def test_a_mistake_of_ours_is_none(error):
    assert mistake(error) is None


def test_a_place_that_cannot_be_written():
    full = OSError(errno.ENOSPC, "No space left on device", "out/file")
    assert mistake(full) == (
        "cannot write 'out/file' (No space left on device); give another folder with paths.outputs=..."
    )
    # a file that was open already has no name here, and a limit on the size of files is a full disk too
    large = OSError(errno.EFBIG, "File too large")
    assert mistake(large) == "cannot write the run's files (File too large); give another folder with paths.outputs=..."
    assert mistake(HydraException("what\nit says"), composing=True) == "what; it says"


@pytest.mark.parametrize(
    "number", [errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EIO, errno.EMFILE]
)
def test_paths_that_lead_nowhere_and_disks_that_fail_are_told(number):
    told = mistake(OSError(number, os.strerror(number), "x\x1b" * 3000))
    assert told.startswith("'x\\x1bx\\x1b")
    assert told.endswith(f"' cannot be used ({os.strerror(number)})")
    assert len(told) < 300
    assert mistake(OSError(number, os.strerror(number))) == f"a file cannot be used ({os.strerror(number)})"
