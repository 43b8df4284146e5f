"""Weights for a backbone in OpenMMLab's frameworks, from this project's files and from theirs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ncp import files, tensorfile
from ncp.errors import UserError
from ncp.models import detector_file
from ncp.models import export as networks
from ncp.models.backbone import MultiResolutionBackbone
from ncp.spaces.multires import NAMES, Architecture
from ncp.tasks import checkpoint
from ncp.tasks.foreign import weights_of

PREFIXES = (
    "backbone.",
    "network.backbone.",
    "backbone.net.",
    "net.",
    "",
)  # of a backbone's entries, where they are looked for


def load_backbone(net: MultiResolutionBackbone, path: str) -> None:
    """Fill a backbone from a file.

    Raises:
        UserError: where the file cannot be read, is of another architecture, or fits in part only: it says how many and which.
    """
    found, architecture = read(Path(path))
    where = f"'{files.printable(path)}'"
    if architecture is not None:
        theirs, ours = Architecture.of_content(architecture), net.architecture
        other = [f"{n} is {theirs[n]}, not {ours[n]}" for n in NAMES if n != "o1" and theirs[n] != ours[n]]
        if other:
            more = f"; and {len(other) - 5} more" if len(other) > 5 else ""
            raise UserError(f"the weights in {where} are of another network: {'; '.join(other[:5])}{more}")
    wanted = tensorfile.shapes_of(net.state_dict())
    counted = {prefix: _fitting(found, wanted, prefix) for prefix in PREFIXES}
    prefix = max(PREFIXES, key=lambda one: counted[one])
    mine = {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}
    if counted[prefix] < len(wanted):
        lacking = [name for name in wanted if name not in mine]
        other = [name for name in wanted if name in mine and tuple(mine[name].shape) != wanted[name]]
        first = (
            f"{other[0]} has shape {tuple(mine[other[0]].shape)}, not {wanted[other[0]]}"
            if other
            else f"missing: {lacking[0]}"
        )
        raise UserError(
            f"{counted[prefix]} of the backbone's {len(wanted)} entries fit weights in {where} ({files.shown(first)}); all must: "
            "give a file of the same architecture"
        )
    net.load_state_dict({name: mine[name] for name in wanted})


def _fitting(found: Mapping[str, Tensor], wanted: Mapping[str, tuple[int, ...]], prefix: str) -> int:
    return sum(tuple(found[prefix + name].shape) == shape for name, shape in wanted.items() if prefix + name in found)


def read(path: Path) -> tuple[dict[str, Tensor], str | None]:
    """All tensors of a file, and the architecture where it says one.

    Raises:
        UserError: for a file that is missing or holds no weights.
    """
    if path.suffix == ".safetensors":
        metadata = tensorfile.head(path).metadata
        own = metadata.get("format") in (networks.FORMAT, detector_file.FORMAT)
        return tensorfile.tensors(path), metadata.get("architecture") if own else None
    path = checkpoint.located(path)
    if path.suffix == ".ckpt":
        own_file = checkpoint.read(path)
        text = own_file.own.architecture
        return own_file.weights(), text if text[:1].isdigit() else None
    return weights_of(path), None
