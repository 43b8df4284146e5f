"""The page in a real browser: it searches as Python does, answers to mouse, keyboard and files, and asks for nothing."""

import base64
from pathlib import Path

import numpy as np
import pytest
from explorer_browser import CHROMIUM, Browser

from ncp import benchmark, jobs, latency, spaces
from ncp.benchmark import store
from ncp.search import search

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")]
SPACE = spaces.get("multires")
NET = "64_64-2_1_2_64-2_2_2_2_64_64-2_3_2_2_2_64_64_64-2_4_2_2_2_2_64_64_64_64-64"
UNDO = "[...document.querySelectorAll('#actions button')].find((b) => b.textContent === 'Undo')"
STATUS = "document.getElementById('status').textContent"
SETTLED = f"{STATUS}.startsWith('found in') && explorer.known.code.join() === explorer.state.code.join()"
CONTRAST = Path(__file__).parents[1].joinpath("explorer_contrast.js").read_text()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page with three settings and a machine."""
    folder = tmp_path_factory.mktemp("explorer")
    some = SPACE.sample_codes(40, np.random.default_rng(0))
    machine = latency.save(latency.fit(SPACE, some, 5 + SPACE.cost(some).macs / 2e7), folder / "mine.safetensors")
    options = jobs.options(
        "explore", f"out={folder}/page.html", "settings=[seg,video,det3d]", f"latency=[{machine}]", "open=false"
    )
    return jobs.explore.run(options, folder / "run").page


@pytest.fixture(scope="module")
def browser():
    made = Browser()
    yield made
    made.close()


@pytest.fixture
def tab(browser, page):
    """Opens the page at a state; afterwards nothing may have gone wrong in it, and no request have left it."""
    browser.problems.clear()
    browser.requests.clear()

    def go(state="", **window):
        browser.open(f"{page.as_uri()}#{state}", **window)
        browser.wait("window.explorer?.known && Object.keys(explorer.known.metrics).length === 3")
        return browser

    yield go
    assert not browser.problems
    assert all(address.startswith(("file:", "blob:", "about:")) for address in browser.requests), browser.requests


def test_the_first_network_is_that_of_python_and_a_click_takes_another(tab):
    browser = tab("for=seg.mIoU:1&lam=1")
    browser.wait(SETTLED)
    result = search(["seg"], lam=1.0)
    assert browser.ask("explorer.state.code") == list(result.architecture.code)
    assert browser.ask("explorer.known.metrics.seg.mIoU.mean") == pytest.approx(
        result.predicted["seg"]["mIoU"], rel=3e-5
    )
    shown = f"{result.predicted['seg']['mIoU']:.1f}"
    browser.wait(f"document.querySelector('.metric.on .value b').textContent === '{shown}'")
    browser.wait("explorer.front?.points && !explorer.front.busy && document.querySelectorAll('.choice').length > 5")
    browser.click(".choice")
    browser.wait("explorer.state.code.join() === explorer.front.points[0].code.join()")
    browser.wait(f"!{UNDO}.disabled")
    browser.ask(f"{UNDO}.click()")
    assert browser.ask("explorer.state.code") == list(result.architecture.code)


def test_a_slider_moved_by_keys_leads_to_a_network_within_the_limit(tab):
    browser = tab(f"for=seg.mIoU:1&macs=1e9&net={NET}")
    before = browser.ask("document.querySelectorAll('#drawing .box[visibility=visible]').length")
    browser.ask("document.querySelector('input[aria-label^=\"Multiply-adds, at most\"]').focus()")
    browser.key("ArrowLeft")
    browser.wait(SETTLED)
    limit = browser.ask("explorer.state.limits.macs")
    code = np.array(browser.ask("explorer.state.code"))
    assert 0.9e9 < limit < 1e9
    assert 0.9 * limit < SPACE.cost(code).macs <= limit
    browser.wait(f"document.querySelectorAll('#drawing .box[visibility=visible]').length !== {before}")
    browser.wait(f"location.hash.includes('macs={int(limit)}')")
    assert "budget.macs=" in browser.ask("explorer.command()")
    # what cannot be met is said, and the network stays
    browser.ask("explorer.edit((s) => { s.limits = { macs: 1e6 }; })")
    browser.wait(f"{STATUS}.startsWith('Cannot be met: the smallest network has')")
    assert browser.ask("explorer.state.code") == code.tolist()


def test_an_undo_gives_back_a_limit_of_milliseconds(tab):
    browser = tab(f"for=seg.mIoU:1&ms=90&follow=no&net={NET}")
    field = "document.querySelector('input[aria-label=\"Latency in ms, at most\"]')"
    browser.ask(f"{field}.value = 70; {field}.dispatchEvent(new Event('change'))")
    assert browser.ask("explorer.state.limits.latency_ms") == [70]
    browser.wait(f"!{UNDO}.disabled")
    browser.ask(f"{UNDO}.click()")
    assert browser.ask("explorer.state.limits.latency_ms") == [90]


@pytest.mark.parametrize("strategy", ["paper", "winner_takes_all", "greedy"])
def test_the_other_strategies_find_what_they_find_in_python(tab, strategy):
    browser = tab(f"for=seg.mIoU:1,3ddet.moderate:1&by={strategy}")
    browser.wait(SETTLED)
    result = search(["seg", "det3d"], strategy=strategy)
    assert browser.ask("explorer.state.code") == list(result.architecture.code)


def test_a_dragged_number_is_kept_while_the_others_follow(tab):
    browser = tab(f"for=seg.mIoU:1&macs=1e9&net={NET}")
    x, y, *_ = browser.box("#axes .axis:nth-of-type(2) .knob")
    browser.mouse("mouseMoved", x, y)
    browser.mouse("mousePressed", x, y)
    for step in range(1, 7):
        browser.mouse("mouseMoved", x, y + 8 * step)
    browser.mouse("mouseReleased", x, y + 48)
    browser.wait(SETTLED)
    fixed = browser.ask("explorer.state.fixed")
    code = browser.ask("explorer.state.code")
    assert list(fixed) == ["1"]
    assert code[1] == fixed["1"] < 64
    assert code != [*SPACE.default().code[:1], fixed["1"], *SPACE.default().code[2:]]
    # by keys: the next number one step up, then freed
    browser.ask("document.querySelector('#axes .axis:nth-of-type(2)').focus()")
    browser.key("ArrowRight")
    browser.key("ArrowUp")
    assert browser.ask("document.activeElement.getAttribute('aria-label')").startswith("b1, blocks")
    assert browser.ask("Object.keys(explorer.state.fixed)") == ["1", "2"]
    browser.key("f")
    assert browser.ask("Object.keys(explorer.state.fixed)") == ["1"]


def test_a_preset_plays_and_arrives(tab):
    browser = tab()
    browser.ask(
        "[...document.querySelectorAll('#presets button')].find((b) => b.textContent.includes('From video')).click()"
    )
    browser.wait(f"{STATUS}.startsWith('step')")
    assert browser.ask("Object.keys(explorer.state.objectives)") == ["video.top1"]
    browser.wait(f"{STATUS} === 'arrived'", 120)
    assert browser.ask("Object.keys(explorer.state.objectives)") == ["3ddet.moderate"]
    found = search(["video"])
    assert browser.ask("explorer.state.code") == list(search(["det3d"], start=found.architecture).architecture.code)


def test_dropped_files_are_shown_in_the_front(tab):
    browser = tab(f"for=seg.mIoU:1&net={NET}")
    rows = "".join(f"n{i},{NET[:-2]}{8 * i}\\n" for i in range(1, 6))
    browser.ask(f"explorer.readFiles([new File(['name,architecture\\n{rows}'], 'mine.csv')])")
    browser.wait("document.querySelectorAll('.file').length === 5")
    browser.ask("explorer.readFiles([new File(['text: nothing'], 'a.yaml')])")
    browser.wait("document.getElementById('toast').textContent.includes('no architecture')")


def test_an_imported_table_is_dropped_onto_the_page(tab, tmp_path):
    """The Parquet file of the store, by a drop: its rows are diamonds at what was measured."""
    rows = [{"code": code, "mIoU": 70.0 + i, "mAcc": 80.0, "aAcc": 95.0} for i, code in enumerate(
        SPACE.sample_codes(7, np.random.default_rng(0)).tolist())]  # fmt: skip
    path = store.put(benchmark.from_rows(rows, "seg"), tmp_path)
    browser = tab(f"for=seg.mIoU:1&follow=no&net={NET}")
    packed = base64.b64encode(path.read_bytes()).decode()
    browser.ask(f"""(() => {{
        const bytes = Uint8Array.from(atob("{packed}"), (c) => c.charCodeAt(0));
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([bytes], "{path.name}"));
        document.body.dispatchEvent(new DragEvent("drop", {{ dataTransfer, bubbles: true, cancelable: true }}));
    }})()""")
    browser.wait("document.querySelectorAll('.file').length === 7")
    assert browser.ask("explorer.files.map((f) => f.measured['seg.mIoU'])") == [70, 71, 72, 73, 74, 75, 76]
    assert browser.ask("explorer.files.map((f) => f.code)") == [row["code"] for row in rows]


def test_a_file_without_a_network_is_named(tab):
    browser = tab(f"for=seg.mIoU:1&net={NET}")
    browser.ask("explorer.readFiles([new File(['text: nothing'], 'a.yaml')])")
    browser.wait("document.getElementById('toast').textContent.includes('no architecture')")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1440, 1000, 390])
def test_it_is_legible_at_every_width(tab, width, dark):
    browser = tab(
        f"for=seg.mIoU:1&macs=1e9&floor=video.top1:20&pin=ncp_seg&net={NET}",
        width=width,
        height=900,
        dark=dark,
        mobile=width < 500,
    )
    assert browser.ask("document.documentElement.scrollWidth") <= width
    contrast = browser.ask(CONTRAST)
    assert contrast["seen"] > 100
    assert contrast["poor"] == []
    # the check does see what is faint
    browser.ask(
        "document.querySelector('h2').style.color = getComputedStyle(document.querySelector('.card')).backgroundColor"
    )
    assert len(browser.ask(CONTRAST)["poor"]) == 1


def test_whoever_sees_nothing_hears_what_there_is(tab):
    browser = tab(f"for=seg.mIoU:1&net={NET}")
    tree = browser.send("Accessibility.getFullAXTree")["nodes"]
    parts = [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in tree if not n.get("ignored")]
    controls = [
        (role, name)
        for role, name in parts
        if role
        in ("slider", "button", "checkbox", "combobox", "spinbutton", "textbox", "img", "group", "region", "navigation")
    ]
    assert all(name for role, name in controls if role != "group"), [c for c in controls if not c[1]]
    assert sum(role == "slider" for role, _ in controls) >= 27 + 3
    assert any(name.startswith("c3_2, channels, stage 3, resolution 1/8") for _, name in controls)
    # the drawing by keys: each part is said
    browser.ask("document.querySelector('#drawing svg').focus()")
    for _ in range(3):
        browser.key("ArrowRight")
    said = browser.ask("document.getElementById('said').textContent")
    assert said.startswith("Stage 1, resolution 1/4: 2 blocks of 2 units. map 64 × 32 × 32")
    # a table says the same
    browser.ask("document.querySelector('#layers').open = true")
    browser.wait("document.querySelectorAll('#layers tbody tr').length === 14")
