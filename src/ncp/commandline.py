"""Command lines to copy: quoted for Hydra, which reads ``key=value`` by a grammar of its own, and for the shell.

Standard library alone, so that any part may use it.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ncp import runs
from ncp.files import printable

# what Hydra leaves as the text it is, where it has a letter and is no word or number of another kind
_PLAIN = re.compile(r"[A-Za-z0-9/.][A-Za-z0-9_/.+@-]*")
_WORDS = ("null", "true", "false")
_KEY = re.compile(r"[+~]*[\w./@-]+")
CONFIGS = "--config-dir"
_configs: str | None = None


def configured_by(folder: str | None) -> None:
    """Note the folder of configurations that this process' command was given, for the commands that go on from it."""
    global _configs
    _configs = folder


def command_line(name: str, /, *words: str, **overrides: Any) -> str:
    """The line that runs a command with these overrides, to be pasted into a shell; with the same folder of one's own
    configurations as this process' command, where that was given one.

    Args:
        name: of the command, such as ``train``.
        words: further words, such as ``--multirun``.
        overrides: keys (dotted ones as ``**{"arch.path": path}``) and values: texts, paths, numbers, truth values, None,
            lists and dictionaries of these.

    >>> command_line("evaluate", ckpt_path="outputs/a=b/last.ckpt")
    'ncp evaluate \\'ckpt_path="outputs/a=b/last.ckpt"\\''
    """
    if _configs is not None and CONFIGS not in words:
        words = (CONFIGS, _configs, *words)
    quoted = [shell_word(word) for word in (*words, *(override(key, value) for key, value in overrides.items()))]
    return " ".join([runs.invocation(name), *quoted])


def override(key: str, value: Any) -> str:
    """``key=value`` as Hydra must see it (not yet quoted for a shell); it reads the same value back."""
    assert _KEY.fullmatch(key), key
    return f"{key}={hydra_value(value)}"


def hydra_value(value: Any) -> str:
    """A value in Hydra's grammar.

    >>> hydra_value("/data/it's (1)"), hydra_value([1, "1", None]), hydra_value({"seg": "a=b"})
    ('"/data/it\\'s (1)"', '[1,"1",null]', '{seg:"a=b"}')
    """
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_key(key)}:{hydra_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return "[" + ",".join(map(hydra_value, value)) + "]"
    return _text(str(value))


def shell_word(word: str) -> str:
    """A word for POSIX shells; what the terminal cannot show is written as bytes (``$'...'``, as bash and zsh read it)."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        shown = printable(word) == word and "\n" not in word and "\t" not in word and bool(word.encode(encoding))
    except (UnicodeEncodeError, LookupError):
        shown = False
    if shown or not word:
        return shlex.quote(word)
    out = "".join(
        chr(byte) if 32 <= byte < 127 and chr(byte) not in "\\'" else f"\\x{byte:02x}" for byte in os.fsencode(word)
    )
    return f"$'{out}'"


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and re.search("[A-Za-z]", text) and text.lower() not in _WORDS and not _is_number(text):
        return text
    # OmegaConf reads ${...} even within quotes; backslashes in front of it have to be doubled
    text = re.sub(r"(\\*)\$\{", lambda found: found[1] * 2 + r"\${", text)
    quote = "'" if '"' in text and "'" not in text else '"'
    # Hydra: a quote within is escaped, and so are backslashes in front of a quote, which the closing one is too
    inner = re.sub(rf"(\\*){quote}", lambda found: found[1] * 2 + "\\" + quote, text)
    inner = re.sub(r"(\\+)\Z", lambda found: found[1] * 2, inner)
    return f"{quote}{inner}{quote}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _key(key: Any) -> str:
    text = str(key)
    return text if re.fullmatch(r"[A-Za-z0-9_][\w.-]*", text) else _text(text)
