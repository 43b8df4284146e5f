"""The reference: one page for each package of the library, from signatures and docstrings as they stand in the source.

Nothing is imported: griffe reads the source in two seconds, where an import of every module takes ten.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import griffe

WIDTH = 100
ROLE = re.compile(r":(?:func|mod|class|data|attr|meth|exc):`~?\.?([^`]+)`")
CODE = re.compile(r"(``.+?``|`[^`\n]+`)", flags=re.DOTALL)
ITEM = re.compile(r"^(\s*)\* ", flags=re.MULTILINE)
# the text of files that know nothing of this project: one class for each task under the same name
NOT_READ = {"ncp.models.formats.standalone", "ncp.models.formats.standalone_rooms"}
logging.getLogger("griffe").setLevel(logging.ERROR)


def load(source: Path) -> griffe.Module:
    """The library below ``source`` (the folder that holds ``ncp``), read and not imported."""
    options: griffe.GoogleOptions = {
        **{"warn_unknown_params": False, "warn_missing_types": False, "warnings": False},
        **{"returns_multiple_items": False, "returns_named_value": False},
    }
    loader = griffe.GriffeLoader(
        search_paths=[str(source)], docstring_parser="google", docstring_options=options, allow_inspection=False
    )
    module = loader.load("ncp")
    assert isinstance(module, griffe.Module)
    return module


def public(thing: griffe.Module | griffe.Class) -> Iterator[griffe.Object]:
    """What is defined here under a public name, in the order of the source: a module's or a class's own members."""
    members = [m for name, m in thing.members.items() if not m.is_alias and not name.startswith("_")]
    for member in sorted(members, key=lambda m: m.lineno or 0):
        if isinstance(member, griffe.Object):
            yield member


def modules(package: griffe.Module) -> Iterator[griffe.Module]:
    """A package's own modules, by name; those of packages inside of it are on pages of their own."""
    for member in sorted(public(package), key=lambda m: m.name):
        if isinstance(member, griffe.Module) and not member.is_init_module:
            yield member


def packages(package: griffe.Module) -> Iterator[griffe.Module]:
    """A package and all within it."""
    yield package
    for member in sorted(public(package), key=lambda m: m.name):
        if isinstance(member, griffe.Module) and member.is_init_module:
            yield from packages(member)


def _file(path: str) -> str:
    """The page of a package: not its whole name, which is an anchor already."""
    return "common" if path == "ncp" else path.removeprefix("ncp.").replace(".", "-")


class Reference:
    """All pages; knows every name, so that one text can point to another.

    Args:
        source: the folder that holds the package ``ncp``.
    """

    def __init__(self, source: Path) -> None:
        self.root = load(source)
        # path -> anchor; anchors know no capitals, so a class may need another than the function of its name
        self.names: dict[str, str] = {}
        taken: set[str] = set()
        for path in self._names(self.root):
            self.names[path] = f"{path}.{'class' if path.lower() in taken else ''}".rstrip(".")
            taken.add(path.lower())

    def _names(self, thing: griffe.Module | griffe.Class) -> Iterator[str]:
        yield thing.path
        for member in public(thing):
            if isinstance(member, griffe.Module | griffe.Class) and member.path not in NOT_READ:
                yield from self._names(member)
            else:
                yield member.path

    def write(self, folder: Path) -> list[str]:
        """All pages into ``folder``; returns their names. A page that is as it was is left alone, so that a build is quick."""
        folder.mkdir(parents=True, exist_ok=True)
        pages = {_file(package.path): self.page(package) for package in packages(self.root)}
        first = "".join(f"- [{p.path}](#{p.path}): {self._first(p)}\n" for p in packages(self.root))
        listed = "\n".join(pages)
        pages["index"] = (
            "# The library in Python\n\nEvery public name, by part, as its docstring tells it. How the parts stand upon each\n"
            "other is told in [the design](../design.md).\n\n"
            f"{first}\n```{{toctree}}\n:hidden:\n\n{listed}\n```\n"
        )
        for old in folder.glob("*.md"):
            if old.stem not in pages:
                old.unlink()
        for name, text in pages.items():
            file = folder / f"{name}.md"
            if not file.is_file() or file.read_text() != text:
                file.write_text(text)
        return list(pages)

    def _first(self, package: griffe.Module) -> str:
        text = package.docstring.value if package.docstring else ""
        return self.text(text.split("\n\n")[0].replace("\n", " "), package)

    def page(self, package: griffe.Module) -> str:
        """One package as MyST Markdown."""
        parts = [self._heading(1, package), *self._body(package, 1)]
        names = [name for name in package.exports or [] if isinstance(name, str)]
        if names and (links := [self._exported(package, name) for name in names]):
            parts.append("**Names to import from here:** " + ", ".join(links) + "\n")
        parts += self._members(package, 2)
        for module in modules(package):
            parts += [self._heading(2, module), *self._body(module, 2)]
            if module.path not in NOT_READ:
                parts += self._members(module, 3)
        return "\n".join(parts)

    def _exported(self, package: griffe.Module, name: str) -> str:
        member = package.members.get(name)
        path = member.target_path if isinstance(member, griffe.Alias) else f"{package.path}.{name}"
        return f"[`{name}`](#{self.names[path]})" if path in self.names else f"`{name}`"

    def _heading(self, level: int, thing: griffe.Object) -> str:
        shown = thing.path if isinstance(thing, griffe.Module) else thing.name
        return f"({self.names[thing.path]})=\n{'#' * level} {shown}\n"

    def _members(self, thing: griffe.Module | griffe.Class, level: int) -> Iterator[str]:
        for member in public(thing):
            if isinstance(member, griffe.Module):
                continue
            if isinstance(member, griffe.Attribute) and "property" not in member.labels:
                if member.docstring:
                    yield f"({self.names[member.path]})=\n`{member.name}`: {self.text(member.docstring.value, member).strip()}\n"
                else:
                    yield f"({self.names[member.path]})=\n`{_assigned(member)}`\n"
                continue
            yield self._heading(level, member)
            yield f"```python\n{signature(member)}\n```\n"
            yield from self._body(member, level)
            if isinstance(member, griffe.Class):
                yield from self._members(member, level + 1)

    def _body(self, thing: griffe.Object, level: int) -> Iterator[str]:
        if not thing.docstring:
            return
        for section in thing.docstring.parsed:
            if section.kind is griffe.DocstringSectionKind.text:
                yield self.text(section.value, thing) + "\n"
            elif section.kind is griffe.DocstringSectionKind.examples:
                for kind, text in section.value:
                    example = kind is griffe.DocstringSectionKind.examples
                    yield f"```python\n{text}\n```\n" if example else self.text(text, thing) + "\n"
            elif section.kind is griffe.DocstringSectionKind.admonition:
                yield f"**{section.title}** {self.text(section.value.contents, thing)}\n"
            else:
                yield f"**{(section.title or section.kind.value).capitalize()}**\n"
                for entry in section.value:
                    name = getattr(entry, "name", None) or getattr(entry, "annotation", None)
                    what = self.text(entry.description, thing).replace("\n", "\n  ")
                    yield f"- `{name}`: {what}" if name else f"- {what}"
                yield ""

    def text(self, text: str, scope: griffe.Object) -> str:
        """A docstring's words as Markdown: names become links, code stays code, and nothing else means anything."""
        text = ROLE.sub(lambda found: f"``:{found[1]}``", ITEM.sub(r"\1- ", text))
        out, doctest = [], False
        for line in _paragraphs(text):
            if line.lstrip().startswith(">>>") and not doctest:
                out.append("```python")
                doctest = True
            elif doctest and not line.strip():
                out.append("```")
                doctest = False
            out.append(line if doctest else self._inline(line, scope))
        return "\n".join([*out, "```"] if doctest else out)

    def _inline(self, text: str, scope: griffe.Object) -> str:
        parts = CODE.split(text)
        return "".join(self._code(part, scope) if i % 2 else _escaped(part) for i, part in enumerate(parts))

    def _code(self, part: str, scope: griffe.Object) -> str:
        code = part.strip("`")
        if not code.startswith(":"):
            return f"`` {code} ``" if "`" in code else f"`{code}`"
        name = code[1:]
        path = self._resolved(name, scope)
        return f"[`{name}`](#{self.names[path]})" if path else f"`{name}`"

    def _resolved(self, name: str, scope: griffe.Object | None) -> str | None:
        if name in self.names:
            return name
        while scope is not None:
            if (path := f"{scope.path}.{name}") in self.names:
                return path
            member = scope.members.get(name)
            if isinstance(member, griffe.Alias) and member.target_path in self.names:
                return str(member.target_path)
            scope = scope.parent if isinstance(scope.parent, griffe.Object) else None
        return None


