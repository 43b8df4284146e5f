"""From plain values, as configurations hold them, to typed options and the arguments of constructors.

A key that does not exist, one that is missing, and a value of another type are a user's mistake, told in one line before anything
runs. What a constructor raises afterwards, a ``TypeError`` too, is a mistake of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, TypeVar

from ncp import numeric
from ncp.errors import UserError

T = TypeVar("T")
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "array": "a list",
    "object": "keys with values",
    "null": "null",
}
LARGEST = 2**64
"""Numbers of options lie between this and its negative: longer seeds than a generator has bits say nothing more."""
_LIMITS = {">=": "of at least", "<=": "of at most", ">": "above", "<": "below"}


def read(kind: type[T], values: Mapping[str, Any], where: str = "") -> T:
    """``values`` as the dataclass ``kind``.

    Args:
        kind: a dataclass whose annotations msgspec knows (``Annotated[int, msgspec.Meta(ge=0)]`` for ranges).
        values: plain dictionaries, lists, texts, numbers.
        where: the key under which they stand, such as ``build``; empty at the top.

    Raises:
        UserError: naming the key, what is allowed and what was given.
    """
    _refuse_keys(kind, values, where)
    return typing.cast(T, _convert(_whole(values, kind), kind, where))


def call(function: Callable[..., T], values: Mapping[str, Any], where: str, *arguments: Any, **more: Any) -> T:
    """Call a function or constructor with ``values`` as keyword arguments, checked against its signature first.

    Args:
        function: whose annotations say what it takes; those that cannot be checked are let through.
        values: from a configuration.
        where: the key under which they stand, such as ``data``.
        arguments, more: of the program itself, not checked.

    Raises:
        UserError: for an unknown key, a missing one, or a value of another type.
    """
    return function(*arguments, **check(function, values, where, len(arguments), tuple(more)), **more)


def check(
    function: Callable[..., Any],
    values: Mapping[str, Any],
    where: str,
    first: int = 0,
    more: Collection[str] = (),
    title: str = "",
) -> dict[str, Any]:
    """The checks of :func:`call` alone: for what is made only after something that takes long.

    Args:
        function, values, where: as there.
        first: how many positional arguments the program itself gives.
        more: names of the arguments that it gives by name.
        title: what the messages call it; empty: its own name.

    Returns:
        The values as the function will get them.

    Raises:
        UserError: as there.
    """
    parameters, open_ended = _parameters(function)
    by_place = [name for name, each in parameters.items() if each.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    names = [name for name in parameters if name not in (*by_place[:first], *more)]
    title = title or getattr(function, "__name__", str(function))
    for key in values:
        if key not in names and not (open_ended and key not in more):
            raise UserError(
                f"unknown key '{_at(where, key)}' for {title}{meant(str(key), names)}; its keys: {', '.join(names) or 'none'}"
            )
    missing = [name for name in names if name not in values and parameters[name].default is inspect.Parameter.empty]
    if missing:
        raise UserError(f"'{_at(where, missing[0])}' has no value; {title} needs one: {_at(where, missing[0])}=...")
    hints = _hints(function)
    return {
        key: _convert(_whole(value, hints[key]), hints[key], _at(where, key)) if key in hints else value
        for key, value in values.items()
    }


def meant(given: str, known: Iterable[str]) -> str:
    """``; did you mean 'X'?`` where one of ``known`` is close, else nothing."""
    close = difflib.get_close_matches(given, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""


def _callables(function: Callable[..., Any]) -> list[Callable[..., Any]]:
    """The function itself; of a class its constructor and those that it may hand arguments on to."""
    if not inspect.isclass(function):
        return [function]
    return [vars(base)["__init__"] for base in function.__mro__ if "__init__" in vars(base)]


def _parameters(function: Callable[..., Any]) -> tuple[dict[str, inspect.Parameter], bool]:
    """Named parameters along the constructors that hand ``**kwargs`` on, and whether any name is taken in the end."""
    found: dict[str, inspect.Parameter] = {}
    for owner in _callables(function):
        try:
            listed = list(inspect.signature(owner).parameters.values())
        except (TypeError, ValueError):
            return found, True
        if inspect.isclass(function):
            listed = listed[1:]
        for parameter in listed:
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                found.setdefault(parameter.name, parameter)
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in listed):
            return found, False
    return found, True


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for owner in _callables(function):
        try:
            hints = typing.get_type_hints(owner, include_extras=True)
        except (NameError, TypeError):  # names that are imported for type checkers alone
            continue
        for name, hint in hints.items():
            if _checkable(plain := _without_tensors(hint)):
                out.setdefault(name, plain)
    return out


def _without_tensors(hint: Any) -> Any:
    """``float | Tensor`` as ``float``: no configuration holds a tensor."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        kept = [part for part in parts if not str(getattr(part, "__module__", "")).startswith("torch")]
        return typing.Union[tuple(map(_without_tensors, kept))] if kept else hint  # noqa: UP007
    if origin is tuple and parts:
        return tuple[tuple(_without_tensors(part) for part in parts)]  # type: ignore[misc]
    return hint


