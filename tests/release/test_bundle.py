"""Saving and loading: nothing is lost, the same release gives the same bytes, nothing else is overwritten."""

from __future__ import annotations

import contextlib
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dpsynth
from dpsynth.data.codec import Codec
from dpsynth.data.layout import Layout
from dpsynth.errors import MissingFileError, ReleaseError
from dpsynth.model.tree import TreeModel
from dpsynth.release import container
from dpsynth.release.bundle import load, save
from dpsynth.release.release import Release
from tests.release.building import DTYPES, UNIT, tiny
from tests.strategies.schemas import schemas


def names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


NAMES = ("x.dpsynth", "x.ZIP", "folder")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("text", "backend"), [(None, "exact"), (UNIT, "exact"), (UNIT, "opendp")])
def test_a_release_comes_back_whole(tmp_path, name, text, backend):
    release = tiny(text, backend=backend) if text else tiny()
    release.save(tmp_path / name)
    assert (tmp_path / name).is_dir() == (name == "folder")
    again = dpsynth.load(str(tmp_path / name))
    assert again.schema == release.schema
    assert again.layout == release.layout
    assert again.statement == release.statement
    assert again.model.domain == release.model.domain
    assert again.model.total == release.model.total
    assert len(again.measurements) == len(release.measurements)
    for a, b in zip(again.measurements, release.measurements, strict=True):
        assert (a.sigma, a.entry, a.query.columns) == (b.sigma, b.entry, b.query.columns)
        assert np.array_equal(a.values, b.values)
        assert all(np.array_equal(x, y) for x, y in zip(a.query.groups, b.query.groups, strict=True))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("frame", ["pandas", "polars", "pyarrow"])
def test_the_same_seed_gives_the_same_table_before_and_after(tmp_path, name, frame):
    release = tiny(frame=frame)
    release.save(tmp_path / name)
    again = load(tmp_path / name)
    for method in ("systematic", "iid"):
        before = release.sample(60, seed=11, method=method)
        assert before.equals(again.sample(60, seed=11, method=method))
    assert np.array_equal(release.marginal(["age", "smoker"]), again.marginal(["age", "smoker"]))


@settings(max_examples=25)
@given(schemas(small=True, marks=True), st.randoms(use_true_random=False))
def test_any_schema_can_be_released(tmp_path_factory, schema, random):
    domain = Codec(schema).domain
    nodes = []
    for axis in domain:
        weights = np.array([random.random() + 1e-3 for _ in range(axis.size)])
        nodes.append(weights / weights.sum())
    model = TreeModel(domain, 100 * random.random(), tuple(nodes), ())
    release = Release(schema, Layout("pandas", ()), model, (), tiny().statement)
    path = tmp_path_factory.mktemp("any") / "x.dpsynth"
    release.save(path)
    again = load(path)
    assert again.schema == schema
    assert all(np.array_equal(a, b) for a, b in zip(again.model.nodes, nodes, strict=True))


def test_the_same_release_gives_the_same_bytes(tmp_path, release):
    for name in ("a.dpsynth", "b.dpsynth", "c", "d"):
        save(release, tmp_path / name)
    save(load(tmp_path / "c"), tmp_path / "e.dpsynth")
    assert (tmp_path / "a.dpsynth").read_bytes() == (tmp_path / "b.dpsynth").read_bytes()
    assert (tmp_path / "a.dpsynth").read_bytes() == (tmp_path / "e.dpsynth").read_bytes()
    assert container.read(tmp_path / "c") == container.read(tmp_path / "d")
    assert container.read(tmp_path / "c") == container.read(tmp_path / "a.dpsynth")


def test_the_files_are_those_the_format_names(members):
    documents = {name for name in members if "/" not in name}
    assert documents == set(container.DOCUMENTS)
    assert {n.split("/")[0] for n in members if "/" in n} == {"model", "measurements"}
    manifest = json.loads(members["manifest.json"])
    assert manifest["format"] == "dpsynth-release"
    assert manifest["format_version"] == 1
    assert manifest["dpsynth"] == dpsynth.__version__
    assert set(manifest["files"]) == set(members) - {"manifest.json"}


def test_what_packs_too_well_is_stored_so_that_it_can_be_read_again(tmp_path, release):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as probe:
        probe.writestr("a", b"")
    content = {"manifest.json": b"x" * 10**6, "model/a.npy": bytes(range(256)) * 4}
    container.write(content, tmp_path / "y.zip", load)
    with zipfile.ZipFile(tmp_path / "y.zip") as archive:
        assert archive.getinfo("manifest.json").compress_type == zipfile.ZIP_STORED
        assert archive.getinfo("model/a.npy").compress_type == zipfile.ZIP_DEFLATED
    assert container.read(tmp_path / "y.zip") == content


@pytest.mark.parametrize("name", NAMES)
def test_a_release_replaces_a_release_and_leaves_no_litter(tmp_path, name):
    save(tiny(), tmp_path / name)
    newer = tiny(UNIT)
    save(newer, tmp_path / name)
    assert load(tmp_path / name).statement == newer.statement
    assert names_in(tmp_path) == [name]


def test_an_empty_directory_may_be_filled(tmp_path, release):
    (tmp_path / "folder").mkdir()
    save(release, tmp_path / "folder")
    assert load(tmp_path / "folder").statement == release.statement


