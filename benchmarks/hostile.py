"""Release files from strangers: thousands of them made, each read under limits of memory and time.

A file may be refused, found out by ``verify``, or be a release that is as good as another (a flipped byte in
a zip file's timestamp; a model with other numbers and true hashes: nothing is signed). It may not end in any
error but the documented one, in memory out of proportion, or in a long wait.
"""

from __future__ import annotations

import hashlib
import io
import json
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dpsynth import Schema, Synthesizer, load, verify
from dpsynth.errors import DpsynthError, ReleaseError

__all__ = ["MEMORY", "SECONDS", "bases", "mutants", "outcome", "packed", "run", "tried"]

MEMORY = 1 << 30  # bytes of address space above what the reader needs before the first file
SECONDS = 20  # for one file
_SCHEMA = {
    "privacy_unit": {"column": "who", "max_rows": 2},
    "columns": {
        "town": {"kind": "categorical", "missing": True, "values": ["Ulm", "Bonn", "Kiel"]},
        "age": {"kind": "integer", "missing": False, "lower": 0, "upper": 30},
        "born": {"kind": "date", "missing": True, "lower": "1990-01-01", "upper": "1999-12-31", "bins": 10},
        "member": {"kind": "boolean", "missing": False},
    },
    "constraints": [{"impossible": {"town": ["Ulm"], "member": [True]}}],
}


def bases(folder: Path) -> list[dict[str, bytes]]:
    """Return the files of some true releases, to be changed: trees, networks, both sources of noise."""
    rng = np.random.default_rng(0)
    age = rng.integers(0, 31, 600)
    table = pd.DataFrame(
        {
            "town": rng.choice(["Ulm", "Bonn", "Kiel"], 600),
            "age": age,
            "born": [f"{1990 + a // 4}-05-17" for a in age],
            "member": age > 15,
            "who": np.arange(600) // 2,
        }
    )
    plain = {**_SCHEMA, "constraints": []}
    made = []
    for content, mechanism, noise in (
        (plain, "mst", "exact"),
        (_SCHEMA, "oneshot", "exact"),
        (plain, "independent", "opendp"),
    ):
        synth = Synthesizer(
            Schema.from_dict(content), epsilon=20.0, delta=1e-6, mechanism=mechanism, noise=noise
        )
        path = folder / f"base{len(made)}.dpsynth"
        synth.fit(table).save(path)
        with zipfile.ZipFile(path) as archive:
            made.append({name: archive.read(name) for name in archive.namelist()})
    return made


