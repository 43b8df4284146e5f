"""What an architecture takes: multiply-adds, parameters, peak memory, and milliseconds on the machines that were measured.

A quantity is one function of codes. On integer arrays it is what limits are held against; on continuous ones it has a slope.

Shape suffixes: N codes, D dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ncp import files, spaces
from ncp.benchmark import settings
from ncp.errors import UserError
from ncp.latency.card import TASKS, TRUSTED
from ncp.latency.model import Latency
from ncp.latency.storage import load
from ncp.models.setups import FRAMES
from ncp.numeric import finite, shown, whole
from ncp.slopes import Slope, by_autograd, largest
from ncp.spaces import slopes
from ncp.spaces.memory import BYTES

MIB = 2**20
LARGEST = 100_000  # height, width and batch of an input
# an input of some tasks, where no size is given, is another one than an image of 128 x 128
USUAL: dict[str, dict[str, Any]] = {"det3d": {"size": (496, 432)}, "video": {"frames": FRAMES}}


@dataclass(frozen=True)
class Quantity:
    """One of them.

    Attributes:
        name: as in budgets and results: ``macs``, ``params``, ``memory_mb``, ``latency_ms`` (of several machines the second
            one is ``latency_ms_2``).
        words: in tables.
        of: ``(N, D)`` codes (without a ``slope`` also a tensor of them) to ``(N,)`` in its own unit; of milliseconds the mean
            plus a margin, usually one standard deviation.
        unit, scale: in which people read it: ``of / scale`` in ``unit``.
        model: the machine, for milliseconds.
        file: where that was read.
        slope: the same as ``of`` with the way back; None: by autograd.
    """

    name: str
    words: str
    of: Callable[[Any], Any]
    unit: str
    scale: float = 1.0
    model: Latency | None = None
    file: str = ""
    slope: Callable[[np.ndarray], Slope] | None = None

    def at(self, codes_ND: np.ndarray) -> Slope:
        """``(N,)`` of continuous codes with the way back."""
        return self.slope(codes_ND) if self.slope is not None else by_autograd(self.of, codes_ND)

    def told(self, codes_ND: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """``(N,)`` values of valid codes; of milliseconds the predicted ones, and their standard deviation."""
        if self.model is not None:
            return self.model.posterior_of(codes_ND)
        return np.asarray(self.of(np.asarray(codes_ND).astype(np.int64)), dtype=np.float64), None

    def shown(self, value: float) -> str:
        """A value as tables and messages show it: exact counts whole, others rounded."""
        return f"{int(value):,} {self.words}" if self.scale > 1 else f"{value:.4g} {self.unit}"


def counted(space: spaces.Space[Any]) -> dict[str, Quantity]:
    """Multiply-adds and parameters, exact."""
    macs, params = (partial(_counted, space, i) for i in range(2))
    return {
        "macs": Quantity("macs", "multiply-adds", lambda codes: space.cost(codes).macs, "G", 1e9, slope=macs),
        "params": Quantity("params", "parameters", lambda codes: space.cost(codes).params, "M", 1e6, slope=params),
    }


def _counted(space: spaces.Space[Any], i: int, codes_ND: np.ndarray) -> Slope:
    return slopes.cost(space, codes_ND).column(i)


@dataclass(frozen=True)
class Inference:
    """How the network will be run, for its peak memory.

    Attributes:
        size: height and width of an input; None for 128 x 128, and for what a latency file was measured with.
        batch: inputs at once.
        dtype: of weights and maps.
    """

    size: tuple[int, int] | None = None
    batch: int = 1
    dtype: str = "fp32"

    @classmethod
    def read(cls, size: Any, batch: Any, dtype: Any) -> Inference:
        """From what a user gave; raises ``UserError`` for what is none."""
        if size is not None:
            if isinstance(size, (str, Mapping)) or not isinstance(size, Sequence) or len(size) != 2:
                raise UserError(f"size is [height, width], such as [512,1024], given was {shown(size)}")
            size = (whole("size", size[0], 1), whole("size", size[1], 1))
        batch = whole("batch", batch, 1)
        if max(*(size or (1, 1)), batch) > LARGEST:  # counts of bytes fit into 64 bits
            raise UserError(f"size and batch are at most {LARGEST:,}, given were size={shown(size)}, batch={batch:,}")
        if dtype not in BYTES:
            raise UserError(f"dtype is one of {', '.join(BYTES)}, given was {shown(dtype)}")
        return cls(size, batch, dtype)

    def on(self, machines: Sequence[Quantity]) -> Inference:
        """With the size at which a machine was measured, where none is given."""
        sizes = [m.model.card.size for m in machines if m.model is not None and m.model.card.size]
        return replace(self, size=(sizes[0][0], sizes[0][1])) if self.size is None and sizes else self


def memory(space: spaces.Space[Any], tasks: Iterable[str], run: Inference) -> Quantity:
    """Peak memory in MiB, of several tasks' networks the largest.

    Raises:
        UserError: for a space or a task of which it is not counted, and as the space's own count.
    """
    if not hasattr(space, "memory"):
        raise UserError(f"memory is not counted in space '{space.name}'; leave budget.memory_mb out")
    settings_of = []
    for task in dict.fromkeys(tasks):
        if task not in TASKS:
            raise UserError(f"memory is not counted for networks of task '{task}'; it is for {', '.join(TASKS)}")
        settings_of.append({**USUAL.get(task, {}), **TASKS[task], **({"size": run.size} if run.size else {})})

    def of(codes: Any) -> Any:
        parts = [space.memory(codes, batch=run.batch, dtype=run.dtype, **setting) for setting in settings_of]  # type: ignore[attr-defined]
        return np.max(parts, axis=0) / MIB

    def slope(codes: np.ndarray) -> Slope:
        parts = [slopes.memory(space, codes, batch=run.batch, dtype=run.dtype, **setting) for setting in settings_of]
        return largest(parts).then(np.max([p.value for p in parts], axis=0) / MIB, 1 / MIB)

    of(space.encode([space.default()]).astype(np.int64))  # what cannot be counted is refused now
    return Quantity("memory_mb", f"peak memory, {run.dtype}, batch {run.batch}", of, "MiB", slope=slope)


def machines(given: Any, space: spaces.Space[Any], run: Inference, margin: float = 1.0) -> list[Quantity]:
    """Milliseconds on the machines of latency files (one, a list of them, or models).

    Args:
        given: the files or models.
        space, run: of the search.
        margin: standard deviations that a limit is kept with.

    Raises:
        UserError: for a file that is no latency model, or of another space or size; for a negative margin.
    """
    margin = finite("latency_margin", margin, least=0)
    if given is None:
        return []
    listed = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    out = []
    for number, one in enumerate(listed, start=1):
        if not isinstance(one, (str, Path, Latency)):
            raise UserError(f"latency is a file that `latency` wrote, or a list of such files; given was {shown(one)}")
        model = one if isinstance(one, Latency) else load(one)
        name = "the latency model" if isinstance(one, Latency) else f"latency={files.printable(str(one))}"
        if model.card.space != space.name:
            raise UserError(
                f"{name} is of space '{model.card.space}', the search is in '{space.name}'; measure one of that space"
            )
        size = tuple(model.card.size) if model.card.size else None
        if run.size is not None and size is not None and size != run.size:
            raise UserError(
                f"{name} was measured at {size[0]}x{size[1]}, size={list(run.size)} was asked; measure at that size, or leave "
                "size out"
            )
        key = "latency_ms" if number == 1 else f"latency_ms_{number}"
        words = f"latency on {model.card.described()}"
        quantity = Quantity(key, words, model.predict, "ms", 1.0, model, model.file)
        out.append(with_margin(quantity, margin))
    return out


def with_margin(machine: Quantity, margin: float) -> Quantity:
    """Milliseconds that limits are held against: what is predicted and so many standard deviations; negative ones are bold."""
    assert machine.model is not None
    slope = partial(machine.model.safe, margin=margin)
    return replace(machine, of=partial(_milliseconds, machine.model, margin), slope=slope)


def check_trust(machine: Quantity, trust: bool) -> str | None:
    """Refuse a model whose errors are too large for a hard limit; what to say of it where ``trust`` allows it.

    Raises:
        UserError: stating its error and what to do.
    """
    assert machine.model is not None
    card = machine.model.card
    if card.trusted:
        return None
    error = "not known" if card.median_error is None else f"{100 * card.median_error:.1f} %"
    what = (
        f"the median error of {files.printable(machine.file) or 'the latency model'} on networks that it did not see is {error}, "
        f"more than {100 * TRUSTED:.0f} %"
    )
    if not trust:
        raise UserError(
            f"{what}: no hard limit; measure more networks or on a quieter machine, or take it all the same with "
            "latency.trust=true"
        )
    return what


def of_other_task(machine: Quantity, names: Iterable[str]) -> str | None:
    """What to say of a machine that was measured with the networks of a task that none of the settings ``names`` is of."""
    assert machine.model is not None
    task = machine.model.card.task
    wanted = dict.fromkeys(settings.SETTINGS[n].task for n in names if n in settings.SETTINGS)
    if not wanted or task not in TASKS or task in wanted:
        return None
    return (
        f"{files.printable(machine.file) or 'the latency model'} is of networks for {task}, and the search is for "
        f"{', '.join(wanted)}: its milliseconds are not theirs"
    )


def _milliseconds(model: Latency, margin: float, codes: Any) -> Any:
    mean, std = model.posterior_of(codes)
    return mean + margin * std


def tasks_of(names: Iterable[str]) -> list[str]:
    """The tasks of settings; those that are not known count as segmentation, the larger head."""
    return [settings.SETTINGS[n].task if n in settings.SETTINGS else "seg" for n in names]


def together(machines: Sequence[Quantity], space: spaces.Space[Any]) -> Quantity:
    """The milliseconds of several machines as one cost: each in units of its own spread over the space, added."""
    if len(machines) == 1:
        return machines[0]
    sample = spaces.sampled(space, 1024, np.random.default_rng(0))
    spreads = [float(np.std(m.of(sample))) or 1.0 for m in machines]

    def of(codes: Any) -> Any:
        total = machines[0].of(codes) / spreads[0]
        for machine, spread in zip(machines[1:], spreads[1:], strict=True):
            total = total + machine.of(codes) / spread
        return total

    def slope(codes: np.ndarray) -> Slope:
        parts = [machine.at(codes) for machine in machines]
        value = np.sum([p.value / spread for p, spread in zip(parts, spreads, strict=True)], axis=0)

        def pull(d_N: np.ndarray) -> np.ndarray:
            return np.asarray(np.sum([p.pull(d_N / spread) for p, spread in zip(parts, spreads, strict=True)], axis=0))

        return Slope(value, pull)

    return Quantity("latency", "latency on all machines, in spreads", of, "", slope=slope)
