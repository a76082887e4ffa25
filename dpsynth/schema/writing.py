"""A schema as plain values and as a file's text: stable, pleasant to edit, and read back exactly.

Defaults are left out, except ``missing``; lists that fit stand on one line; texts that any YAML reader could
take for something else are quoted.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from dpsynth.schema.document import REVIEW, KeyPath, dotted, split
from dpsynth.schema.ranges import Range

if TYPE_CHECKING:
    from dpsynth.schema.table import Schema

__all__ = ["content_of", "ordered_marks", "place_of_mark", "to_text"]

_NOTHING: Mapping[KeyPath, str] = {}
_HEADER = "# dpsynth schema, format {}: what is publicly known of one table. Reference: docs/schema.md\n"
_WIDTH = 100
_LONGEST_KEY = 200
_PLAIN = re.compile(r"[^\W\d_]([\w ()/+.%&-]*[\w)+.%-])?")
_POSITION = re.compile("0|[1-9][0-9]{0,8}")
_WORDS = {"yes", "no", "on", "off", "y", "n", "true", "false", "null"}
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}


def content_of(schema: Schema, instead: Mapping[KeyPath, str] = _NOTHING) -> dict[str, Any]:
    """What the schema says, in plain JSON values; ``instead`` has words for keys of columns that are open."""
    unit = schema.privacy_unit
    content: dict[str, Any] = {
        "dpsynth": schema.dpsynth,
        "privacy_unit": unit if isinstance(unit, str) else {"column": unit.column, "max_rows": unit.max_rows},
        "columns": {
            name: {key: _json(value) for key, value in _keys(column, frozenset(), _inside(instead, name))}
            for name, column in schema.columns.items()
        },
    }
    if schema.constraints:
        content["constraints"] = [{c.kind: _json(c.content())} for c in schema.constraints]
    if schema.review:
        content["review"] = list(schema.review)
    return content


def ordered_marks(schema: Schema) -> tuple[str, ...]:
    """The review marks, each once, in the order in which they are written.

    Raises:
        ValueError: a mark is on a key the schema has not.
    """
    positions = {name: i for i, name in enumerate(schema.columns)}
    marked = [place_of_mark(split(mark)) for mark in schema.review]
    placed = {dotted(path): _place(schema, path, positions) for path in marked}
    return tuple(sorted(placed, key=placed.__getitem__))


def place_of_mark(path: KeyPath) -> KeyPath:
    """Return what a mark is kept on: a mark inside a constraint is one on the whole constraint."""
    return path[:2] if path[0] == "constraints" else path


def to_text(schema: Schema, instead: Mapping[KeyPath, str] = _NOTHING) -> str:
    """The schema as the text of a file; ``instead`` as in :func:`content_of`."""
    marks = _Marks(schema)
    unit = schema.privacy_unit
    lines = [_HEADER.format(schema.dpsynth)]
    lines += _entry("dpsynth", schema.dpsynth, ("dpsynth",), marks)
    if isinstance(unit, str):
        lines += _entry("privacy_unit", unit, ("privacy_unit",), marks)
    else:
        lines.append(f"privacy_unit:{marks.before(('privacy_unit',))}\n")
        lines += _entry("column", unit.column, ("privacy_unit", "column"), marks)
        lines += _entry("max_rows", unit.max_rows, ("privacy_unit", "max_rows"), marks)
    lines.append(f"\ncolumns:{marks.before(('columns',))}\n")
    for i, (name, column) in enumerate(schema.columns.items()):
        path: KeyPath = ("columns", name)
        lines.append("\n" if i else "")
        lines.append(f"{_key(name, 2)}:{marks.before(path)}\n")
        for key, value in _keys(column, marks.inside(path), _inside(instead, name)):
            lines += _entry(key, value, (*path, key), marks)
    if schema.constraints:
        lines.append(f"\nconstraints:{marks.before(('constraints',))}\n")
    for i, constraint in enumerate(schema.constraints):
        mark = marks.before(("constraints", str(i)))
        head, *rest = _nested(constraint.kind, constraint.content(), 4)
        lines += [f"  -{mark}\n", head, *rest] if mark else [f"  - {head.lstrip(' ')}", *rest]
    return "".join(lines)


def _nested(key: str, value: Any, indent: int) -> Iterator[str]:
    """The lines of one key of a constraint: mappings in blocks, ranges on one line, lists too if they fit."""
    head = f"{_key(key, indent)}:"
    if isinstance(value, Range):
        yield f"{head} {{{', '.join(f'{k}: {_scalar(v)}' for k, v in value.limits() if v is not None)}}}\n"
    elif isinstance(value, Mapping):
        yield f"{head}\n"
        for inner, said in value.items():
            yield from _nested(inner, said, indent + 2)
    elif isinstance(value, tuple):
        yield from _list(head, value, " " * indent, frozenset())
    else:
        yield f"{head} {_scalar(value)}\n"


class _Marks:
    """The review marks of a schema, grouped by what they stand in."""

    def __init__(self, schema: Schema) -> None:
        self._inside: dict[KeyPath, set[str]] = {}
        self._marked = {split(mark) for mark in schema.review}
        for mark in self._marked:
            for end in range(len(mark)):
                self._inside.setdefault(mark[:end], set()).add(str(mark[end]))

    def inside(self, path: KeyPath) -> AbstractSet[str]:
        """Keys or positions directly under ``path`` that are marked or hold a mark."""
        return self._inside.get(path, set())

    def before(self, path: KeyPath) -> str:
        """The tag to write before a value."""
        return f" {REVIEW}" if path in self._marked else ""


def _keys(column: Any, asked: AbstractSet[str], instead: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """The keys of a column that are worth writing: kind, missing, and what differs from its default."""
    yield "kind", column.kind
    for key in sorted(type(column).model_fields, key=_ORDER.index):
        value = instead.get(key, getattr(column, key))
        default = type(column).model_fields[key].get_default()
        if key != "kind" and (key in {"missing", *asked} or value != default):
            yield key, value


def _inside(instead: Mapping[KeyPath, str], name: str) -> dict[str, str]:
    return {str(path[2]): word for path, word in instead.items() if path[1] == name}


_ORDER = (
    "kind", "missing", "values", "count", "out_of_domain", "other_label", "lower", "upper", "decimals",
    "resolution", "timezone", "bins", "edges", "spikes", "format", "unique",
)  # fmt: skip


def _place(schema: Schema, path: KeyPath, positions: Mapping[str, int]) -> tuple[int, ...]:
    """Where a mark stands in the written order.

    Raises:
        ValueError: the schema has no such key.
    """
    top, inner = str(path[0]), tuple(map(str, path[1:]))
    place: tuple[int, ...] | None = None
    if top == "columns":
        place = _place_in_columns(schema, inner, positions)
    elif top == "privacy_unit" and not isinstance(schema.privacy_unit, str) and len(inner) == 1:
        place = (1, ("column", "max_rows").index(inner[0])) if inner[0] in {"column", "max_rows"} else None
    elif top == "constraints":
        is_there = not inner or (_POSITION.fullmatch(inner[0]) and int(inner[0]) < len(schema.constraints))
        place = (3, *map(int, inner)) if is_there else None
    elif top in {"dpsynth", "privacy_unit"} and not inner:
        place = (("dpsynth", "privacy_unit").index(top),)
    if place is None:
        raise ValueError(f"review names {dotted(path)}, which the schema has not; remove it or correct it")
    return place


def _place_in_columns(
    schema: Schema, path: tuple[str, ...], positions: Mapping[str, int]
) -> tuple[int, ...] | None:
    """Where ``columns``, a column, one of its keys or one item of a list stands; ``None`` if not there."""
    if not path:
        return (2,)
    name, *inner = path
    if name not in positions or (inner and inner[0] not in type(schema.columns[name]).model_fields):
        return None
    place = (2, positions[name], *(_ORDER.index(key) for key in inner[:1]))
    if len(inner) < 2:
        return place
    items = getattr(schema.columns[name], inner[0])
    is_position = len(inner) == 2 and isinstance(items, tuple) and _POSITION.fullmatch(inner[1])
    return (*place, int(inner[1])) if is_position and int(inner[1]) < len(items) else None


def _json(value: Any) -> Any:
    if isinstance(value, Range):
        return {key: _json(limit) for key, limit in value.limits() if limit is not None}
    if isinstance(value, Mapping):
        return {key: _json(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return [_json(item) for item in value]
    if isinstance(value, Decimal):
        if value == value.to_integral_value():
            return int(value)
        near = float(value)
        return near if Decimal(repr(near)) == value else f"{value:f}"
    return value.isoformat() if isinstance(value, (dt.date, dt.datetime)) else value


def _entry(key: str, value: Any, path: KeyPath, marks: _Marks) -> list[str]:
    """The lines of one key with a scalar or a list."""
    indent = " " * 2 * (len(path) - 1)
    head = f"{indent}{key}:{marks.before(path)}"
    if not isinstance(value, tuple):
        return [f"{head} {_scalar(value)}\n"]
    return _list(head, value, indent, marks.inside(path))


def _list(head: str, value: tuple[Any, ...], indent: str, inner: AbstractSet[str]) -> list[str]:
    """The lines of a list after its key; ``inner`` are the positions marked for review."""
    items = [f"{REVIEW} {_scalar(v)}" if str(i) in inner else _scalar(v) for i, v in enumerate(value)]
    if sum(map(len, items)) + 2 * len(items) + len(head) < _WIDTH:
        return [f"{head} [{', '.join(items)}]\n"]
    if any(isinstance(v, str) for v in value):
        return [f"{head}\n", *(f"{indent}  - {item}\n" for item in items)]
    return [f"{head} [\n", *_wrap(items, f"{indent}  ")]


def _wrap(items: Iterable[str], indent: str) -> Iterator[str]:
    """Items side by side, as many as fit on a line, and the closing bracket."""
    line = indent
    for item in items:
        if len(line) + len(item) + 1 > _WIDTH and line != indent:
            yield line.rstrip() + "\n"
            line = indent
        line += f"{item}, "
    yield line.removesuffix(", ") + "]\n"


def _key(name: str, indent: int) -> str:
    """A column name as a key; a very long one in YAML's explicit form."""
    text = _scalar(name)
    return " " * indent + (text if len(text) < _LONGEST_KEY else f"? {text}\n{' ' * indent}")


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) and value.lower() not in _WORDS else _quoted(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, (dt.date, dt.datetime)) else str(value)


def _quoted(text: str) -> str:
    return f'"{"".join(_ESCAPES.get(c) or (c if c.isprintable() else _escape(c)) for c in text)}"'


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
