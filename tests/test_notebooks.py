"""The notebooks of the site run, and say what is kept in them; run in a kernel, as a reader would."""

import json
import re

import pytest
from pages import DOCS

NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))


def cells(path):
    return json.loads(path.read_text())["cells"]


def test_there_are_three():
    assert [path.stem for path in NOTEBOOKS] == ["own_predictor", "search", "transnas"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_small_and_was_run(path):
    assert path.stat().st_size < 100_000
    codes = [cell for cell in cells(path) if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in codes] == list(range(1, len(codes) + 1))
    assert all(cell["outputs"] for cell in codes)
    for cell in codes:
        for output in cell["outputs"]:
            assert output["output_type"] != "error"
            assert output.get("name") != "stderr"
            assert "/tmp" not in json.dumps(output)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_says_the_same_again(path, monkeypatch):
    nbformat = pytest.importorskip("nbformat", reason="the extra docs brings what runs notebooks")
    pytest.importorskip("nbclient", reason="the extra docs brings what runs notebooks")
    pytest.importorskip("ipykernel", reason="the extra docs brings what runs notebooks")
    from tools.site import notebooks

    monkeypatch.setenv("PYTHONPATH", f"{DOCS.parent / 'src'}")
    before = notebooks.texts(nbformat.read(path, as_version=4))
    after = notebooks.texts(notebooks.run(path))
    assert len(before) == len(after)
    for kept, said in zip(before, after, strict=True):
        assert_alike(kept, said)


def assert_alike(kept: str, said: str) -> None:
    """The same words; numbers may differ as processors round. A whole architecture is one number's change away from another."""
    pattern = r"\d[\d,]*(?:\.\d+)?"
    plain = [re.sub(r"\b\d+(?:_\d+)*(?:-\d+(?:_\d+)+)+(?:-\d+)?\b", "ARCHITECTURE", text) for text in (kept, said)]
    words = [re.sub(pattern, "#", text) for text in plain]
    if "fewer multiply-adds" in kept:  # which numbers of the network change follows from it
        assert all("fewer multiply-adds for" in line for line in said.splitlines())
        return
    assert words[0] == words[1]
    numbers = [[float(word.replace(",", "")) for word in re.findall(pattern, text)] for text in plain]
    assert numbers[1] == pytest.approx(numbers[0], rel=0.1, abs=0.6)


def test_what_is_alike():
    assert_alike("found 64_64-2_1_2_64-16\n76.5 % at 1,000 M", "found 8_64-2_1_2_64-16\n76.6 % at 1,010 M")
    for other in ("found it at 90.0 %", "lost it at 77.0 %"):
        with pytest.raises(AssertionError):
            assert_alike("found it at 77.0 %", other)
