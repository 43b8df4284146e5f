"""One line for a user's mistake, whoever raised it: Hydra, OmegaConf, the system, or we."""

from __future__ import annotations

import difflib
import errno
import re
import traceback
from collections.abc import Callable, Iterator

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import (
    InterpolationResolutionError,
    MissingMandatoryValue,
    OmegaConfBaseException,
    UnsupportedInterpolationType,
    ValidationError,
)

from ncp import configs
from ncp.commandline import override, shell_word
from ncp.errors import UserError, missing_module, no_memory
from ncp.files import first_line, printable
from ncp.overrides import typed

_UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# a path that leads nowhere, or a disk, a network or a limit of the system that fails: nothing that a program can mend
_UNUSABLE = {
    *(errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EIO, errno.EMFILE, errno.ENFILE),
    *(getattr(errno, name) for name in ("ESTALE", "EREMOTEIO", "ENOLCK") if hasattr(errno, name)),
}
_VALUE_ERRORS = (ValidationError, UnsupportedInterpolationType, InterpolationResolutionError)


def mistake(error: BaseException, composing: bool = False, known: Callable[[], list[str]] | None = None) -> str | None:
    """The line for a user's mistake; None where the mistake is ours and the traceback is wanted.

    Args:
        error: what was raised.
        composing: it was raised while Hydra read the command line and made the run folder, before the command's own code.
        known: gives the configuration's keys, to propose the one that was meant.
    """
    for cause in _causes(error):
        if isinstance(cause, UserError):
            return _one_line(str(cause))
        if isinstance(cause, ModuleNotFoundError) and (missing := missing_module(cause)):
            return str(missing)
        if isinstance(cause, MissingMandatoryValue):
            return _missing_value(cause)
        if isinstance(cause, OSError) and (cause.errno in _UNWRITABLE or (composing and cause.errno is not None)):
            # a full disk is noticed when bytes go out, where the system does not know the file's name any more
            what = "the run's files" if cause.filename is None else f"'{printable(cause.filename)}'"
            return f"cannot write {what} ({cause.strerror}); give another folder with paths.outputs=..."
        if isinstance(cause, OSError) and cause.errno in _UNUSABLE:
            what = "a file" if cause.filename is None else f"'{printable(cause.filename)[:200]}'"
            return f"{what} cannot be used ({cause.strerror})"
        if isinstance(cause, (MemoryError, RuntimeError, OSError)) and no_memory(cause):
            what = printable(first_line(cause))[:300]
            return f"there is too little memory ({what}); give a smaller size or batch, or fewer rows"
    if isinstance(error, MissingConfigException):
        return _missing_option(error)
    if isinstance(error, OverrideParseException):
        return _unreadable(error)
    if found := re.match(r"Error merging override (([\w.]+)=.*)", str(error)):
        shown = f"'{found[1]}' does not fit: what stands there by default is of another shape"
        return f"{shown} (a list, or keys with values as in {found[2]}.KEY=VALUE); --help shows it"
    if isinstance(error, _VALUE_ERRORS) or (
        composing and isinstance(error, (HydraException, OmegaConfBaseException, ValueError))
    ):
        if "Config group override must be a string" in str(error):
            return "a group (recipe, arch, trainer, ...) takes the name of one of its options, not null; leave the word out"
        return _unknown_key(error, known) or _no_choice(str(error)) or _one_line(str(error))
    if composing and _raised_in(error, "hydra", "omegaconf"):  # `strategy=[1]`, a list where a group's option belongs
        return f"the words of the command line cannot be put together ({first_line(error)}); --help shows what each key takes"
    return None


def _raised_in(error: BaseException, *packages: str) -> bool:
    """Whether an exception comes out of the code of one of these packages."""
    modules = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(modules) and modules[-1].partition(".")[0] in packages


def _no_choice(text: str) -> str | None:
    """A group of which one option must be chosen and none was."""
    found = re.match(r"You must specify '(\w+)'.*Available options:(.*)", text, re.DOTALL)
    return found and f"{found[1]} is missing: give {found[1]}=OPTION, one of {', '.join(found[2].split())}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _one_line(text: str) -> str:
    noise = ("See https://", "full_key:", "object_type=", "reference_type=")
    lines = [line.strip() for line in text.splitlines()]
    joined = ""
    for line in lines:
        if line and not line.startswith(noise):
            joined += ("" if not joined else " " if joined[-1] in ";:,." else "; ") + line
    return joined


