"""What ``conf/`` says about a command: its keys, which of them take new names, and which are numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ncp.errors import UserError

# a code written as 27 or 31 numbers joined by underscores, which Hydra would read as one number
_JOINED_NUMBERS = re.compile(r"\d+(_\d+){20,}")
# Lightning's own arguments are numbers or words (devices=1, devices=auto); it checks them itself
_NUMBERS_OR_WORDS = ("trainer.", "logger.", "callbacks.")


def adapt(arguments: Sequence[str], file: Path) -> list[str]:
    """Command-line arguments as Hydra must see them.

    ``floor.seg.mIoU=77`` and ``floor={seg:{mIoU:77}}`` may add keys without a ``+`` where the command's file says
    ``floor: {}``; an architecture's numbers joined by underscores stay a text.
    """
    text = file.read_text() if file.is_file() else ""
    open_keys = re.findall(r"^(\w+): *\{\}", text, flags=re.MULTILINE)
    out = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if equals and _JOINED_NUMBERS.fullmatch(value):
            argument = f"{key}='{value}'"
        if equals and key.partition(".")[0] in open_keys:
            argument = f"++{argument}"
        out.append(argument)
    return out


def known_keys(conf: Path, name: str) -> list[str]:
    """All keys of the command's default configuration, dotted."""
    import hydra
    from omegaconf import OmegaConf

    with hydra.initialize_config_dir(str(conf), version_base="1.3"):
        config = OmegaConf.to_container(hydra.compose(name), resolve=False)
    return [key for key, _ in _leaves(config, with_groups=True)]


def check_types(config: Mapping[str, Any], conf: Path, name: str, choices: Mapping[str, Any]) -> None:
    """Refuse a text where the default is a number or a truth value.

    Args:
        config: the resolved configuration.
        conf: the folder of configurations.
        name: of the command.
        choices: group -> chosen option.

    Raises:
        UserError: naming the key, what is expected and what was given.
    """
    files = [(conf / f"{name}.yaml", "")]
    for group, option in choices.items():
        group, _, package = group.partition("@")
        if isinstance(option, str) and not group.startswith("hydra"):
            files.append((conf / group / f"{option}.yaml", f"{package or group.replace('/', '.')}."))
    for file, prefix in files:
        for key, default in _defaults(file, prefix):
            given = _at(config, key)
            if (
                isinstance(given, str)
                and isinstance(default, (bool, int, float))
                and not key.startswith(_NUMBERS_OR_WORDS)
            ):
                kind = "true or false" if isinstance(default, bool) else "a number"
                raise UserError(f"{key} must be {kind}, given was '{given}' (the default is {default})")


def _defaults(file: Path, prefix: str) -> Iterator[tuple[str, Any]]:
    import yaml

    try:
        text = file.read_text()
        content = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, yaml.YAMLError):  # not one of ours, such as a group in the user's own folder
        return
    package = re.search(r"^# *@package +(\S+)", text, flags=re.MULTILINE)
    if package:
        prefix = "" if package.group(1) == "_global_" else f"{package.group(1)}."
    if isinstance(content, Mapping):
        yield from _leaves({k: v for k, v in content.items() if k not in ("defaults", "hydra")}, prefix)


def _leaves(node: Any, prefix: str = "", with_groups: bool = False) -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            if with_groups:
                yield f"{prefix}{key}", None
            yield from _leaves(value, f"{prefix}{key}.", with_groups)
        else:
            yield f"{prefix}{key}", value


def _at(config: Mapping[str, Any], key: str) -> Any:
    node: Any = config
    for part in key.split("."):
        if not isinstance(node, Mapping):
            return None
        node = node.get(part)
    return node
