"""What a predictor says of itself, and which kinds of predictors there are."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Annotated, Any

import numpy as np
from msgspec import Meta

from ncp import files, registry
from ncp.errors import UserError

FORMAT = "ncp-predictor-1"  # of files
# kind -> module that tells the ``shapes(card)`` of its arrays without making any (a card may say anything), and has either
# ``made(card, arrays)``, a predictor that answers in numpy, or ``build(card)``, an empty one in torch; further ones: kinds()
KINDS = {
    "mlp": "ncp.predictors.closed.mlp", "gp": "ncp.predictors.closed.gp", "transfer": "ncp.predictors.closed.transfer",
}  # fmt: skip

# what a card in a file may say
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[\w.+@/ -]+\Z")]
Text = Annotated[str, Meta(max_length=10_000)]
Names = Annotated[tuple[Name, ...], Meta(min_length=1, max_length=100)]
Count = Annotated[int, Meta(ge=0, le=10**9)]


def kinds() -> dict[str, str]:
    """Kind -> module of all kinds: ours, and those that installed packages announce (entry points of ``ncp.predictors``).

    A module has ``shapes(card)``, ``build(card)`` or ``made(card, arrays)``, and
    ``fit(rows, *, validation, seed, progress, **options)`` where
    ``predictor.family=KIND`` is to fit one.
    """
    return {**registry.announced("ncp.predictors"), **KINDS}


@dataclass
class Card:
    """What a predictor is and how far it can be trusted.

    Attributes:
        kind: the family: ``gp`` (the default), ``transfer`` (few rows) or ``mlp`` (the paper's).
        setting: the setting it predicts, such as ``seg``.
        space: name of the search space.
        metrics: M names in the order of its outputs, the tables' own names; units are the tables' (percent points for
            metrics, billions and millions for ``flops`` and ``params``).
        rows: number of rows it was fitted on.
        protocol: how rows were chosen and what errors were measured on, in words.
        errors: per metric, errors on rows it did not see: ``mae``, ``rmse``, ``spearman``, ``kendall``, ...
        source: where the rows came from.
        licence: the terms of that source.
        config: what is needed to rebuild the module (sizes, activation, ...).
        held: number of rows on which the errors were measured; 0 where that is not known.
        region: ``lower`` and ``upper``, D numbers each: bounds of the architectures that it was fitted on; empty where they
            come from the whole space.
        min_overlap: of detection, by class the overlap from which boxes counted as found in the rows; empty where unknown.
    """

    kind: str
    setting: Name
    metrics: Names
    space: Name = "multires"
    rows: Count = 0
    protocol: Text = ""
    errors: dict[str, dict[str, float]] = field(default_factory=dict)
    source: Text = ""
    licence: Text = ""
    config: dict[str, Any] = field(default_factory=dict)
    held: Count = 0
    region: dict[str, list[float]] = field(default_factory=dict)
    min_overlap: dict[Name, Annotated[float, Meta(gt=0, le=1)]] = field(default_factory=dict)


def checked_card(content: Any, what: str) -> Card:
    """A card out of a file, each of its entries within what it may be; ``what`` names it. Raises ``UserError``."""
    card: Card = files.checked(content, Card, what)
    unknown = set(content) - {f.name for f in fields(Card)}
    if unknown:
        raise UserError(f"{what} has a key '{files.shown(min(unknown))}' that this version does not know")
    if card.kind not in kinds():
        raise UserError(f"{what} is of kind '{files.shown(card.kind)}'; kinds: {', '.join(kinds())}")
    if len(set(card.metrics)) < len(card.metrics):
        raise UserError(f"{what} names a metric twice: {', '.join(card.metrics)}")
    for metric, figures in card.errors.items():
        for name, value in figures.items():
            ranks = name in ("spearman", "kendall")
            if not (-1 <= value <= 1 if ranks else 0 <= value < np.inf):
                kind = "-1..1" if ranks else "0 or more"
                raise UserError(
                    f"{what} gives {files.shown(name)} {value:g} for {files.shown(metric)}; it must be {kind}"
                )
    files.safe_file(card.setting, f"setting on {what}")
    for name in ("protocol", "source", "licence"):
        setattr(card, name, files.printable(getattr(card, name)))
    return card