def _missing_value(error: MissingMandatoryValue) -> str:
    key = getattr(error, "full_key", None) or "?"
    return f"'{key}' has no value; give one as {key}=..."


def _missing_option(error: MissingConfigException) -> str:
    group, _, option = (error.missing_cfg_file or "").rpartition("/")
    if not group or not error.options:
        return _one_line(str(error))
    # a folder of options, one a task, is named as an option is (data=folder)
    known = {*error.options, *(path.name for place in configs.folders() for path in (place / group).glob("*/"))}
    return f"no option '{option}' for '{group}'; options: {', '.join(sorted(known))}{_meant(option, sorted(known))}"


def _unreadable(error: OverrideParseException) -> str:
    reason = (
        _one_line(error.message).split(" expecting ")[0].removeprefix(f"Error parsing override '{error.override}'; ")
    )
    word = typed(error.override)
    reason = reason.replace(error.override, word)
    key, equals, value = word.partition("=")
    how = "overrides are key=value, quoted where the shell needs it"
    if any(value.count(opening) > value.count(closing) for opening, closing in ("[]", "{}", "()")):
        # "objectives=[cls, seg]" without quotes: the shell has cut it at the blank
        how = f"a word of the command line ends at a blank: write {key}=... without blanks, or quote all of it, '{key}=...'"
    elif equals and re.fullmatch(r"[\w+~]+\.[\w.-]+/[\w./-]+", key):
        how = f"a setting with a / in its name stands within braces: write {shell_word(_braced(key, value))}"
    elif equals and re.fullmatch(r"[\w./@+~-]+", key):
        how = f"to give a text with such signs, write {shell_word(override(key, value))}"
    return f"cannot read '{word}' ({reason}); {how}"


def _braced(key: str, value: str) -> str:
    """The override for a key such as ``floor.a/b.metric``, which Hydra cannot read.

    >>> _braced("floor.a/b.metric", "3"), _braced("predictors.a/b", "x.safetensors")
    ('floor={a/b:{metric:3}}', 'predictors={a/b:x.safetensors}')
    """
    first, _, rest = key.partition(".")
    setting, dot, metric = rest.rpartition(".") if "." in rest.rpartition("/")[2] else (rest, "", "")
    return f"{first}={{{setting}:{{{metric}:{value}}}}}" if dot else f"{first}={{{setting}:{value}}}"


def _unknown_key(error: BaseException, known: Callable[[], list[str]] | None) -> str | None:
    found = re.search(r"Could not (?:override|append|delete)[^']*'([^']+)'", str(error))
    if not found:
        return None
    key, sign, _ = re.split(r"([=@]|$)", found.group(1), maxsplit=1)
    # of `budget={macs:1e9,x:1}` it is the inner key that does not exist
    inner = re.search(r"full_key: (\S+)", str(error.__cause__))
    key = inner[1] if inner and inner[1].startswith(f"{key}.") else key
    if sign == "@":
        return f"a group stands where it belongs: '{found.group(1)}' puts {key} elsewhere; write {key}=OPTION"
    return f"unknown key '{key}'{_meant(key, known() if known else [])}; --help lists the keys"


def _meant(given: str, known: list[str]) -> str:
    """A hint at the known name that was probably meant: a sibling with a similar last part, the one key elsewhere with the same
    last part (``macs`` is ``budget.macs``), else a similar whole."""
    parent, _, last = given.rpartition(".")
    siblings = {key.rpartition(".")[2]: key for key in known if key.rpartition(".")[0] == parent}
    close = difflib.get_close_matches(last, siblings, n=1, cutoff=0.6)
    best = siblings[close[0]] if close else None
    same = [key for key in known if key.rpartition(".")[2] == last]
    if len(same) == 1 and (best is None or best.rpartition(".")[2] != last):
        best = same[0]
    if best is None:
        best = next(
            iter(difflib.get_close_matches(given, [k for k in known if k not in siblings.values()], 1, 0.75)), None
        )
    return f"; did you mean '{best}'?" if best not in (None, given) else ""
