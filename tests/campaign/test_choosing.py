"""Which architectures a build trains: drawn within bounds, or listed."""

import numpy as np
import pytest

from ncp import spaces
from ncp.benchmark import settings
from ncp.campaign import choosing
from ncp.campaign.options import BuildOptions, Work
from ncp.errors import UserError
from ncp.spaces.multires import SPACE, Architecture

SEG = settings.get("seg")


def texts(count=12, bounds=None, source="sample", seed=3):
    """Those that a configuration means."""
    options = BuildOptions(count=count, bounds=bounds or {}, build=Work(architectures=str(source)), seed=seed)
    return [architecture.text for architecture in SPACE.decode(choosing.choose(options, SEG))]


def test_a_sample_has_no_repeats_and_depends_on_its_seed_alone():
    assert len(set(texts())) == 12
    assert texts() == texts()
    assert not set(texts()) & set(texts(seed=4))


def test_a_larger_count_begins_with_the_same_architectures():
    assert texts(count=30)[:12] == texts()


def test_bounds_narrow_the_sample():
    codes = np.array([Architecture.parse(t).code for t in texts(count=40, bounds={"c": [8, 16], "b2": [1, 1]})])
    channels = [i for i, label in enumerate(SPACE.labels) if label.startswith("c")]
    assert set(codes[:, channels].ravel()) == {8, 16}
    assert set(codes[:, SPACE.labels.index("b2")]) == {1}
    assert set(codes[:, SPACE.labels.index("b3")]) == {1, 2, 3, 4}


def test_a_list_of_architectures(tmp_path):
    listed = [a.text for a in SPACE.sample(5, np.random.default_rng(0))]
    file = tmp_path / "list.txt"
    file.write_text("# five\n" + "\n".join([*listed, listed[0]]) + "\n")
    assert texts(None, source=file) == listed
    assert texts(2, source=file) == listed[:2]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"# none", "lists no architecture"), (b"\n8_8\n", "line 2"), (b"\xff\xfe", "no UTF-8"), (b"[[1]]", "line 1")],
)
def test_a_list_that_cannot_be_used(tmp_path, content, words):
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(UserError, match=words) as error:
        texts(source=tmp_path / "list.txt")
    assert "list.txt" in str(error.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"count": None}, "count=2500"),
        ({"count": 0}, "within 1"),
        ({"count": 2_000_000}, "within 1"),
        ({"source": "nowhere.txt"}, "there is no file"),
        ({"source": "release", "bounds": {"c": [8, 16]}}, "is for build.architectures=sample"),
        ({"bounds": {"q9": [1, 2]}}, "no dimension"),
        ({"bounds": {"c": [8, 13]}}, "steps of 8"),
        ({"bounds": {"c": 8}}, "[lower, upper]"),
        ({"bounds": {"c": [float("nan"), 16]}}, "must be within"),
        ({"bounds": {"b": [0, 2]}}, "must be within"),
    ],
)
def test_mistakes_are_one_clear_line(options, words):
    with pytest.raises(UserError) as error:
        texts(**options)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_more_than_there_are_is_refused():
    bounds = {label: [SPACE.lower[i], SPACE.lower[i]] for i, label in enumerate(SPACE.labels)} | {"b1": [1, 3]}
    assert len(texts(3, bounds)) == 3
    with pytest.raises(UserError, match="only 3 architectures"):
        texts(4, bounds)


def cells(count, bounds=None):
    options = BuildOptions(count=count, bounds=bounds or {}, build=Work(architectures="sample"), seed=3)
    return choosing.choose(options, settings.get("transnas-macro/jigsaw"))


def test_bounds_of_a_space_of_choices():
    space = spaces.get("transnas-macro")
    where = [i for i, label in enumerate(space.labels) if label.startswith("m1")]
    lower, upper = space.lower[where[0]], space.upper[where[0]]
    np.testing.assert_array_equal(cells(9, {"m1": [lower, upper]}), cells(9))
    fixed = space.labels[where[1]]
    codes = cells(9, {fixed: [1, 1]})
    assert (codes[:, where[1]] == 1).all()
    np.testing.assert_array_equal(space.round(codes), codes)
    with pytest.raises(UserError, match=r"could not draw 4000 different architectures of the 3,256 of transnas-macro"):
        cells(4000)
