"""The front's command: what it writes is a front, and its result names the proposed architecture."""

import csv
import json

import numpy as np
import pytest
from toy_predictors import Toy, capacity

from ncp import spaces
from ncp.jobs import front

SPACE = spaces.get("multires")
RISING = Toy("seg", capacity(np.random.default_rng(5).uniform(0.2, 2.0, 27) * SPACE.lower))
FREE = ["c3_1", "b3", "c4_2"]


@pytest.mark.usefixtures("one_thread")
def test_no_row_of_the_file_is_beaten_and_every_cost_is_exact(tmp_path, capsys):
    options = front.Options(
        points=4, starts=1, iterations=10, fixed=[n for n in SPACE.labels if n not in FREE], predictors={"seg": RISING}
    )
    outcome = front.run(options, tmp_path)
    with outcome.files["front"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    points = [(float(row["seg.mIoU"]), -float(row["macs"])) for row in rows]
    assert not any(a != b and a[0] >= b[0] and a[1] >= b[1] for a in points for b in points)
    codes = [SPACE.parse(row["architecture"]).code for row in rows]
    assert [-cost for _, cost in points] == SPACE.cost(codes).macs.tolist()
    np.testing.assert_allclose([value for value, _ in points], RISING.predict(codes)["mIoU"])
    result = json.loads(outcome.files["result"].read_text())
    (chosen,) = (row for row in rows if row["chosen"] == "True")
    assert result["architecture"]["text"] == chosen["architecture"]
    assert result["chosen"] == {"seg.mIoU": float(chosen["seg.mIoU"]), "macs": float(chosen["macs"])}
    assert outcome.files["picture"].read_bytes()[:4] == b"\x89PNG"
    front.show(outcome)
    said = capsys.readouterr().out
    assert f"proposed: {chosen['architecture']}" in said
    assert f"{len(rows)} architectures that none beats" in " ".join(said.split())
