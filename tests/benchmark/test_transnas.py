"""TransNAS-Bench-101: its own file and exported ones become fourteen tables; the modes of its API; hostile and damaged files."""

import gzip
import io
import pickle
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from transnas_files import ARCHS, EPOCHS, TASKS, curve, official, write_csv

from ncp import benchmark, spaces
from ncp.benchmark import modes, settings, transnas
from ncp.errors import UserError
from ncp.jobs import benchmark as actions

NAMES = {f"transnas-{space}/{task}" for space in ("micro", "macro") for task in TASKS}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The store of tables out of exported files."""
    folder = tmp_path_factory.mktemp("transnas")
    benchmark.import_release(write_csv(folder / "csv"), folder / "store")
    return folder / "store"


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """The store of tables out of the benchmark's own file."""
    folder = tmp_path_factory.mktemp("transnas")
    torch.save(official(), folder / "official.pth")
    found = benchmark.import_release(folder / "official.pth", folder / "store")
    assert set(found) == NAMES
    return folder / "store"


def test_the_fourteen_settings_are_files():
    assert {name for name in settings.SETTINGS if name.startswith("transnas")} == NAMES
    for name in NAMES:
        setting = settings.get(name)
        assert setting.space == name.partition("/")[0]
        assert setting.main in setting.metrics
        assert (setting.variant(real=True).data, setting.variant(real=False).data) == ("taskonomy", "builtin/indoor")


@pytest.mark.parametrize("store", ["exported", "own"])
def test_main_metrics_are_the_best_over_the_epochs(store, request):
    tables = benchmark.load(None, request.getfixturevalue(store))
    assert set(tables) == NAMES
    for name, table in tables.items():
        space, task = name.removeprefix("transnas-").split("/")
        expected = [max(curve(space, i, task, table.main)) for i in range(len(ARCHS[space]))]
        np.testing.assert_allclose(table.column(table.main), expected)
        assert table.space.texts(table.codes) == list(ARCHS[space])
        assert table.best(k=1)[0].architecture.text == ARCHS[space][int(np.argmax(expected))]


def test_modes_of_the_official_file(own):
    table = benchmark.load("transnas-micro/jigsaw", own)
    seen, lost = (curve("micro", 1, "jigsaw", name) for name in ("valid_top1", "test_loss"))
    ask = lambda metric, mode: modes.value(table, "3_33_332", metric, mode)  # noqa: E731
    assert ask("valid_top1", "best") == ask("valid_top1", "largest") == max(seen)
    assert (ask("test_loss", "best"), ask("test_loss", "largest")) == (min(lost), max(lost))
    assert ask("valid_top1", "final") == ask("valid_top1", -1) == ask("valid_top1", EPOCHS - 1) == seen[-1]
    assert ask("valid_top1", "list") == seen
    assert ask("time_elapsed", "list") == [30, 90, 150, 210]
    assert table.epochs == tuple(range(EPOCHS))
    assert table.query("3_33_332", epoch=2).metrics["valid_top1"] == seen[2]
    # of a loss the smaller is the better
    best = table.best("test_loss", k=9)
    assert [r.architecture.text for r in best] == list(reversed(ARCHS["micro"]))
    for mode, message in (("worst", "best, largest, final, list or an epoch"), (EPOCHS, "no values after epoch 4")):
        with pytest.raises(UserError, match=message):
            ask("valid_top1", mode)
    with pytest.raises(UserError, match="has no metric 'valid_mIoU'; it has valid_top1, valid_top5"):
        ask("valid_mIoU", "best")


def test_a_training_without_values_has_none_in_any_mode(own, recwarn):
    table = benchmark.load("transnas-micro/jigsaw", own)
    for name in [name for name in table.columns if name.startswith("test_loss@")]:
        table.columns[name] = np.where(np.arange(len(table)) == 1, np.nan, table.columns[name])
    found = modes.values(table, "test_loss", "largest")
    assert np.isnan(found).tolist() == [False, True, False, False]
    assert found[0] == max(curve("micro", 0, "jigsaw", "test_loss"))
    assert not recwarn


def test_exported_files_say_what_they_lack(exported):
    table = benchmark.load("transnas-macro/class_scene", exported)
    last = curve("macro", 2, "class_scene", "valid_loss")
    ask = lambda metric, mode: modes.value(table, "64-224131", metric, mode)  # noqa: E731
    assert ask("valid_loss", "final") == pytest.approx(last[-1])
    assert ask("valid_loss", "largest") == pytest.approx(max(last))
    with pytest.raises(UserError, match=r"no best values of valid_loss .* holds final, largest"):
        ask("valid_loss", "best")
    with pytest.raises(UserError, match=r"no values by epoch of valid_top1 .* holds best, largest"):
        ask("valid_top1", "list")


