"""A network that starts from another training's weights: all of the body that the two have in common, or a refusal."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from ncp import files
from ncp.errors import UserError
from ncp.tasks import checkpoint

log = logging.getLogger(__name__)


def load_pretrained(
    network: torch.nn.Module, path: Path, adapt: Callable[..., Mapping[str, torch.Tensor]], architecture: str = ""
) -> None:
    """Take the weights of a training's checkpoint that fit by name and shape; the rest, a task's head, keeps its initialisation.

    Args:
        network: to fill.
        path: of the checkpoint.
        adapt: the task's ``adapt_pretrained``, which puts the weights of another task under this network's names.
        architecture: the network's, for the message.

    Raises:
        UserError: when less than the whole body fits, or the checkpoint's network has more than this one.
    """
    found = checkpoint.read(path)
    weights = dict(adapt(found.weights(), network))
    own = network.state_dict()
    fitting = {key: value for key, value in weights.items() if key in own and own[key].shape == value.shape}
    body = body_of(network)
    lacking = [key for key in body if key not in fitting]
    theirs = found.own.architecture
    # of the same architecture what is left over belongs to another task's head
    left = [] if theirs == architecture else [k for k in weights if k not in own and is_body(k, body)]
    if lacking or left or not fitting:
        reasons = [f"{len(lacking)} of this network's {len(body)} entries find no weights there"] if lacking else []
        reasons += [f"{len(left)} of its entries have no place in this network"] if left else []
        first = (lacking or left or list(own))[0]
        raise UserError(
            f"pretrained={found.where} is of another architecture, {files.shown(theirs)}: "
            f"{' and '.join(reasons) or 'nothing fits'}, first: "
            f"{files.shown(first)}; give a checkpoint of the same architecture"
        )
    network.load_state_dict({**own, **fitting})
    log.info("pretrained: %d of %d entries taken from %s", len(fitting), len(own), path)


def body_of(network: torch.nn.Module) -> list[str]:
    """Names of the entries that tasks have in common: the backbone's, or of a network of one piece all but its classifier's."""
    names = list(network.state_dict())
    backbone = [name for name in names if name.startswith("backbone.")]
    if backbone:
        return backbone
    find = getattr(network, "get_classifier", None)
    heads = {id(p) for p in find().parameters()} if find is not None else set()
    classifier = {name for name, p in network.named_parameters() if id(p) in heads}
    return [name for name in names if name not in classifier]


def is_body(name: str, body: Sequence[str]) -> bool:
    """Whether an entry that the network lacks is of a part (the first word of its name) that its body has."""
    return any(entry.split(".")[:1] == name.split(".")[:1] for entry in body)
