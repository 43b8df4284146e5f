"""Settings: a way to train and measure an architecture, each written in one file, ``conf/setting/NAME.yaml``.

The file says what is measured and on what, and how it is trained: on real data (where ``data.root`` is given) and on a built-in
set (where it is not). Training, building, fitting, searching, reporting and the tables all read it here. A user's own folder
(``--config-dir``, ``$NCP_CONFIG``) may hold further ones; a file that cannot be used is refused when it is read, naming the key.
What is measured in the same way on architectures of several spaces is one file too: with ``spaces: [A, B]`` it stands for the
settings ``A/NAME`` and ``B/NAME``.

Source of the nine of NAS-Bench-MR: the paper's section 3.2 and Table 6; names as in the public release.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ncp import configs, files
from ncp.errors import UserError

FOLDER = "setting"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*(/[A-Za-z0-9][A-Za-z0-9_.+-]*)?")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
CHANGEABLE = ("data", "recipe", "task", "model")
MOVABLE = ("root", "cache", "workers", "eval_batch")
"""Keys of ``data`` that say where files lie and how they are read, not what is trained on."""
_NINE = 9  # settings of the paper have the orders 1 to 9
PAPER: tuple[str, ...]
"""The nine settings of NAS-Bench-MR, in the paper's order (``order`` in their files)."""
SHORT: Mapping[str, str]
"""A task's name stands for its first setting, of those that are trained."""


@dataclass(frozen=True)
class Variant:
    """How a setting is trained on one kind of data.

    Attributes:
        data: an option of the group ``data`` (``conf/data/NAME.yaml``).
        recipe: an option of the group ``recipe``; None for the one that the data brings.
        change: what differs from these options, ``{data | recipe | task | model: {key: value}}``.
        in_spaces: what else differs in one of several ``spaces``, ``{space: {data | recipe | task | model: {key: value}}}``; it
            has become part of ``change`` where a setting is read.
        result, time, source: what to expect, how long it takes, and where that is from; for people.
    """

    data: str
    recipe: str | None = None
    change: dict[str, dict[str, Any]] = field(default_factory=dict)
    in_spaces: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    result: str = ""
    time: str = ""
    source: str = ""


COST_UNITS = ("release", "release-kitti", "rounded-millions")
"""Conventions of recorded costs: see :func:`ncp.benchmark.checks.check_cost`."""