def _checkable(hint: Any) -> bool:
    """Whether msgspec can hold values to an annotation: plain types, their unions, lists and dictionaries of them."""
    origin = typing.get_origin(hint)
    if origin is Annotated:
        return _checkable(typing.get_args(hint)[0])
    if origin in (typing.Union, types.UnionType):
        parts = typing.get_args(hint)
        containers = [typing.get_origin(p) or p for p in parts if (typing.get_origin(p) or p) in (list, tuple, dict)]
        return all(map(_checkable, parts)) and len(containers) < 2
    if origin is typing.Literal:
        return True
    if origin in (list, tuple, dict):
        return all(_checkable(part) for part in typing.get_args(hint) if part is not Ellipsis)
    return hint in (int, float, bool, str, type(None), list, dict, tuple, Any)


def _whole(value: Any, kind: Any) -> Any:
    """Numbers such as 1e3 where whole ones are wanted, as whole ones; the rest as it is."""
    origin = typing.get_origin(kind)
    if origin is Annotated:
        return _whole(value, typing.get_args(kind)[0])
    if isinstance(value, float) and value.is_integer():
        parts = typing.get_args(kind) if origin in (typing.Union, types.UnionType) else (kind,)
        bare = {typing.get_args(part)[0] if typing.get_origin(part) is Annotated else part for part in parts}
        return int(value) if int in bare and float not in bare else value
    if is_dataclass(kind) and isinstance(value, Mapping):
        hints = typing.get_type_hints(kind, include_extras=True)
        return {key: _whole(item, hints.get(str(key), Any)) for key, item in value.items()}
    if origin in (typing.Union, types.UnionType) and isinstance(value, (Mapping, list)):
        inner = [
            part for part in typing.get_args(kind) if is_dataclass(part) or typing.get_origin(part) in (list, dict)
        ]
        return _whole(value, inner[0]) if len(inner) == 1 else value
    if origin in (list, tuple) and isinstance(value, (list, tuple)) and typing.get_args(kind):
        inner, *others = typing.get_args(kind)
        kinds = [inner] * len(value) if origin is list or others == [...] else [inner, *others]
        return [_whole(*pair) for pair in zip(value, kinds, strict=True)] if len(kinds) == len(value) else value
    if origin is dict and isinstance(value, Mapping) and len(typing.get_args(kind)) == 2:
        return {key: _whole(item, typing.get_args(kind)[1]) for key, item in value.items()}
    return value


def _convert(value: Any, kind: Any, where: str) -> Any:
    import msgspec

    _refuse_endless(value, where)  # before a dataclass checks itself, which names no key
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, UserError):  # of a dataclass that checks itself
            raise error.__cause__ from None
        raise UserError(_line(str(error), value, kind, where)) from None


