"""The indices of many files, and their cache."""

import pytest
from layouts import write_video

from ncp.data import video_files as VF


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
