"""What a fit gives: a model to draw from, the noisy measurements it rests on, and the statement."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from dpsynth.data.codec import Codec
from dpsynth.data.layout import FrameKind, Layout
from dpsynth.errors import InputError, ReleaseError
from dpsynth.model.conditioning import given as given_evidence
from dpsynth.model.sampling import Method
from dpsynth.model.structure import Model
from dpsynth.privacy.curator import Measurement
from dpsynth.release.documents import shown
from dpsynth.release.precision import standard_errors
from dpsynth.release.statement import Statement
from dpsynth.schema import Schema
from dpsynth.schema.ranges import Condition

__all__ = ["MAX_ROWS", "Release"]

MAX_ROWS = 1_000_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Release:
    """A differentially private release of one table. Public as a whole.

    Attributes:
        schema: What is publicly known of the table.
        layout: Kind of frame and dtypes of the source; columns that the schema does not name are dropped.
        model: The fitted model.
        measurements: The noisy marginals it was fitted to.
        statement: What is promised and what it cost.

    Raises:
        ReleaseError: the model's columns are not those the schema declares as learned.
    """

    schema: Schema
    layout: Layout
    model: Model
    measurements: tuple[Measurement, ...]
    statement: Statement

    def __post_init__(self) -> None:
        if self.model.domain.names != self.schema.learned:
            raise ReleaseError("the model's columns are not the schema's learned columns; fit the model anew")
        object.__setattr__(self, "layout", self.layout.only(self.schema.columns))

    def __repr__(self) -> str:
        guarantee = self.statement.guarantee
        return (
            f"Release(columns={len(self.schema.columns)}, rows~{self.model.total:.0f}, "
            f"epsilon={guarantee.epsilon:g}, delta={guarantee.delta:g}, "
            f"mechanism={self.statement.mechanism!r})"
        )

    def sample(
        self,
        n: int | None = None,
        *,
        seed: int | None = None,
        method: Method = "systematic",
        frame: FrameKind | None = None,
        where: Mapping[str, Any] | None = None,
    ) -> Any:
        """Draw a synthetic table.

        Args:
            n: Number of rows, 0 to a thousand million; by default the estimated number of rows of the source,
                or of those for which ``where`` holds.
            seed: The same seed gives the same table, also after saving and loading; by default a fresh one.
            method: ``"systematic"``: counts follow the model as closely as whole rows allow. ``"iid"``: rows
                are independent draws.
            frame: ``"pandas"``, ``"polars"`` or ``"pyarrow"``; by default as the source was.
            where: Conditions that every row is to meet, as ``given`` in :meth:`marginal`. Rows are drawn from
                the model given them, not drawn and thrown away, so that rare ones cost no more.

        Returns:
            A frame with the schema's columns in the schema's order; dtypes are the source's, or natural ones
            when ``frame`` differs from the source's.

        Raises:
            InputError: an argument is out of range, or no row can meet the conditions; says which and what
                is allowed.

        Privacy: free; post-processing of what was measured.
        """
        if n is not None and type(n) is not int and not isinstance(n, np.integer):
            raise InputError(f"n={shown(repr(n))} is not a whole number of rows")
        _check_rows(0 if n is None else n)
        if seed is not None and ((type(seed) is not int and not isinstance(seed, np.integer)) or seed < 0):
            raise InputError(f"seed={shown(repr(seed))} is not a whole number of at least 0")
        if method not in get_args(Method):
            raise InputError(f"method={shown(repr(method))} is none of {', '.join(get_args(Method))}")
        if frame is not None and frame not in get_args(FrameKind):
            raise InputError(f"frame={shown(repr(frame))} is none of {', '.join(get_args(FrameKind))}")
        layout = self.layout
        if frame is not None and frame != layout.frame:
            layout = replace(layout, frame=frame, dtypes=())
        rng = np.random.default_rng(None if seed is None else int(seed))
        codec = Codec(self.schema)
        conditions = codec.conditions(where or {})
        model = self._given(codec, conditions)
        rows = round(model.total) if n is None else int(n)
        _check_rows(rows)
        codes = model.sample(rows, rng, method=method)
        return codec.decode(codes, layout, rng, conditions=conditions)

    def marginal(
        self, columns: Sequence[str], *, given: Mapping[str, Any] | None = None
    ) -> npt.NDArray[np.float64]:
        """Return the model's exact marginal over some columns, as expected counts.

        Args:
            columns: Names of learned columns, all different.
            given: Conditions on learned columns, these or others: for each a value, a list of values,
                ``None`` for missing, or a :class:`~dpsynth.schema.Range`. Of a bin that a condition cuts
                that share of its values counts for which it holds.

        Returns:
            Array with one axis a column, in this order, over its codes. Its sum is the estimated number of
            rows, or of those rows for which the conditions hold.

        Raises:
            InputError: a name is unknown, not learned or repeated; the answer has more than 2**26 cells; a
                condition that its column cannot meet, or that no row meets.

        Privacy: free; post-processing of what was measured.
        """
        wanted = self._positions(columns)
        codec = Codec(self.schema)
        model = self._given(codec, codec.conditions(given or {}), wanted)
        try:
            return model.marginal(wanted)
        except ValueError as error:
            raise InputError(str(error)) from None

    def standard_error(self, columns: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return a standard error of each cell of :meth:`marginal`, in rows.

        The noise's standard deviation where the cell was measured as it is. Elsewhere a bound, wide on
        purpose: what nobody measured may be anything that the measured tables leave possible.

        Args:
            columns: Names of learned columns, all different.

        Returns:
            Array of the shape of ``marginal(columns)``.

        Raises:
            InputError: as :meth:`marginal`.

        Privacy: free; the noise's variances are public.
        """
        wanted = self._positions(columns)
        try:
            return standard_errors(self.model, self.measurements, wanted)
        except ValueError as error:
            raise InputError(str(error)) from None

    def _positions(self, columns: Sequence[str]) -> list[int]:
        """Return the positions of learned columns by name."""
        if isinstance(columns, str):
            raise InputError(f"marginal takes a list of column names, not one text; write [{columns!r}]")
        for name in columns:
            if name not in self.model.domain.names:
                why = "is never learned" if name in self.schema.columns else "is not in this release"
                offered = ", ".join(shown(n, 30) for n in self.model.domain.names[:20])
                raise InputError(f"column {shown(str(name))} {why}; its learned columns are {offered}")
        return [self.model.domain.index(name) for name in columns]

    def _given(
        self, codec: Codec, conditions: Mapping[str, Condition], among: Sequence[int] | None = None
    ) -> Model:
        """Return the model of the rows that meet some conditions."""
        if not conditions:
            return self.model
        try:
            return given_evidence(self.model, codec.evidence(conditions), among=among)
        except ValueError:
            named = ", ".join(shown(name, 30) for name in conditions)
            raise InputError(
                f"no row meets the conditions on {named}: they have probability zero under the model"
            ) from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the release; :func:`dpsynth.load` reads it back.

        Args:
            path: A name that ends in ``.dpsynth`` or ``.zip`` becomes one file, any other a directory. A
                release that stands there is replaced; anything else is left alone.

        Raises:
            ReleaseError: something other than a release is there, or it cannot be written.
        """
        from dpsynth.release.bundle import save  # noqa: PLC0415  -- a bundle is written on top of this

        save(self, path)


def _check_rows(n: int | np.integer[Any]) -> None:
    if not 0 <= n <= MAX_ROWS:
        raise InputError(f"n={n} is outside 0 .. {MAX_ROWS}; draw several tables with different seeds")
