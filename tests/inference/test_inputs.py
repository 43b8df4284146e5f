"""Every input gets a name of its own that stays inside the folder of results, whatever files are called."""

import os
from pathlib import Path, PurePosixPath

import pytest

from ncp.errors import UserError
from ncp.inference.inputs import Input, listed
from ncp.inference.loading import Failed
from ncp.inference.outputs import Results


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def names(given, task="seg", out=Path("elsewhere")):
    return [(one.shown, one.name) for one in listed(given, task, out)]


def test_two_of_the_same_stem(tmp_path):
    for name in ("a.png", "a.jpg", "A.PNG", "b/a.png", "a.png.tif", ".a.png", "notes.txt", "__MACOSX/a.png"):
        touch(tmp_path / name)
    found = dict(names(str(tmp_path)))
    assert set(found) == {"a.png", "a.jpg", "A.PNG", "b/a.png", "a.png.tif"}
    assert len({name.casefold() for name in found.values()}) == 5
    assert found["b/a.png"] == "b/a"


def test_a_file_beside_a_folder_of_its_results_name(tmp_path):
    """``a.jpg`` is drawn into ``a.png``, where a folder ``a.png`` has its results."""
    for name in ("a.jpg", "a.png/x.jpg", "a.jpg.b/y.jpg", "c.png/a.b/z.jpg", "c.jpg"):
        touch(tmp_path / name)
    found = dict(names(str(tmp_path)))
    assert len(set(found.values())) == 5
    out = tmp_path / "out"
    for name in found.values():
        for ending in (".png", "_overlay.png", ".txt"):
            touch(out / f"{name}{ending}")


def test_the_same_file_twice(tmp_path):
    path = str(touch(tmp_path / "a.png"))
    assert [name for _, name in names([path, path, path])] == ["a", "a.png", "a-2"]


@pytest.mark.parametrize(
    "name", ["..png", "...png", "a\nb.png", "a\x1b[31m.png", "con:.png", " .png", "é" * 120 + ".png"]
)
def test_names_from_anywhere(tmp_path, name):
    touch(tmp_path / name)
    (found,) = listed([str(tmp_path / name)], "seg", tmp_path / "out")
    parts = PurePosixPath(found.name).parts
    assert len(parts) == 1
    assert parts[0] not in ("", ".", "..")
    assert found.name.isprintable()
    assert len(found.name.encode()) <= 150
    touch(tmp_path / "out" / f"{found.name}.png")


def test_names_that_are_no_text(tmp_path):
    path = os.fsencode(tmp_path) + b"/a\xff.png"
    with open(path, "wb"):
        pass
    (found,) = listed(str(tmp_path), "seg", Path("elsewhere"))
    found.name.encode("utf-8")


def test_results_are_not_looked_at(tmp_path):
    for name in ("a.png", "seen/overlays/a.png", "seen/labels/a.png"):
        touch(tmp_path / name)
    assert names(str(tmp_path), out=tmp_path / "seen") == [("a.png", "a")]
    with pytest.raises(UserError, match=r"is the input's own folder; give another one for the results"):
        listed(str(tmp_path), "seg", tmp_path / "seen" / "..")


def test_links_to_folders_are_not_followed(tmp_path):
    touch(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "round").symlink_to(tmp_path / "in")
    assert names(str(tmp_path / "in")) == [("a.png", "a")]


def test_endings_by_task(tmp_path):
    for name in ("a.png", "b.mp4", "c.bin", "d.npy"):
        touch(tmp_path / name)
    assert [shown for shown, _ in names(str(tmp_path), "cls")] == ["a.png", "b.mp4", "d.npy"]
    assert [shown for shown, _ in names(str(tmp_path), "video")] == ["b.mp4"]
    assert [shown for shown, _ in names(str(tmp_path), "det3d")] == ["c.bin", "d.npy"]
    with pytest.raises(UserError, match="holds no files"):
        listed(str(touch(tmp_path / "e" / "a.txt").parent), "seg", Path("elsewhere"))


def test_nothing_is_written_over_an_input(tmp_path):
    path = touch(tmp_path / "out" / "labels" / "a.png")
    given = Input(path, "a.png", "a")
    results = Results(tmp_path / "out", [given])
    with pytest.raises(UserError, match="is an input; give another out=FOLDER"):
        results.place("labels", "a", "png")
    assert results.place("overlays", "a", "png") == tmp_path / "out" / "overlays" / "a.png"


def test_frames_have_names_that_no_input_has(tmp_path):
    video = Input(tmp_path / "a.mp4", "a.mp4", "a")
    results = Results(tmp_path / "out", [video, Input(tmp_path / "a" / "000001.png", "a/000001.png", "a/000001")])
    found = [results.frame_name(video, frame) for frame in (0, 1, 2)]
    assert found[0] == "a/000000"
    assert found[1] not in ("a/000000", "a/000001")


def test_a_cell_is_no_formula_and_a_line_is_one_line(tmp_path):
    (given,) = listed(str(touch(tmp_path / "=a\n.png")), "seg", tmp_path / "out")
    results = Results(tmp_path / "out", [given])
    results.add(given, {"x": 1}, [["=1+1", 0.5]])
    results.fail(Failed(given, "bad"))
    results.fail(Failed(given, "bad again"))
    results.close({"predictions.csv": ["word", "number"]})
    assert (tmp_path / "out" / "predictions.csv").read_text().splitlines()[1] == "'=a\\n.png,'=1+1,0.5"
    assert len((tmp_path / "out" / "predictions.jsonl").read_text().splitlines()) == 2
    assert len(results.failed) == 1
