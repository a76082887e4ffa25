"""JSON as a release may hold it: one object, every key once, finite numbers, nothing else.

A release can come from anyone. What is read here is bounded before it is parsed, and whatever is wrong with
it ends in a :class:`~dpsynth.errors.ReleaseError` that names the place.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NoReturn

from dpsynth.errors import ReleaseError

__all__ = ["MAX_JSON_BYTES", "check_fields", "dump", "number", "parse", "shown"]

MAX_JSON_BYTES = 16 * 2**20
_MAX_DIGITS = 30


def dump(content: Mapping[str, Any]) -> bytes:
    """Write plain values as JSON in UTF-8, the same bytes for the same values.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1)
    # A lone surrogate has no UTF-8; backslashreplace writes it as JSON's own escape.
    return (text + "\n").encode("utf-8", "backslashreplace")


def parse(data: bytes, where: str) -> dict[str, Any]:
    """Read one JSON object.

    Args:
        data: The bytes of a file.
        where: The file's name, for messages.

    Raises:
        ReleaseError: more than 16 MiB, not UTF-8, not JSON, nested too deeply, a repeated key, a number that
            is not finite or has more than 30 digits, or no object at the top.
    """
    if len(data) > MAX_JSON_BYTES:
        raise ReleaseError(f"{where} has {len(data)} bytes; {MAX_JSON_BYTES} is the limit")
    try:
        content = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_whole,
        )
    except RecursionError:
        raise ReleaseError(f"{where} is nested too deeply to be part of a release") from None
    except UnicodeDecodeError:
        raise ReleaseError(f"{where} is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise ReleaseError(f"{where} is not JSON: {error.msg} in line {error.lineno}") from None
    except ValueError as error:
        raise ReleaseError(f"{where}: {error}") from None
    if not isinstance(content, dict):
        raise ReleaseError(f"{where} holds no JSON object")
    return content


def check_fields(
    content: object,
    fields: Mapping[str, type | tuple[type, ...]],
    where: str,
    *,
    optional: Mapping[str, type | tuple[type, ...]] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return ``content`` as a dict that has exactly these keys, with values of exactly these types.

    Args:
        content: A parsed value.
        fields: Key to type, or to a tuple of types; ``True`` is no ``int``.
        where: What it is, for messages.
        optional: Keys that may be there too, and their types.

    Raises:
        ReleaseError: it is no object, or a key is missing, unknown or of another type.
    """
    if not isinstance(content, dict):
        raise ReleaseError(f"{where} is not an object")
    if missing := sorted(fields.keys() - content.keys()):
        raise ReleaseError(f"{where} lacks {missing[0]!r}")
    if unknown := sorted(content.keys() - fields.keys() - optional.keys()):
        raise ReleaseError(f"{where} has a key that this format does not know: {shown(unknown[0])}")
    present = {key: types for key, types in optional.items() if key in content}
    for key, types in {**fields, **present}.items():
        allowed = types if isinstance(types, tuple) else (types,)
        if type(content[key]) not in allowed:
            names = " or ".join("null" if t is type(None) else t.__name__ for t in allowed)
            raise ReleaseError(f"{where}: {key!r} is not of type {names}")
    return content


def number(value: float, where: str) -> float:
    """Return a JSON number as a float.

    Raises:
        ReleaseError: it is too large for one.
    """
    try:
        return float(value)
    except OverflowError:
        raise ReleaseError(f"{where} is too large a number") from None


def shown(text: str, width: int = 60) -> str:
    r"""Write a text that comes from a file on one line: quoted, escaped and cut to a width.

    Example:
        >>> shown("a\nb")
        '"a\\nb"'
    """
    start = text[:width]
    quoted = json.dumps(start, ensure_ascii=not start.isprintable())
    return quoted if len(quoted) <= width and len(start) == len(text) else f'{quoted[: width - 4]}..."'


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f"the key {shown(key)} stands twice in one object")
        content[key] = value
    return content


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number that JSON knows")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _whole(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"a whole number has more than {_MAX_DIGITS} digits")
    return int(text)
