"""Croissant metadata: read by MLCommons' own reader, true of the file, and complete."""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
from pathlib import Path

import pytest

from dpsynth.data.writing import write_table
from dpsynth.release.croissant import croissant_of
from dpsynth.release.documents import dump
from dpsynth.release.release import Release
from dpsynth.release.wording import promise_of
from dpsynth.schema import Schema
from tests.release.building import tiny

# MLCommons' reader uses deprecated parts of its own libraries
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def issues_of(path: Path) -> tuple[list[str], object]:
    """Return what MLCommons' reader recommends besides (errors are raised), and its data set."""
    logging.getLogger("absl").setLevel(logging.ERROR)
    import mlcroissant

    found = mlcroissant.Dataset(path)
    report = found.metadata.ctx.issues
    assert report.errors == set()
    return sorted(report.warnings), found


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_mlcommons_reader_reads_the_rows(release: Release, tmp_path: Path, ending: str) -> None:
    table = release.sample(20, seed=3, frame="pandas")
    path = tmp_path / f"my table.{ending}"
    write_table(table, path, release.schema)
    content = croissant_of(
        path,
        release.schema,
        release.statement,
        file_name=path.name,
        rows=20,
        seed=3,
        licence="CC-BY-4.0",
        name="visits",
        url="https://example.org/visits",
        where=("sex=f",),
    )
    (tmp_path / "x.json").write_bytes(dump(content))
    warnings, found = issues_of(tmp_path / "x.json")
    assert not any("license" in warning for warning in warnings)
    rows = list(itertools.islice(found.records("rows"), 30))
    assert len(rows) == 20
    assert [row["rows/age"] for row in rows] == table["age"].tolist()
    assert [row["rows/sex"].decode() for row in rows] == table["sex"].tolist()


def test_it_says_what_the_file_is_and_how_it_was_made(release: Release, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"age\n1\n")
    content = croissant_of(path, release.schema, release.statement, file_name="y.csv", rows=1, seed=77)
    assert json.loads(dump(content)) == content
    (file,) = content["distribution"]
    assert file["sha256"] == hashlib.sha256(b"age\n1\n").hexdigest()
    assert (file["contentSize"], file["contentUrl"], file["encodingFormat"]) == ("6 B", "y.csv", "text/csv")
    assert content["name"] == "y"
    assert "license" not in content
    assert "url" not in content
    promise = promise_of(release.statement)
    assert promise in content["description"]
    assert promise in content["rai:personalSensitiveInformation"]
    assert "seed 77" in content["rai:dataCollection"]
    assert "conditions" not in content["rai:dataCollection"]


KINDS = """
privacy_unit: row
columns:
  id: {kind: identifier, format: "K-####"}
  "a/b c?": {kind: integer, missing: true, lower: 0, upper: 9}
  level: {kind: ordinal, missing: false, values: [1, 2, 3], out_of_domain: clip}
  other: {kind: categorical, missing: false, values: [1, 2], other_label: 9}
  word: {kind: categorical, missing: false, values: [x, y], out_of_domain: clip}
  flag: {kind: boolean, missing: false}
  pay: {kind: real, missing: false, lower: 0, upper: 9, decimals: 1}
  day: {kind: date, missing: false, lower: 2020-01-01, upper: 2020-12-31}
  at: {kind: datetime, missing: false, lower: "2020-01-01 00:00:00", upper: "2020-01-02 00:00:00"}
"""


def test_every_kind_of_column_has_its_type_and_every_name_its_place(tmp_path: Path) -> None:
    schema = Schema.loads(KINDS)
    path = tmp_path / "x.csv"
    path.write_bytes(b"")
    content = croissant_of(path, schema, tiny().statement, file_name="x.csv", rows=0, seed=1)
    fields = content["recordSet"][0]["field"]
    assert {field["name"]: field["dataType"] for field in fields} == {
        "id": "sc:Text",
        "a/b c?": "sc:Integer",
        "level": "sc:Integer",
        "other": "sc:Integer",
        "word": "sc:Text",
        "flag": "sc:Boolean",
        "pay": "sc:Float",
        "day": "sc:Date",
        "at": "sc:DateTime",
    }
    assert fields[1]["@id"] == "rows/a%2Fb%20c%3F"
    assert fields[1]["source"]["extract"] == {"column": "a/b c?"}
    assert "may be missing" in fields[1]["description"]
    (tmp_path / "x.json").write_bytes(dump(content))
    issues_of(tmp_path / "x.json")
