"""A schema file as text: read with every key's line, without running anything it says.

The text is YAML 1.2 in the reading a steward expects: ``yes``, ``12:30``, ``007``, ``1_000`` and
``2020-01-01`` are texts, only ``true`` and ``false`` are booleans, and a decimal number keeps the digits it
is written with. Keys are texts, whatever they look like. Anchors, aliases, repeated keys and every tag but
``!REVIEW`` are refused, so a file is as large as it looks.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from dpsynth.errors import MissingFileError, SchemaError

__all__ = ["Document", "KeyPath", "Problem", "dotted", "error_of", "parse", "raise_all", "read_text", "split"]

KeyPath = tuple[str | int, ...]
"""Where something stands: keys and list positions from the top, such as ``("columns", "age", "lower")``."""

REVIEW = "!REVIEW"
MAX_BYTES = 256 * 2**20
_MAX_DEPTH = 8
_MAX_REPORTED = 20
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]{0,99})")
_FRACTION = re.compile(r"[-+]?(0|[1-9][0-9]{0,99})?(\.[0-9]{0,99})?([eE][-+]?[0-9]{1,3})?")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_PLAIN_PART = re.compile(r"[^.\"\x00-\x1f\ud800-\udfff]+")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, and what to do about it."""

    path: KeyPath
    text: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says and where.

    Attributes:
        content: Mappings, lists, texts, integers, decimals, booleans and ``None``.
        review: Paths marked ``!REVIEW``, in file order.
        lines: The 1-based line of every key and list item.
        path: The file's name, when there is one.
    """

    content: Mapping[str, Any] = field(default_factory=dict)
    review: tuple[KeyPath, ...] = ()
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    path: str | None = None

    def line_of(self, path: KeyPath) -> int | None:
        """Line of a key, or of the nearest key around it; ``None`` when nothing is known."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return None

    def is_marked(self, path: KeyPath) -> bool:
        """Whether the key, one above it or one below it awaits review, so that its value may be private."""
        parts = tuple(map(str, path))
        marks = (tuple(map(str, mark)) for mark in self.review)
        return any(parts[: len(mark)] == mark or mark[: len(parts)] == parts for mark in marks)


def dotted(path: KeyPath) -> str:
    """Write a path as one key: ``columns.age.lower``; a part with a dot or a quote is put in quotes.

    Example:
        >>> dotted(("columns", "a.b", "values", 2))
        'columns."a.b".values.2'
    """
    return ".".join(_part(part) for part in path)


def _part(part: str | int) -> str:
    if isinstance(part, int) or _PLAIN_PART.fullmatch(part):
        return str(part)
    return json.dumps(part, ensure_ascii=not part.isprintable())


def split(key: str) -> KeyPath:
    """Read what :func:`dotted` wrote; list positions come back as texts.

    Raises:
        ValueError: the key is not a dotted key.
    """
    parts: list[str] = []
    at = 0
    while True:
        if key[at : at + 1] == '"':
            part, end = json.JSONDecoder().raw_decode(key, at)
        elif plain := _PLAIN_PART.match(key, at):
            part, end = plain.group(), plain.end()
        else:
            raise ValueError(f"{key!r} is not a dotted key")
        parts.append(part)
        if end == len(key):
            return tuple(parts)
        if key[end] != ".":
            raise ValueError(f"{key!r} is not a dotted key")
        at = end + 1


def raise_all(problems: Sequence[Problem], file: str | None) -> None:
    """Raise what :func:`error_of` makes of the problems, if there are any.

    Raises:
        SchemaError: there is a problem.
    """
    if problems:
        raise error_of(problems, file)


def error_of(problems: Sequence[Problem], file: str | None) -> SchemaError:
    """Make one error of all problems, one a line, in file order; its line and key are the first one's."""
    first, *rest = sorted(problems, key=lambda p: (p.line is None, p.line or 0))
    said = [str(_error(p, file)) for p in rest[: _MAX_REPORTED - 1]]
    if len(rest) > len(said):
        said.append(f"... and {len(rest) - len(said)} more")
    return _error(Problem(first.path, "\n".join([first.text, *said]), first.line), file)


def _error(problem: Problem, file: str | None) -> SchemaError:
    return SchemaError(problem.text, key=dotted(problem.path) or None, line=problem.line, path=file)


def read_text(path: str | os.PathLike[str], what: str = "schema") -> str:
    """Read a schema file, or another of its form.

    Args:
        path: The file.
        what: What it is, for messages.

    Raises:
        MissingFileError: there is no such file.
        SchemaError: it is a directory, cannot be read, is too large, or is not UTF-8 text.
    """
    name = os.fspath(path)
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise MissingFileError(f"{name}: there is no such {what} file; check the path") from None
    except IsADirectoryError:
        raise SchemaError(f"this is a directory; name the {what} file in it", path=name) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise SchemaError(
            f"the file cannot be read: {reason or 'its name is not a path'}", path=name
        ) from None
    if len(raw) > MAX_BYTES:
        raise SchemaError(f"larger than {MAX_BYTES} bytes, so hardly a {what}; is it the data?", path=name)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SchemaError(f"not UTF-8 text; save the {what} as UTF-8", line=line, path=name) from None


