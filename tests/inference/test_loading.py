"""Reading ahead keeps the order, reads no more than it may, and tells what fails."""

import threading
import time
import warnings
from functools import partial
from pathlib import Path

import pytest

from ncp.data.video_index import CorruptVideo
from ncp.errors import UserError
from ncp.inference.inputs import Input
from ncp.inference.loading import Failed, ahead, batches


def one(k):
    return Input(Path(f"/{k}"), str(k), str(k))


def test_results_come_in_order_whoever_is_first():
    work = ((one(k), partial(lambda k: time.sleep(0.01 * (3 - k % 4)) or k, k)) for k in range(20))
    found = list(ahead(work, threads=4, most=8))
    assert [result for _, result in found] == list(range(20))
    assert [given.shown for given, _ in found] == [str(k) for k in range(20)]


def test_no_more_is_read_than_may_wait():
    asked = []

    def work():
        for k in range(10):
            asked.append(k)
            yield one(k), partial(int, k)

    stream = ahead(work(), threads=2, most=3)
    next(stream)
    assert asked == [0, 1, 2]
    next(stream)
    assert asked == [0, 1, 2, 3]
    stream.close()
    assert len(asked) == 4
    assert threading.active_count() < 20


def fail(error):
    raise error


def test_what_fails_is_told_and_the_rest_goes_on():
    errors = [UserError("no image"), CorruptVideo("ends early"), MemoryError()]
    work = [(one(k), partial(fail, error)) for k, error in enumerate(errors)] + [(one(9), partial(int, 9))]
    found = [result for _, result in ahead(iter(work), 2, 2)]
    assert [failed.reason for failed in found[:3]] == [
        "no image",
        "the video ends early",
        "it does not fit into memory",
    ]
    assert all(isinstance(failed, Failed) for failed in found[:3])
    assert found[3] == 9


def test_mistakes_of_ours_are_not_hidden():
    with pytest.raises(ZeroDivisionError):
        list(ahead(iter([(one(0), lambda: 1 // 0)]), 1, 1))


def test_filters_of_warnings_are_as_they_were():
    def reads():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            time.sleep(0.002)

    before = list(warnings.filters)
    list(ahead(((one(k), reads) for k in range(40)), 4, 8))
    assert list(warnings.filters) == before


def test_batches_by_kind():
    assert list(batches([1, 1, 1, 2, 1], 2, same=lambda n: n)) == [[1, 1], [1], [2], [1]]
    assert list(batches([3, 3, 3, 1, 1], lambda n: n, same=lambda n: n)) == [[3, 3, 3], [1], [1]]
    assert list(batches([], 2, same=lambda n: n)) == []
