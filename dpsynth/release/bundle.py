"""A release as files, and back: JSON and plain arrays, hashed and versioned. Format: docs/release-format.md.

``load`` treats what it reads as hostile. Whatever the bytes are, it returns a release or raises a
:class:`~dpsynth.errors.ReleaseError`; no code in the file can run, and memory stays within stated limits.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dpsynth import __version__
from dpsynth.data.codec import Codec
from dpsynth.data.layout import Layout
from dpsynth.domain import Domain
from dpsynth.errors import DpsynthError, ReleaseError
from dpsynth.model.structure import Model, read_model
from dpsynth.privacy.curator import Marginal, Measurement
from dpsynth.release import container
from dpsynth.release.arrays import from_npy, to_npy
from dpsynth.release.certificate import certificate_of
from dpsynth.release.documents import check_fields, dump, number, parse, shown
from dpsynth.release.release import Release
from dpsynth.release.signature import signature_of
from dpsynth.release.statement import Statement
from dpsynth.schema import Schema

__all__ = ["FORMAT", "FORMAT_VERSION", "Bundle", "load", "open_bundle", "save"]

FORMAT = "dpsynth-release"
FORMAT_VERSION = 1
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)
_NEXT = "ask for a fresh copy"
_LARGEST_SIGMA = 2.0**40

_Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """The files of a release, with a manifest that lists exactly them; hashes not yet compared.

    Attributes:
        version: The dpsynth that wrote it, by its own word.
        hashes: Stated SHA-256 and number of bytes of every file but the manifest.
        members: Content of every file.
    """

    version: str
    hashes: Mapping[str, tuple[str, int]]
    members: Mapping[str, bytes]

    @property
    def altered(self) -> tuple[str, ...]:
        """Names of the files whose content is not what the manifest says."""
        return tuple(
            name
            for name, stated in self.hashes.items()
            if stated != (hashlib.sha256(self.members[name]).hexdigest(), len(self.members[name]))
        )

    def arrays(self, folder: str) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays of a folder, by name without the ending.

        Raises:
            ReleaseError: a file is not a plain array.
        """
        prefix = f"{folder}/"
        return {
            name.removeprefix(prefix).removesuffix(".npy"): from_npy(content, name)
            for name, content in self.members.items()
            if name.startswith(prefix)
        }

    def schema(self) -> Schema:
        """Read ``schema.yaml``.

        Raises:
            ReleaseError: it is not a schema.
        """
        try:
            text = self.members["schema.yaml"].decode("utf-8")
            return Schema.loads(text, path="schema.yaml")
        except UnicodeDecodeError:
            raise ReleaseError("schema.yaml is not UTF-8 text") from None
        except DpsynthError as error:
            raise ReleaseError(str(error)) from None

    def layout(self) -> Layout:
        """Read ``layout.json``.

        Raises:
            ReleaseError: it is not a layout.
        """
        content = parse(self.members["layout.json"], "layout.json")
        try:
            return Layout.from_dict(check_fields(content, {"frame": str, "dtypes": list}, "layout.json"))
        except DpsynthError as error:
            raise ReleaseError(f"layout.json: {error}") from None

    def statement(self) -> Statement:
        """Read ``statement.json``; prices are computed anew.

        Raises:
            ReleaseError: it is not a statement.
        """
        return Statement.from_dict(parse(self.members["statement.json"], "statement.json"))

    def model(self) -> Model:
        """Read ``model.json`` and its arrays.

        Raises:
            ReleaseError: they are not a model.
        """
        meta = parse(self.members["model.json"], "model.json")
        _check_model(meta)
        arrays = self.arrays("model")
        expected = {f"node_{i}": "<f8" for i in range(len(meta["axes"]))}
        for i, estimate in enumerate(meta["estimates"]):
            expected[f"estimate_{i}_table"] = "<f8"
            expected |= {f"estimate_{i}_groups_{j}": "<i8" for j in range(len(estimate["columns"]))}
        for i, rule in enumerate(meta.get("rules", ())):
            expected[f"rule_{i}_allowed"] = "<i8"
            expected |= {f"rule_{i}_classes_{j}": "<i8" for j in range(len(rule["columns"]))}
        if meta["model"] == "network":
            expected |= {f"states_{i}": "<i8" for i in range(len(meta["axes"]))}
            expected |= {f"clique_{i}": "<f8" for i in range(len(meta["cliques"]))}
        _check_arrays(arrays, expected, "model")
        try:
            with np.errstate(all="ignore"):
                return read_model(meta, arrays)
        except (ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
            raise ReleaseError(f"the model is not one: {error}") from None

    def measurements(self, domain: Domain) -> tuple[Measurement, ...]:
        """Read ``measurements.json`` and its arrays.

        Raises:
            ReleaseError: they are not measurements of these columns.
        """
        content = parse(self.members["measurements.json"], "measurements.json")
        check_fields(content, {"groupings": int, "measurements": list}, "measurements.json")
        items, arrays = content["measurements"], self.arrays("measurements")
        if not 0 <= content["groupings"] <= container.MAX_FILES:
            raise ReleaseError("measurements.json states an impossible number of groupings")
        expected = {f"grouping_{i}": "<i8" for i in range(content["groupings"])}
        expected |= {f"values_{i}": "<i8" for i in range(len(items))}
        _check_arrays(arrays, expected, "measurements")
        return tuple(_measurement(item, i, arrays, domain) for i, item in enumerate(items))


def save(release: Release, path: str | os.PathLike[str]) -> None:
    """Write a release to one zip file (a name ending in ``.dpsynth`` or ``.zip``) or to a directory.

    The same release gives the same bytes. Writing is atomic: a reader sees the old release or the new one.

    Raises:
        ReleaseError: something other than a release is at ``path``, the release is too large, or the file
            system refuses.

    Privacy: free; everything in a release is public.
    """
    where = container.to_path(path)
    members = _members(release)
    files = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in sorted(members.items())
    }
    manifest = {"format": FORMAT, "format_version": FORMAT_VERSION, "dpsynth": __version__, "files": files}
    container.write({"manifest.json": dump(manifest), **members}, where, open_bundle)


