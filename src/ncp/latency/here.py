"""Which machine this is, and whether a latency model is of it. Needs torch only to ask for GPUs."""

from __future__ import annotations

import platform
import re
from importlib.util import find_spec
from pathlib import Path

from ncp import files
from ncp.latency.card import MachineCard

DEVICE = re.compile(r"cpu|cuda(:[0-9]{1,4})?")


def processor(device: str = "cpu") -> str:
    """The name of the card, or of this machine's processor."""
    if device != "cpu" and gpus():
        import torch

        return str(torch.cuda.get_device_name(torch.device(device)))
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return files.printable(line.partition(":")[2].strip())
    except OSError:
        pass
    return platform.processor() or platform.machine()


def gpus() -> int:
    """How many there are; none where there is no torch to ask."""
    if find_spec("torch") is None:
        return 0
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def is_there(device: str) -> bool:
    """Whether this machine has a device of this name."""
    return device == "cpu" or int(device.partition(":")[2] or 0) < gpus()


def is_here(card: MachineCard) -> bool:
    """Whether a card is of this machine, as it is now."""
    if not DEVICE.fullmatch(card.device) or card.host != platform.node()[:100]:
        return False
    return is_there(card.device) and card.processor == processor(card.device)[:200]
