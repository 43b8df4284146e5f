"""The one door for files: what it refuses, and that writing is whole or not at all."""

import dataclasses
import json
import os
import stat
import time
from pathlib import Path

import pytest

from ncp import files
from ncp.errors import UserError


@dataclasses.dataclass
class Card:
    name: str
    count: int = 0


def test_a_pipe_and_a_folder_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="no regular file"):
        files.read_bytes(tmp_path / "pipe")
    with pytest.raises(UserError, match="is a folder"):
        files.read_bytes(tmp_path)
    with pytest.raises(UserError, match="there is no file"):
        files.read_bytes(tmp_path / "missing")
    with pytest.raises(UserError, match="cannot be opened"):
        files.read_bytes("a\0b")


def test_larger_files_than_the_limit_are_refused(tmp_path):
    (tmp_path / "a").write_bytes(bytes(11))
    assert files.read_bytes(tmp_path / "a", limit=11) == bytes(11)
    with pytest.raises(UserError, match="11 bytes"):
        files.read_bytes(tmp_path / "a", limit=10)
    if os.path.exists("/proc/self/status"):  # says that it has no bytes
        with pytest.raises(UserError, match="more than 3"):
            files.read_bytes("/proc/self/status", limit=3)


@pytest.mark.parametrize("depth", [65, 100_000])
def test_deep_json_and_yaml_are_one_line(depth):
    for parse, text in ((files.parse_json, "[" * depth + "]" * depth), (files.parse_yaml, "[" * depth + "]" * depth)):
        with pytest.raises(UserError, match=r"levels|no YAML"):
            parse(text, "it")
    assert files.parse_json("[" * 64 + "]" * 64, "it")


def test_yaml_aliases_and_tags_are_refused():
    bomb = "a: &a [1,1]\nb: &b [*a,*a]\nc: [*b,*b]\n"
    with pytest.raises(UserError, match="aliases"):
        files.parse_yaml(bomb, "it")
    tags = (
        "!!python/object/apply:os.system ['true']",
        "!!timestamp x",
        "!!bool x",
        '!!int ""',
        '!!float ""',
        "!own [1]",
    )
    for tagged in tags:
        with pytest.raises(UserError, match=r"it uses YAML tags \("):
            files.parse_yaml(f"a: {tagged}", "it")


@pytest.mark.parametrize(
    "number",
    ["0x" + "f" * 5000, "1" + ":1" * 500_000, "1" + ":1" * 300 + ":1.5", "9" * 300, "1e" + "9" * 300],
    ids=["base 16", "base 60", "base 60, real", "base 10", "exponent"],
)
def test_long_numbers_in_yaml_are_refused_before_they_are_worked_out(number):
    start = time.process_time()
    with pytest.raises(UserError, match=r"it holds a number of [0-9,]+ characters; at most 250 are read"):
        files.parse_yaml(f"a: {number}", "it")
    assert time.process_time() - start < 2
    assert files.parse_yaml("a: 0x" + "f" * 248, "it") == {"a": 16**248 - 1}
    assert float(16**248) < 1e300


def test_a_key_that_is_given_twice_is_no_yaml():
    assert files.parse_yaml("a: 1\nb: {a: 2}", "it") == {"a": 1, "b": {"a": 2}}
    for text in ("a: 1\nb: 2\na: 3", "x:\n  - {a: 1, a: 1}", "1: x\ntrue: y"):
        with pytest.raises(UserError, match=r"it is no YAML \(it gives the key '.*' twice"):
            files.parse_yaml(text, "it")


def test_a_key_that_is_given_twice_is_no_json():
    assert files.parse_json('{"a": 1, "b": {"a": 2}}', "it") == {"a": 1, "b": {"a": 2}}
    for text in ('{"a": 1, "b": 2, "a": 3}', '[{"x": {"a": 1, "\\u0061": 1}}]'):
        with pytest.raises(UserError, match=r"it is no JSON \(it gives the key 'a' twice"):
            files.parse_json(text, "it")
    start = time.process_time()
    many = ",".join(f'"{i}":0' for i in range(100_000))
    with pytest.raises(UserError, match="the key '99999' twice"):
        files.parse_json(f'{{{many},"99999":1}}', "it")
    assert time.process_time() - start < 2


@pytest.mark.parametrize("text", ["NaN", "[1, Infinity]", '{"a": -Infinity}', "[1e999]"])
def test_numbers_that_are_not_finite_are_no_json(text):
    with pytest.raises(UserError, match=r"not finite"):
        files.parse_json(text, "it")


def test_values_are_shown_short_and_containers_never():
    bottomless = ()
    for _ in range(60):
        bottomless = (bottomless, bottomless)  # its text has 2**60 parentheses
    assert files.shown(bottomless) == "a tuple"
    assert files.shown("a\x1b[31m") == "a\\x1b[31m"
    assert files.shown("a\nb\tc") == "a\\nb\\tc"
    assert files.shown("x" * 10**6) == "x" * 77 + "..."
    assert files.shown(10**5000) == "a huge number"
    assert [files.shown(v) for v in (None, True, 3, 0.5)] == ["None", "True", "3", "0.5"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(UserError, match=r"cannot write '.*file/x' .*; give another folder"),
        files.writing(tmp_path / "file" / "x"),
    ):
        pass
    with files.writing(tmp_path / "new" / "x") as scratch:
        scratch.write_text("a")
    assert (tmp_path / "new" / "x").read_text() == "a"


def test_a_type_is_held_to(tmp_path):
    (tmp_path / "card.json").write_text(json.dumps({"name": "x", "count": 3}))
    assert files.read_json(tmp_path / "card.json", Card) == Card("x", 3)
    for wrong in ({"name": 1}, {"count": 3}, {"name": "x", "count": "many"}, [1]):
        (tmp_path / "card.json").write_text(json.dumps(wrong))
        with pytest.raises(UserError, match=r"card\.json"):
            files.read_json(tmp_path / "card.json", Card)


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "/a", "a/b", "a\\b", "a\nb", "a\x1b[0m", "x" * 201, 3, None])
def test_names_that_are_paths_are_refused(name):
    with pytest.raises(UserError, match="setting"):
        files.safe_name(name, "setting")


def test_plain_names_pass():
    for name in ("seg", "cls-50-1000", "seg.v2", "a_b+c@d"):
        assert files.safe_name(name) == name


def test_escapes_are_shown_and_not_sent():
    assert files.printable("a\x1b[31mb\u202e\n") == "a\\x1b[31mb\\u202e\n"
    assert files.printable(b"caf\xe9") == "caf\\udce9"
    assert files.printable(Path("a\nerror: b\t.png")) == "a\\nerror: b\\t.png"


def test_an_error_leaves_the_old_file_and_no_scratch(tmp_path):
    path = tmp_path / "a.json"
    files.write_text(path, "old")
    with pytest.raises(RuntimeError), files.replacing(path) as scratch:  # noqa: PT012
        assert scratch.suffix == ".json"
        scratch.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_permissions_follow_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        files.write_bytes(tmp_path / "a", b"x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_the_cache_follows_xdg(monkeypatch, tmp_path):
    monkeypatch.delenv("NCP_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert files.cache_folder("kitti") == tmp_path / "ncp" / "kitti"
    monkeypatch.setenv("NCP_CACHE", str(tmp_path / "own"))
    assert files.cache_folder() == tmp_path / "own"
