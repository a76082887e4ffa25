"""What an audit is about, in a form that two audits, or an audit and a release, can be compared by."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from dpsynth import __version__
from dpsynth.privacy.guarantee import Guarantee
from dpsynth.release.documents import shown
from dpsynth.release.statement import Statement
from dpsynth.schema import OpenSchema, Schema

__all__ = ["differences", "digest_of", "identity_of", "identity_of_release"]


def digest_of(schema: Schema | OpenSchema) -> str:
    """Return the SHA-256 of a schema as a release holds it: of ``schema.yaml``, in hexadecimal."""
    return hashlib.sha256(schema.to_yaml().encode("utf-8")).hexdigest()


def identity_of(
    *,
    mechanism: str,
    guarantee: Guarantee,
    noise: str,
    schema: Schema | OpenSchema | None,
    version: str = __version__,
) -> dict[str, Any]:
    """Return the subject of an audit as plain JSON values.

    Args:
        mechanism: Its name.
        guarantee: What is claimed.
        noise: The source of noise.
        schema: Whose tables were run on; None for the audit's own.
        version: Of the dpsynth whose code was run.
    """
    return {
        "mechanism": mechanism,
        "guarantee": {
            "epsilon": float(guarantee.epsilon),
            "delta": float(guarantee.delta),
            "unit": guarantee.unit,
            "rows_per_unit": guarantee.rows_per_unit,
            "adjacency": guarantee.adjacency,
        },
        "noise": noise,
        "schema": None if schema is None else digest_of(schema),
        "version": version,
    }


def identity_of_release(statement: Statement, schema: Schema) -> dict[str, Any]:
    """Return what an audit of a release is about: what it states of itself, and the dpsynth that made it."""
    return identity_of(
        mechanism=statement.mechanism,
        guarantee=statement.guarantee,
        noise=statement.backend,
        schema=schema,
        version=statement.version,
    )


def differences(subject: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Say in what the subject of an audit, which may come from anyone, is another than was expected.

    Args:
        subject: Of an audit.
        expected: As :func:`identity_of` gives it.

    Returns:
        One text a difference, such as ``"mechanism is "aim", not "mst""``; empty where there is none.
    """
    found = []
    for key, value in expected.items():
        said = subject.get(key)
        if isinstance(value, Mapping):
            inside = said if isinstance(said, Mapping) else {}
            found += differences(inside, value)
        elif type(said) is bool or said != value:
            found.append(f"{key} is {_short(said)}, not {_short(value)}")
    return found


def _short(value: object) -> str:
    if value is None:
        return "absent"
    return shown(value, 20) if isinstance(value, str) else shown(str(value), 20).strip('"')
