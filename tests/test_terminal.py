"""What reaches a terminal, whatever names hold: no markup, no escapes, nothing that its encoding lacks; from one place only."""

import ast
import csv
import io
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

import ncp
from ncp import terminal

NASTY = ["[a]", "[/x]", "[bold]b[/bold]", "[link=file:///x]y[/link]", "a\x1b[31mred", "\x1b]0;title\x07", "caf\udce9",
         "b\rover", "\x9b2J", ":smile:", "数据", "± λ", "‮abc", "[", "\\[a]"]  # fmt: skip
ALLOWED = re.compile(r"\x1b\[[0-9;]*m")  # colours of our own


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self):
        return True


def ascii_stream():
    return io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")


def written(stream):
    stream.flush()
    return stream.buffer.getvalue().decode("ascii")


def is_harmless(text):
    return not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f‮]", ALLOWED.sub("", text))


@pytest.mark.parametrize("tty", [False, True])
@pytest.mark.parametrize("name", NASTY)
def test_names_are_printed_as_they_are(name, tty, monkeypatch):
    stream = Screen() if tty else io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    table = terminal.table(f"title {name}", f"caption {name}", boxed=True)
    table.add_column(f"head {name}")
    table.add_row(name, style="bold")
    terminal.console().print(table)
    terminal.say("said", name, style="dim")
    terminal.say("said", name)
    terminal.say(f"failed {name}", stderr=True)
    terminal.fields({"file": name, name: "x"})
    text = stream.getvalue()
    shown = terminal.literal(name)
    assert is_harmless(text)
    assert ALLOWED.sub("", text).count(shown) >= 9
    assert ("\x1b" in text) == tty


@pytest.mark.parametrize("name", NASTY)
def test_a_table_is_literal_on_any_console(name):
    table = terminal.table(name, name)
    table.add_column(name)
    table.add_row(name)
    console = Console(file=io.StringIO(), width=200)
    console.print(table)
    assert console.file.getvalue().count(terminal.literal(name)) == 4


@pytest.mark.parametrize("name", NASTY)
def test_ascii_terminals_get_what_they_can_show(name, monkeypatch):
    stream = ascii_stream()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    table = terminal.table("±", boxed=True)
    table.add_column(name)
    table.add_row(f"{name} ± 1")
    terminal.console().print(table)
    terminal.say(name, "● ██▋")
    terminal.say(name, stderr=True)
    text = written(stream)
    assert "+- 1" in text
    assert "o ##" in text


def test_columns_stay_aligned_where_signs_are_replaced(monkeypatch):
    stream = ascii_stream()
    monkeypatch.setattr(sys, "stdout", stream)
    table = terminal.table(boxed=True)
    table.add_column("value")
    for value in ("1 ± 2", "数据", "plain"):
        table.add_row(value)
    terminal.console().print(table)
    assert len({len(line) for line in written(stream).splitlines()}) == 1


def test_a_process_without_standard_streams_says_nothing(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    terminal.say("lost", stderr=True)
    assert not terminal.Progress("x", 1).shown


def test_log_lines_are_literal_too(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    handler = terminal.Lines(stream=sys.stdout)  # as Hydra's own configuration names one
    handler.emit(logging.LogRecord("ncp", logging.INFO, "", 0, "reading %s", ("a\x1b[2Jb [x]",), None))
    assert stream.getvalue() == "reading a\\x1b[2Jb [x]\n"


def test_a_bar_is_drawn_on_terminals_alone_and_is_literal(monkeypatch):
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    with terminal.Progress("[/x] work", 3) as bar:
        assert bar.shown
        bar.tell(2, "note [a]\x1b[2J")
    assert "[/x] work" in screen.getvalue()
    assert "note [a]\\x1b[2J" in ALLOWED.sub("", screen.getvalue())
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with terminal.Progress("work", 3) as bar:
        bar.tell(1)
    assert not bar.shown
    assert sys.stderr.getvalue() == ""


@pytest.mark.parametrize(
    "name", [*NASTY, "<script>", "a|b", "*x*", "`code`", "![p](u)", "a\nb", "~~x~~", "_x_", "&amp;"]
)
def test_names_are_plain_text_in_markdown(name):
    from markdown_it import MarkdownIt

    html = (
        MarkdownIt("commonmark")
        .enable(["table", "strikethrough"])
        .render(f"| a |\n| --- |\n| {terminal.markdown(name)} |")
    )
    assert set(re.findall(r"<(\w+)", html)) == {"table", "thead", "tbody", "tr", "th", "td"}
    assert html.count("<td") == 1
    assert is_harmless(html)


def test_formulas_in_csv_are_texts_and_numbers_stay():
    cells = ["=1+1", "+cmd", "@x", "-2+3", "\t=1", " =1", "-1.5", "1e-3", "plain", "caf\udce9", -3]
    out = [terminal.csv_cell(cell) for cell in cells]
    assert [isinstance(cell, str) and cell.startswith("'") for cell in out] == [True] * 6 + [False] * 5
    buffer = io.StringIO()
    csv.writer(buffer).writerow(out)
    buffer.getvalue().encode("utf-8")


def test_a_time_of_day_has_a_date_where_it_is_another_day():
    assert re.fullmatch(r"\d\d:\d\d|\d{4}-\d\d-\d\d \d\d:\d\d", terminal.clock(1))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", terminal.clock(3 * 86400))


@pytest.mark.parametrize(
    ("name", "most", "short"),
    [
        ("a\nb\tc", 30, r"a\nb\tc"),  # one line, whatever a file is called
        ("\x1b[2J", 30, r"\x1b[2J"),
        ("abcdefghij", 10, "abcdefghij"),
        ("abcdefghijk", 10, "abcd…hijk"),
    ],
)
def test_a_name_is_one_short_line(name, most, short):
    assert terminal.shorten(name, most) == short


def prints(path):
    """Lines of a module that print by themselves: ``print``, ``rich``, or a write to a standard stream."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        # a rich.progress_bar is a shape without text
        if any(name.split(".")[0] == "rich" and name != "rich.progress_bar" for name in names):
            found.append(f"{path.name}:{node.lineno} imports rich")
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in ("print", "pprint", "sys.stdout.write", "sys.stderr.write", "traceback.print_exception",
                          "traceback.print_exc", "logging.StreamHandler"):  # fmt: skip
                found.append(f"{path.name}:{node.lineno} calls {called}")
    return found


def test_nothing_else_prints(tmp_path):
    root = Path(ncp.__file__).parent
    modules = [*root.rglob("*.py"), *(root.parent).glob("*.py")]
    wrong = [line for path in modules if path.name != "terminal.py" for line in prints(path)]
    assert wrong == []
    bad = tmp_path / "bad.py"
    bad.write_text("from rich.table import Table\nprint('x')\n")
    assert len(prints(bad)) == 2  # the search does see them


def test_warnings_and_uncaught_exceptions_are_literal_too(tmp_path):
    code = "import warnings\nfrom ncp import terminal\nterminal.take_over()\n"
    code += "warnings.warn('of a\\x1b[2Jb')\nraise OSError('c\\x1b[2Jd')\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "of a\\x1b[2Jb" in done.stderr
    assert "OSError: c\\x1b[2Jd" in done.stderr
    assert "\x1b" not in done.stderr
