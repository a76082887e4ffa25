"""Signatures: by whom, over what, and every way in which one is missing, wrong or stale."""

from __future__ import annotations

import builtins
import json
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from dpsynth.errors import InputError, MissingFileError, ReleaseError
from dpsynth.release.bundle import load, open_bundle
from dpsynth.release.signature import NAME, Signature, signature_of
from dpsynth.release.signing import create_keys, fingerprint, sign
from dpsynth.release.verify import verify
from tests.release.building import edited, hashed, members_of, rehashed, tiny, unpacked, zipped


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    create_keys(folder / "private.pem", folder / "public.pem")
    create_keys(folder / "other.pem", folder / "other.pub.pem")
    create_keys(folder / "sealed.pem", folder / "sealed.pub.pem", passphrase=b"open sesame")
    curve = ec.generate_private_key(ec.SECP256R1())
    (folder / "curve.pem").write_bytes(curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "curve.pub.pem").write_bytes(
        curve.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    (folder / "long.pem").write_bytes(b"x" * 70_000)
    (folder / "none.pem").write_bytes(b"SECRET-CANARY")
    return folder


@pytest.fixture(scope="module")
def signed(saved, keys, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("signed") / "x.dpsynth"
    shutil.copy(saved, path)
    sign(path, keys / "private.pem")
    return path


def found(path, key) -> tuple[set[str], str]:
    """The checks that fail, and what is said of the signature."""
    report = verify(path, key=key)
    detail = next(check.detail for check in report.checks if check.name == "signature")
    return {check.name for check in report.failed}, detail


def test_a_signature_is_by_its_key_and_changes_nothing_else(saved, signed, keys):
    assert found(signed, keys / "public.pem")[0] == set()
    before, after = members_of(saved), members_of(signed)
    signature = after.pop(NAME)
    assert after == before
    content = json.loads(signature)
    assert content["key"] == fingerprint((keys / "public.pem").read_bytes())
    assert content["algorithm"] == "Ed25519"
    assert load(signed).statement == load(saved).statement
    failed, detail = found(signed, None)
    assert failed == set()
    assert "was not checked" in detail
    assert "it bears none" in found(saved, None)[1]


def test_folders_are_signed_too_and_signing_again_replaces(tmp_path, keys):
    tiny().save(tmp_path / "x")
    first = sign(tmp_path / "x", keys / "private.pem")
    assert sign(tmp_path / "x", keys / "private.pem") == first  # Ed25519 has no chance in it
    second = sign(tmp_path / "x", keys / "sealed.pem", passphrase=lambda: b"open sesame")
    assert second.key != first.key
    assert found(tmp_path / "x", keys / "sealed.pub.pem")[0] == set()
    load(tmp_path / "x").save(tmp_path / "x")
    assert not (tmp_path / "x" / NAME).exists()  # what is saved anew is not what was signed


def test_openssl_agrees(signed, keys, tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    members = members_of(signed)
    (tmp_path / "manifest.json").write_bytes(members["manifest.json"])
    (tmp_path / "signature.bin").write_bytes(bytes.fromhex(json.loads(members[NAME])["signature"]))
    arguments = ["-verify", "-pubin", "-rawin", "-in", "manifest.json", "-sigfile", "signature.bin"]
    for key, good in (("public.pem", True), ("other.pub.pem", False)):
        done = subprocess.run(
            ["openssl", "pkeyutl", *arguments, "-inkey", str(keys / key)],
            cwd=tmp_path,
            capture_output=True,
            check=False,
        )
        assert (done.returncode == 0) == good, done.stderr


def test_a_missing_signature_fails(saved, keys):
    failed, detail = found(saved, keys / "public.pem")
    assert failed == {"signature"}
    assert "it is not signed" in detail


def test_another_ones_signature_fails(signed, keys):
    failed, detail = found(signed, keys / "other.pub.pem")
    assert failed == {"signature"}
    assert "not by sha256:" in detail


def test_another_ones_signature_under_this_name_fails(saved, keys, tmp_path):
    shutil.copy(saved, tmp_path / "x.dpsynth")
    forged = sign(tmp_path / "x.dpsynth", keys / "other.pem")
    mark = fingerprint((keys / "public.pem").read_bytes())
    content = json.dumps(Signature(key=mark, value=forged.value).to_dict()).encode()
    path = zipped({**members_of(saved), NAME: content}, tmp_path / "y.dpsynth")
    failed, detail = found(path, keys / "public.pem")
    assert failed == {"signature"}
    assert "the signature is not by" in detail


def test_a_stale_signature_fails_though_all_else_was_made_to_fit(signed, keys, tmp_path):
    members = members_of(signed)
    signature = members.pop(NAME)
    changed = rehashed(edited(members, "layout.json", lambda c: c.update(frame="polars", dtypes=[])))
    path = zipped({**changed, NAME: signature}, tmp_path / "x.dpsynth")
    assert found(path, None)[0] == set()
    failed, detail = found(path, keys / "public.pem")
    assert failed == {"signature"}
    assert "changed after it was signed" in detail


@pytest.mark.parametrize("name", ["model/node_0.npy", "schema.yaml", "statement.json", "certificate.json"])
def test_every_file_is_covered(signed, keys, tmp_path, name):
    members = members_of(signed)
    altered = {**members, name: members[name] + b"\n"}
    assert "files" in found(zipped(altered, tmp_path / "x.dpsynth"), keys / "public.pem")[0]
    signature = altered.pop(NAME)
    path = zipped({**hashed(altered), NAME: signature}, tmp_path / "y.dpsynth")
    assert "signature" in found(path, keys / "public.pem")[0]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"\xff",
        b'{"algorithm": "Ed25519", "key": "sha256:00", "signature": "00"}',
        json.dumps({"algorithm": "RSA", "key": "sha256:" + "0" * 64, "signature": "0" * 128}).encode(),
        json.dumps({"algorithm": "Ed25519", "key": "sha256:" + "0" * 64, "signature": "g" * 128}).encode(),
        json.dumps({"algorithm": "Ed25519", "key": "x" * 71, "signature": "0" * 128}).encode(),
    ],
)
def test_what_is_no_signature_is_refused_by_load_and_fails_verify(saved, keys, tmp_path, content):
    path = zipped({**members_of(saved), NAME: content}, tmp_path / "x.dpsynth")
    with pytest.raises(ReleaseError, match="signature"):
        load(path)
    assert found(path, None)[0] == {"signature"}
    assert found(path, keys / "public.pem")[0] == {"signature"}


def test_a_manifest_that_lists_the_signature_is_refused(signed, tmp_path):
    members = members_of(signed)
    for path in (zipped(hashed(members), tmp_path / "x.dpsynth"), unpacked(hashed(members), tmp_path / "x")):
        with pytest.raises(ReleaseError, match=r"manifest\.json lists signature\.json"):
            open_bundle(path)


def test_what_was_altered_is_not_signed(saved, keys, tmp_path):
    members = members_of(saved)
    path = zipped({**members, "model.json": members["model.json"] + b" "}, tmp_path / "x.dpsynth")
    with pytest.raises(ReleaseError, match="it is not signed"):
        sign(path, keys / "private.pem")
    with pytest.raises(MissingFileError, match="no such release"):
        sign(tmp_path / "nowhere", keys / "private.pem")


@pytest.mark.parametrize(
    ("key", "passphrase", "error", "message"),
    [
        ("nowhere.pem", None, MissingFileError, "no such key file"),
        (".", None, InputError, "the key cannot be read"),
        ("long.pem", None, InputError, "at most 65536 bytes"),
        ("none.pem", None, InputError, "no private key in PEM"),
        ("public.pem", None, InputError, "no private key in PEM"),
        ("curve.pem", None, InputError, "another algorithm"),
        ("sealed.pem", None, InputError, "give its passphrase"),
        ("sealed.pem", b"wrong", InputError, "the passphrase is wrong"),
    ],
)
def test_a_key_that_cannot_sign_is_refused_and_never_shown(signed, keys, *, key, passphrase, error, message):
    ask = None if passphrase is None else lambda: passphrase
    with pytest.raises(error, match=message) as caught:
        sign(signed, keys / key, passphrase=ask)
    assert "CANARY" not in str(caught.value)
    assert "BEGIN" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("none.pem", "no public key in PEM"),
        ("private.pem", "this is a private key"),
        ("curve.pub.pem", "another algorithm"),
    ],
)
def test_a_key_that_cannot_check_is_refused(signed, keys, key, message):
    with pytest.raises(InputError, match=message):
        verify(signed, key=keys / key)


