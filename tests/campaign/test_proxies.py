"""The table of a cheap proxy: of the setting that is named, and the same from round to round."""

import numpy as np
import pytest
from growing_builds import SPACE, options, published, run, truth, without_trainings

from ncp import benchmark
from ncp.benchmark import store as tables
from ncp.campaign import rounds, work
from ncp.errors import UserError


def table(folder, setting="seg-4x", shift=0.0, count=60):
    """``count`` rows."""
    codes = SPACE.sample_codes(count, np.random.default_rng(0))
    values = truth(codes) - 10 + shift
    rows = [{"code": c.tolist(), "mIoU": v, "mAcc": v, "aAcc": v} for c, v in zip(codes, values, strict=True)]
    return tables.write(benchmark.from_rows(rows, setting), folder / f"{setting}.parquet")


def test_a_build_starts_from_its_proxys_table_and_from_no_other(tmp_path, monkeypatch):
    without_trainings(monkeypatch)
    toy, known = rounds.fit, []

    def fit(space, codes, values, brought, *more, **named):
        known.append([getattr(item, "setting", item) for item in brought])
        return toy(space, codes, values, brought, *more, **named)

    monkeypatch.setattr(rounds, "fit", fit)
    file = table(tmp_path)
    plan, store, _ = run(options(tmp_path / "build", f"proxy={file}", "known=[video]"))
    assert plan.growth.proxy == {"setting": "seg-4x", "rows": 60, "sha256": plan.growth.proxy["sha256"]}
    assert known == [["video", "seg-4x"]] * 3
    assert len(published(store)) == 3
    with pytest.raises(UserError, match="has 7 rows to learn from, and a predictor needs 8"):
        work.open_build(options(tmp_path / "few", f"proxy={table(tmp_path, count=7)}"))
    table(tmp_path, shift=1.0)
    with pytest.raises(UserError, match=r"holds another plan .*proxy"):
        work.open_build(options(tmp_path / "build", f"proxy={file}", "known=[video]"))
    codes = SPACE.sample_codes(20, np.random.default_rng(0))
    rows = [{"code": c.tolist(), "top1": 1.0 + i, "top5": 50.0} for i, c in enumerate(codes)]
    other = tables.write(benchmark.from_rows(rows, "video"), tmp_path / "video.parquet")
    with pytest.raises(UserError, match="is a table of video; the proxy of setting=seg is seg-4x"):
        work.open_build(options(tmp_path / "other", f"proxy={other}"))
