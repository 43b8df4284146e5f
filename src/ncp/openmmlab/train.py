"""Train a config in OpenMMLab's frameworks: ``python -m ncp.openmmlab.train ade20k data_root=/data/ade work_dir=outputs/ade``.

The config is a file, or the name of one that is shipped (ade20k, cityscapes, coco, kitti). Further words change it, as their
``--cfg-options`` does. With several processes: ``torchrun --nproc_per_node 8 -m ncp.openmmlab.train ...``.
"""

from __future__ import annotations

import difflib
import inspect
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from ncp import configs, terminal
from ncp.errors import UserError
from ncp.files import first_line, printable, shown


def located(name: str) -> Path:
    """The file of a config.

    Raises:
        UserError: where there is none.
    """
    shipped = configs.shipped() / "openmmlab"
    for path in (Path(name), shipped / f"{name}.py"):
        if path.is_file():
            return path
    known = ", ".join(sorted(path.stem for path in shipped.glob("*.py")))
    raise UserError(f"there is no config '{printable(name)}'; give a file, or one of {known}")


def main(words: list[str]) -> None:
    """Train; raises ``UserError`` for a config or a word that cannot be used."""
    from mmengine.config import Config, DictAction
    from mmengine.runner import Runner

    if not words:
        raise UserError("no config was given; usage: python -m ncp.openmmlab.train CONFIG [KEY=VALUE ...]")
    path = located(words[0])
    changes = {}
    for word in words[1:]:
        key, sign, value = word.partition("=")
        if not sign:
            raise UserError(f"'{printable(word)}' is no KEY=VALUE")
        changes[key] = DictAction._parse_iterable(value)
    text = path.read_text(encoding="utf-8")
    for key in [one for one in changes if f"\n{one} = " in text]:  # a variable that other lines are made of
        text = _changed(text, key, changes.pop(key))
    try:
        config = Config.fromstring(text, ".py")
    except ModuleNotFoundError as error:  # of a config that this one is based on
        raise UserError(
            f"the config {printable(path.stem)} cannot be used: {first_line(error)}; `make openmmlab` brings all packages"
        ) from None
    _check(changes, config, path.stem)
    config.merge_from_dict(changes)
    root = config.get("data_root")
    if isinstance(root, str) and not Path(root).expanduser().is_dir():
        raise UserError(
            f"there is no folder '{printable(root)}' with the data of {printable(path.stem)}; give data_root=FOLDER"
        )
    config.setdefault("work_dir", str(Path("outputs") / "openmmlab" / path.stem))
    config.launcher = "pytorch" if "LOCAL_RANK" in os.environ else "none"
    if config.launcher == "none":
        _plain_norms(config)
    Runner.from_cfg(config).train()


def _check(changes: Mapping[str, object], config: Mapping[str, object], name: str) -> None:
    """A word that no config and no runner knows would do nothing."""
    from mmengine.runner import Runner

    known = {*config, *inspect.signature(Runner.__init__).parameters, "visualizer", "auto_scale_lr"} - {"self", "cfg"}
    for key in changes:
        first = key.partition(".")[0]
        if first not in known:
            near = difflib.get_close_matches(first, sorted(known), 1)
            meant = f"; did you mean '{near[0]}'?" if near else ""
            raise UserError(f"the config {printable(name)} has no '{shown(first)}'{meant}")


def _changed(text: str, key: str, value: object) -> str:
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith(f"{key} = "))
    lines[at] = f"{key} = {value!r}"
    return "\n".join(lines)


def _plain_norms(node: object) -> None:
    """Norms that are synchronised need several processes; alone they are batch norms."""
    values = list(node.values()) if isinstance(node, dict) else list(node) if isinstance(node, (list, tuple)) else []
    if isinstance(node, dict) and node.get("type") == "SyncBN":
        node["type"] = "BN"
    for value in values:
        _plain_norms(value)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        terminal.say(error, stderr=True)
        sys.exit(2)
