"""The indices of many files, and their cache."""

import os
from pathlib import Path

import pytest
from layouts import write_video

from ncp.data import video_files as VF
from ncp.data.clips import CorruptVideo
from ncp.data.sealed import write_counts
from ncp.data.video_index import Index


def test_the_index_is_kept(tmp_path, monkeypatch):
    paths = [write_video(tmp_path / "a.avi", 5), tmp_path / "missing.avi"]
    first = VF.index_videos(paths, tmp_path / "cache")
    monkeypatch.setattr(VF, "index_video", lambda path: pytest.fail("read again"))
    again = VF.index_videos(paths, tmp_path / "cache")
    assert again[0] == first[0]
    assert str(again[1]) == str(first[1]) == "is missing"
    monkeypatch.undo()
    next((tmp_path / "cache").glob("videos-*.json")).write_text("{broken")
    assert VF.index_videos(paths, tmp_path / "cache")[0] == first[0]


def test_a_file_of_indices_that_was_altered_is_made_anew(tmp_path):
    paths = [write_video(tmp_path / "a.avi", 30, key_every=10), tmp_path / "missing.avi"]
    first = VF.index_videos(paths, tmp_path / "cache")
    kept = next((tmp_path / "cache").glob("videos-*.json"))
    whole = kept.read_bytes()
    other = whole.replace(b"30", b"31").replace(b"is missing", b"is strange")
    damages = [whole[:-40], b"", b"[]", b"{}", b"[" * 10_000, other, whole.replace(b'"content"', b'"contents"')]
    assert len({whole, *damages}) == len(damages) + 1
    for damage in damages:
        kept.write_bytes(damage)
        again = VF.index_videos(paths, tmp_path / "cache")
        assert again[0] == first[0], damage[:60]
        assert str(again[1]) == "is missing"
        assert kept.read_bytes() == whole
    kept.unlink()
    os.mkfifo(kept)
    assert VF.index_videos(paths, tmp_path / "cache")[0] == first[0]
    (tmp_path / "file").write_text("")
    assert VF.index_videos(paths, tmp_path / "file")[0] == first[0]


def test_indices_come_back_from_the_cache_and_from_arrays(tmp_path):
    made = [
        Index(3, ((0, 0), (2, 80)), (0, 40, 80)),
        Index(4, ((0, -5),), (-5, 1, 20, 21)),
        CorruptVideo("ends early"),
        Index(2, ((0, 0),)),
        Index(1, ((0, 7),), (7,)),
    ]
    write_counts(tmp_path / "a.json", VF._entries(made))
    again = VF._load(tmp_path / "a.json", len(made))
    assert [str(a) if isinstance(a, CorruptVideo) else a for a in again] == [*made[:2], "ends early", *made[3:]]
    whole = [index for index in made if isinstance(index, Index)]
    source = VF.VideoFiles([Path(f"/{i}.avi") for i in range(4)], whole)
    assert [source.index(i) for i in range(4)] == whole
    assert [source.length(i) for i in range(4)] == [3, 4, 2, 1]
    assert source.name(3) == "/3.avi"