def test_a_link_to_a_place_is_that_place(tmp_path, release):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    save(release, tmp_path / "link")
    save(release, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert load(tmp_path / "link").statement == load(tmp_path / "real").statement


def test_other_peoples_things_are_left_alone(tmp_path, release):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "thesis.txt").write_text("years of work")
    (tmp_path / "photos.zip").write_bytes(b"not a release")
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        archive.writestr("manifest.json", "{}")
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder.dpsynth").mkdir()
    mine = tmp_path / "mine"
    save(release, mine)
    (mine / "notes.txt").write_text("added later")
    for name in ("notes", "photos.zip", "data.zip", "mine"):
        with pytest.raises(ReleaseError, match="no dpsynth release and is left alone"):
            save(release, tmp_path / name)
    with pytest.raises(ReleaseError, match="this name is a directory, but a file is there"):
        save(release, tmp_path / "file")
    with pytest.raises(ReleaseError, match="this name is a file, but a directory is there"):
        save(release, tmp_path / "folder.dpsynth")
    assert (tmp_path / "notes" / "thesis.txt").read_text() == "years of work"
    assert (tmp_path / "photos.zip").read_bytes() == b"not a release"
    assert (mine / "notes.txt").exists()
    assert not [name for name in names_in(tmp_path) if name.endswith((".tmp", ".old"))]


@pytest.mark.parametrize("path", [3, b"x.dpsynth", "", "a\0b", None])
def test_what_is_no_path_is_refused(release, path):
    with pytest.raises(ReleaseError, match="path of a release is a text"):
        save(release, path)
    with pytest.raises(ReleaseError, match="path of a release is a text"):
        load(path)


def test_a_folder_that_does_not_exist_is_not_made(tmp_path, release):
    for name in ("no/x.dpsynth", "no/x"):
        with pytest.raises(ReleaseError, match="does not exist; create it first"):
            save(release, tmp_path / name)
    with pytest.raises(ReleaseError, match="root folder"):
        save(release, "/")
    with pytest.raises(ReleaseError, match="cannot be written: File name too long"):
        save(release, tmp_path / ("x" * 300))


def test_a_write_that_fails_midway_changes_nothing(tmp_path, release, monkeypatch):
    save(release, tmp_path / "x.dpsynth")
    save(release, tmp_path / "x")
    before = (tmp_path / "x.dpsynth").read_bytes(), container.read(tmp_path / "x")
    original = Path.write_bytes

    def fail_late(self, data):
        if self.name == "statement.json":
            raise OSError(28, "No space left on device")
        return original(self, data)

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail_late)
    monkeypatch.setattr(os, "fsync", fail)
    for name in ("x.dpsynth", "x", "new", "new.zip"):
        with pytest.raises(ReleaseError, match="cannot be written: No space left on device"):
            save(release, tmp_path / name)
    assert names_in(tmp_path) == ["x", "x.dpsynth"]
    assert before == ((tmp_path / "x.dpsynth").read_bytes(), container.read(tmp_path / "x"))


def test_a_rename_that_fails_puts_the_former_release_back(tmp_path, release, monkeypatch):
    save(release, tmp_path / "x")
    original = Path.rename

    def fail(self, target):
        if self.suffix == ".tmp":
            raise OSError(5, "Input/output error")
        return original(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(ReleaseError, match="cannot be written"):
        save(release, tmp_path / "x")
    assert names_in(tmp_path) == ["x"]
    assert load(tmp_path / "x").statement == release.statement


def test_what_could_not_be_read_back_is_not_written(tmp_path, release, monkeypatch):
    monkeypatch.setattr(container, "MAX_FILES", 5)
    with pytest.raises(ReleaseError, match="fewer or coarser columns"):
        save(release, tmp_path / "x.dpsynth")
    monkeypatch.undo()
    monkeypatch.setattr(container, "MAX_BYTES", 1000)
    with pytest.raises(ReleaseError, match="and 1000 are the limits"):
        save(release, tmp_path / "x.dpsynth")
    monkeypatch.undo()
    monkeypatch.setattr(container, "MAX_JSON_BYTES", 100)
    with pytest.raises(ReleaseError, match=r"\.json has [0-9]+ bytes; 100 is the limit"):
        save(release, tmp_path / "x.dpsynth")
    assert names_in(tmp_path) == []


def test_a_release_that_is_not_there_is_a_missing_file(tmp_path):
    for name in ("x.dpsynth", "x"):
        with pytest.raises(MissingFileError, match="there is no such release"):
            load(tmp_path / name)
    with contextlib.suppress(OSError):
        os.mkfifo(tmp_path / "pipe.dpsynth")
        with pytest.raises(ReleaseError, match="neither a file nor a directory"):
            load(tmp_path / "pipe.dpsynth")


def test_the_layout_of_a_frame_comes_back(tmp_path):
    save(tiny(), tmp_path / "x.dpsynth")
    assert load(tmp_path / "x.dpsynth").layout == Layout("pandas", DTYPES)


def test_nothing_is_pickled():
    for name in ("bundle", "container", "arrays", "documents", "statement", "release", "verify"):
        text = (Path(container.__file__).parent / f"{name}.py").read_text()
        assert "import pickle" not in text
        assert "np.load" not in text
