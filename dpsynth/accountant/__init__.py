"""The budget book: what all releases about a data set may spend together, and what they have spent.

A book is one SQLite file. It says for each data set what may be spent in all, and keeps every reservation,
every act of a release and every settlement in an append-only chain of hashes. A fit reserves its whole budget
before it reads a row, and gives back afterwards only what was not drawn.
"""

from __future__ import annotations

from dpsynth.accountant.accountant import Accountant
from dpsynth.accountant.hold import Hold
from dpsynth.accountant.reference import BookReference, Earlier

__all__ = ["Accountant", "BookReference", "Earlier", "Hold"]
