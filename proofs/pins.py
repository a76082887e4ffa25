"""Pins: the hash of the syntax tree of every function and constant that a page speaks of.

A pin is stale when the code it names has changed since somebody last read the page against it. Comments,
docstrings and layout do not count; anything that runs does.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ROOT", "Pin", "digest", "notes", "pages", "pins", "rewrite"]

ROOT = Path(__file__).resolve().parent.parent
_LINE = re.compile(r"^  - (?P<target>[\w.]+:[\w.]+) sha256:(?P<hash>[0-9a-f]*)$", re.MULTILINE)
_NOTE = re.compile(r"^(status|reviewed): (\S.*)$", re.MULTILINE)
_IGNORED = frozenset({"ctx", "kind", "type_comment", "type_ignores", "type_params"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One pinned definition of one page.

    Attributes:
        page: The file's name.
        target: ``module:qualified.name``.
        stated: The hash on the page.
        actual: The hash of the code, or None when the code has no such definition.
    """

    page: str
    target: str
    stated: str
    actual: str | None

    @property
    def fresh(self) -> bool:
        """Whether the page was written for the code as it stands."""
        return self.stated == self.actual


def pages() -> tuple[Path, ...]:
    """Return the proof pages, in order of name."""
    return tuple(p for p in sorted((ROOT / "proofs").glob("*.md")) if p.name != "README.md")


def notes(page: Path) -> dict[str, str]:
    """Return what a page's front matter says of its ``status``, and by whom it was ``reviewed``."""
    front = page.read_text(encoding="utf-8").split("\n---\n", 1)[0]
    return dict(_NOTE.findall(front))


def pins(root: Path = ROOT) -> tuple[Pin, ...]:
    """Return every pin of every page, judged against the code under ``root``."""
    found = []
    for page in pages():
        for match in _LINE.finditer(page.read_text(encoding="utf-8")):
            target = match["target"]
            actual = digest(target, root)
            found.append(Pin(page=page.name, target=target, stated=match["hash"], actual=actual))
    return tuple(found)


def rewrite() -> tuple[str, ...]:
    """Write the present hashes into the pages; return the targets that changed.

    Raises:
        ValueError: a page pins a definition that does not exist.
    """
    changed = []
    for page in pages():
        text = page.read_text(encoding="utf-8")

        def renewed(match: re.Match[str]) -> str:
            actual = digest(match["target"])
            if actual is None:
                raise ValueError(f"{match['target']} does not exist; correct the page that pins it")
            if actual != match["hash"]:
                changed.append(match["target"])
            return f"  - {match['target']} sha256:{actual}"

        new = _LINE.sub(renewed, text)
        if new != text:
            page.write_text(new, encoding="utf-8")
    return tuple(changed)


def digest(target: str, root: Path = ROOT) -> str | None:
    """Return the hash of a definition, ``module:name`` or ``module:Class.name``; None if there is none."""
    module, _, name = target.partition(":")
    path = root.joinpath(*module.split(".")).with_suffix(".py")
    if not path.exists():
        return None
    node: ast.AST | None = ast.parse(path.read_text(encoding="utf-8"))
    for part in name.split("."):
        node = next((c for c in ast.iter_child_nodes(node) if part in _names(c)), None) if node else None
    if node is None:
        return None
    return hashlib.sha256("".join(_written(node)).encode()).hexdigest()


def _names(node: ast.AST) -> tuple[str, ...]:
    """Return the names that a statement defines."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return (node.name,)
    targets = node.targets if isinstance(node, ast.Assign) else []
    targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
    return tuple(n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name))


def _written(node: object) -> Iterator[str]:
    """Write a tree in a form of our own: ``ast.dump`` differs between versions of Python."""
    if isinstance(node, ast.AST):
        yield f"({type(node).__name__}"
        for field, value in ast.iter_fields(node):
            content = _without_docstring(node, value) if field == "body" else value
            if field not in _IGNORED and content is not None and content != []:
                yield f" {field}="
                yield from _written(content)
        yield ")"
    elif isinstance(node, list):
        yield "["
        for item in node:
            yield from _written(item)
        yield "]"
    else:
        yield f"<{type(node).__name__} {node!r}>"


def _without_docstring(node: ast.AST, body: object) -> object:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and ast.get_docstring(node):
        return node.body[1:]
    return body