def load(path: str | os.PathLike[str]) -> Release:
    """Read a release that :func:`save` wrote.

    Raises:
        MissingFileError: there is nothing at ``path``.
        ReleaseError: it is no release, is damaged or altered, or is of a newer format; says which file, the
            bound and what to do.
    """
    bundle = open_bundle(path)
    try:
        return _release(bundle)
    except ReleaseError as error:
        raise ReleaseError(f"{os.fspath(path)}: {error}") from None


def open_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Read the files of a release and its manifest, and check that each has what the other names.

    Raises:
        MissingFileError: there is nothing at ``path``.
        ReleaseError: it is no release, or of a newer format, or a file is missing or superfluous.
    """
    where = container.to_path(path)
    try:
        return _bundle(container.read(where))
    except ReleaseError as error:
        raise ReleaseError(f"{where}: {error}") from None


def _release(bundle: Bundle) -> Release:
    if altered := bundle.altered:
        raise ReleaseError(f"{altered[0]} was altered or damaged; {_NEXT}")
    schema, model = bundle.schema(), bundle.model()
    if model.domain != domain_of(schema):
        raise ReleaseError("the model's columns and rules are not those of schema.yaml")
    measurements = bundle.measurements(model.domain)
    signature_of(bundle.members)
    return Release(schema, bundle.layout(), model, measurements, bundle.statement())


def _bundle(members: Mapping[str, bytes]) -> Bundle:
    manifest = parse(members["manifest.json"], "manifest.json")
    if manifest.get("format") != FORMAT:
        raise ReleaseError(f"manifest.json does not say format {FORMAT!r}, so this is no dpsynth release")
    version = manifest.get("format_version")
    if type(version) is int and version > FORMAT_VERSION:
        raise ReleaseError(
            f"it is of format version {version}, and this dpsynth ({__version__}) reads up to "
            f"{FORMAT_VERSION}; install a newer dpsynth"
        )
    if type(version) is not int or version < 1:
        raise ReleaseError("manifest.json states no format version")
    fields = check_fields(
        manifest, {"format": str, "format_version": int, "dpsynth": str, "files": dict}, "manifest.json"
    )
    hashes = {name: _stated(name, entry) for name, entry in fields["files"].items()}
    _check_complete(hashes, members)
    return Bundle(fields["dpsynth"], hashes, members)


def domain_of(schema: Schema) -> Domain:
    """Return the codes that a schema gives its columns.

    Raises:
        ReleaseError: the schema has a column that cannot be coded.
    """
    try:
        return Codec(schema).domain
    except DpsynthError as error:
        raise ReleaseError(str(error)) from None


def _stated(name: str, entry: object) -> tuple[str, int]:
    where = f"manifest.json, on {shown(name)}"
    fields = check_fields(entry, {"sha256": str, "bytes": int}, where)
    if not _HEX.fullmatch(fields["sha256"]):
        raise ReleaseError(f"{where}: sha256 is not 64 hexadecimal digits")
    return fields["sha256"], fields["bytes"]


def _check_complete(hashes: Mapping[str, object], members: Mapping[str, bytes]) -> None:
    documents = set(container.DOCUMENTS) - {"manifest.json"}
    if missing := sorted((set(hashes) | documents) - set(members)):
        raise ReleaseError(f"{shown(missing[0])} is missing; {_NEXT}")
    outside = {"manifest.json", *container.OPTIONAL}
    if extra := sorted(set(members) - set(hashes) - outside):
        raise ReleaseError(f"{extra[0]} is not listed in manifest.json; {_NEXT}")
    if listed := sorted(outside & set(hashes)):
        what = "itself" if listed[0] == "manifest.json" else listed[0]
        raise ReleaseError(f"manifest.json lists {what}, which no release does")


def _members(release: Release) -> dict[str, bytes]:
    meta, arrays = release.model.to_arrays()
    members = {
        "schema.yaml": release.schema.to_yaml().encode("utf-8"),
        "layout.json": dump(release.layout.to_dict()),
        "statement.json": dump(release.statement.to_dict()),
        "STATEMENT.md": str(release.statement).encode("utf-8", "backslashreplace"),
        "model.json": dump(meta),
    }
    members |= {f"model/{name}.npy": to_npy(array) for name, array in arrays.items()}
    known: dict[bytes, int] = {}
    items = []
    for i, measurement in enumerate(release.measurements):
        groups: list[int | None] = []
        for grouping in measurement.query.groups:
            if np.array_equal(grouping, np.arange(grouping.size)):
                groups.append(None)
                continue
            data = to_npy(grouping)
            groups.append(known.setdefault(data, len(known)))
        members[f"measurements/values_{i}.npy"] = to_npy(measurement.values)
        items.append(
            {
                "entry": measurement.entry,
                "sigma": measurement.sigma,
                "columns": [release.model.domain.names[c] for c in measurement.query.columns],
                "groups": groups,
            }
        )
    members |= {f"measurements/grouping_{i}.npy": data for data, i in known.items()}
    members["measurements.json"] = dump({"groupings": len(known), "measurements": items})
    return {**members, "certificate.json": dump(certificate_of(release.statement, members))}


def _check_model(meta: dict[str, Any]) -> None:
    fields: dict[str, Any] = {"model": str, "total": (float, int), "axes": list, "estimates": list}
    if meta.get("model") == "network":
        fields |= {"cliques": list, "parents": list}
    if "rules" in meta:
        fields["rules"] = list
    check_fields(meta, fields, "model.json")
    number(meta["total"], "model.json: total")
    for i, axis in enumerate(meta["axes"]):
        check_fields(axis, {"name": str, "size": int, "ordered": int}, f"model.json, axis {i}")
    for i, estimate in enumerate(meta["estimates"]):
        check_fields(estimate, {"columns": list}, f"model.json, estimate {i}")
    for i, rule in enumerate(meta.get("rules", ())):
        check_fields(rule, {"columns": list}, f"model.json, rule {i}")
    held = [item["columns"] for item in (*meta["estimates"], *meta.get("rules", ()))]
    for numbers in [*held, *meta.get("cliques", ()), meta.get("parents", [])]:
        if not isinstance(numbers, list) or any(type(column) is not int for column in numbers):
            raise ReleaseError("model.json: columns, cliques and parents are lists of whole numbers")


def _check_arrays(arrays: _Arrays, expected: Mapping[str, str], folder: str) -> None:
    if missing := sorted(expected.keys() - arrays.keys()):
        raise ReleaseError(f"{folder}/{missing[0]}.npy is missing; {_NEXT}")
    if extra := sorted(arrays.keys() - expected.keys()):
        raise ReleaseError(f"{folder}/{extra[0]}.npy belongs to nothing in {folder}.json")
    for name, dtype in expected.items():
        if arrays[name].dtype.str != dtype:
            raise ReleaseError(f"{folder}/{name}.npy is of dtype {arrays[name].dtype.str}, not {dtype}")


def _measurement(content: object, i: int, arrays: _Arrays, domain: Domain) -> Measurement:
    where = f"measurement {i}"
    fields = check_fields(
        content, {"entry": int, "sigma": (float, int), "columns": list, "groups": list}, where
    )
    if not all(isinstance(name, str) and name in domain.names for name in fields["columns"]):
        raise ReleaseError(f"{where} is of a column that the model has not")
    if len(fields["groups"]) != len(fields["columns"]):
        raise ReleaseError(f"{where} has not one grouping a column")
    columns = tuple(domain.index(name) for name in fields["columns"])
    sizes = [domain.axes[c].size for c in columns]
    groups = tuple(
        _grouping(group, size, arrays, where) for group, size in zip(fields["groups"], sizes, strict=True)
    )
    sigma = number(fields["sigma"], where)
    if not (0 < sigma <= _LARGEST_SIGMA and math.isfinite(sigma)):
        raise ReleaseError(f"{where} states a sigma outside (0, 2**40]")
    try:
        query = Marginal(columns, groups)
    except ValueError as error:
        raise ReleaseError(f"{where}: {error}") from None
    values = arrays[f"values_{i}"]
    if values.shape != query.shape:
        raise ReleaseError(f"{where} has values of another shape than its columns and groupings give")
    return Measurement(query=query, values=values, sigma=sigma, entry=fields["entry"])


def _grouping(group: object, size: int, arrays: _Arrays, where: str) -> npt.NDArray[np.int64]:
    if group is None:
        return np.arange(size, dtype=np.int64)
    if type(group) is not int or f"grouping_{group}" not in arrays:
        raise ReleaseError(f"{where} names a grouping that is not there")
    groups: npt.NDArray[np.int64] = arrays[f"grouping_{group}"]
    if groups.shape != (size,) or groups.min() < 0 or groups.max() >= size:
        raise ReleaseError(f"{where} has a grouping that does not fit its column's {size} codes")
    return groups
