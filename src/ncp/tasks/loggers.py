"""What ``logger=...`` adds to the history that every training keeps. Its options are checked before the logger is made."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from ncp import options as typed
from ncp.errors import UserError, missing_extra

LOGGERS = ("csv", "tensorboard", "wandb", "mlflow")
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def make_loggers(given: Mapping[str, Any], folder: Path) -> list[Any]:
    """Nothing (csv), TensorBoard, MLflow, or W&B (offline where there is no key).

    Args:
        given: ``kind`` and its options.
        folder: of the run.

    Raises:
        UserError: for an unknown kind or option, a value of another type, or a package that is not installed.
    """
    settings = dict(given)
    kind = settings.pop("kind", None)
    if kind == "tensorboard":
        return [_tensorboard(folder, settings)]
    if kind == "mlflow":
        return [_mlflow(folder, settings)]
    if kind == "wandb":
        return [_wandb(folder, settings)]
    if kind != "csv":
        raise UserError(f"unknown logger '{kind}'; loggers: {', '.join(LOGGERS)}")
    checked("csv", settings, [])
    return []


def checked(
    kind: str, settings: Mapping[str, Any], makers: Collection[Callable[..., Any]], ours: Collection[str] = ()
) -> dict[str, Any]:
    """The options of a logger, each checked by the first of its makers that has a parameter of that name.

    Args:
        kind: of the logger.
        settings: its options.
        makers: the logger, and what it hands other options on to.
        ours: names that are not the user's to give.

    Raises:
        UserError: for an option that none of them has, or of another type.
    """
    owner: dict[str, Callable[..., Any]] = {}
    for maker in makers:
        for name, parameter in inspect.signature(maker).parameters.items():
            if parameter.kind in _NAMED and name not in ours:
                owner.setdefault(name, maker)
    for key in settings:
        if key not in owner:
            keys = ", ".join(sorted(owner)) or "none"
            raise UserError(f"unknown key 'logger.{key}' for {kind}{typed.meant(str(key), owner)}; its keys: {keys}")
    out: dict[str, Any] = {}
    for maker in makers:
        mine = {key: value for key, value in settings.items() if owner[key] is maker}
        # of a class its own constructor alone: what it hands on further is among the makers
        function = maker.__init__ if inspect.isclass(maker) else maker
        out |= typed.check(function, mine, "logger", more=("self", *ours), title=kind)
    return out


def _writer(
    comment: str = "",
    purge_step: int | None = None,
    max_queue: int = 10,
    flush_secs: int = 120,
    filename_suffix: str = "",
) -> None:
    """What torch's writer of TensorBoard files takes beside its folder; itself it states no types."""


def _tensorboard(folder: Path, settings: Mapping[str, Any]) -> Any:
    from pytorch_lightning.loggers import TensorBoardLogger

    settings = checked("tensorboard", settings, [TensorBoardLogger, _writer], ("save_dir", "name", "version"))
    try:
        return TensorBoardLogger(folder, name="", version="tensorboard", **settings)
    except ModuleNotFoundError:
        raise missing_extra("tensorboard", "tensorboard") from None


def _mlflow(folder: Path, settings: Mapping[str, Any]) -> Any:
    from pytorch_lightning.loggers import MLFlowLogger

    kept = checked("mlflow", {key: value for key, value in settings.items() if value is not None}, [MLFlowLogger])
    kept.setdefault("save_dir", str(folder / "mlruns"))
    if kept.get("tracking_uri") is None:  # newer versions refuse files unless told; a data base needs more packages
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    try:
        return MLFlowLogger(**kept)
    except ModuleNotFoundError:
        raise missing_extra("mlflow", "mlflow") from None


def _wandb(folder: Path, settings: Mapping[str, Any]) -> Any:
    from ncp.tasks.wandb import make_wandb

    try:
        import wandb
        from pytorch_lightning.loggers import WandbLogger
    except ModuleNotFoundError:
        raise missing_extra("wandb", "wandb") from None
    given = {key: value for key, value in settings.items() if value is not None}
    return make_wandb(folder, checked("wandb", given, [WandbLogger, wandb.init], ("save_dir",)))
