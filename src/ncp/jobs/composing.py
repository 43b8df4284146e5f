"""From ``conf/COMMAND.yaml`` and the words of a command line to a command's typed options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ncp import configs, files, overrides, runs
from ncp import options as typed
from ncp.commandline import hydra_value
from ncp.errors import UserError
from ncp.jobs import commands

# the same string in every evaluation within one configuration, as with Hydra's own `now`
OmegaConf.register_new_resolver("ncp.suffix", runs.suffix, use_cache=True, replace=True)
# the setting that is meant where none is given; the other commands have none
DEFAULT_SETTING = {"train": "cls", "build": "seg", "discover": "seg", "adopt": "seg"}
# parts of a composed configuration that are not options of a command
_APART = ("hydra", "paths")


# parts of a training: what stands below them is held against the signature of what they make, which knows more keys than a
# file of conf/ writes out (see ncp.tasks.parts)
_MADE = ("task", "data", "recipe", "arch", "trainer", "model")


@cache
def open_keys(file: Path) -> tuple[str, ...]:
    """Keys of a command's file that take any key below them: those whose default is ``{}``, and parts of a training."""
    content = files.read_yaml(file) if file.is_file() else {}
    groups = {key for item in content.get("defaults", ()) if isinstance(item, Mapping) for key in item}
    if "data" in groups:  # which brings its recipe
        groups.add("recipe")
    return tuple(
        str(key)
        for key in (*content, *groups)
        if content.get(key) == {} or (key in _MADE and isinstance(content.get(key, {}), Mapping))
    )


@cache
def _groups(file: Path) -> dict[str, bool]:
    """The groups of a command's defaults, and whether an option is needed of each; ``recipe`` is the data's to bring."""
    content = files.read_yaml(file) if file.is_file() else {}
    named = [item for item in content.get("defaults", ()) if isinstance(item, Mapping)]
    found = {str(key): option is not None for item in named for key, option in item.items()}
    return {**found, "recipe": True} if "data" in found else found


def _without_nulls(words: Sequence[str], file: Path) -> list[str]:
    """Words less those such as ``debug=null``, which Hydra does not take although it is what stands there.

    Raises:
        UserError: where an option is needed.
    """
    kept = []
    for word in words:
        key, equals, value = word.partition("=")
        none = (
            bool(equals) and value in ("", "null") and key in _groups(file) and key not in ("setting", "task", "data")
        )
        if none and (_groups(file)[key] or not value):
            known = ", ".join(sorted(configs.options_of(key)))
            raise UserError(f"{key} needs one of its options, given was '{value}'; options: {known}")
        if not none:
            kept.append(word)
    return kept


def words_for_hydra(command: str, words: Sequence[str], file: Path) -> list[str]:
    """The words of one job as Hydra must see them: adapted, and with their setting written out."""
    adapted = overrides.adapt([_alias(command, word) for word in words], open_keys(file))
    overrides.refuse_several(adapted)
    adapted = _without_nulls(adapted, file)
    if command == "data" and not overrides.is_expanded(adapted):
        return overrides.expand(_own_data(adapted), None)
    if command not in DEFAULT_SETTING or overrides.is_expanded(adapted):
        return adapted
    return expanded(command, adapted)


def expanded(command: str, adapted: Sequence[str]) -> list[str]:
    """Words with their setting written out, of a command that has one (:func:`ncp.overrides.expand`)."""
    if command == "discover" and overrides.is_of_table(adapted):  # nothing is trained
        return list(adapted)
    return overrides.expand(adapted, DEFAULT_SETTING[command])


def _own_data(words: Sequence[str]) -> list[str]:
    """What ``src.data`` is told: ``root=FOLDER`` is the data's, and a task without a data set is of a folder of one's own."""
    out = [f"data.{word}" if word.startswith("root=") else word for word in words]
    keys = {overrides.key_of(word) for word in out}
    if "data.root" in keys and not keys & {"task", "data", "setting"}:
        raise UserError(f"which kind of data? give task=NAME beside root: {', '.join(overrides.tasks_with('folder'))}")
    return [*out, "data=folder"] if "task" in keys and not keys & {"data", "setting"} else out


