"""The one place that prints: texts, tables and progress bars for people.

Names of files and classes come from elsewhere. So nothing that is handed over is read as markup (``[a]`` stays ``[a]``),
control characters and terminal escapes are shown instead of sent, and letters that the terminal's encoding lacks are
replaced by what it has. A style is given beside a text, never inside it. The module may be used on every floor; ``rich``
is imported when something is printed.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import functools
import io
import logging
import os
import re
import sys
import time
import traceback
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ncp.errors import UserError
from ncp.files import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDTH = 160  # of lines that go to a file or a pipe: wide enough for every table
# what stands for our own signs where a terminal knows ASCII alone; all other letters become escapes
_SIGNS = {
    "±": "+-", "×": "x", "λ": "lambda", "τ": "tau", "–": "-", "—": "-", "…": "...", "·": ".", "≤": "<=", "≥": ">=",
    "→": "->", "’": "'", "●": "o", "■": "#", "█": "#", "▉": "#", "▊": "#", "▋": "#", "▌": "#", "▍": "-", "▎": "-", "▏": "-",
    "─": "-", "━": "-", "╸": "-", "╺": "-", "│": "|", "┃": "|",
}  # fmt: skip


def literal(value: Any, encoding: str | None = None) -> str:
    """``value`` as a text that a terminal shows as it is.

    Args:
        value: anything; paths may hold bytes that are no text.
        encoding: of the terminal; None for that of standard output.

    >>> literal("[a]\\x1b[31m ± é", "ascii")
    '[a]\\\\x1b[31m +- \\\\xe9'
    """
    return encodable(printable(value), encoding or getattr(sys.stdout, "encoding", None) or "utf-8")


def encodable(text: str, encoding: str) -> str:
    """``text`` with other signs in the place of those that ``encoding`` lacks."""
    try:
        text.encode(encoding)
        return text
    except LookupError:
        encoding = "ascii"
    except UnicodeEncodeError:
        pass
    out = "".join(sign if _fits(sign, encoding) else _SIGNS.get(sign, sign) for sign in text)
    return out.encode(encoding, "backslashreplace").decode(encoding)


def say(*values: Any, style: str | None = None, stderr: bool = False) -> None:
    """Print values, separated by spaces, as one line."""
    text = " ".join(map(str, values))
    if stderr and style is None:  # no need of rich for a line of an error
        with contextlib.suppress(OSError, ValueError):  # nobody can be told, and what follows must be done all the same
            _Stream(sys.stderr).write(printable(text) + "\n")
        return
    console(stderr).print(text, style=style)


def fields(names: Mapping[str, Any], width: int = 15) -> None:
    """Print one line for each name and value, the names dim and equally wide."""
    from rich.text import Text

    out, width = console(), max([width, *(len(name) + 1 for name in names)])
    for name, value in names.items():
        out.print(Text.assemble((literal(f"{name:<{width}}"), "dim"), literal(value)))


class ReaderGone(BrokenPipeError):
    """Whoever read what is printed has gone, as ``head`` does after its lines."""


def hush() -> None:
    """From now on what is printed goes nowhere: nobody reads it."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def take_over() -> None:
    """From now on warnings, and exceptions that nobody catches, are printed here too. For the command line, not for notebooks."""

    def warn(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: Any = None,
        line: str | None = None,
    ) -> None:
        say(warnings.formatwarning(message, category, filename, lineno, line).rstrip(), stderr=True)

    def fail(kind: Any, error: Any, trace: Any) -> None:
        say("".join(traceback.format_exception(kind, error, trace)).rstrip(), stderr=True)

    warnings.showwarning, sys.excepthook = warn, fail


def console(stderr: bool = False) -> Console:
    """A console on which no text is markup; where that is a file or a pipe, lines are wide enough for every table.

    It prints tables of :func:`table`; for texts there is :func:`say`.
    """
    stream: Any = _Stream(sys.stderr if stderr else sys.stdout)
    made: Console = _console_class()(file=stream, highlight=False, soft_wrap=True)
    return made if made.is_terminal else _console_class()(file=stream, highlight=False, soft_wrap=True, width=WIDTH)


def table(title: str = "", caption: str = "", boxed: bool = False, ruled: bool = False, header: bool = True) -> Table:
    """A table whose title, heads and cells are literal, on whichever console it is printed.

    Args:
        title, caption: above and below it.
        boxed: with lines around it.
        ruled: with a line below its head alone.
        header: with the columns' names.
    """
    from rich import box
    from rich.text import Text

    made: Table = _table_class()(
        title=Text(literal(title), "bold") if title else None, title_justify="left", show_header=header,
        caption=Text(literal(caption), "dim italic") if caption else None, caption_justify="left",
        box=box.HEAVY_HEAD if boxed else box.SIMPLE_HEAD if ruled else None, pad_edge=boxed, show_edge=boxed,
        padding=(0, 1) if boxed or not ruled else (0, 1, 0, 0),
    )  # fmt: skip
    return made


class Lines(logging.StreamHandler[Any]):
    """Log records as lines on stderr, literal like everything here (``conf/run.yaml`` names it)."""

    def __init__(self, stream: Any = None) -> None:  # Hydra's own configuration names a stream; it is not used
        super().__init__(_Stream(sys.stderr))

    def emit(self, record: logging.LogRecord) -> None:
        """To what is standard error now: a progress bar lets lines pass above it."""
        self.stream = _Stream(sys.stderr)
        super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        """The record as its formatter writes it, with control characters shown."""
        return printable(super().format(record))


