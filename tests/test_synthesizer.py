"""The whole road on small tables: what comes out, what is refused, and that neighbours look alike."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
import tracemalloc
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from dpsynth import Schema, Synthesizer, load, verify
from dpsynth.errors import BudgetRefusedError, DataError, GuaranteeError, InputError, SchemaError
from dpsynth.mechanisms import MECHANISMS, Mechanism
from dpsynth.mechanisms.mechanism import INSTEAD, Measured, one_way
from dpsynth.privacy.curator import Curator
from tests.mechanisms.harness import Replay, chain, random_table, script_noise

CANARY = "CANARY-77319"

SCHEMA = """
dpsynth: 1
privacy_unit: row
columns:
  town: {kind: categorical, values: [Ulm, Bonn, Kiel], missing: true, out_of_domain: missing}
  size: {kind: ordinal, values: [s, m, l], missing: false, out_of_domain: clip}
  member: {kind: boolean, missing: true, out_of_domain: missing}
  age: {kind: integer, lower: 0, upper: 99, edges: [20, 30, 40, 60, 80], missing: true, out_of_domain: clip}
  pay: {kind: real, lower: 0, upper: 100, decimals: 1, bins: 8, missing: false, out_of_domain: clip}
  born: {kind: date, lower: 1990-01-01, upper: 1999-12-31, bins: 10, missing: true, out_of_domain: missing}
  key: {kind: identifier, format: "K-#####"}
