"""Predictions are those of the evaluation, whichever file the network comes out of."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_runs import lines_of, predict
from torch.nn import functional as F

from ncp import jobs
from ncp.data.base import Key
from ncp.data.clips import ClipSet
from ncp.data.kitti import collate, frames_of
from ncp.data.video_files import VideoFiles, index_videos
from ncp.errors import UserError
from ncp.metrics.kitti_files import read

TASKS = ("cls", "seg", "det3d", "video")


def test_classes_are_those_of_the_evaluation(trained, tmp_path):
    one = trained("cls")
    predict(tmp_path / "out", f"ckpt={one.folder}", f"input={one.inputs}", "pictures=false", "top=3")
    batch = {"image": torch.stack([one.run.data.val_set[Key(-1, i)]["image"] for i in range(2)])}
    with torch.no_grad():
        wanted = one.run.task(batch).double().softmax(1)
    with open(tmp_path / "out" / "predictions.csv") as file:
        table = list(csv.DictReader(file))
    for line, row, probabilities in zip(lines_of(tmp_path / "out"), table, wanted, strict=True):
        best = probabilities.topk(3)
        assert [guess["index"] for guess in line["top"]] == best.indices.tolist()
        assert [guess["class"] for guess in line["top"]] == [str(k) for k in best.indices.tolist()]
        assert [guess["probability"] for guess in line["top"]] == pytest.approx(best.values.tolist(), abs=1e-5)
        assert row["class_1"] == line["top"][0]["class"]
        assert float(row["probability_3"]) == line["top"][2]["probability"]


def test_labels_are_those_of_the_evaluation(trained, tmp_path):
    one = trained("seg")
    predict(tmp_path / "out", f"ckpt={one.folder}", f"input={one.inputs}")
    for i, line in enumerate(lines_of(tmp_path / "out")):
        image = one.run.data.val_set[Key(-1, i)]["image"][None]
        with torch.no_grad():
            logits = F.interpolate(one.run.task({"image": image}), image.shape[-2:], mode="bilinear")[0]
        two = logits.topk(2, 0)
        clear = (two.values[0] - two.values[1] > 1e-4).numpy()
        picture = Image.open(tmp_path / "out" / line["labels"])
        labels = np.asarray(picture)
        assert clear.mean() > 0.9
        assert (labels == two.indices[0].numpy())[clear].all()
        assert picture.getpalette()[:30] == [number for colour in one.run.data.palette for number in colour]
        assert sum(line["shares"].values()) == pytest.approx(1, abs=1e-4)
        assert (tmp_path / "out" / line["overlay"]).is_file()


def test_what_else_lies_in_the_folder_of_results_is_not_told_as_one(trained, tmp_path, capsys):
    one = trained("seg")
    (tmp_path / "out" / "private").mkdir(parents=True)
    outcome = predict(tmp_path / "out", f"ckpt={one.folder}", f"input={one.inputs}", "pictures=false")
    jobs.predict.show(outcome)
    told = capsys.readouterr().out
    assert outcome.kinds == ["labels"]
    assert "labels" in told
    assert "private" not in told


def test_boxes_are_those_of_the_evaluation(trained, tmp_path):
    one = trained("det3d")
    frames = frames_of(one.run.data.val_set)
    predict(tmp_path / "out", f"ckpt={one.folder}", f"input={one.inputs}", "pictures=false")
    for i, line in enumerate(lines_of(tmp_path / "out")):
        (wanted,) = one.run.task.predict(collate([frames[Key(-1, i)]]))
        assert len(wanted.scores) > 3
        assert [box["score"] for box in line["boxes"]] == pytest.approx(wanted.scores.tolist(), abs=1e-5)
        assert np.array([box["box"] for box in line["boxes"]]) == pytest.approx(wanted.boxes.numpy(), abs=1e-3)
        assert [box["class"] for box in line["boxes"]] == [frames.classes[k] for k in wanted.labels.tolist()]
        result = read(tmp_path / "out" / line["kitti"], scores=True)
        kitti = frames.results(i, wanted.boxes.numpy(), wanted.labels.numpy(), wanted.scores.numpy())
        assert result.types.tolist() == kitti.types.tolist()
        assert result.values == pytest.approx(kitti.values, abs=5e-3)


def test_clips_are_those_of_the_evaluation(trained, tmp_path):
    one = trained("video")
    predict(tmp_path / "out", f"ckpt={one.folder}", f"input={one.inputs}")
    paths = sorted(one.inputs.iterdir())
    source = VideoFiles(paths, index_videos(paths, tmp_path / "cache"))
    clips = ClipSet(source, [0, 0], one.run.data.sampling, one.run.data.size, 0)
    with open(tmp_path / "out" / "windows.csv") as file:
        windows = list(csv.DictReader(file))
    for i, line in enumerate(lines_of(tmp_path / "out")):
        image = clips[Key(-1, i)]["image"][None]
        with torch.no_grad():
            wanted = one.run.task({"image": image}).softmax(1)
        best = wanted.mean(0).topk(4)
        assert [guess["index"] for guess in line["top"]] == best.indices.tolist()
        assert [guess["probability"] for guess in line["top"]] == pytest.approx(best.values.tolist(), abs=1e-5)
        numbers = one.run.data.sampling.evaluation(9)
        assert numbers.shape == (3, 6)
        assert [window["frames"] for window in line["windows"]] == numbers.tolist()
        mine = [row for row in windows if row["file"] == line["file"]]
        assert [[float(row[name]) for name in one.run.data.classes] for row in mine] == [
            pytest.approx(row, abs=1e-5) for row in wanted.tolist()
        ]
        assert [int(row["first_frame"]) for row in mine] == numbers.min(1).tolist()


def differences(a, b):
    """The largest difference of numbers; all else must be the same."""
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        return max([differences(a[key], b[key]) for key in a], default=0.0)
    if isinstance(a, list):
        assert len(a) == len(b)
        return max([differences(x, y) for x, y in zip(a, b, strict=True)], default=0.0)
    if isinstance(a, float):
        return abs(a - b)
    assert a == b
    return 0.0


@pytest.mark.parametrize("task", TASKS)
def test_weights_alone_predict_the_same(trained, tmp_path, task):
    one = trained(task)
    common = (f"input={one.inputs}", "pictures=false")
    predict(tmp_path / "run", f"ckpt={one.folder}", *common)
    predict(tmp_path / "weights", f"ckpt={one.export('safetensors')}", *common)
    assert differences(lines_of(tmp_path / "run"), lines_of(tmp_path / "weights")) == 0


WITHOUT_TORCH = """
import sys
from ncp import cli
sys.argv = ["predict", *sys.argv[1:]]
code = 1
try:
    cli.command("predict")()
