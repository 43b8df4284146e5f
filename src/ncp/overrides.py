"""What a command line's ``KEY=VALUE`` words mean before Hydra composes them.

A setting is one word (``setting=seg``, or ``task=seg`` for a task's first setting) and stands for several: its task, its data
and its recipe, on real data where ``data.root`` is given, else on the built-in set. :func:`expand` writes them out; what the
user gives beside it comes later and so wins. What would contradict the setting is refused.

Hydra takes ``setting=seg`` for a choice of the config group of that name, so between here and the composed configuration the
word is ``setting={name:seg}``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence

from ncp import configs, files
from ncp.benchmark import settings
from ncp.commandline import hydra_value as render
from ncp.errors import UserError

# a code written as 27 or 31 numbers joined by underscores, which Hydra would read as one number
_JOINED_NUMBERS = re.compile(r"\d+(_\d+){20,}")
_NAMED = re.compile(r"""setting=\{name: *["']?([^"'{}$,]*?)["']?\}""")
_SWEPT = re.compile(r"""setting=\{name: *[^{}$,]*\}(,\{name: *[^{}$,]*\})+""")
# options that are part of a setting now
_PARTS = {
    ("data", "builtin/cls-50-100"): "setting=cls-50-100", ("recipe", "builtin/cls-50-100"): "setting=cls-50-100",
    ("data", "builtin/cls-10c"): "setting=cls-10c", ("recipe", "builtin/cls-10c"): "setting=cls-10c",
    ("data", "builtin/seg-4x"): "setting=seg-4x", ("recipe", "imagenet-10"): "setting=cls-10c data.root=<where ImageNet is>",
    ("recipe", "cityscapes-4x"): "setting=seg-4x data.root=<where Cityscapes is>",
    ("data", "cityscapes-4x"): "setting=seg-4x data.root=<where Cityscapes is>",
}  # fmt: skip
# what decides about which words a setting stands for
DECIDING = ("setting", "task", "data", "data.root", "recipe", "source")
# groups whose options make trainings shorter, whatever the setting
SHORTER = ("debug", "sample")


def key_of(word: str) -> str:
    """The key of an override, without Hydra's ``+``, ``++`` and ``~``."""
    return word.partition("=")[0].lstrip("+~")


def value_of(words: Iterable[str], key: str) -> str | None:
    """The last value that ``key`` gets, unquoted; None where it gets none or null."""
    found = [word.partition("=")[2] for word in words if key_of(word) == key and not word.startswith("~")]
    text = found[-1].strip() if found else "null"
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return None if text in ("null", "") else text


def refuse_old(words: Iterable[str]) -> None:
    """Refuse spellings of earlier versions, with the one of today."""
    for word in words:
        key, value = key_of(word), word.partition("=")[2].strip("'\"")
        if key == "experiment":
            new = "sample=small" if value == "loop" else f"setting={value} data.root=<where its data is>"
            raise UserError(f"experiment={value} is now {new}")
        if key == "training":
            raise UserError(f"training={value} is now setting={value}")
        if (key, value) in _PARTS:
            raise UserError(f"{key}={value} is now {_PARTS[key, value]}")


def adapt(words: Sequence[str], open_keys: Sequence[str] = ()) -> list[str]:
    """Words as Hydra must see them.

    ``floor.seg.mIoU=77`` and ``floor={seg:{mIoU:77}}`` may add keys without a ``+`` where ``floor`` is among ``open_keys``; an
    architecture's numbers joined by underscores stay a text; ``+debug=tiny`` means ``debug=tiny``; a setting becomes a value (see
    above).

    Raises:
        UserError: for a spelling of an earlier version.
    """
    refuse_old(words)
    out = []
    for word in words:
        if word.lstrip("+").startswith(("setting=", "debug=")):  # a key that is there already needs no plus
            word = word.lstrip("+")
        key, equals, value = word.partition("=")
        if key_of(word) in DECIDING and equals and any(not item.strip() for item in items(value)):
            raise UserError(f"'{word}' lacks a value; give one as {key}=..., or leave it out")
        if equals and _JOINED_NUMBERS.fullmatch(value):
            word = f"{key}='{value}'"
        if key == "setting" and not value.startswith("{"):
            word = f"setting={_as_names(value)}"
        if key_of(word).split(".")[0] == "setting" and not (_NAMED.fullmatch(word) or _SWEPT.fullmatch(word)):
            raise UserError(
                f"setting takes a setting's name: setting=seg, for example; given was '{files.printable(word)}'"
            )
        if equals and not key.startswith(("+", "~")):
            top, dot, _ = key.partition(".")
            if top in open_keys and (dot or value.startswith("{")):
                word = f"++{word}"
        out.append(word)
    return out


def _as_names(value: str) -> str:
    """``seg`` as ``{name:seg}``, ``seg,cls`` (a sweep) as ``{name:seg},{name:cls}``."""
    names = [part.strip().strip("'\"") for part in _without_choice(value).split(",")]
    return ",".join("{name: null}" if name == "null" else f"{{name:{render(name)}}}" for name in names)


