"""What crosses from Python to the page: one description of the space, the settings, the predictors and the machines.

Names, bounds, counting rules and weights are those of this library; the page computes with them and knows none by itself.
Numbers travel in one block beside the JSON, each array in the shortest type that holds it exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ncp import files, runs
from ncp.benchmark import settings
from ncp.errors import UserError
from ncp.latency.card import TASKS
from ncp.latency.model import Latency
from ncp.models.setups import FRAMES
from ncp.predictors.answers import AnyPredictor
from ncp.predictors.trust import without_skill
from ncp.search.objectives import LEARNED_COST, Objective, cost_scale
from ncp.search.region import Region
from ncp.search.starts import Starts
from ncp.spaces.cost import count_polynomials
from ncp.spaces.dimensions import DIMENSIONS
from ncp.spaces.found import FOUND
from ncp.spaces.memory import stored
from ncp.spaces.multires import SPACE, depth_polynomials
from ncp.spaces.polynomial import Polynomial
from ncp.spaces.work import CHANNELS, VECTOR, work_polynomials

__all__ = ["Arrays", "Given", "description"]
STARTS = 31  # random codes beside the first one, those of a search with seed 0
SAMPLE = 256  # architectures over which the range of a metric is told
INPUT = ("size", "head", "classes", "in_channels", "stem_strides")  # the order of work_polynomials
WORDS = {
    "cls": "Classification", "seg": "Segmentation", "det3d": "3D detection", "video": "Video",
}  # fmt: skip


@dataclass(frozen=True)
class Given:
    """A predictor in the page.

    Attributes:
        predictor: the predictor itself.
        family: ``default`` (asked by default, and the judge) or ``paper`` (asked by the paper's strategies).
        file: where it was read, as the user wrote it; empty for bundled ones.
    """

    predictor: AnyPredictor
    family: str = "default"
    file: str = ""


@dataclass
class Arrays:
    """Arrays one behind the other; each is described by where it is, how many numbers it has and how many bytes a number.

    The bytes of an array lie plane by plane (all first bytes, then all second ones, ...), which makes them shorter to pack.
    """

    parts: list[bytes] = field(default_factory=list)
    length: int = 0

    def add(self, array: Any) -> dict[str, int]:
        """Put an array into the block in the shortest floating type that holds it; returns its description."""
        values = np.ascontiguousarray(array).ravel()
        for kind in (np.float16, np.float32, np.float64):
            with np.errstate(over="ignore"):
                short = values.astype(kind)
            if np.array_equal(short.astype(np.float64), values.astype(np.float64)):
                break
        plain = short.astype(short.dtype.newbyteorder("<")).view(np.uint8).reshape(-1, short.itemsize)
        self.parts.append(plain.T.tobytes())
        where = {"at": self.length, "count": len(values), "bytes": short.itemsize}
        self.length += len(self.parts[-1])
        return where

    def joined(self) -> bytes:
        """All of it, filled up to whole words of four bytes."""
        return b"".join(self.parts) + bytes(-self.length % 4)


def description(predictors: Sequence[Given], machines: Sequence[tuple[Latency, str]], block: Arrays) -> dict[str, Any]:
    """What the page knows, as JSON; arrays go into ``block``.

    Args:
        predictors: all of them; of a family each setting once.
        machines: latency models, each with the file that it was read from.

    Raises:
        UserError: for a predictor or a machine of another space, or a kind of predictor that the page cannot compute.
    """
    by_default = {given.predictor.setting: given for given in predictors if given.family == "default"}
    return {
        "command": runs.invocation("search"),
        "train": runs.invocation("train"),
        "space": _space(),
        "tasks": {task: _task(task, setting) for task, setting in TASKS.items()},
        "settings": {name: _setting(given) for name, given in by_default.items()},
        "predictors": [_described(given, block) for given in predictors],
        "machines": [_machine(model, file, block) for model, file in machines],
    }


def _space() -> dict[str, Any]:
    macs, params = count_polynomials()
    rng = np.random.default_rng(0)
    default = SPACE.encode([SPACE.default()])[0]
    starts = Starts(Region(SPACE), default, 1 + STARTS, rng).all()[1:]
    return {
        "name": SPACE.name,
        "dimensions": [dimension._asdict() for dimension in DIMENSIONS],
        "default": list(SPACE.default().code),
        "scale": SPACE.scale.tolist(),
        "cost_scale": cost_scale(SPACE.name),
        "starts": starts.astype(int).tolist(),
        "named": FOUND,
        "polynomials": {
            "macs": terms(macs), "params": terms(params), "depths": [terms(p) for p in depth_polynomials()],
        },
    }  # fmt: skip


def terms(polynomial: Polynomial | int) -> list[list[int]]:
    """A polynomial as lists ``[coefficient, variable, variable, ...]``, one a monomial."""
    return [[coefficient, *monomial] for monomial, coefficient in Polynomial.of(polynomial).terms.items()]


def _task(task: str, setting: Mapping[str, Any]) -> dict[str, Any]:
    """How a task's network is counted, with the monomials of its weights and biases."""
    frames = FRAMES if task == "video" else 0
    # of how large an input is no weight depends
    weights = stored(Polynomial.variables(len(DIMENSIONS)), size=(128, 128), frames=frames, **setting)
    return {**setting, "frames": frames, "memory_weights": terms(weights)}


def _setting(given: Given) -> dict[str, Any]:
    predictor = given.predictor
    name = predictor.setting
    known = settings.SETTINGS.get(name)
    main = known.main if known and known.main in predictor.metrics else predictor.metrics[0]
    sample = SPACE.sample(SAMPLE, np.random.default_rng(1))
    predicted = predictor.predict(sample)
    short = next((s for s, full in settings.SHORT.items() if full == name), name)
    return {
        "short": short,
        "task": known.task if known else "",
        "words": WORDS.get(known.task, known.task) if known else name,
        "dataset": known.dataset if known else "",
        "main": main,
        "metrics": {
            metric: {
                "sign": int(Objective.parse(f"{name}.{metric}", {name: predictor}).sign),
                "unlearned": without_skill(predictor, metric) or "",
                "range": [float(np.quantile(values, 0.02)), float(values.max())],
            }
            for metric, values in predicted.items()
        },
        "file": given.file,
    }


def _described(given: Given, block: Arrays) -> dict[str, Any]:
    predictor = given.predictor
    card = predictor.card
    if card.space != SPACE.name:
        raise UserError(
            f"the predictor of {card.setting} is of space '{card.space}'; the explorer shows '{SPACE.name}'"
        )
    return {
        "name": card.setting,
        "family": given.family,
        **_numbers(predictor, block),
        "rows": card.rows,
        "errors": {m: {k: round(v, 4) for k, v in e.items()} for m, e in card.errors.items() if m in card.metrics},
        "source": card.source,
        "licence": card.licence,
        "protocol": card.protocol,
        "region": card.region,
    }


def _numbers(predictor: Any, block: Arrays) -> dict[str, Any]:
    """Kind, sizes and arrays of a predictor, and the predictors within it."""
    predictor = predictor.closed()
    if predictor.card.kind not in ("gp", "mlp", "transfer"):
        raise UserError(
            f"the explorer computes predictors of kind gp, mlp and transfer; that of {predictor.setting} is of kind "
            f"'{files.shown(predictor.card.kind)}'"
        )
    if predictor.card.kind == "mlp":
        predictor = predictor.fold()  # norms go into the layers
    inner = list(getattr(predictor, "known", ()))
    own = {k: v for k, v in predictor.arrays.items() if not k.startswith("known.")}
    config = {k: v for k, v in predictor.card.config.items() if k != "known"}
    return {
        "kind": predictor.card.kind,
        "metrics": list(predictor.metrics),
        "config": config,
        "arrays": {name: block.add(value) for name, value in own.items()},
        "known": [_numbers(one, block) for one in inner],
    }


def _machine(model: Latency, file: str, block: Arrays) -> dict[str, Any]:
    if model.card.space != SPACE.name:
        raise UserError(
            f"latency={files.printable(file)} is of space '{model.card.space}'; the explorer shows '{SPACE.name}'"
        )
    return {
        "file": file,
        "described": model.card.described(),
        "trusted": model.card.trusted,
        "card": asdict(model.card),
        "milliseconds": np.quantile(
            model.predict(SPACE.sample(SAMPLE, np.random.default_rng(1))), [0.02, 0.5, 0.98]
        ).tolist(),
        "work": [terms(p) for p in work_polynomials(*(model.setting[name] for name in INPUT))],
        "channels": list(CHANNELS),
        "vector": VECTOR,
        "arrays": {name: block.add(value) for name, value in model.tensors._asdict().items()},
    }


def paper_part(predictor: Any) -> Any:
    """Of a predictor of the paper what its searches ask: the main metric, and the cost that it has learned."""
    known = settings.SETTINGS.get(predictor.setting)
    main = known.main if known else predictor.metrics[0]
    return predictor.select([main, LEARNED_COST])
