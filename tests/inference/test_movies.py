"""Movies: the same video, with what was found drawn over it; and videos that are read in parts, each frame decoded once."""

import threading
from fractions import Fraction

import av
import numpy as np
import pytest
from composed import compose
from PIL import Image
from tiny_runs import lines_of, predict, write_lossless

from ncp import jobs
from ncp.data import video
from ncp.data.video_index import frame_rate
from ncp.inference.movies import Movie
from ncp.inference.samples import InTurns
from ncp.jobs.reels import in_words, windows_at
from ncp.report import movies, predictions


def decoded(path):
    """Frames and their number a second."""
    with av.open(str(path)) as container:
        (stream,) = container.streams.video
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)], stream.average_rate


def test_of_a_video_that_is_segmented(trained, tmp_path):
    one = trained("seg")
    image = np.asarray(Image.open(one.inputs / "0.png")).transpose(2, 0, 1)
    frames = np.stack([np.roll(image, 4 * k, 2) for k in range(7)])
    source = write_lossless(tmp_path / "drive.mkv", frames)
    predict(tmp_path / "out", f"ckpt={one.folder}", f"input={source}", "every=3")
    lines = lines_of(tmp_path / "out")
    assert {line["movie"] for line in lines} == {"movies/drive.mp4"}
    assert not (tmp_path / "out" / "overlays").exists()
    shown, rate = decoded(tmp_path / "out" / "movies" / "drive.mp4")
    assert rate == frame_rate(source) / 3 == Fraction(10, 3)  # as long as the input
    assert len(shown) == len(lines) == 3
    palette = one.run.data.palette
    for line, picture in zip(lines, shown, strict=True):
        labels = np.asarray(Image.open(tmp_path / "out" / line["labels"]))
        wanted = predictions.blended(frames[line["frame"]], labels, palette)
        mine = picture[: wanted.shape[0], : wanted.shape[1]].astype(int)
        assert np.abs(mine - wanted).mean() < 8  # of what the codec makes of it
        others = predictions.blended(frames[line["frame"]], np.roll(labels, 5), palette)
        assert np.abs(mine - wanted).mean() < np.abs(mine - others).mean()


def test_of_a_video_that_is_classified_frame_by_frame(trained, tmp_path):
    one = trained("cls")
    source = write_lossless(tmp_path / "a.mkv", np.zeros((5, 3, 35, 41), np.uint8))
    predict(tmp_path / "out", f"ckpt={one.folder}", f"input={source}", "top=2")
    shown, _ = decoded(tmp_path / "out" / lines_of(tmp_path / "out")[0]["movie"])
    assert len(shown) == 5
    assert not (tmp_path / "out" / "top").exists()
    predict(tmp_path / "pages", f"ckpt={one.folder}", f"input={source}", "movies=false")
    assert (tmp_path / "pages" / "top" / "page-0001.png").is_file()
    assert not (tmp_path / "pages" / "movies").exists()


def test_of_a_video_that_is_recognised_by_its_windows(trained, tmp_path):
    one = trained("video")
    predict(tmp_path / "out", f"ckpt={one.folder}", f"input={one.inputs}")
    for line in lines_of(tmp_path / "out"):
        shown, _ = decoded(tmp_path / "out" / line["movie"])
        assert len(shown) == line["frames"]
    predict(tmp_path / "strips", f"ckpt={one.folder}", f"input={one.inputs}", "movies=false")
    assert all("movie" not in line and line["picture"] for line in lines_of(tmp_path / "strips"))


def test_what_was_drawn_until_an_error_is_a_video(tmp_path):
    path = tmp_path / "movie.mp4"

    def drawn():
        with Movie(path, Fraction(1, 40)) as movie:
            for k in range(4):
                movie.add(np.full((33, 47, 3), 60 * k, np.uint8))  # odd sides
            movie.add(np.full((40, 40, 3), 250, np.uint8))  # of another size
            raise RuntimeError("the network is gone")

    with pytest.raises(RuntimeError):
        drawn()
    shown, rate = decoded(path)
    assert [round(float(picture.mean())) for picture in shown] == pytest.approx([0, 60, 120, 180, 250], abs=6)
    assert shown[0].shape == (34, 48, 3)
    assert rate == 1  # the slowest that is written