"""
NAMES = ["town", "size", "member", "age", "pay", "born", "key"]


def frame(rows=200, seed=0):
    rng = np.random.default_rng(seed)
    size = rng.integers(0, 3, rows)
    return pd.DataFrame(
        {
            "town": pd.array(np.array(["Ulm", "Bonn", "Kiel"])[rng.integers(0, 3, rows)], dtype="str"),
            "size": pd.array(np.array(["s", "m", "l"])[size], dtype="str"),
            "member": pd.array(rng.random(rows) < 0.3 + 0.2 * size, dtype="boolean"),
            "age": pd.array(20 + 20 * size + rng.integers(0, 20, rows), dtype="Int64"),
            "pay": np.round(10.0 * size + rng.random(rows) * 50, 1),
            "born": np.array([f"{1990 + y}-05-17" for y in rng.integers(0, 10, rows)], dtype="M8[us]"),
            "key": pd.array([f"K-{i:05d}" for i in range(rows)], dtype="str"),
        }
    )


def synthesizer(text=SCHEMA, **changes):
    return Synthesizer(Schema.loads(text), **{"epsilon": 1.0, "delta": 1e-9, **changes})


def files_of(release, folder):
    release.save(folder)
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# ---- what comes out -------------------------------------------------------------------------------


def as_kind(kind, table, folder):
    if kind == "pandas":
        return table
    if kind == "polars":
        return pl.from_pandas(table)
    if kind == "pyarrow":
        return pa.Table.from_pandas(table, preserve_index=False)
    path = folder / f"table.{kind}"
    (table.to_csv if kind == "csv" else table.to_parquet)(path, index=False)
    return path


@pytest.mark.parametrize("mechanism", sorted(MECHANISMS))
@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "csv", "parquet"])
def test_every_kind_of_table_comes_back_in_kind(kind, mechanism, tmp_path):
    data = as_kind(kind, frame(), tmp_path)
    release = synthesizer(mechanism=mechanism).fit(data)
    found = release.sample(50, seed=3)
    expected = {"polars": pl.DataFrame, "pyarrow": pa.Table}.get(kind, pd.DataFrame)
    assert isinstance(found, expected)
    names = found.column_names if kind == "pyarrow" else list(found.columns)
    assert names == NAMES
    if kind == "pandas":  # the schema decides where values could have decided the dtype
        decided = {"member": np.dtype(object), "age": np.dtype("float64")}
        assert found.dtypes.to_dict() == data.dtypes.to_dict() | decided
        pd.testing.assert_frame_equal(found, release.sample(50, seed=3))
    if kind == "polars":
        assert dict(found.schema) == {**data.schema, "born": pl.Date}
    if kind == "pyarrow":
        born = NAMES.index("born")
        assert found.schema.types[:born] == data.schema.types[:born]
        assert found.schema.types[born] == pa.date32()
    assert release.statement.spent <= release.statement.budget
    assert release.statement.epsilon_spent <= 1.0


def test_a_release_is_saved_loaded_verified_and_draws_the_same(tmp_path):
    release = synthesizer().fit(frame())
    release.save(tmp_path / "r.dpsynth")
    assert verify(tmp_path / "r.dpsynth").passed
    again = load(tmp_path / "r.dpsynth")
    pd.testing.assert_frame_equal(again.sample(80, seed=1), release.sample(80, seed=1))


def test_a_strong_dependence_survives():
    """epsilon 20, 4,000 rows: 'age' follows 'size' in every row, and does in nearly all drawn rows."""
    found = synthesizer(epsilon=20.0).fit(frame(4_000)).sample(4_000, seed=0)
    place = found["size"].map({"s": 0, "m": 1, "l": 2}).to_numpy(dtype=float)
    age = found["age"].to_numpy(dtype=float, na_value=np.nan)
    assert np.mean((age - 20) // 20 == place) > 0.95


ODD_FRAMES = {
    "no rows": lambda: frame(0),
    "one row": lambda: frame(1),
    "all missing": lambda: frame(50).assign(
        **{name: pd.array([None] * 50, dtype="object") for name in ("town", "age", "born")}
    ),
    "one value": lambda: frame(50).assign(town="Ulm", pay=1.0),
    "an index of texts": lambda: frame(30).set_index(pd.Index([CANARY] * 30)),
    "more columns than the schema": lambda: frame(30).assign(**{"free text": CANARY}),
    "columns in another order": lambda: frame(30)[NAMES[::-1]],
}


@pytest.mark.parametrize("case", sorted(ODD_FRAMES))
@pytest.mark.parametrize("mechanism", sorted(MECHANISMS))
def test_odd_tables_fit(case, mechanism, tmp_path):
    release = synthesizer(mechanism=mechanism).fit(ODD_FRAMES[case]())
    assert list(release.sample(20, seed=0).columns) == NAMES
    assert len(release.sample(seed=0)) == round(release.model.total)
    assert not any(CANARY.encode() in content for content in files_of(release, tmp_path / "r").values())


def test_progress_is_told_stage_by_stage():
    seen = {}
    synthesizer().fit(frame(), progress=lambda stage, done: seen.setdefault(stage, []).append(done))
    stages = list(seen)
    assert stages[0] == "reading rows"
    assert stages[-1] == "fitting the model"
    assert all(f == sorted(f) and f[0] >= 0 and f[-1] == 1 for f in seen.values())


def test_opendps_noise_is_accounted_in_zcdp():
    release = synthesizer(noise="opendp").fit(frame(100))
    assert release.statement.calculus == "zcdp"
    assert {type(e.act).__name__ for e in release.statement.entries} == {"DiscreteGaussian"}
    assert release.statement.epsilon_spent <= 1.0


# ---- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("epsilon", [0, 0.0, -1.0, math.nan, math.inf, -math.inf, "1", None, True, 1e9])
def test_an_epsilon_out_of_range_is_refused(epsilon):
    with pytest.raises(GuaranteeError, match="epsilon"):
        synthesizer(epsilon=epsilon)


@pytest.mark.parametrize("delta", [1, 1.0, -1e-9, 2.0, math.nan, math.inf, "1e-9", None])
def test_a_delta_out_of_range_is_refused(delta):
    with pytest.raises(GuaranteeError, match="delta"):
        synthesizer(delta=delta)


@pytest.mark.parametrize(
    ("mechanism", "message"),
    [("mts", "did you mean 'mst'"), ("", "is none of"), ("MST!", "none of")],
)
def test_an_unknown_mechanism_is_refused(mechanism, message):
    with pytest.raises(InputError, match=message):
        synthesizer(mechanism=mechanism)


def test_a_mechanism_that_cannot_be_a_name_is_refused():
    with pytest.raises(InputError, match="is none of"):
        synthesizer(mechanism=["mst"])


def test_an_unknown_noise_is_refused():
    with pytest.raises(InputError, match="neither 'exact' nor 'opendp'"):
        synthesizer(noise="none")


def test_what_is_marked_for_review_is_not_fitted_but_can_be_planned():
    text = SCHEMA.replace("lower: 0, upper: 99", "lower: !REVIEW 0, upper: 99")
    synth = synthesizer(text)
    assert "one-way marginals" in str(synth.plan())
    with pytest.raises(SchemaError, match=r"age\.lower"):
        synth.fit(frame())


def test_an_absent_column_is_refused_by_name_alone():
    table = frame().assign(town=CANARY).drop(columns="age")
    with pytest.raises(DataError, match="age") as caught:
        synthesizer().fit(table)
    assert CANARY not in str(caught.value)


def test_a_mechanism_that_overspends_is_refused_and_nothing_is_released():
    def greedy(curator, progress):
        query = one_way(curator.domain, 0)
        for _ in range(2):
            curator.measure(query, budget=curator.budget * Fraction(2, 3), purpose="greedy")
        return Measured((), ())

    mechanism = Mechanism(
        name="greedy", summary="asks too much", plan=MECHANISMS["independent"].plan, run=greedy
    )
    with pytest.raises(BudgetRefusedError, match="greedy asks"):
        synthesizer(mechanism=mechanism).fit(frame())


# ---- the plan -------------------------------------------------------------------------------------


def test_a_plan_shows_what_the_bound_costs_and_how_to_buy_what_it_loses():
    unit = SCHEMA.replace("privacy_unit: row", "privacy_unit: {column: who, max_rows: 4}")
    plan = synthesizer(unit).plan()
    bounds = {b.max_rows: b for b in plan.bounds}
    assert list(bounds) == [1, 2, 4, 5, 10]
    assert bounds[4].sigma == pytest.approx(plan.stages[0].sigma)
    assert bounds[4].useful_rows == plan.useful_rows
    for bound, cost in bounds.items():
        other = synthesizer(unit.replace("max_rows: 4", f"max_rows: {bound}")).plan()
        assert cost.sigma == pytest.approx(other.stages[0].sigma)
        assert cost.useful_rows == other.useful_rows
    text = str(plan)
    assert "the bound of 4 rows of one who multiplies all noise by 4" in text
    assert "4 (this plan)" in text
    assert "dpsynth suggest-max-rows DATA --unit who --epsilon E --delta D" in text
    assert [b["max_rows"] for b in plan.to_dict()["bounds"]] == [1, 2, 4, 5, 10]


def test_a_plan_of_single_rows_says_nothing_of_bounds():
    plan = synthesizer().plan()
    assert plan.bounds == ()
    assert "suggest-max-rows" not in str(plan)


def test_a_plan_says_all_and_is_plain_json():
    for noise in ("exact", "opendp"):
        plan = synthesizer(noise=noise).plan()
        content = json.loads(json.dumps(plan.to_dict()))
        assert sum(s["share"] for s in content["stages"]) == pytest.approx(1)
        assert sum(s["price"] for s in content["stages"]) == pytest.approx(content["budget"])
        text = str(plan)
        for stage in plan.stages:
            assert stage.purpose in text
        assert f"{plan.budget:.6g}" in text
        assert ("mu^2" in text) == (noise == "exact")


@pytest.mark.parametrize("mechanism", sorted(MECHANISMS))
@pytest.mark.parametrize("noise", ["exact", "opendp"])
def test_the_ledger_keeps_to_the_plan(mechanism, noise, monkeypatch):
    script_noise(monkeypatch, 6)
    synth = synthesizer(mechanism=mechanism, noise=noise)
    plan, entries = synth.plan(), synth.fit(frame()).statement.entries
    stages = {INSTEAD: plan.stages[-1]} | {s.purpose: s for s in plan.stages}
    for entry in entries:
        low, high = stages[entry.purpose].sigma
        assert low * (1 - 1e-9) <= getattr(entry.act, "sigma", 0) <= high * (1 + 1e-9)
    share, spent = 0.0, Fraction(0)
    for stage in plan.stages:
        own = [e for e in entries if stages[e.purpose] is stage]
        assert len(own) <= stage.acts
        share, spent = share + stage.share, spent + sum(e.price for e in own)
        assert float(spent) <= share * plan.budget * (1 + 1e-9)  # what one stage leaves, the next may take


@pytest.mark.parametrize("table", [chain(20_000, 8), random_table([3_000, 300, 40, 2, 9] * 2, 20_000)])
def test_a_fit_needs_no_more_memory_than_planned(table, monkeypatch):
    script_noise(monkeypatch, 0)
    domain, codes = table
    data = pd.DataFrame(dict(zip(domain.names, codes, strict=True)))
    synth = Synthesizer(
        Schema.from_domain(dict(zip(domain.names, domain.sizes, strict=True))), epsilon=1.0, delta=1e-9
    )
    plan = synth.plan()
    synth.fit(data[:100])  # lazy imports
    tracemalloc.start()
    synth.fit(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak <= plan.model_bytes + plan.row_bytes * len(data)


# ---- neighbours -----------------------------------------------------------------------------------

GARBAGE = [
    {},
    {"town": CANARY, "age": -(10**6), "pay": math.inf, "born": dt.date(1, 1, 1)},
    {"pay": math.nan, "member": True, "age": 10**15, "size": "", "key": CANARY},
]
WILD = [
    dict.fromkeys(NAMES),
    dict.fromkeys(NAMES, CANARY),
    dict.fromkeys(NAMES, math.nan),
    dict.fromkeys(NAMES, 10**400),
    {name: [1, [2]] for name in NAMES},
    dict.fromkeys(NAMES, b"\xff"),
    dict.fromkeys(NAMES, pd.NaT),
    dict.fromkeys(NAMES, object()),
]


def replay_fits(monkeypatch, synth, tables, folder, *, sensitivity=1):
    """Fit both with the first's noisy answers; the releases must be the same to the byte."""
    replay, releases = Replay(seed=1), []
    for data in tables:
        with monkeypatch.context() as patch:
            replay.install(patch)
            releases.append(synth.fit(data))
    replay.assert_neighbourly(sensitivity)
    one, two = releases
    assert one.statement.entries == two.statement.entries
    assert str(one.statement) == str(two.statement)
    assert repr(one) == repr(two)
    files = [files_of(r, folder / str(i)) for i, r in enumerate(releases)]
    assert files[0] == files[1]
    samples = [r.sample(seed=2) for r in releases]
    assert len(samples[0]) == round(one.model.total)
    pd.testing.assert_frame_equal(samples[0], samples[1])
    shown = [repr(two), str(two.statement), repr(two.statement), repr(two.measurements), repr(two.model)]
    assert CANARY not in "".join(shown)
    assert not any(CANARY.encode() in content for content in files[1].values())
    return replay


