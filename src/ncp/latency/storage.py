"""A latency model on disk: a safetensors file whose metadata carries its card. Reading one runs no code of it."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from ncp import files, runs, spaces, tensorfile
from ncp.errors import UserError
from ncp.latency.card import MachineCard
from ncp.latency.model import SCALES, Latency, Tensors, raw_columns

FORMAT = "ncp-latency-2"
_EARLIER = ("ncp-latency-1",)  # whose work had no whole vectors
MAX_FILE = 16 * 2**20
_LARGEST = 1e9


def save(model: Latency, path: str | Path) -> Path:
    """Write a model, whole or not at all; raises ``UserError`` where it cannot be written."""
    metadata = {"format": FORMAT, "card": json.dumps(asdict(model.card))}
    return tensorfile.write(path, model.tensors._asdict(), metadata, "the latency model")


def load(path: str | Path) -> Latency:
    """The model in a file: its card, then its tensors' shapes, then the tensors, each only if all before is right.

    Raises:
        UserError: for a file that is missing, damaged, no latency model, or of a space that is not there.
    """
    where = f"'{files.printable(Path(path))}'"
    head = tensorfile.head(path, MAX_FILE)
    if head.metadata.get("format") in _EARLIER:
        raise UserError(
            f"{where} is a latency model of an earlier version; make it anew from what was measured, with the options it was "
            f"measured with: {runs.invocation('latency')} device=... runtime=... task=... size=... and hydra.run.dir=ITS_FOLDER, "
            "which measures nothing again that counts; of another machine with action=import measured=measurements.csv"
        )
    if head.metadata.get("format") != FORMAT or "card" not in head.metadata:
        raise UserError(
            f"{where} is no latency model (its metadata has no '{FORMAT}' card); give a file that "
            "`latency` wrote, not a predictor or a network"
        )
    content = files.parse_json(head.metadata["card"], f"the card in {where}")
    card = _card(content, where)
    space = spaces.get(card.space)
    kinds = _kinds(space, card, where)
    wanted = {
        "codes": (card.rows, space.dim), "milliseconds": (card.rows,), "prices": (1 + kinds,), "scales": (SCALES,),
    }  # fmt: skip
    tensorfile.check_shapes(head.shapes, wanted, f"the numbers in {where} do not fit its card")
    read = tensorfile.arrays(path)
    if read["codes"].dtype != np.int64 or any(read[n].dtype != np.float64 for n in wanted if n != "codes"):
        raise UserError(f"{where} holds numbers of another type than a latency model has")
    if any(np.abs(read[n]).max() > _LARGEST for n in wanted) or np.abs(read["scales"]).max() > 20:
        raise UserError(f"{where} holds numbers that no measured time leads to; fit it again")
    codes = read["codes"].astype(np.float64)
    if (space.round(codes) != codes).any():
        raise UserError(f"{where} holds codes that are no architectures of space '{space.name}'")
    try:
        model = Latency(card, Tensors(**read))
        sound = all(np.isfinite(f([space.default()])).all() for f in (model.predict, model.predict_std))
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    if not sound:
        raise UserError(f"{where} answers with numbers that are not finite; fit it again")
    model.file = str(path)
    return model


def _card(content: Any, where: str) -> MachineCard:
    card: MachineCard = files.checked(content, MachineCard, f"the card in {where}")
    unknown = set(content) - {f.name for f in fields(MachineCard)}
    if unknown:
        raise UserError(f"the card in {where} has a key '{files.shown(min(unknown))}' that this version does not know")
    if card.space not in spaces.names():
        raise UserError(
            f"the card in {where} is of space '{files.shown(card.space)}'; spaces: {', '.join(spaces.names())}"
        )
    for name in ("device", "runtime", "task", "dtype", "host", "processor", "source"):
        setattr(card, name, files.printable(getattr(card, name)).replace("\n", " "))
    return card


def _kinds(space: Any, card: MachineCard, where: str) -> int:
    """How many kinds of work the space counts."""
    try:
        setting = card.setting()
    except UserError as error:
        raise UserError(f"the card in {where}: {error}") from None
    code = space.encode([space.default()])
    return int(raw_columns(space, code, setting)[0].shape[1])
