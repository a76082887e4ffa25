"""Metadata of a synthetic table in Croissant 1.0, MLCommons' JSON-LD for data sets.

It says what the file is, what each column holds, and how the rows were made and under which guarantee.
Croissant and its vocabulary for responsible AI have no property for a guarantee, so it stands in words, in
the property for personal information.

Reference:
    MLCommons, "Croissant Format Specification", version 1.0; "Croissant RAI Specification", version 1.0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dpsynth.release.bounds import Bounds
from dpsynth.release.documents import shown
from dpsynth.release.numerals import percent, plain, rounded_up
from dpsynth.release.statement import Statement
from dpsynth.release.wording import promise_of
from dpsynth.schema import Categorical, Column, Ordinal, Schema

__all__ = ["croissant_of"]

_ENCODINGS = {".csv": "text/csv", ".parquet": "application/x-parquet"}
_TYPES = {
    "boolean": "sc:Boolean",
    "integer": "sc:Integer",
    "real": "sc:Float",
    "date": "sc:Date",
    "datetime": "sc:DateTime",
    "identifier": "sc:Text",
}
_LABELS: dict[type, str] = {int: "sc:Integer", bool: "sc:Boolean"}
_TERMS = (
    *("citeAs", "column", "equivalentProperty", "extract", "field", "fileProperty", "fileObject", "fileSet"),
    *("format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet"),
    *("references", "regex", "repeated", "replace", "samplingRate", "separator", "source", "subField"),
    "transform",
)
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    **{term: f"cr:{term}" for term in _TERMS},
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
}


def croissant_of(
    table: Path,
    schema: Schema,
    statement: Statement,
    *,
    file_name: str,
    rows: int,
    seed: int,
    where: Sequence[str] = (),
    name: str | None = None,
    licence: str | None = None,
    url: str | None = None,
) -> dict[str, Any]:
    """Return the Croissant metadata of a table drawn from a release, as plain JSON-LD values.

    Args:
        table: The table as it was written, ``.csv`` or ``.parquet``; its bytes are hashed.
        schema: The release's schema.
        statement: The release's statement.
        file_name: Under which the table will be found, beside the metadata.
        rows: Number of rows of the table.
        seed: What the rows were drawn with.
        where: Conditions that they were drawn under, as they were written.
        name: Of the data set; by default the file's, without its ending.
        licence: A URL or an SPDX name. Left out unless given: it is for the publisher to choose.
        url: Where the data set is published. Left out unless given.

    Raises:
        OSError: the table cannot be read.

    Privacy: free; post-processing of the release.
    """
    with table.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
    made = _made(statement, rows, seed, where)
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": name or Path(file_name).stem,
        "description": f"A synthetic table of {rows:,} rows. It satisfies {promise_of(statement)}. {made}",
        "isLiveDataset": False,
        "keywords": ["synthetic data", "differential privacy"],
        **({"license": licence} if licence else {}),
        **({"url": url} if url else {}),
        "rai:dataCollection": made,
        "rai:personalSensitiveInformation": _protected(statement),
        "rai:dataLimitations": (
            "Counts are off by noise, more so in small groups, and dependences that were not measured are "
            "those of the model. Its figures estimate; check one before you rely on it."
        ),
        "rai:dataBiases": (
            "Faults and gaps of the original table stay; nothing was done to measure or correct them."
        ),
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "table",
                "name": file_name,
                "contentUrl": file_name,
                "contentSize": f"{size} B",
                "encodingFormat": _ENCODINGS[table.suffix.lower()],
                "sha256": digest,
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "rows",
                "name": "rows",
                "description": "One record a synthetic row.",
                "field": [_field(column, spec) for column, spec in schema.columns.items()],
            }
        ],
    }


def _field(name: str, spec: Column) -> dict[str, Any]:
    missing = ", may be missing" if getattr(spec, "missing", False) else ""
    return {
        "@type": "cr:Field",
        "@id": f"rows/{quote(name, safe='')}",
        "name": name,
        "description": f"A synthetic {spec.kind} column{missing}.",
        "dataType": _type(spec),
        "source": {"fileObject": {"@id": "table"}, "extract": {"column": name}},
    }


def _type(spec: Column) -> str:
    if isinstance(spec, (Categorical, Ordinal)):
        return _LABELS.get(type(spec.labels[0]), "sc:Text")  # all labels are of one type
    return _TYPES[spec.kind]


def _made(statement: Statement, rows: int, seed: int, where: Sequence[str]) -> str:
    given = f", under the conditions {'; '.join(shown(text) for text in where)}," if where else ""
    return (
        f"Its {rows:,} rows were drawn{given} by dpsynth {statement.version} (seed {seed}) from a model "
        f"fitted to {len(statement.entries)} noisy answers about a private table (mechanism "
        f"{statement.mechanism}, noise {statement.backend}). No row of that table is copied, and its "
        "number of rows was estimated."
    )


def _protected(statement: Statement) -> str:
    spent = Bounds.of(statement.spent, statement.calculus, statement.delta_aside)
    delta = statement.guarantee.delta
    return (
        f"The model and everything drawn from it satisfy together {promise_of(statement)}; spent was epsilon "
        f"{rounded_up(statement.epsilon_spent, 4)} at delta {plain(delta)}. The best attacker who wrongly "
        f"accuses 1 % of people detects at most {percent(spent.detections[1])} of those in the table. A "
        "synthetic row may resemble a person by chance. STATEMENT.md in the release says what is assumed and "
        "what is not covered."
    )