def packed(members: dict[str, bytes], *, hashed: bool = True) -> bytes:
    """Return a zip file of these files; ``hashed``: with a manifest that fits them."""
    if hashed and "manifest.json" in members:
        manifest = json.loads(members["manifest.json"])
        manifest["files"] = {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            for name, content in members.items()
            if name != "manifest.json"
        }
        members = {**members, "manifest.json": json.dumps(manifest).encode()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def mutants(true: list[dict[str, bytes]], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Give so many hostile files, each with the name of its kind, in a fixed order."""
    rng = np.random.default_rng(seed)
    kinds = (_flipped, _cut, _spliced, _member, _document, _array, _named, _swapped, _bomb)
    for i in range(count):
        kind = kinds[i % len(kinds)]
        yield kind.__name__[1:], kind(true, rng)


def _pick(true: list[dict[str, bytes]], rng: np.random.Generator) -> dict[str, bytes]:
    return dict(true[int(rng.integers(len(true)))])


def _noise(data: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(len(changed) + 1))
        match int(rng.integers(4)):
            case 0 if at < len(changed):
                changed[at] ^= int(rng.integers(1, 256))
            case 1:
                changed[at:at] = rng.bytes(int(rng.integers(1, 9)))
            case 2:
                del changed[at : at + int(rng.integers(1, 64))]
            case _:
                changed[at:at] = changed[at : at + int(rng.integers(1, 64))]
    return bytes(changed)


def _flipped(true: list[dict[str, bytes]], rng: np.random.Generator) -> bytes:
    return _noise(packed(_pick(true, rng)), rng)


def _cut(true: list[dict[str, bytes]], rng: np.random.Generator) -> bytes:
    data = packed(_pick(true, rng))
    return data[: int(rng.integers(len(data)))]


def _spliced(true: list[dict[str, bytes]], rng: np.random.Generator) -> bytes:
    one, two = packed(_pick(true, rng)), packed(_pick(true, rng))
    at = int(rng.integers(len(one)))
    return one[:at] + two[int(rng.integers(len(two))) :]


def _member(true: list[dict[str, bytes]], rng: np.random.Generator) -> bytes:
    """A file of the release changed byte by byte, under a true hash."""
    members = _pick(true, rng)
    name = str(rng.choice(sorted(set(members) - {"manifest.json"})))
    return packed({**members, name: _noise(members[name], rng)})


_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 10**30, 2**63, -(2**70), 0.5, 1e308, "", "x" * 70_000, "\0", [], {}, [[]], [None]),
    *([0] * 5000, {"a": {}}, "RoundedGaussian", "gdp", "../../x", 1e-320),
)


def _document(true: list[dict[str, bytes]], rng: np.random.Generator) -> bytes:
    """A value of a document replaced, removed or doubled."""
    members = _pick(true, rng)
    name = str(rng.choice([n for n in sorted(members) if n.endswith(".json")]))
    content = json.loads(members[name])
    for _ in range(int(rng.integers(1, 4))):
        parent: Any = content
        while True:
            keys = list(parent) if isinstance(parent, dict) else list(range(len(parent)))
            if not keys:
                break
            key = keys[int(rng.integers(len(keys)))]
            child = parent[key]
            if isinstance(child, (dict, list)) and child and rng.random() < 0.7:
                parent = child
                continue
            if rng.random() < 0.2:
                del parent[key]
            elif isinstance(parent, list) and rng.random() < 0.3:
                parent.extend([child] * int(rng.integers(1, 200)))
            else:
                parent[key] = _VALUES[int(rng.integers(len(_VALUES)))]
            break
    return packed({**members, name: json.dumps(content).encode()}, hashed=name != "manifest.json")


def _array(true: list[dict[str, bytes]], rng: np.random.Generator) -> bytes:
    """An array with another header (huge, of objects, negative, nested) or other numbers."""
    members = _pick(true, rng)
    name = str(rng.choice([n for n in sorted(members) if n.endswith(".npy")]))
    body = members[name][128:]
    headers = (
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (3,), }",
        "{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (3,), }",
        "{'descr': '>f8', 'fortran_order': True, 'shape': (2, 2), }",
        "{'descr': '<i8', 'fortran_order': False, 'shape': " + "(" * 900 + ")" * 900 + ", }",
        "__import__('os').abort()",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (), }" + " " * 60_000,
    )
    header = headers[int(rng.integers(len(headers)))].encode()
    if rng.random() < 0.3:
        special = np.array([np.nan, np.inf, -1.0, 1e308, 0.0, 5e-324, 2.0**60])
        at = 8 * int(rng.integers(max(1, len(body) // 8)))
        body = body[:at] + struct.pack("<d", float(rng.choice(special))) + body[at + 8 :]
        return packed({**members, name: members[name][:128] + body})
    size = min(len(header) + 1, 0xFFFF)
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", size) + header[: size - 1] + b"\n" + body
    return packed({**members, name: content})


def _named(true: list[dict[str, bytes]], rng: np.random.Generator) -> bytes:
    """A file of a foreign name, a file too few, or one there twice."""
    members = _pick(true, rng)
    foreign = ("../../x.npy", "/etc/cron.d/x", "model/..\\x.npy", "C:x", "model/x.pkl", "run.py", "model/")
    match int(rng.integers(3)):
        case 0:
            members[foreign[int(rng.integers(len(foreign)))]] = rng.bytes(20)
        case 1:
            del members[str(rng.choice(sorted(members)))]
        case _:
            members[f"model/more{int(rng.integers(99))}.npy"] = members["model/node_0.npy"]
    return packed(members)


def _swapped(true: list[dict[str, bytes]], rng: np.random.Generator) -> bytes:
    """A release with files of another."""
    members, other = _pick(true, rng), _pick(true, rng)
    names = sorted(set(members) & set(other) - {"manifest.json"})
    for name in rng.choice(names, int(rng.integers(1, 4))):
        members[str(name)] = other[str(name)]
    return packed(members)


def _bomb(true: list[dict[str, bytes]], rng: np.random.Generator) -> bytes:
    """Much out of little: long runs of zeros, deep nesting, long numbers, many keys."""
    members = _pick(true, rng)
    size = int(rng.integers(1, 200_000))
    bombs = {
        "model/bomb.npy": b"\x93NUMPY\x01\x00v\x00" + bytes(300 * size),
        "layout.json": b"[" * size,
        "model.json": b'{"a":' * size + b"1" + b"}" * size,
        "statement.json": b'{"budget": ' + b"9" * size + b"}",
        "measurements.json": b"{" + b",".join(b'"%d":1' % i for i in range(size // 4)) + b"}",
        "schema.yaml": b"a: &a [" + b"x," * size + b"]\n" + b"b: [*a, *a]\n" * 50,
    }
    name = str(rng.choice(sorted(bombs)))
    return packed({**members, name: bombs[name]})


def outcome(path: Path) -> str:
    """Read one file in every way; return how it ended.

    Returns:
        ``"refused"`` by load, ``"found out"`` by verify, or ``"read"``.

    Raises:
        Exception: anything but the documented error: a fault of dpsynth.
    """
    try:
        release = load(path)
    except ReleaseError:
        release = None
    try:
        report = verify(path)
    except ReleaseError:
        report = None
    if report is not None:
        str(report)
    if release is None:
        return "refused"
    str(release.statement)
    try:
        release.sample(3, seed=0)
    except DpsynthError:
        return "refused"
    return "read" if report is not None and report.passed else "found out"


def tried(count: int, seed: int, *, memory: int = MEMORY, seconds: int = SECONDS) -> dict[str, Any]:
    """Make and read so many files in this process, under its own limits; return what became of them."""

    def late(_number: int, _frame: object) -> None:
        raise TimeoutError("a file took too long")

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        true = bases(folder)
        path = folder / "stranger.dpsynth"
        path.write_bytes(packed(true[0]))
        outcome(path)  # imports and compiled kernels, before the limit
        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + memory, resource.RLIM_INFINITY))
        signal.signal(signal.SIGALRM, late)
        ended: Counter[str] = Counter()
        kinds: Counter[str] = Counter()
        faults: list[str] = []
        longest = 0.0
        for number, (kind, data) in enumerate(mutants(true, count, seed)):
            path.write_bytes(data)
            signal.alarm(seconds)
            started = time.perf_counter()
            try:
                ended[outcome(path)] += 1
            except BaseException as error:  # noqa: BLE001  -- whatever it is, it is what is looked for
                ended["broke"] += 1
                faults.append(f"{kind} {number}: {type(error).__name__}")
            finally:
                signal.alarm(0)
            kinds[kind] += 1
            longest = max(longest, time.perf_counter() - started)
            if set(folder.iterdir()) - {path, *(folder / f"base{i}.dpsynth" for i in range(len(true)))}:
                faults.append(f"{kind} {number}: wrote a file")
    return {
        "tried": count,
        "refused": ended["refused"],
        "found_out": ended["found out"],
        "read": ended["read"],
        "broke": ended["broke"],
        "faults": faults[:20],
        "kinds": dict(kinds),
        "longest_seconds": longest,
        "memory_limit_mb": memory >> 20,
    }


def run(count: int, seed: int = 0) -> dict[str, Any]:
    """Return :func:`tried` of a process of its own, so that its limits are its own."""
    code = (
        "import json, sys\nfrom benchmarks.hostile import tried\n"
        "print(json.dumps(tried(int(sys.argv[1]), int(sys.argv[2]))))"
    )
    command = [sys.executable, "-c", code, str(count), str(seed)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found
