"""What a column looks like, judged by its private values: for drafts alone, never on the way to a fit."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dpsynth.data.cells import Cells, Numbers, Times, factored
from dpsynth.data.identifiers import space
from dpsynth.data.labels import label_text
from dpsynth.data.reading import OK, is_null_text, moments, number_of_text, reals

__all__ = ["Guess", "guess"]

_TEN_DIGITS: Final = "#" * 10
_FEWEST_FOR_KEY: Final = 50
_MOST_DECIMALS: Final = 6
_MOST_STEPS: Final = 2**50
_WIDEST_WHOLE: Final = 2**61 - 1
_WIDEST_BOUND: Final = 10**15
_KEY_NAME = re.compile(r"(?:^|[^a-z])(?:id|ids|key|uuid|nbr|no|number)$|(?<=[a-z])I[Dd]$", re.IGNORECASE)
_KEY_NAME_CAMEL = re.compile(r"[a-z]I[Dd]$")
_EPOCH: Final = dt.datetime(1970, 1, 1)  # noqa: DTZ001  -- wall-clock arithmetic has no zone
_YEAR: Final = 366 * 86_400 * 10**6
_FIRST, _LAST = (dt.datetime(1, 1, 1) - _EPOCH) // dt.timedelta(microseconds=1), 8000 * _YEAR  # noqa: DTZ001  -- as above


@dataclass(frozen=True, slots=True)
class Guess:
    """A column as a schema would state it.

    Attributes:
        spec: The keys of the column's entry.
        note: A remark for the draft's head, or an empty text.
    """

    spec: dict[str, Any]
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Look:
    """A column's distinct values, without nulls."""

    values: Sequence[Any]
    missing: bool
    rows: int

    @property
    def repeats(self) -> bool:
        """Whether values come back often enough to be more than keys."""
        return self.rows < _FEWEST_FOR_KEY or len(self.values) < 0.9 * self.rows


def guess(  # noqa: PLR0911  -- one return a kind
    name: str, cells: Cells, *, zone: str | None = None, may_be_key: bool = True
) -> Guess:
    """Guess a column's kind and public description from its private values.

    Args:
        name: The column's name: one that ends in id, key or number makes an identifier likelier.
        cells: The column.
        zone: The zone of its dtype.
        may_be_key: Whether ``identifier`` is an answer.

    Privacy: not private. The guess quotes bounds, labels and formats found in the rows.
    """
    look = _look(cells)
    texts = [value for value in look.values if isinstance(value, str)]
    if not look.values:
        return Guess(
            {"kind": "categorical", "missing": True, "values": ["?"]},
            f"{name!r} has no values: state what it may hold",
        )
    if isinstance(cells, Numbers) and cells.values.dtype.kind == "b":
        return Guess({"kind": "boolean", "missing": look.missing})
    if isinstance(cells, Times) or _all_moments(look.values, texts):
        return _times(cells, look, zone)
    if all(isinstance(value, bool) for value in look.values) or _all_truths(look.values, texts):
        return Guess({"kind": "boolean", "missing": look.missing})
    if len(texts) == len(look.values) and not _all_numerals(texts):
        return _labels(name, look, texts, may_be_key=may_be_key)
    if _all_numbers(look.values):
        return _numbers(name, cells, look, may_be_key=may_be_key)
    labels = [text for value in look.values if (text := label_text(value)) is not None]
    return _labels(name, look, labels, may_be_key=may_be_key)


def _look(cells: Cells) -> _Look:
    rows = factored(cells)
    seen = np.bincount(rows.index + 1, minlength=len(rows.values) + 1)
    values, count = [], 0
    for value, times in zip(rows.values, seen[1:].tolist(), strict=True):
        if times and not (isinstance(value, str) and is_null_text(value)):
            values.append(value)
            count += times
    return _Look(values, count < rows.index.size, count)


def _all_moments(values: Sequence[Any], texts: Sequence[str]) -> bool:
    if len(texts) != len(values):
        return all(isinstance(value, dt.date) for value in values)
    return all(_is_moment(text) for text in texts)


def _is_moment(text: str) -> bool:
    if not re.match(r"\s*\d{4}-\d\d-\d\d", text):
        return False
    try:
        dt.datetime.fromisoformat(text.strip())
    except ValueError:
        return False
    return True


def _all_truths(values: Sequence[Any], texts: Sequence[str]) -> bool:
    return len(texts) == len(values) and {text.strip().lower() for text in texts} <= {"true", "false"}


def _all_numerals(texts: Sequence[str]) -> bool:
    """Whether all texts are numbers; a leading zero, as in a postcode, says that they are not."""
    return all(number_of_text(text) is not None for text in texts) and not any(
        re.match(r"[+-]?0\d", text.strip()) for text in texts
    )


