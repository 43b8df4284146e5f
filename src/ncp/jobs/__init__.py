"""What the commands do, as functions: a module a command, each with ``Options``, ``run(options, folder)``, ``show(outcome)``.

The command line (:mod:`ncp.cli`), notebooks, tests and the loop call the same functions:

>>> from ncp import jobs
>>> options = jobs.options("search", "objectives=[seg]", "budget.macs=1e9")
>>> options.budget
{'macs': 1000000000.0, 'params': None}

and ``jobs.search.run(options)`` searches. Importing ``ncp.jobs`` imports none of the modules.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from ncp.errors import UserError
from ncp.jobs.commands import COMMANDS, module

__all__ = ["COMMANDS", "module", "options"]


def options(command: str, *words: str) -> Any:
    """The options of a command line: ``conf/COMMAND.yaml`` with ``KEY=VALUE`` words, as :mod:`ncp.cli` reads them.

    Raises:
        UserError: for an unknown command, key, setting, or a value that the key cannot have.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from ncp.jobs import composing, mistakes

    module(command)
    try:
        content = composing.values(composing.compose(command, words))
    except UserError:
        raise
    except (HydraException, OmegaConfBaseException, ValueError) as error:  # Hydra raises plain ones too
        line = mistakes.mistake(error, composing=True, known=lambda: composing.known_keys(command))
        raise UserError(line or str(error)) from None
    return composing.read(command, content, words)


def __getattr__(name: str) -> ModuleType:
    if name in COMMANDS:
        return module(name)
    raise AttributeError(f"module 'ncp.jobs' has no attribute '{name}'")