def test_a_frame_shows_the_windows_that_it_lies_in():
    windows = np.array([[0, 2, 4], [3, 5, 7], [20, 22, 24]])
    assert [windows_at(windows, frame).tolist() for frame in (0, 3, 4, 6, 13, 14, 30)] == [
        *([0], [0, 1], [0, 1], [1]),
        *([1], [2], [2]),
    ]
    assert in_words(np.array([0]), 3) == "window 1 of 3"
    assert in_words(np.array([0, 1]), 3) == "windows 1 and 2 of 3"
    assert in_words(np.array([0, 1, 2]), 3) == "windows 1 to 3 of 3"


def test_all_pages_of_a_video_have_one_size_and_accents_are_drawn():
    frame = np.zeros((3, 60, 80), np.uint8)
    pages = [movies.guesses(frame, ["élan", "b"], [value, 1 - value], f"frame {value}") for value in (0.0, 0.4, 1.0)]
    assert len({page.shape for page in pages}) == 1
    bars = [(page == [0x00, 0x72, 0xB2]).all(2).sum() + (page == [0x56, 0xB4, 0xE9]).all(2).sum() for page in pages]
    assert bars[0] == pytest.approx(bars[1], rel=0.05)  # together as long as a bar of 100 %
    assert not np.array_equal(
        movies.guesses(frame, ["é"], [0.0], ""), movies.guesses(frame, ["ж"], [0.0], "")
    )  # neither is the box of a letter that is not there


@pytest.mark.parametrize(("codec", "ending"), [("mpeg4", "avi"), ("libx264", "mp4"), ("ffv1", "mkv")])
def test_a_video_is_decoded_once_whoever_reads_its_parts(codec, ending, tmp_path, monkeypatch):
    path = tmp_path / f"a.{ending}"
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10, options={"g": "6"})
        stream.height, stream.width, stream.pix_fmt = 32, 48, "bgr0" if codec == "ffv1" else "yuv420p"
        for _ in range(40):
            picture = np.repeat(np.repeat(rng.integers(0, 255, (4, 6, 3), dtype=np.uint8), 8, 0), 8, 1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    index = video.index_video(path)
    numbers = list(range(0, 40, 2))
    wanted = video.read_arrays(path, numbers, index)
    opened, real = [], video.opened
    monkeypatch.setattr(video, "opened", lambda path: (opened.append(path), real(path))[1])
    parts = [numbers[first : first + 3] for first in range(0, len(numbers), 3)]
    turns = InTurns(video.Stream(path, index), parts)
    found = {}
    threads = [
        threading.Thread(target=lambda turn=turn: found.update({turn: turns.read(turn)}))
        for turn in reversed(range(len(parts)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert np.array_equal(np.concatenate([found[turn] for turn in range(len(parts))]), wanted)
    assert len(opened) == 1


def test_a_damaged_part_is_told_and_so_is_what_follows(tmp_path):
    path = write_lossless(tmp_path / "a.mkv", np.zeros((20, 3, 32, 48), np.uint8))
    index = video.index_video(path)
    stream = video.Stream(path, index)
    with pytest.raises(video.CorruptVideo):
        video.Stream(path, index._replace(stamps=(), frames=60)).read([58])
    assert stream.read([0]).shape == (1, 32, 48, 3)
    assert stream.read([19]).shape == (1, 32, 48, 3)


def test_movies_are_an_option_of_the_command():
    assert jobs.options("predict", "ckpt=a", "input=b").movies
    assert not compose("ckpt=a", "input=b", "movies=false", name="predict").movies
