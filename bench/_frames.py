"""What the explorer's page costs its main thread while somebody drags a slider, told by the browser's own trace."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from explorer_browser import CHROMIUM, Browser

__all__ = ["CHROMIUM", "FRAME", "Frames", "dragged"]
FRAME = 1000 / 60
"""Milliseconds."""
CATEGORIES = "toplevel,devtools.timeline,disabled-by-default-devtools.timeline"
TASKS = ("RunTask", "ThreadControllerImpl::RunTask")


class Frames(NamedTuple):
    """Of a slider that was dragged.

    Attributes:
        shown: frames that the page drew, as a share of those that a screen of 60 a second could have shown.
        longest: processor time of the longest task of the main thread, in ms.
        busy: processor time of the main thread a frame that was drawn, in ms.
        late: share of tasks that took longer than a frame.
    """

    shown: float
    longest: float
    busy: float
    late: float


def dragged(page: Path, state: str, slider: str, seconds: float = 4.0) -> Frames:
    """Drag a slider to and fro with the mouse, at 60 moves a second.

    Args:
        page: file of the page.
        state: what stands in the address after #.
        slider: beginning of its label.
        seconds: how long.
    """
    browser = Browser()
    try:
        browser.open(f"{page.resolve().as_uri()}#{state}")
        browser.wait("document.getElementById('status').textContent.startsWith('found in')")
        browser.wait("explorer.front?.points && !explorer.front.busy")
        browser.ask(
            "window.times = []; (function frame(now) { times.push(now); requestAnimationFrame(frame); })(performance.now())"
        )
        x, y, width, _ = browser.box(f'input[aria-label^="{slider}"]')
        browser.mouse("mouseMoved", x, y)
        browser.mouse("mousePressed", x, y)
        browser.trace(CATEGORIES)
        browser.ask("times.length = 0")
        began = now = time.monotonic()
        while now - began < seconds:
            browser.mouse("mouseMoved", x + 0.3 * width * np.sin(2 * (now - began)), y)
            time.sleep(max(0.0, 1 / 60 - (time.monotonic() - now)))
            now = time.monotonic()
        count, lasted = browser.ask("[times.length, times.at(-1) - times[0]]")
        events = browser.traced()
        browser.mouse("mouseReleased", x, y)
        return _frames(events, count, lasted)
    finally:
        browser.close()


def _frames(events: list[dict[str, Any]], count: int, lasted: float) -> Frames:
    threads = {
        (e["pid"], e["tid"]) for e in events if e["name"] == "thread_name" and e["args"]["name"] == "CrRendererMain"
    }
    by_thread: dict[tuple[int, int], list[float]] = {thread: [] for thread in threads}
    for event in events:
        thread = (event["pid"], event["tid"])
        if event["name"] in TASKS and thread in by_thread and "tdur" in event:
            by_thread[thread].append(event["tdur"] / 1000)
    tasks = np.array(max(by_thread.values(), key=sum))  # the page's renderer is the busiest
    return Frames(
        (count - 1) / (lasted / FRAME), float(tasks.max()), float(tasks.sum() / count), float((tasks > FRAME).mean())
    )