def _all_numbers(values: Sequence[Any]) -> bool:
    return all(
        not isinstance(value, (str, dt.date)) and label_text(value) is not None for value in values
    ) or (all(isinstance(value, str) for value in values))


def _is_key(name: str, look: _Look) -> bool:
    if look.rows < _FEWEST_FOR_KEY:
        return False
    named = _KEY_NAME.search(name) is not None or _KEY_NAME_CAMEL.search(name) is not None
    return len(look.values) == look.rows or (named and len(look.values) > 0.5 * look.rows)


def _numbers(name: str, cells: Cells, look: _Look, *, may_be_key: bool) -> Guess:
    values, status = reals(cells)
    values = values[(status == OK) & np.isfinite(values)]
    if not values.size:
        return Guess({"kind": "integer", "missing": look.missing, "lower": 0, "upper": 1})
    if bool(np.all(np.rint(values) == values)):
        exact = [max(-_WIDEST_WHOLE, min(_WIDEST_WHOLE, int(v))) for v in (values.min(), values.max())]
        if may_be_key and exact[0] >= 0 and _is_key(name, look):
            return _key(look, "#" * len(str(exact[1])))
        return Guess({"kind": "integer", "missing": look.missing, "lower": exact[0], "upper": exact[1]})
    values = np.clip(values, -_WIDEST_BOUND, _WIDEST_BOUND)
    decimals = _decimals(values)
    lower, upper = (_bound(v, decimals) for v in (values.min(), values.max()))
    return Guess(
        {"kind": "real", "missing": look.missing, "lower": lower, "upper": upper, "decimals": decimals}
    )


def _decimals(values: npt.NDArray[np.float64]) -> int:
    """Return the fewest decimals that write every value, or as many as are sensible."""
    widest = float(np.abs(values).max())
    most = max((d for d in range(_MOST_DECIMALS + 1) if (widest + 1) * 10**d <= _MOST_STEPS), default=0)
    for decimals in range(most):
        scaled = values * 10**decimals
        if bool(np.all(np.abs(np.rint(scaled) - scaled) <= 1e-9 * np.maximum(1, np.abs(scaled)))):
            return decimals
    return most


def _bound(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}"


def _key(look: _Look, pattern: str, note: str = "") -> Guess:
    """Guess an identifier, with a format that leaves room for many more rows than there are."""
    roomy = pattern if space(pattern) >= 100 * look.rows else _TEN_DIGITS
    unique = len(look.values) == look.rows
    return Guess({"kind": "identifier", "format": roomy, "unique": unique}, note)


def _labels(name: str, look: _Look, labels: Sequence[str], *, may_be_key: bool) -> Guess:
    if may_be_key and (not look.repeats or _is_key(name, look)):
        remark = f"{name!r} was taken for an identifier: nearly every row has its own value"
        return _key(look, _format(labels), remark)
    usable = sorted({label for label in labels if label.isprintable()}) or ["?"]
    long = (
        f"{name!r} has {len(usable)} values, more than 1000: is it an identifier, or can values be grouped?"
    )
    return Guess(
        {"kind": "categorical", "missing": look.missing, "values": usable}, long if len(usable) > 1000 else ""
    )


def _format(texts: Sequence[str]) -> str:
    """Return a format that most texts have, if all are of one length; ten digits otherwise."""
    if len({len(text) for text in texts}) != 1 or not 1 <= len(texts[0]) <= 60:
        return _TEN_DIGITS
    parts = []
    for characters in map(set, zip(*texts, strict=True)):
        if all(c in "0123456789" for c in characters):
            parts.append("#")
        elif all("A" <= c <= "Z" or c in "0123456789" for c in characters):
            parts.append("@")
        elif len(characters) == 1 and (only := next(iter(characters))).isprintable():
            parts.append(f"\\{only}" if only in "#@\\" else only)
        else:
            return _TEN_DIGITS
    return "".join(parts)


def _times(cells: Cells, look: _Look, zone: str | None) -> Guess:
    micros, status = moments(cells, zone, _FIRST, _LAST)
    micros = np.clip(micros[status == OK], _FIRST, _LAST)
    seconds = micros // 10**6
    lower, upper = (_EPOCH + dt.timedelta(seconds=int(s)) for s in (seconds.min(), seconds.max()))
    if not (micros % (86_400 * 10**6)).any():
        days = {"lower": lower.date().isoformat(), "upper": upper.date().isoformat()}
        return Guess({"kind": "date", "missing": look.missing, **days})
    apart = seconds - seconds.min()
    resolution = next(step for step in (86_400, 3_600, 60, 1) if not (apart % step).any())
    spec = {
        "kind": "datetime",
        "missing": look.missing,
        "lower": lower.isoformat(),
        "upper": upper.isoformat(),
        "resolution": resolution,
    }
    return Guess(spec if zone is None else {**spec, "timezone": zone})
