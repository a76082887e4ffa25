"""Values never decide whether a fit succeeds, what it asks or what it writes, however absurd the table.

Each table is fitted with the noisy answers of the first one given again. Then all that may differ is what
looks at rows outside the door; nothing does, so the releases are equal to the byte, whatever the rows hold.
"""

from __future__ import annotations

import pandas as pd
import pytest

from benchmarks.canary import HOSTILE, TEXT, schema, tables
from dpsynth import DpsynthError, Schema, Synthesizer, suggest_max_rows
from dpsynth.mechanisms import MECHANISMS
from tests.mechanisms.harness import Replay

NAMES = [*schema().columns, "who"]
FEW = ("categorical_other", "boolean_clip", "integer_missing", "real_clip", "date_missing")


def frames():
    """Tables of one layout: plain, and with rows that no schema foresaw, and of no row at all."""
    from benchmarks.canary import hostile_frames

    wild = next(hostile_frames())[NAMES]
    plain = wild[: len(wild) - len(HOSTILE)]
    hostile = wild[len(plain) :]
    yield "plain", plain
    yield "no rows", plain[:0]
    yield "one row", plain[:1]
    yield "one unit fewer", plain[plain["who"] != "p3"]
    yield "one unit of many rows", pd.concat([plain, *[plain[:1].assign(who="crowd")] * 400])
    yield "nobody's rows", plain.assign(who=None)
    yield "one unit", plain.assign(who=TEXT)
    yield "hostile rows alone", hostile
    yield "everything missing", plain.assign(**dict.fromkeys(NAMES))
    for place in range(len(HOSTILE)):
        yield f"hostile row {place}", pd.concat([plain, hostile[place : place + 1]])
    for name in NAMES:
        yield f"hostile column {name}", plain.assign(**{name: hostile[name].tolist()[:1] * len(plain)})


def outcome(synth, data, replay, monkeypatch, folder):
    """Fit, save and sample; return what came of it: an error's class and text, or all that is public."""
    with monkeypatch.context() as patch:
        replay.install(patch)
        try:
            release = synth.fit(data)
        except DpsynthError as error:
            return type(error), str(error)
    release.save(folder / "release")
    files = {f.name: f.read_bytes() for f in sorted((folder / "release").rglob("*")) if f.is_file()}
    return release.statement.entries, files, str(release.sample(20, seed=3))


def narrow():
    """The schema without most of its columns."""
    content = schema().to_dict()
    return Schema.from_dict({**content, "columns": {name: content["columns"][name] for name in FEW}})


def same(synth, chosen, monkeypatch, folder):
    """Check that all these tables have the outcome of the first."""
    replay, first = Replay(seed=2), None
    for name, table in chosen:
        found = outcome(synth, table.reset_index(drop=True).astype(object), replay, monkeypatch, folder)
        first = first or found
        assert isinstance(found[0], tuple), found
        assert found == first, name


def test_every_table_has_the_same_outcome(monkeypatch, tmp_path):
    chosen = list(frames())
    assert len(chosen) > 50
    same(
        Synthesizer(schema(), epsilon=3.0, delta=1e-9, mechanism="independent"), chosen, monkeypatch, tmp_path
    )


@pytest.mark.parametrize("mechanism", sorted(set(MECHANISMS) - {"independent"}))
def test_every_mechanism_has_the_same_outcome(mechanism, monkeypatch, tmp_path):
    chosen = [(n, t) for n, t in frames() if n in {"plain", "no rows", "one unit", "hostile rows alone"}]
    assert len(chosen) == 4
    same(Synthesizer(narrow(), epsilon=3.0, delta=1e-9, mechanism=mechanism), chosen, monkeypatch, tmp_path)


def test_every_kind_of_source_has_the_same_acts(monkeypatch, tmp_path):
    """Same number and shape of acts; layouts differ, and are public."""
    synth = Synthesizer(narrow(), epsilon=3.0, delta=1e-9, mechanism="mst")
    replay, first = Replay(seed=2), None
    for kind, table in tables(tmp_path).items():
        entries, *_ = outcome(synth, table, replay, monkeypatch, tmp_path)
        assert isinstance(entries, tuple), kind
        first = first or entries
        assert entries == first, kind


def test_every_table_has_its_rows_per_unit_told_at_the_same_price():
    said = set()
    for _, table in list(frames())[:20]:
        found = suggest_max_rows(table.astype(object), "who", epsilon=0.5, delta=1e-9)
        said.add((found.entries, len(found.counts), found.sigma, len(found.effects)))
    assert len(said) == 1


def test_a_difference_would_be_noticed(monkeypatch, tmp_path):
    """Guard of the guard: another schema, hence other acts and other files."""
    replay, table = Replay(seed=2), dict(frames())["plain"].astype(object)
    one = outcome(
        Synthesizer(schema(2), epsilon=3.0, delta=1e-9, mechanism="independent"),
        *(table, replay, monkeypatch, tmp_path),
    )
    two = outcome(
        Synthesizer(schema(3), epsilon=3.0, delta=1e-9, mechanism="independent"),
        *(table, replay, monkeypatch, tmp_path),
    )
    assert one[0] != two[0]
    assert one[1] != two[1]
    refused = outcome(
        Synthesizer(schema(2), epsilon=3.0, delta=1e-9, mechanism="independent"),
        *(table.drop(columns="who"), Replay(), monkeypatch, tmp_path),
    )
    assert issubclass(refused[0], DpsynthError)
