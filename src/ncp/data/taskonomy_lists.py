"""Which views of which buildings are in Taskonomy's splits, and where their files are.

Files: ``<building>/<domain>/point_3_view_7_domain_<domain>.<ending>`` below the root, or ``<domain>/<building>/...``.

Lists, one a split (``train_filenames_final5k.json`` and its like, or ``train.json``, ``train.txt``):

- the released ones: ``{"filename_list": ["<building>.json", ...]}``, each a JSON list of paths below the root such as
  ``uvalda/{domain}/point_0_view_0_domain_{domain}.png``;
- a JSON list, or a text file with one entry a line, of such paths (also ``uvalda/rgb/point_0_view_0_domain_rgb.png``) or of
  buildings, of which all views are taken;

or one table of buildings for all splits, as Taskonomy has it: CSV with the columns ``id``, ``train``, ``val``, ``test`` that
hold 1 or 0.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from ncp import delimited, files
from ncp.data.paths import PathList, inside
from ncp.data.problems import Problems
from ncp.errors import UserError
from ncp.files import printable

ENDINGS = {
    "rgb": "png", "class_object": "npy", "class_scene": "npy", "normal": "png", "room_layout": "npy",
    "segmentsemantic": "png",
}  # fmt: skip
"""Domains and the endings of their files."""
MOST = 5_000_000
"""Views that a split may have; Taskonomy has 4.5 million in all."""
_VIEW = re.compile(r"(?P<view>.+)_domain_(rgb|\{domain\})(\.(png|npy))?")


class Buildings:
    """The folder of a data set: views are ``<building>/<view>``, such as ``uvalda/point_0_view_0``.

    Args:
        root: the folder.

    Raises:
        UserError: where there is no such folder.
    """

    def __init__(self, root: str | os.PathLike[str] | None) -> None:
        wanted = "<building>/rgb/point_0_view_0_domain_rgb.png or rgb/<building>/..."
        if not root:
            raise UserError(f"Taskonomy needs data.root=<its folder>, which holds {wanted}")
        self.root = Path(root).expanduser()
        if not self.root.is_dir():
            raise UserError(f"data.root='{printable(root)}' is not a folder; Taskonomy needs one that holds {wanted}")
        self.by_domain = (self.root / "rgb").is_dir()
        self._names: dict[tuple[str, str], frozenset[str]] = {}

    def folder(self, building: str, domain: str) -> Path:
        """Of a building's files of a domain."""
        return self.root / domain / building if self.by_domain else self.root / building / domain

    def path(self, view: str, domain: str) -> Path:
        """The file of a view in a domain."""
        building, _, name = view.rpartition("/")
        return self.folder(building, domain) / f"{name}_domain_{domain}.{ENDINGS[domain]}"

    def has(self, view: str, domain: str) -> bool:
        """Whether that file is there; every folder is listed once."""
        building = view.rpartition("/")[0]
        if (building, domain) not in self._names:
            try:
                listed = frozenset(os.listdir(self.folder(building, domain)))
            except OSError:
                listed = frozenset()
            self._names[building, domain] = listed
        return self.path(view, domain).name in self._names[building, domain]

    def views(self, building: str) -> list[str]:
        """All views of a building that have an image, sorted."""
        end = f"_domain_rgb.{ENDINGS['rgb']}"
        try:
            names = sorted(os.listdir(self.folder(building, "rgb")))
        except OSError:
            names = []
        found = [f"{building}/{name.removesuffix(end)}" for name in names if name.endswith(end) and name[0] != "."]
        if not found:
            raise UserError(
                f"the building '{printable(building)}' has no images '{printable(self.folder(building, 'rgb'))}/*{end}'"
            )
        return found

    def view(self, entry: str, where: str) -> str:
        """The view that a path of a list means. Raises ``UserError`` naming ``where`` for one that is no such path."""
        *places, name = inside(entry, where).split("/")
        building = [place for place in places if place not in ("rgb", "{domain}", ".", "")]
        found = _VIEW.fullmatch(name)
        if found is None or len(building) != 1:
            raise UserError(
                f"{where}: '{printable(entry)[:120]}' is no view such as "
                "'<building>/{domain}/point_0_view_0_domain_{domain}.png'"
            )
        return f"{building[0]}/{found['view']}"


