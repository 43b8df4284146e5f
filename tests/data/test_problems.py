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


def test_the_same_at_several_places_is_told_once() -> None:
    problems = Problems("the set")
    for i in range(12):
        problems.add(f"{i}.txt, line 3: no rotation")
        if i < 2:
            problems.add(f"{i}.bin: cut off: at 7")
    problems.add("4 of 5 frames have no labels")
    with pytest.raises(UserError) as caught:
        problems.check()
    places = ", ".join(f"{i}.txt, line 3" for i in range(1, 10))
    assert (
        str(caught.value)
        == f"the set has 15 problems: (1) 0.txt, line 3: no rotation (the same in {places}); and 5 more"
    )
    few = Problems("the set")
    few.found = [
        "a.bin: cut off: at 7",
        "b.bin: cut off: at 7",
        "4 of 5 frames have no labels",
        "4 of 5 frames have no labels",
    ]
    with pytest.raises(UserError) as caught:
        few.check()
    assert str(caught.value) == (
        "the set has 4 problems: (1) a.bin: cut off: at 7 (the same in b.bin); (2) 4 of 5 frames have no labels"
    )


def test_none_goes_on_and_mistakes_of_ours_are_not_swallowed() -> None:
    problems = Problems("the set")
    with problems.collecting():
        pass
    problems.check()
    with pytest.raises(ZeroDivisionError), problems.collecting():
        _ = 1 / 0
