"""Composition: exact losses of adaptive interactions add up and no further; the filter is never passed."""

from __future__ import annotations

import itertools
from fractions import Fraction

from dpsynth.errors import BudgetRefusedError
from dpsynth.privacy.acts import DiscreteLaplace, ExponentialMechanism
from dpsynth.privacy.guarantee import CALCULI, Calculus, Guarantee
from dpsynth.privacy.ledger import Ledger
from proofs.checks.bounded_range import BASE, law, scores
from proofs.checks.databases import Rows, counts, neighbours, require
from proofs.checks.pure import greatest_loss

__all__ = ["adaptive", "run"]

_LARGEST_WEIGHT = 2  # in the scores of the choices


def adaptive(rows: Rows) -> dict[tuple[int, int], Fraction]:
    """Return the exact law of two choices, the second among scores that depend on the first."""
    values = scores(rows)
    found = {}
    for first, chance in enumerate(law(values)):
        moved = tuple(v * (-1) ** (first + i) for i, v in enumerate(values))
        for second, then in enumerate(law(moved)):
            found[first, second] = chance * then
    return found


def run() -> list[str]:
    """Check losses and filters, and say what was checked.

    Raises:
        AssertionError: an interaction loses more than its prices say, or a ledger is overspent.
    """
    return [
        f"composition: two adaptive choices, then a noisy table, on {_adaptive()} pairs of neighbours",
        f"composition: {_filtered()} requests to ledgers of three calculi, none overspent",
    ]


def _adaptive() -> int:
    """In powers of ``BASE``: two choices lose at most ``2 * 2 D``, and some pair more than one alone may."""
    pairs, exceeds = 0, False
    one_choice = BASE ** (2 * _LARGEST_WEIGHT)
    for one, two in neighbours(1, 1):
        first, second = adaptive(one), adaptive(two)
        ratios = [first[key] / second[key] for key in first]
        require(max(ratios) <= one_choice**2, (one, two))
        table = greatest_loss(
            counts(one), counts(two)
        )  # in units of 1/scale: at most 1, whatever came before
        require(table <= 1, (one, two))
        exceeds = exceeds or max(ratios) > one_choice
        pairs += 1
    require(exceeds, "one price alone would have covered two choices")
    return pairs


def _filtered() -> int:
    asked = 0
    for calculus in CALCULI:
        promise = Guarantee(epsilon=1.0, delta=0.0 if calculus == "pure" else 1e-6)
        for stride in range(1, 8):
            asked += _spend(Ledger(promise, calculus), calculus, stride)
    return asked


def _spend(ledger: Ledger, calculus: Calculus, stride: int) -> int:
    """Ask for ever other acts until many were refused; the sum is exact, and never above the budget."""
    refused = 0
    for step in itertools.count(1):
        size = 1 + (step * stride) % 5
        act = (
            ExponentialMechanism(epsilon=0.3 / size, sensitivity=1, candidates=2)
            if step % 2
            else DiscreteLaplace(scale=4.0 * size, sensitivity=1)
        )
        try:
            ledger.charge(act, "p", ("a",), 1)
        except BudgetRefusedError:
            refused += 1
        require(ledger.spent == sum(e.price for e in ledger.entries), calculus)
        require(ledger.spent <= ledger.budget, calculus)
        if refused == 8:
            break
    return step
