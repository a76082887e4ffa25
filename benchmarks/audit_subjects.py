"""Whose mechanisms are audited, on which neighbouring tables, and what each says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.methods import DPMM, GOOGLE, OPENDP, PRIVATE_PGM, SMARTNOISE, Peer

__all__ = ["DOMAIN", "MOST", "PAIRS", "SUBJECTS", "Pair", "PeerSubject", "table_of"]

DOMAIN = {"c0": 3, "c1": 2, "c2": 2}
"""Number of codes of each column, told to every subject that can be told."""

Rows = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Pair:
    """Two tables that differ in one row.

    Attributes:
        outside: Rows without the unit.
        inside: The same with it; or with one row replaced.
        kind: ``"joins"``, which is what all of these programs promise to hide; ``"outside"``, where the row
            that joins is outside the domain that was told, which is a mistake of the user; ``"replaced"``,
            where a row is replaced, which a program that uses the exact number of rows might promise to hide.
    """

    outside: Rows
    inside: Rows
    kind: str = "joins"


def _random(seed: int, rows: int) -> Pair:
    """Return random rows, without and with one more."""
    rng = np.random.default_rng(seed)
    table = np.stack([rng.integers(0, n, rows + 1) for n in DOMAIN.values()], axis=1)
    all_rows = tuple(tuple(int(v) for v in row) for row in table)
    return Pair(all_rows[:-1], all_rows)


_SAME: Rows = ((0, 0, 0),) * 10
_ODD: Rows = ((1, 1, 1),)
PAIRS = {
    "an outlier joins ten equal rows": Pair(_SAME, _SAME + _ODD),
    "a second outlier joins": Pair(_SAME + _ODD, _SAME + _ODD + _ODD),
    "the greatest code joins": Pair(_SAME + _ODD, _SAME + _ODD + ((2, 1, 0),)),
    "a row joins forty others": _random(1, 40),
    "a row joins two hundred others": _random(2, 200),
    "a row outside the domain joins": Pair(_SAME + _ODD, _SAME + _ODD + ((3, 0, 0),), kind="outside"),
    "an outlier joins five hundred equal rows": Pair(((0, 0, 0),) * 500, ((0, 0, 0),) * 500 + _ODD),
    "a column ceases to be constant": Pair(((0, 0, 0), (1, 1, 0)) * 10, ((0, 0, 0), (1, 1, 0)) * 10 + _ODD),
    "one row is replaced": Pair((*_SAME, (0, 0, 0)), _SAME + _ODD, kind="replaced"),
}


MOST = tuple(PAIRS)[:6]
"""Names of the pairs that every subject is run on but where it says otherwise."""


def table_of(rows: Rows) -> dict[str, list[int]]:
    """Return rows column by column."""
    return {c: [row[i] for row in rows] for i, c in enumerate(DOMAIN)}


@dataclass(frozen=True)
class PeerSubject:
    """One mechanism of one program, used in one way.

    Attributes:
        adapter: Script in ``benchmarks/audited``.
        used: How it is used, in words.
        says: What its own documentation has to say on what is audited here; quoted where in quotation marks.
        pairs: Names of the pairs that it is run on.
        sampled: Whether the white-box test is run on it.
        options: As its adapter describes them.
        why: Where a check fails in its code, by check; read there, and stated only where the check fails.
    """

    name: str
    peer: Peer
    mechanism: str
    adapter: str
    used: str
    says: str = ""
    pairs: tuple[str, ...] = MOST
    sampled: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)


_EVERY = (*MOST, "one row is replaced")
_JOIN = ("an outlier joins ten equal rows", "the greatest code joins")
_SOME = ("an outlier joins ten equal rows", "a row joins forty others")
_TOTAL = {
    "sensitivity": "the model that scores are distances from is given the exact number of rows "
    "(known_total), so one row moves the model too",
    "outcome": "sample() gives as many rows as the real table has, unless told how many",
}
_MONOTONE = (
    "discrete_mechanisms/aim.py calls exponential_mechanism(monotonic=True), whose coefficient is 1 and not "
    "1/2; but of its scores, distances from a model, one row can raise one and lower another"
)
_RHO = {"rho": 0.0306}
_TOLD = "codes, their number told"
_README = (
    'its README: "data domain is either provided as input or extracted with DP"; '
    "for a categorical column without categories it logs a warning that begins with PrivacyLeakage; it is "
    '"not intended for production use"'
)
_DISCRETE = (
    'its README: "Take care to discretize in a way that does not reveal information about the distribution"; '
    "the docstring of LabelTransformer mentions no budget"
)
_SIZE = 'the docstring of fit_sample: "a synthetic dataset of the same size of the input data"'
SUBJECTS = {
    s.name: s
    for s in (
        PeerSubject("dpmm:mst", DPMM, "mst", "dpmm_traces", _TOLD, sampled=True),
        PeerSubject("dpmm:aim", DPMM, "aim", "dpmm_traces", _TOLD, pairs=_SOME),
        PeerSubject(
            "dpmm:privbayes",
            DPMM,
            "privbayes",
            "dpmm_traces",
            _TOLD,
            pairs=(*_EVERY, "an outlier joins five hundred equal rows"),
            why={
                "calls": "ExponentialMechanism.compute_delta is a function of the exact number of rows",
                "sensitivity": "compute_delta bounds mutual information, and the score is that over the root "
                "of two entropies",
            },
        ),
        PeerSubject(
            "dpmm:mst, no domain",
            DPMM,
            "mst",
            "dpmm_traces",
            "codes without preprocessing, their number not told",
            says=_README,
            pairs=_JOIN,
            options={"domain": False, "compress": False},
            why={"calls": "Mechanism.fit takes the greatest code plus one for the number of codes"},
        ),
        PeerSubject(
            "dpmm:mst, preprocessing",
            DPMM,
            "mst",
            "dpmm_traces",
            "categorical columns with its preprocessing, every category told",
            says=_README,
            pairs=("a column ceases to be constant", "the greatest code joins"),
            options={"processing": True, "compress": False},
            why={"calls": "TableBinner.fit leaves a column of one value out, and gives every row that value"},
        ),
        PeerSubject(
            "dpmm:mst, preprocessing, no domain",
            DPMM,
            "mst",
            "dpmm_traces",
            "categorical columns with its preprocessing, no category told",
            says=_README,
            pairs=_JOIN[1:],
            options={"processing": True, "compress": False, "domain": False},
            why={"calls": "TableBinner.get_categories takes the values of the rows for the categories"},
        ),
        PeerSubject(
            "smartnoise-synth:mst",
            SMARTNOISE,
            "mst",
            "smartnoise_traces",
            "codes, a transformer fitted on the public domain, rows drawn without saying how many",
            says=_SIZE,
            pairs=_EVERY,
            sampled=True,
            options={"sample": True},
            why=_TOTAL,
        ),
        PeerSubject(
            "smartnoise-synth:aim",
            SMARTNOISE,
            "aim",
            "smartnoise_traces",
            "codes, a transformer fitted on the public domain, rows drawn without saying how many",
            says=_SIZE,
            pairs=_SOME,
            options={"sample": True},
            why={"outcome": _TOTAL["outcome"]},
        ),
        PeerSubject(
            "smartnoise-synth:mst, no transformer",
            SMARTNOISE,
            "mst",
            "smartnoise_traces",
            "categorical columns named, as in its documentation, no transformer given",
            says=_DISCRETE,
            pairs=_JOIN,
            options={"domain": False},
            why={"calls": "LabelTransformer takes the values of the rows for the categories"},
        ),
        PeerSubject(
            "google/dpsynth:aim",
            GOOGLE,
            "aim",
            "google_traces",
            _TOLD,
            says="AIM.dp_event: ZCDpEvent(zcdp_rho), the whole of what it was configured with",
            why={"price": _MONOTONE, "selection": _MONOTONE},
        ),
        PeerSubject("google/dpsynth:aim-gdp", GOOGLE, "aim-gdp", "google_traces", _TOLD, pairs=_SOME),
        PeerSubject("google/dpsynth:mst", GOOGLE, "mst", "google_traces", _TOLD, pairs=_SOME, sampled=True),
        PeerSubject(
            "opendp:aim", OPENDP, "aim", "opendp_traces", "every key given", pairs=_SOME, options=_RHO
        ),
        PeerSubject(
            "opendp:mst", OPENDP, "mst", "opendp_traces", "every key given", pairs=_SOME, options=_RHO
        ),
        PeerSubject("private-pgm:aim", PRIVATE_PGM, "aim", "pgm_traces", _TOLD, pairs=_SOME),
        PeerSubject("private-pgm:mst", PRIVATE_PGM, "mst", "pgm_traces", _TOLD, pairs=_SOME, sampled=True),
    )
}
