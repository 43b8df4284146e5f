"""Lines to copy: what the shell and Hydra read back is what was given."""

import os
import random
import subprocess

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from ncp import commandline, runs
from ncp.commandline import command_line, override, shell_word

NAMES = [
    "outputs/train/last.ckpt", "a=b", "set (1)", "c#d", "数据", "it's", 'q"x', "both'\"x", "", "\\", "a\\", "a\\'", 'a\\"',
    "${x}", "\\${x}", "\\\\${oc.env:HOME} y", "a${b", "$x^{$", "1_2", "1e3", "0x1f", "null", "True", "nan", "-inf", "-1",
    "3ddet", "cls-50-1000", "1e3x", "~", "~/x", "..",
    "[a]", "{a:b}", "a,b", "a:b", " lead", "trail ", "a\nb", "a\tb", "x\x1b[31m", "é", "*", "?", "a|b",
    "<a>", "%a", "@a", "+x", "caf\udce9", "))\\\n",
]  # fmt: skip


def read_back(text):
    """The value that a command's configuration has after this override."""
    parsed = OverridesParser.create().parse_override(text)
    config = OmegaConf.create({})
    OmegaConf.update(config, "key", parsed.value())
    return OmegaConf.to_container(config, resolve=True)["key"]


def random_texts(count):
    rng = random.Random(0)
    return ["".join(rng.choices("ab\\'\"${}[](),=:# ~1._\n", k=rng.randint(1, 7))) for _ in range(count)]


def test_hydra_reads_every_text_back():
    for text in NAMES + random_texts(500):
        assert read_back(override("key", text)) == text, text


@pytest.mark.parametrize(
    "value", [None, True, False, 3, -1.5, 1e9, [], ["a=b", 1, None, "1"], {"seg": "x (1)/y", "cls": ["it's"]}]
)
def test_other_values_keep_their_kind(value):
    back = read_back(override("key", value))
    assert back == value
    assert type(back) is type(value)


def test_the_shell_gives_hydra_the_same_word():
    words = [override("key", name) for name in NAMES]
    line = " ".join(shell_word(word) for word in words)
    out = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True).stdout
    assert [os.fsdecode(word) for word in out.split(b"\0")[:-1]] == words


def test_a_line_holds_nothing_that_a_terminal_obeys_or_breaks():
    for name in NAMES:
        line = command_line("train", **{"data.root": name})
        assert line.isprintable(), line
        assert line.startswith(runs.invocation("train"))


def test_plain_words_stay_plain(monkeypatch):
    monkeypatch.setattr(runs, "_prefix", "python -m src.")
    line = command_line("train", "--multirun", task="seg", **{"arch.path": "outputs/search/x/architecture.yaml"})
    assert line == "python -m src.train --multirun task=seg arch.path=outputs/search/x/architecture.yaml"


def test_a_command_goes_on_with_the_folder_of_configurations_that_it_was_given(monkeypatch):
    monkeypatch.setattr(commandline, "_configs", None)
    assert command_line("fit", setting="mine") == "ncp fit setting=mine"
    commandline.configured_by("my own")
    assert command_line("fit", setting="mine") == "ncp fit --config-dir 'my own' setting=mine"
    assert command_line("train", "--config-dir", "new") == "ncp train --config-dir new"  # one is named already
