"""Pictures and tables of the benchmark's statistics."""

import csv
import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from rich.console import Console

from ncp import spaces
from ncp.benchmark.statistics import Correlation, MetricSummary, Rankings
from ncp.benchmark.table import Record
from ncp.report import benchmark as report
from ncp.spaces.multires import SPACE

LABELS = ("Cls-A", "Seg", "Video")
MATRIX = np.array([[1.0, 0.639, 0.204], [0.639, 1.0, -0.003], [0.204, -0.003, 1.0]])
CORRELATION = Correlation(LABELS, MATRIX, 1511, "paper")
SUMMARIES = [
    MetricSummary("seg", "Seg", "Cityscapes", "mIoU", 2507, 72.58, 5.331, 0.75),
    MetricSummary("video", "Video", "HMDB51", "top1", 2507, 19.555, 3.69),
]


def record(**more):
    fields = {"metrics": {"mIoU": 75.0, "mAcc": 84.5}, "macs": 1_970_000_000, "params": 4_126_739, "row": 3}
    return Record("seg", SPACE.default(), **{**fields, **more})


def luminance(colour):
    """Relative luminance of an RGB colour (WCAG 2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_every_cell_shows_its_value_legibly():
    fig = report.correlation_figure(CORRELATION, "Rank correlation")
    assert isinstance(fig, Figure)
    (ax,) = fig.axes
    texts = {t.get_position(): t for t in ax.texts}
    assert {p: t.get_text() for p, t in texts.items()} == {
        (j + 0.5, i + 0.5): f"{MATRIX[i, j]:.3f}" for i in range(3) for j in range(3)
    }
    assert [t.get_text() for t in ax.get_xticklabels()] == [t.get_text() for t in ax.get_yticklabels()] == list(LABELS)
    assert any("1,511 architectures" in t.get_text() for t in fig.texts)
    fig.canvas.draw()
    (mesh,) = ax.collections
    from matplotlib.colors import to_rgb

    for (x, y), text in texts.items():
        cell = luminance(mesh.to_rgba(MATRIX[int(y), int(x)]))
        ink = luminance(to_rgb(text.get_color()))
        contrast = (max(cell, ink) + 0.05) / (min(cell, ink) + 0.05)
        assert contrast > 4.0, (text.get_text(), contrast)


@pytest.mark.parametrize("labels", [LABELS, ("Semantic segmentation of scenes", "Seg", "Object classification")])
def test_names_at_a_matrix_are_whole(labels):
    fig = report.correlation_figure(Correlation(labels, MATRIX, 10, "all"))
    fig.canvas.draw()
    (ax,) = fig.axes
    for text in (*ax.get_xticklabels(), *ax.get_yticklabels()):
        extent = text.get_window_extent()
        assert extent.x0 >= 0, text.get_text()
        assert extent.y0 >= 0, text.get_text()


@pytest.mark.parametrize("value", np.linspace(-0.3, 1, 27))
def test_ink_stands_out_at_every_value(value):
    fig = report.correlation_figure(Correlation(("a", "b"), np.full((2, 2), value), 10, "all"))
    (mesh,), texts = fig.axes[0].collections, fig.axes[0].texts
    from matplotlib.colors import to_rgb

    cell, ink = luminance(mesh.to_rgba(value)), luminance(to_rgb(texts[0].get_color()))
    assert (max(cell, ink) + 0.05) / (min(cell, ink) + 0.05) > 4.0


def test_rankings_have_a_panel_for_each_other_metric():
    rng = np.random.default_rng(0)
    ranks = np.stack([np.arange(1, 21), rng.permutation(20) + 1, rng.permutation(20) + 1], axis=1)
    fig = report.rankings_figure(
        Rankings(ranks, Correlation(("mIoU", "mAcc", "aAcc"), np.eye(3), 20, "all")), "Rankings"
    )
    assert [ax.get_ylabel() for ax in fig.axes] == ["rank by mAcc", "rank by aAcc"]
    assert all(ax.get_xlabel() == "rank by mIoU" for ax in fig.axes)
    points = fig.axes[1].collections[0].get_offsets()
    assert np.array_equal(points, ranks[:, [0, 2]])


def test_table_6():
    rows = report.table6(SUMMARIES)
    assert rows[1] == ["seg", "Seg", "mIoU", "2,507", "72.58", "5.33", "0.75"]
    assert rows[2][-1] == ""
    back = list(csv.reader(io.StringIO(report.as_csv(rows))))
    assert back[1] == ["seg", "Seg", "mIoU", "2507", "72.58", "5.33", "0.75"]


def test_the_matrix_as_a_table():
    rows = report.correlation(CORRELATION)
    assert rows[0] == ["", *LABELS]
    assert rows[2] == ["Seg", "0.639", "1.000", "-0.003"]


def test_predicted_values_are_marked():
    measured, predicted = record(), record(predicted=True, row=None, std={"mIoU": 0.7})
    rows = report.records([measured, predicted, record(flags=("suspect",), epoch=50)])
    assert rows[0] == ["Setting", "mIoU", "mAcc", "mIoU std", "MACs", "Params", "Architecture", "Note"]
    assert rows[1][1:6] == ["75.0", "84.5", "", "1970000000", "4126739"]
    assert rows[2][1:4] == ["75.0", "84.5", "0.7"]
    assert "mIoU ~75.00 ±0.70, mAcc ~84.50" in report.brief([predicted])[1]
    assert (rows[1][-1], rows[2][-1], rows[3][-1]) == ("row 3", "predicted", "row 3, epoch 50, suspect")
    assert report.brief([predicted])[1][-1] == "predicted"


def test_records_as_data():
    (data,) = report.as_data([record()])
    assert data["cost"] == {"macs": 1_970_000_000, "params": 4_126_739}
    assert data["architecture"] == {"code": list(SPACE.default().code), "text": SPACE.default().text}
    assert data["predicted"] is False


def test_nothing_is_cut_in_a_narrow_terminal():
    console = Console(width=80, file=io.StringIO())
    nine = Correlation(tuple("Cls-50-A" for _ in range(9)), np.full((9, 9), -0.123), 10, "all")
    console.print(report.as_rich(report.correlation(nine), "title"))
    console.print(report.as_rich(report.table6(SUMMARIES)))
    text = console.file.getvalue()
    assert text.count("-0.123") == 81
    assert "…" not in text


def test_figures_have_as_many_places_as_tell_architectures_apart():
    """Two would make most SSIMs of the benchmark alike."""
    space = spaces.get("transnas-micro")
    normal = Record(
        "transnas-micro/normal", space.default(), {"valid_ssim": 0.56123, "valid_l1_loss": 0.0712}, 1, 1, row=0
    )
    assert "valid_ssim 0.5612, valid_l1_loss 0.0712" in report.brief([normal])[1]
    guessed = Record("transnas-micro/normal", space.default(), {"valid_ssim": 0.5}, 1, 1, True, {"valid_ssim": 0.0031})
    assert "valid_ssim ~0.5000 ±0.0031" in report.brief([guessed])[1]
    assert "mIoU 75.00, mAcc 84.50" in report.brief([record()])[1]


@pytest.mark.parametrize("value", [0.1 + 0.2, 75.123456789012345, 1e-9, 100.0])
def test_a_file_of_records_reads_back_as_what_is_known(value):
    known = Record("seg", SPACE.default(), {"mIoU": value}, 123_456_789_012, 1_234_567, True, {"mIoU": value / 3})
    (row,) = csv.DictReader(io.StringIO(report.as_csv(report.records([known]))))
    assert (float(row["mIoU"]), float(row["mIoU std"])) == (value, value / 3)
    assert (int(row["MACs"]), int(row["Params"])) == (123_456_789_012, 1_234_567)
