"""How the site is built (``make docs``): Sphinx with furo and MyST over the pages of this folder.

The pages stay readable where the sources are shown. What only the site has is made here: the reference from the docstrings
(``docs/api``) and the commands' help (``docs/commands.md``), neither of which is kept; where links out of this folder lead; and
the link to the explorer's own page.
"""

import re
import sys
from pathlib import Path
from typing import Any

from pygments.lexers.special import TextLexer

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from tools.site import commands  # noqa: E402
from tools.site.api import Reference  # noqa: E402

import ncp  # noqa: E402

project = "ncp"
release = ncp.__version__
html_title = f"ncp {release}"
extensions = ["myst_nb"]
exclude_patterns = ["**/.ipynb_checkpoints"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
myst_heading_anchors = 4
nb_execution_mode = "off"  # notebooks are kept with their small outputs; a test runs them and compares
nitpicky = True
nb_mime_priority_overrides = [("linkcheck", "image/png", 10)]  # else it wonders what to do with pictures
linkcheck_timeout = 20
linkcheck_retries = 2

# files of the top that are pages of the site
PAGES = {f"{name.upper()}.md": name for name in ("readme", "changelog", "contributing", "security")}
OUT_OF_HERE = re.compile(r"\[([^\]]*)\]\(\.\./([^)#]+)(?:#[^)]*)?\)")
EXPLORER = (
    '<p><a class="reference external" href="explorer-page.html"><strong>Open the explorer</strong></a>, '
    "as it was built with this site.</p>"
)


def _outside(found: re.Match[str]) -> str:
    """A link out of this folder: to a page of the same text, or to a file, which Sphinx hands out; a folder has none."""
    words, path = found[1], found[2]
    if path in PAGES:
        return f"[{words}]({PAGES[path]}.md)"
    return words if (ROOT / path).is_dir() else found[0]


def _as_page(app: Any, name: str, source: list[str]) -> None:
    for file, page in PAGES.items():
        if name == page:  # its text lies at the top, from where it links into this folder
            app.env.note_dependency(str(ROOT / file))
            text = re.sub(r"\]\((?!https?:|#)([^)]+)\)", r"](../\1)", (ROOT / file).read_text())
            source[0] = text.replace("](../docs/", "](")
    source[0] = OUT_OF_HERE.sub(_outside, source[0])
    if name == "index":  # a page that no table of contents names is not lost: it ends the tutorials
        others = sorted({page.stem for page in HERE.glob("*.md")} - {"index", *source[0].split()})
        source[0] = source[0].replace("\nexplorer\n", "\n".join(["", "explorer", *others, ""]), 1)
    if name in ("explorer", "index"):  # the link is the site's: elsewhere there is nothing that it could open
        source[0] = source[0].replace("\n![", f"\n{EXPLORER}\n\n![", 1)


def setup(app: Any) -> None:
    """What Sphinx calls first."""
    Reference(ROOT / "src").write(HERE / "api")
    commands.write(HERE)
    app.add_lexer("csv", TextLexer)
    app.connect("source-read", _as_page)
    app.connect("env-get-outdated", lambda *_: ["index"])  # which pages there are may have changed
