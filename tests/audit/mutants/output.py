"""Defects behind the doors: what reads the rows once more when the noise has been drawn."""

from __future__ import annotations

import numpy as np

from dpsynth import synthesizer
from dpsynth.audit.mutant import Mutant, Setting
from dpsynth.model.network import NetworkModel
from dpsynth.model.tree import TreeModel
from dpsynth.release import bundle
from dpsynth.release.arrays import to_npy
from dpsynth.release.release import Release
from tests.audit.mutants.planting import change, seeing

__all__ = ["MUTANTS"]

_real_fit, _real_sample, _real_members = synthesizer.fit_model, Release.sample, bundle._members
_real_draws = {model: model.sample for model in (TreeModel, NetworkModel)}


def _exact_total(seen):
    def fit_model(*args, **kwargs):
        model = _real_fit(*args, **kwargs)
        object.__setattr__(model, "total", float(seen.rows))
        return model

    return (change(synthesizer, "fit_model", fit_model),)


def _as_many_rows(seen):
    def sample(self, n=None, **named):
        return _real_sample(self, seen.rows if n is None else n, **named)

    return (change(Release, "sample", sample),)


def _changed_draws(alter):
    """Changes of both models' draws; ``alter`` sees codes and the generator."""

    def drawing(real):
        def sample(self, n, rng, **named):
            return alter(real(self, n, rng, **named), rng)

        return sample

    return tuple(change(model, "sample", drawing(real)) for model, real in _real_draws.items())


def _copied_rows(seen):
    def alter(codes, rng):
        if not seen.rows:
            return codes
        copied = rng.random(codes[0].size) < 0.2
        rows = rng.integers(0, seen.rows, codes[0].size)
        return [np.where(copied, own[rows], c) for c, own in zip(codes, seen.codes, strict=True)]

    return _changed_draws(alter)


def _published_similarity(seen):
    """The statement says how far the model is from the exact columns."""

    def members(release):
        found = _real_members(release)
        exact = [
            np.bincount(c, minlength=axis.size) / max(seen.rows, 1)
            for axis, c in zip(release.model.domain, seen.codes, strict=True)
        ]
        apart = [np.abs(e - node).sum() / 2 for e, node in zip(exact, release.model.nodes, strict=True)]
        said = f"\nMean distance from the source's columns: {np.mean(apart):.6f}\n"
        return {**found, "STATEMENT.md": found["STATEMENT.md"] + said.encode()}

    return (change(bundle, "_members", members),)


def _cached_counts(seen):
    def members(release):
        exact = [np.bincount(c).astype(np.int64) for c in seen.codes]
        return {**_real_members(release), "model/cached_0.npy": to_npy(exact[0])}

    return (change(bundle, "_members", members),)


_INDEPENDENT = Setting(mechanism="independent")

MUTANTS = (
    Mutant(
        name="exact-total",
        breaks="the model's number of rows is exact",
        precedent="AIM with known_total=n: 1.71 times its epsilon measured",
        killers=("replay",),
        setting=_INDEPENDENT,
        plant=seeing(_exact_total),
    ),
    Mutant(
        name="as-many-rows",
        breaks="a sample has as many rows as the private table",
        precedent="synthetic-data-showcase 76; Opacus: len(data)",
        killers=("replay",),
        setting=_INDEPENDENT,
        plant=seeing(_as_many_rows),
    ),
    Mutant(
        name="copied-rows",
        breaks="one synthetic row of five is a real one",
        precedent="generators that fall back on training rows",
        killers=("replay",),
        setting=_INDEPENDENT,
        plant=seeing(_copied_rows),
    ),
    Mutant(
        name="similarity-published",
        breaks="a release says how similar its model is to the private table",
        precedent="ReconSyn: rows rebuilt from similarity metrics on raw rows",
        killers=("replay",),
        setting=_INDEPENDENT,
        plant=seeing(_published_similarity),
    ),
    Mutant(
        name="exact-counts-saved",
        breaks="a cache of exact counts is saved with the model",
        precedent="serialized models that keep raw data",
        killers=("replay",),
        setting=_INDEPENDENT,
        plant=seeing(_cached_counts),
    ),
)
