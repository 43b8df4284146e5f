"""timm's own scripts with this project's networks: ``python -m ncp.models.timm_script train.py DATA --model ncp_seg ...``.

The script (timm's train.py, validate.py, benchmark.py ..., or any other) runs as it would alone, but ``timm.create_model`` knows
the networks. With several processes: ``torchrun --nproc_per_node 8 -m ncp.models.timm_script train.py DATA ...``.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from ncp import terminal


def main(arguments: list[str]) -> None:
    """Run a script with its arguments; exits with 2 where there is none."""
    if not arguments or not Path(arguments[0]).is_file():
        given = f"there is no script '{arguments[0]}'" if arguments else "no script was given"
        usage = "usage: python -m ncp.models.timm_script train.py DATA --model ncp_seg ..."
        terminal.say(f"{given}; {usage}", stderr=True)
        sys.exit(2)
    import ncp.models.registry  # noqa: F401  the networks appear in timm

    sys.argv = list(arguments)
    sys.path.insert(0, str(Path(arguments[0]).resolve().parent))  # where Python looks when it is run alone
    runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
