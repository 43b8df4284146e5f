"""What every data set of the project shares: keys, the stream of training samples, loaders, the LightningDataModule.

A training is one long stream of samples: the concatenation of seeded permutations of the data set. Position ``p`` of the
stream belongs to epoch ``p // len(set)``, and every random number of a sample's augmentation comes from (seed, epoch,
sample index) alone. So the samples of step ``s`` depend neither on the number of devices and workers nor on how often the
run was interrupted, and a resumed run continues in the middle of an epoch.

Shape suffixes: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from ncp.data.ahead import CudaSide, ahead
from ncp.data.colours import DRAWN, PLACES, Colours, in_other_colours
from ncp.data.paths import hidden
from ncp.errors import UserError
from ncp.files import printable
from ncp.numeric import shown
from ncp.process import own_cores, side_by_side

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
IGNORE = 255  # the label that no loss and no metric counts

Sample = dict[str, Any]


class Key(NamedTuple):
    """Which sample, and in which epoch. Evaluation has epoch -1: no augmentation."""

    epoch: int
    item: int


def sample_rng(seed: int, key: Key) -> np.random.Generator:
    """The random numbers of one sample in one epoch."""
    return np.random.default_rng((seed, key.epoch + 1, key.item))


@dataclass(frozen=True)
class BatchPolicy:
    """How a total batch is spread: ``total = devices * per_device * accumulate``."""

    total: int
    devices: int
    per_device: int
    accumulate: int

    @classmethod
    def fit(cls, total: int, devices: int = 1, per_device: int | None = None) -> BatchPolicy:
        """Keep the total batch, with at most ``per_device`` samples at a time on each device (None: no limit).

        >>> BatchPolicy.fit(64, devices=2, per_device=8)
        BatchPolicy(total=64, devices=2, per_device=8, accumulate=4)

        Raises:
            UserError: when the devices do not divide the batch.
        """
        if total < 1 or devices < 1 or (per_device is not None and per_device < 1):
            raise UserError(f"batch sizes must be positive, given were batch={total} and per_device={per_device}")
        if total % devices:
            raise UserError(
                f"a total batch of {total} cannot be shared by {devices} devices; use a number of devices that divides "
                f"it, or recipe.batch={max(1, round(total / devices)) * devices}"
            )
        share = total // devices
        most = share if per_device is None else min(per_device, share)
        fitting = next(size for size in range(most, 0, -1) if share % size == 0)
        return cls(total, devices, fitting, share // fitting)


class StreamSampler(Sampler[list[Key]]):
    """Batches of keys for one device, from batch ``start`` of the training's stream on.

    Args:
        length: samples in the data set.
        batches: batches (of one device, before accumulation) in the whole training.
        start: batches that are already done; ``len()`` stays that of the whole training.
    """

    def __init__(self, length: int, batches: int, policy: BatchPolicy, rank: int, seed: int, start: int = 0) -> None:
        if length < 1:
            raise UserError("the training set is empty")
        self.length, self.batches, self.policy = length, batches, policy
        self.rank, self.seed, self.start = rank, seed, start
        self._order: tuple[int, np.ndarray] | None = None

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[Key]]:
        size, devices = self.policy.per_device, self.policy.devices
        for batch in range(self.start, self.batches):
            first = (batch * devices + self.rank) * size
            yield [self.key(position) for position in range(first, first + size)]

    def key(self, position: int) -> Key:
        """The sample at ``position`` of the stream."""
        epoch, offset = divmod(position, self.length)
        if self._order is None or self._order[0] != epoch:
            self._order = (epoch, np.random.default_rng((self.seed, epoch)).permutation(self.length))
        return Key(epoch, int(self._order[1][offset]))


class ShardSampler(Sampler[list[Key]]):
    """Every sample of a set once, in order, spread over the devices without padding (the last batches may be smaller)."""

    def __init__(self, length: int, batch: int, rank: int = 0, devices: int = 1) -> None:
        self.indices = range(rank, length, devices)
        self.batch = batch

    def __len__(self) -> int:
        return -(-len(self.indices) // self.batch)

    def __iter__(self) -> Iterator[list[Key]]:
        for first in range(0, len(self.indices), self.batch):
            yield [Key(-1, index) for index in self.indices[first : first + self.batch]]


class Loader(DataLoader[Sample]):
    """A DataLoader whose workers' ``UserError`` arrives as the one line it was, and that Lightning may resume.

    The position of a training's stream follows from the trainer's step (see ``DataModule.train_dataloader``), so there is
    no state to keep.

    Attributes:
        device: a GPU that batches are brought to ahead of time; None leaves them where they are.
        stay: entries of a batch that are read on the host.
        finish: what is done to a batch, on the device that it is brought to.
    """

    device: torch.device | None = None
    stay: Sequence[str] = ()
    finish: Callable[[Any], Any] = staticmethod(lambda batch: batch)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        try:
            batches = super().__iter__()
            if self.device is None:
                yield from map(self.finish, batches)
            else:
                yield from ahead(batches, CudaSide(self.device, self.stay, self.finish))
        except UserError as error:
            line = str(error).strip().splitlines()[-1]
            raise UserError(line.removeprefix("ncp.errors.UserError: ")) from None

    def state_dict(self) -> dict[str, Any]:
        """Nothing: see above."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing: see above."""


