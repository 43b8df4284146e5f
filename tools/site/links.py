"""Every link of a built site leads to something: to a file that is there, and to a place that the file has.

    python -m tools.site.links build/site

Links to other sites are counted, not followed; ``make links`` asks for them.
"""

from __future__ import annotations

import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class _Page(HTMLParser):
    """The links and the anchors of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in ("href", "src") and value is not None:
                self.links.append(value)
            elif name in ("id", "name") and value:
                self.anchors.add(value)


@cache
def _page(path: Path) -> _Page:
    return _Page(path.read_text(encoding="utf-8"))


def broken(site: Path) -> list[str]:
    """One line for each link that leads to nothing, pages in order."""
    site, wrong = site.resolve(), []
    program = site / "explorer-page.html"  # one file that is a program; its own tests look at it
    for path in sorted(set(site.rglob("*.html")) - {program}):
        for link in _page(path).links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.is_relative_to(site) or not target.is_file():
                wrong.append(f"{path.relative_to(site)}: {link} is not there")
            elif not parts.fragment or target.suffix != ".html" or target == program:
                continue
            elif unquote(parts.fragment) not in _page(target).anchors:
                wrong.append(f"{path.relative_to(site)}: {link} has no such place")
    return wrong


def main() -> int:
    """Print what is broken; 1 if anything is."""
    site = Path(sys.argv[1])
    pages = len(list(site.rglob("*.html")))
    if not pages:
        print(f"no pages in {site}", file=sys.stderr)
        return 1
    wrong = broken(site)
    print("\n".join(wrong) or f"{pages} pages in {site}, every link leads to something")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
