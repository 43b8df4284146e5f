"""Texts in pictures are drawn as they are, whatever a class or a file is called."""

import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter

from ncp.files import printable
from ncp.report import letters, style
from ncp.report.labels import label_points

NASTY = ["$x^{$", "$\\frac{", "$a$", "_^{}$$", "a\x1b[31mb", "caf\udce9", "\x00", "\\", "$\\mathdefault{x^{$"]


def drawn(fig):
    fig.canvas.draw()
    return [text.get_text() for text in fig.findobj(Text)]


@pytest.mark.parametrize("name", NASTY)
def test_names_are_no_formulas_and_hold_no_control_characters(name, tmp_path):
    fig = style.figure(4, 3, f"title {name}", f"subtitle {name}")
    ax = fig.add_subplot()
    style.dress(ax, f"axes {name}", "%", f"x {name}")
    ax.set_ylabel(f"y {name}")
    ax.set_yticks([0, 1], [name, f"tick {name}"])
    ax.plot([0, 1], [0, 1], label=f"line {name}")
    ax.legend(title=f"legend {name}")
    ax.annotate(f"note {name}", (0.5, 0.5))
    style.save(fig, tmp_path / "a.png")
    texts = drawn(fig)
    for place in ("title", "subtitle", "x", "y", "tick", "line", "legend", "note"):
        assert f"{place} {printable(name)}" in texts
    assert f"axes {printable(name)} (%)" in texts


def test_powers_of_ten_stay_formulas():
    fig = style.figure(4, 3, "t")
    ax = fig.add_subplot()
    ax.plot([1, 1e5], [1, 2])
    ax.set_xscale("log")
    fig.canvas.draw()
    label = ax.get_xticklabels()[2]
    assert label.get_text().startswith("$")
    assert label.get_parse_math()


def test_a_dollar_takes_as_much_room_as_is_drawn():
    """``$a$`` drawn as it is is wider than the formula a."""
    fig = style.figure(4, 3, "$a$")
    fig.canvas.draw()
    plain = style.figure(4, 3, "a")
    plain.canvas.draw()
    assert fig.texts[0].get_window_extent().width > 2 * plain.texts[0].get_window_extent().width


def test_a_picture_is_whole_or_not_there(tmp_path, monkeypatch):
    fig = style.figure(2, 2, "t")
    path = style.save(fig, tmp_path / "deep" / "a.png")
    before = path.read_bytes()
    assert before[:4] == b"\x89PNG"

    def fail(*args, **options):
        raise OSError("disk full")

    monkeypatch.setattr(fig, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        style.save(fig, path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["a.png"]


def test_dark_colours_stand_out_on_white():
    for colour in style.CYCLE:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in style.dark(colour)]
        luminance = float(np.dot((0.2126, 0.7152, 0.0722), linear))
        assert 1.05 / (luminance + 0.05) > 2.9, colour


def elsewhere() -> str:
    """A letter that matplotlib's own font lacks and another one that it brings has."""
    own = letters._letters(letters.OWN)
    stix = letters._letters(font_manager.findfont("STIXGeneral"))
    return next(chr(number) for number in sorted(stix - own) if number > 0x2000)


NOWHERE = "\U000e0fff"  # no letter: no font has it


@pytest.mark.filterwarnings("error")
def test_letters_that_the_own_font_lacks_come_from_another_or_are_written_as_numbers(tmp_path):
    there = elsewhere()
    name = f"{there}树{NOWHERE}"
    shown = letters.drawable(name)
    assert shown.startswith(there)  # kept, since it can be drawn
    assert shown.endswith("\\U000e0fff")
    fig = style.figure(4, 3, f"title {name}")
    ax = fig.add_subplot()
    ax.set_yticks([0, 1], [name, "b"])
    ax.set_ylabel(f"y {name}")
    ax.plot([0, 1], [0, 1], label=f"line {name}")
    ax.legend()
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}{name}"))
    assert label_points(ax, [0.5], [0.5], [name], ["black"]) == 1
    style.save(fig, tmp_path / "a.png")
    texts = drawn(fig)
    for text in (f"title {shown}", f"y {shown}", f"line {shown}", shown):
        assert text in texts
    plain = there.encode("ascii", "backslashreplace").decode()
    assert any(text.endswith(f"{plain}{letters.plain(name)[len(plain) :]}") for text in texts)  # the formatter's


def ink(font, text):
    return np.asarray(font.getmask(text)).tobytes()


def test_pillow_gets_one_font_for_all_or_numbers():
    there = elsewhere()
    font, (text,) = letters.for_pillow([f"a{there}"], 20)
    assert text == f"a{there}"
    assert ink(font, there) != ink(font, NOWHERE)  # no box
    own, texts = letters.for_pillow(["Bär", NOWHERE], 20)
    assert texts == ["Bär", "\\U000e0fff"]
    assert ink(own, "a") == ink(letters.for_pillow(["a"], 20)[0], "a")


def test_fonts_that_cannot_be_used_have_no_letters(tmp_path):
    (tmp_path / "a.ttf").write_bytes(b"no font")
    assert letters._letters(str(tmp_path / "a.ttf")) == letters._letters(str(tmp_path / "none.ttf")) == frozenset()