class Progress:
    """A bar on stderr where that is a terminal; elsewhere nothing.

    Args:
        title: what is being done.
        total: how much there is to do.
        done: how much of it is done already.
        counted: show ``done/total``, for things that are counted.
        transient: the bar goes away at the end.
    """

    def __init__(self, title: str, total: float, done: float = 0, counted: bool = True, transient: bool = True) -> None:
        self._bar: Any = None
        if not _is_terminal(sys.stderr):
            return
        from rich import progress

        columns = [progress.TextColumn("{task.description}", markup=False), progress.BarColumn()]
        columns += [progress.MofNCompleteColumn()] if counted else []
        columns += [progress.TimeElapsedColumn(), progress.TimeRemainingColumn()]
        columns += [progress.TextColumn("{task.fields[note]}", markup=False)]
        self._bar = progress.Progress(*columns, console=console(stderr=True), transient=transient)
        self._bar.start()
        self._task = self._bar.add_task(literal(title), total=total, completed=done, note="")

    @property
    def shown(self) -> bool:
        """Whether somebody sees a bar."""
        return self._bar is not None

    def tell(self, done: float, note: str = "", title: str | None = None) -> None:
        """``done`` of the total is done; ``note`` stands at the end of the line, ``title`` takes the place of the old one."""
        if self._bar is not None:
            named = {} if title is None else {"description": literal(title)}
            self._bar.update(self._task, completed=done, note=literal(note), **named)

    def stop(self) -> None:
        """Close the bar; more than once does no harm."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def duration(seconds: float) -> str:
    """How long something takes, in words.

    >>> duration(40), duration(700), duration(12_600)
    ('40 s', '12 min', '3.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def clock(seconds: float) -> str:
    """The time of day in so many seconds, with the date where that is another day."""
    now = time.time()
    today, end = time.localtime(now), time.localtime(now + seconds)
    return time.strftime("%H:%M" if end[:3] == today[:3] else "%Y-%m-%d %H:%M", end)


def relative(path: str | Path) -> str:
    """The path as one would type it here (to print; :mod:`ncp.commandline` quotes it for a command)."""
    path = Path(path)
    try:
        return str(path.resolve().relative_to(Path.cwd().resolve()))
    except (ValueError, OSError, RuntimeError):
        return str(path)


def shorten(name: str, most: int = 30) -> str:
    """A name for a table or a picture: one line, its middle left out where it is too long.

    >>> shorten("64_64-2_1_2_64", 9)
    '64_6…2_64'
    """
    half, name = (most - 1) // 2, printable(name).replace("\n", "\\n").replace("\t", "\\t")
    return name if len(name) <= most else f"{name[:half]}…{name[-half:]}"


def markdown(value: Any) -> str:
    """``value`` as plain text within Markdown (or HTML): no markup, no tags, one line.

    >>> markdown("<b>|*x*")
    '&lt;b&gt;\\\\|\\\\*x\\\\*'
    """
    text = re.sub(r"([\\`*\[\]|$]|~~|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", printable(value).replace("\t", " "))
    text = text.replace("\n", r"\\n")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def csv_cell(value: Any) -> Any:
    """``value`` for a CSV file: a text that a spreadsheet would take for a formula gets a ``'`` in front.

    >>> csv_cell("=1+1"), csv_cell("-1.5"), csv_cell(-1.5)
    ("'=1+1", '-1.5', -1.5)
    """
    if not isinstance(value, str):
        return value
    text = value.encode("utf-8", "backslashreplace").decode()
    if not text.lstrip().startswith(("=", "+", "-", "@")) and not text.startswith(("\t", "\r")):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Rows as the text of a CSV file, each cell as :func:`csv_cell` writes it.

    >>> csv_text([["name", "value"], ["=a", 1.5], ["b", None]])
    "name,value\\n'=a,1.5\\nb,\\n"
    """
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(map(csv_cell, row) for row in rows)
    return buffer.getvalue()


def _fits(sign: str, encoding: str) -> bool:
    try:
        sign.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # no stream, or a closed one
        return False


class _Stream:
    """A text stream that writes what its encoding lacks in another way instead of failing."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        if self._stream is None:  # a process without standard streams
            return 0
        with _full_told():
            return int(self._stream.write(encodable(text, getattr(self._stream, "encoding", None) or "utf-8")) or 0)

    def flush(self) -> None:
        if self._stream is not None:
            with _full_told():
                self._stream.flush()


@contextlib.contextmanager
def _full_told() -> Iterator[None]:
    """Within, a full disk below what is printed (``> log``) is a ``UserError``: no file of ours is meant."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise UserError(
            f"what is printed cannot be written ({error.strerror}); make room where it goes, or send it elsewhere"
        ) from None


@functools.cache
def _console_class() -> Any:
    from rich.console import Console
    from rich.text import Text

    class Literal(Console):
        def render_str(
            self, text: str, *, style: Any = "", justify: Any = None, overflow: Any = None, **_: Any
        ) -> Text:
            return Text(literal(text, self.encoding), style=style, justify=justify, overflow=overflow)

        def on_broken_pipe(self) -> None:
            """The command decides what becomes of it (rich would exit)."""
            raise ReaderGone

    return Literal


@functools.cache
def _table_class() -> Any:
    from rich.table import Table
    from rich.text import Text

    def shown(value: Any) -> Any:
        return Text(literal(value)) if isinstance(value, str) else value

    class Literal(Table):
        def add_column(self, header: Any = "", footer: Any = "", **options: Any) -> None:
            super().add_column(shown(header), shown(footer), **options)

        def add_row(self, *cells: Any, **options: Any) -> None:
            super().add_row(*map(shown, cells), **options)

    return Literal
