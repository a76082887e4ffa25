"""The form of ``signature.json``, the one file of a release that its manifest does not list."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from dpsynth.errors import ReleaseError
from dpsynth.release.documents import check_fields, parse

__all__ = ["ALGORITHM", "NAME", "Signature", "signature_of"]

ALGORITHM = "Ed25519"
NAME = "signature.json"
_HEX = re.compile(r"[0-9a-f]{128}", re.ASCII)
_PRINT = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What ``signature.json`` says, checked for its form alone.

    Attributes:
        key: Fingerprint of the public key, ``sha256:`` and 64 hexadecimal digits.
        value: The signature, 64 bytes.
    """

    key: str
    value: bytes

    def to_dict(self) -> dict[str, str]:
        """Return the signature as plain JSON values."""
        return {"algorithm": ALGORITHM, "key": self.key, "signature": self.value.hex()}


def signature_of(members: Mapping[str, bytes]) -> Signature | None:
    """Return the signature among a release's files, or None; whether it is genuine is not asked.

    Raises:
        ReleaseError: ``signature.json`` is not one, or of another algorithm.
    """
    if NAME not in members:
        return None
    fields = check_fields(parse(members[NAME], NAME), {"algorithm": str, "key": str, "signature": str}, NAME)
    if fields["algorithm"] != ALGORITHM:
        raise ReleaseError(f"{NAME} is not by {ALGORITHM}, the only algorithm of this format")
    if not _PRINT.fullmatch(fields["key"]) or not _HEX.fullmatch(fields["signature"]):
        raise ReleaseError(f"{NAME}: the key's fingerprint or the signature is not of its form")
    return Signature(key=fields["key"], value=bytes.fromhex(fields["signature"]))
