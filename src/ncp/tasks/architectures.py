"""What ``arch=...`` means: an architecture of a space, or the name of a baseline.

The space is the setting's; without a setting it is ``arch.space``, or what the code's own form says, or the multi-resolution one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import numpy as np
from msgspec import Meta

from ncp import files, spaces
from ncp import options as typed
from ncp.benchmark import settings
from ncp.errors import UserError
from ncp.models.setups import POINTPILLARS
from ncp.spaces import AnyArchitecture, Space, found

BASELINES = ("timm", "pointpillars")  # kinds of architectures that are not in a space
MULTIRES = "multires"
DEFAULT = "default"


def space_of(setting: str | None, arch: Mapping[str, Any]) -> str | None:
    """The name of the space that a setting, or ``arch.space``, says; None where neither does.

    Raises:
        UserError: where the two differ, or there is no such space.
    """
    given = arch.get("space")
    if given is not None:
        spaces.get(str(given))
    if setting is None:
        return None if given is None else str(given)
    own = settings.get(setting)
    if given is not None and given != own.space:
        raise UserError(
            f"setting={own.name} is of the space {own.space}, given was arch.space={given}; for another space leave the setting "
            f"out (task={own.task} data=...)"
        )
    return own.space


def choose(settings: Mapping[str, Any], space: str | None = None) -> AnyArchitecture | str:
    """The architecture, or a baseline's name, that ``arch=...`` means.

    Args:
        settings: ``kind`` and what belongs to it; ``space`` beside it is read by :func:`space_of`.
        space: in which it is; None where nothing but its own form says.

    Raises:
        UserError: for an unknown ``kind``, a key that it does not have, one that is missing, a value that it cannot use.
    """
    kind = settings.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise UserError(f"unknown kind of architecture '{files.shown(kind)}'; kinds: {', '.join(_KINDS)}")
    make, keys = _KINDS[kind], {key: value for key, value in settings.items() if key not in ("kind", "space")}
    values = typed.check(make, keys, "arch", first=1, title=f"arch.kind={kind}")
    chosen: AnyArchitecture | str = make(space, **values)
    return chosen


def of_own_text(text: str) -> AnyArchitecture:
    """The architecture of a checkpoint, of whichever space its text is; no file is opened."""
    return spaces.of_text(_space(spaces.of_form(text)), text)  # type: ignore[no-any-return]


def _random(space: str | None, seed: Annotated[int, Meta(ge=0)]) -> AnyArchitecture:
    return _space(space).sample(1, np.random.default_rng(seed))[0]  # type: ignore[no-any-return]


def _named(space: str | None, name: str) -> AnyArchitecture:
    if space in (None, MULTIRES):
        return found.get(name)
    if name != DEFAULT:
        raise UserError(f"'{files.shown(name)}' is a network of the multi-resolution space; {space} has arch=default")
    return _space(space).default()  # type: ignore[no-any-return]


def _narrow(space: str | None) -> AnyArchitecture:
    chosen: Any = _space(space)
    return (chosen.narrow if hasattr(chosen, "narrow") else chosen.default)()  # type: ignore[no-any-return]


def _code(space: str | None, code: Any) -> AnyArchitecture:
    if isinstance(code, int):
        raise UserError(
            "arch.code without a '-' or a comma is read as a single number; write the architecture's text or a list: "
            "'arch.code=[64,64,2,...]'"
        )
    return spaces.parsed(_space(space or spaces.of_form(code)), code)  # type: ignore[no-any-return]


def _file(space: str | None, path: str) -> AnyArchitecture:
    content: Any = files.read_yaml(path)
    if isinstance(content, Mapping) and isinstance(content.get("architecture"), Mapping):
        content = content["architecture"]
    content = {"text": content} if isinstance(content, str) else content
    said = content.get("space") if isinstance(content, Mapping) else None
    try:
        if space is not None and said is not None and said != space:
            raise UserError(f"it holds an architecture of {files.shown(said)}; here it must be one of {space}")
        return _space(space or said or spaces.of_form(content)).parse(content)  # type: ignore[no-any-return]
    except UserError as error:
        raise UserError(f"{files.printable(path)}: {error}") from None


def _timm(space: str | None, name: str, head: str = "auto") -> str:
    """``head`` goes to the network, see :func:`ncp.tasks.parts.make_network`."""
    return name


def _pointpillars(space: str | None, name: str = "pointpillars") -> str:
    if name not in POINTPILLARS:
        raise UserError(
            f"arch.name of arch=pointpillars must be one of {', '.join(POINTPILLARS)}, given was {files.shown(name)}"
        )
    return name


def _space(name: Any) -> Space[Any]:
    return spaces.get(MULTIRES if name is None else str(name))


_KINDS: dict[str, Callable[..., AnyArchitecture | str]] = {
    **{"random": _random, "named": _named, "code": _code, "file": _file},
    **{"timm": _timm, "pointpillars": _pointpillars, "narrow": _narrow},
}
"""Kind -> what makes it, of a space and of keys that its signature names."""
