"""The one exception for a user's mistake."""

from importlib import import_module
from types import ModuleType


class UserError(ValueError):
    """Something the user gave cannot be used.

    The message is one line that says what was given, what is allowed and what to do. The commands print it without a
    traceback and exit with code 2 (see ``ncp.cli``).
    """


def missing_extra(package: str, extra: str) -> UserError:
    """The error for an optional ``package`` that is not installed, naming the ``extra`` that brings it."""
    return UserError(f"the package '{package}' is not installed; install it with: pip install 'ncp-nas[{extra}]'")


def needed(package: str, extra: str) -> ModuleType:
    """An optional package, imported. Raises ``UserError`` naming the ``extra`` that brings it where it is not installed."""
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package.partition(".")[0]:
            raise
        raise missing_extra(package, extra) from None
