"""Schemas of every kind, small and large, ordinary and odd.

``schemas()`` draws whole schemas; ``columns_of(kind)`` one column. With ``small=True`` every column has few
codes (at most 8 declared values or bins, and spikes), so that a test may count or enumerate cells.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from dpsynth.schema import Column, Schema, dotted
from dpsynth.schema.columns import KINDS

ODD_NAMES = (
    *("yes", "2020", "null", "~", "a.b", "a: b", 'say "x"', "#tag", "- dash", " padded ", "x\ny"),
    *("!REVIEW", "naïve 名", "🙂", "k" * 300),
)
_LETTERS = st.text(st.characters(codec="utf-8", min_codepoint=1), min_size=1, max_size=12)
_TEXTS = st.one_of(
    st.sampled_from(["a", "b", "other", "Yes", "no", "", "1", "1.0", "2020-01-01", "nan"]), _LETTERS
)


def names() -> st.SearchStrategy[str]:
    """Column names, mostly ordinary."""
    plain = st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True)
    return st.one_of(plain, plain, plain, st.sampled_from(ODD_NAMES), _LETTERS)


@st.composite
def specs_of(draw: st.DrawFn, kind: str, *, small: bool = False) -> dict[str, Any]:
    """One column as plain keys and values."""
    spec: dict[str, Any] = {"kind": kind}
    if kind == "identifier":
        return spec | draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "format": st.sampled_from(["###", "@@-####", r"\#-#########", "ID: ##########"]),
                    "unique": st.booleans(),
                },
            )
        )
    spec["missing"] = draw(st.booleans())
    rules = ["clip", "missing"] if spec["missing"] else ["clip"]
    if kind in {"categorical", "ordinal"}:
        return spec | draw(_labels(rules, small=small))
    spec["out_of_domain"] = draw(st.sampled_from(rules))
    if kind == "boolean":
        return spec
    return spec | draw(_ranges(kind, small=small))


@st.composite
def _labels(draw: st.DrawFn, rules: list[str], *, small: bool) -> dict[str, Any]:
    most = 8 if small else 40
    whole = st.integers(-(2**62), 2**62) if not small else st.integers(-5, 20)
    label = draw(st.sampled_from([_TEXTS, whole, st.booleans()]))
    spec: dict[str, Any] = {}
    if draw(st.integers(0, 3)) == 0:
        label = whole
        spec["count"] = draw(st.integers(1, most if small else 10_000_000))
    else:
        spec["values"] = draw(st.lists(label, min_size=1, max_size=most, unique=True))
    spec["out_of_domain"] = draw(st.sampled_from([*rules, "other"]))
    texts = isinstance(spec.get("values", [0])[0], str)
    if spec["out_of_domain"] == "other" and (not texts or draw(st.booleans())):
        spec["other_label"] = draw(label)
    return spec


@st.composite
def _ranges(draw: st.DrawFn, kind: str, *, small: bool) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    span = draw(st.integers(0, 30 if small else 10**6))
    start = draw(st.integers(-40, 40) if small else st.integers(-(10**9), 10**9))
    inside = st.lists(st.integers(0, span), max_size=3, unique=True)
    if kind == "real":
        spec["decimals"] = draw(st.integers(0, 3 if small else 9))
    if kind == "datetime":
        spec["resolution"] = draw(st.sampled_from([1, 60, 3600, 86_400]))
        spec["timezone"] = draw(st.sampled_from([None, "UTC", "Europe/Paris", "America/New_York"]))

    def point(steps: int) -> int | Decimal | dt.date | dt.datetime:
        if kind == "integer":
            return start + steps
        if kind == "real":
            return Decimal(start + steps).scaleb(-spec["decimals"])
        if kind == "date":
            return dt.date(1900 + start % 200, 1, 1) + dt.timedelta(days=steps)
        first = dt.datetime(1900 + start % 200, 3, 1, start % 24)  # noqa: DTZ001 -- the zone is stated apart
        return first + dt.timedelta(seconds=min(steps, 20_000) * spec["resolution"])

    spec |= {"lower": point(0), "upper": point(span), "spikes": sorted({point(i) for i in draw(inside)})}
    edges = sorted({point(i) for i in draw(inside) if i > 0})
    if edges and draw(st.booleans()):
        spec["edges"] = edges
    else:
        spec["bins"] = draw(st.integers(2, 8 if small else 65_536))
    return spec


def columns_of(kind: str, *, small: bool = False) -> st.SearchStrategy[Column]:
    """One column of the kind."""
    return specs_of(kind, small=small).map(KINDS[kind].model_validate)


def columns(*, kinds: Sequence[str] = tuple(KINDS), small: bool = False) -> st.SearchStrategy[Column]:
    """One column of one of the kinds."""
    return st.sampled_from(list(kinds)).flatmap(lambda kind: columns_of(kind, small=small))


@st.composite
def schemas(
    draw: st.DrawFn,
    *,
    min_columns: int = 1,
    max_columns: int = 5,
    kinds: Sequence[str] = tuple(KINDS),
    small: bool = False,
    unit_columns: bool = True,
    marks: bool = False,
) -> Schema:
    """A whole schema with at least one learned column.

    Args:
        draw: Hypothesis's own.
        min_columns: Fewest columns, at least 1.
        max_columns: Most columns.
        kinds: The kinds to draw from; at least one other than ``identifier``.
        small: Whether every column has few codes.
        unit_columns: Whether the privacy unit may be a column.
        marks: Whether values may be marked for review.
    """
    chosen = draw(st.lists(names(), min_size=min_columns, max_size=max_columns, unique=True))
    learnable = [kind for kind in kinds if kind != "identifier"]
    content: dict[str, Any] = {
        name: draw(columns(kinds=kinds if i else learnable, small=small)) for i, name in enumerate(chosen)
    }
    content = dict(draw(st.permutations(list(content.items()))))
    unit: Any = "row"
    if unit_columns and draw(st.booleans()):
        keys = [name for name, column in content.items() if column.kind == "identifier"]
        free = names().filter(lambda name: name not in content)
        column = draw(st.one_of(st.sampled_from(keys), free) if keys else free)
        unit = {"column": column, "max_rows": draw(st.integers(1, 4 if small else 1_000_000))}
    schema = Schema.from_dict({"privacy_unit": unit, "columns": content})
    if not marks:
        return schema
    review = draw(st.lists(st.sampled_from(_markable(schema)), max_size=6))
    return Schema.from_dict({"privacy_unit": unit, "columns": content, "review": review})


def _markable(schema: Schema) -> list[str]:
    keys: list[tuple[str | int, ...]] = [("dpsynth",), ("privacy_unit",), ("columns",)]
    if schema.privacy_unit != "row":
        keys += [("privacy_unit", "column"), ("privacy_unit", "max_rows")]
    for name, column in schema.columns.items():
        keys.append(("columns", name))
        for key in type(column).model_fields:
            keys.append(("columns", name, key))
            items = getattr(column, key)
            keys += [("columns", name, key, i) for i in range(len(items))] if isinstance(items, tuple) else []
    return [dotted(key) for key in keys]
