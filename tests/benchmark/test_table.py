"""Queries, against rows chosen by hand."""

import numpy as np
import pytest

from ncp import benchmark
from ncp.benchmark.collection import Benchmark
from ncp.benchmark.settings import get
from ncp.benchmark.table import Table
from ncp.errors import UserError
from ncp.spaces import cost
from ncp.spaces.multires import SPACE, Architecture

ARCHITECTURES = SPACE.sample(40, np.random.default_rng(0))
ELSEWHERE = SPACE.sample(1, np.random.default_rng(99))[0]


class Predictor:
    """Answers with the sum of the code; the table must hand it ``(1, 27)`` numbers."""

    metrics = ("mIoU", "mAcc", "flops", "params")

    def predict(self, codes):
        assert codes.shape == (1, 27)
        return {name: codes.sum(1) + i for i, name in enumerate(self.metrics)}

    def predict_std(self, codes):
        return {name: np.full(len(codes), 0.5 + i) for i, name in enumerate(self.metrics)}


def table(setting="seg", seed=0, architectures=ARCHITECTURES, flags=None, **more):
    rng = np.random.default_rng(seed)
    n = len(architectures)
    columns = {name: rng.uniform(40, 80, n).round(2) for name in get(setting).metrics}
    return Table(get(setting), SPACE.encode(architectures), {**columns, **more}, flags)


def test_exact_look_up_in_every_form():
    seg = table()
    for row, architecture in enumerate(ARCHITECTURES):
        for form in (architecture, architecture.text, list(architecture.code), np.array(architecture.code)):
            record = seg.query(form)
            assert (record.row, record.predicted, record.std, record.setting) == (row, False, None, "seg")
            assert record.architecture == architecture
            assert record.metrics == {name: seg.columns[name][row] for name in ("mIoU", "mAcc", "aAcc")}
        wanted = cost.count(architecture)
        assert (record.macs, record.params) == (int(wanted.macs), int(wanted.params))
        assert architecture in seg
    assert ELSEWHERE not in seg


def test_a_neighbour_is_not_the_architecture():
    seg = table()
    for neighbour in SPACE.neighbours(ARCHITECTURES[0]):
        with pytest.raises(UserError, match="is not among the 40 trained architectures of seg; give a predictor"):
            seg.query(neighbour)


def test_a_predictor_answers_only_for_what_was_never_trained():
    seg = table()
    assert seg.query(ARCHITECTURES[3], Predictor()).predicted is False
    record = seg.query(ELSEWHERE, Predictor())
    total = float(sum(ELSEWHERE.code))
    assert record.predicted is True
    assert record.row is None
    assert record.metrics == {"mIoU": total, "mAcc": total + 1}
    assert record.std == {"mIoU": 0.5, "mAcc": 1.5}
    assert record.macs == int(cost.count(ELSEWHERE).macs)


def test_malformed_architectures_name_the_dimension():
    with pytest.raises(UserError, match="i1 must be in 8"):
        table().query([7, *ARCHITECTURES[0].code[1:]])


def test_epochs():
    late = np.arange(40) + 20.0
    seg = table(**{"mIoU@50": late, "mAcc@50": late + 1, "mIoU@100": late + 2})
    assert seg.epochs == (50, 100)
    record = seg.query(ARCHITECTURES[7], epoch=50)
    assert (record.epoch, record.metrics) == (50, {"mIoU": 27.0, "mAcc": 28.0})
    assert seg.query(ARCHITECTURES[7], epoch=100).metrics == {"mIoU": 29.0}
    assert set(seg.query(ARCHITECTURES[7]).metrics) == {"mIoU", "mAcc", "aAcc"}
    with pytest.raises(UserError, match="no metrics after epoch 10; it has epochs 50, 100"):
        seg.query(ARCHITECTURES[7], epoch=10)
    with pytest.raises(UserError, match="final values only"):
        table().query(ARCHITECTURES[7], epoch=50)
    with pytest.raises(UserError, match="final metrics only"):
        seg.query(ELSEWHERE, Predictor(), epoch=50)


@pytest.mark.parametrize("metric", ["mIoU", "mAcc"])
def test_best_under_limits(metric):
    seg = table()
    values = seg.column(metric)
    order = sorted(range(40), key=lambda row: -values[row])
    assert [r.row for r in seg.best(metric, 5)] == order[:5]
    macs, params = (float(np.median(v)) for v in (seg.macs, seg.params))
    within = [row for row in order if seg.macs[row] <= macs and seg.params[row] <= params]
    assert 0 < len(within) < 40
    assert [r.row for r in seg.best(metric, 100, max_macs=macs, max_params=params)] == within
    assert all(r.macs <= macs for r in seg.best(metric, 100, max_macs=macs))
    limit = int(seg.macs.min())
    assert [r.macs for r in seg.best(metric, 3, max_macs=limit)] == [limit]  # inclusive


def test_best_refuses():
    seg = table()
    with pytest.raises(UserError, match=f"at most 1,000 multiply-adds; the smallest has {seg.macs.min():,}"):
        seg.best(max_macs=1000)
    with pytest.raises(UserError, match="has no column 'top1'; its columns are mIoU, mAcc, aAcc"):
        seg.best("top1")
    with pytest.raises(UserError, match="unknown rule 'good'"):
        seg.best(rows="good")
    smallest = int(seg.macs.argmin())
    others = np.arange(40) != smallest
    with pytest.raises(UserError, match="no row of seg keeps all of these limits at once"):
        seg.best(max_macs=int(seg.macs.min()), rows=others)