class Fixed(Dataset[Sample]):
    """The first ``count`` samples of a set, as they are in an evaluation."""

    def __init__(self, data: Dataset[Sample], count: int) -> None:
        self.data, self.count = data, min(count, len(data))  # type: ignore[arg-type]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, key: Key) -> Sample:
        return self.data[Key(-1, key.item)]


class DataModule(pl.LightningDataModule):
    """Base of all data sets.

    A subclass names its task, sets the attributes below (in ``__init__``, or in ``prepare`` where they depend on files), and
    builds ``train_set`` and ``val_set`` in ``prepare``: map-style data sets that take a :class:`Key`.

    Attributes:
        task: the task whose batches it yields (cls, seg, det3d, video).
        builtin: True for sets that need no files.
        classes: the classes' names, in the order of the labels.
        size: height and width of a training input in pixels.
        eval_size: height and width of an evaluation input, or None where images differ.
        eval_share: of an image's shorter side that an evaluation's centred window covers, where it cuts one.
        in_channels: channels of the network's input.
        mean, std: per channel, of images scaled to 0..1.
        notice: what a built-in set says of itself when it is used.
        source: what the samples are, in a few words, for tables and pictures ("HMDB51 split 1").
        training_macs: a training ends after so many multiply-adds; None for the recipe's length.
        stay: entries of a batch that are read on the host.

    Args:
        eval_batch: samples of an evaluation batch on each device.
        workers: loader processes per device, or ``auto``.
        overfit: train and evaluate on the first so many training samples, without augmentation (0: off).
        tiny: the smallest sizes with which everything still runs (for ``debug=tiny``).
        seed: of the stream and the augmentation.
        colours: where those of training images are changed, if they are: ``loader``, ``device`` (where the training is), or
            ``auto`` (a GPU where there is one).
    """

    task: ClassVar[str]
    builtin: ClassVar[bool] = False
    classes: Sequence[str] = ()
    size: tuple[int, int]
    eval_size: tuple[int, int] | None = None
    eval_share: float = 0.875
    in_channels: int = 3
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    train_set: Dataset[Sample]
    val_set: Dataset[Sample]
    collate: Any = None  # None: torch's default
    notice: str = ""
    source: str = ""
    training_macs: float | None = None
    stay: ClassVar[Sequence[str]] = (DRAWN,)

    def __init__(
        self,
        *,
        eval_batch: int = 1,
        workers: int | str = "auto",
        overfit: int = 0,
        tiny: bool = False,
        seed: int = 0,
        colours: str = "auto",
    ) -> None:
        super().__init__()
        if colours not in PLACES:
            raise UserError(f"data.colours must be one of {', '.join(PLACES)}, given was {shown(colours)}")
        if eval_batch < 1:
            raise UserError(f"data.eval_batch must be at least 1, given was {eval_batch}")
        if workers != "auto" and (not isinstance(workers, int) or workers < 0):
            raise UserError(f"data.workers must be 'auto' or a number from 0 up, given was {workers!r}")
        if isinstance(workers, int) and workers > (most := max(64, 4 * len(own_cores()))):
            raise UserError(f"data.workers={workers} are too many for this machine; at most {most}, or 'auto'")
        if overfit < 0:
            raise UserError(f"data.overfit must be a number of samples, given was {overfit}")
        self.eval_batch, self.workers, self.seed = eval_batch, workers, seed
        self.overfit, self.tiny, self.colours = overfit, tiny, colours
        self.policy = BatchPolicy.fit(1)
        self.batches = 0
        self.sharing = 1  # processes that load data on the cores that this one may use
        self._prepared = False

    @abstractmethod
    def prepare(self) -> None:
        """Find the files and build ``train_set`` and ``val_set``; raises ``UserError`` for a wrong layout."""

    def setup(self, stage: str | None = None) -> None:
        """Prepare once, whatever the stage."""
        if not self._prepared:
            self.prepare()
            self._prepared = True
            if self.overfit:
                self.train_set = self.val_set = Fixed(self.train_set, self.overfit)
            for split, data in (("training", self.train_set), ("validation", self.val_set)):
                if len(data) == 0:  # type: ignore[arg-type]
                    raise UserError(f"the {split} split of {type(self).__name__} is empty")

    def plan(self, policy: BatchPolicy, steps: int) -> None:
        """Fix the training's stream: ``steps`` optimiser steps of ``policy.total`` samples."""
        self.policy, self.batches = policy, steps * policy.accumulate

    def resolved(self) -> dict[str, Any]:
        """Options that were left to the data, as it chose them, for checkpoints: elsewhere it might choose others. Plain values.
        Default: none."""
        return {}

    def describe(self, folder: Path) -> None:
        """Write what identifies the data beside the run (for example the chosen subset). Default: nothing."""

    def train_dataloader(self) -> Loader:
        """This device's part of the stream, from the trainer's step on (so a resumed run goes on where it was)."""
        rank, start = 0, 0
        if self.trainer is not None:
            rank, start = self.trainer.global_rank, self.trainer.global_step * self.policy.accumulate
        length = len(self.train_set)  # type: ignore[arg-type]
        sampler = StreamSampler(length, self.batches, self.policy, rank, self.seed, start)
        device = self.trainer.strategy.root_device if self.trainer is not None else torch.device("cpu")
        changed: Colours | None = getattr(self.train_set, "colours", None)
        if changed is not None:
            late = self.colours == "device" or (self.colours == "auto" and device.type == "cuda")
            self.train_set.late = late  # type: ignore[attr-defined]
        loader = self._loader(self.train_set, sampler)
        loader.stay = self.stay
        if changed is not None:
            loader.finish = partial(in_other_colours, colours=changed)
        if device.type == "cuda":
            loader.device = device
        return loader

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Lightning's own copy, of batches that were not brought ahead; what is read on the host stays there as well."""
        if not isinstance(batch, dict):
            return super().transfer_batch_to_device(batch, device, dataloader_idx)
        brought = {key: value for key, value in batch.items() if key not in self.stay}
        brought = super().transfer_batch_to_device(brought, device, dataloader_idx)
        return {key: brought.get(key, value) for key, value in batch.items()}

    @property
    def known_as(self) -> str:
        """The set in a word or two, for results and comparisons."""
        return type(self).__name__

    @property
    def idle(self) -> bool:
        """Whether there are fewer validation samples than devices, and none for this one."""
        return self.trainer is not None and self.trainer.global_rank >= len(self.val_set)  # type: ignore[arg-type]

    def val_dataloader(self) -> Loader:
        """This device's part of the validation set. An idle device gets the first sample, which its task must not count: every
        device takes part in the operations around an evaluation."""
        rank, devices = (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)
        length = len(self.val_set)  # type: ignore[arg-type]
        sampler = ShardSampler(1, 1) if self.idle else ShardSampler(length, self.eval_batch, rank, devices)
        return self._loader(self.val_set, sampler)

    def _loader(self, data: Dataset[Sample], sampler: StreamSampler | ShardSampler) -> Loader:
        auto = 0 if self.builtin else worker_count(self.sharing)
        workers = auto if self.workers == "auto" else int(self.workers)
        workers = min(workers, len(sampler))  # one without a batch would only be started and stopped
        return Loader(
            data,
            batch_sampler=sampler,
            num_workers=workers,
            pin_memory=torch.cuda.is_available(),
            collate_fn=self.collate,
            prefetch_factor=4 if workers else None,
        )


