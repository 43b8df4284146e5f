"""A folder that is laid out for another task: each of the four is asked for in the folders of the other three."""

import pytest
from layouts import picture, write_video

from ncp.data.folder.cls import FolderClassification
from ncp.data.folder.det3d import FolderKitti
from ncp.data.folder.layouts import other_task
from ncp.data.folder.seg import FolderSegmentation
from ncp.data.folder.video import FolderVideos
from ncp.errors import UserError

KINDS = {"cls": FolderClassification, "seg": FolderSegmentation, "det3d": FolderKitti, "video": FolderVideos}


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Task -> a folder of its layout, in a folder of its own, so that none is a level above another."""
    import numpy as np

    place, rng = tmp_path_factory.mktemp("sets"), np.random.default_rng(0)
    roots = {
        name: place / "deep" / name / "mine" for name in ("cls", "seg", "det3d", "video", "cls in splits", "table")
    }
    for part in ("ash/1.png", "ash/2.png", "oak 数/1.png", "oak 数/2.png"):
        for where in (f"cls/mine/{part}", f"cls in splits/mine/train/{part}", f"cls in splits/mine/val/{part}"):
            file = place / "deep" / where
            file.parent.mkdir(parents=True, exist_ok=True)
            picture(rng, 8, 8).save(file)
    for part in ("images/1.png", "masks/1.png"):
        (roots["seg"] / part).parent.mkdir(parents=True)
        picture(rng, 8, 8).save(roots["seg"] / part)
    for part in ("velodyne", "label_2", "calib", "image_2", "image_3"):
        (roots["det3d"] / part).mkdir(parents=True)
    for part in ("image_2/0.png", "image_2/1.png", "image_3/0.png", "image_3/1.png"):
        picture(rng, 8, 8).save(roots["det3d"] / part)
    for part in ("run/1.avi", "sit/1.avi"):
        write_video(roots["video"] / part, 3)
    roots["table"].mkdir(parents=True)
    (roots["table"] / "videos.csv").write_text("path,class\n")
    return roots


def said(kind, root):
    problems = kind(str(root), workers=0).look_for()
    with pytest.raises(UserError) as caught:
        problems.check()
    return str(caught.value)


@pytest.mark.parametrize(
    ("asked", "given", "hint"),
    [
        ("seg", "cls", "it looks like images in folders of classes: give task=cls"),
        ("seg", "cls in splits", "give task=cls"),
        ("seg", "video", "it looks like videos in folders of classes: give task=video"),
        ("seg", "det3d", "it looks like LiDAR frames (velodyne): give task=det3d"),
        ("cls", "seg", "it looks like images with masks: give task=seg, or call the folders after classes"),
        ("cls", "video", "give task=video"),
        ("cls", "table", "give task=video"),
        ("cls", "det3d", "holds image_2 and image_3; it looks like LiDAR frames"),
        ("video", "cls", "give task=cls"),
        ("video", "cls in splits", "give task=cls"),
        ("video", "seg", "give task=seg"),
        ("video", "det3d", "give task=det3d"),
        ("det3d", "cls", "give task=cls"),
        ("det3d", "seg", "give task=seg"),
        ("det3d", "video", "give task=video"),
    ],
)
def test_another_tasks_folder_is_recognised(sets, asked, given, hint):
    assert hint in said(KINDS[asked], sets[given])


def test_nothing_is_said_of_a_folder_that_is_laid_out_for_no_task(tmp_path, sets):
    assert other_task(tmp_path, "seg") == ""
    assert "give task=" not in said(FolderSegmentation, tmp_path)
    assert other_task(sets["cls"], "cls") == ""
