"""A search's way, read back from its file: as it was written, or one line that says why not."""

import re

import pytest
import recorded_results as recorded

from ncp.errors import UserError
from ncp.report import entries, walks
from ncp.spaces.multires import SPACE


def test_all_columns_come_back_as_numbers(tmp_path):
    folder = recorded.search(tmp_path, 3, ["seg.mIoU", "video.top1"], steps=4)
    walk = walks.read(folder / "trajectory.csv", SPACE, ["seg.mIoU", "video.top1"], 3)
    assert walk["step"].tolist() == [0, 1, 2, 3]
    assert walk["continuous.std.video.top1"].tolist() == [70, 71, 72, 73]
    assert [walk[f"rounded.{label}"][0] for label in SPACE.labels] == recorded.architecture(3)["code"]
    assert set(walk["phase"]) == {"propagation"}
    with pytest.raises(UserError, match="has 4 steps; the result names step 4"):
        walks.read(folder / "trajectory.csv", SPACE, ["seg.mIoU"], 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[: len(text) // 2], "equally long rows|steps"),
        (lambda text: "", "equally long rows"),
        (lambda text: text.replace("rounded.seg.mIoU", "rounded.seg.mAcc"), "no column 'rounded.seg.mIoU'"),
        (lambda text: text.replace("code.c4_4", "code.c9_9"), "no column 'code.c4_4'"),
        (lambda text: text.replace(",1000000000,", ",nan,"), "not finite"),
        (lambda text: text.replace(",1000000000,", ",1e300,"), "beyond all bounds"),
        (lambda text: text.replace(",1000000000,", ",many,"), "something else than numbers"),
        (lambda text: "\n".join(text.splitlines()[:3]), "the result names step 5"),
        (lambda text: text + '"' + "x" * 200_000, "cannot be split|equally long"),
        (lambda text: text.encode() + b"\xff", "UTF-8"),
    ],
)
def test_a_damaged_trajectory_costs_the_walk_alone(change, message, tmp_path):
    folder = recorded.search(tmp_path / "r")
    changed = change((folder / "trajectory.csv").read_text())
    (folder / "trajectory.csv").write_bytes(changed if isinstance(changed, bytes) else changed.encode())
    (entry,) = entries.read(str(folder)).items
    assert entry.search is not None
    assert entry.walk is None
    assert "trajectory.csv" in entry.walk_error
    assert re.search(message, entry.walk_error)