@dataclass(frozen=True)
class Setting:
    """One column group of the benchmark: what was trained, and what was measured in percent points.

    Attributes:
        name: the file's name (for the paper's nine, the release's name), spelled so everywhere.
        task: an option of the group ``task`` (:func:`tasks`); of a table alone any name.
        metrics: the measured quantities, the main one first; higher is better unless they are among ``smaller``.
        main: the metric that is reported and searched for; the first one unless the file says otherwise.
        dataset: what the networks are trained and measured on.
        paper_name: the column's name in the paper's tables and figures; the name where it has none.
        space: the search space of its architectures, a name that ``ncp.spaces.get`` knows.
        min_overlap: of detection, by class the overlap (IoU) from which a box counts as found; figures at different ones are
            different metrics. Empty for other tasks, and where it is not known.
        real, builtin: how it is trained where ``data.root`` is given, and where it is not; None where it cannot be.
        order: the place in lists; the paper's settings have 1 to 9.
        proxy: a setting of the same task and space that trains more cheaply (fewer steps, smaller images) and ranks
            architectures much alike; empty for none.
        ranges: metric -> least and largest possible value, where that is not 0..100.
        smaller: quantities of which less is better, among the metrics or among a table's other columns.
        published: metric -> by what papers multiply it, where they do.
        units: column -> its unit, of what is no percentage: times in ``s`` or ``ms``.
        cost_units: the convention in which ``flops`` and ``params`` are recorded in its tables, one of :data:`COST_UNITS`, and
            against which they are checked; empty where it is not known.
        failed_below: a recorded training whose main metric is under this counts as failed; None where there is no such gap.
    """

    name: str
    task: str
    metrics: tuple[str, ...]
    main: str = ""
    dataset: str = ""
    paper_name: str = ""
    space: str = "multires"
    min_overlap: dict[str, float] = field(default_factory=dict)
    real: Variant | None = None
    builtin: Variant | None = None
    order: int = 1000
    proxy: str = ""
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    smaller: tuple[str, ...] = ()
    published: dict[str, float] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    failed_below: float | None = None
    cost_units: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UserError(f"a setting's name is made of letters, digits and - _ . +, given was '{self.name}'")
        if not _WORD.fullmatch(self.task) or ((self.real or self.builtin) and self.task not in tasks()):
            raise UserError(f"task must be one of {', '.join(tasks())}, given was '{files.printable(self.task)}'")
        if not self.metrics or len(set(self.metrics)) < len(self.metrics):
            raise UserError("metrics must list different names, the main one first")
        for name, default in (("main", self.metrics[0]), ("dataset", self.name), ("paper_name", self.name)):
            if not getattr(self, name):
                object.__setattr__(self, name, default)
        if not all(0 < overlap <= 1 for overlap in self.min_overlap.values()):
            raise UserError(f"min_overlap must be above 0 and at most 1, given was {self.min_overlap}")
        if self.cost_units and self.cost_units not in COST_UNITS:
            raise UserError(
                f"cost_units must be one of {', '.join(COST_UNITS)}, given was '{files.printable(self.cost_units)}'"
            )
        if self.main not in self.metrics:
            raise UserError(f"main must be one of the metrics {', '.join(self.metrics)}, given was '{self.main}'")
        for metric, (low, high) in self.ranges.items():
            if metric not in self.metrics or not low < high:
                raise UserError(f"ranges gives [least, largest] of metrics, given was {metric}: [{low:g}, {high:g}]")
        for variant in (self.real, self.builtin):
            unknown = [part for part in (variant.change if variant else ()) if part not in CHANGEABLE]
            if unknown:
                raise UserError(f"change may hold {', '.join(CHANGEABLE)}, given was '{unknown[0]}'")

    def described(self) -> dict[str, Any]:
        """What is measured, without how it is trained: what a table says of its setting."""
        first = ("name", "task", "metrics", "main", "dataset", "paper_name", "space", "min_overlap")
        names = (*first, "ranges", "smaller", "published")
        return {name: getattr(self, name) for name in names}

    def range(self, metric: str) -> tuple[float, float]:
        """The least and the largest possible value of a metric, also of one after an epoch (``top1@50``)."""
        return self.ranges.get(_base(metric), (0.0, 100.0))

    def as_fractions(self, metric: str, largest: float) -> bool:
        """Whether a metric in percent points seems to hold fractions; ``largest`` is the largest value of all rows (zero, where
        nothing was learned, is none)."""
        return self.range(metric) == (0.0, 100.0) and 0 < largest <= 1

    def unit(self, column: str) -> str:
        """What the setting's file says; else ``%`` for what lies in 0..100; nothing for others, such as a similarity or a loss.

        >>> get("seg").unit("mIoU"), get("transnas-micro/normal").unit("valid_ssim")
        ('%', '')
        >>> get("transnas-micro/normal").unit("time_elapsed")
        's'
        """
        base = _base(column)
        if base in self.units:
            return self.units[base]
        other = base not in self.metrics and (base in self.smaller or not _percentage(base))
        return "" if other or self.range(base) != (0.0, 100.0) else "%"

    def sign(self, column: str) -> float:
        """1 where a larger value is better, -1 where a smaller one is."""
        return -1.0 if _base(column) in self.smaller else 1.0

    def variant(self, real: bool) -> Variant:
        """How it is trained on real data, or on the built-in set.

        Raises:
            UserError: where it cannot be, saying what to give.
        """
        found = self.real if real else self.builtin
        if found is not None:
            return found
        if self.real is None and self.builtin is None:
            raise UserError(f"setting={self.name} is a table alone; it is not trained here")
        if real:
            raise UserError(f"setting={self.name} has no real data set, only a built-in one; leave data.root out")
        raise UserError(f"setting={self.name} has no built-in set; give data.root=<where its data is>")


