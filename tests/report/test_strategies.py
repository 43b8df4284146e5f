"""Strategies side by side: means, ranks and the chance of a difference against numpy and scipy."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from ncp import runs, spaces
from ncp.benchmark import from_rows, settings
from ncp.benchmark.settings import Setting
from ncp.report import strategies as report
from ncp.search.querying import compare

MICRO = spaces.get("transnas-micro")
CELLS = list(dict.fromkeys(MICRO.sample(60, np.random.default_rng(0))))
RNG = np.random.default_rng(3)
VALUES = {name: RNG.permutation(len(CELLS)).astype(float) for name in ("a", "b")}
SEEDS = (4, 5, 6, 7, 8)


def problem(*names):
    tables = []
    for name in names:
        rows = [{"text": cell.text, "score": v} for cell, v in zip(CELLS, VALUES[name], strict=True)]
        tables.append(from_rows(rows, Setting(name, "cls", ("score",), space="transnas-micro")))
    return compare.on_tables(tables, ["score"] * len(names))


def run(given, strategy, seed):
    asked = np.random.default_rng(seed).integers(0, len(CELLS), (len(SEEDS), 6))
    return compare.Runs(given, strategy, SEEDS, asked, given.ground.fitness(asked), 0.25, spent=12 * (seed % 2))


@pytest.fixture(scope="module")
def found():
    a, b = problem("a"), problem("b")
    return compare.Comparison(6, [run(p, s, i) for i, (p, s) in enumerate((p, s) for p in (a, b) for s in ("x", "y"))])


def test_a_row_a_run(found):
    head, *rows = report.rows(found)
    assert head == ["objective", "strategy", "seed", "architecture", "a.score", "b.score", "rank", "mean_rank",
                    "queries", "earlier", "seconds"]  # fmt: skip
    assert [row[2] for row in rows] == [*SEEDS] * 4
    texts = [cell.text for cell in CELLS]
    for row, (which, place) in zip(rows, ((r, i) for r in found.runs for i in range(len(SEEDS))), strict=True):
        name = which.problem.name.partition(".")[0]
        best = which.asked[place][VALUES[name][which.asked[place]].argmax()]
        assert row[3] == texts[best]
        assert float(row[4 if name == "a" else 5]) == VALUES[name][best]
        assert row[5 if name == "a" else 4] == ""  # the other table was not asked
        assert row[6] == 1 + (VALUES[name] > VALUES[name][best]).sum()
        assert row[8:] == [6, which.spent, "0.25"]


def test_the_summary_is_numpys_and_the_chance_scipys(found):
    for entry, which in zip(report.summary(found), found.runs, strict=True):
        values = VALUES[which.problem.name.partition(".")[0]]
        reached = values[which.asked].max(1)
        told = next(iter(entry["values"].values()))
        assert told == {"mean": reached.mean(), "std": reached.std(), "median": np.median(reached)}
        ranks = np.array([(values > value).sum() + 1 for value in reached])
        assert entry["rank"]["mean"] == ranks.mean()
        assert entry["regret"]["mean"] == pytest.approx((values.max() - reached).mean())
        if which.strategy == "x":
            assert entry["chance"] is None
        else:
            first = values[found.of(which.problem, "x").asked].max(1)
            expected = stats.mannwhitneyu(reached, first, alternative="two-sided", method="asymptotic").pvalue
            assert entry["chance"] == pytest.approx(expected)


def test_the_mean_over_problems_is_of_each_runs_ranks(found):
    for entry in report.overall(found):
        ranks = []
        for which in (r for r in found.runs if r.strategy == entry["strategy"]):
            values = VALUES[which.problem.name.partition(".")[0]]
            ranks.append([(values > value).sum() + 1 for value in values[which.asked].max(1)])
        per_run = np.mean(ranks, axis=0)
        assert entry["rank"] == pytest.approx(
            {"mean": per_run.mean(), "std": per_run.std(), "median": np.median(per_run)}
        )


def test_the_table_ends_with_the_mean_of_all_and_marks_what_was_spent_before(found):
    head, *rows = report.table(found)
    assert [row[:2] for row in rows[-2:]] == [["mean of all", "x"], ["mean of all", "y"]]
    assert [row[head.index("Earlier")] for row in rows[:4]] == ["", "12", "", "12"]
    assert all(len(row) == len(head) for row in rows)
    one = compare.Comparison(6, found.runs[:2])
    assert len(report.table(one)) == 3


def test_a_table_of_which_nothing_was_spent_before_has_no_column_for_it(found):
    plain = compare.Comparison(6, [which for which in found.runs if which.strategy == "x"])
    head, *rows = report.table(plain)
    assert "Earlier" not in head
    assert all(len(row) == len(head) for row in rows)


@pytest.fixture(scope="module")
def joint():
    both = problem("a", "b")
    return compare.Comparison(6, [run(both, name, i) for i, name in enumerate("xy")])


def test_several_objectives_are_named_by_one_of_them_where_people_read(joint, capsys):
    (_, *full), (_, *brief) = report.table(joint), report.table(joint, brief=True)
    assert [row[0] for row in full] == ["a+b"] * 2
    assert [row[0] for row in brief] == ["2 objectives, e.g. a"] * 2
    assert [row[1:] for row in brief] == [row[1:] for row in full]
    report.show(joint, [])
    out = capsys.readouterr().out
    assert "2 objectives, e.g. a" in out
    assert "+" not in out


def test_what_stands_above_a_single_panel_is_whole(joint):
    for fig in (report.regret_figure(joint), report.seconds_figure(joint)):
        fig.canvas.draw()
        assert len(fig.axes) == 1
        for text in (*fig.texts, fig.axes[0].title):
            assert text.get_window_extent().x1 < fig.bbox.x1, text.get_text()


def test_curves_fall_to_the_rank_of_what_was_found(found):
    fig = report.regret_figure(found)
    for ax, name in zip(fig.axes, ("a", "b"), strict=True):
        assert ax.get_yscale() == "log"
        assert ax.get_title(loc="left").endswith(" (rank)")
        for line, which in zip(ax.lines, (r for r in found.runs if r.problem.name.startswith(name)), strict=True):
            so_far = np.maximum.accumulate(VALUES[name][which.asked], axis=1)
            ranks = (VALUES[name][None, None] > so_far[..., None]).sum(-1) + 1
            np.testing.assert_array_equal(line.get_ydata(), np.median(ranks, axis=0))


@pytest.mark.parametrize(
    ("names", "unit"),
    [
        (["seg.mIoU"], "% points"),
        (["transnas-micro/normal.valid_ssim"], ""),
        (["seg.mIoU", "video.top1"], "standard deviations"),
    ],
)
def test_a_distance_is_told_in_the_unit_of_what_is_searched_for(names, unit):
    assert report._unit(SimpleNamespace(ranks=None, signs=dict.fromkeys(names, 1.0))) == unit


def test_figures_are_printed_in_the_papers_unit():
    factors = {f"{name}.{metric}": f for name, s in settings.SETTINGS.items() for metric, f in s.published.items()}
    assert factors  # some settings have such figures
    for name, factor in factors.items():
        assert report.published(name) == factor
    assert report.published("unheard.of") == 1


def test_files(found, tmp_path):
    written = report.write(found, tmp_path, {"queries": 6})
    assert {path.name for path in written.values()} == {
        "compare.csv", "summary.csv", "result.json", "regret.png", "seconds.png"}  # fmt: skip
    assert runs.read_result(tmp_path)["seeds"] == len(SEEDS)
    assert (tmp_path / "compare.csv").read_text().count("\n") == 1 + 4 * len(SEEDS)
