"""A release file may come from anyone: whatever is in it, load gives a release or a ReleaseError."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import struct
import time
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpsynth.errors import DpsynthError, ReleaseError
from dpsynth.release import container, documents
from dpsynth.release.arrays import to_npy
from dpsynth.release.bundle import load
from dpsynth.release.verify import verify
from tests.release.building import edited, hashed, rehashed, unpacked, zipped

JSON = ("manifest.json", "layout.json", "statement.json", "model.json", "measurements.json")


def refused(path: Path) -> str:
    """Load, expect a ReleaseError that begins with the path, and return its text."""
    with pytest.raises(ReleaseError) as caught:
        load(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert caught.value.exit_code == 2
    return text


def survives(path: Path) -> bool:
    """Load, verify and draw; nothing but our own errors may escape."""
    try:
        release = load(path)
    except ReleaseError:
        loaded = False
    else:
        loaded = True
        with contextlib.suppress(DpsynthError):
            assert len(release.sample(3, seed=0)) == 3
        str(release.statement)
    try:
        report = verify(path)
    except ReleaseError:
        assert not loaded
    else:
        str(report)
    return loaded


# ---- containers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../evil.npy", "../evil.npy"),
        ("/etc/passwd", "/etc/passwd"),
        ("model/../../x.npy", "model/../../x.npy"),
        ("model\\x.npy", "model"),
        ("C:/x.npy", "C:/x.npy"),
        ("model/", "model/"),
        ("model/x.npy\x00.txt", "model/x.npy"),
        ("model/X.npy", "model/X.npy"),
        ("model/" + "x" * 65 + ".npy", "model/xxx"),
        ("notes.txt", "notes.txt"),
        ("Model/x.npy", "Model/x.npy"),
        ("model/x.pkl", "model/x.pkl"),
        ("model/\u0661.npy", "model/"),
    ],
)
def test_a_foreign_name_is_refused_and_nothing_is_unpacked(tmp_path, members, name, shown):
    (tmp_path / "in").mkdir()
    path = zipped({**members, name.replace("\x00", "Z"): b"x"}, tmp_path / "in" / "x.dpsynth")
    if "\x00" in name:
        path.write_bytes(path.read_bytes().replace(name.replace("\x00", "Z").encode(), name.encode()))
    text = refused(path)
    assert "no part of a release" in text
    assert json.dumps(shown)[1:-1][:6] in text
    assert list(tmp_path.rglob("*")) == [tmp_path / "in", path]


def test_a_member_that_is_there_twice_is_refused(tmp_path, members):
    path = zipped(members, tmp_path / "x.dpsynth")
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model.json", "{}")
    assert "model.json is there twice" in refused(path)


def test_a_member_that_is_missing_unlisted_or_not_asked_for_is_refused(tmp_path, members):
    for name in members:
        fewer = {k: v for k, v in members.items() if k != name}
        assert "is missing" in refused(zipped(fewer, tmp_path / "x.dpsynth")), name
        if name != "manifest.json":
            text = refused(zipped(hashed(fewer), tmp_path / "x.dpsynth"))
            assert "is missing" in text, name
    extra = {**members, "model/extra.npy": to_npy(np.arange(2))}
    assert "not listed in manifest.json" in refused(zipped(extra, tmp_path / "x.dpsynth"))
    assert "belongs to nothing" in refused(zipped(rehashed(extra), tmp_path / "x.dpsynth"))


def test_links_and_odd_entries_are_refused(tmp_path, members):
    for mode, word in ((0o120777, "not a plain file"), (0o040755, "not a plain file")):
        path = tmp_path / "x.dpsynth"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                info = zipfile.ZipInfo(name)
                info.external_attr = (mode if name == "model.json" else 0o100644) << 16
                archive.writestr(info, content)
        assert word in refused(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    assert "packed in a way" in refused(path)
    data = bytearray(zipped(members, path).read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # says it is encrypted
    path.write_bytes(data)
    assert "encrypted" in refused(path)


def test_what_is_not_a_zip_file_or_cut_off_is_refused(tmp_path, saved):
    path = tmp_path / "x.dpsynth"
    whole = saved.read_bytes()
    for data in (b"", b"hello", b"x" * 500, whole[:-1], whole[: len(whole) // 2]):
        path.write_bytes(data)
        assert "cut off" in refused(path)
    for data in (b"MZ" + whole, whole[1:], whole[:-2] + b"\x01\x00"):
        path.write_bytes(data)
        assert "changed after it was saved" in refused(path)


def test_a_wrong_crc_is_refused(tmp_path, saved, members):
    path = tmp_path / "x.dpsynth"
    with zipfile.ZipFile(path, "w") as archive:  # stored, so that the content can be found
        for name, content in members.items():
            archive.writestr(name, content)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"privacy_unit", b"privacy_tint", 1))
    assert "damaged" in refused(path)


def test_a_directory_of_too_many_files_is_refused_before_it_is_read(tmp_path, monkeypatch, members):
    monkeypatch.setattr(container, "MAX_FILES", 5)
    assert "at most 5" in refused(zipped(members, tmp_path / "x.dpsynth"))
    assert "more than 5 files" in refused(unpacked(members, tmp_path / "x"))


def test_a_file_or_directory_that_is_too_large_is_refused(tmp_path, monkeypatch, members):
    monkeypatch.setattr(container, "MAX_BYTES", 3000)
    assert "at most 3000" in refused(zipped(members, tmp_path / "x.dpsynth"))
    assert "more than 3000" in refused(unpacked(members, tmp_path / "x"))


def test_a_zip_bomb_is_refused_without_unpacking_it(tmp_path, members):
    """1 GiB of zeros in about 1 MB."""
    path = tmp_path / "x.dpsynth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        with archive.open("model/bomb.npy", "w") as member:
            for _ in range(256):
                member.write(bytes(4 * 2**20))
    assert path.stat().st_size < 6 * 2**20
    tracemalloc.start()
    try:
        assert "unpacks to more than" in refused(path)
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()


def test_a_bomb_that_lies_about_its_size_is_refused_too(tmp_path, members):
    """Both headers say 10 bytes; the stream holds 64 MiB."""
    path = tmp_path / "x.dpsynth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.writestr("model/bomb.npy", bytes(64 * 2**20))
    data = path.read_bytes().replace(struct.pack("<L", 64 * 2**20), struct.pack("<L", 10))
    path.write_bytes(data)
    tracemalloc.start()
    try:
        assert "damaged" in refused(path)
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()


def test_members_that_share_their_bytes_are_refused(tmp_path, members):
    """Many directory entries that point at one packed member."""
    path = tmp_path / "x.dpsynth"
    payload = zlib.compress(random.Random(1).randbytes(5000), 9)[2:-4]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.writestr("model/bomb.npy", random.Random(1).randbytes(5000))
    assert payload[:100] in path.read_bytes()
    data = path.read_bytes()
    end = data.rindex(b"PK\x05\x06")
    count, length, start = struct.unpack("<HLL", data[end + 10 : end + 20])
    entry = data[data.rindex(b"PK\x01\x02") : end]
    copies = b"".join(entry.replace(b"bomb", b"%04d" % i) for i in range(50))
    tail = struct.pack("<HHLLH", count + 50, count + 50, length + len(copies), start, 0)
    path.write_bytes(data[:end] + copies + data[end : end + 8] + tail)
    text = refused(path)
    assert "overlap" in text or "damaged" in text


def test_a_directory_holds_plain_files_of_a_release_only(tmp_path, members):
    path = unpacked(members, tmp_path / "x")
    assert load(path).statement
    (path / ".DS_Store").write_bytes(b"x")
    assert '".DS_Store", no part of a release; remove it' in refused(path)
    (path / ".DS_Store").unlink()
    (path / "model.json").rename(tmp_path / "away.json")
    (path / "model.json").symlink_to(tmp_path / "away.json")
    assert '"model.json" is a link' in refused(path)
    (path / "model.json").unlink()
    (path / "model.json").mkdir()
    assert "no part of a release" in refused(path)
    (path / "model.json").rmdir()
    (tmp_path / "away.json").rename(path / "model.json")
    (path / "model").rename(tmp_path / "elsewhere")
    (path / "model").symlink_to(tmp_path / "elsewhere")
    assert '"model" is a link' in refused(path)
    (path / "model").unlink()
    (tmp_path / "elsewhere").rename(path / "model")
    (path / "model" / "deeper").mkdir()
    assert '"model/deeper", no part of a release' in refused(path)
    (path / "manifest.json").unlink()
    assert "no dpsynth release" in refused(path)


def test_a_link_made_after_the_listing_is_not_followed(tmp_path, members, monkeypatch):
    path = unpacked(members, tmp_path / "x")
    (path / "model.json").rename(tmp_path / "away.json")
    (path / "model.json").symlink_to(tmp_path / "away.json")
    monkeypatch.setattr(container, "_list_directory", lambda _: iter(members))
    assert "model.json is a link" in refused(path)
    (path / "model.json").unlink()
    assert "model.json cannot be read: No such file" in refused(path)


@pytest.mark.parametrize("size", [2, 5])
def test_a_file_that_is_not_as_long_as_stated_is_refused(size):
    """A zip header or a changing file may say another length than what is read."""
    with pytest.raises(ReleaseError, match=f"a.npy is not as long as stated .{size} bytes"):
        container._read_capped(io.BytesIO(b"abc"), size, "a.npy")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_says_so(tmp_path, members):
    path = zipped(members, tmp_path / "x.dpsynth")
    path.chmod(0)
    assert "Permission denied" in refused(path)


def test_an_unreadable_path_is_an_error_of_ours(tmp_path):
    with pytest.raises(ReleaseError, match="cannot be read: File name too long"):
        load(tmp_path / ("x" * 300))


# ---- documents -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "not JSON"),
        (b"", "not JSON"),
        (b"[1]", "holds no JSON object"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b'{"a": NaN}', "NaN is not a number"),
        (b'{"a": -Infinity}', "-Infinity is not a number"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "more than 30 digits"),
        (b'{"a": 1, "a": 1}', 'the key "a" stands twice'),
        (b'{"a": {"b": 1, "b": 2}}', 'the key "b" stands twice'),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 200_000, "nested too deeply"),
        (b'{"a": "' + b"x" * documents.MAX_JSON_BYTES + b'"}', "is the limit"),
    ],
)
def test_json_that_no_release_holds_is_refused(tmp_path, members, data, message):
    for name in JSON:
        changed = {**members, name: data}
        changed = changed if name == "manifest.json" else rehashed(changed)
        text = refused(zipped(changed, tmp_path / "x.dpsynth"))
        if "unpacks to more" not in text:
            assert message in text
            assert name in text


_MANIFESTS = {
    "no dpsynth release": lambda m: m.update(format="other"),
    "install a newer dpsynth": lambda m: m.update(format_version=2, another=1),
    "states no format version": lambda m: m.update(format_version="1"),
    "states no format version ": lambda m: m.update(format_version=0),
    "lacks 'files'": lambda m: m.pop("files"),
    "does not know": lambda m: m.update(more=1),
    "is not an object": lambda m: m["files"].update({"model.json": 3}),
    "64 hexadecimal": lambda m: m["files"]["model.json"].update(sha256="A" * 64),
    "lists itself": lambda m: m["files"].update({"manifest.json": m["files"]["model.json"]}),
    "is missing": lambda m: m["files"].update({"../../x": m["files"]["model.json"]}),
    "model.json was altered or damaged; ask for a fresh copy": lambda m: m["files"]["model.json"].update(
        bytes=1
    ),
    "schema.yaml was altered": lambda m: m["files"]["schema.yaml"].update(sha256="0" * 64),
}


@pytest.mark.parametrize("message", _MANIFESTS)
def test_a_wrong_manifest_is_refused(tmp_path, members, message):
    path = zipped(edited(members, "manifest.json", _MANIFESTS[message]), tmp_path / "x.dpsynth")
    assert message.strip() in refused(path)


_PARTS = {
    "not UTF-8 text": ("schema.yaml", b"\xff"),
    "schema.yaml:2: not valid YAML": ("schema.yaml", b"columns: [\n"),
    "not those of schema.yaml": (
        "schema.yaml",
        b"privacy_unit: row\ncolumns: {a: {kind: boolean, missing: true}}",
    ),
    "decimals": (
        "schema.yaml",
        b"privacy_unit: row\ncolumns: {a: {kind: real, missing: true, lower: 0, upper: 1000, decimals: 15}}",
    ),
    "layout.json lacks": ("layout.json", b"{}"),
    "frame must be one of": ("layout.json", b'{"frame": "excel", "dtypes": []}'),
    "layout needs frame": ("layout.json", b'{"frame": "pandas", "dtypes": [3]}'),
    "the model is not one: this version reads": (
        "model.json",
        lambda m: m.update(model="forest"),
    ),
    "one-way distribution of 'sex'": ("model/node_1.npy", to_npy(np.ones(3))),
    "node_1.npy is of dtype <i8": ("model/node_1.npy", to_npy(np.arange(3))),
    "not a finite number": ("model.json", lambda m: m.update(total=-1)),
    "axis 0 lacks 'size'": ("model.json", lambda m: m["axes"][0].pop("size")),
    "size 0 is below 1": ("model.json", lambda m: m["axes"][0].update(size=0)),
    "columns, cliques and parents are": ("model.json", lambda m: m["estimates"][0].update(columns=[0.0, 1])),
    "estimate 0: 'columns'": ("model.json", lambda m: m["estimates"][0].update(columns=0)),
    "outside the domain": ("model.json", lambda m: m["estimates"][0].update(columns=[99, 1])),
    "model/estimate_1_groups_0.npy is missing": (
        "model.json",
        lambda m: m["estimates"].append(m["estimates"][0]),
    ),
    "model/estimate_0_groups_0.npy belongs to nothing": ("model.json", lambda m: m.update(estimates=[])),
    "not a joint distribution": ("model/estimate_0_table.npy", to_npy(np.ones(6) / 6)),
    "grouping of 'age' does not fit": ("model/estimate_0_groups_0.npy", to_npy(np.full(10, -1))),
    "impossible number of groupings": ("measurements.json", lambda m: m.update(groupings=10**9)),
    "measurements/grouping_0.npy belongs": ("measurements.json", lambda m: m.update(groupings=0)),
    "measurements/values_4.npy is missing": (
        "measurements.json",
        lambda m: m["measurements"].append(m["measurements"][0]),
    ),
    "a column that the model has not": (
        "measurements.json",
        lambda m: m["measurements"][0].update(columns=["key"]),
    ),
    "a column that the model has not ": (
        "measurements.json",
        lambda m: m["measurements"][0].update(columns=[["age"]]),
    ),
    "one grouping a column": ("measurements.json", lambda m: m["measurements"][0].update(groups=[])),
    "names a grouping that is not there": (
        "measurements.json",
        lambda m: m["measurements"][0].update(groups=[7]),
    ),
    "names a grouping that is not there ": (
        "measurements.json",
        lambda m: m["measurements"][0].update(groups=["0"]),
    ),
    "does not fit its column's 10 codes": ("measurements/grouping_0.npy", to_npy(np.full(10, 10))),
    "sigma outside": ("measurements.json", lambda m: m["measurements"][0].update(sigma=0)),
    "columns and none twice": (
        "measurements.json",
        lambda m: m["measurements"][0].update(columns=["age", "age"], groups=[None, None]),
    ),
    "another shape": ("measurements/values_0.npy", to_npy(np.arange(9))),
    "values_0.npy is of dtype <f8": ("measurements/values_0.npy", to_npy(np.ones(10))),
    "calculus": ("statement.json", lambda m: m.update(calculus="x", ledger=[])),
}


@pytest.mark.parametrize("message", _PARTS)
def test_a_part_that_is_not_one_is_refused(tmp_path, members, message):
    name, change = _PARTS[message]
    changed = edited(members, name, change) if callable(change) else {**members, name: change}
    path = zipped(rehashed(changed), tmp_path / "x.dpsynth")
    assert message.strip() in refused(path)
    report = verify(path)
    assert not report.passed


def test_an_edge_there_twice_closes_a_cycle(tmp_path, members):
    changed = edited(members, "model.json", lambda m: m["estimates"].append(m["estimates"][0]))
    for part in ("table", "groups_0", "groups_1"):
        changed[f"model/estimate_1_{part}.npy"] = members[f"model/estimate_0_{part}.npy"]
    assert "close a cycle" in refused(zipped(rehashed(changed), tmp_path / "x.dpsynth"))


def test_a_model_of_an_absurd_number_of_rows_loads_but_wants_a_number_of_rows(tmp_path, members):
    changed = edited(members, "model.json", lambda m: m.update(total=1e30))
    path = zipped(rehashed(changed), tmp_path / "x.dpsynth")
    assert survives(path)
    with pytest.raises(DpsynthError, match="outside 0"):
        load(path).sample()


# ---- noise -----------------------------------------------------------------------------------------------

_MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "insert", "delete", "repeat"]),
        st.floats(0, 1, exclude_max=True),
        st.integers(0, 255),
        st.binary(max_size=8),
    ),
    min_size=1,
    max_size=4,
)


def mutate(data: bytes, mutations) -> bytes:
    changed = bytearray(data)
    for kind, where, value, extra in mutations:
        at = int(where * max(1, len(changed)))
        if kind == "flip" and changed:
            changed[at] ^= value
        elif kind == "cut":
            del changed[at:]
        elif kind == "insert":
            changed[at:at] = extra
        elif kind == "delete":
            del changed[at : at + value]
        else:
            changed[at:at] = changed[at : at + value]
    return bytes(changed)


@given(_MUTATIONS)
@settings(max_examples=150)
def test_a_damaged_zip_file_never_breaks_the_reader(tmp_path_factory, saved, mutations):
    path = tmp_path_factory.getbasetemp() / "damaged.dpsynth"
    data = mutate(saved.read_bytes(), mutations)
    path.write_bytes(data)
    survives(path)


@given(st.binary(max_size=400))
def test_arbitrary_bytes_never_break_the_reader(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "arbitrary.dpsynth"
    path.write_bytes(data)
    assert not survives(path)


@given(st.data(), _MUTATIONS)
@settings(max_examples=100)
def test_a_damaged_member_with_a_true_hash_never_breaks_the_reader(
    tmp_path_factory, members, data, mutations
):
    name = data.draw(st.sampled_from(sorted(set(members) - {"manifest.json"})))
    changed = rehashed({**members, name: mutate(members[name], mutations)})
    survives(zipped(changed, tmp_path_factory.getbasetemp() / "member.dpsynth"))


@given(st.data(), _MUTATIONS)
@settings(max_examples=40)
def test_a_damaged_directory_never_breaks_the_reader(tmp_path_factory, members, data, mutations):
    name = data.draw(st.sampled_from(sorted(members)))
    folder = tmp_path_factory.mktemp("damaged") / "release"
    unpacked({**members, name: mutate(members[name], mutations)}, folder)
    survives(folder)


_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(-3, 12),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(
        ["age", "sex", "row", "pandas", "polars", "gdp", "zcdp", "opendp", "RoundedGaussian", "int64"]
    ),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def places(content, at=()):
    yield at
    items = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in items:
        if isinstance(value, (dict, list)):
            yield from places(value, (*at, key))
        else:
            yield (*at, key)


@given(st.data())
@settings(max_examples=150)
def test_a_random_edit_of_a_document_never_breaks_the_reader(tmp_path_factory, members, data):
    changed = dict(members)
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from(JSON[1:]))
        content = json.loads(changed[name])
        if not content:  # an earlier edit removed all there was
            continue
        where = data.draw(st.sampled_from([p for p in places(content) if p]))
        parent = content
        for key in where[:-1]:
            parent = parent[key]
        action = data.draw(st.sampled_from(["replace", "replace", "remove", "copy"]))
        if action == "remove":
            del parent[where[-1]]
        elif action == "copy" and isinstance(parent, list):
            parent.append(parent[where[-1]])
        else:
            parent[where[-1]] = data.draw(_VALUES)
        changed[name] = json.dumps(content).encode()
    survives(zipped(rehashed(changed), tmp_path_factory.getbasetemp() / "edited.dpsynth"))


def test_a_million_keys_are_read_in_good_time():
    body = ", ".join(f'"k{i}": {i}' for i in range(500_000))
    started = time.perf_counter()
    with pytest.raises(ReleaseError, match="stands twice"):
        documents.parse(f'{{{body}, "k499999": 0}}'.encode(), "x.json")
    assert time.perf_counter() - started < 30
