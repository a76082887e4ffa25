"""Columns to codes and codes to columns, as the schema says and as nothing else says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dpsynth.data.arrow_frame import arrow_table, polars_frame
from dpsynth.data.bounding import keep_rows, require_unit, unit_ids
from dpsynth.data.constraining import cut_for, rule_of
from dpsynth.data.evidence import held_orderings, kept_to, stated, weights_of
from dpsynth.data.identifiers import Keys, generate
from dpsynth.data.labels import LabelCoder
from dpsynth.data.layout import Layout
from dpsynth.data.numeric import NumericCoder, too_fine
from dpsynth.data.ordering import Ordering
from dpsynth.data.pandas_frame import pandas_frame
from dpsynth.data.plain import Coder, Plain
from dpsynth.data.source import Source
from dpsynth.data.withheld import reading
from dpsynth.domain import Axis, Domain
from dpsynth.errors import DataError, InputError
from dpsynth.privacy.sealed import CodedTable
from dpsynth.rules import NoRowError, Rule, TooWideError, support_of
from dpsynth.schema import Schema, UnitColumn
from dpsynth.schema.columns import Date, Datetime, Identifier, Integer, Real
from dpsynth.schema.ranges import Condition

__all__ = ["Codec"]

_NARROWER = "give the columns fewer bins or values, or state fewer constraints"


class Codec:
    """Turns the rows of one schema into codes and back.

    Every learned column becomes one axis. Its codes are: the declared values, or the bins, in order; then
    ``other``, unless its label is one of the values; then ``missing``, if the column may be missing. Bins are
    cut also where a constraint tells values apart.

    Laws: ``encode(decode(codes)) == codes``; ``decode(encode(x))`` lies in the cell of ``x``. (One
    exception: a moment that the column's zone skips in spring cannot be written in a dtype with a zone.)
    Codes that keep the rules of :attr:`domain` decode to rows that keep the schema's constraints.

    Args:
        schema: Public knowledge of the table.

    Raises:
        SchemaError: a real column asks for more digits than a float64 keeps apart; or constraints that
            together leave no row, or need too large a table.

    Privacy: axes follow from the schema alone; encoding gives a sealed table; decoding reads only codes.
    """

    __slots__ = ("_coders", "_orderings", "domain", "schema")

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._coders: dict[str, Coder] = {}
        for name in schema.learned:
            spec = schema.columns[name]
            if isinstance(spec, (Integer, Real, Date, Datetime)):
                if too_fine(spec):
                    raise schema.problem(
                        "the bounds times 10**decimals exceed 2**50 (15 digits, what a float64 keeps "
                        "apart); use fewer decimals or tighter bounds",
                        *("columns", name, "decimals"),
                    )
                self._coders[name] = NumericCoder.build(spec)
            elif not isinstance(spec, Identifier):
                self._coders[name] = LabelCoder.build(spec)
        rules = self._constrain()
        axes = tuple(Axis(name, c.size, c.ordered) for name, c in self._coders.items())
        self.domain = Domain(axes, rules)

    def _constrain(self) -> tuple[Rule, ...]:
        """Cut bins for the schema's constraints and return them as rules; refuse what leaves no row."""
        schema = self.schema
        try:
            self._coders, self._orderings = cut_for(schema.constraints, self._coders)
        except ValueError as error:
            raise schema.problem(str(error), "constraints") from None
        rules: dict[int, Rule] = {}
        for i, constraint in enumerate(schema.constraints):
            try:
                rule = rule_of(constraint, self._coders, self._orderings)
            except TooWideError as error:
                raise schema.problem(f"{error}; {_NARROWER}", "constraints", i) from None
            if rule is not None:
                rules[i] = rule
        sizes = [coder.size for coder in self._coders.values()]
        try:
            support_of(sizes, list(rules.values()))
        except TooWideError as error:
            raise schema.problem(
                f"together the constraints are too wide: {error}; {_NARROWER}", "constraints"
            ) from None
        except NoRowError:
            needed = dict(rules)
            for i in rules:
                if not _leaves_a_row(sizes, [rule for j, rule in needed.items() if j != i]):
                    del needed[i]
            raise schema.problem(_contradiction(schema, list(needed)), "constraints", min(needed)) from None
        return tuple(rules.values())

    def __repr__(self) -> str:
        return f"Codec(columns={len(self.domain)})"

    def layout(self, source: Source) -> Layout:
        """Return the layout of the schema's columns alone: what a release may keep of a source.

        Privacy: free; of a pandas frame's dtypes only those are kept that values cannot have decided.
        """
        return source.layout.public(self.schema.columns)

    @reading
    def encode(self, source: Source) -> CodedTable:
        """Code the rows and enforce the unit bound.

        Total in the values: every table that has the columns goes through, whatever its cells hold.

        Args:
            source: A table with every column that the schema names.

        Raises:
            DataError: a column is absent, or the privacy unit's column has a dtype whose values cannot be
                told apart (lists, structs, bytes, durations).

        Privacy: the rows come back sealed. Which rows of a unit are kept is chance from the operating system.
        """
        unit = self.schema.privacy_unit
        extra = (
            [unit.column] if isinstance(unit, UnitColumn) and unit.column not in self.schema.columns else []
        )
        source.require([*self.schema.columns, *extra])
        if not isinstance(unit, UnitColumn):
            return CodedTable(self.domain, self.codes(source))
        require_unit(source, unit.column)
        column = source.load([*self.domain.names, unit.column])
        kept = keep_rows(unit_ids(column(unit.column)), unit.max_rows)
        codes = [self._coders[name].encode(column(name))[kept] for name in self.domain.names]
        return CodedTable(self.domain, codes, rows_per_unit=unit.max_rows)

    @reading
    def codes(self, source: Source) -> list[npt.NDArray[np.unsignedinteger[Any]]]:
        """Return the codes of all rows in the open, for comparing tables that the caller may see anyway.

        Args:
            source: A table with every learned column.

        Returns:
            One array per axis of :attr:`domain`.

        Raises:
            DataError: a column is absent.

        Privacy: not private. A fit uses :meth:`encode`, which seals.
        """
        source.require(self.domain.names)
        column = source.load(self.domain.names)
        return [self._coders[name].encode(column(name)) for name in self.domain.names]

    def conditions(self, said: Mapping[str, Any]) -> dict[str, Condition]:
        """Return what is said of learned columns, checked against the schema.

        Args:
            said: For each column a value, a list of values, ``None`` for missing, or a
                :class:`~dpsynth.schema.Range`.

        Raises:
            InputError: a column that is unknown or never learned, a value that it cannot hold, or a range
                that holds none of its values.
        """
        for name in said:
            if name not in self._coders:
                why = "is never learned" if name in self.schema.columns else "is not in the schema"
                raise InputError(f"column {str(name)!r} {why}")
        return {name: stated(name, self.schema.columns[name], value) for name, value in said.items()}

    def evidence(self, conditions: Mapping[str, Condition]) -> dict[int, npt.NDArray[np.float64]]:
        """Return, for each column that a condition is about, the share of each code that it leaves.

        Args:
            conditions: As :meth:`conditions` returns them.
        """
        return {self.domain.index(n): weights_of(self._coders[n], c) for n, c in conditions.items()}

    def decode(
        self,
        codes: Sequence[npt.NDArray[np.integer[Any]]],
        layout: Layout,
        rng: np.random.Generator,
        *,
        conditions: Mapping[str, Condition] | None = None,
    ) -> Any:
        """Write codes as a table in the source's kind of frame and dtypes, columns in schema order.

        Bins of one value are exact; in a longer bin each of its values is equally likely. Columns that a
        constraint compares are drawn in order where they fall into one interval.

        Args:
            codes: One array per axis of :attr:`domain`, all of one length.
            layout: The frame kind and dtypes to write; columns it does not name get their natural dtype.
            rng: Chance for values inside bins and for identifiers.
            conditions: As :meth:`conditions` returns them: values inside a bin that a condition cuts are
                drawn from the part where it holds.

        Returns:
            A frame of ``len(codes[0])`` rows.

        Raises:
            InputError: conditions cut bins of two columns that a constraint compares.
            DataError: the arrays do not fit the domain, an identifier's format is too short for so many
                rows, or the frame's library is not installed.
        """
        self._check_codes(codes)
        coders, orderings = self._kept_to(conditions or {})
        by_name = dict(zip(self.domain.names, codes, strict=True))
        columns: dict[str, Plain | Keys] = {}
        for name, spec in self.schema.columns.items():
            if name in by_name:
                coder = coders[name]
                columns[name] = Plain(coder, coder.decode(by_name[name], rng))
            elif isinstance(spec, Identifier):
                columns[name] = generate(name, spec, len(codes[0]), rng)
        for ordering in orderings:
            drawn = {n: column.drawn for n in ordering.coders if isinstance(column := columns[n], Plain)}
            settled = ordering.settle({n: by_name[n] for n in drawn}, drawn, rng)
            columns |= {n: Plain(self._coders[n], settled[n]) for n in drawn}
        write = {"pandas": pandas_frame, "polars": polars_frame, "pyarrow": arrow_table}[layout.frame]
        return write(layout, columns)

    def _kept_to(self, conditions: Mapping[str, Condition]) -> tuple[dict[str, Coder], list[Ordering]]:
        """Return the coders and orderings that draw only values for which the conditions hold."""
        coders = dict(self._coders)
        for name, condition in conditions.items():
            coder = coders[name]
            if isinstance(coder, NumericCoder):
                coders[name] = kept_to(coder, condition)
        return coders, held_orderings(self._orderings, coders, conditions) if conditions else self._orderings

    def _check_codes(self, codes: Sequence[npt.NDArray[np.integer[Any]]]) -> None:
        if len(codes) != len(self.domain):
            raise DataError(
                f"{len(codes)} arrays of codes for a schema of {len(self.domain)} learned columns"
            )
        for axis, column in zip(self.domain, codes, strict=True):
            if column.ndim != 1 or column.dtype.kind not in "iu" or column.size != codes[0].size:
                raise DataError(
                    f"codes of column {axis.name!r} must be one-dimensional integers, as long as the others"
                )
            if column.size and not 0 <= int(column.min()) <= int(column.max()) < axis.size:
                raise DataError(f"a code of column {axis.name!r} is outside 0..{axis.size - 1}")


def _leaves_a_row(sizes: Sequence[int], rules: Sequence[Rule]) -> bool:
    try:
        support_of(sizes, rules)
    except NoRowError:
        return False
    except TooWideError:  # fewer rules may be harder to eliminate; then none of them is left out
        return True
    return True


def _contradiction(schema: Schema, which: Sequence[int]) -> str:
    """Say which constraints leave no row; each of them is needed for that."""
    said = []
    for i in which:
        constraint = schema.constraints[i]
        said.append(f"constraints.{i} ({constraint.kind}: {', '.join(n for n, _ in constraint.columns)})")
    what = f"{', '.join(said[:-1])} and {said[-1]} together leave" if len(said) > 1 else f"{said[0]} leaves"
    return f"no row is possible: {what} none; correct or remove {'one of them' if len(said) > 1 else 'it'}"