def test_a_query_by_mode_tells_which_setting_it_leaves_out(exported):
    def ask(**options):
        given = {"action": "query", "store": str(exported), "architecture": "64-41414-3_33_332", **options}
        return actions.answer_to(actions.Options(**given))

    answer = ask(mode="final")
    assert set(answer.result["values"]) == {f"transnas-micro/{task}" for task in ("room_layout", "segmentsemantic")}
    (line,) = answer.lines
    assert line.startswith("note: left out, without mode=final: ")
    assert "transnas-micro/normal (of valid_ssim its table has best, largest)" in line
    assert "segmentsemantic" not in line
    assert not ask(mode="best").lines
    assert not ask(mode="final", metric="valid_mIoU").lines
    for options, message in (
        (
            {"metric": "valid_acc"},
            "of transnas-micro/segmentsemantic has no last values of valid_acc .*holds best, largest",
        ),
        ({"metric": "speed"}, "metric is one of valid_top1, .*valid_mIoU.* here, given was 'speed'"),
        (
            {"metric": "speed", "setting": "transnas-micro/jigsaw"},
            "of transnas-micro/jigsaw has no metric 'speed'; it has",
        ),
    ):
        with pytest.raises(UserError, match=message):
            ask(mode="final", **options)


def test_times_have_units(own):
    def ask(metric, mode="best"):
        text = "64-41414-3_33_332"
        options = actions.Options(action="query", store=str(own), architecture=text, mode=mode, metric=metric)
        ((_, rows),) = actions.answer_to(options).tables.items()
        return rows

    assert ask("time_elapsed")[:2] == [
        ["Setting", "Metric", "Value (best)", "Unit"],
        ["transnas-micro/class_scene", "time_elapsed", "210", "s"],
    ]
    assert ask("time_elapsed", "list")[1][2:] == ["30, 90, 150, 210", "s"]
    assert {row[3] for row in ask("inference_time")[1:]} == {"ms"}
    assert {row[1]: row[3] for row in ask(None)[1:]} == {
        "valid_top1": "%", "valid_neg_loss": "", "valid_mIoU": "%", "valid_ssim": "",
    }  # fmt: skip
    assert len(ask("model_FLOPs")[0]) == 3


def test_statistics_of_a_setting_that_is_not_the_papers(exported):
    options = actions.Options(action="stats", store=str(exported))
    with pytest.raises(UserError, match=r"of another setting give its name \(setting=transnas-"):
        actions.answer_to(options)
    name = "transnas-micro/normal"
    answer = actions.answer_to(replace(options, setting=name))
    found = answer.result["table6"][name]
    values = [max(curve("micro", i, "normal", "valid_ssim")) for i in range(4)]
    assert (found["rows"], found["mean"]) == (4, pytest.approx(np.mean(values)))
    ((title, rows),) = answer.tables.items()
    assert title == "Main metric of transnas-micro/normal"
    assert rows[1][4] == f"{np.mean(values):.4f}"


def saved(content, legacy=False):
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


def test_the_earlier_format_of_torch_and_a_plain_pickle_are_read_too(tmp_path):
    def rows(name, content):
        return {setting: list(found) for setting, found in transnas.read([_file(tmp_path / name, content)]).items()}

    plain = rows("a.pth", saved(official()))
    assert set(plain) == NAMES
    assert rows("b.pth", saved(official(), legacy=True)) == plain
    assert rows("c.pth", pickle.dumps(official(), 2)) == plain


def _file(path, content):
    path.write_bytes(content)
    return path


class Bomb:
    def __reduce__(self):
        return (print, ("run",))


