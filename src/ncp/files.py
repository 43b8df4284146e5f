"""The one door for files: everything that is read is checked first, everything that is written is whole or not there.

Reading: regular files only (a pipe would wait for ever), no larger than a stated limit, no deeper than a stated limit, no
YAML aliases (a few of them unfold without end), and, where a type is given, of that shape. What is wrong is one
:class:`~ncp.errors.UserError` that names the file.

Writing: beside the place, flushed to the disk, then renamed; readers see the old file or the new one, with the permissions
that the user's umask gives. A full disk or a kill leaves the old file, and what it had begun is removed (:mod:`ncp.scratch`).

Needs the standard library, PyYAML and msgspec.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import re
import stat
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from ncp import scratch
from ncp.errors import UserError

T = TypeVar("T")

LIMIT = 64 * 2**20
"""Bytes that a text file (JSON, YAML, CSV) may have unless its reader says otherwise."""
DEPTH = 64
"""Containers within containers that JSON and YAML may have."""
DIGITS = 250
"""Characters of a number in YAML: it may be written to any base, and none of that length is beyond a float's range."""
_NUMBER = re.compile(r"[-+]?(0[xX][0-9a-fA-F_]+|[0-9_:.]+)([eE][-+]?[0-9]+)?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+@-]{0,199}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

_KINDS = {
    "NoneType": "nothing", "bool": "true or false", "int": "a whole number", "float": "a number", "str": "a text",
    "list": "a list", "tuple": "a tuple", "dict": "a mapping", "bytes": "raw bytes",
}  # fmt: skip


# ---- reading


def open_regular(path: str | os.PathLike[str], limit: int | None = None) -> io.BufferedReader:
    """Open a regular file for reading bytes; the caller closes it.

    Args:
        path: of the file.
        limit: the most bytes that it may have; None for any number.

    Raises:
        UserError: where there is none, it may not be read, it is a folder, pipe, device or socket, or it is larger.
    """
    shown = printable(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        raise UserError(f"there is no file '{shown}'") from None
    except (OSError, ValueError) as error:
        raise UserError(f"'{shown}' cannot be opened ({getattr(error, 'strerror', None) or error})") from None
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            kind = "a folder" if stat.S_ISDIR(about.st_mode) else "no regular file (a pipe, a device or a socket)"
            raise UserError(f"'{shown}' is {kind}; give a file")
        if limit is not None and about.st_size > limit:
            raise UserError(f"'{shown}' has {about.st_size:,} bytes; at most {limit:,} are read")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        with contextlib.suppress(OSError):
            os.close(descriptor)
        raise


def regular(path: str | os.PathLike[str], limit: int | None = None) -> Path:
    """``path``, once :func:`open_regular` could open it: for readers of other libraries, which open it themselves."""
    open_regular(path, limit).close()
    return Path(path)


def read_bytes(path: str | Path, limit: int = LIMIT) -> bytes:
    """The bytes of a regular file of at most ``limit`` bytes. Raises as :func:`open_regular` does."""
    with open_regular(path, limit) as file:
        try:
            content = file.read(limit + 1)
        except OSError as error:
            raise UserError(f"'{printable(path)}' cannot be read ({error.strerror})") from None
    if len(content) > limit:  # it grew, or its size is not told (as in /proc)
        raise UserError(f"'{printable(path)}' has more than {limit:,} bytes; at most these are read")
    return content


def read_text(path: str | Path, limit: int = LIMIT) -> str:
    """The text of a UTF-8 file (a byte-order mark is dropped). Raises as :func:`open_regular` does, and for other bytes."""
    try:
        return read_bytes(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"'{printable(path)}' is no UTF-8 text (byte {error.start})") from None


def read_json(path: str | Path, kind: type[T] | Any = None, limit: int = LIMIT) -> Any:
    """The content of a JSON file, of the type ``kind`` where one is given (see :func:`checked`).

    Raises:
        UserError: where it cannot be read, is no JSON, is too deep, or is of another shape.
    """
    return checked(parse_json(read_bytes(path, limit), f"'{printable(path)}'"), kind, f"'{printable(path)}'")


def parse_json(text: str | bytes, where: str) -> Any:
    """JSON text as plain values.

    Raises:
        UserError: naming ``where``, if it is none, is deeper than :data:`DEPTH`, gives a key twice in one object (of which
            readers keep the one or the other), or holds a number that is not finite (JSON has no NaN, and 1e999 would become
            infinity).
    """
    try:
        content = json.loads(text, parse_constant=_finite, parse_float=_finite, object_pairs_hook=_object)
    except RecursionError:
        raise UserError(f"{where} holds more than {DEPTH} levels of lists within lists") from None
    except ValueError as error:
        raise UserError(f"{where} is no JSON ({str(error)[:120]})") from None
    _check_depth(content, where)
    return content


def read_yaml(path: str | Path, kind: type[T] | Any = None, limit: int = 2**20) -> Any:
    """The content of a YAML file, of the type ``kind`` where one is given. Raises as :func:`read_json` does."""
    return checked(parse_yaml(read_bytes(path, limit), f"'{printable(path)}'"), kind, f"'{printable(path)}'")


def parse_yaml(text: str | bytes, where: str) -> Any:
    """YAML text as plain values: no tags, no aliases, no key twice in one mapping, at most :data:`DEPTH` levels, and numbers
    of at most :data:`DIGITS` characters.

    Raises:
        UserError: naming ``where``, for all else.
    """
    import yaml

    try:
        _check_events(text, where)
        return yaml.load(text, Loader=_yaml_loader())
    except UserError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        raise UserError(f"{where} is no YAML ({' '.join(str(error).split())[:160]})") from None


def _check_events(text: str | bytes, where: str) -> None:
    """Before any value is made: nothing that unfolds, that asks for a type by name, or that takes long to work out."""
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=_yaml_loader()):
        if isinstance(event, yaml.AliasEvent):
            raise UserError(f"{where} uses YAML aliases (*{event.anchor}); write the value out")
        if getattr(event, "tag", None) is not None:
            raise UserError(f"{where} uses YAML tags ({shown(event.tag, 40)}); write the plain value")
        long = isinstance(event, yaml.ScalarEvent) and event.implicit[0] and len(event.value) > DIGITS
        if long and _NUMBER.fullmatch(event.value):
            raise UserError(f"{where} holds a number of {len(event.value):,} characters; at most {DIGITS} are read")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH:
            raise UserError(f"{where} holds more than {DEPTH} levels of lists within lists")


@cache
def _yaml_loader() -> Any:
    """The safe loader, which keeps the last of several equal keys in silence: here they are a mistake."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            out = super().construct_mapping(node, deep)
            if len(out) < len(node.value):
                twice = _twice([self.construct_object(key, deep) for key, _ in node.value], "<<")
                raise yaml.constructor.ConstructorError(None, None, f"it gives the key '{shown(twice, 40)}' twice")
            return out

    return Loader


def checked(content: Any, kind: type[T] | Any, where: str, strict: bool = True) -> Any:
    """``content`` as the type ``kind``: a dataclass, a ``msgspec.Struct`` or any annotation that msgspec knows.

    Args:
        content: plain values, as JSON and YAML give them.
        kind: what they must be; None for anything.
        where: what the message names, such as ``'FILE'``.
        strict: False to take numbers that are written as text.

    Raises:
        UserError: naming ``where`` and the place inside it, for a missing key, another type, or a value out of range.
    """
    if kind is None:
        return content
    import msgspec

    try:
        return msgspec.convert(content, kind, strict=strict)
    except (msgspec.ValidationError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise UserError(f"{where} cannot be used: {printable(error)[:300]}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) < len(pairs):
        raise ValueError(f"it gives the key '{shown(_twice([name for name, _ in pairs]), 40)}' twice")
    return out


def _twice(keys: Sequence[Any], otherwise: Any = None) -> Any:
    """The first key that was there before."""
    seen: set[Any] = set()
    for key in keys:
        if key in seen:
            return key
        seen.add(key)
    return otherwise


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:40]} is not finite")
    return number


def _check_depth(content: Any, where: str) -> None:
    level, depth = [content], 0
    while level:
        depth += 1
        if depth > DEPTH:
            raise UserError(f"{where} holds more than {DEPTH} levels of lists within lists")
        level = [
            item
            for node in level
            if isinstance(node, (dict, list))
            for item in (node.values() if isinstance(node, dict) else node)
            if isinstance(item, (dict, list))
        ]


# ---- names


def safe_name(name: Any, what: str = "name") -> str:
    """``name`` if it can be one part of a path and nothing else: letters, digits and ``. _ + @ -``, at most 200.

    Raises:
        UserError: for all else (separators, ``..``, control characters, other types), naming ``what``.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UserError(
            f"the {what} '{printable(name)[:80]}' cannot be part of a path; allowed are letters, digits and . _ + @ -"
        )
    return name


def safe_file(name: Any, what: str = "name") -> str:
    """A name such as ``seg`` or ``group/part`` as the stem of one file: ``group-part``. Raises as :func:`safe_name` does."""
    return safe_name(name.replace("/", "-") if isinstance(name, str) else name, what)


def shown(value: Any, length: int = 80) -> str:
    """A value out of a file for a message: numbers and text, on one line and cut to ``length``; of anything else its kind.

    The text of a container is never made: a few bytes of a file can describe one whose text has no end.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 256:
        return "a huge number"
    if value is None or isinstance(value, (str, bool, int, float)):
        text = (
            printable(value[: length + 1] if isinstance(value, str) else value)
            .replace("\n", "\\n")
            .replace("\t", "\\t")
        )
        return text if len(text) <= length else text[: length - 3] + "..."
    return kind_of(value)


def kind_of(value: Any) -> str:
    """What kind of value it is, in words.

    >>> kind_of(3), kind_of([]), kind_of(Exception())
    ('a whole number', 'a list', 'an Exception')
    """
    name = type(value).__name__
    return _KINDS.get(name) or f"{'an' if name[:1].lower() in 'aeio' else 'a'} {name}"


def printable(value: Any) -> str:
    """A text for terminals and reports: control characters, escapes and undecodable bytes are shown, not sent.

    The name of a file (bytes or a path) is one line whatever it holds; other texts keep their lines.
    """
    named = isinstance(value, (bytes, os.PathLike))
    text = os.fsdecode(value).replace("\n", "\\n").replace("\t", "\\t") if named else str(value)
    text = text.encode("utf-8", "backslashreplace").decode()
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def first_line(error: BaseException, length: int = 120) -> str:
    """The beginning of an error's text, for a message of one line; the name of its kind where it has none."""
    return printable((str(error).strip().splitlines() or [type(error).__name__])[0])[:length]


# ---- writing


def made_folder(path: str | Path, name: str) -> Path:
    """The folder that the option ``name`` gives, made where it is not there yet. Raises ``UserError`` where it cannot be."""
    folder = Path(path).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{name}='{printable(folder)}' cannot be made a folder ({error.strerror})") from None
    return folder


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A scratch path beside ``path`` to write to; when the block ends well it is flushed to the disk and takes its place.

    After an error the scratch file is removed and whatever was at ``path`` stays. The ending of the name is kept.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with scratch.file_beside(path) as made:
        yield made
        with open(made, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(made, 0o666 & ~umask())
        os.replace(made, path)


@contextlib.contextmanager
def writing(path: str | Path, advice: str = "give another folder") -> Iterator[Path]:
    """:func:`replacing` for a place that the user chose: where it cannot be written, a ``UserError`` with ``advice``."""
    try:
        with replacing(path) as made:
            yield made
    except OSError as error:
        raise UserError(f"cannot write '{printable(path)}' ({error.strerror or error}); {advice}") from None


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Write a file whole or not at all (:func:`replacing`); its path."""
    with replacing(path) as made:
        made.write_bytes(content)
    return Path(path)


def write_text(path: str | Path, text: str) -> Path:
    """Write a UTF-8 text file whole or not at all (:func:`replacing`); its path."""
    return write_bytes(path, text.encode("utf-8", "backslashreplace"))


def umask() -> int:
    """The permissions that this process' files lack."""
    try:  # without changing it, which other threads would notice
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    except OSError:
        pass
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def cache_folder(*parts: str) -> Path:
    """A folder below the user's cache: ``$NCP_CACHE``, else ``$XDG_CACHE_HOME/ncp``, else ``~/.cache/ncp``. Not made here."""
    own, xdg = os.environ.get("NCP_CACHE"), os.environ.get("XDG_CACHE_HOME")
    if own:
        root = Path(own).expanduser()
    elif xdg and Path(xdg).is_absolute():
        root = Path(xdg) / "ncp"
    else:
        try:
            root = Path.home() / ".cache" / "ncp"
        except RuntimeError:  # no home folder
            root = Path(tempfile.gettempdir()) / "ncp"
    return root.joinpath(*parts)