@pytest.mark.parametrize("mechanism", sorted(MECHANISMS))
@pytest.mark.parametrize("garbage", range(len(GARBAGE)))
def test_a_neighbours_release_is_the_same_to_the_byte(mechanism, garbage, monkeypatch, tmp_path):
    """One row more, ordinary or full of values that no schema foresaw, in a frame of the same dtypes."""
    table = frame(150)
    more = pd.concat([table, table[:1].assign(**GARBAGE[garbage])], ignore_index=True).astype(table.dtypes)
    replay = replay_fits(monkeypatch, synthesizer(mechanism=mechanism), (table, more), tmp_path)
    totals = [sum(int(c.exact.sum()) for c in calls[:1]) for calls in (replay.script, replay.calls)]
    assert totals == [150, 151]  # the replay did see two different tables


@pytest.mark.parametrize("wild", range(len(WILD)))
def test_a_row_of_any_objects_changes_no_outcome(wild, monkeypatch, tmp_path):
    table = frame(60).astype(object)
    more = pd.concat([table, pd.DataFrame([WILD[wild]], dtype=object)], ignore_index=True).astype(object)
    replay_fits(monkeypatch, synthesizer(), (table, more), tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        f"{CANARY},s,true,1,1,1990-01-01,K-1",
        ",,,,,,",
        "Ulm,s,maybe,1e999,-inf,0000-00-00,",
        f'"Ulm\n{CANARY}","s,s",nan,0x10,1_0,1990-02-30,"""',
        "Ulm\0,\ufeff,yes,1.0,\u0661,1990-01-01T00:00:00Z,K",
    ],
)
def test_a_line_of_any_text_changes_no_outcome(line, monkeypatch, tmp_path):
    text = frame(60).to_csv(index=False)
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    first.write_text(text, encoding="utf-8")
    second.write_text(text + line.replace('"""', '""""""') + "\n", encoding="utf-8")
    replay_fits(monkeypatch, synthesizer(), (first, second), tmp_path)