def test_damaged_and_hostile_official_files(tmp_path, capsys):
    good = saved(official())
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", pickle.dumps({"x": [1.0] * 1000}, 2))
    odd = official()
    odd["data"]["micro"] = [1, 2]
    long = official()
    long["data"]["micro"]["64-41414-0_00_000"]["normal"]["metrics"]["valid_ssim"] = [0.5] * 61
    longer, mixed = (official() for _ in range(2))
    longer["data"]["micro"]["64-41414-0_00_000"]["normal"]["metrics"]["valid_ssim"] = [0.5] * 2001
    mixed["data"]["micro"]["64-41414-0_00_000"]["normal"]["metrics"]["valid_ssim"] = [0.5] * 1000 + ["x"]
    for content, message in (
        (good[:-100], "cut off"),
        (good[: len(good) // 2], "cut off"),
        (saved(official(), legacy=True)[:3000], "corrupt or truncated"),
        (saved({"data": Bomb()}), "asks for '__builtin__.print', which is not on the list"),
        (saved({"data": Bomb()}, legacy=True), "nothing in it was run"),
        (packed.getvalue(), "parts are packed"),
        (b"PK\x03\x04 no zip", "cut off"),
        (b"", "no file that torch wrote"),
        (b"hello world", "is not a pickle"),
        (saved([1, 2]), "is not the file of TransNAS-Bench-101"),
        (saved(odd), "is not the file of TransNAS-Bench-101"),
        (saved({"data": {"macro": {}, "micro": {}}}), "no results of the tasks"),
        (saved(long), "61 epochs; at most 60"),
        (saved(longer), "valid_ssim has 2,001 epochs; at most 60 are read"),
        (saved(mixed), "begins with real numbers and goes on with something else; nothing in it was run"),
    ):
        path = _file(tmp_path / "odd.pth", content)
        with pytest.raises(UserError, match=message) as caught:
            benchmark.import_release(path, tmp_path / "store")
        assert "\n" not in str(caught.value)
    assert "run" not in capsys.readouterr().out
    assert not (tmp_path / "store").exists()


def test_odd_exported_files(tmp_path):
    for name, content, message in (
        ("best_over_epochs.csv.gz", b"no gzip", "no gzip file"),
        ("best_over_epochs.csv.gz", gzip.compress(b"arch\n" * 100)[:-6], "cut off"),
        ("best_over_epochs.csv", b"arch,space,other\n64-2133-basic,macro,1\n", "no columns named TASK:METRIC"),
        ("final_epoch_micro.csv", b"name,jigsaw:valid_top1\nx,1\n", "row 1 names no architecture"),
        ("final_epoch_micro.csv", b"arch,jigsaw:valid_top1\n3_33_332\n", "row 1 cannot be used: the line has 1 fields"),
        ("best_over_epochs.csv", b"arch,space,jigsaw:valid_top1\n64-9999-basic,macro,5\n", "no row that can be used"),
        (
            "best_over_epochs.csv",
            b"arch,space,jigsaw:valid_top1\n64-2133-basic,macro,5\n64-2133-basic,macro,1.5\n",
            "row 2 names 64-2133-basic again; an architecture has one row",
        ),
    ):
        with pytest.raises(UserError, match=message):
            benchmark.import_release(_file(tmp_path / name, content), tmp_path / "store")
    table = b"arch,space,jigsaw:valid_top1\n64-2133-basic,macro,5\n64-9999-basic,macro,5\n64-2143-basic,macro,500\n"
    found = benchmark.import_release(_file(tmp_path / "best_over_epochs.csv", table), tmp_path / "store")
    reasons = [refusal.reason for refusal in found["transnas-macro/jigsaw"].provenance.refused]
    assert len(reasons) == 2
    assert "digit 1 of the modules" in reasons[0]
    assert "must be in 0..100, given was 500" in reasons[1]


def test_a_bomb_of_gzip_is_not_unpacked(tmp_path, monkeypatch):
    from ncp.benchmark import readers

    monkeypatch.setattr(readers, "MAX_UNPACKED", 2**20)
    path = _file(tmp_path / "best_over_epochs.csv.gz", gzip.compress(b"\n" * 2**22))
    with pytest.raises(UserError, match="unpacks to more than 1,048,576 bytes"):
        benchmark.import_release(path, tmp_path / "store")


def test_the_recorded_tables(shared, tmp_path):
    """Against figures that were computed apart from this project: best values of all columns, and which networks have them."""
    benchmark.import_release(shared / "transnas-bench-101", tmp_path)
    best = {
        "micro": {"class_object": (46.32, "3_03_122"), "class_scene": (54.94, "3_32_132"), "room_layout": (59.38, "3_11_131"),
                  "jigsaw": (95.37, "3_30_132"), "segmentsemantic": (26.27, "3_33_213"), "normal": (59.62, "3_31_332"),
                  "autoencoder": (57.72, "1_20_310")},
        "macro": {"class_object": (47.96, "21231"), "class_scene": (57.48, "224131"), "room_layout": (56.28, "22333"),
                  "jigsaw": (97.02, "2243"), "segmentsemantic": (29.66, "211314"), "normal": (64.35, "224111"),
                  "autoencoder": (76.88, "221113")},
    }  # fmt: skip
    for space, tasks in best.items():
        for task, (value, text) in tasks.items():
            table = benchmark.load(f"transnas-{space}/{task}", tmp_path)
            assert len(table) == {"micro": 4096, "macro": 3256}[space]
            first = table.best(k=1)[0]
            factor = table.setting.published.get(table.main, 1)
            assert round(factor * first.metrics[table.main], 2) == value
            assert first.architecture == spaces.get(f"transnas-{space}").parse(
                f"64-{text}" if space == "macro" else text
            )
