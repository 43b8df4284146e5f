"""Figure 5 of built tables, against scipy; and the reasons where there is none."""

import numpy as np
import pytest
from scipy import stats

from ncp import benchmark
from ncp.campaign import analysis
from ncp.errors import UserError
from ncp.spaces.multires import SPACE


def table(setting, n=30, epochs=(), seed=0, **more):
    rng = np.random.default_rng(seed)
    final = np.linspace(50, 80, n)
    rows = []
    for i, code in enumerate(SPACE.sample_codes(n, np.random.default_rng(1))):
        row = {
            "code": code.tolist(),
            "top1": final[i],
            "top5": 90 + final[i] / 20,
            **{k: float(v[i]) for k, v in more.items()},
        }
        rows.append(row | {f"top1@{e}": float(final[i] / 2 + rng.normal(0, 40 / e)) for e in epochs})
    return benchmark.from_rows(rows, setting)


def test_epochs_and_the_proxy_beside_them():
    full, proxy = table("cls-50-1000", epochs=(10, 50)), table("cls-10c", n=20, seed=3)
    found = analysis.figure5(full, proxy)["5a"]
    assert found.labels == ("top1@10", "top1@50", "cls-10c top1", "top1")
    assert found.rows == 20  # those that both tables hold
    early, last, short = full.column("top1@10")[:20], full.column("top1")[:20], proxy.column("top1")
    assert found.matrix[0, 3] == pytest.approx(stats.spearmanr(early, last)[0])
    assert found.matrix[2, 3] == pytest.approx(stats.spearmanr(short, last)[0])
    assert found.matrix[0, 2] == pytest.approx(stats.spearmanr(early, short)[0])


def test_each_figure_or_the_reason():
    found = analysis.figure5(table("cls-50-1000"))
    assert "holds final values only" in found["5a"]
    assert found["5b"].correlation.labels == ("top1", "top5")
    assert "Figure 5 (c) needs metrics by class" in found["5c"]
    assert "holds final values only" in analysis.figure5(table("cls-50-1000"), table("cls-10c"))["5a"]


def test_an_evaluation_that_is_the_end_tells_nothing():
    final = np.linspace(50, 80, 30)
    assert "one epoch only" in analysis.figure5(table("cls-50-1000", **{"top1@1": final}))["5a"]
    assert not isinstance(analysis.figure5(table("cls-50-1000", **{"top1@1": final - 1}))["5a"], str)


def test_classes_and_views():
    rng = np.random.default_rng(0)
    names = [f"{c}/{v}/moderate" for c in ("car", "pedestrian") for v in ("3d", "bev")]
    rows = [
        {"code": code.tolist(), "moderate": 70.0 + i, **{name: float(rng.uniform(40, 80)) for name in names}}
        for i, code in enumerate(SPACE.sample_codes(12, rng))
    ]
    found = analysis.figure5(benchmark.from_rows(rows, "3ddet"))["5c"]
    assert found.ranks.shape == (12, 4)


def test_where_a_table_is_looked_for(tmp_path):
    with pytest.raises(UserError, match="action=merge"):
        analysis.load(tmp_path)
    made = table("cls-10c")
    made.to_parquet(tmp_path / "cls-10c.parquet")
    assert len(analysis.load(tmp_path)) == len(analysis.load(tmp_path / "cls-10c.parquet")) == 30
