"""The one exception for a user's mistake."""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType


class UserError(ValueError):
    """Something the user gave cannot be used.

    The message is one line that says what was given, what is allowed and what to do. The commands print it without a
    traceback and exit with code 2 (see ``ncp.cli``).
    """


_NO_ROOM = ("out of memory", "does not fit into memory", "can't allocate memory", "cannot allocate memory")


def no_memory(error: BaseException) -> bool:
    """Whether an exception, of Python, numpy, torch or a runtime, says that there was too little memory."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in _NO_ROOM)


# package as it is imported -> the extra that brings it; what else is optional says so where it is used
EXTRAS = {
    **dict.fromkeys(("pyarrow", "scipy", "matplotlib"), "tables"),
    **dict.fromkeys(("torch", "torchvision", "pytorch_lightning", "torchmetrics", "timm", "sklearn"), "train"),
}


def missing_extra(package: str, extra: str) -> UserError:
    """The error for an optional ``package`` that is not installed, naming the ``extra`` that brings it."""
    return UserError(f"the package '{package}' is not installed; install it with: pip install 'ncp-nas[{extra}]'")


def missing_module(error: ModuleNotFoundError) -> UserError | None:
    """The error for an import of one of :data:`EXTRAS` that failed; None for any other module, which is no user's mistake."""
    package = (error.name or "").partition(".")[0]
    # a part that is missing from an installed package is another matter
    there = package not in EXTRAS or find_spec(package) is not None
    return None if there else missing_extra(package, EXTRAS[package])


def needed(package: str) -> ModuleType:
    """One of :data:`EXTRAS`, or a module of ours that uses them, imported.

    Raises:
        UserError: naming the extra that brings what is not installed.
    """
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        raise missing_module(error) or error from None
