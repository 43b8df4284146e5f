"""How tasks go together and when ranks are settled, against scipy and by hand; what a table cannot tell is said."""

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr
from transnas_files import official, write_csv

from ncp import benchmark
from ncp.benchmark import importing, relations, settings, transnas
from ncp.errors import UserError
from ncp.jobs import benchmark as job
from ncp.report import relations as pictures

NAMES = ("transnas-macro/jigsaw", "transnas-macro/normal", "transnas-macro/room_layout")


@pytest.fixture(scope="module")
def tables():
    """Curves of 40 networks that settle: noise falls with the epochs."""
    from ncp import spaces
    from ncp.benchmark.collection import Benchmark

    rng = np.random.default_rng(0)
    networks = spaces.get("transnas-macro").all()[::82]
    skill, out = rng.uniform(0, 1, len(networks)), {}
    for name in NAMES:
        setting = settings.get(name)
        low, high = (0, 1) if "ssim" in setting.main else setting.range(setting.main)
        rows = []
        for network, good in zip(networks, skill, strict=True):
            curve = low + (high - low) * np.clip(0.1 + 0.8 * good + rng.normal(0, [0.3, 0.1, 0.03, 0.01]), 0, 1)
            at = {f"{setting.main}@{epoch}": float(v) for epoch, v in enumerate(curve)}
            rows.append({"text": network.text, setting.main: float(curve.max()), **at})
        out[name] = importing.from_rows(rows, setting)
    return Benchmark(out)


def test_relations_against_scipy(tables):
    found = relations.relations(tables, NAMES)
    assert found.pairs == [(0, 1), (0, 2), (1, 2)]
    for i, j in found.pairs:
        a, b = (tables[NAMES[k]].column(tables[NAMES[k]].main) for k in (i, j))
        assert found.spearman[i, j] == pytest.approx(spearmanr(a, b).statistic)
        assert found.kendall[i, j] == pytest.approx(kendalltau(a, b).statistic)
    # in the papers' units, larger better
    np.testing.assert_allclose(found.values[:, 1], 100 * tables[NAMES[1]].column("valid_ssim"))
    np.testing.assert_allclose(found.values[:, 2], 100 * tables[NAMES[2]].column("valid_neg_loss"))
    drawn = pictures.relations_figure(found, "x")
    dots = [ax.collections[0].get_offsets() for ax in drawn.axes]
    np.testing.assert_allclose(dots[0], found.values[:, [0, 1]])


def test_ranks_settle(tables):
    table = tables[NAMES[0]]
    assert relations.converging(table) == ["valid_top1"]
    found = relations.convergence(table, "valid_top1")
    assert found.epochs.tolist() == [1, 2, 3]
    assert found.spearman[2] > found.spearman[1] > found.spearman[0]
    a, b = table.column("valid_top1@1"), table.column("valid_top1@2")
    assert found.kendall[1] == pytest.approx(kendalltau(a, b).statistic)
    lines = pictures.convergence_figure([found], "x").axes[0].lines
    np.testing.assert_allclose(lines[0].get_ydata(), found.spearman)


def test_the_action(tmp_path):
    for name, source in (("csv", write_csv(tmp_path / "csv")), ("own", tmp_path / "own.pth")):
        if name == "own":
            import torch

            torch.save(official(), source)
        benchmark.import_release(source, tmp_path / name / "store")
        options = job.Options(action="relations", group="transnas-micro", store=str(tmp_path / name / "store"))
        answer = job.answer_to(options)
        assert len(answer.result["pairs"]) == 21
        if name == "csv":
            assert "convergence" not in answer.figures
            assert "holds no values by epoch" in answer.lines[0]
        else:
            assert len(answer.result["convergence"]) == 14  # validation and test
            assert "convergence" in answer.figures
    with pytest.raises(UserError, match="group is one of transnas-macro, transnas-micro; given was 'seg'"):
        job.answer_to(job.Options(action="relations", group="seg", store=options.store))


def test_query_by_mode(tmp_path):
    benchmark.import_release(write_csv(tmp_path / "csv"), tmp_path / "store")
    ask = {"action": "query", "architecture": "64-41414-3_33_332", "store": str(tmp_path / "store"), "predict": False}
    answer = job.answer_to(job.Options(**ask, mode="final"))
    last = transnas.read(sorted((tmp_path / "csv").iterdir()))["transnas-micro/jigsaw"][1]["valid_loss:final"]
    found = job.answer_to(job.Options(**ask, mode="final", metric="valid_loss", setting="transnas-micro/jigsaw"))
    assert found.result["values"]["transnas-micro/jigsaw"]["value"] == pytest.approx(float(last))
    assert set(answer.result["values"]) == {f"transnas-micro/{task}" for task in ("room_layout", "segmentsemantic")}
    with pytest.raises(UserError, match="no values by epoch of valid_top1"):
        job.answer_to(job.Options(**ask, mode="list", setting="transnas-micro/jigsaw"))


def test_an_oracle_counts_and_refuses(tmp_path):
    benchmark.import_release(write_csv(tmp_path / "csv"), tmp_path / "store")
    ask = benchmark.oracle("transnas-micro/segmentsemantic", queries=4, store=tmp_path / "store")
    table = benchmark.load("transnas-micro/segmentsemantic", tmp_path / "store")
    one = ask("3_33_332")
    assert one["valid_mIoU"] == table.query("3_33_332").metrics["valid_mIoU"]
    assert one["macs"] == table.query("3_33_332").macs
    code = ask.space.parse("0_00_000").code
    by_name = dict(zip(ask.space.labels, code, strict=True))
    assert ask(by_name) == ask(list(code))
    with pytest.raises(UserError, match="2 more would be 5 queries of at most 4"):
        ask(["3_33_332", "0_00_000"])
    many = benchmark.oracle("transnas-micro/segmentsemantic", store=tmp_path / "store")(table.codes)
    np.testing.assert_array_equal(many["valid_mIoU"], table.column("valid_mIoU"))
    with pytest.raises(UserError, match="is not among the 4 trained"):
        ask("1_11_111")
