"""The one exception for a user's mistake."""


class UserError(ValueError):
    """Something the user gave cannot be used.

    The message is one line that says what was given, what is allowed and what to do. The commands print it without a
    traceback and exit with code 2 (see ``ncp.cli``).
    """


def missing_extra(package: str, extra: str) -> UserError:
    """The error for an optional ``package`` that is not installed, naming the ``extra`` that brings it."""
    return UserError(f"the package '{package}' is not installed; install it with: pip install 'ncp-nas[{extra}]'")