def worker_count(sharing: int = 1, most: int = 16) -> int:
    """Loader processes of a device: the cores that its process may use, divided by the processes that share them (of this
    training and of others side by side with it), less one for the step.

    Args:
        sharing: see :func:`sharing_cores`.
        most: at most so many.
    """
    return max(1, min(most, len(own_cores()) // (sharing * side_by_side()) - 1))


def sharing_cores(mine: tuple[str, frozenset[int]], everybody: Sequence[tuple[str, frozenset[int]]]) -> int:
    """How many of a training's processes share one's cores: those of the same machine that may run on some of them.

    Where SLURM binds its tasks each has cores of its own; elsewhere all processes of a machine have all of its cores.

    Args:
        mine: machine and cores of this process.
        everybody: of all processes, this one among them.

    >>> bound = [("a", frozenset({0, 1})), ("a", frozenset({2, 3}))]
    >>> sharing_cores(bound[0], bound), sharing_cores(("b", frozenset({0, 1})), [("b", frozenset({0, 1}))] * 2 + bound)
    (1, 2)
    """
    machine, cores = mine
    return sum(machine == other and bool(cores & theirs) for other, theirs in everybody)


def find_root(root: str | os.PathLike[str] | None, wanted: Sequence[str], name: str) -> Path:
    """The folder of a data set, which must hold the ``wanted`` entries.

    Raises:
        UserError: saying what was looked for and what was found.
    """
    if not root:
        raise UserError(f"{name} needs data.root=<its folder>, which holds {', '.join(wanted)}")
    path = Path(root).expanduser()
    try:
        return _checked_root(path, root, wanted, name)
    except OSError as error:
        raise UserError(f"data.root='{printable(root)}' cannot be read ({error.strerror})") from None


def _checked_root(path: Path, root: str | os.PathLike[str], wanted: Sequence[str], name: str) -> Path:
    if not path.is_dir():
        raise UserError(
            f"data.root='{printable(root)}' is not a folder; {name} needs one that holds {', '.join(wanted)}"
        )
    missing = [entry for entry in wanted if not (path / entry).is_dir()]
    if missing:
        present = [printable(entry) for entry in sorted(os.listdir(path)) if not hidden(entry)]
        found = ", ".join(present[:8]) + (", ..." if len(present) > 8 else "") if present else "nothing"
        raise UserError(
            f"data.root='{printable(root)}' is not {name}: looked for {', '.join(missing)} and found {found}; a set of your own "
            "is given with data=folder and its task"
        )
    return path


def to_tensor(array: np.ndarray) -> Tensor:
    """A torch tensor of a numpy array, whatever its strides."""
    return torch.from_numpy(np.ascontiguousarray(array))