def _alias(command: str, word: str) -> str:
    if command in ("search", "front") and word.startswith(("latency.trust=", "latency.margin=")):
        # beside latency=FILE, which is no group of keys
        return word.replace(".", "_", 1)
    if command == "latency" and word.startswith(
        "task="
    ):  # the group `task` holds what trains; here its name alone is meant
        return word.replace("task", "network", 1)
    if word.startswith("relations=[") and word.endswith("]"):  # signs that Hydra takes in quotes alone
        items = [item.strip().strip("\"'") for item in word[len("relations=[") : -1].split(",")]
        return f"relations=[{','.join(hydra_value(item) for item in items if item)}]"
    if command == "discover" and word.startswith("full=[") and word.endswith("]"):  # as above, the =
        items = [item.strip().strip("\"'") for item in overrides.items(word[len("full=[") : -1])]
        return f"full={hydra_value([item for item in items if item])}"
    return "short=true" if command == "loop" and word == "debug=short" else word


def compose(command: str, words: Sequence[str] = (), conf: Path | None = None, with_hydra: bool = False) -> DictConfig:
    """The configuration of a command line, composed in this process.

    Args:
        command: its name.
        words: ``KEY=VALUE`` as on the command line.
        conf: the folder of configurations; None for the shipped one.
        with_hydra: with Hydra's own part.

    Raises:
        UserError: for a setting that does not exist or does not fit; Hydra's own errors for keys that do not exist.
    """
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    folder = conf or configs.shipped()
    listed = words_for_hydra(command, words, folder / f"{command}.yaml")
    if mine := configs.own():
        listed.append(search_path(mine))
    running = GlobalHydra.instance().hydra  # of the command that asks, such as the loop
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(folder), version_base="1.3"):
            return hydra.compose(command, overrides=listed, return_hydra_config=with_hydra)
    finally:
        GlobalHydra.instance().hydra = running


def search_path(own: Sequence[Path]) -> str:
    """The word that tells Hydra of the user's folders."""
    return f"hydra.searchpath={hydra_value([f'file://{folder}' for folder in own])}"


def values(config: DictConfig | Mapping[str, Any], whole: bool = True) -> dict[str, Any]:
    """A composed configuration as plain values, every reference resolved, the setting as its name.

    Args:
        config: composed, or plain already.
        whole: whether every value must be there; else one that must still be given is ``???``.

    Raises:
        omegaconf.MissingMandatoryValue: for values that were not given.
    """
    plain: Any = (
        OmegaConf.to_container(config, resolve=True, throw_on_missing=whole) if OmegaConf.is_config(config) else config
    )
    out = dict(plain)
    if isinstance(out.get("setting"), Mapping):
        out["setting"] = out["setting"].get("name")
    return out


def read(command: str, content: Mapping[str, Any], words: Sequence[str] = ()) -> Any:
    """The options of a command from plain values (:func:`values`); ``words`` as they were typed, for commands that run others.

    Raises:
        UserError: for what they cannot be.
    """
    kept = {key: value for key, value in content.items() if key not in _APART}
    kind = commands.module(command).Options
    if "outputs" in kind.__dataclass_fields__ and "paths" in content:
        kept["outputs"] = content["paths"]["outputs"]
    if "words" in kind.__dataclass_fields__:
        kept["words"] = list(words)
    return typed.read(kind, kept)


def known_keys(command: str, conf: Path | None = None) -> list[str]:
    """All keys of a command's default configuration, dotted."""
    plain: Any = OmegaConf.to_container(compose(command, (), conf), resolve=False)  # values that must be given included
    return [key for key, _ in leaves(plain, with_groups=True)]


def leaves(node: Mapping[str, Any], prefix: str = "", with_groups: bool = False) -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of a configuration; with ``with_groups`` also the keys that hold keys."""
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            if with_groups:
                yield f"{prefix}{key}", None
            yield from leaves(value, f"{prefix}{key}.", with_groups)
        else:
            yield f"{prefix}{key}", value
