"""Help and messages as people read them."""

import logging

import pytest

from ncp import configs, jobs
from ncp.cli import text


@pytest.mark.parametrize("name", jobs.COMMANDS)
def test_every_help_names_every_key_of_its_file(name):
    import yaml

    told = text.command_help(configs.shipped(), name, jobs.module(name))
    assert told.startswith(text.first_line(jobs.module(name)))
    keys = set(yaml.safe_load((configs.shipped() / f"{name}.yaml").read_text())) - {"defaults", "hydra"}
    for key in keys:
        assert f"\n  {key}:" in told
    assert "Exit codes: 0 done, 2 a mistake" in told
    assert "\n  hydra:" not in told


def test_the_settings_keys_are_those_of_the_words():
    told = text.command_help(configs.shipped(), "train", jobs.train, ["setting=seg", "data.root=/x"])
    assert "Keys of setting=seg and their values" in told
    assert "  data.root=/x" in told
    assert "\n  recipe.batch=" in told
    assert "setting=ade20k" in told


def test_sections_are_dropped_with_their_comments():
    lines = "# about a\na: 1\n# about b\nb:\n  c: 2\n  # inner\n  d: 3\n\n# about e\ne: 4".splitlines()
    assert text._sections(lines, without=("b",)) == ["# about a", "a: 1", "", "# about e", "e: 4"]


def test_an_error_is_one_printable_line_on_stderr_and_in_the_log(tmp_path, capsys):
    handler = logging.FileHandler(tmp_path / "log.txt")
    logging.getLogger().addHandler(handler)
    try:
        text.say_error("no file 'a\x1b[2Jb'")
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: no file 'a")
    assert "\x1b" not in told.err
    assert (tmp_path / "log.txt").read_text() == told.err
