"""Defects of the noise itself: its scale, its law, its chance, and the choice by lot."""

from __future__ import annotations

import math
import random
from functools import partial

import numpy as np

from dpsynth.audit.mutant import Mutant, Setting
from dpsynth.privacy import noise
from dpsynth.privacy.curator import Curator
from tests.audit.mutants.planting import change, planted

__all__ = ["MUTANTS"]

_real_gaussian, _real_discrete = noise.rounded_gaussian, noise.discrete_gaussian
_real_laplace, _real_choice = noise.discrete_laplace, noise.exponential_choice
_real_init, _real_perturb = Curator.__init__, Curator._perturb
_inverted = noise._rounded_gaussian
_PURE = Setting(mechanism="independent", epsilon=8.0, delta=0.0)
_AIM = Setting(mechanism="aim")


def _scaled(draw, factor):
    """Noise of another scale than was asked for."""
    return lambda size, scale: draw(size, factor(scale))


def _halved(sigma):
    return max(sigma / 2, 2.0**-40)


def _laplace_of_that_deviation(size, sigma):
    return _real_laplace(size, sigma / math.sqrt(2))


def _in_floats(size, sigma):
    return np.random.default_rng().normal(0.0, sigma, size)


def _cut_off(size, sigma):
    edge = math.ceil(2 * sigma)
    return np.clip(_real_gaussian(size, sigma), -edge, edge)


def _one_draw_for_all(size, sigma):
    return np.repeat(_real_gaussian(1, sigma), size)


def _only_where_rows_are(self, exact, *rest, **named):
    return np.where(exact != 0, _real_perturb(self, exact, *rest, **named), exact)


def _fixed_seed():
    """The operating system's entropy gives way to a generator that begins anew with each fit."""
    state = random.Random(0)

    def init(curator, *args, **kwargs):
        state.seed(0)
        _real_init(curator, *args, **kwargs)

    def draw(size, sigma):
        return _inverted(size, sigma, state.randbytes)

    return planted(change(Curator, "__init__", init), change(noise, "rounded_gaussian", draw))()


def _forked():
    """Each measurement draws as a worker does that was forked before the fit's first draw."""
    state = random.Random()

    def init(curator, *args, **kwargs):
        state.seed()
        _real_init(curator, *args, **kwargs)

    def draw(size, sigma):
        own = random.Random()
        own.setstate(state.getstate())
        return _inverted(size, sigma, own.randbytes)

    return planted(change(Curator, "__init__", init), change(noise, "rounded_gaussian", draw))()


def _without_half(scores, epsilon, sensitivity):
    return _real_choice(scores, 2 * epsilon, sensitivity)


def _greatest(scores, epsilon, sensitivity):
    return int(np.argmax(scores))


_gaussian = partial(change, noise, "rounded_gaussian")

MUTANTS = (
    Mutant(
        name="noise-halved",
        breaks="noise has half the standard deviation that is booked",
        precedent="DataSynthesizer 0.1.4",
        killers=("noise", "whitebox"),
        plant=planted(_gaussian(_scaled(_real_gaussian, _halved))),
    ),
    Mutant(
        name="variance-for-deviation",
        breaks="the sampler takes sigma for the variance of the noise",
        precedent="DataSynthesizer 0.1.4",
        killers=("noise",),
        setting=Setting(epsilon=1.0),
        plant=planted(_gaussian(_scaled(_real_gaussian, math.sqrt))),
    ),
    Mutant(
        name="discrete-noise-halved",
        breaks="the second source of noise has half the standard deviation that is booked",
        precedent="DataSynthesizer 0.1.4",
        killers=("noise", "whitebox"),
        setting=Setting(mechanism="independent", noise="opendp"),
        plant=planted(change(noise, "discrete_gaussian", _scaled(_real_discrete, _halved))),
    ),
    Mutant(
        name="laplace-scale",
        breaks="the sampler takes the scale of Laplace noise for its standard deviation",
        precedent="DataSynthesizer 0.1.4",
        killers=("noise",),
        setting=Setting(mechanism="independent", epsilon=1.0, delta=0.0),
        plant=planted(change(noise, "discrete_laplace", _scaled(_real_laplace, lambda b: b / math.sqrt(2)))),
    ),
    Mutant(
        name="laplace-for-gaussian",
        breaks="noise has the right standard deviation and the wrong law",
        precedent="notes on a study of mutants: Laplace in the place of a Gaussian",
        killers=("noise",),
        setting=Setting(epsilon=1.0),
        plant=planted(_gaussian(_laplace_of_that_deviation)),
    ),
    Mutant(
        name="noise-cut-off",
        breaks="noise beyond two standard deviations is cut off, so that rare answers tell neighbours apart",
        precedent="clamped noise in home-made mechanisms; Casacuberta et al. 2022 on what bounds do",
        killers=("noise",),
        setting=Setting(epsilon=1.0),
        plant=planted(_gaussian(_cut_off)),
    ),
    Mutant(
        name="float-noise",
        breaks="noise is a float64 from numpy, whose low bits tell the exact count",
        precedent="Mironov 2012; private-pgm draws numpy's normal",
        killers=("noise", "replay"),
        plant=planted(_gaussian(_in_floats)),
    ),
    Mutant(
        name="one-draw-for-all-cells",
        breaks="one draw is added to every cell of a table, and cancels in differences",
        precedent="broadcasting slips; Synthcity's reuse of its generator",
        killers=("noise",),
        plant=planted(_gaussian(_one_draw_for_all)),
    ),
    Mutant(
        name="noise-on-occupied-cells-only",
        breaks="cells without a row get no noise",
        precedent="sparse histograms without a threshold",
        killers=("noise", "whitebox"),
        plant=planted(change(Curator, "_perturb", _only_where_rows_are)),
    ),
    Mutant(
        name="fixed-seed",
        breaks="every fit draws the same noise",
        precedent="google/dpsynth's command line: noise from a seed, 0 by default",
        killers=("noise",),
        plant=_fixed_seed,
    ),
    Mutant(
        name="forked-generator",
        breaks="every measurement of a fit draws from a copy of one generator",
        precedent="forked workers that share numpy's state",
        killers=("noise",),
        plant=_forked,
    ),
    Mutant(
        name="choice-without-half",
        breaks="the exponential mechanism's factor 1/2 is missing: the choice costs twice what is booked",
        precedent="private-pgm 65 and 66; google/dpsynth's AIM",
        killers=("noise",),
        setting=_AIM,
        plant=planted(change(noise, "exponential_choice", _without_half)),
    ),
    Mutant(
        name="argmax-choice",
        breaks="the choice by lot is the greatest score",
        precedent="private structure chosen non-privately: NIST DPWGAN's early stopping",
        killers=("noise",),
        setting=_AIM,
        plant=planted(change(noise, "exponential_choice", _greatest)),
    ),
)
