"""Who stands for a release: Ed25519 signatures of its manifest.

What is signed is ``manifest.json``, byte for byte. It holds the hash and the length of every other file, so a
signature covers them all. The signature stands in ``signature.json``, the one file that the manifest does not
list. It is plain Ed25519 (RFC 8032), so that OpenSSL can check it without dpsynth.

Needs ``cryptography``, which only this module imports. Keys are never shown or logged.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dpsynth.errors import InputError, MissingFileError, ReleaseError
from dpsynth.release import container
from dpsynth.release.bundle import Bundle, open_bundle
from dpsynth.release.documents import dump
from dpsynth.release.signature import ALGORITHM, NAME, Signature, signature_of

__all__ = ["create_keys", "fingerprint", "sign", "signed_by"]

_MAX_KEY_BYTES = 65_536
_NEEDED = "signatures need the package cryptography: pip install 'dpsynth[sign]'"


def create_keys(
    private: str | os.PathLike[str], public: str | os.PathLike[str], *, passphrase: bytes | None = None
) -> str:
    """Make a pair of keys and write them as PEM files; existing files are left alone.

    Args:
        private: Where to write the private key (PKCS8), readable by its owner only.
        public: Where to write the public key.
        passphrase: Encrypts the private key; without one it is written in the clear.

    Returns:
        The fingerprint of the public key.

    Raises:
        InputError: a file is there already or cannot be written, or ``cryptography`` is not installed.
    """
    ed25519, serialization = _cryptography()
    key = ed25519.Ed25519PrivateKey.generate()
    sealed = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    encoding, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(encoding, kind, sealed)
    opened = key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    if Path(public).exists():
        raise InputError(f"{os.fspath(public)}: is there already; keys are never replaced")
    _write_new(private, secret, 0o600)
    _write_new(public, opened, 0o644)
    return fingerprint(opened)


def fingerprint(public: bytes) -> str:
    """Return the fingerprint of a public key in PEM: SHA-256 of its 32 bytes.

    Raises:
        InputError: it is no Ed25519 public key, or ``cryptography`` is not installed.
    """
    return _print_of(_public(public, "the public key"))


def sign(
    release: str | os.PathLike[str],
    key: str | os.PathLike[str],
    *,
    passphrase: Callable[[], bytes] | None = None,
) -> Signature:
    """Sign a saved release; a signature that is there is replaced, all else stays as it is.

    It signs what is there: verify the release first, and read its statement.

    Args:
        release: The release, a file or a directory.
        key: The private key, a PEM file (PKCS8).
        passphrase: Asked for the passphrase of an encrypted key.

    Returns:
        The signature, as it was written.

    Raises:
        MissingFileError: there is no such release or key.
        ReleaseError: it is no release, a file is not what the manifest says, or it cannot be written.
        InputError: the key is no Ed25519 private key, its passphrase is missing or wrong, or ``cryptography``
            is not installed.
    """
    private = _private(_read_key(key), os.fspath(key), passphrase)
    bundle = open_bundle(release)
    if altered := bundle.altered:
        raise ReleaseError(f"{os.fspath(release)}: {altered[0]} was altered or damaged; it is not signed")
    value = private.sign(bundle.members["manifest.json"])
    signature = Signature(key=_print_of(private.public_key()), value=value)
    members = {**bundle.members, NAME: dump(signature.to_dict())}
    container.write(members, container.to_path(release), open_bundle)
    return signature


def signed_by(bundle: Bundle, key: str | os.PathLike[str]) -> tuple[bool, str]:
    """Say whether a release bears a signature by a public key, and how that was found.

    Args:
        bundle: The files of a release.
        key: The public key, a PEM file.

    Returns:
        Whether it does, and a line that says what was compared.

    Raises:
        MissingFileError: there is no such key.
        InputError: the key is no Ed25519 public key, or ``cryptography`` is not installed.
    """
    public = _public(_read_key(key), os.fspath(key))
    mark = _print_of(public)
    try:
        signature = signature_of(bundle.members)
    except ReleaseError as error:
        return False, str(error)
    if signature is None:
        return False, f"it is not signed; a signature by {mark} was asked for"
    if signature.key != mark:
        return False, f"it is signed by {signature.key}, not by {mark}"
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  -- optional, as all of it

    try:
        public.verify(signature.value, bundle.members["manifest.json"])
    except InvalidSignature:
        return False, f"the signature is not by {mark}, or manifest.json was changed after it was signed"
    return True, f"manifest.json is signed by {mark}"


def _cryptography() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  -- optional
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415  -- as above
    except ImportError:
        raise InputError(_NEEDED) from None
    return ed25519, serialization


def _read_key(path: str | os.PathLike[str]) -> bytes:
    name = os.fspath(path)
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_KEY_BYTES + 1)
    except FileNotFoundError:
        raise MissingFileError(f"{name}: there is no such key file; check the path") from None
    except OSError as error:
        raise InputError(
            f"{name}: the key cannot be read: {error.strerror or 'input/output error'}"
        ) from None
    if len(content) > _MAX_KEY_BYTES:
        raise InputError(f"{name}: this is no key; a PEM file of one has at most {_MAX_KEY_BYTES} bytes")
    return content


def _private(content: bytes, name: str, passphrase: Callable[[], bytes] | None) -> Any:
    """Read a private key; what is wrong is said without a byte of it."""
    ed25519, serialization = _cryptography()
    encrypted = b"ENCRYPTED" in content
    if encrypted and passphrase is None:
        raise InputError(f"{name}: the key is encrypted; give its passphrase")
    secret = passphrase() if encrypted and passphrase is not None else None
    try:
        key = serialization.load_pem_private_key(content, secret)
    except Exception:  # noqa: BLE001  -- of many kinds, and their messages may quote the key
        why = "the passphrase is wrong, or it is damaged" if encrypted else "it is no private key in PEM"
        raise InputError(f"{name}: {why}") from None
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise InputError(f"{name}: this is a key of another algorithm; {ALGORITHM} is needed")
    return key


def _public(content: bytes, name: str) -> Any:
    ed25519, serialization = _cryptography()
    if b"PRIVATE KEY" in content:
        raise InputError(f"{name}: this is a private key; give the public one, and keep this one to yourself")
    try:
        key = serialization.load_pem_public_key(content)
    except Exception:  # noqa: BLE001  -- of many kinds, from many versions
        raise InputError(f"{name}: it is no public key in PEM") from None
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise InputError(f"{name}: this is a key of another algorithm; {ALGORITHM} is needed")
    return key


def _print_of(public: Any) -> str:
    return f"sha256:{hashlib.sha256(public.public_bytes_raw()).hexdigest()}"


def _write_new(path: str | os.PathLike[str], content: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except FileExistsError:
        raise InputError(f"{os.fspath(path)}: is there already; keys are never replaced") from None
    except OSError as error:
        raise InputError(f"{os.fspath(path)}: cannot be written: {error.strerror or 'error'}") from None