def _refuse_endless(value: Any, where: str) -> None:
    """Refuse numbers that are not finite, which comparisons let through, and those of which a product would not be."""
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{where} must be a finite number, given was {numeric.shown(value)}")
    if isinstance(value, (int, float)) and not -LARGEST <= value <= LARGEST:
        raise UserError(f"{where} must be between -{LARGEST:.3g} and {LARGEST:.3g}, given was {numeric.shown(value)}")
    if isinstance(value, Mapping):
        for key, item in value.items():
            _refuse_endless(item, _at(where, str(key)))
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            _refuse_endless(item, f"{where}[{i}]")


def _line(text: str, value: Any, kind: Any, where: str) -> str:
    """msgspec's words as ours: ``KEY must be ..., given was ...``."""
    text, _, path = text.partition(" - at `$")
    steps = re.findall(r"\.(\w+)|\[(\d+|\.\.\.)\]", path.rstrip("`"))
    key, given = where, value
    for name, index in steps:
        key = _at(key, name) if name else f"{key}[{index}]"
        try:
            given = given[name] if name else given[int(index)]
        except (KeyError, IndexError, TypeError, ValueError):
            given = None
    if found := re.match(r"Object missing required field `(\w+)`", text):
        return f"'{_at(key, found[1])}' has no value; give one as {_at(key, found[1])}=..."
    if found := re.match(r"Expected `(.+?)`(?: of length)?(?: (>=|<=|>|<) ([\d.e+-]+))?(?:, got `(\w+)`)?", text):
        kinds = [_WORDS.get(part.strip(), part.strip()) for part in found[1].split("|")]
        limit = f" {_LIMITS[found[2]]} {found[3]}" if found[2] else ""
        return f"{key} must be {' or '.join(kinds)}{limit}, given was {numeric.shown(given)}"
    if text.startswith("Invalid enum value"):
        return f"{key} must be one of {', '.join(map(str, _choices(kind, steps)))}, given was {numeric.shown(given)}"
    return f"{key}: {text}, given was {numeric.shown(given)}"


def _choices(kind: Any, steps: list[tuple[str, str]]) -> list[Any]:
    """The values of the ``Literal`` at a place inside a type."""
    for name, _ in steps:
        parts = [kind, *typing.get_args(kind)]
        if name:
            owner = next((part for part in parts if is_dataclass(part)), None)
            kind = typing.get_type_hints(owner, include_extras=True)[name] if owner is not None else Any
        else:
            kind = next(iter(typing.get_args(kind)), Any)
    parts = [kind] if typing.get_origin(kind) is typing.Literal else [kind, *typing.get_args(kind)]
    bare = [typing.get_args(part)[0] if typing.get_origin(part) is Annotated else part for part in parts]
    words = [_WORDS[part.__name__] for part in bare if part in (int, float, bool, str)]
    literal = [part for part in parts if typing.get_origin(part) is typing.Literal]
    found = [*words, *(value for part in literal for value in typing.get_args(part))]
    return found + (["null"] if type(None) in parts else [])


def _refuse_keys(kind: Any, values: Mapping[str, Any], where: str) -> None:
    hints = typing.get_type_hints(kind, include_extras=True)
    names = [field.name for field in fields(kind) if field.init]
    for key, value in values.items():
        if key not in names:
            close = meant(str(key), names)
            listed = f"its keys: {', '.join(names) or 'none'}" if where and not close else "--help lists the keys"
            raise UserError(f"unknown key '{_at(where, str(key))}'{close}; {listed}")
        if value == "" and not _may_be_empty(kind, str(key), hints[key]):
            raise UserError(f"'{_at(where, str(key))}' is empty; give a value, or leave it out")
        parts = [hints[key], *typing.get_args(hints[key])]
        inner = [part for part in parts if is_dataclass(part)]
        if inner and isinstance(value, Mapping):
            _refuse_keys(inner[0], value, _at(where, str(key)))


def _may_be_empty(kind: Any, key: str, hint: Any) -> bool:
    """Whether an empty text says something: mostly it is a variable of the shell that was not set."""
    default = next(field.default for field in fields(kind) if field.name == key)
    return default == "" or not (hint is str or str in typing.get_args(hint))


def _at(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
