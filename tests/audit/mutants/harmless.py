"""Changes that break nothing: a layer that sees one of them is at fault."""

from __future__ import annotations

import dataclasses

import numpy as np

from dpsynth.audit.mutant import Mutant, Setting
from dpsynth.data import codec
from dpsynth.data.codec import Codec
from dpsynth.mechanisms import mechanism
from dpsynth.privacy import acts, curator, noise
from dpsynth.privacy.sealed import CodedTable, open_codes
from tests.audit.mutants.planting import change, planted

__all__ = ["MUTANTS"]

_real_encode, _real_keep, _real_noise = Codec.encode, codec.keep_rows, acts.noise_for
_real_gaussian, _real_budgets = noise.rounded_gaussian, mechanism.one_way_budgets


def _each_row_once(self, source):
    """Code the rows, and keep one of each: one row more changes at most one row of what is left."""
    table = _real_encode(self, source)
    rows = np.unique(np.stack(open_codes(table), axis=1), axis=0)
    codes = [rows[:, i].astype(c.dtype) for i, c in enumerate(open_codes(table))]
    return CodedTable(self.domain, codes, rows_per_unit=table.rows_per_unit)


def _mirrored(size, sigma):
    return -_real_gaussian(size, sigma)


def _louder(budget, moved, calculus):
    act = _real_noise(budget, moved, calculus)
    return dataclasses.replace(act, sigma=1.5 * act.sigma)


def _nine_tenths(domain, budget, calculus="gdp"):
    return [share * 9 / 10 for share in _real_budgets(domain, budget, calculus)]


def _one_row_fewer(ids, max_rows):
    return _real_keep(ids, max_rows - 1)


def _by_gumbel(scores, epsilon, sensitivity):
    noisy = np.array(scores, dtype=np.float64) * epsilon / (2 * sensitivity)
    return int(np.argmax(noisy + np.random.default_rng().gumbel(size=noisy.size)))


MUTANTS = (
    Mutant(
        name="each-row-once",
        breaks="nothing: rows that are there twice are counted once, and neighbours stay neighbours",
        precedent="1-stable transformations",
        setting=Setting(mechanism="independent"),
        plant=planted(change(Codec, "encode", _each_row_once)),
    ),
    Mutant(
        name="mirrored-noise",
        breaks="nothing: the noise is symmetric",
        precedent="an equivalent mutant",
        plant=planted(change(noise, "rounded_gaussian", _mirrored)),
    ),
    Mutant(
        name="louder-noise",
        breaks="nothing: half as much noise again, and booked so",
        precedent="an equivalent mutant",
        plant=planted(change(curator, "noise_for", _louder)),
    ),
    Mutant(
        name="budget-left",
        breaks="nothing: a tenth of the columns' budget is never spent",
        precedent="an equivalent mutant",
        setting=Setting(mechanism="independent"),
        plant=planted(change(mechanism, "one_way_budgets", _nine_tenths)),
    ),
    Mutant(
        name="one-row-fewer",
        breaks="nothing: one row of a unit fewer is kept than its bound",
        precedent="an equivalent mutant",
        setting=Setting(mechanism="independent", rows_per_unit=3),
        plant=planted(change(codec, "keep_rows", _one_row_fewer)),
    ),
    Mutant(
        name="choice-by-gumbel",
        breaks="nothing that can be seen: the choice has the law it should have, but for floats",
        precedent="the usual form of the exponential mechanism",
        setting=Setting(mechanism="aim"),
        plant=planted(change(noise, "exponential_choice", _by_gumbel)),
    ),
)
