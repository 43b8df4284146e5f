"""Weights & Biases, only when it is asked for, and offline unless there is a key."""

from __future__ import annotations

import netrc
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ncp.errors import missing_extra

_earlier: list[Any] = []  # the loggers that this process made and whose runs may still be open


def has_key() -> bool:
    """Whether this user has told W&B who they are."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc().authenticators("api.wandb.ai") is not None
    except (OSError, netrc.NetrcParseError):
        return False


def make_wandb(folder: Path, settings: Mapping[str, Any]) -> Any:
    """Lightning's W&B logger, writing below ``folder``; ``settings`` as in conf/logger/wandb.yaml.

    The run of an earlier training of this process, such as the job before in a multirun, ends here: Lightning would write into
    it as long as it is open. A run that somebody else began is left alone, and shared as Lightning does.
    """
    from pytorch_lightning.loggers import WandbLogger

    while _earlier:
        if (run := getattr(_earlier.pop(), "_experiment", None)) is not None:  # the property would begin one
            run.finish()
    offline = settings.get("offline")
    options = {key: value for key, value in settings.items() if key != "offline"}
    try:
        made = WandbLogger(save_dir=folder, offline=not has_key() if offline is None else bool(offline), **options)
    except ModuleNotFoundError:
        raise missing_extra("wandb", "wandb") from None
    _earlier.append(made)
    return made
