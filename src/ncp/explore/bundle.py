"""The page as one file: its modules joined into one script, with style, description and numbers beside it.

The modules are plain ones that a browser or node could load as they are; joining them is a matter of their first and last
words: ``import {a, b as c} from "./x.js"`` at the top, and ``export`` before functions, classes and constants.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import zlib
from collections.abc import Callable, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "page"
_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([a-z_]+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function\*? |class |const )(\w+))", re.MULTILINE)
_EXPORTED = re.compile(r"^export (?:async )?(?:function\*?|class|const) (\w+)", re.MULTILINE)
# of Python's base 85 those that mean something in HTML, and what stands for them (decode85 in page/predictors.js)
_SAFE = str.maketrans("<>&`", ".:/,")


def joined(entry: str, read: Callable[[str], str] | None = None) -> str:
    """The module ``entry`` (``main`` for ``main.js``) and all that it imports as one script.

    Each module becomes a function that runs once and gives its exports; a module comes after those that it imports.

    Args:
        entry: name of the module that starts.
        read: text of the module with a name; by default from the folder of the page.

    Raises:
        ValueError: where modules import each other in a circle, or something that is not exported.
    """
    read = read or (lambda name: (PAGE / f"{name}.js").read_text(encoding="utf-8"))
    texts: dict[str, str] = {}
    needs: dict[str, set[str]] = {}
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        if name in texts:
            continue
        texts[name] = read(name)
        needs[name] = {found[1] for found in _IMPORT.findall(texts[name])}
        waiting += needs[name]
    exported = {name: _EXPORTED.findall(text) for name, text in texts.items()}
    parts = []
    for name in TopologicalSorter(needs).static_order():
        for wanted, source in _IMPORT.findall(texts[name]):
            missing = {w.split(" as ")[0].strip() for w in wanted.split(",") if w.strip()} - set(exported[source])
            if missing:
                raise ValueError(f"{name}.js imports {', '.join(sorted(missing))}, which {source}.js does not export")
        body = _IMPORT.sub(lambda m: f"const {{{m[1].replace(' as ', ': ')}}} = module_{m[2]};\n", texts[name])
        body = _EXPORT.sub("", body)
        if re.search(r"^(import|export) ", body, re.MULTILINE):
            raise ValueError(f"{name}.js imports or exports in another way than joined() reads")
        given = ", ".join(exported[name])
        parts.append(f"// {name}.js\nconst module_{name} = (() => {{\n{body}\nreturn {{ {given} }};\n}})();\n")
    return '"use strict";\n' + "\n".join(parts)


def packed(data: bytes) -> str:
    """Bytes as text that means nothing in HTML: the length of what zlib makes of them, and that in 85 different characters."""
    small = zlib.compress(data, 9)
    whole = small + bytes(-len(small) % 4)
    return f"{len(small)} {base64.b85encode(whole).decode('ascii').translate(_SAFE)}"


def page(description: Mapping[str, Any], data: bytes) -> str:
    """The whole HTML file.

    The content security policy in it names the hashes of its own scripts and allows no connection: whatever texts the
    description holds, nothing else runs, and no request leaves the page.
    """
    script, worker = joined("main"), joined("worker")
    style = (PAGE / "style.css").read_text(encoding="utf-8")
    known = json.dumps(description, separators=(",", ":"), ensure_ascii=True).replace("<", "\\u003c")
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}' blob:; worker-src blob:; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    parts = {
        "POLICY": html.escape(policy), "STYLE": style, "DESCRIPTION": known, "NUMBERS": packed(data), "WORKER": worker,
        "SCRIPT": script,
    }  # fmt: skip
    template = (PAGE / "index.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda m: parts[m[1]], template)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
