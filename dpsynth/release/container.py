"""The files of a release, as bytes: in one zip file or in a directory.

Reading trusts nothing. Names come from a fixed list, so none can point elsewhere; nothing is unpacked to
disk; every size is bounded before the bytes are read, whatever a header claims. A zip file must be one that
:func:`write` could have written: no zip64, no comment, nothing before or after, no encryption, no overlap.

Limits: 2 GiB and 65,000 files in all; a zip file may unpack to 32 MiB plus 100 times its own size.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, BinaryIO

from dpsynth.errors import MissingFileError, ReleaseError
from dpsynth.release.documents import MAX_JSON_BYTES, shown

__all__ = [
    "DOCUMENTS",
    "MAX_BYTES",
    "MAX_FILES",
    "OPTIONAL",
    "is_archive",
    "is_member",
    "read",
    "to_path",
    "write",
]

DOCUMENTS = (
    "STATEMENT.md",
    "certificate.json",
    "layout.json",
    "manifest.json",
    "measurements.json",
    "model.json",
    "schema.yaml",
    "statement.json",
)
OPTIONAL = ("signature.json",)
FOLDERS = ("measurements", "model")
MAX_BYTES = 2 * 2**30
MAX_FILES = 65_000
_ARRAY = re.compile(rf"({'|'.join(FOLDERS)})/[a-z0-9_]{{1,64}}\.npy", re.ASCII)
_SUFFIXES = (".dpsynth", ".zip")
_FREE, _RATIO = 32 * 2**20, 100
_CHUNK = 2**20
_END = struct.Struct("<4s4H2LH")
_MAX_DIRECTORY = 16 * 2**20
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    NotImplementedError,
    RuntimeError,
    EOFError,
    ValueError,
    OverflowError,
)
_EPOCH = (1980, 1, 1, 0, 0, 0)
_LEVEL = 6
_NEXT = "ask for a fresh copy"
_NO_MANIFEST = f"manifest.json is missing, so this is no dpsynth release, or not all of it; {_NEXT}"


def is_member(name: str) -> bool:
    """Whether a release may hold a file of this name."""
    return name in DOCUMENTS or name in OPTIONAL or _ARRAY.fullmatch(name) is not None


def is_archive(path: Path) -> bool:
    """Whether a release saved under this name is one zip file."""
    return path.suffix.lower() in _SUFFIXES


def to_path(path: str | os.PathLike[str]) -> Path:
    """Return a path that may be a release's.

    Raises:
        ReleaseError: it is not a path.
    """
    try:
        text = os.fspath(path)
    except TypeError:
        raise ReleaseError(f"the path of a release is a text, not {type(path).__name__}") from None
    if not isinstance(text, str) or not text or "\0" in text:
        raise ReleaseError("the path of a release is a text that is not empty and has no zero byte")
    return Path(text)


def read(path: Path) -> dict[str, bytes]:
    """Read every file of a release, by name.

    Raises:
        MissingFileError: there is nothing at ``path``.
        ReleaseError: it is no release, or it holds what a release does not hold, or too much.
    """
    try:
        kind = path.stat().st_mode
        if stat.S_ISDIR(kind):
            return _read_directory(path)
        if stat.S_ISREG(kind):
            return _read_archive(path)
    except FileNotFoundError:
        raise MissingFileError(f"{path}: there is no such release; check the path") from None
    except OSError as error:
        raise ReleaseError(f"the release cannot be read: {error.strerror or 'input/output error'}") from None
    raise ReleaseError("this is neither a file nor a directory; name the release itself")


def _read_archive(path: Path) -> dict[str, bytes]:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_BYTES:
            raise ReleaseError(f"the file has {size} bytes; a release has at most {MAX_BYTES}")
        _check_end(file, size)
        try:
            with zipfile.ZipFile(file) as archive:
                return _unpack(archive, size)
        except ReleaseError:  # a ValueError, as are some errors of zipfile
            raise
        except _ZIP_ERRORS:
            raise ReleaseError(f"the zip file is damaged; {_NEXT}") from None


def _check_end(file: BinaryIO, size: int) -> None:
    """Refuse, before its directory is read, a zip file that :func:`write` cannot have written."""
    if size < _END.size:
        raise ReleaseError("the file is too short to be a release; it is not a zip file, or was cut off")
    file.seek(size - _END.size)
    magic, disk, first, here, files, length, start, comment = _END.unpack(file.read(_END.size))
    if magic != b"PK\x05\x06":
        raise ReleaseError(f"the file is not a zip file, or was cut off; {_NEXT}")
    if (disk, first, comment) != (0, 0, 0) or here != files or start + length + _END.size != size:
        raise ReleaseError(f"the zip file was changed after it was saved, or damaged; {_NEXT}")
    if files > MAX_FILES or length > _MAX_DIRECTORY:
        raise ReleaseError(f"the zip file lists {files} files; a release has at most {MAX_FILES}")


def _unpack(archive: zipfile.ZipFile, size: int) -> dict[str, bytes]:
    allowed = min(MAX_BYTES, _FREE + _RATIO * size)
    listed = archive.infolist()
    if all(info.filename != "manifest.json" for info in listed):
        raise ReleaseError(_NO_MANIFEST)
    for info in listed:
        _check_listed(info)
    _check_names([info.filename for info in listed])
    if sum(info.file_size for info in listed) > allowed:
        raise ReleaseError(
            f"the zip file unpacks to more than {allowed} bytes, the limit for a release of {size} bytes"
        )
    if sum(info.compress_size for info in listed) > size:
        raise ReleaseError("the zip file's members overlap; dpsynth does not write such files")
    members: dict[str, bytes] = {}
    for info in listed:
        with archive.open(info) as member:
            members[info.filename] = _read_capped(member, info.file_size, info.filename)
    return members


def _check_listed(info: zipfile.ZipInfo) -> None:
    name = info.orig_filename
    if not is_member(name) or info.filename != name:
        raise ReleaseError(_foreign(name))
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise ReleaseError(f"{name} is not a plain file in the zip file (a link, perhaps); {_NEXT}")
    if info.flag_bits or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ReleaseError(f"{name} is encrypted or packed in a way that dpsynth does not use; {_NEXT}")


def _check_names(names: list[str]) -> None:
    if len(set(names)) != len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise ReleaseError(f"{twice} is there twice; {_NEXT}")


def _read_capped(file: IO[bytes], size: int, name: str) -> bytes:
    """Read a file of a stated size, never more than one chunk beyond it."""
    chunks: list[bytes] = []
    found = 0
    while chunk := file.read(min(_CHUNK, size + 1 - found)):
        chunks.append(chunk)
        found += len(chunk)
        if found > size:
            break
    if found != size:
        raise ReleaseError(f"{name} is not as long as stated ({size} bytes); {_NEXT}")
    return b"".join(chunks)


def _foreign(name: str) -> str:
    return f"it holds {shown(name)}, no part of a release; remove it if you put it there, or {_NEXT}"


def _read_directory(path: Path) -> dict[str, bytes]:
    if not (path / "manifest.json").is_file():
        raise ReleaseError(_NO_MANIFEST)
    names = list(_list_directory(path))
    members: dict[str, bytes] = {}
    left = MAX_BYTES
    for name in sorted(names):
        try:
            descriptor = os.open(path / name, os.O_RDONLY | _NO_FOLLOW)
        except OSError as error:
            reason = "is a link" if error.errno == errno.ELOOP else f"cannot be read: {error.strerror}"
            raise ReleaseError(f"{name} {reason}; {_NEXT}") from None
        with os.fdopen(descriptor, "rb") as file:
            size = os.fstat(descriptor).st_size
            if size > left:
                raise ReleaseError(f"the directory holds more than {MAX_BYTES} bytes, a release's limit")
            members[name] = _read_capped(file, size, name)
            left -= size
    return members


def _list_directory(path: Path) -> Iterator[str]:
    """Give the names of a directory's files, as a manifest has them; refuse what is not a release's."""
    found = 0
    folders = [""]
    for folder in folders:
        with os.scandir(path / folder) as entries:
            for entry in entries:
                found += 1
                name = f"{folder}/{entry.name}" if folder else entry.name
                if found > MAX_FILES:
                    raise ReleaseError(f"the directory holds more than {MAX_FILES} files, a release's limit")
                if entry.is_symlink():
                    raise ReleaseError(f"{shown(name)} is a link; a release holds plain files only")
                if name in FOLDERS and entry.is_dir(follow_symlinks=False):
                    folders.append(name)
                elif is_member(name) and entry.is_file(follow_symlinks=False):
                    yield name
                else:
                    raise ReleaseError(_foreign(name))


def write(members: Mapping[str, bytes], path: Path, check: Callable[[Path], object]) -> None:
    """Write a release's files, all or nothing: under another name first, then renamed.

    The same members give the same bytes (with the same zlib): names are sorted and times fixed.

    Args:
        members: Content by name.
        path: Where to. A release that is there is replaced.
        check: Raises a :class:`ReleaseError` if what is at a path is not a release.

    Raises:
        ReleaseError: something else is there, the release is too large, or the file system refuses.
    """
    _check_total(members, path)
    target = Path(os.path.realpath(path))
    if not target.name:
        raise ReleaseError(f"{path}: a release cannot be the root folder; name a file or folder in it")
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}.tmp")
    try:
        replaced = _may_replace(target, check)
        if is_archive(target):
            _write_archive(members, temporary)
            temporary.replace(target)
        else:
            _write_directory(members, temporary)
            _put_directory(temporary, target, replaced=replaced)
    except OSError as error:
        reason = error.strerror or "input/output error"
        if isinstance(error, FileNotFoundError):
            reason = f"the folder {target.parent} does not exist; create it first"
        raise ReleaseError(f"{path}: the release cannot be written: {reason}") from None
    finally:
        _remove(temporary)


def _check_total(members: Mapping[str, bytes], path: Path) -> None:
    """Refuse to write what could not be read back."""
    total = sum(map(len, members.values()))
    if total > MAX_BYTES or len(members) > MAX_FILES:
        raise ReleaseError(
            f"{path}: the release has {len(members)} files and {total} bytes; {MAX_FILES} and {MAX_BYTES} "
            "are the limits. Declare fewer or coarser columns"
        )
    for name, content in members.items():
        if name.endswith(".json") and len(content) > MAX_JSON_BYTES:
            raise ReleaseError(
                f"{path}: {name} has {len(content)} bytes; {MAX_JSON_BYTES} is the limit. "
                "Declare fewer columns"
            )


def _remove(path: Path) -> None:
    """Remove what is left of an unfinished write."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _may_replace(path: Path, check: Callable[[Path], object]) -> bool:
    """Whether a release stands at ``path``; refuse to replace anything else."""
    if not path.exists():
        return False
    here, name = ("directory" if path.is_dir() else "file"), ("file" if is_archive(path) else "directory")
    if here != name:
        raise ReleaseError(
            f"{path}: a release of this name is a {name}, but a {here} is there; choose another name"
        )
    if path.is_dir() and not any(path.iterdir()):
        path.rmdir()
        return False
    try:
        check(path)
    except (ReleaseError, MissingFileError) as error:
        raise ReleaseError(
            f"what is there is no dpsynth release and is left alone; remove it, or choose another name. "
            f"{error}"
        ) from None
    return True


