"""No canary leaves: they are planted in every kind of column, in the unit's and beside them.

The planting and the search are those of ``python -m benchmarks reliability``, at a smaller size.
"""

from __future__ import annotations

import gzip
import io
import logging
import os
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks import leaks
from benchmarks.canary import DAY, HOSTILE, LONG, NUMBER, REAL, TEXT, UNIT, Haul, schema, spoken, tables
from dpsynth.cli import app
from dpsynth.data import open_source
from dpsynth.errors import DataError


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    return folder, tables(folder)


@pytest.fixture(autouse=True)
def _no_tracebacks(monkeypatch):
    monkeypatch.delenv("DPSYNTH_TRACEBACK", raising=False)


# ---- guards of the guard ---------------------------------------------------------------------------


def test_canaries_lie_outside_the_public_domain(planted):
    public = Haul()
    public.add("schema", schema().to_yaml())
    public.add("schema", repr(schema()))
    assert public.found == []
    for kind, data in planted[1].items():
        source, haul = open_source(data), Haul()
        for name in ("who", "note", "integer_clip", "real_missing"):
            haul.add(name, repr(source.column(name).tolist()))
        assert haul.found, kind
    assert {TEXT, LONG, NUMBER, REAL, DAY} <= {
        c for c in HOSTILE if isinstance(c, (str, int, float, type(DAY)))
    }


def archived(content):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner", content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "piece",
    [
        f"some {TEXT} in a line",
        UNIT.encode("utf-16-le"),
        np.array([TEXT]).tobytes(),
        LONG[24:60],
        f"a count of {NUMBER:,}",
        repr(float(NUMBER)),
        np.array([1, NUMBER]).tobytes(),
        np.array([0.5, REAL]).tobytes(),
        str(REAL),
        repr({"born": DAY}),
        f"{DAY}",
        np.array(["1843-07-29T03:14:15"], dtype="M8[us]").tobytes(),
        archived(TEXT),
        archived(archived(np.array([NUMBER]).tobytes())),
    ],
)
def test_the_search_sees_a_canary_in_every_form(piece):
    haul = Haul()
    haul.add("here", piece)
    assert haul.found
    assert haul.scanned > 0


def test_the_search_hears_what_is_printed_logged_and_warned_of():
    for say in (
        lambda: sys.stdout.write(TEXT),
        lambda: sys.stderr.write(TEXT),
        lambda: os.write(2, TEXT.encode()),
        lambda: logging.getLogger("elsewhere").debug("a cell: %s", TEXT),
        lambda: warnings.warn(TEXT, UserWarning, stacklevel=1),
    ):
        haul = Haul()
        with haul.listening("here"):
            say()
        assert haul.found, say


def test_the_search_sees_what_an_error_keeps(tmp_path):
    (tmp_path / TEXT).write_text("named after a cell")
    haul = Haul()
    haul.add_files(tmp_path)
    assert haul.found

    def raised():
        try:
            {}[TEXT]
        except KeyError:
            raise DataError("nothing to see") from None

    with pytest.raises(DataError) as caught:
        raised()
    assert any(TEXT in piece for piece in spoken(caught.value))
    noted = DataError("nothing to see")
    noted.add_note(TEXT)
    assert any(TEXT in piece for piece in spoken(noted))


def test_the_search_sees_a_local_variable_of_a_frame_of_dpsynth(planted, monkeypatch):
    """``open_source`` without its guard keeps what it was given in its frame."""
    with pytest.raises(DataError) as caught:
        open_source.__wrapped__.__wrapped__([TEXT])
    assert any(TEXT in piece for piece in spoken(caught.value))
    with pytest.raises(DataError) as caught:
        open_source([TEXT])
    assert not any(TEXT in piece for piece in spoken(caught.value))


# ---- what leaves -----------------------------------------------------------------------------------


def test_nothing_that_a_bought_domain_leaves_holds_a_canary(planted, tmp_path):
    """A canary that stands in few rows is found by thresholding with a probability below 1e-9."""
    haul = Haul()
    assert leaks.purchases(haul, planted[1], tmp_path) == len(planted[1])
    assert haul.found == []
    assert haul.scanned > 100_000


def test_nothing_that_a_fit_leaves_holds_a_canary(planted, tmp_path):
    haul = Haul()
    assert leaks.fits(haul, planted[1], tmp_path, ("independent",)) == len(planted[1]) >= 11
    assert haul.found == []
    assert haul.scanned > 200_000


def test_nothing_that_holds_rows_shows_them_or_is_pickled(planted):
    haul = Haul()
    assert leaks.objects(haul, planted[1]) >= 15 * len(planted[1])
    assert haul.found == []


def test_no_failure_shows_or_keeps_a_canary(planted):
    haul = Haul()
    folder, sources = planted
    assert leaks.failures(haul, sources, folder) >= 60
    assert haul.found == []


def test_no_command_shows_or_leaves_a_canary(planted, tmp_path, monkeypatch):
    for file in planted[0].glob("planted.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    whole = (tmp_path / "planted.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    assert TEXT in gzip.decompress((tmp_path / "planted.csv.gz").read_bytes()).decode()
    monkeypatch.chdir(tmp_path)

    def command(arguments):
        result = CliRunner().invoke(app, arguments)
        return result.exit_code, result.output.encode()

    haul = Haul()
    assert leaks.commands(haul, tmp_path, command) >= 38
    assert haul.found == []
    assert Path("out.csv").stat().st_size > 500
    assert Path("booked.dpsynth").is_file()