def _base(column: str) -> str:
    """The metric of a column such as ``top1@50`` or ``valid_loss:final``."""
    return column.partition("@")[0].partition(":")[0]


def read(path: Path, name: str) -> Setting:
    """The setting of a file; of one with ``spaces`` that in the space that ``name`` begins with.

    Raises:
        UserError: naming the file and the key, for a missing or unknown key, a wrong type, a name other than ``name``, or a
            proxy that is none.
    """
    setting = _parse(path, name)
    if setting.proxy:
        _check_proxy(setting, f"the setting file '{files.printable(path)}'")
    return setting


def _check_proxy(setting: Setting, where: str) -> None:
    """Whether the setting's proxy can be one: its file is looked at, and no further one."""
    name, given = full_name(setting.proxy), files.printable(setting.proxy)
    if name == setting.name:
        raise UserError(f"{where}: proxy must be another setting, given was '{given}', the setting itself")
    path = next((found[name] for found in map(_find, (configs.shipped(), *configs.own())) if name in found), None)
    if path is None:
        raise UserError(f"{where}: proxy must be a setting's name, given was '{given}', of which there is no file")
    other = _parse(path, name)
    for what in ("task", "space"):
        theirs, its = getattr(other, what), getattr(setting, what)
        if theirs != its:
            raise UserError(
                f"{where}: proxy must be of the same {what} ({its}), given was '{given}', whose {what} is {theirs}"
            )
    if full_name(other.proxy) == setting.name:
        raise UserError(
            f"{where}: proxy must be the cheaper one of two, given was '{given}', whose own proxy is {setting.name}"
        )


@lru_cache(maxsize=256)
def _content(path: Path, stamp: tuple[int, int]) -> Any:
    return files.read_yaml(path)


def _parse(path: Path, name: str) -> Setting:
    """The setting of a file by itself."""
    content = _content(path, _stamp(path))
    where = f"the setting file '{files.printable(path)}'"
    if not isinstance(content, Mapping):
        raise UserError(f"{where} holds no keys; it needs name, task and metrics")
    _known_keys(content, Setting, where, ("spaces",))
    content, called = dict(content), name
    if "spaces" in content:
        space, _, called = name.rpartition("/")
        if space not in _spaces(content) or "space" in content:
            raise UserError(f"{where}: spaces is a list of spaces' names, and takes the place of space")
        content["space"] = space
        del content["spaces"]
    for part in ("real", "builtin"):
        if isinstance(content.get(part), Mapping):
            _known_keys(content[part], Variant, f"{where}, {part}")
    spaces = _spaces(_content(path, _stamp(path)))
    setting: Setting = files.checked(content, Setting, where)
    if setting.name != called:
        raise UserError(f"{where} must have name: {called}, as the file is called, given was '{setting.name}'")
    real, builtin = (_in_space(each, setting.space, spaces, where) for each in (setting.real, setting.builtin))
    return replace(setting, name=name, real=real, builtin=builtin)


def _in_space(variant: Variant | None, space: str, spaces: Sequence[str], where: str) -> Variant | None:
    """A variant with what is different in its space among its changes."""
    if variant is None or not variant.in_spaces:
        return variant
    for name in variant.in_spaces:
        if name not in spaces:
            raise UserError(
                f"{where}: in_spaces names {', '.join(spaces) or 'nothing without spaces'}, given was '{files.printable(name)}'"
            )
    change = {part: dict(keys) for part, keys in variant.change.items()}
    for part, keys in variant.in_spaces.get(space, {}).items():
        change.setdefault(part, {}).update(keys)
    return replace(variant, change=change, in_spaces={})


def _spaces(content: Any) -> list[str]:
    """The spaces that the content of a setting's file lists; none where it lists none."""
    given = content.get("spaces") if isinstance(content, Mapping) else None
    return [space for space in given if isinstance(space, str)] if isinstance(given, list) else []


def _known_keys(content: Mapping[str, Any], kind: type, where: str, more: tuple[str, ...] = ()) -> None:
    names = [*kind.__dataclass_fields__, *more]  # type: ignore[attr-defined]
    for key in content:
        if key not in names:
            raise UserError(f"{where}: unknown key '{files.printable(key)}'; the keys are {', '.join(names)}")


