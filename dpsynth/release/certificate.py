"""The certificate: the whole of what a release says of itself, in one document for machines.

It says nothing of its own. It is computed from ``statement.json`` and from the bytes of the other files,
saved beside them, and computed anew by ``verify``: a difference is a failure. Its form:
docs/certificate.schema.json
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from dpsynth.release.bounds import Bounds
from dpsynth.release.guidance import DOCUMENT, guidance_of
from dpsynth.release.statement import Statement
from dpsynth.release.wording import ASSUMPTIONS, PROCESSING, promise_of

__all__ = ["LIMITS", "WORDED", "certificate_of", "fingerprints"]

_FORMAT, _VERSION = "dpsynth-certificate", 1
_FOLDERS = ("measurements", "model")
_OUTSIDE = ("certificate.json", "manifest.json", "signature.json")  # they hold the hashes, or come after
WORDED = ("meanings", "limits", "guidance")  # parts that another version of dpsynth may word otherwise

LIMITS = {
    "side-channels": "Timing, memory, swap and crashes of the fit depend on the rows and are not covered.",
    "floating-point": (
        "Noise and counts are exact integers. Floating point is used after the noise, where it can only cost "
        "accuracy, and in accounting, where results are rounded to the safe side."
    ),
    "noise-drawn": "No document can show that the noise was drawn as stated, once, and not chosen.",
    "ledger-complete": "An act that left no trace in the release cannot be missed by whoever reads it.",
    "schema-public": "That names, categories and bounds in the schema were public is the steward's word.",
    "other-releases": "Other releases about the same people add up with this one.",
    "groups": "Facts that several units share are protected less, the more so the more of them share it.",
    "population": "What is true of people in general is learned, also about those who are not in the table.",
    "accuracy": "Noise and the model's limits make some figures wrong, those of small groups most.",
    "original-table": "The original table, its copies and its collection are outside the promise.",
}


def certificate_of(statement: Statement, members: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the certificate of a release, as plain JSON values.

    Args:
        statement: The statement of the release.
        members: Content of the release's files by name; those that hold hashes are left out.

    Privacy: free; everything in it is public or follows from what is.
    """
    promised, spent = (
        Bounds.of(amount, statement.calculus, statement.delta_aside)
        for amount in (statement.budget, statement.spent)
    )
    guarantee = statement.guarantee
    return {
        "format": _FORMAT,
        "format_version": _VERSION,
        "dpsynth": statement.version,
        "summary": _summary(statement, promised, spent),
        "statement": statement.to_dict(),
        "explanation": {"promised": promised.to_dict(guarantee), "spent": spent.to_dict(guarantee)},
        **fingerprints(members),
        "meanings": {
            "assumptions": {name: ASSUMPTIONS.get(name, "") for name in statement.assumptions},
            "processing": {name: PROCESSING.get(name, "") for name in statement.processing},
        },
        "limits": LIMITS,
        "guidance": {**DOCUMENT, "items": guidance_of(statement)},
    }


def fingerprints(members: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the SHA-256 of every document, and one of each folder of arrays.

    A folder's is that of the lines ``<sha256>  <folder>/<name>`` of its files in the order of their names:
    what ``LC_ALL=C sha256sum model/*.npy | sha256sum`` prints.
    """
    hashes = {
        name: hashlib.sha256(content).hexdigest()
        for name, content in sorted(members.items())
        if name not in _OUTSIDE
    }
    folders = {}
    for folder in _FOLDERS:
        lines = [f"{digest}  {name}\n" for name, digest in hashes.items() if name.startswith(f"{folder}/")]
        digest = hashlib.sha256("".join(lines).encode()).hexdigest()
        folders[folder] = {"files": len(lines), "sha256": digest}
    return {"files": {name: digest for name, digest in hashes.items() if "/" not in name}, "folders": folders}


def _summary(statement: Statement, promised: Bounds, spent: Bounds) -> dict[str, Any]:
    enforced = "enforced-unit" in statement.assumptions
    delta = statement.guarantee.delta
    epsilon = statement.epsilon_spent
    return {
        "promise": promise_of(statement),
        "unit": statement.guarantee.unit,
        "rows_per_unit": statement.guarantee.rows_per_unit,
        "adjacency": statement.guarantee.adjacency,
        "unit_bound": "enforced before counting" if enforced else "asserted by the steward, not enforced",
        "epsilon_promised": float(statement.guarantee.epsilon),
        "epsilon_spent": epsilon if math.isfinite(epsilon) else None,
        "delta": float(delta),
        **{
            f"mu_{name}": bounds.mu if math.isfinite(bounds.mu) else None
            for name, bounds in (("promised", promised), ("spent", spent))
            if bounds.mu is not None
        },
        "advantage_at_most": promised.advantage,
        "acts": len(statement.entries),
        "numbers_released": sum(entry.cells for entry in statement.entries),
        "columns": dict(sorted(Counter(p.treatment for p in statement.provenance).items())),
        "columns_bought_from": sum(bool(p.bought) for p in statement.provenance),
        "noise": statement.backend,
    }