def _write_archive(members: Mapping[str, bytes], path: Path) -> None:
    with path.open("xb") as file:
        with zipfile.ZipFile(file, "w", allowZip64=False) as archive:
            for name in sorted(members):
                content = members[name]
                info = zipfile.ZipInfo(name, _EPOCH)
                info.create_system, info.external_attr = 3, (stat.S_IFREG | 0o644) << 16
                # What packs to less than twice what the reader's ratio asks for is stored as it is.
                packed = len(zlib.compress(content, _LEVEL))
                deflate = len(content) > packed > 2 * len(content) // _RATIO
                info.compress_type = zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED
                archive.writestr(info, content, compresslevel=_LEVEL)
        file.flush()
        os.fsync(file.fileno())


def _write_directory(members: Mapping[str, bytes], path: Path) -> None:
    path.mkdir()
    for folder in FOLDERS:
        (path / folder).mkdir()
    for name, content in members.items():
        (path / name).write_bytes(content)


def _put_directory(temporary: Path, path: Path, *, replaced: bool) -> None:
    if not replaced:
        temporary.rename(path)
        return
    former = temporary.with_suffix(".old")
    path.rename(former)
    try:
        temporary.rename(path)
    except OSError:
        former.rename(path)
        raise
    shutil.rmtree(former, ignore_errors=True)
