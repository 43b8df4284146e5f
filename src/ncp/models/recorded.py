"""A network whose kernels are started by one call: for inference on one shape of input after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from ncp.models.capture import Capture

WARM = 3  # runs before the recording, which choose the algorithms of convolutions
MOST = 8  # shapes that are recorded; others run kernel by kernel


class Recorded:
    """What a network does to an input of a shape, recorded at the first of them and run again at the others.

    The precision is that of the first run. Where something cannot be recorded, everything runs kernel by kernel.

    Args:
        call: from one array to one or some; without gradients.
        capture: what records.
    """

    def __init__(self, call: Callable[[Tensor], Any], capture: Capture) -> None:
        self.call, self.capture = call, capture
        self.records: dict[Any, tuple[Tensor, Callable[[], None], Any]] = {}
        self.refused: str | None = None

    def __call__(self, x: Tensor) -> Any:
        """As ``call``; what it returns is the caller's own."""
        key = (tuple(x.shape), x.dtype, x.stride())
        if torch.is_grad_enabled() or (key not in self.records and not self._record(key, x)):
            return self.call(x)
        given, run, out = self.records[key]
        given.copy_(x)
        run()
        return tree_map(torch.clone, out)

    def _record(self, key: Any, x: Tensor) -> bool:
        if self.refused is not None or len(self.records) >= MOST:
            return False
        given = torch.empty_like(x).copy_(x)
        try:
            with self.capture.aside():
                for _ in range(WARM):
                    self.call(given)
            run, out = self.capture.record(lambda: self.call(given))
        except RuntimeError as error:
            self.refused = str(error).strip().splitlines()[0]
            return False
        self.records[key] = given, run, out
        return True
