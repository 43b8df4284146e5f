"""The weights of the authors' own program in our predictor: the same function, other names.

The public program saves a plain state dictionary: ``fc.0`` batch norm, ``fc.1`` linear and ``fc.2`` batch norm of the shared
part, ``nets.G.0`` linear, ``nets.G.1`` batch norm and ``nets.G.4`` linear of head G. It saves no standardisation: that is the
mean and population standard deviation over all rows of the table that it was trained on, so the rows must be given.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ncp import files
from ncp.benchmark import torch_files
from ncp.benchmark.inert import Shape
from ncp.errors import UserError
from ncp.predictors.base import Card
from ncp.predictors.mlp import MLP, Layout
from ncp.predictors.rows import Rows

_SHARED = {"norm_in": "fc.0", "shared": "fc.1", "norm_shared": "fc.2"}
_HEAD = {"separate": "0", "norm_separate": "1"}
_OUTPUT = "4"
MAX_FILE = 64 * 2**20  # bytes; the program's own weights have 0.4 MB
_FIELDS = ("weight", "bias", "running_mean", "running_var")


def from_state(
    state: Mapping[str, Any], metrics: Sequence[str], setting: str, space: str = "multires", activation: str = "silu"
) -> MLP:
    """A predictor with the weights of a released state dictionary; its standardisation is still to be set.

    Args:
        state: name -> tensor or array, the release's names (a leading ``module.`` is dropped).
        metrics: names of the outputs in order.
        setting: what it predicts.
        space: name of the search space.
        activation: the program's setting; ``silu`` is its ``swish``.

    Raises:
        UserError: for names or shapes that are not a predictor of the release, another number of metrics, or weights that
            are not finite.
    """
    tensors = {re.sub(r"^module\.", "", k): torch.as_tensor(np.asarray(v)).float() for k, v in state.items()}
    groups = sorted({int(m[1]) for k in tensors if (m := re.match(r"nets\.(\d+)\.", k))})
    if not groups:
        raise UserError("these weights are not a predictor of the release: they hold no 'nets.0.0.weight'")
    try:
        ours = _rename(tensors, groups)
        sizes = [len(tensors[f"nets.{g}.{_OUTPUT}.bias"]) for g in groups]
        shared, separate = len(ours["net.shared.bias"]), len(tensors["nets.0.0.bias"])
    except KeyError as error:
        raise UserError(f"these weights are not a predictor of the release: they hold no {error}") from None
    except (TypeError, RuntimeError):  # single numbers, parts that cannot be joined
        raise UserError("these weights are not a predictor of the release: their shapes are others") from None
    bad = [name for name, value in ours.items() if not torch.isfinite(value).all()]
    if bad:
        raise UserError(f"these weights hold numbers that are not finite ({bad[0]})")
    if sum(sizes) != len(metrics):
        raise UserError(f"these weights have {sum(sizes)} outputs, but {len(metrics)} metrics: {', '.join(metrics)}")
    members = tuple(tuple(range(a, b)) for a, b in pairwise(np.cumsum([0, *sizes]).tolist()))
    layout = Layout(members, (0.5,) * len(groups), shared, separate, 0.5, norm=True, activation=activation)
    card = Card("mlp", setting, tuple(metrics), space, protocol="weights of the public release")
    card.config = layout.to_dict()
    predictor = MLP(card)
    try:
        predictor.load_state_dict({**predictor.state_dict(), **ours})
    except RuntimeError as error:
        raise UserError(f"these weights do not fit space '{space}': {str(error).splitlines()[-1].strip()}") from None
    return predictor.eval().requires_grad_(False)


def from_file(path: str | Path, rows: Rows, activation: str = "silu") -> MLP:
    """A predictor from a ``best_model.pth`` that the released program wrote, standardised as it does by ``rows``.

    ``rows`` are all rows of the table it was trained on. The file is read without running anything in it.

    Raises:
        UserError: for a file that is missing, is not a state dictionary, or does not fit ``rows``; see also
            :func:`from_state`.
    """
    try:
        predictor = from_state(_load(Path(path)), rows.metrics, rows.setting, rows.space, activation)
    except UserError as error:
        text, where = str(error), files.printable(path)
        raise UserError(text if where in text else f"{where}: {text}") from None
    predictor.standardise(rows.codes, rows.targets)
    predictor.card.rows, predictor.card.source, predictor.card.licence = len(rows), rows.source, rows.licence
    return predictor


def _load(path: Path) -> dict[str, Tensor]:
    """The tensors by name; the file is looked over (:mod:`ncp.benchmark.torch_files`) before torch reads any of it."""
    where = f"'{files.printable(path)}'"
    if not os.path.lexists(path):
        raise UserError(f"there is no file {where}")
    try:
        content = torch_files.look_over(path, MAX_FILE)
    except UserError as error:
        raise UserError(
            f"{error}; weights are read as torch.save has written them since torch 1.6: load an older file with torch and "
            "save it again"
        ) from None
    if not isinstance(content, Mapping) or not content or not all(isinstance(v, Shape) for v in content.values()):
        raise UserError(f"{where} holds no state dictionary (names and tensors)")
    try:
        found: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds for damaged files
        raise UserError(
            f"{where} is not a file of weights that can be read safely ({files.first_line(error, 100)})"
        ) from None
    return found


def _rename(tensors: Mapping[str, Tensor], groups: Sequence[int]) -> dict[str, Tensor]:
    ours = {
        f"net.{name}.{part}": tensors[f"{theirs}.{part}"]
        for name, theirs in _SHARED.items()
        for part in (_FIELDS if "norm" in name else _FIELDS[:2])
    }
    for name, theirs in _HEAD.items():
        for part in _FIELDS if "norm" in name else _FIELDS[:2]:
            ours[f"net.{name}.{part}"] = torch.cat([tensors[f"nets.{g}.{theirs}.{part}"] for g in groups])
    for part in ("weight", "bias"):
        ours[f"net.out_{part}"] = torch.cat([tensors[f"nets.{g}.{_OUTPUT}.{part}"] for g in groups])
    return ours
