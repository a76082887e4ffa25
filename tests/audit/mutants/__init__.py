"""Planted bugs: mutants of the real code, one realistic defect each, and changes that break nothing.

``python -m dpsynth.audit.mutants`` runs every layer of the audit on each and prints who saw what. Precedents
are of the literature and of other projects' issues.
"""

from __future__ import annotations

from tests.audit.mutants import booking, harmless, noise, output, rows

__all__ = ["MUTANTS"]

MUTANTS = (*noise.MUTANTS, *booking.MUTANTS, *rows.MUTANTS, *output.MUTANTS, *harmless.MUTANTS)