@lru_cache(maxsize=256)
def _read(path: Path, name: str, stamp: tuple[int, int]) -> Setting:
    return read(path, name)


def _find(folder: Path) -> dict[str, Path]:
    """Setting files below a folder of configurations, ``{name: path}``; one level of folders may group them."""
    root = folder / FOLDER
    found = sorted([*root.glob("[!.]*.yaml"), *root.glob("[!.]*/[!.]*.yaml")])  # those with a point are being written
    names = {path: path.relative_to(root).with_suffix("").as_posix() for path in found}
    return {each: path for path, name in names.items() for each in _names(path, name, _stamp(path))}


def _stamp(path: Path) -> tuple[int, int]:
    try:
        about = path.stat()
    except OSError:  # told when the file is read
        return 0, 0
    return about.st_mtime_ns, about.st_size


@lru_cache(maxsize=256)
def _names(path: Path, name: str, stamp: tuple[int, int]) -> tuple[str, ...]:
    """The settings that a file stands for: the one that it is called, or one in each space that it lists."""
    try:
        spaces = _spaces(_content(path, stamp))
    except UserError:  # told when the setting is read
        return (name,)
    names = tuple(f"{space}/{path.stem}" for space in spaces)
    return names if names and all(_NAME.fullmatch(each) for each in names) else (name,)


class _Settings(Mapping[str, Setting]):
    """All settings by name: the shipped ones in their order, then the user's. Files are read when they are asked for."""

    def __getitem__(self, name: str) -> Setting:
        shipped = _shipped()
        if name in shipped:
            return shipped[name]
        path = _own()[name]
        return _read(path, name, _stamp(path))

    def __iter__(self) -> Iterator[str]:
        return iter([*_shipped(), *_own()])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in _shipped() or name in _own()


@lru_cache(maxsize=1)
def _parsed() -> dict[str, Setting]:
    """The shipped settings in their order, each by itself."""
    found = [_parse(path, name) for name, path in _find(configs.shipped()).items()]
    return {setting.name: setting for setting in sorted(found, key=lambda setting: (setting.order, setting.name))}


@lru_cache(maxsize=1)
def _shipped() -> dict[str, Setting]:
    for setting in _parsed().values():
        if setting.proxy:
            _check_proxy(setting, f"the shipped setting {setting.name}")
    return _parsed()


def _own() -> dict[str, Path]:
    """The user's files; of two with one name that of the first folder.

    Raises:
        UserError: where one takes the name of a shipped setting, whose tables would be mixed up.
    """
    found: dict[str, Path] = {}
    for folder in configs.own():
        found = {**_find(folder), **found}
    for name in found:
        if name in _shipped() or name in _short():
            raise UserError(
                f"'{files.printable(found[name])}': the name '{name}' is taken by a shipped setting; choose another"
            )
    return found


def shipped() -> tuple[str, ...]:
    """The names of the project's own settings, which a user's cannot take."""
    return tuple(_shipped())


SETTINGS: Mapping[str, Setting] = _Settings()


def tasks() -> tuple[str, ...]:
    """What networks are trained for: the options of the group ``task``, shipped ones and the user's."""
    return tuple(sorted(configs.options_of("task")))


@lru_cache(maxsize=1)
def _paper() -> tuple[str, ...]:
    return tuple(name for name, setting in _parsed().items() if setting.order <= _NINE)


@lru_cache(maxsize=1)
def _short() -> dict[str, str]:
    out: dict[str, str] = {}
    for name, setting in _parsed().items():
        if setting.real or setting.builtin:
            out.setdefault(setting.task, name)
    return out


