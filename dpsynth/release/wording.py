"""The statement in plain English, for whoever answers for the data."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Sequence
from decimal import ROUND_CEILING, Context, Decimal
from fractions import Fraction

from dpsynth.privacy.acts import DiscreteGaussian, ExponentialMechanism, RoundedGaussian
from dpsynth.privacy.curator import Entry
from dpsynth.release.documents import shown
from dpsynth.release.statement import Statement, epsilon_of

__all__ = ["ASSUMPTIONS", "promise_of", "text_of"]

_WIDTH = 98

ASSUMPTIONS = {
    "os-entropy": "the random bytes of the operating system cannot be predicted or repeated.",
    "mpmath-accuracy": "mpmath computes normal tails to the precision it is asked for (50 digits or more).",
    "ndtri-accuracy": "scipy's inverse normal is off by less than the certified margin, 4,000 times what it states.",
    "opendp-noise": "OpenDP's discrete Gaussian has the distribution it states.",
    "public-schema": "categories, bounds and formats in the schema are public; none was copied from the rows.",
    "one-row-per-person": "the steward asserts that no person has more than one row. Nothing enforces it.",
    "enforced-unit": "the unit's column names the same person by the same value; rows beyond the bound were dropped.",
    "no-side-channels": "nobody learns the rows from run time, memory, crashes or traffic during the fit.",
    "trusted-machine": "the machine ran this program, unaltered, and kept its memory to itself.",
}


def promise_of(statement: Statement) -> str:
    """Return the promise as one line; it stands in every text."""
    guarantee = statement.guarantee
    whom = "one row" if _is_row(statement) else f"all rows that share a value of {shown(guarantee.unit, 30)}"
    return (
        f"({float(guarantee.epsilon)!r}, {float(guarantee.delta)!r})-differential privacy for adding or "
        f"removing {whom}"
    )


def text_of(statement: Statement) -> str:
    """Return the whole statement as readable text, at most 100 characters wide."""
    parts = [
        "PRIVACY STATEMENT OF A SYNTHETIC TABLE",
        f"dpsynth {statement.version} | mechanism: {statement.mechanism} | noise: {statement.backend}",
        "",
        *_promise(statement),
        *_cost(statement),
        *_columns(statement),
        *_assumed(statement),
        *_not_covered(statement),
    ]
    return "\n".join(parts) + "\n"


def _promise(statement: Statement) -> list[str]:
    guarantee = statement.guarantee
    factor = f"{_up(math.exp(guarantee.epsilon), 3)} times" if guarantee.epsilon <= 15 else "e^epsilon times"
    return [
        "WHAT IS PROMISED",
        *_indented("The model, the noisy measurements, this statement and every table drawn from them, taken together, satisfy"),
        "",
        f"      {promise_of(statement)}.",
        "",
        *_indented(
            f"Put plainly: whatever anyone concludes from this release, the chance that they conclude it is at most {factor} "
            f"(e^epsilon) what it would be without {'that row' if _is_row(statement) else 'those rows'}, plus "
            f"{_up(guarantee.delta, 3)} (delta). That holds whatever else they know."
        ),
        *_indented(_unit(statement)),
        "",
    ]  # fmt: skip


def _unit(statement: Statement) -> str:
    guarantee = statement.guarantee
    if _is_row(statement):
        return "Protected is one row. Who has several rows is protected less: by k times epsilon for k rows."
    return (
        f"Protected is everyone who is one value of {shown(guarantee.unit, 30)}. At most {guarantee.rows_per_unit} of "
        "their rows were counted; the others were dropped at random beforehand."
    )


def _cost(statement: Statement) -> list[str]:
    currency = "mu^2" if statement.calculus == "gdp" else "rho"
    calculus = "Gaussian" if statement.calculus == "gdp" else "zero-concentrated"
    groups: dict[str, list[Entry]] = {}
    for entry in statement.entries:
        groups.setdefault(entry.purpose, []).append(entry)
    rows = [("for", "acts", "numbers", "noise (sd, rows)", currency, "of budget", "epsilon so far")]
    total = Fraction(0)
    for purpose, entries in groups.items():
        price = sum((e.price for e in entries), Fraction(0))
        total += price
        rows.append((purpose, *_figures(statement, entries, price, total)))
    spent = _figures(statement, statement.entries, statement.spent, statement.spent)
    rows.append(("in all", *spent[:2], "", *spent[3:]))
    return [
        "WHAT IT COST",
        *_indented(
            f"Every look at the rows went through one door that adds noise and keeps a ledger ({calculus} differential "
            f"privacy, {currency} adds up). The promise affords {currency} = {float(statement.budget):.6g}."
        ),
        "",
        *_table(rows),
        "",
    ]


def _figures(
    statement: Statement, entries: Sequence[Entry], price: Fraction, total: Fraction
) -> tuple[str, ...]:
    sigmas = [e.act.sigma for e in entries if isinstance(e.act, (RoundedGaussian, DiscreteGaussian))]
    choices = sum(isinstance(e.act, ExponentialMechanism) for e in entries)
    noise = "chosen by lot" if choices else ""
    if sigmas:
        low, high = f"{min(sigmas):.3g}", f"{max(sigmas):.3g}"
        noise = low if low == high else f"{low} to {high}"
    epsilon = epsilon_of(total, statement.calculus, statement.guarantee.delta)
    return (
        f"{len(entries):,}",
        f"{sum(e.cells for e in entries):,}",
        noise,
        f"{_up(float(min(price, 2**100)), 4)}",
        f"{_up(float(min(100 * price / statement.budget, 2**100)), 4)} %",
        "none" if math.isinf(epsilon) else _up(epsilon, 4),
    )


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(1, len(rows[0]))]
    first = max(12, _WIDTH - 4 - sum(widths) - 2 * len(widths))
    first = min(first, max(len(row[0]) for row in rows))
    lines = []
    for name, *cells in rows:
        label = name if len(name) <= first else name[: first - 3] + "..."
        lines.append(
            "    "
            + label.ljust(first)
            + "".join("  " + c.rjust(w) for c, w in zip(cells, widths, strict=True))
        )
    return lines


def _columns(statement: Statement) -> list[str]:
    kinds = {
        treatment: Counter(p.kind for p in statement.provenance if p.treatment == treatment)
        for treatment in ("measured", "regenerated")
    }
    measured = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds["measured"].items()))
    text = f"{kinds['measured'].total()} measured with noise ({measured})"
    if kinds["regenerated"]:
        text += (
            f"; {kinds['regenerated'].total()} made up afresh from a stated format, their content never read"
        )
    return [
        "WHAT IS KNOWN OF THE COLUMNS AND ROWS",
        *_indented(
            f"Columns: {text}. Names, kinds, categories and bounds come from the schema (schema.yaml), not from the rows."
        ),
        *_indented("Number of rows: estimated from the noisy measurements. The exact number is not in this release."),
        "",
    ]  # fmt: skip


def _assumed(statement: Statement) -> list[str]:
    lines = ["WHAT IS ASSUMED"]
    for name in statement.assumptions:
        lines += _item(f"{name}: {ASSUMPTIONS.get(name, 'not known to this version of dpsynth.')}")
    return [*lines, ""]


def _not_covered(statement: Statement) -> list[str]:
    items = [
        "Other releases about the same people. Their costs add up with this one's, and nothing here counts them.",
        "What is true of people in general. If a habit goes with an illness, the release may show it, and it can be "
        "held against someone whose row was never in the table.",
        "Chance resemblance. A synthetic row may equal a real one; that says no more than the promise allows.",
        "Accuracy. Noise and the model's limits make some figures wrong; check before you rely on one.",
        "The original table, its copies, and whatever else was published from it.",
        "Forgery. This text is not signed. 'dpsynth verify' recomputes its figures from the release, but cannot show that "
        "the noise was drawn as stated, nor who wrote the release.",
    ]  # fmt: skip
    if _is_row(statement):
        items.insert(
            0, "People with more than one row, and facts shared by several rows, such as a family's."
        )
    else:
        items.insert(0, "Facts shared by several units, such as two accounts of one person.")
    return ["WHAT IS NOT COVERED", *(line for item in items for line in _item(item))]


def _is_row(statement: Statement) -> bool:
    return statement.guarantee.unit == "row" and "enforced-unit" not in statement.assumptions


def _indented(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="  ")


def _item(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="  - ", subsequent_indent="    ")


def _up(value: float, digits: int) -> str:
    """Write a number with so many significant digits, rounded up: the safe side of a cost."""
    rounded = Decimal(value).normalize(Context(prec=digits, rounding=ROUND_CEILING))
    return f"{rounded:f}" if -6 < rounded.adjusted() < 9 else f"{rounded:e}".replace("e+", "e")
