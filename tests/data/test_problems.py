"""Problems are collected and told at once, ten of them and how many more."""

import pytest

from ncp.data.problems import Problems
from ncp.errors import UserError


def _message(count: int) -> str:
    problems = Problems("the set")
    for i in range(count):
        with problems.collecting():
            raise UserError(f"file {i} is bad")
    assert len(problems) == count
    with pytest.raises(UserError) as caught:
        problems.check()
    return str(caught.value)


def test_one_is_told_as_it_is() -> None:
    assert _message(1) == "file 0 is bad"


def test_some_are_told_in_one_line() -> None:
    assert _message(2) == "the set has 2 problems: (1) file 0 is bad; (2) file 1 is bad"


def test_many_are_bounded() -> None:
    message = _message(7481)
    assert message.startswith("the set has 7481 problems: (1) file 0 is bad;")
    assert message.endswith("(10) file 9 is bad; and 7471 more")
    assert len(message) < 400


def test_none_goes_on_and_mistakes_of_ours_are_not_swallowed() -> None:
    problems = Problems("the set")
    with problems.collecting():
        pass
    problems.check()
    with pytest.raises(ZeroDivisionError), problems.collecting():
        _ = 1 / 0
