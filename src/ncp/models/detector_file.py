"""Whole detectors on disk, points to what the head writes: weights with everything inside (safetensors), and ONNX.

A weight file's metadata holds ``format`` (``ncp-detector-1``), the signature of the network between encoder and head as
:mod:`ncp.models.export` writes it, and the card (:mod:`ncp.card`), whose ``use`` says what the detector sees: limits, pillars,
anchors.

The ONNX file reads one scene: ``points`` ``(M, 4)``, x, y, z, reflectance of those within the limits, and ``cells`` ``(M,)``
int64, the pillar of each: ``floor((y - y0) / pillar) * W + floor((x - x0) / pillar)``. It writes ``classes`` ``(1, A, N)``,
``boxes`` ``(1, A, 7)`` and ``directions`` ``(1, A, 2)``: logits and codes for the anchors in the order of
:func:`ncp.metrics.anchors.place`, of which :func:`ncp.metrics.anchors.find` makes boxes. What is outside of the file needs numpy
alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ncp import card, files, tensorfile
from ncp.errors import UserError
from ncp.metrics.anchors import grid_size
from ncp.models import export
from ncp.models.anchors import AnchorClass
from ncp.models.detector import Detector
from ncp.models.factory import build
from ncp.models.pillars import Grid
from ncp.models.runtime import fused

FORMAT = "ncp-detector-1"
OUTPUTS = ("classes", "boxes", "directions")


def space_of(detector: Detector, nms: Mapping[str, Any]) -> dict[str, Any]:
    """What a detector sees and how its boxes are chosen (``nms``), as plain values of :class:`ncp.card.SeenSpace`."""
    encoder = detector.encoder
    return {
        "limits": list(encoder.grid.limits),
        "pillar": encoder.grid.pillar,
        "stride": detector.stride,
        "anchors": [
            {key: getattr(kind, key) for key in AnchorClass._fields if key in card.Anchor.__struct_fields__}
            for kind in detector.kinds
        ],
        "max_pillars": encoder.max_pillars[1],
        "max_points": encoder.max_points,
        "z_offset": encoder.z_offset,
        "nms": {key: value for key, value in nms.items() if key in card.Suppression.__struct_fields__},
    }


def detector_of(network: nn.Module, space: card.SeenSpace) -> Detector:
    """An encoder and a head around a network.

    Raises:
        UserError: for a space that is no whole number of pillars, or a network whose map is of another size than it says.
    """
    limits = tuple(space.limits)
    kinds = tuple(AnchorClass(*(getattr(a, key) for key in card.Anchor.__struct_fields__)) for a in space.anchors)
    detector = Detector(
        network,
        Grid(limits, space.pillar, grid_size(limits, space.pillar)),
        kinds,
        max_pillars=(space.max_pillars, space.max_pillars),
        max_points=space.max_points,
        z_offset=space.z_offset,
    )
    if detector.stride != space.stride:
        raise UserError(f"the detector's map has cells of {detector.stride} pillars a side, not {space.stride}")
    return detector


def save(detector: Detector, path: str | os.PathLike[str], extra: Mapping[str, str]) -> Path:
    """Write the weights, the signature and the card (in ``extra``); the file appears whole or not at all.

    Raises:
        UserError: as :func:`ncp.models.export.save`.
    """
    signature = export.signature_of(detector.network)
    if signature is None:
        raise UserError("only a network made by ncp.models.build can be saved with its architecture inside")
    metadata = {**extra, **export.signature_text(signature), "format": FORMAT}
    _check_itself(detector, metadata, f"'{files.printable(path)}'")
    return tensorfile.write(path, detector.state_dict(), metadata, "the weights of this detector")


def load(path: str | os.PathLike[str]) -> tuple[Detector, card.NetworkCard]:
    """The detector in a weight file, on the CPU, and its card.

    Raises:
        UserError: for a file that is missing, damaged, or not a detector's.
    """
    where = f"'{files.printable(path)}'"
    head = tensorfile.head(path)
    if head.metadata.get("format") != FORMAT:
        raise UserError(f"{where} holds no detector (its format is '{files.shown(head.metadata.get('format'))}')")
    wanted = f"the weights in {where} do not fit the network"
    with torch.device("meta"):  # a small file must not ask for much memory
        trial, _ = _made(head.metadata, where)
        tensorfile.check_shapes(head.shapes, tensorfile.shapes_of(trial.state_dict()), wanted)
    detector, about = _made(head.metadata, where)
    tensors = tensorfile.tensors(path)
    if bad := [name for name, value in tensors.items() if name.endswith("running_var") and (value < 0).any()]:
        raise UserError(f"{where} holds variances below 0 ({files.shown(bad[0])})")
    detector.load_state_dict(tensors)
    return detector, about


class SceneNet(nn.Module):
    """One scene's points and their pillars to what the head writes: the detector without sorting, for ONNX.

    Args:
        detector: whose weights it takes.
    """

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        plain = fused(detector)
        self.encoder, self.network, self.head = plain.encoder, plain.network, plain.head

    def forward(self, points_M4: Tensor, cells_M: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``(M, 4)`` and ``(M,)`` to logits, codes and direction logits of all anchors, with a batch of one."""
        grid, encoder = self.encoder.grid, self.encoder
        height, width = grid.size
        ones = torch.ones_like(points_M4[:, :1])
        sums = points_M4.new_zeros(grid.cells, 4)
        index = cells_M[:, None]
        sums = sums.scatter_add(0, index.expand(-1, 4), torch.cat([points_M4[:, :3], ones], 1))
        mine_M4 = sums[cells_M]
        mean_M3 = mine_M4[:, :3] / mine_M4[:, 3:]
        place_M2 = torch.stack([cells_M % width, cells_M // width], 1).to(points_M4.dtype)
        low = points_M4.new_tensor(grid.limits[:2])
        centre = low + (place_M2 + 0.5) * grid.pillar
        if encoder.z_offset:
            centre = torch.cat([centre, torch.full_like(ones, (grid.limits[2] + grid.limits[5]) / 2)], 1)
        offsets = points_M4[:, : centre.shape[1]] - centre
        told = torch.cat([points_M4, points_M4[:, :3] - mean_M3, offsets], 1)
        features_MC = F.relu(encoder.norm(encoder.linear(told)))
        canvas = points_M4.new_zeros(grid.cells, encoder.channels)  # features are 0 or more, as empty cells are
        canvas = canvas.scatter_reduce(0, index.expand(-1, encoder.channels), features_MC, "amax")
        view = canvas.view(1, height, width, encoder.channels).permute(0, 3, 1, 2)
        found = self.head(self.network(view))
        return found.classes, found.boxes, found.directions


def export_onnx(detector: Detector, path: str | os.PathLike[str], extra: Mapping[str, str]) -> Path:
    """Write a whole detector as ONNX (see the module), for scenes of any number of points.

    Args:
        detector: of a training.
        path: of the file.
        extra: texts for the metadata, the card among them.

    Raises:
        UserError: as :func:`ncp.models.export.export_onnx`.
    """
    export.check_extra()
    net, example, free, metadata = _traceable(detector, extra)
    _, trials = to_compare(detector)
    return export.write_onnx(net, example, ("points", "cells"), OUTPUTS, free, Path(path), metadata, trials)


def export_program(detector: Detector, path: str | os.PathLike[str], extra: Mapping[str, str]) -> Path:
    """Write a whole detector as a program of :mod:`torch.export` that reads and writes what the ONNX file does.

    Args and errors are those of :func:`export_onnx`.
    """
    net, example, free, metadata = _traceable(detector, extra)
    return export.write_program(net, example, free, Path(path), metadata)


def to_compare(detector: Detector) -> tuple[SceneNet, list[tuple[Tensor, Tensor]]]:
    """The detector of one scene, and scenes of many and of few points on which another program's is held against it."""
    trials = [_example(detector.encoder.grid, number) for number in (500, 3)]
    return SceneNet(detector).cpu().float().eval(), trials


def _traceable(
    detector: Detector, extra: Mapping[str, str]
) -> tuple[SceneNet, tuple[Tensor, Tensor], Any, dict[str, str]]:
    """The detector of one scene, an example of its input, which sides of that are free, and the metadata."""
    tensorfile.check_finite(detector.state_dict(), "the weights of this detector")
    signature = export.signature_of(detector.network)
    own = export.signature_text(signature) if signature is not None else {}
    points = torch.export.Dim("points", min=2)
    net = SceneNet(detector).cpu().float().eval()
    return net, _example(detector.encoder.grid, 100), ({0: points}, {0: points}), {**extra, **own, "format": FORMAT}


def _example(grid: Grid, number: int) -> tuple[Tensor, Tensor]:
    """Points at random in some pillars, several in most."""
    random = torch.Generator().manual_seed(number)
    low, high = torch.tensor(grid.limits[:3]), torch.tensor(grid.limits[3:])
    cells = torch.randint(0, grid.cells, (number // 3 + 1,), generator=random)
    cells = cells[torch.randint(0, len(cells), (number,), generator=random)].sort().values
    within = torch.rand(number, 4, generator=random)
    place = torch.stack([cells % grid.size[1], cells // grid.size[1]], 1)
    xy = low[:2] + (place + within[:, :2]) * grid.pillar
    z = low[2:] + within[:, 2:3] * (high[2:] - low[2:])
    return torch.cat([xy, z, within[:, 3:]], 1), cells


def _made(metadata: Mapping[str, str], where: str) -> tuple[Detector, card.NetworkCard]:
    """The detector that metadata describes."""
    signature = export.signature_from_text(metadata, f"the metadata of {where}")
    about = card.from_text(metadata, where)
    if about.use.space is None or signature.task != "det3d":
        raise UserError(f"{where} says of no detector's space")
    network = build(**signature._asdict())
    return detector_of(network, about.use.space), about


def _check_itself(detector: Detector, metadata: Mapping[str, str], where: str) -> None:
    """A file must hold what its metadata says."""
    with torch.random.fork_rng(devices=[]):
        wanted, _ = _made(metadata, where)
    tensorfile.check_shapes(
        tensorfile.shapes_of(detector.state_dict()),
        tensorfile.shapes_of(wanted.state_dict()),
        "this detector was changed after it was built and is no longer what its metadata would say",
    )