def of_task(data: str, task: str | None) -> str:
    """An option of ``data`` that is a folder of options, one a task (``folder``, ``builtin``), as that of the task; others stay.

    Raises:
        UserError: where no task is given, or it has no option there.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.+-]+", data) or configs.option_file("data", data) is not None:
        return data
    options = tasks_with(data)
    if not options:
        return data
    if task not in options:
        given = "none was given" if task is None else f"given was task={files.printable(task)}"
        raise UserError(f"data={data} needs a task: task={', '.join(options)}; {given}")
    return f"{data}/{task}"


def tasks_with(data: str) -> list[str]:
    """The tasks that a folder of options of ``data`` (``folder``, ``builtin``) has one for."""
    return sorted(configs.options_of(f"data/{data}") & set(settings.tasks()))


def expand(words: Sequence[str], default: str | None) -> list[str]:
    """Words with their setting written out: its task, data, recipe and what it changes in them, then the words.

    Args:
        words: of one job, adapted.
        default: the setting where neither a setting nor a task nor a data set is given; None for a command that has none.

    Raises:
        UserError: for an unknown setting, or a task or data set that is not the setting's.
    """
    name, task, data = _given_setting(words), value_of(words, "task"), value_of(words, "data")
    if name is None and data is not None:  # a data set without a setting: what it brings and what else is given
        own = of_task(data, task)
        return [f"data={own}" if key_of(word) == "data" and own != data else word for word in words]
    name = name or task or default
    if name is None:
        return list(words)
    setting = settings.get(name)
    _refuse_other_classes(words, setting)
    data = None if data is None else of_task(data, setting.task)
    if task is not None and task != setting.task:
        raise UserError(f"setting={setting.name} is of task={setting.task}, given was task={task}; leave task out")
    real = value_of(words, "data.root") is not None or (setting.builtin is None and has_root(setting))
    if data is not None:
        given, real = real, setting.real is not None and of_task(setting.real.data, setting.task) == data
        if given and not real and setting.builtin is not None and of_task(setting.builtin.data, setting.task) == data:
            raise UserError(f"data={data} is a built-in set, which has no data.root; leave one of the two out")
        if data not in {of_task(variant.data, setting.task) for variant in (setting.real, setting.builtin) if variant}:
            raise UserError(
                f"setting={setting.name} has its own data, given was data={data}; for other data leave the setting out: "
                f"task={setting.task} data={data}"
            )
    kept = [word for word in words if key_of(word) not in ("setting", "task", "data")]
    if not real:  # data.root=null, which a built-in set does not have
        kept = [word for word in kept if key_of(word) != "data.root"]
    if real and setting.name in settings.shipped():
        _refuse_other_data(words, setting)
    written = written_out(setting, real, own_recipe=value_of(words, "recipe") is not None)
    shorter = _set_by_groups(words)
    return [*(word for word in written if key_of(word) not in shorter), *kept]


def _refuse_other_classes(words: Iterable[str], setting: settings.Setting) -> None:
    """The task and the data set are the setting's; a class given beside it would be another one under its name."""
    for word in words:
        group, _, key = key_of(word).partition(".")
        if group in ("task", "data") and key == "_target_":
            raise UserError(
                f"setting={setting.name} has its own {group}, given was '{files.printable(word)}'; for a class of your own "
                f"write {group}/NAME.yaml in a folder of your own ({configs.VARIABLE}, --config-dir), and a setting with it"
            )


def _refuse_other_data(words: Sequence[str], setting: settings.Setting) -> None:
    """A shipped setting's name means what its file says of its real data (ten classes, say); other data has another name."""
    says = setting.variant(real=True).change.get("data", {})
    for key, own in says.items():
        given = value_of(words, f"data.{key}")
        if key not in settings.MOVABLE and given is not None and given.replace(" ", "") != render(own):
            raise UserError(
                f"setting={setting.name} means data.{key}={render(own)}, given was {files.printable(given)}; for other data "
                f"leave the setting out (task={setting.task} data={setting.variant(real=True).data} ...) or write a setting "
                "of your own"
            )


def has_root(setting: settings.Setting) -> bool:
    """Whether a setting says itself where its data lies, so that ``data.root`` need not be given."""
    return setting.real is not None and setting.real.change.get("data", {}).get("root") is not None


def _set_by_groups(words: Sequence[str]) -> set[str]:
    """Dotted keys that the options of :data:`SHORTER` set, which come after what a setting changes."""
    return {key for group in SHORTER for key in _set_by(group, value_of(words, group))}


def _set_by(group: str, option: str | None) -> set[str]:
    """Dotted keys that an option of a group sets."""
    path = None if option is None else configs.option_file(group, option)
    content = None if path is None else files.read_yaml(path)
    parts = content if isinstance(content, Mapping) else {}
    return {f"{part}.{key}" for part, keys in parts.items() if isinstance(keys, Mapping) for key in keys}


