"""Predictors on disk: a safetensors file whose metadata carries the card. Reading one runs no code of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from ncp import files, runs, tensorfile
from ncp.errors import UserError, needed
from ncp.predictors.answers import AnyPredictor
from ncp.predictors.card import FORMAT, Card, checked_card, kinds

WEIGHTS = Path(__file__).parent / "weights"
# what a user may call the bundled families -> folder under WEIGHTS
FAMILIES = {"default": "default", "paper": "paper"}
MAX_FILE = 256 * 2**20  # bytes; the bundled ones have 0.2 MB each


def load(name_or_path: str | Path, family: str = "default") -> AnyPredictor:
    """A bundled predictor by setting (``seg``, ``cls-50-1000``, ... or ``cls``, ``det3d``), or one from a file.

    Args:
        name_or_path: a setting's name, or the path of a ``.safetensors`` file that ``src.fit`` wrote.
        family: which bundled one: ``default`` or ``paper``.

    Raises:
        UserError: for an unknown setting or family, or a file that is missing, malformed or holds non-finite weights.
    """
    text = str(name_or_path)
    if text.endswith(".safetensors"):
        return _read(Path(text))
    from ncp.benchmark import settings

    if family not in FAMILIES:
        raise UserError(
            f"unknown predictor family '{family}'; families: {', '.join(FAMILIES)}, or the path of a .safetensors file"
        )
    if settings.full_name(text) not in settings.SETTINGS and os.path.exists(os.path.expanduser(text)):
        raise UserError(
            f"'{files.printable(text)}' is no predictor's file: these end in .safetensors, as the predictor.safetensors that "
            f"{runs.invocation('fit')} makes from a table and leaves in its run folder"
        )
    setting = settings.get(text)
    path = WEIGHTS / FAMILIES[family] / f"{setting.name}.safetensors"
    if not path.exists():
        raise UserError(
            f"no bundled {family} predictor for '{setting.name}'; fit one with: {runs.invocation('fit')} setting={setting.name}"
        )
    return _read(path)


def made(card: Card, arrays: Mapping[str, np.ndarray]) -> AnyPredictor:
    """The predictor of a card and its arrays: a closed form, or for kinds without one, of other packages, in torch."""
    module = import_module(kinds()[card.kind])
    if hasattr(module, "made"):
        closed: AnyPredictor = module.made(card, arrays)
        return closed
    torch: Any = needed("torch")
    predictor = module.build(card)
    predictor.load_state_dict({name: torch.from_numpy(np.array(values)) for name, values in arrays.items()})
    own: AnyPredictor = predictor.eval().requires_grad_(False)
    return own


def _read(path: Path) -> AnyPredictor:
    """A predictor from a file: its card, then the arrays' shapes, then the arrays, each only if all before is right."""
    where = f"'{files.printable(path)}'"
    head = tensorfile.head(path, MAX_FILE)
    if head.metadata.get("format") != FORMAT or "card" not in head.metadata:
        raise UserError(f"{where} is a safetensors file but not a predictor (its metadata has no '{FORMAT}' card)")
    card = checked_card(files.parse_json(head.metadata["card"], f"the card in {where}"), f"the card in {where}")
    try:
        wanted = import_module(kinds()[card.kind]).shapes(card)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    tensorfile.check_shapes(head.shapes, wanted, f"the weights in {where} do not fit its card")
    predictor = made(card, tensorfile.arrays(path))
    if not path.is_relative_to(WEIGHTS):
        _try(predictor, where)
    return predictor


def _try(predictor: AnyPredictor, where: str) -> None:
    """Finite weights may still be no predictor: a scale of zero, points of which no matrix can be made."""
    for name, values in predictor.arrays.items():
        least = float(values.min()) if name.endswith("_std") and values.size else 1.0
        if least < 0 or (least == 0 and name.rpartition(".")[2] != "noise_std"):
            raise UserError(
                f"{where} holds a deviation of {least:g} ({name}), which must be positive; fit the predictor again"
            )
    code = predictor.space.encode([predictor.space.default()])
    try:
        with np.errstate(all="ignore"):
            answers = [*predictor.predict(code).values(), *predictor.predict_std(code).values()]
    except (RuntimeError, ValueError, IndexError) as error:
        raise UserError(f"{where} does not answer ({files.first_line(error)}); fit the predictor again") from None
    if not np.isfinite(answers).all():
        raise UserError(f"{where} answers with numbers that are not finite; fit the predictor again")