except SystemExit as end:
    code = end.code
assert not {"torch", "torchvision", "pytorch_lightning"} & set(sys.modules)
sys.exit(code)
"""


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_onnx_predicts_the_same_without_torch(trained, tmp_path, task):
    one = trained(task)
    predict(tmp_path / "run", f"ckpt={one.folder}", f"input={one.inputs}")
    words = [f"ckpt={one.export('onnx')}", f"input={one.inputs}", f"out={tmp_path / 'onnx'}"]
    command = [sys.executable, "-c", WITHOUT_TORCH, *words, f"hydra.run.dir={tmp_path / 'folder'}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=300)
    assert done.returncode == 0, done.stderr
    assert f"{task}: 2 of 2 inputs" in done.stdout
    assert differences(lines_of(tmp_path / "run"), lines_of(tmp_path / "onnx")) < 1e-4
    files = sorted(path.relative_to(tmp_path / "run") for path in (tmp_path / "run").rglob("*.png"))
    assert files
    assert files == sorted(path.relative_to(tmp_path / "onnx") for path in (tmp_path / "onnx").rglob("*.png"))
    for path in (tmp_path / "run").glob("labels/*.png"):
        assert path.read_bytes() == (tmp_path / "onnx" / "labels" / path.name).read_bytes()
    result = json.loads((tmp_path / "folder" / "result.json").read_text())
    assert result["inputs"] == {"given": 2, "predicted": 2, "left_out": 0}


def test_bad_files_are_told_once_and_counted(trained, tmp_path, caplog):
    one = trained("cls")
    folder = tmp_path / "in"
    folder.mkdir()
    good = (one.inputs / "0.png").read_bytes()
    (folder / "good.png").write_bytes(good)
    (folder / "cut.png").write_bytes(good[: len(good) // 2])
    (folder / "text.jpg").write_text("no picture")
    np.save(folder / "five.npy", np.zeros((5, 40, 40), np.uint8))
    np.save(folder / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    (folder / "dark.mkv").write_bytes(b"\x1a\x45\xdf\xa3" + bytes(100))
    outcome = predict(tmp_path / "out", f"ckpt={one.folder}", f"input={folder}")
    assert outcome.result["inputs"] == {"given": 6, "predicted": 1, "left_out": 5}
    told = [record.getMessage() for record in caplog.records if record.getMessage().startswith("left out")]
    assert len(told) == 5
    for name in ("cut.png", "text.jpg", "five.npy", "objects.npy", "dark.mkv"):
        assert sum(name in line for line in told) == 1
    assert "has 5 channels, the network reads 3" in " ".join(told)
    errors = {line["file"]: line.get("error") for line in lines_of(tmp_path / "out")}
    assert len(errors) == 6
    assert errors["good.png"] is None
    (folder / "good.png").unlink()
    with pytest.raises(UserError, match=r"none of the 5 inputs could be used; the first: the image '.*cut.png'"):
        predict(tmp_path / "none", f"ckpt={one.folder}", f"input={folder}")


def test_every_so_many_frames_of_a_video(trained, tmp_path):
    from tiny_runs import write_lossless

    one = trained("seg")
    image = np.asarray(Image.open(one.inputs / "0.png")).transpose(2, 0, 1)
    frames = np.stack([np.roll(image, 4 * k, 2) for k in range(7)])
    write_lossless(tmp_path / "drive.mkv", frames)
    for k in (0, 3, 6):
        (tmp_path / "frames").mkdir(exist_ok=True)
        Image.fromarray(frames[k].transpose(1, 2, 0).copy()).save(tmp_path / "frames" / f"{k}.png")
    predict(tmp_path / "a", f"ckpt={one.folder}", f"input={tmp_path / 'drive.mkv'}", "every=3", "movies=false")
    predict(tmp_path / "b", f"ckpt={one.folder}", f"input={tmp_path / 'frames'}", "pictures=false")
    assert [line["frame"] for line in lines_of(tmp_path / "a")] == [0, 3, 6]
    for k in (0, 3, 6):
        mine = np.asarray(Image.open(tmp_path / "a" / "labels" / "drive" / f"{k:06d}.png"))
        assert np.array_equal(mine, np.asarray(Image.open(tmp_path / "b" / "labels" / f"{k}.png")))
        assert (tmp_path / "a" / "overlays" / "drive" / f"{k:06d}.png").is_file()


def test_points_without_a_calibration_and_as_arrays(trained, tmp_path):
    one = trained("det3d")
    scan = sorted(one.inputs.iterdir())[0]
    alone = tmp_path / "alone" / scan.name
    alone.parent.mkdir()
    alone.write_bytes(scan.read_bytes())
    np.save(alone.with_suffix(".npy"), np.fromfile(scan, "<f4").reshape(-1, 4))
    predict(tmp_path / "out", f"ckpt={one.folder}", f"input={alone.parent}", "pictures=false")
    first, second = lines_of(tmp_path / "out")
    assert first["boxes"] == second["boxes"]
    assert "kitti" not in first
    assert not (tmp_path / "out" / "kitti").exists()
    calib = one.inputs.parent / "calib"
    predict(tmp_path / "with", f"ckpt={one.folder}", f"input={alone}", f"calib={calib}", "pictures=false", "score=0.01")
    (line,) = lines_of(tmp_path / "with")
    assert (tmp_path / "with" / line["kitti"]).is_file()
    assert all(box["score"] >= 0.01 for box in line["boxes"])
    assert line["points"] < first["points"]  # those that the camera sees


@pytest.mark.parametrize(
    ("task", "words", "message"),
    [
        ("seg", ["window=[8,8]"], "window is a height and a width of 32 to 16384 pixels"),
        ("seg", ["window=[64,64]", "overlap=1"], "overlap is a share of the window"),
        ("seg", ["input=nowhere"], "there is no file or folder 'nowhere'"),
        ("seg", ["ckpt=nowhere"], "there is no checkpoint 'nowhere'"),
        ("seg", ["device=tpu"], "device must be one of auto, cpu, cuda"),
        ("det3d", ["score=2"], "score is a number from 0 to 1"),
        ("det3d", ["calib=nowhere"], "there is no calibration 'nowhere'"),
        ("det3d", ["window=[64,64]"], "window is for networks of seg and segmentsemantic, and "),
        ("seg", ["clips=3"], "clips is for networks of video, and "),
        ("seg", ["score=0.5"], "is one of seg: leave it out"),
    ],
)
def test_mistakes_are_named(trained, tmp_path, task, words, message):
    one = trained(task)
    with pytest.raises(UserError, match=message.replace("[", r"\[")):
        predict(tmp_path / "out", f"ckpt={one.folder}", f"input={one.inputs}", *words)


def test_a_folder_without_a_checkpoint(tmp_path):
    with pytest.raises(
        UserError, match=r"holds no checkpoints/last.ckpt and no found.safetensors; give the run folder of"
    ):
        predict(tmp_path / "out", f"ckpt={tmp_path}", f"input={tmp_path}")
