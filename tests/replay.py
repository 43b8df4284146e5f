"""The maps that really live while a network runs on the CPU: every operation is seen, and which storages are still there."""

from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode


class Living(TorchDispatchMode):
    """``peak``: the most bytes of tensors, made or given since it was entered, that lived after one operation."""

    def __init__(self, *given: torch.Tensor) -> None:
        super().__init__()
        self.peak, self.operations = 0, 0
        self._known: dict[int, tuple[StorageWeakRef, int]] = {}
        for tensor in given:
            self._note(tensor)

    def _note(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        reference = StorageWeakRef(storage)
        self._known[reference.cdata] = (reference, storage.nbytes())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.operations += 1
        for value in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(value, torch.Tensor):
                self._note(value)
        self._known = {key: (ref, size) for key, (ref, size) in self._known.items() if not ref.expired()}
        self.peak = max(self.peak, sum(size for _, size in self._known.values()))
        return out


def peak(net: torch.nn.Module, images: torch.Tensor) -> int:
    """Bytes of a network's weights and of the maps that live at the same time while it looks at a batch."""
    with torch.inference_mode(), Living(images) as living:
        net(images)
    assert living.operations > 50  # the mode does see what is run
    return living.peak + sum(p.nbytes for p in net.parameters())
