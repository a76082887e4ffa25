"""The accountant: opens a book, grants reservations, settles them, and says what is spent.

It keeps nothing in memory but the name of its file: every call opens the book, reads it from the first
record to the last, and closes it again. So it may be shared among threads and processes.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, Self

from dpsynth import __version__
from dpsynth.accountant import admission, chain, database, exporting, inspection
from dpsynth.accountant.hold import Hold
from dpsynth.accountant.records import Begun
from dpsynth.accountant.replay import FORMAT, MOST_DATASETS, State
from dpsynth.accountant.totals import History, Totals, chosen, history_of, only, reference_of, totals_of
from dpsynth.errors import InputError
from dpsynth.privacy.guarantee import Calculus, Guarantee

__all__ = ["Accountant"]

WAIT = 30.0  # seconds


@dataclass(frozen=True, slots=True)
class Accountant:
    """A budget book: what may be spent on each of some data sets, and what all releases have spent.

    Attributes:
        path: The book, an SQLite file.
        wait: How long to wait for another process that is writing, in seconds.

    Example:
        >>> import tempfile, dpsynth
        >>> book = dpsynth.Accountant.create(
        ...     tempfile.mkdtemp() + "/book.db", dataset="visits", epsilon=3.0, delta=1e-9)
        >>> [(d.name, d.epsilon_spent) for d in book.show()]
        [('visits', 0.0)]
    """

    path: Path
    wait: float = WAIT

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, wait: float = WAIT) -> Self:
        """Open a book that is there.

        Raises:
            MissingFileError: there is nothing at ``path``.
            BookError: it is no book, or of a newer format, or cannot be opened; says which.
            VerificationError: it was altered or damaged.
        """
        book = cls(Path(path), wait)
        book.show()
        return book

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        *,
        dataset: str,
        epsilon: float,
        delta: float,
        unit: str = "row",
        adjacency: str = "add-remove",
        calculus: Calculus | None = None,
        delta_aside: float = 0.0,
        wait: float = WAIT,
    ) -> Self:
        """Give a data set a budget, in a new book or in one that is there.

        The budget is for good: it can be neither raised nor lowered nor taken away.

        Args:
            path: The book.
            dataset: A name, new to the book, of at most 200 characters.
            epsilon: Of the guarantee that all releases keep together.
            delta: Likewise. 0 for pure epsilon: then only releases without delta are admitted.
            unit: ``"row"``, or the column that identifies the privacy unit: what the schemas of all its
                releases must say.
            adjacency: ``"add-remove"`` or ``"replace-one"``, likewise.
            calculus: In which releases add up: ``"gdp"`` (the default, unless delta is 0), or ``"zcdp"``,
                which also admits OpenDP's discrete Gaussian, and affords less.
            delta_aside: The part of delta kept for acts that spend delta beside their price (categories
                found by thresholding). Without it, releases that set some aside are refused.
            wait: As for the class.

        Raises:
            GuaranteeError: epsilon, delta or delta_aside is out of range.
            InputError: the name is taken or not one line, or the unit, adjacency or calculus is unknown.
            BookError, VerificationError: as :meth:`open`; ``BookError`` too where no file can be made.
        """
        terms = admission.terms(
            dataset,
            epsilon=epsilon,
            delta=delta,
            unit=unit,
            adjacency=adjacency,
            calculus=calculus,
            delta_aside=delta_aside,
        )
        book = cls(Path(path), wait)
        with database.creating(book.path, wait) as connection:
            if database.stated_head(connection)[0] == 0:
                begun = Begun(format=FORMAT, id=secrets.token_hex(16), version=__version__)
                chain.extend(connection, State(), begun)
            state = chain.read(connection)
            if dataset in state.names:
                raise InputError(
                    f"{path}: data set {dataset!r} has its budget already, which is for good; choose another "
                    "name"
                )
            if len(state.names) >= MOST_DATASETS:
                raise InputError(f"{path}: a book has at most {MOST_DATASETS} data sets; begin another book")
            chain.extend(connection, state, terms)
        return book

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the data sets, in the order they were given a budget."""
        return tuple(totals.name for totals in self.show())

    @property
    def head(self) -> tuple[int, str]:
        """Number and hash of the last record: written down elsewhere, it shows later that nothing is gone."""
        state = self._state()
        return state.number, state.head

    def show(self, dataset: str | None = None) -> tuple[Totals, ...]:
        """Return what each data set may spend, has spent and has left.

        Args:
            dataset: One of them; by default all.

        Raises:
            InputError: there is no such data set.
            BookError, VerificationError: as :meth:`open`.
        """
        state = self._state()
        return tuple(totals_of(account) for account in chosen(self.path, state, dataset))

    def history(self, dataset: str | None = None) -> tuple[History, ...]:
        """Return what was reserved and what became of it, in order, with every act and what it was for.

        Args:
            dataset: Of one data set; by default of all.

        Raises:
            InputError, BookError, VerificationError: as :meth:`show`.
        """
        with database.reading(self.path, self.wait) as connection:
            return history_of(self.path, connection, dataset)

    def verify(
        self, *, head: str | None = None, releases: Mapping[str, inspection.Stated] | None = None
    ) -> inspection.BookReport:
        """Recompute everything the book says, and look up releases in it.

        Args:
            head: A hash written down elsewhere earlier: it must be that of one of the records.
            releases: Statements of releases, by a name to report them under.

        Returns:
            A report of named checks; docs/budget.md says what they cannot show.

        Raises:
            BookError: it is no book, or cannot be opened.
        """
        return inspection.inspect(self.path, self.wait, head, releases or {})

    def export(self, form: Literal["json", "csv"] = "json") -> Iterator[str]:
        """Write out the whole book, piece by piece.

        Args:
            form: ``"json"``: everything, hashes included. ``"csv"``: one line a record, for a spreadsheet.

        Raises:
            InputError: another form.
            BookError, VerificationError: as :meth:`open`.
        """
        return exporting.export(self.path, self.wait, form)

    def reserve(
        self,
        guarantee: Guarantee,
        *,
        calculus: Calculus,
        mechanism: str,
        delta_aside: Fraction = Fraction(0),
        dataset: str | None = None,
    ) -> Hold:
        """Set aside all that a release may spend, or refuse, in one transaction that no other comes between.

        Args:
            guarantee: The release's.
            calculus: The currency of its ledger.
            mechanism: What is to be run; for the record.
            delta_aside: The part of its delta that acts may spend beside their prices.
            dataset: The data set it is about; may be left out where the book has one only.

        Returns:
            A hold on the budget. Until it is committed, all of it counts as spent; also after a crash.

        Raises:
            BudgetRefusedError: less is left; or the release protects another unit, or cannot be priced in the
                data set's calculus. Nothing was written.
            InputError: there is no such data set, or several and none was named.
            BookError, VerificationError: as :meth:`open`.

        Privacy: free; nothing was read. Proof: proofs/book.md
        """
        with database.writing(self.path, self.wait) as connection:
            state = chain.read(connection)
            account = only(self.path, state, dataset)
            asked = admission.asked(
                f"{self.path}: data set {account.terms.name!r}",
                state,
                account,
                guarantee,
                calculus=calculus,
                delta_aside=delta_aside,
                mechanism=mechanism,
            )
            record = chain.extend(connection, state, asked, dataset=account.record)
        return Hold(self.path, self.wait, reference_of(state, account, record))

    def _state(self) -> State:
        with database.reading(self.path, self.wait) as connection:
            return chain.read(connection)
