"""What a schema leaves to be bought: the word ``buy`` in place of what is not publicly known.

::

    workclass: {kind: categorical, missing: buy, values: buy}
    age: {kind: integer, missing: false, lower: 0, upper: buy, edges: buy tree}

An :class:`OpenSchema` says what is known and what is to be bought; filled in with what was bought, it becomes
a :class:`~dpsynth.schema.Schema`. The two are different types, so nothing that needs a whole schema can be
given an open one.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, cast

from dpsynth.errors import SchemaError
from dpsynth.schema.document import Document, KeyPath, Problem, parse, raise_all, read_text
from dpsynth.schema.left_open import BUY, BUY_EDGES, open_keys
from dpsynth.schema.stating import read_constraint
from dpsynth.schema.table import Schema, document_of
from dpsynth.schema.writing import content_of, to_text

__all__ = ["OpenSchema", "Purchase", "read_schema"]

Cut = Literal["tree", "quantiles"]

_STAND_INS: Mapping[str, tuple[Any, Any]] = {
    "integer": (0, 1),
    "real": (0, 1),
    "date": ("2000-01-01", "2000-01-02"),
    "datetime": ("2000-01-01T00:00:00", "2000-01-02T00:00:00"),
}
_KEPT_OTHER = (
    "values that are bought leave rare ones out, so out_of_domain must be other here (it is by default)"
)
_KEPT_MISSING = "out_of_domain: missing needs missing: true, stated and not bought"
_NO_POINTS = (
    "this is stated only where both bounds are, since what is bought may not reach so far; edges: buy tree "
    "finds values that pile up"
)
_NO_RULE = "a constraint is about columns whose values, bounds and nulls are stated; {} buys some"


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """What is to be bought of one column.

    Attributes:
        column: Its name.
        kind: Its kind.
        keys: The keys that say ``buy``, of ``values``, ``missing``, ``lower``, ``upper`` and ``edges``, in
            this order.
        cut: How bins are cut, where ``edges`` is among the keys: by splitting what is full (``"tree"``), or
            into equal shares of the rows (``"quantiles"``).
    """

    column: str
    kind: str
    keys: tuple[str, ...]
    cut: Cut = "tree"


@dataclass(frozen=True, slots=True)
class OpenSchema:
    """Public knowledge of a table, with a list of what is to be bought. Made by :meth:`load` and its like.

    Attributes:
        stand_in: The same schema with made-up values where it is open. It is right about names, kinds, order
            and whom it protects, and is never used to read rows.
        purchases: What is to be bought, by column in table order; at least one.
    """

    stand_in: Schema
    purchases: tuple[Purchase, ...]

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a schema file that leaves something to be bought.

        Raises:
            MissingFileError: there is no such file.
            SchemaError: says every problem, each with its line and key; or nothing is to be bought.
        """
        return cls.loads(read_text(path), path=path)

    @classmethod
    def loads(cls, text: str, path: str | os.PathLike[str] | None = None) -> Self:
        """Read such a schema from YAML text.

        Raises:
            SchemaError: as :meth:`load`.

        Example:
            >>> schema = OpenSchema.loads('''
            ... privacy_unit: row
            ... columns:
            ...   age: {kind: integer, missing: false, lower: 0, upper: buy}
            ... ''')
            >>> schema.purchases[0].keys
            ('upper',)
        """
        return cls.of_document(parse(text, None if path is None else os.fspath(path)))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Build one from plain values, such as :meth:`to_dict` gives.

        Raises:
            SchemaError: names the keys that are wrong; or nothing is to be bought.
        """
        return cls.of_document(document_of(content))

    @classmethod
    def of_document(cls, document: Document) -> Self:
        """Build one from what a file or plain values say.

        Raises:
            SchemaError: as :meth:`load`.
        """
        wanted = dict(open_keys(document.content))
        if not wanted:
            raise SchemaError("nothing is to be bought; read it with Schema.load", path=document.path)
        columns: dict[str, Any] = dict(document.content["columns"])
        problems: list[Problem] = []
        purchases = []
        for name, keys in wanted.items():
            spec = columns[name]
            problems += _problems_of(("columns", name), spec, keys)
            columns[name] = {**spec, **_made_up(spec, keys)}
            cut: Cut = "tree"
            if "edges" in keys:
                cut = cast("Cut", BUY_EDGES[columns[name].pop("edges")])
            purchases.append(Purchase(column=name, kind=spec["kind"], keys=keys, cut=cut))
        problems += _open_constraints(document.content, wanted)
        raise_all([dataclasses.replace(p, line=document.line_of(p.path)) for p in problems], document.path)
        content = {**document.content, "columns": columns}
        return cls(Schema.of_document(dataclasses.replace(document, content=content)), tuple(purchases))

    @property
    def said(self) -> Mapping[KeyPath, str]:
        """The words in the file that stand for what is to be bought, by key."""
        return {
            ("columns", p.column, key): f"{BUY} {p.cut}" if key == "edges" else BUY
            for p in self.purchases
            for key in p.keys
        }

    def filled(self, found: Mapping[str, Mapping[str, Any]]) -> Schema:
        """Return the schema with what was bought in its place.

        Args:
            found: For each column of :attr:`purchases` its keys, each with a value as a schema file has it;
                ``None`` for edges leaves bins to equal widths.

        Raises:
            ValueError: another column or key than was to be bought, or one that is not there.
            SchemaError: a value that the column cannot have.
        """
        if {n: set(keys) for n, keys in found.items()} != {p.column: set(p.keys) for p in self.purchases}:
            raise ValueError("what was bought is not what the schema left open")
        content = self.stand_in.to_dict()
        content.pop("review", None)
        for name, keys in found.items():
            spec = content["columns"][name]
            spec.update({key: value for key, value in keys.items() if value is not None})
            if keys.get("edges") is not None:
                spec.pop("bins", None)
        return Schema.from_dict(content)

    def to_dict(self) -> dict[str, Any]:
        """Say everything in plain JSON values; :meth:`from_dict` reads them back."""
        return content_of(self.stand_in, self.said)

    def to_yaml(self) -> str:
        """Write a file's text, review marks included; :meth:`loads` reads it back."""
        return to_text(self.stand_in, self.said)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file.

        Raises:
            SchemaError: it cannot be written there.
        """
        try:
            Path(path).write_text(self.to_yaml(), encoding="utf-8", newline="\n")
        except OSError as error:
            raise SchemaError(f"cannot be written: {error.strerror}", path=os.fspath(path)) from None


def read_schema(path: str | os.PathLike[str]) -> Schema | OpenSchema:
    """Read a schema file, whole or open.

    Returns:
        A :class:`Schema`, or an :class:`OpenSchema` where a key says ``buy``.

    Raises:
        MissingFileError: there is no such file.
        SchemaError: says every problem, each with its line and key.
    """
    document = parse(read_text(path), os.fspath(path))
    is_open = any(True for _ in open_keys(document.content))
    return OpenSchema.of_document(document) if is_open else Schema.of_document(document)


def _problems_of(at: KeyPath, spec: Mapping[str, Any], keys: tuple[str, ...]) -> Iterator[Problem]:
    rule = spec.get("out_of_domain", "other")
    if "values" in keys and rule != "other":
        yield Problem((*at, "out_of_domain"), _KEPT_OTHER)
    if "missing" in keys and rule == "missing":
        yield Problem((*at, "out_of_domain"), _KEPT_MISSING)
    if {"lower", "upper"} & {*keys}:
        for key in ("edges", "spikes"):
            if key in spec and key not in keys:
                yield Problem((*at, key), _NO_POINTS)


def _made_up(spec: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """Return values that a column with these keys open could have."""
    made: dict[str, Any] = {}
    if "values" in keys:
        made["values"] = [spec.get("other_label", "other")]
    if "missing" in keys:
        made["missing"] = True
    if bounds := {"lower", "upper"} & {*keys}:
        low, high = _STAND_INS[spec["kind"]]
        made["lower"] = low if len(bounds) == 2 else spec.get("lower" if "upper" in bounds else "upper", low)
        made["upper"] = high if len(bounds) == 2 else made["lower"]
    return made


def _open_constraints(content: Mapping[str, Any], wanted: Mapping[str, tuple[str, ...]]) -> Iterator[Problem]:
    stated = content.get("constraints")
    for i, said in enumerate(stated if isinstance(stated, (list, tuple)) else ()):
        try:
            columns = [name for name, _ in read_constraint(said).columns]
        except ValueError:  # the schema says what is wrong with it
            continue
        for name in columns:
            if {*wanted.get(name, ())} - {"edges"}:
                yield Problem(("constraints", i), _NO_RULE.format(name))
