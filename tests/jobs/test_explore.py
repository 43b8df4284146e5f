"""The command that writes the explorer's page."""

import json

import numpy as np
import pytest

from ncp import jobs, latency, spaces
from ncp.errors import UserError
from ncp.jobs import explore
from ncp.predictors import fit, load

SPACE = spaces.get("multires")


def options(*words):
    return jobs.options("explore", "open=false", *words)


def test_the_page_has_all_nine_settings_and_at_most_four_megabytes(tmp_path):
    outcome = explore.run(options(), tmp_path)
    assert outcome.page == tmp_path / "explorer.html"
    assert outcome.page.stat().st_size == outcome.size <= 4_000_000
    assert len(outcome.settings) == 9
    assert not outcome.notes
    assert not outcome.opened
    written = json.loads((tmp_path / "result.json").read_text())
    assert written["bytes"] == outcome.size
    text = outcome.page.read_text()
    known = json.loads(text.partition('id="description">')[2].partition("</script>")[0])
    assert {p["family"] for p in known["predictors"]} == {"default", "paper"}
    assert known["command"] in ("python -m src.search", "ncp search")


def test_own_predictors_and_machines_are_in_it(tmp_path):
    trained = SPACE.sample(16, np.random.default_rng(0))
    mine = fit(trained, {"mIoU": load("seg").predict(trained)["mIoU"]}, known=["video"])
    mine.card.setting = "fields"
    file = mine.save(tmp_path / "mine.safetensors")
    codes = SPACE.sample_codes(30, np.random.default_rng(0))
    machine = latency.save(latency.fit(SPACE, codes, 5 + SPACE.cost(codes).macs / 2e7), tmp_path / "cpu.safetensors")
    given = options(f"predictors=[{file}]", f"latency=[{machine}]", "settings=[det3d]", f"out={tmp_path}/page.html")
    outcome = explore.run(given, tmp_path / "run")
    assert outcome.settings == ["3ddet", "fields"]
    known = json.loads(outcome.page.read_text().partition('id="description">')[2].partition("</script>")[0])
    assert known["settings"]["fields"]["file"] == str(file)
    assert [m["file"] for m in known["machines"]] == [str(machine)]


def test_the_page_of_a_predictor_of_a_bundled_setting_asks_that_one(tmp_path):
    file = load("3ddet").save(tmp_path / "mine.safetensors")
    given = explore._predictors(options(f"predictors=[{file}]", "settings=[seg,det3d]"))
    assert [(g.predictor.setting, g.file) for g in given] == [("seg", ""), ("3ddet", str(file))]


@pytest.mark.parametrize(
    ("word", "part"),
    [
        ("settings=[segg]", "no predictor is bundled"),
        ("predictors=[seg]", "safetensors files"),
        ("predictors=[none.safetensors]", "none.safetensors"),
        ("latency=[none.safetensors]", "none.safetensors"),
        ("latency=[3]", "list of files"),
        ("open=perhaps", "auto, true or false"),
        ("out=/dev/null/page.html", r"cannot write '/dev/null/page.html' \(.*\); give another out=FILE.html"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, word, part):
    words = [] if word.startswith("open") else ["open=false"]
    with pytest.raises(UserError, match=part) as error:
        explore.run(jobs.options("explore", *words, word), tmp_path)
    assert "\n" not in str(error.value)


def test_a_page_that_grows_too_large_leaves_the_papers_predictors_out(tmp_path, monkeypatch):
    whole = explore.run(options("settings=[det3d,seg]"), tmp_path / "a")
    monkeypatch.setattr(explore, "MOST", whole.size - 1)
    smaller = explore.run(options("settings=[det3d,seg]"), tmp_path / "b")
    assert smaller.size < whole.size
    assert "strategies are left out" in smaller.notes[0]
    monkeypatch.setattr(explore, "MOST", 1000)
    with pytest.raises(UserError, match=r"more than 0\.001"):
        explore.run(options("settings=[det3d]"), tmp_path / "c")
