"""Defects of what is booked: sensitivities, prices, sums and conversions."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

from dpsynth.audit.mutant import Mutant, Setting
from dpsynth.mechanisms import mechanism, mst
from dpsynth.privacy import acts, curator, guarantee, ledger, seller
from dpsynth.privacy.acts import ExponentialMechanism, RoundedGaussian
from dpsynth.privacy.curator import Curator
from dpsynth.privacy.ledger import Ledger
from dpsynth.privacy.sensitivity import Sensitivity
from tests.audit.mutants.planting import change, planted, seeing

__all__ = ["MUTANTS"]

_real_price, _real_sigma, _real_chance = acts.price, acts.sigma_for, acts._chance_above
_real_noise, _real_distances = acts.noise_for, curator.of_distances
_real_charge, _real_measure = Ledger.charge, Curator.measure


def _of_proportions(seen):
    """Noise of the scale 2/n, the sensitivity of proportions, on counts."""

    def shrunk():
        return 2 / max(seen.rows, 2)

    def noise_for(budget, moved, calculus):
        act = _real_noise(budget, moved, calculus)
        return RoundedGaussian(sigma=max(act.sigma * shrunk(), 2.0**-40), sensitivity_squared=1)

    def price(act, calculus):
        if isinstance(act, RoundedGaussian):
            act = dataclasses.replace(act, sigma=act.sigma / shrunk())
        return _real_price(act, calculus)

    return change(curator, "noise_for", noise_for), change(ledger, "price", price)


def _of_one_row(guarantee):
    return Sensitivity(l1=guarantee.sides, l2_squared=guarantee.sides)


def _of_coming_and_going(guarantee):
    k = guarantee.rows_per_unit
    return Sensitivity(l1=k, l2_squared=k * k)


def _of_one_distance(guarantee, count):
    return _real_distances(guarantee, 1)


def _without_weights(epsilon, sensitivity, candidates):
    return ExponentialMechanism(epsilon=epsilon, sensitivity=1, candidates=candidates)


def _for_each_the_whole(domain, budget, calculus="gdp"):
    return [budget] * len(domain)


def _greatest_price(self, *args):
    entry = _real_charge(self, *args)
    self._Ledger__spent = max(e.price for e in self.entries)
    return entry


def _free_choices(self, *args):
    entry = _real_charge(self, *args)
    if entry.purpose == mst.SCORES:
        self._Ledger__spent -= entry.price
    return entry


def _unbooked_first(self, query, *, budget, purpose):
    """Ask for the number of rows first, at half of all there is, and strike it out of the ledger."""
    if not self.entries:
        _real_measure(self, query, budget=self.left / 2, purpose="number of rows")
        own = self._Curator__ledger
        own._Ledger__entries.clear()
        own._Ledger__spent = Fraction(0)
    return _real_measure(self, query, budget=budget, purpose=purpose)


def _half_price(act, calculus):
    half = calculus == "gdp" and isinstance(act, RoundedGaussian)
    return _real_price(act, calculus) / (2 if half else 1)


def _sigma_at_half_price(budget, squared, calculus):
    return _real_sigma(2 * budget if calculus == "gdp" else budget, squared, calculus)


def _without_log_delta(calculus, epsilon, delta):
    return epsilon * (2.0 if calculus == "gdp" else 1.0)  # rho = epsilon, and mu**2 = 2 rho


def _for_one_row(act):
    return _real_chance(dataclasses.replace(act, rows=1))


def _whole_delta(self, promise, calculus, delta_aside=Fraction(0)):
    _real_ledger(self, promise, calculus, delta_aside)
    self._Ledger__budget = Fraction(promise.budget(calculus))


_real_ledger = Ledger.__init__
_UNIT = Setting(rows_per_unit=3)

MUTANTS = (
    Mutant(
        name="sensitivity-of-proportions",
        breaks="counts get noise for a sensitivity of 2/n",
        precedent="DataSynthesizer 34",
        killers=("replay", "whitebox"),
        plant=seeing(_of_proportions),
    ),
    Mutant(
        name="row-for-unit",
        breaks="sensitivities are those of one row where a unit has three",
        precedent="event-level noise sold as user-level: NIST SP 800-226, hazard 4",
        killers=("replay", "whitebox"),
        setting=_UNIT,
        plant=planted(
            change(curator, "of_counts", _of_one_row),
            change(seller, "of_counts", _of_one_row),
        ),
    ),
    Mutant(
        name="add-remove-for-replace",
        breaks="a replaced unit is booked as one that comes or goes",
        precedent="replace-one and add-remove mixed up: a factor of 2 in L1 and of sqrt(2) in L2",
        killers=("replay",),
        setting=Setting(adjacency="replace-one"),
        plant=planted(
            change(curator, "of_counts", _of_coming_and_going),
            change(seller, "of_counts", _of_coming_and_going),
        ),
    ),
    Mutant(
        name="scores-as-one",
        breaks="a vector of distances is booked with the sensitivity of one of them",
        precedent="private-pgm 65 and 66: sensitivity of scores",
        killers=("replay",),
        plant=planted(change(curator, "of_distances", _of_one_distance)),
    ),
    Mutant(
        name="weights-left-out",
        breaks="weighted scores are chosen among with the sensitivity of plain ones",
        precedent="private-pgm's AIM: weights of the workload in the scores",
        killers=("replay", "noise"),
        setting=Setting(mechanism="aim"),
        plant=planted(change(curator, "ExponentialMechanism", _without_weights)),
    ),
    Mutant(
        name="budget-not-composed",
        breaks="each column is measured with the whole budget, and the ledger holds the greatest price",
        precedent="MOSTLY AI: one epsilon for each of several queries",
        killers=("replay", "whitebox"),
        setting=Setting(mechanism="independent"),
        plant=planted(
            change(mechanism, "one_way_budgets", _for_each_the_whole),
            change(Ledger, "charge", _greatest_price),
            change(Ledger, "left", property(lambda self: self.budget)),
        ),
    ),
    Mutant(
        name="choosing-budget-reused",
        breaks="what the choice of pairs cost is spent again on measuring them",
        precedent="diffprivlib 104: centring without a charge",
        killers=("replay",),
        plant=planted(
            change(Ledger, "charge", _free_choices),
            change(mst.Settings, "edges", property(lambda self: 1 - self.one_ways)),
        ),
    ),
    Mutant(
        name="query-not-booked",
        breaks="one more query is answered than the ledger shows",
        precedent="diffprivlib 104; dpmm's separate epsilon for the domain",
        killers=("replay",),
        plant=planted(change(Curator, "measure", _unbooked_first)),
    ),
    Mutant(
        name="rho-for-mu-squared",
        breaks="the ledger counts rho where the guarantee affords mu squared, twice as much",
        precedent="units of accountants mixed up",
        killers=("accounting", "replay"),
        plant=planted(
            change(acts, "price", _half_price),
            change(ledger, "price", _half_price),
            change(acts, "sigma_for", _sigma_at_half_price),
        ),
    ),
    Mutant(
        name="conversion-without-log-delta",
        breaks="the guarantee is taken to afford rho = epsilon, whatever delta",
        precedent="smartnoise-sdk 621 and 624",
        killers=("accounting", "whitebox"),
        plant=planted(change(guarantee, "_afforded", _without_log_delta)),
    ),
    Mutant(
        name="threshold-for-one-row",
        breaks="a threshold's delta is that of a unit with one row, where a unit has three",
        precedent="stability histograms with k rows a user",
        killers=("accounting", "replay"),
        setting=Setting(mechanism="independent", rows_per_unit=3, bought=True),
        plant=planted(change(acts, "_chance_above", _for_one_row)),
    ),
    Mutant(
        name="delta-spent-twice",
        breaks="thresholds spend a part of delta that the noise's budget was computed with as well",
        precedent="delta counted once for several acts",
        killers=("replay",),
        setting=Setting(mechanism="independent", bought=True),
        plant=planted(change(Ledger, "__init__", _whole_delta)),
    ),
)
