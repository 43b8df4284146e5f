"""The site: the reference is whole, cards are current, links that lead nowhere are found, every page has its place."""

import ast
import re

import pytest
from pages import DOCS
from tools.site import links

ROOT = DOCS.parent


def public_names() -> set[str]:
    """Functions and classes of the library under public names, as the parser of Python itself sees them."""
    found = set()
    for path in (ROOT / "src" / "ncp").rglob("*.py"):
        parts = path.relative_to(ROOT / "src").with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if any(part.startswith("_") for part in parts[:-1]) or module.startswith("ncp.models.formats.standalone"):
            continue  # the text of a file, not a part of the library
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                found.add(f"{module}.{node.name}")
    return found


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The pages of the reference as Markdown."""
    pytest.importorskip("griffe", reason="the reference is made by griffe, which the extra docs brings")
    from tools.site.api import Reference

    folder = tmp_path_factory.mktemp("api")
    names = Reference(ROOT / "src").write(folder)
    return {name: (folder / f"{name}.md").read_text() for name in names}


def test_every_public_name_is_in_the_reference(reference):
    anchors = set()
    for text in reference.values():
        anchors |= {anchor.removesuffix(".class") for anchor in re.findall(r"^\((ncp[\w.]*)\)=$", text, re.MULTILINE)}
    missing = public_names() - anchors
    assert not missing
    assert len(public_names()) > 800


def test_links_within_the_reference_lead_to_a_name_of_it(reference):
    text = "\n".join(reference.values())
    anchors = set(re.findall(r"^\((ncp[\w.]*)\)=$", text, re.MULTILINE))
    assert len(anchors) == len({anchor.lower() for anchor in anchors})  # places of a page know no capitals
    assert set(re.findall(r"\]\(#(ncp[\w.]*)\)", text)) <= anchors


def test_a_function_is_told_with_what_it_takes_returns_and_raises(reference):
    text = reference["spaces"]
    start = text.index("(ncp.spaces.cost.count)=")
    told = text[start : text.index("\n(ncp.", start)]
    assert "size: tuple[int, int] = (128, 128)" in told
    assert "-> Cost" in told
    assert "- `codes`:" in told
    assert "each\n  `(N,)` int64 for arrays" in told
    assert "- `UserError`: for a head or size that does not exist" in told


def test_cards_are_current():
    from tools.site import cards

    for name, text in cards.pages().items():
        assert (cards.FOLDER / name).read_text() == text, f"{name} is old: python -m tools.site.cards"


def test_cards_hold_every_predictor_and_network_that_is_bundled():
    text = (DOCS / "cards" / "predictors.md").read_text()
    weights = ROOT / "src" / "ncp" / "predictors" / "weights"
    files = list(weights.glob("*/*.safetensors"))
    assert len(files) == 18
    for file in files:
        assert f"### {file.stem}, {file.parent.name}\n" in text


def test_every_command_is_told_with_its_options(monkeypatch):
    from tools.site import commands

    from ncp import jobs, runs

    monkeypatch.setattr(runs, "_prefix", "ncp ")  # the page sets it for this process
    text = commands.page()
    assert re.findall(r"^## (\w+)$", text, re.MULTILINE) == list(jobs.COMMANDS)
    assert text.count("```text\nUsage: python -m src.") == len(jobs.COMMANDS)
    assert "latency_margin: 1.0" in text
    assert text.count("```") == 2 * len(jobs.COMMANDS)


def test_every_page_is_in_a_table_of_contents():
    trees = "\n".join(
        text
        for page in DOCS.rglob("*.md")
        for text in re.findall(r"^```\{toctree\}\n(.*?)^```", page.read_text(), re.M | re.S)
    )
    listed = {line.strip() for line in trees.splitlines()}
    for page in [*DOCS.glob("*/*.md"), *DOCS.glob("*/*.ipynb")]:
        if page.parent.name not in ("api", "_static"):
            name = page.stem if page.parent.name == "cards" else f"{page.parent.name}/{page.stem}"
            assert name in listed or page.stem == "index", page
    # at the top what is not named ends the tutorials; most pages have a better place
    assert {"start", "concepts", "errors", "coming_from", "results", "own_data", "latency", "build"} <= listed


def test_links_that_lead_nowhere_are_found(tmp_path):
    (tmp_path / "index.html").write_text(
        '<a href="there.html#place">1</a><a href="there.html#gone">2</a><a href="gone.html">3</a>'
        '<a href="https://example.org/">4</a><a href="#top">5</a><img src="../outside.png"><i id="top"></i>'
    )
    (tmp_path / "there.html").write_text('<h1 id="place">here</h1>')
    (tmp_path.parent / "outside.png").write_text("not of the site")
    assert links.broken(tmp_path) == [
        "index.html: there.html#gone has no such place",
        "index.html: gone.html is not there",
        "index.html: ../outside.png is not there",
    ]


def test_links_of_the_pages_are_here_on_a_forge_too():
    seen = 0
    for page in [*DOCS.glob("*.md"), *DOCS.glob("tutorials/*.md"), *DOCS.glob("cards/*.md")]:
        text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            if "://" in link or link.startswith("#"):
                continue
            file = (page.parent / link.split("#")[0]).resolve()
            assert file.is_relative_to(ROOT), (page, link)
            assert file.exists(), (page, link)
            seen += 1
    assert seen > 60


def test_pictures_are_small():
    for picture in DOCS.glob("*.png"):
        assert picture.stat().st_size < 300_000, picture