def __getattr__(name: str) -> Any:
    """``PAPER`` and ``SHORT``, which the settings' files say: they are read when somebody asks."""
    if name == "PAPER":
        return _paper()
    if name == "SHORT":
        return _short()
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def listed(names: Iterable[str] | None = None) -> str:
    """Names of settings (all of them) for a message; those of groups are told once: ``A/ and B/ with x, y``.

    >>> listed(["seg", "a/x", "a/y", "b/x", "b/y"])
    'seg, a/ and b/ with x, y'
    """
    single: list[str] = []
    groups: dict[str, list[str]] = {}
    for name in SETTINGS if names is None else names:
        group, slash, last = name.rpartition("/")
        if slash:
            groups.setdefault(group, []).append(last)
        else:
            single.append(name)
    alike: dict[tuple[str, ...], list[str]] = {}
    for group, members in groups.items():
        alike.setdefault(tuple(members), []).append(f"{group}/")
    return ", ".join([*single, *(f"{' and '.join(g)} with {', '.join(members)}" for members, g in alike.items())])


def unit(objective: str) -> str:
    """The unit of ``setting.metric``; of a setting that is not known percent, but for similarities and losses.

    >>> unit("seg.mIoU"), unit("transnas-macro/room_layout.valid_neg_loss"), unit("mine.top1"), unit("mine.loss")
    ('%', '', '%', '')
    >>> unit("mine.ssim")
    ''
    """
    setting, _, metric = objective.rpartition(".")
    known = SETTINGS.get(full_name(setting))
    if known is None:
        return "%" if _percentage(_base(metric)) else ""
    return known.unit(metric)


def _percentage(metric: str) -> bool:
    """Whether a metric is one, as far as its name tells: similarities and losses are none."""
    return "ssim" not in metric and not metric.endswith("loss")


def places(unit: str) -> int:
    """Decimals that tell architectures apart: two of what has a unit (percent), four of a similarity or a loss."""
    return 2 if unit else 4


def figure_text(objective: str, value: float, sign: str = "") -> str:
    """A figure of ``setting.metric``, or of a metric alone, with as many decimals as tell architectures apart.

    >>> figure_text("seg.mIoU", 51.234), figure_text("valid_ssim", 0.5612345), figure_text("mine.top1", 1.5, sign="+")
    ('51.23', '0.5612', '+1.50')
    """
    return f"{value:{sign}.{places(unit(objective))}f}"


def span(objective: str) -> float | None:
    """How far the least and the largest possible value of ``setting.metric`` lie apart; None of a loss, which may be of any size.

    >>> span("seg.mIoU"), span("transnas-micro/normal.valid_ssim"), span("mine.valid_ssim"), span("mine.valid_loss")
    (100.0, 2.0, 2.0, None)
    """
    setting, _, metric = objective.rpartition(".")
    base = _base(metric)
    if base.endswith("loss"):
        return None
    known = SETTINGS.get(full_name(setting))
    if known is not None and base in known.metrics:
        low, high = known.range(base)
        return high - low
    return 100.0 if _percentage(base) else 2.0  # a similarity's, of -1 to 1


OWN = "one of your own is found with --config-dir FOLDER, or $NCP_CONFIG"
"""For whoever asks for a setting that is not there."""


def full_name(name: Any) -> str:
    """The setting that a short name stands for; any other name as it is.

    >>> full_name("det3d"), full_name("mine")
    ('3ddet', 'mine')
    """
    return _short().get(str(name), str(name))


def get(name: str) -> Setting:
    """The setting called ``name``: a file's name, or one of the four short ones (``cls seg det3d video``).

    >>> get("det3d").name, get("seg-4x").main
    ('3ddet', 'mIoU')

    Raises:
        UserError: for any other name, listing those that exist; for a file that cannot be used.
    """
    known = full_name(name)
    if known not in SETTINGS:
        short = ", ".join(f"{a} (= {b})" for a, b in _short().items())
        others = listed(other for other in SETTINGS if other not in _paper())
        raise UserError(
            f"unknown setting '{files.printable(str(name))}'; the settings are {', '.join(_paper())}, in short {short}; "
            f"beside them {others}; {OWN}"
        )
    return SETTINGS[known]


def sign(objective: str) -> float:
    """1 where more of ``setting.metric`` is better, -1 where less is; of a setting that is not known 1."""
    setting, _, metric = objective.rpartition(".")
    known = SETTINGS.get(full_name(setting))
    return known.sign(metric) if known else 1.0
