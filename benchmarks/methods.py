"""Who is compared: each program, what it needs to run, its mechanisms, and what it spends beyond its word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dpsynth import Schema, Synthesizer
from dpsynth.mechanisms import MECHANISMS

__all__ = ["DEFAULT", "METHODS", "PEERS", "Method", "Peer", "chosen"]


@dataclass(frozen=True)
class Peer:
    """A program that is run in its own environment.

    Attributes:
        adapter: Script in ``benchmarks/peers`` that runs it.
        requirements: What pip installs for it; empty for dpsynth, which runs where the benchmark runs.
        checkout: Environment variable that names a checkout which it is run from, if it is not on PyPI.
        source: What is to be checked out.
        python: Oldest Python it runs on, as ``(3, minor)``.
    """

    name: str
    adapter: str
    requirements: tuple[str, ...] = ()
    checkout: str = ""
    source: str = ""
    python: tuple[int, int] = (3, 11)


@dataclass(frozen=True)
class Method:
    """One mechanism of one program.

    Attributes:
        adaptive: Takes a workload, so that it is run once for each.
        noise: Where its privacy noise comes from.
        caveats: What it spends or reads beyond the guarantee it states, checked against its code.
    """

    peer: Peer
    mechanism: str
    adaptive: bool = False
    noise: str = "exact"
    caveats: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        """``program:mechanism``."""
        return f"{self.peer.name}:{self.mechanism}"


_JAX = ("numpy", "pandas", "scipy", "networkx")
DPSYNTH = Peer("dpsynth", "this_library")
PRIVATE_PGM = Peer(
    "private-pgm",
    "private_pgm",
    ("mbi==2.0.0", "matplotlib", *_JAX),
    checkout="DPSYNTH_PRIVATE_PGM",
    source="ryan112358/private-pgm",
)
GOOGLE = Peer(
    "google/dpsynth",
    "google_dpsynth",
    (
        *("jax[cpu]==0.11.0", "mbi==2.0.0", "dp-accounting", "absl-py", "attrs", "pydantic>=2", "pyyaml"),
        *("more-itertools", "tqdm", "etils[epath]", *_JAX),
    ),
    checkout="DPSYNTH_GOOGLE_DPSYNTH",
    source="google/dpsynth",
    python=(3, 12),
)
DPMM = Peer("dpmm", "dpmm_pipelines", ("dpmm==0.1.9",))
SMARTNOISE = Peer("smartnoise-synth", "smartnoise", ("smartnoise-synth==1.0.8",))
OPENDP = Peer("opendp", "opendp_mbi", ("opendp[mbi]==0.16.0", "pandas", "pyarrow"))
PEERS = {p.name: p for p in (DPSYNTH, PRIVATE_PGM, GOOGLE, DPMM, SMARTNOISE, OPENDP)}

_FLOAT = "numpy floats"
_MIXED = "OpenDP floats, selection by numpy"
_KEPT_ROWS = "it does not measure the number of rows: the synthetic table has exactly as many as the real one"
_SELECTION = (
    "its selection treats the score as monotone, which it is not: it costs four times the zCDP booked for it "
    "(a tenth of the mechanism's budget)"
)
_MUTUAL = (
    "its selection bounds the sensitivity of mutual information, but scores it divided by the root of two "
    "entropies: one more row changed such a score by 1.0 in a table of 500, where it allows for 0.026"
)
_TOTAL = "the exact number of rows is used as the known total of the model"

METHODS = {
    m.name: m
    for m in (
        *(
            Method(DPSYNTH, m.name, adaptive="workload" in m.takes)
            for m in MECHANISMS.values()
            if m.name != "fixed"
        ),
        Method(PRIVATE_PGM, "aim", adaptive=True, noise=_FLOAT),
        Method(PRIVATE_PGM, "mst", noise=_FLOAT),
        Method(GOOGLE, "aim", adaptive=True, noise=_FLOAT, caveats=(_SELECTION,)),
        Method(GOOGLE, "aim-gdp", adaptive=True, noise=_FLOAT),
        Method(GOOGLE, "swift", adaptive=True, noise=_FLOAT),
        Method(GOOGLE, "mst", noise=_FLOAT),
        Method(DPMM, "aim", adaptive=True, noise=_MIXED, caveats=(_KEPT_ROWS,)),
        Method(DPMM, "mst", noise=_MIXED, caveats=(_KEPT_ROWS,)),
        Method(DPMM, "privbayes", noise=_MIXED, caveats=(_KEPT_ROWS, _MUTUAL)),
        Method(SMARTNOISE, "aim", adaptive=True, noise=_MIXED, caveats=(_KEPT_ROWS,)),
        Method(SMARTNOISE, "mst", noise=_MIXED, caveats=(_KEPT_ROWS, _TOTAL)),
        Method(OPENDP, "aim", adaptive=True),
        Method(OPENDP, "mst"),
    )
}
_ANY = Schema.from_domain({"any": 2})
DEFAULT = f"dpsynth:{Synthesizer(_ANY, epsilon=1.0, delta=1e-9).mechanism.name}"


def chosen(names: Sequence[str]) -> list[Method]:
    """Return the methods that are named ``program:mechanism``, or by a program alone; all of them for none.

    Raises:
        SystemExit: a name is of no method.
    """
    picked: dict[str, Method] = {}
    for name in names:
        found = {k: m for k, m in METHODS.items() if name in (k, m.peer.name)}
        if not found:
            raise SystemExit(
                f"no method is called {name!r}; there are {', '.join(METHODS)}, and programs alone"
            )
        picked |= found
    return list((picked or METHODS).values())
