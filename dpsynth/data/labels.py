"""Labelled columns (categorical, ordinal, boolean) to codes and back.

A cell matches a declared value by its canonical form, so that ``1``, ``1.0``, ``"1"``, ``" 1 "`` and
``"1.0"`` are the declared ``1`` and the declared ``"1"`` alike. For declared texts the order is: the exact
text; the text without surrounding blanks; a null text; true/false in any case; the same number.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from dpsynth.data.cells import Cells, Flags, Ints, factored
from dpsynth.data.lattice import codes_dtype
from dpsynth.data.numeric import Drawn
from dpsynth.data.reading import GARBLED, NULL, exact_wholes, is_null_text, number_of_text, truths
from dpsynth.schema.columns import Boolean, Categorical, Label, Ordinal

__all__ = ["LabelCoder", "label_text"]

Labelled = Categorical | Ordinal | Boolean

_UNKNOWN = -1
_NULL = -2


@dataclass(frozen=True, slots=True)
class _TextIndex:
    """Finds a declared text. Positions by exact text, by stripped text, by truth word and by number."""

    exact: Mapping[str, int]
    stripped: Mapping[str, int]
    words: Mapping[str, int]
    numbers: Mapping[int | float, int]

    @classmethod
    def of(cls, labels: tuple[str, ...]) -> Self:
        exact = {label: position for position, label in enumerate(labels)}
        stripped: dict[str, int] = {}
        words: dict[str, int] = {}
        numbers: dict[int | float, int] = {}
        for position, label in enumerate(labels):
            stripped.setdefault(label.strip(), position)
            if (word := label.strip().lower()) in {"true", "false"}:
                words.setdefault(word, position)
            elif (number := number_of_text(label)) is not None:
                numbers.setdefault(number, position)
        return cls(exact, stripped, words, numbers)

    def find(self, item: object) -> int:
        text = label_text(item)
        if text is None:
            return _UNKNOWN
        for known, key in ((self.exact, text), (self.stripped, text.strip())):
            if key in known:
                return known[key]
        if is_null_text(text):
            return _NULL
        if (word := text.strip().lower()) in self.words:
            return self.words[word]
        number = number_of_text(text)
        return _UNKNOWN if number is None else self.numbers.get(number, _UNKNOWN)


@dataclass(frozen=True, slots=True)
class _WholeIndex:
    """Finds a declared whole number, by arithmetic where the labels are ``0 .. count-1``."""

    count: int
    values: Ints | None
    positions: Ints | None

    @classmethod
    def of(cls, labels: range | tuple[int, ...]) -> Self:
        if isinstance(labels, range):
            return cls(len(labels), None, None)
        values = np.array(labels, dtype=np.int64)
        order = np.argsort(values).astype(np.int64)
        return cls(len(labels), values[order], order)

    def find_all(self, numbers: Ints) -> Ints:
        if self.values is None or self.positions is None:
            return np.where((numbers >= 0) & (numbers < self.count), numbers, _UNKNOWN)
        where = np.minimum(np.searchsorted(self.values, numbers), self.count - 1)
        return np.where(self.values[where] == numbers, self.positions[where], _UNKNOWN)


@dataclass(frozen=True, slots=True)
class LabelCoder:
    """Codes one labelled column: the declared values in order, then ``other``, then ``missing``.

    Attributes:
        spec: What the schema says.
        labels: What each code below ``missing`` is written as, ``other`` included.
        index: Finds the code of a value.
        fallback: The code of a value that is not declared.
    """

    spec: Labelled
    labels: range | tuple[Label, ...]
    index: _TextIndex | _WholeIndex | None
    fallback: int

    @classmethod
    def build(cls, spec: Labelled) -> Self:
        """Index a column's public values."""
        if isinstance(spec, Boolean):
            return cls(spec, (False, True), None, 2 if spec.out_of_domain == "missing" else 0)
        labels: range | tuple[Label, ...] = spec.labels
        other = spec.other
        if other is not None and other not in labels:
            labels = range(len(labels) + 1) if _continues(labels, other) else (*labels, other)
        if spec.out_of_domain == "clip":
            fallback = 0
        else:
            fallback = len(labels) if other is None else labels.index(other)  # type: ignore[arg-type]
        index: _TextIndex | _WholeIndex | None
        if isinstance(labels, range) or type(labels[0]) is int:
            index = _WholeIndex.of(labels)  # type: ignore[arg-type]
        elif isinstance(labels[0], str):
            index = _TextIndex.of(labels)  # type: ignore[arg-type]
        else:
            index = None
        return cls(spec, labels, index, fallback)

    @property
    def ordered(self) -> int:
        """Number of leading codes in a meaningful order: the declared values of an ordinal column."""
        return len(self.spec.labels) if isinstance(self.spec, Ordinal) else 0

    @property
    def size(self) -> int:
        """Number of codes."""
        return len(self.labels) + self.spec.missing

    def encode(self, cells: Cells) -> npt.NDArray[np.unsignedinteger[Any]]:
        """Code a column; total in its values."""
        positions = self._positions(cells)
        if positions.size and int(positions.min()) < 0:
            null_code = len(self.labels) if self.spec.missing else self.fallback
            positions = np.where(positions == _UNKNOWN, self.fallback, positions)
            positions = np.where(positions == _NULL, null_code, positions)
        return positions.astype(codes_dtype(self.size))

    def _positions(self, cells: Cells) -> Ints:
        """Return each row's label position, or what it is instead of a label."""
        if self.index is None:
            values, status = truths(cells)
            lookup = np.array([self.labels.index(v) if v in self.labels else _UNKNOWN for v in (False, True)])
            positions = np.where(status == GARBLED, _UNKNOWN, lookup[values])
            return np.where(status == NULL, _NULL, positions)
        if isinstance(self.index, _WholeIndex):
            numbers, status = exact_wholes(cells)
            positions = np.where(status == GARBLED, _UNKNOWN, self.index.find_all(numbers))
            return np.where(status == NULL, _NULL, positions)
        rows = factored(cells)
        known = np.fromiter((self.index.find(v) for v in rows.values), dtype=np.int64, count=len(rows.values))
        return np.append(known, _NULL)[rows.index]

    def decode(self, codes: npt.NDArray[np.integer[Any]], rng: np.random.Generator) -> Drawn:  # noqa: ARG002  -- one signature for all coders
        """Return the label of each code; takes no chance."""
        null: Flags = codes >= len(self.labels)
        return Drawn(np.where(null, 0, codes).astype(np.int64), null)


def _continues(labels: range | tuple[Label, ...], other: Label) -> bool:
    return isinstance(labels, range) and other == len(labels)


def label_text(item: object) -> str | None:
    """Return how a value reads as a text label, or ``None`` for what has no text."""
    match item:
        case str():
            text: str | None = item
        case bool():
            text = str(item)
        case int() if abs(item) < 10**400:
            text = str(item)
        case float():
            text = str(int(item)) if item.is_integer() and abs(item) < 2**63 else repr(item)
        case Decimal():
            text = str(item)
        case dt.datetime():
            naive = item.replace(tzinfo=None)
            text = str(naive.date() if naive.time() == dt.time() else naive)
        case dt.date():
            text = str(item)
        case _:
            text = None
    return text