def test_keys_are_new_private_and_readable_elsewhere(tmp_path):
    mark = create_keys(tmp_path / "a.pem", tmp_path / "a.pub.pem")
    assert stat.S_IMODE((tmp_path / "a.pem").stat().st_mode) == 0o600
    assert mark == fingerprint((tmp_path / "a.pub.pem").read_bytes())
    assert create_keys(tmp_path / "b.pem", tmp_path / "b.pub.pem") != mark
    with pytest.raises(InputError, match="never replaced"):
        create_keys(tmp_path / "a.pem", tmp_path / "c.pub.pem")
    with pytest.raises(InputError, match="never replaced"):
        create_keys(tmp_path / "c.pem", tmp_path / "a.pub.pem")
    assert not (tmp_path / "c.pem").exists()
    with pytest.raises(InputError, match="cannot be written"):
        create_keys(tmp_path / "no" / "c.pem", tmp_path / "c.pub.pem")
    raw = ed25519.Ed25519PrivateKey.generate()
    pem = raw.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "elsewhere.pem").write_bytes(pem)
    tiny().save(tmp_path / "x.dpsynth")
    sign(tmp_path / "x.dpsynth", tmp_path / "elsewhere.pem")
    assert signature_of(members_of(tmp_path / "x.dpsynth")) is not None


def test_without_cryptography_it_says_what_to_install(signed, keys, monkeypatch):
    real = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name.startswith("cryptography"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"pip install 'dpsynth\[sign\]'"):
        sign(signed, keys / "private.pem")
    with pytest.raises(InputError, match=r"pip install 'dpsynth\[sign\]'"):
        verify(signed, key=keys / "public.pem")
    assert verify(signed).passed  # without a key, it is not needed
