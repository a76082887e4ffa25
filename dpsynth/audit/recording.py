"""This library's own road, recorded: what :mod:`dpsynth.audit.replay` and its like run.

Its doors listen (:mod:`dpsynth.audit.listening`), so rows are the audit's own, made up; nothing outside
:mod:`dpsynth.audit` may import this but the command that runs audits.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import tempfile
import warnings
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from dpsynth.audit.listening import ListeningCurator, ListeningSeller, Log, digest
from dpsynth.audit.trace import Outcome, Trace
from dpsynth.doors import Doors
from dpsynth.errors import InputError
from dpsynth.mechanisms.mechanism import Progress, ignore_progress
from dpsynth.privacy.guarantee import Calculus, Guarantee, calculus_of
from dpsynth.privacy.ledger import Ledger
from dpsynth.schema import OpenSchema, Schema
from dpsynth.synthesizer import Synthesizer

__all__ = ["LibrarySubject"]

_SEED: Final = 11  # of the sample drawn from each release
_MORE: Final = 200  # rows of another: what the private rows do to a few of a hundred is seen


class _Watched(Synthesizer):
    """A synthesizer whose doors listen."""

    __slots__ = ("log",)

    log: Log

    @classmethod
    def of(cls, configured: Synthesizer, log: Log) -> _Watched:
        """Return the same synthesizer with doors that write into a log."""
        own = object.__new__(cls)
        for name in (f.name for f in dataclasses.fields(Synthesizer)):
            object.__setattr__(own, name, getattr(configured, name))
        object.__setattr__(own, "log", log)
        return own

    def _counted(self, data: Any, report: Progress, ledger: Ledger) -> Any:
        self.log.ledger = ledger
        return super()._counted(data, report, ledger)

    def measured(self, data: Any) -> Any:
        """Do all of a fit that reads rows, and no more."""
        ledger = Ledger(self.guarantee, calculus_of(self.noise, self.guarantee.delta), self._aside())
        return self._counted(data, ignore_progress, ledger)

    @property
    def _doors(self) -> Doors:
        return Doors(
            curator=functools.partial(ListeningCurator, log=self.log),
            seller=functools.partial(ListeningSeller, log=self.log),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LibrarySubject:
    """This library's own road, from a frame to a release, as an audit runs it.

    Args:
        synthesizer: What is audited: schema, guarantee, mechanism and noise, as for a fit.

    Example:
        >>> import pandas as pd
        >>> from dpsynth import Schema, Synthesizer
        >>> schema = Schema.from_domain({"a": 3, "b": 2})
        >>> subject = LibrarySubject(synthesizer=Synthesizer(schema, epsilon=1.0, delta=1e-9))
        >>> rows = pd.DataFrame({"a": [0, 1, 2] * 20, "b": [0, 1] * 30})
        >>> trace = subject.run(rows, measure_only=True)
        >>> trace.outcome.ended, trace.calls[0].kind, int(trace.calls[0].exact.sum())
        ('done', 'measure', 60)
    """

    synthesizer: Synthesizer

    @property
    def name(self) -> str:
        """Mechanism, noise and promise, as they stand in findings."""
        said = f"epsilon={self.guarantee.epsilon:g}, delta={self.guarantee.delta:g}"
        return f"{self.synthesizer.mechanism.name} ({said}, {self.calculus}, {self.guarantee.adjacency})"

    @property
    def guarantee(self) -> Guarantee:
        """What is promised in all."""
        return self.synthesizer.guarantee

    @property
    def calculus(self) -> Calculus:
        """The currency of the ledger."""
        return calculus_of(self.synthesizer.noise, self.guarantee.delta)

    @property
    def schema(self) -> Schema | OpenSchema:
        """What is known of the table beforehand."""
        return self.synthesizer.to_buy or self.synthesizer.schema

    def run(self, rows: Any, *, script: Trace | None = None, measure_only: bool = False) -> Trace:
        """Fit a table of the audit's own, and say all that was asked and true.

        Args:
            rows: A pandas frame on the schema (or anything else that a fit takes, but no file: the audit's
                own rows are made up in memory).
            script: A trace of an earlier run, whose answers are given again as far as they fit.
            measure_only: Leave out what comes after the last act: no model, no release, and no plan before.

        Returns:
            The trace. What the run raises is its outcome; the frames of the error are emptied.

        Raises:
            InputError: ``rows`` is the name of a file.

        Privacy: none. Exact counts are in the trace: for rows of the audit's own.
        """
        if isinstance(rows, (str, os.PathLike)):
            raise InputError("doors that listen give out exact counts: made-up rows are theirs, and no file")
        log = Log(script=() if script is None else script.calls)
        watched = _Watched.of(self.synthesizer, log)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                shape = _counted_shape(watched.measured(rows)) if measure_only else _shape(watched.fit(rows))
                ended = "done"
            except Exception as error:  # noqa: BLE001  -- how a run ends is what the audit compares
                ended, shape = f"{type(error).__name__}: {error}", {}
        shape["warnings"] = [f"{w.category.__name__}: {w.message}" for w in said]
        ledger = log.ledger
        aside = Fraction(0) if ledger is None else ledger.delta_aside
        return Trace(
            calls=tuple(log.calls),
            outcome=Outcome(ended=ended, shape=shape),
            spent=0.0 if ledger is None else float(ledger.spent),
            claimed=float(self.guarantee.budget(self.calculus, aside)),  # whatever the ledger takes it to be
            calculus=self.calculus,
        )


def _counted_shape(counted: Any) -> dict[str, Any]:
    measured = (*counted.measured.one_ways, *counted.measured.tables)
    return {
        **_public(counted.schema, counted.layout, counted.codec.domain),
        "measured": [[*m.query.columns, *m.query.shape] for m in measured],
    }


def _shape(release: Any) -> dict[str, Any]:
    """Return of a release what noise alone may decide; under an earlier run's answers nothing may change."""
    drawn = release.sample(seed=_SEED)
    return {
        **_public(release.schema, release.layout, release.model.domain),
        "measured": [[*m.query.columns, *m.query.shape] for m in release.measurements],
        "rows": len(drawn),
        "dtypes": [str(dtype) for dtype in drawn.dtypes],
        "sample": digest(drawn.to_csv(index=False).encode()),
        "more rows": digest(release.sample(_MORE, seed=_SEED).to_csv(index=False).encode()),
        "saved": digest(_saved(release)),
        "statement": release.statement.digest,
        "processing": list(release.statement.processing),
    }


def _saved(release: Any) -> bytes:
    """Return the file that a release is saved as: the same release gives the same bytes."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "audited.dpsynth"
        release.save(file)
        return file.read_bytes()


def _public(schema: Schema, layout: Any, domain: Any) -> dict[str, Any]:
    return {
        "columns": list(domain.names),
        "codes": list(domain.sizes),
        "categories and bins": digest(schema.to_yaml().encode()),
        "layout": layout.to_dict(),
    }
