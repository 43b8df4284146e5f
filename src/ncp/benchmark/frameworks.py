"""What checkpoints of OpenMMLab's frameworks hold beside weights stays inert: only where their weights lie is kept.

mmengine saves its curves, counters and configurations with the weights, as objects of its own and of numpy. The machine of
:mod:`ncp.benchmark.inert` reads past them: whatever they name and call is an empty dictionary here.
"""

from __future__ import annotations

from typing import Any

from ncp.benchmark import pickles
from ncp.benchmark.inert import Storage, TorchMachine, View
from ncp.benchmark.pickles import Name
from ncp.errors import UserError

PACKAGES = ("mmengine", "mmcv", "mmseg", "mmdet", "mmdet3d", "numpy", "torch")
"""Whose names may stand in a file; nothing of them is looked up."""
_MORE = {  # of the standard library, by which objects are put together
    ("builtins", "getattr"), ("__builtin__", "getattr"), ("builtins", "object"), ("__builtin__", "object"),
    ("builtins", "set"), ("__builtin__", "set"), ("builtins", "slice"), ("__builtin__", "slice"),
    ("copyreg", "_reconstructor"), ("copy_reg", "_reconstructor"), ("_codecs", "encode"), ("collections", "defaultdict"),
}  # fmt: skip
_INERT = "inert"


def parse(data: bytes, name: str) -> tuple[dict[str, View], dict[str, Storage]]:
    """Where the weights of a ``data.pkl`` lie: those of its ``state_dict``, or all of it; and the storages by key.

    Args:
        data: the bytes.
        name: of the file, for messages.

    Raises:
        UserError: naming the file, where it holds no weights, or names what is on no list.
    """
    machine = FrameworkMachine(data)
    content = pickles.parse(data, name, lambda _: machine)
    weights = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not weights:
        raise UserError(f"'{name}' holds no weights (a state_dict)")
    if any(key.__class__ is not str or value.__class__ is not View for key, value in weights.items()):
        raise UserError(f"'{name}' holds no weights (a state_dict of tensors alone)")
    return weights, machine.storages


class FrameworkMachine(TorchMachine):
    """As its base, with a :class:`View` for every tensor, and past what the packages name."""

    def kind_of(self, module: str, name: str) -> str | None:
        """What a name stands for."""
        known = super().kind_of(module, name)
        mentioned = module.partition(".")[0] in PACKAGES or (module, name) in _MORE
        return _INERT if known is None and mentioned else known

    def tensor(self, *given: Any) -> Any:
        """A tensor is where its numbers lie."""
        return self.view(*given)


def _called(m: FrameworkMachine) -> bool:
    """Put an empty dictionary in the place of a call of something inert."""
    function = m.stack[-2]
    if function.__class__ is not Name or function.kind != _INERT:
        return False
    m.pop(), m.pop()
    m.new({})
    return True


def _reduce(m: FrameworkMachine) -> None:
    if not _called(m):
        TorchMachine.handlers[ord("R")](m)


def _made(m: FrameworkMachine) -> None:
    if not _called(m):
        raise pickles.Refused("it makes something that is neither a dictionary nor a tensor")


def _state(m: FrameworkMachine) -> None:
    """The state of what is inert, and of a dictionary of weights the versions of the modules, are left out."""
    m.pop()
    m.top(dict)


FrameworkMachine.handlers = {**TorchMachine.handlers, ord("R"): _reduce, 0x81: _made, ord("b"): _state}
