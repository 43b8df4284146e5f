"""A network whose kernels are started by one call: for inference on one shape of input after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from ncp.models.capture import Capture

WARM = 2  # inputs of a shape that run kernel by kernel: they choose the convolutions' algorithms, and some shapes come only once
MOST = 8  # shapes that are recorded; others run kernel by kernel
MOST_SEEN = 1_000  # shapes that are counted


class Recorded:
    """What a network does to an input of a shape, recorded at the third of them and run again from then on.

    The precision is that of the first run. Where something cannot be recorded, everything runs kernel by kernel.

    Args:
        call: from one array to one or some; without gradients.
        capture: what records.
    """

    def __init__(self, call: Callable[[Tensor], Any], capture: Capture) -> None:
        self.call, self.capture = call, capture
        self.records: dict[Any, tuple[Tensor, Callable[[], None], Any]] = {}
        self.seen: dict[Any, int] = {}
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
        if self.seen.get(key, 0) < WARM:
            if len(self.seen) < MOST_SEEN or key in self.seen:
                self.seen[key] = self.seen.get(key, 0) + 1
            return False
        given = torch.empty_like(x).copy_(x)
        try:
            run, out = self.capture.record(lambda: self.call(given))
        except RuntimeError as error:
            self.refused = str(error).strip().splitlines()[0]
            return False
        self.records[key] = given, run, out
        return True