def test_best_passes_over_what_is_missing_and_flagged():
    bad = np.arange(40) == 4
    values = np.arange(40.0)
    values[39] = np.nan
    seg = table(extra=values, flags={"suspect": np.arange(40) == 38, "cost": bad})
    assert [r.row for r in seg.best("extra", 2)] == [38, 37]
    assert seg.best("extra", 1)[0].flags == ("suspect",)
    assert [r.row for r in seg.best("extra", 2, rows="clean")] == [37, 36]
    assert seg.flagged().sum() == 2
    assert seg.flagged("cost").tolist() == bad.tolist()
    with pytest.raises(UserError, match="unknown flag 'odd'"):
        seg.flagged("odd")


def test_tables_do_not_change():
    seg = table()
    for array in (seg.codes, seg.column("mIoU"), seg.macs, seg.params):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    mine = np.full(40, 3.0)
    other = Table(get("video"), SPACE.encode(ARCHITECTURES), {"top1": mine, "top5": mine})
    mine[:] = 4
    assert other.column("top1").max() == 3


def test_selection_keeps_rows_together():
    seg = table(flags={"failed": np.arange(40) % 2 == 0})
    half = seg.select("clean")
    assert len(half) == 20
    assert [r.architecture for r in half] == ARCHITECTURES[1::2]
    assert half.query(ARCHITECTURES[3]).metrics == seg.query(ARCHITECTURES[3]).metrics
    assert seg.select([5, 2]).codes.tolist() == [list(ARCHITECTURES[5].code), list(ARCHITECTURES[2].code)]
    assert not half.flagged().any()


def test_recorded_and_exact_cost_are_told_apart():
    seg = table(flops=np.full(40, 7.0), params=np.full(40, 9.0))
    assert set(seg.column("recorded_flops")) == {7.0}
    assert set(seg.column("recorded_params")) == {9.0}
    assert seg.column("params").tolist() == seg.params.tolist()
    with pytest.raises(UserError, match="recorded_flops"):
        seg.column("flops")


def test_one_architecture_over_all_settings():
    tables = Benchmark(
        {"video": table("video"), "seg": table(), "det3d-of-mine": table("3ddet", architectures=[ELSEWHERE])}
    )
    assert list(tables) == ["seg", "video", "det3d-of-mine"]
    assert set(tables.query(ARCHITECTURES[0])) == {"seg", "video"}
    answers = tables.query(ELSEWHERE, {"seg": Predictor()})
    assert {name: record.predicted for name, record in answers.items()} == {"seg": True, "det3d-of-mine": False}
    with pytest.raises(UserError, match="is in none of the tables"):
        Benchmark({"seg": table()}).query(ELSEWHERE)
    with pytest.raises(UserError, match=r"is in none of the tables .* after epoch 3"):
        tables.query(ARCHITECTURES[0], epoch=3)
    with pytest.raises(UserError, match="there are no tables"):
        Benchmark({}).query(ELSEWHERE)
    with pytest.raises(UserError, match="unknown setting 'sgg'"):
        tables["sgg"]
    with pytest.raises(UserError, match="no table of 'cls'"):
        tables["cls"]


def test_columns_are_aligned_by_architecture():
    """The second table holds half of the architectures in another order."""
    order = np.random.default_rng(1).permutation(40)[:20]
    seg, video = table(), table("video", architectures=[ARCHITECTURES[i] for i in order])
    codes, values = Benchmark({"seg": seg, "video": video}).aligned()
    assert len(codes) == 20
    for code, (miou, top1) in zip(codes.tolist(), values.tolist(), strict=True):
        assert miou == seg.query(code).metrics["mIoU"]
        assert top1 == video.query(code).metrics["top1"]


def test_aligned_rules():
    size = np.where(np.arange(40) < 15, 112.0, 128.0)
    tables = Benchmark({"seg": table(flags={"failed": np.arange(40) == 0}), "3ddet": table("3ddet", flops_input=size)})
    assert [len(tables.aligned(rows=rule)[0]) for rule in ("all", "clean", "paper")] == [40, 39, 15]
    assert tables.aligned([("seg", "mAcc")], rows="paper")[1].shape == (15, 1)
    with pytest.raises(UserError, match="unknown rule"):
        tables.aligned(rows="some")
    with pytest.raises(UserError, match="no table of '3ddet'"):
        Benchmark({"seg": table()}).aligned(rows="paper")


def test_nasbench_architectures_find_their_table():
    rows = [{"text": "|none~0|+|none~0|none~1|+|none~0|none~1|nor_conv_1x1~2|", "Acc": 30.0}]
    tables = Benchmark({"seg": table(), "nas-bench-201": benchmark.from_rows(rows, "nas-bench-201")})
    answer = tables.query(rows[0]["text"])
    assert {name: record.metrics for name, record in answer.items()} == {"nas-bench-201": {"Acc": 30.0}}
    assert set(tables.query(ARCHITECTURES[1])) == {"seg"}
    with pytest.raises(UserError):
        tables.query("nonsense")


def test_every_recorded_row_is_found(released):
    seg = released["seg"]
    for row, code in enumerate(seg.codes.tolist()):
        record = seg.query(Architecture(tuple(code)))
        assert record.row == row
    assert record.metrics["mIoU"] == seg.column("mIoU")[-1]
    best = seg.best("mIoU", 1, max_macs=1e9)[0]
    assert best.metrics["mIoU"] == seg.column("mIoU")[seg.macs <= 1e9].max()