def test_a_unit_of_many_rows_is_bounded(monkeypatch, tmp_path):
    """A person with fifty rows comes or goes; counts move by the three rows that the schema admits."""
    text = SCHEMA.replace("privacy_unit: row", "privacy_unit: {column: person, max_rows: 3}")
    table = frame(120).assign(person=np.arange(120) // 2)
    crowd = frame(1).loc[np.zeros(50, dtype=int)].assign(person=999)
    more = pd.concat([table, crowd], ignore_index=True).astype(table.dtypes)
    replay = replay_fits(monkeypatch, synthesizer(text), (table, more), tmp_path, sensitivity=3)
    assert int(replay.calls[0].exact.sum()) == 123
    assert {e.act.sensitivity_squared for e in synthesizer(text).fit(table).statement.entries} >= {9}


def test_the_replay_would_notice_a_mechanism_that_looks(monkeypatch, tmp_path):
    """Guard of the guard: a mechanism that asks about a column only if the exact table has 151 rows."""

    def peeking(curator, progress):
        exact = curator._Curator__codes[0].size
        whole = one_way(curator.domain, 0)
        fractions = (Fraction(1, 2), Fraction(1, 4)) if exact > 150 else (Fraction(1, 4), Fraction(1, 2))
        for part in fractions:
            curator.measure(whole, budget=curator.budget * part, purpose="peek")
        return MECHANISMS["independent"].run(curator, progress)

    mechanism = Mechanism(name="peek", summary="looks", plan=MECHANISMS["independent"].plan, run=peeking)
    table = frame(150)
    with pytest.raises(AssertionError):
        replay_fits(
            monkeypatch,
            synthesizer(mechanism=mechanism),
            (table, pd.concat([table, table[:1]], ignore_index=True).astype(table.dtypes)),
            tmp_path,
        )


def test_an_error_within_the_door_shows_no_counts(monkeypatch):
    """Whatever fails while counts are in hand, the error's text and its frames hold none of them."""

    def broken(size, sigma):
        raise MemoryError("no room")

    monkeypatch.setattr("dpsynth.privacy.noise.rounded_gaussian", broken)
    with pytest.raises(MemoryError) as caught:
        synthesizer().fit(frame(150))
    link = caught.value.__traceback__
    while link is not None:
        local = link.tb_frame.f_locals if link.tb_frame.f_code.co_filename.endswith("curator.py") else {}
        assert not any(isinstance(v, np.ndarray) and re.search("count|exact", k) for k, v in local.items())
        link = link.tb_next


def test_no_other_method_lets_counts_out():
    """The replay freezes measure and score; this is the list it rests on."""
    doors = {n for n in vars(Curator) if not n.startswith("_")}
    assert doors == {
        *("backend", "budget", "calculus", "delta_aside", "domain", "entries", "guarantee", "left", "spent"),
        *("close", "measure", "score", "select"),
    }


@pytest.mark.parametrize("noise", ["exact", "opendp"])
@pytest.mark.parametrize("mechanism", [None, "independent", "mst", "privbayes"])
def test_pure_epsilon_end_to_end(mechanism, noise, tmp_path):
    """delta 0: planned, fitted, stated, saved, read and verified without any delta."""
    synth = synthesizer(epsilon=2.0, delta=0, mechanism=mechanism, noise=noise)
    plan = synth.plan(rows=10**6)
    assert (plan.calculus, plan.budget, plan.mechanism) == ("pure", 2.0, mechanism or "mst")
    assert "budget epsilon = 2" in str(plan)
    release = synth.fit(frame())
    statement = release.statement
    assert (statement.calculus, statement.guarantee.delta) == ("pure", 0)
    assert statement.epsilon_spent <= 2.0
    assert statement.spent >= Fraction(999, 1000) * 2
    release.save(tmp_path / "r.dpsynth")
    report = verify(tmp_path / "r.dpsynth")
    assert report.passed, str(report)
    assert load(tmp_path / "r.dpsynth").sample(20, seed=1).shape[0] == 20


@pytest.mark.parametrize("mechanism", ["oneshot", "aim", "fixed"])
def test_what_needs_a_delta_is_refused_under_pure_epsilon(mechanism):
    with pytest.raises(InputError, match=r"needs a delta above 0; .* one of mst, privbayes, independent"):
        synthesizer(delta=0, mechanism=mechanism)


def test_the_default_mechanism_follows_delta():
    assert synthesizer(mechanism=None).mechanism.name == "oneshot"
    assert synthesizer(mechanism=None, delta=0).mechanism.name == "mst"
    with pytest.raises(InputError, match="'mst' takes no seconds"):
        synthesizer(mechanism=None, delta=0, seconds=1.0)


@pytest.mark.parametrize("delta", [1e-6, 0])
def test_a_replaced_unit_is_planned_and_stated(delta, tmp_path):
    options = {"epsilon": 2.0, "delta": delta, "mechanism": "mst"}
    usual = synthesizer(**options).plan()
    synth = synthesizer(adjacency="replace-one", **options)
    plan = synth.plan()
    factor = 2 if delta == 0 else 2**0.5
    assert plan.stages[0].sigma == pytest.approx([factor * s for s in usual.stages[0].sigma], rel=0.2)
    assert plan.useful_rows == pytest.approx(factor * usual.useful_rows, rel=0.05)
    assert plan.to_dict()["adjacency"] == "replace-one"
    assert "adjacency" not in usual.to_dict()
    assert "multiplies the noise of counts by" in str(plan)
    assert "replaced" not in str(usual)
    release = synth.fit(frame())
    assert release.statement.guarantee.adjacency == "replace-one"
    release.save(tmp_path / "r.dpsynth")
    assert verify(tmp_path / "r.dpsynth").passed


def test_an_adjacency_has_two_names():
    with pytest.raises(GuaranteeError, match="neither 'add-remove' nor 'replace-one'"):
        synthesizer(adjacency="swap")