def _paragraphs(text: str) -> Iterator[str]:
    """Lines, those of one code span joined: ``a`` may go over a line's end."""
    waiting = ""
    for line in text.splitlines():
        waiting = f"{waiting} {line.lstrip()}" if waiting else line
        if waiting.count("``") % 2 == 0:
            yield waiting
            waiting = ""
    if waiting:
        yield waiting


def _escaped(text: str) -> str:
    return re.sub(r"([*_<>\[\]|$#{}\\])", r"\\\1", text)


def _assigned(member: griffe.Attribute) -> str:
    said = f": {member.annotation}" if member.annotation is not None else ""
    value = str(member.value) if member.value is not None else ""
    return f"{member.name}{said}" + (f" = {value}" if value and len(value) <= WIDTH and "\n" not in value else "")


def signature(thing: griffe.Object) -> str:
    """How it is called, in one line, or one a parameter where that is too long."""
    if isinstance(thing, griffe.Class):
        bases = ", ".join(str(base) for base in thing.bases)
        said = f"class {thing.name}" + (f"({bases})" if bases else "")
        own = thing.members.get("__init__")
        if isinstance(own, griffe.Function):
            return f"{said}\n{_call(thing.name, own, method=True, returns=False)}"
        return said
    if isinstance(thing, griffe.Attribute):
        return f"{thing.name}: {thing.annotation}" if thing.annotation is not None else thing.name
    assert isinstance(thing, griffe.Function)
    return _call(thing.name, thing, method=isinstance(thing.parent, griffe.Class), returns=True)


def _call(name: str, thing: griffe.Function, method: bool, returns: bool) -> str:
    words, before = [], None
    for parameter in thing.parameters:
        if method and parameter.name in ("self", "cls") and "staticmethod" not in thing.labels:
            continue
        kind = parameter.kind
        if kind is griffe.ParameterKind.keyword_only and before not in (kind, griffe.ParameterKind.var_positional):
            words.append("*")
        before = kind
        stars = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}.get(kind, "")
        said = f"{stars}{parameter.name}" + (f": {parameter.annotation}" if parameter.annotation is not None else "")
        if parameter.default is not None and not stars:
            said += f" = {parameter.default}" if parameter.annotation is not None else f"={parameter.default}"
        words.append(said)
    end = f") -> {thing.returns}" if returns and thing.returns is not None else ")"
    line = f"{name}({', '.join(words)}{end}"
    return line if len(line) <= WIDTH else f"{name}(\n" + "".join(f"    {word},\n" for word in words) + end
