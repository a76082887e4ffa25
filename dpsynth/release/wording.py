"""The statement in plain English, for whoever answers for the data."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from dpsynth.privacy.acts import ExponentialMechanism
from dpsynth.privacy.curator import Entry
from dpsynth.privacy.guarantee import CURRENCIES
from dpsynth.release.booked import book_lines
from dpsynth.release.bounds import ALARMS, BASELINES, Bounds
from dpsynth.release.documents import shown
from dpsynth.release.numerals import percent, plain, rounded_up
from dpsynth.release.statement import Statement

__all__ = ["ASSUMPTIONS", "PROCESSING", "promise_of", "text_of"]

_WIDTH = 98
_MOST_PURPOSES = 12

ASSUMPTIONS = {
    "os-entropy": "nobody can predict or repeat the operating system's random bytes.",
    "mpmath-accuracy": "mpmath computes the normal distribution to the precision it is asked for.",
    "ndtri-accuracy": "scipy's inverse normal errs by less than 4,000 times its stated error.",
    "log-accuracy": "numpy's logarithm errs by less than 16 units in its last place.",
    "opendp-noise": "OpenDP's discrete Gaussian or Laplace has the distribution it states.",
    "public-schema": "all in schema.yaml is public; no category or bound was copied from the rows.",
    "public-or-bought-schema": "all in schema.yaml is public or bought; nothing else is from the rows.",
    "one-row-per-person": "the steward asserts that no person has two rows; nothing enforces it.",
    "enforced-unit": "one value of the unit's column is one person; the bound on rows was enforced.",
    "no-side-channels": "nobody learns of the rows by timing, memory, crashes or network traffic.",
    "trusted-machine": "the machine ran this program unaltered and kept its memory to itself.",
}

_KEYS = {
    "values": "its categories",
    "lower": "its lower bound",
    "upper": "its upper bound",
    "edges": "its bins",
    "missing": "whether values are missing",
}

PROCESSING = {
    "least-squares": "All that was measured of a column was combined (least-squares)",
    "empirical-bayes": "noisy counts were shrunk towards what the other answers suggest (empirical-bayes)",
    "projection": "made non-negative and consistent (projection)",
    "low-rank": "pairs were denoised by their singular values (low-rank)",
    "shared-bases": "and with the help of other pairs (shared-bases)",
    "interactions": "what larger sets of columns add to their pairs was shrunk on its own (interactions)",
    "structural-zeros": "all was brought into line with the schema's constraints (structural-zeros)",
    "iterative-fitting": "a junction tree was fitted (iterative-fitting)",
    "polishing": "drawn rows are changed until they follow all tables (polishing)",
}


def promise_of(statement: Statement) -> str:
    """Return the promise as one line; it stands in every text."""
    guarantee = statement.guarantee
    whom = "one row" if _is_row(statement) else f"the rows of one {shown(guarantee.unit, 24)}"
    how = f"adding or removing {whom}"
    if guarantee.adjacency == "replace-one":
        how = f"replacing {whom} by {'another' if _is_row(statement) else 'those of another'}"
    epsilon, delta = plain(guarantee.epsilon), plain(guarantee.delta)
    return f"({epsilon}, {delta})-differential privacy for {how}"


def text_of(statement: Statement) -> str:
    """Return the whole statement as readable text (and Markdown), at most 100 characters wide."""
    parts = [
        "# Privacy statement of a synthetic table",
        "",
        f"dpsynth {statement.version}, mechanism: {statement.mechanism}, noise: {statement.backend}",
        "",
        *_promise(statement),
        *_meaning(statement),
        *_cost(statement),
        *_columns(statement),
        *_processed(statement),
        *_assumed(statement),
        *_booked(statement),
        *_not_covered(statement),
    ]
    lines = [line for above, line in pairwise(["", *parts]) if line or not above.startswith("## ")]
    return "\n".join(lines) + "\n"


def _promise(statement: Statement) -> list[str]:
    guarantee = statement.guarantee
    factor = "e^epsilon"
    if guarantee.epsilon <= 15:
        factor = f"{rounded_up(math.exp(guarantee.epsilon), 3)} (e^epsilon)"
    whose = f"without {'that row' if _is_row(statement) else 'those rows'}"
    if guarantee.adjacency == "replace-one":
        whose = f"with {'another row in its' if _is_row(statement) else 'other rows in their'} place"
    plus = f", plus {plain(guarantee.delta)} (delta)" if guarantee.delta else ""
    return [
        "## What is promised",
        "",
        *_wrapped(
            "The model, the noisy measurements, this statement and all tables drawn from them satisfy "
            "together"
        ),
        "",
        f"    {promise_of(statement)}.",
        "",
        *_wrapped(
            f"Put plainly: whatever anyone concludes from this release, the chance of it is at most {factor} "
            f"times what it would be {whose}{plus}, "
            f"whatever else they know. {_protected(statement)}"
        ),
        "",
    ]


def _protected(statement: Statement) -> str:
    guarantee = statement.guarantee
    if _is_row(statement):
        larger = ", and at a larger delta" if guarantee.delta else ""
        return f"Someone with k rows is protected less: at k times epsilon{larger}.{_replaced(statement)}"
    return (
        f"Whoever a value of {shown(guarantee.unit, 24)} stands for is protected with all their rows: at "
        f"most {guarantee.rows_per_unit:,} of them were counted, the others dropped at random beforehand."
        f"{_replaced(statement)}"
    )


def _replaced(statement: Statement) -> str:
    if statement.guarantee.adjacency == "add-remove":
        return ""
    factors = "2 in distances and choices" + (
        " and in counts" if statement.calculus == "pure" else " and the square root of 2 in counts"
    )
    return (
        f" That one replaces another, rather than comes or goes, was priced with a factor of {factors}. "
        "The same noise covers whoever comes or goes."
    )


def _meaning(statement: Statement) -> list[str]:
    promised, spent = (
        Bounds.of(amount, statement.calculus, statement.delta_aside)
        for amount in (statement.budget, statement.spent)
    )
    mu = "" if promised.mu is None else f"mu = {rounded_up(promised.mu, 4)}, "
    lucks = (*ALARMS, *BASELINES[1:])  # 1 % is in both
    rows = [["right by luck, without this release", *map(percent, lucks)]]
    for name, bounds in (("with it at most: promised", promised), ("with it at most: really spent", spent)):
        rows.append([name, *map(percent, (*bounds.detections, *bounds.successes[1:]))])
    return [
        "## What it means for one person",
        "",
        *_wrapped(
            "How often a guess about a person is right at most, whoever guesses: a secret of theirs, or that "
            "they are in the table (luck: how often it is wrong of others). In short, "
            f"{mu}rho = {rounded_up(promised.rho, 4)}."
        ),
        "",
        *_table(rows),
        "",
    ]


def _cost(statement: Statement) -> list[str]:
    currency = CURRENCIES[statement.calculus]
    calculus = {"gdp": "Gaussian", "zcdp": "zero-concentrated", "pure": "pure"}[statement.calculus]
    running = "so far" if statement.calculus == "pure" else "epsilon"
    groups: dict[str, list[Entry]] = {}
    for entry in statement.entries:
        known = entry.purpose in groups or len(groups) < _MOST_PURPOSES
        groups.setdefault(entry.purpose if known else "everything else", []).append(entry)
    rows = [["what was asked", "acts", "numbers", "noise", currency, "share", running]]
    total = Fraction(0)
    for purpose, entries in groups.items():
        cost = sum((entry.price for entry in entries), Fraction(0))
        total += cost
        rows.append([purpose, *_figures(statement, entries, cost, total)])
    rows.append(["in all", *_figures(statement, statement.entries, statement.spent, statement.spent)])
    rows[-1][3] = ""
    return [
        "## What it cost",
        "",
        *_wrapped(
            "Every look at the rows went through one door, which adds noise and keeps a ledger in "
            f"{calculus} differential privacy, where {currency} adds up. The promise affords {currency} = "
            f"{float(statement.budget):.6g}. Noise is a standard deviation in rows; {running} is a running "
            f"total.{_aside(statement)}"
        ),
        "",
        *_table(rows),
        "",
    ]


def _aside(statement: Statement) -> str:
    if not statement.delta_aside:
        return ""
    aside, spent = (rounded_up(float(value), 3) for value in (statement.delta_aside, statement.delta_spent))
    return (
        f" Of delta, {aside} was set aside for acts that with so small a probability show more than their "
        f"price says; they spent {spent} of it."
    )


def _figures(statement: Statement, entries: Sequence[Entry], cost: Fraction, total: Fraction) -> list[str]:
    sigmas = [e.act.sigma for e in entries if not isinstance(e.act, ExponentialMechanism)]
    noise = "by lot" if any(isinstance(e.act, ExponentialMechanism) for e in entries) else ""
    if sigmas:
        low, high = f"{min(sigmas):.3g}", f"{max(sigmas):.3g}"
        noise = low if low == high else f"{low} to {high}"
    epsilon = statement.epsilon_at(total)
    percent = min(100 * cost / statement.budget, Fraction(10**9))
    return [
        f"{len(entries):,}",
        f"{sum(e.cells for e in entries):,}",
        noise,
        f"{float(min(cost, Fraction(2**100))):.6g}",
        f"{rounded_up(float(percent), 3)} %",
        rounded_up(epsilon, 4),
    ]


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(1, len(rows[0]))]
    room = max(12, _WIDTH - 4 - sum(widths) - 2 * len(widths))
    first = min(room, max(len(row[0]) for row in rows))
    lines = []
    for name, *cells in rows:
        label = name if len(name) <= first else name[: first - 3] + "..."
        padded = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
        lines.append("  ".join(["    " + label.ljust(first), *padded]))
    return lines


def _columns(statement: Statement) -> list[str]:
    measured = Counter(p.kind for p in statement.provenance if p.treatment == "measured")
    regenerated = sum(p.treatment == "regenerated" for p in statement.provenance)
    kinds = ", ".join(f"{count} {shown(kind)[1:-1]}" for kind, count in sorted(measured.items()))
    text = f"{measured.total()} columns were measured with noise ({kinds})"
    if regenerated:
        text += f"; {regenerated} made up afresh from a stated format, their content left out"
    bought = [p for p in statement.provenance if p.bought]
    origin = "Names, kinds, categories and bounds come from the schema, not from the rows."
    if bought:
        origin = (
            "Names, kinds and what else was publicly known come from the schema; the rest was bought from "
            "the rows, with noise and for a price, as listed below."
        )
    return [
        "## What is known of columns and rows",
        "",
        *_wrapped(
            f"{text}. {origin} The "
            "number of rows is estimated from the noisy measurements; the exact one is not in this release."
        ),
        "",
        *(line for p in bought for line in _item(f"{shown(p.name)}: {_bought(p.bought)}, bought.")),
        *([""] if bought else []),
    ]


def _bought(keys: Sequence[str]) -> str:
    """Name what was bought of a column."""
    named = [_KEYS[key] for key in keys if key in _KEYS]
    return f"{', '.join(named[:-1])} and {named[-1]}" if len(named) > 1 else named[0]


def _processed(statement: Statement) -> list[str]:
    if not statement.processing:
        return []
    steps = "; ".join(
        PROCESSING.get(name, f"unknown to this version ({name})") for name in statement.processing
    )
    return [
        "## What was done to the noisy answers",
        "",
        *_wrapped(f"No row was looked at again, and none of this costs or protects anything. {steps}."),
        "",
    ]


def _assumed(statement: Statement) -> list[str]:
    lines = ["## What is assumed", ""]
    for name in statement.assumptions:
        lines += _item(f"{name}: {ASSUMPTIONS.get(name, 'not known to this version of dpsynth.')}")
    return [*lines, ""]


def _booked(statement: Statement) -> list[str]:
    if statement.book is None:
        return []
    first, *rest = book_lines(statement.book)
    listed = [line for item in rest for line in _listed(item)]
    return [
        "## Other releases of the same data",
        "",
        *_wrapped(first),
        "",
        *listed,
        *([""] if listed else []),
    ]


def _listed(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, subsequent_indent="  ")


def _not_covered(statement: Statement) -> list[str]:
    shared = (
        "People with several rows, and facts that several rows share, such as a family's."
        if _is_row(statement)
        else "Facts that several units share, such as two accounts of one person, or a family."
    )
    items = (
        shared,
        (
            "Other releases about the same people: their costs add up, and "
            + (
                "nothing here counts them."
                if statement.book is None
                else "only those in the book are counted."
            )
        ),
        "What is true of people in general, which may be held against someone who is not in the table.",
        "Chance resemblance: a synthetic row may equal a real one, and that is within the promise.",
        "Accuracy: noise and the model's limits make some figures wrong. Check before you rely on one.",
        "The original table, its copies, and what else was published from it.",
        (
            "Forgery: 'dpsynth verify' recomputes the figures, and with --key shows who signed them. Nothing "
            "can show that the noise was drawn as stated."
        ),
    )
    return ["## What is not covered", "", *(line for item in items for line in _item(item))]


def _is_row(statement: Statement) -> bool:
    return statement.guarantee.unit == "row" and "enforced-unit" not in statement.assumptions


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, break_on_hyphens=False)


def _item(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="- ", subsequent_indent="  ")