def refuse_several(words: Iterable[str]) -> None:
    """Refuse several values of what decides about a run, which only a multirun takes: ``setting=seg,cls``."""
    for word in words:
        key, value = key_of(word), word.partition("=")[2]
        if key in DECIDING and (value.startswith("choice(") or len(items(value)) > 1):
            shown = _as_words(value) if key == "setting" else value
            raise UserError(
                f"{key}={files.printable(shown)} gives several values; one run for each of them: --multirun {key}=..., "
                "or quote a name that holds a comma"
            )


def _as_words(value: str) -> str:
    """``{name:seg},{name:cls}`` as ``seg,cls``."""
    return re.sub(r'\{name: *"?([^{}"]*)"?\}', r"\1", value)


def by_setting(words: Sequence[str]) -> list[str]:
    """Words with a task (or a sweep over tasks) as the settings that it is short for, where no setting and no data is given."""
    keys = {key_of(word) for word in words}
    if "task" not in keys or keys & {"setting", "data"}:
        return list(words)
    return [f"setting={_as_names(word.partition('=')[2])}" if key_of(word) == "task" else word for word in words]


def first_choice(word: str) -> str:
    """Of a sweep (``a=1,2``, ``a=choice(1,2)``) the first value; another word as it is."""
    key, equals, value = word.partition("=")
    return f"{key}{equals}{items(_without_choice(value))[0]}"


def _without_choice(value: str) -> str:
    """``choice(1,2)`` as ``1,2``; another value as it is."""
    return value[len("choice(") : -1] if value.startswith("choice(") and value.endswith(")") else value


def items(text: str) -> list[str]:
    """The parts of a text between its commas, but not those within brackets or quotes.

    >>> items("recipe.length=5,data.crop=[64,64]")
    ['recipe.length=5', 'data.crop=[64,64]']
    """
    depth, quote, ends = 0, "", [-1]
    for i, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "[{(":
            depth += 1
        elif letter in "]})":
            depth -= 1
        elif letter == "," and not depth:
            ends.append(i)
    return [text[a + 1 : b] for a, b in itertools.pairwise([*ends, len(text)])]


def written_out(setting: settings.Setting, real: bool, own_recipe: bool = False) -> list[str]:
    """The words that a setting stands for. With ``own_recipe`` another recipe is given: this one is left out."""
    variant = setting.variant(real)
    out = [
        f"setting={{name:{render(setting.name)}}}",
        f"task={setting.task}",
        f"data={of_task(variant.data, setting.task)}",
    ]
    if variant.recipe and not own_recipe:
        out.append(f"recipe={variant.recipe}")
    for part, changes in variant.change.items():
        if part != "recipe" or not own_recipe:
            out += [f"++{part}.{key}={render(value)}" for key, value in changes.items()]
    return out


def _given_setting(words: Iterable[str]) -> str | None:
    """The name of the setting that is given.

    Raises:
        UserError: for several.
    """
    given = [word for word in words if key_of(word) == "setting"]
    matches = [_NAMED.fullmatch(word) for word in given]
    names = list(dict.fromkeys(match[1] for match in matches if match))
    if None in matches:
        raise UserError("several settings are one training each: add --multirun (or -m)")
    if len(names) > 1:
        raise UserError(f"one setting at a time: given were {' and '.join(f'setting={name}' for name in names)}")
    return names[0] if names and names[0] != "null" else None


def is_of_table(words: Sequence[str]) -> bool:
    """Whether words name a setting that is a table alone, and ``source`` gives the table, so that nothing is trained."""
    name = _given_setting(words)
    if name is None or value_of(words, "source") is None:
        return False
    setting = settings.get(name)
    return setting.real is None and setting.builtin is None


def is_expanded(words: Sequence[str]) -> bool:
    """Whether :func:`expand` wrote these words (a process that another one started gets them so): they begin as it begins."""
    return _written_by_it(words) > 0


def _written_by_it(words: Sequence[str]) -> int:
    """How many words at the beginning are those that the setting stands for; 0 where they do not begin so."""
    name = _given_setting(words)
    if name is None or name not in settings.SETTINGS:
        return 0
    setting, shorter, most = settings.SETTINGS[name], _set_by_groups(words), 0
    for variant in filter(None, (setting.real, setting.builtin)):
        for own in (False, True):
            written = [w for w in written_out(setting, variant is setting.real, own) if key_of(w) not in shorter]
            if list(words[: len(written)]) == written:
                most = max(most, len(written))
    return most


def shown(words: Sequence[str]) -> list[str]:
    """Expanded words as a person would type them.

    What was typed is told even where it says what the setting says: the built-in set's size beside ``data.root``, say, where
    without it another one would hold.
    """
    name = _given_setting(words)
    if name is None:
        return list(map(typed, words))
    if written := _written_by_it(words):
        return [f"setting={name}", *map(typed, words[written:])]
    return [f"setting={name}" if key_of(word) == "setting" else typed(word) for word in words]


def typed(word: str) -> str:
    """Without the plus signs that :func:`adapt` sets, and that it does not need."""
    return word.lstrip("+") if word.startswith("++") else word
