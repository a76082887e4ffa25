"""A release measured against NIST SP 800-226, in our own words: what is addressed, how, and what is not.

The publication (final, March 2025) arranges what a promise of differential privacy rests on as a pyramid,
whose layers rely on those below, and names hazards in each. An item here is one such question. ``addressed``
is ``"yes"``, ``"in part"`` or ``"no"``; ``evidence`` says where to look.
"""

from __future__ import annotations

from typing import Any

from dpsynth.release.statement import Statement

__all__ = ["DOCUMENT", "guidance_of"]

DOCUMENT = {
    "document": "NIST SP 800-226, Guidelines for Evaluating Differential Privacy Guarantees (March 2025)",
    "doi": "10.6028/NIST.SP.800-226",
}


def guidance_of(statement: Statement) -> list[dict[str, Any]]:
    """Return the items for a release, from the top of the pyramid to its bottom."""
    items = (*_guarantee(statement), *_making(statement), *_running(), *_ground())
    keys = ("layer", "topic", "addressed", "how", "evidence")
    return [dict(zip(keys, item, strict=True)) for item in items]


def _guarantee(statement: Statement) -> tuple[tuple[str, ...], ...]:
    enforced = "enforced-unit" in statement.assumptions
    booked = statement.book is not None
    return (
        (
            "top",
            "epsilon",
            "yes",
            "One epsilon covers everything in this release, and what it bounds for a person is computed.",
            "statement.guarantee; explanation; verify: spending, budget",
        ),
        (
            "top",
            "delta, and the variant of differential privacy",
            "yes",
            "Pure differential privacy: delta is 0."
            if statement.calculus == "pure"
            else "The ledger is kept in a variant that fails gradually, and converted to epsilon at the end.",
            "statement.calculus; explanation.promised.curve; proofs/composition.md",
        ),
        (
            "top",
            "unit of privacy",
            "yes" if enforced else "in part",
            "All rows of one unit are protected together; the bound on them was enforced before counting."
            if enforced
            else "The unit is a row. That one person has one row is the steward's word and was not enforced.",
            "statement.guarantee; statement.assumptions; proofs/sensitivity.md",
        ),
        (
            "top",
            "comparing guarantees",
            "yes",
            "Unit, neighbours and calculus are stated, and epsilon is given at several deltas.",
            "summary; explanation.promised.curve",
        ),
        (
            "top",
            "other releases about the same people",
            "yes" if booked else "no",
            "A budget book counted the earlier releases of the data set that it knows of."
            if booked
            else "No budget book was kept: costs of other releases add to this one's, uncounted.",
            "statement.book" if booked else "limits: other-releases",
        ),
    )


def _making(statement: Statement) -> tuple[tuple[str, ...], ...]:
    noise = (
        "The noise is OpenDP's."
        if statement.backend == "opendp"
        else "The noise is dpsynth's own, sampled exactly."
    )
    return (
        (
            "middle",
            "algorithms and correctness",
            "in part",
            (
                f"{noise} Every act has a written proof tied to its code, and tests against other programs. "
                "No outside audit is on record here."
            ),
            "proofs/; tests/privacy; statement.software",
        ),
        (
            "middle",
            "domains: categories, bins and bounds",
            "yes",
            "Each comes from the schema, or was bought with noise and is in the ledger; none was read free.",
            "statement.columns; statement.ledger",
        ),
        (
            "middle",
            "synthetic data",
            "yes",
            "Rows are drawn from noisy answers alone. That they are synthetic is not what protects anyone.",
            "docs/method.md; proofs/measure.md",
        ),
        (
            "middle",
            "utility",
            "in part",
            "The noise of every act is stated; the model gives standard errors. Fitness is not judged.",
            "statement.ledger; Release.standard_error",
        ),
        (
            "middle",
            "bias",
            "no",
            (
                "Noise weighs more on small groups, and faults of the original table stay. Nothing here "
                "measures or corrects either for a group of people."
            ),
            "limits: accuracy",
        ),
    )


def _running() -> tuple[tuple[str, ...], ...]:
    return (
        (
            "middle",
            "floating-point arithmetic",
            "yes",
            (
                "Counts and noise are integers; sampling does not round. Budgets are computed with spare "
                "digits and rounded to the safe side."
            ),
            "proofs/rounded_gaussian.md; proofs/discrete_gaussian.md",
        ),
        (
            "middle",
            "timing, memory and other side channels",
            "no",
            (
                "How long a fit takes and what memory it needs depend on the rows. Nobody may observe a fit "
                "who may not see the table."
            ),
            "limits: side-channels; SECURITY.md",
        ),
        (
            "middle",
            "errors and logs",
            "yes",
            "No message, log or file shows a value of a row; whether a fit fails depends on public things.",
            "SECURITY.md; tests",
        ),
        (
            "middle",
            "security of the data",
            "no",
            "The original table, its copies and the machine that ran the fit are the steward's to guard.",
            "statement.assumptions: trusted-machine",
        ),
    )


def _ground() -> tuple[tuple[str, ...], ...]:
    return (
        (
            "bottom",
            "query model",
            "yes",
            "One release, made once: nobody asks the rows anything afterwards, and drawing from it is free.",
            "statement.ledger",
        ),
        (
            "bottom",
            "trust model",
            "in part",
            (
                "The central model: steward, machine and libraries are trusted, and named. Readers of the "
                "release need not be."
            ),
            "statement.assumptions; statement.software; SECURITY.md",
        ),
        (
            "bottom",
            "access control",
            "no",
            "Who may read the original table or run a fit is decided elsewhere.",
            "limits: original-table",
        ),
        (
            "bottom",
            "data collection exposure",
            "no",
            "A release does not undo that the data were collected, nor how, nor with whose consent.",
            "limits: original-table",
        ),
    )
