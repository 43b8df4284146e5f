"""What a look at a set shows: bars as long as the counts, samples of every class in turns, classes that are too many left out."""

import numpy as np
import pytest
from layouts import make_own_images

from ncp.data.folder.cls import FolderClassification
from ncp.data.folder.look import Look, look_over
from ncp.report import data as report


@pytest.fixture(scope="module")
def looked(tmp_path_factory):
    root = make_own_images(tmp_path_factory.mktemp("trees"))
    data = FolderClassification(str(root), workers=0)
    return data, look_over(data, None, lambda done, note: None)


def test_bars_are_as_long_as_the_counts(looked):
    _, found = looked
    (panel,) = report.balance(found).axes
    names = [label.get_text() for label in panel.get_yticklabels()]
    assert sorted(names) == ["ash", "elm", "oak"]
    for bars, split in zip(panel.containers, ("train", "val"), strict=True):
        assert [bar.get_width() for bar in bars] == [found.counts[split][name] for name in names]
    assert panel.get_xlabel() == "images"


def test_samples_are_of_the_classes_in_turns(looked):
    data, found = looked
    figure = report.picture(data, found, 4)
    titles = [ax.get_title() for ax in figure.axes if ax.images]
    assert titles == ["ash", "elm", "oak", "ash"]
    labels = np.array([0, 0, 0, 1, 2, 2])
    assert report._chosen(labels, 6, 6) == [0, 3, 4, 1, 5, 2]


def test_files_are_pictures(looked, tmp_path):
    data, found = looked
    written = report.write(data, found, tmp_path, 3)
    assert sorted(written) == ["classes", "samples"]
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in written.values())
    assert sorted(report.write(data, found, tmp_path, 0)) == ["classes"]  # no samples are asked for


@pytest.mark.parametrize(
    ("looked", "words"),
    [(9, "9 files (all read)"), (4, "9 files (4 of them read; look=all reads all)"), (0, "9 files (none read)")],
)
def test_how_much_was_read_is_told_and_how_to_read_the_rest(looked, words):
    """Where nothing was, a closer look would not help."""
    assert report.rows(Look("cls", "x", files={"train": 9}, looked={"train": looked})) == {"training:": words}