def parse(
    text: str,
    path: str | None = None,
    *,
    what: str = "schema",
    keys: str = "privacy_unit and columns",
) -> Document:
    """Read YAML text into plain values, with the line of every key.

    Args:
        text: The file's text.
        path: The file's name, for messages.
        what: What it is, for messages.
        keys: What it has at least, likewise.

    Raises:
        SchemaError: names the line and what to do: a syntax error, a repeated key, an anchor or alias, a tag
            other than ``!REVIEW``, more than one document, nothing at all, or no mapping at the top.
    """
    if odd := _NOT_TEXT.search(text):
        line = text.count("\n", 0, odd.start()) + 1
        code = f"U+{ord(odd.group()):04X}"
        raise SchemaError(f"control character {code}: this is not a text file", line=line, path=path)
    reader = _Reader()
    try:
        content = reader.read(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text, path) from None
    raise_all(reader.problems, path)
    if content is None:
        raise SchemaError(f"the {what} is empty; it needs the keys {keys}", line=1, path=path)
    if not isinstance(content, dict):
        raise SchemaError(f"the top level must be a mapping with the keys {keys}", line=1, path=path)
    return Document(content, tuple(reader.review), reader.lines, path)


def _syntax_error(error: yaml.MarkedYAMLError, text: str, path: str | None) -> SchemaError:
    mark = error.problem_mark or error.context_mark
    line = None if mark is None else mark.line + 1
    said = " ".join(part for part in (error.context, error.problem) if part) or "unreadable"
    rows = text.splitlines()
    row = rows[line - 1] if line is not None and line <= len(rows) else ""
    hint = "indent with spaces, not tabs" if "\t" in row else "check quotes, colons and indentation"
    return SchemaError(f"not valid YAML: {said}; {hint}", line=line, path=path)


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _refusal(problem: str, event: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


class _Reader:
    """Turns parser events into plain values; notes lines, review marks and problems on the way."""

    def __init__(self) -> None:
        self.lines: dict[KeyPath, int] = {}
        self.review: list[KeyPath] = []
        self.problems: list[Problem] = []

    def read(self, events: Iterator[yaml.Event]) -> object:
        content: object = None
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._note((), "a second document starts here; a file holds one", event)
                    break
                content = self._node(next(events), events, ())
        return content

    def _note(self, path: KeyPath, text: str, event: yaml.Event) -> None:
        self.problems.append(Problem(path, text, _line(event)))

    def _node(self, event: Any, events: Iterator[yaml.Event], path: KeyPath) -> object:
        self.lines.setdefault(path, _line(event))
        if isinstance(event, yaml.AliasEvent):
            self._note(path, "aliases (*name) are not read; write the value out", event)
            return None
        marked = self._check_properties(event, path)
        if marked:
            self.review.append(path)
        if isinstance(event, yaml.ScalarEvent):
            return _value(event, plain=event.implicit[0] or marked)
        if len(path) >= _MAX_DEPTH:
            raise _refusal("nested too deeply", event)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[object] = []
            while not isinstance(event := next(events), yaml.SequenceEndEvent):
                items.append(self._node(event, events, (*path, len(items))))
            return items
        return self._mapping(events, path)

    def _check_properties(self, event: Any, path: KeyPath) -> bool:
        """Whether the node is marked for review; notes an anchor or a foreign tag."""
        if event.anchor is not None:
            self._note(path, "anchors (&name) are not read; write the value out where it is used", event)
        if event.tag == REVIEW and not path:
            self._note(path, "put !REVIEW after a key's colon, not before the whole schema", event)
        elif event.tag is not None and event.tag != REVIEW:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._note(path, f"tag {tag[:40]} is not read; the only tag is {REVIEW}; quote texts", event)
        return bool(event.tag == REVIEW and path)

    def _mapping(self, events: Iterator[yaml.Event], path: KeyPath) -> dict[str, object]:
        content: dict[str, object] = {}
        event: Any = None
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise _refusal("a key must be a text, not a list, a mapping or an alias", event)
            here = (*path, event.value)
            line = _line(event)
            if event.tag == REVIEW:
                self._note(here, "put !REVIEW after the colon, before the value", event)
            else:
                self._check_properties(event, here)
            if event.value in content:
                self._note(
                    here, f"the key stands twice, on lines {self.lines[here]} and {line}; remove one", event
                )
                self._skip(events, here)
            else:
                self.lines[here] = line
                content[event.value] = self._node(next(events), events, here)
        return content

    def _skip(self, events: Iterator[yaml.Event], path: KeyPath) -> None:
        """Read the value of a repeated key, and forget what it says."""
        spare = _Reader()
        spare._node(next(events), events, path)


def _value(event: yaml.ScalarEvent, *, plain: bool) -> object:
    """What a scalar says: quoted ones are texts, plain ones by YAML 1.2's rules."""
    text: str = event.value
    if event.style or not plain:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    has_digit = any(c.isdigit() for c in re.split("[eE]", text)[0])
    return Decimal(text) if has_digit and _FRACTION.fullmatch(text) else text
