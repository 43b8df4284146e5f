"""Files of a user's folder: what is seen of it, and what is said where it is given a level too high or too low."""

import pytest

from ncp.data.folder.files import holds, in_splits, listed, spread, what_is_there, wrong_level
from ncp.errors import UserError


@pytest.fixture
def root(tmp_path):
    for name in ("b/2.JPG", "b/.hidden.jpg", "a/1.jpg", "a/deep/3.png", ".git/4.jpg", "notes.txt"):
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "set"


def test_visible_files_are_listed_in_order(root):
    assert listed(root, (".jpg", ".png")) == ["a/1.jpg", "a/deep/3.png", "b/2.JPG"]
    assert listed(root / "nowhere", (".jpg",)) == []
    assert holds(root / "a", (".jpg",))
    assert not holds(root, (".jpg",))
    assert not holds(root / "nowhere", (".jpg",))
    assert what_is_there(root) == "a, b, notes.txt"


def test_another_level_is_proposed(root):
    def fits(folder):
        return (folder / "a").is_dir() and (folder / "b").is_dir()

    assert wrong_level(root.parent, fits) == f"; this is a level too high: give data.root={root}"
    assert wrong_level(root / "a", fits) == f"; this is a level too low: give data.root={root}"
    assert wrong_level(root, lambda folder: False) == ""


@pytest.mark.parametrize(("count", "wanted"), [(10, 3), (10, 10), (10, None), (1, 5), (0, 3), (100_000, 7)])
def test_numbers_are_spread_from_the_first_to_the_last(count, wanted):
    found = spread(count, wanted)
    assert found == sorted(set(found))
    assert len(found) == min(count, count if wanted is None else wanted)
    if found:
        assert (found[0], found[-1]) == (0, count - 1) or len(found) == 1


def test_names_of_splits_become_numbers():
    assert in_splits(["a", "b", "c"], {"train": ["c", "a"], "val": []}) == {"train": [2, 0], "val": []}
    with pytest.raises(UserError, match="the val list names 'x', which is not in the folder"):
        in_splits(["a"], {"val": ["x"]})
