"""A build of a cell on the built-in rooms, from a list to a table of the setting's own metrics."""

import pytest

from ncp import benchmark, jobs


@pytest.mark.usefixtures("one_thread", "own_cache")
def test_a_cell_is_built_and_becomes_a_row(tmp_path):
    texts = ["64-41414-0_00_200"]
    (tmp_path / "cells.txt").write_text("\n".join(texts))
    words = (
        "setting=transnas-micro/room_layout", "sample=scenes", "count=1", f"build.architectures={tmp_path / 'cells.txt'}",
        f"build.dir={tmp_path / 'build'}", "+data.tiny=true", "recipe.batch=2", "recipe.length=1", "recipe.eval_every=1",
        "data.scenes=4", "data.val_scenes=3", f"paths.outputs={tmp_path}",
    )  # fmt: skip
    jobs.build.run(jobs.options("build", *words), tmp_path / "run")
    (path,) = (tmp_path / "build").glob("*.parquet")
    table = benchmark.load(path)
    records = list(table)
    assert sorted(record.architecture.text for record in records) == sorted(texts)
    assert table.setting.name == "transnas-micro/room_layout"
    assert all(record.metrics["valid_neg_loss"] < 0 for record in records)