def find_lists(folder: Path) -> dict[str, Path]:
    """The files of the splits, by ``train``, ``val``, ``test``; one table stands for all three.

    Raises:
        UserError: where train or val has none.
    """
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise UserError(f"data.lists='{printable(folder)}' cannot be read ({error.strerror})") from None
    tables = [name for name in names if re.fullmatch(r"(train_val_test.*|splits)\.csv", name)]
    if len(tables) == 1 and not any(re.fullmatch(r"(train|val)(_filenames.*)?\.(json|txt)", name) for name in names):
        return dict.fromkeys(("train", "val", "test"), folder / tables[0])
    found = {}
    for split in ("train", "val", "test"):
        fitting = [name for name in names if re.fullmatch(rf"{split}(_filenames.*)?\.(json|txt)", name)]
        fitting += tables
        if len(fitting) > 1:
            raise UserError(
                f"'{printable(folder)}' holds several lists of the split {split} ({', '.join(map(printable, fitting[:4]))}); "
                "give the folder with one of each in data.lists"
            )
        if fitting:
            found[split] = folder / fitting[0]
    lacking = [split for split in ("train", "val") if split not in found]
    if lacking:
        raise UserError(
            f"'{printable(folder)}' holds no list of {' and '.join(lacking)} ({lacking[0]}_filenames_final5k.json, "
            f"{lacking[0]}.json, {lacking[0]}.txt, or one table train_val_test.csv); data.lists=<folder with them>"
        )
    return found


def read_list(buildings: Buildings, path: Path, split: str) -> PathList:
    """The views of a split.

    Raises:
        UserError: for a list that cannot be read, or that names what is no view and no building.
    """
    shown = f"the list '{printable(path)}'"
    if path.suffix == ".csv":
        entries = _chosen(path, split)
    elif path.suffix == ".txt":
        entries = [line.strip() for line in files.read_text(path).splitlines() if line.strip()]
    else:
        content = files.read_json(path, dict[str, list[str]] | list[str])
        if isinstance(content, dict):
            if set(content) != {"filename_list"}:
                raise UserError(f"{shown} must have the one key filename_list; it has {printable(sorted(content)[:5])}")
            entries = _released(buildings, content["filename_list"], shown)
        else:
            entries = content
    views: dict[str, None] = {}
    problems = Problems(shown)
    for entry in entries:
        with problems.collecting():
            single = "/" in entry or "_domain_" in entry
            found = [buildings.view(entry, shown)] if single else buildings.views(inside(entry, shown))
            views.update(dict.fromkeys(found))
    problems.check()
    return PathList(views)


def _released(buildings: Buildings, names: Sequence[str], shown: str) -> list[str]:
    """The entries of the buildings' own lists."""
    entries: list[str] = []
    problems = Problems(shown)
    for name in names:
        with problems.collecting():
            entries += files.read_json(buildings.root / inside(name, shown), list[str])
        if len(entries) > MOST:
            raise UserError(f"{shown} lists more than {MOST:,} views")
    problems.check()
    return entries


def _chosen(path: Path, split: str) -> list[str]:
    """The buildings that a table gives to a split."""
    shown = f"the list '{printable(path)}'"
    rows = list(delimited.lines(files.read_text(path), shown))
    head = [name.strip() for name in rows[0].fields] if rows else []
    if "id" not in head or split not in head:
        raise UserError(
            f"{shown} needs the columns id and {split}; it has {printable(', '.join(head))[:120] or 'none'}"
        )
    name, flag = head.index("id"), head.index(split)
    out = []
    for row in rows[1:]:
        if len(row.fields) <= max(name, flag) or row.fields[flag].strip() not in ("0", "1", "0.0", "1.0", ""):
            raise UserError(f"{shown}, line {row.number}: {split} must be 1 or 0")
        if row.fields[flag].strip() in ("1", "1.0"):
            out.append(row.fields[name].strip())
    return out


def complete(buildings: Buildings, views: PathList, domains: Iterable[str], split: str, partial: bool) -> PathList:
    """The views that have a file in every domain.

    Raises:
        UserError: where some lack one and ``partial`` is False: how many of which domain, and the first.
    """
    lacking: dict[str, list[str]] = defaultdict(list)
    kept = []
    for view in views:
        absent = [domain for domain in domains if not buildings.has(view, domain)]
        for domain in absent:
            lacking[domain].append(view)
        if not absent:
            kept.append(view)
    if not partial:
        problems = Problems(f"the split {split}")
        for domain, without in lacking.items():
            what = "image" if domain == "rgb" else f"label {domain}"
            problems.add(
                f"{len(without):,} of the {len(views):,} views of the split {split} have no {what}, first "
                f"'{printable(buildings.path(without[0], domain))}'; data.partial=true uses those that are whole"
            )
        problems.check()
    if not kept:
        raise UserError(
            f"the split {split} holds no view with {', '.join(domains)} below '{printable(buildings.root)}'"
        )
    return PathList(kept)
