"""A release whose model is a network: there and back, and what a forger of its tables meets."""

from __future__ import annotations

import io

import numpy as np
import pytest

import dpsynth
from dpsynth.data.codec import Codec
from dpsynth.data.layout import Layout
from dpsynth.errors import InputError, ReleaseError
from dpsynth.model.network import NetworkModel
from dpsynth.model.structure import fit_model, processing_of
from dpsynth.privacy.curator import Curator, Marginal
from dpsynth.privacy.guarantee import Guarantee
from dpsynth.privacy.sealed import CodedTable
from dpsynth.release.arrays import to_npy
from dpsynth.release.release import Release
from dpsynth.release.statement import Statement
from dpsynth.release.verify import verify
from dpsynth.schema import Schema
from tests.release.building import DTYPES, ROW, edited, members_of, rehashed, zipped


@pytest.fixture(scope="module")
def release():
    """Three columns that depend on each other, every pair measured, one of them in groups."""
    schema = Schema.loads(ROW)
    domain = Codec(schema).domain
    rng = np.random.default_rng(2)
    base = rng.random(5_000)
    codes = [
        np.minimum((base + rng.random(5_000) / 3) * s * 0.75, s - 1).astype(np.uint8) for s in domain.sizes
    ]
    guarantee = Guarantee(epsilon=20.0, delta=1e-6, unit="row", rows_per_unit=1)
    curator = Curator(CodedTable(domain, codes, rows_per_unit=1), guarantee)
    whole = [np.arange(s) for s in domain.sizes]
    share = curator.budget / 6
    one_ways = [
        curator.measure(Marginal((i,), (whole[i],)), budget=share, purpose="one-way marginals")
        for i in range(3)
    ]
    groups = (np.arange(domain.sizes[0]) // 2, *whole[1:])
    pairs = [
        curator.measure(Marginal((a, b), (groups[a], groups[b])), budget=share, purpose="pair marginals")
        for a, b in ((0, 1), (1, 2), (2, 0))
    ]
    model = fit_model(domain, one_ways, pairs)
    return Release(
        schema=schema,
        layout=Layout("pandas", DTYPES),
        model=model,
        measurements=(*one_ways, *pairs),
        statement=Statement.from_curator(curator, schema, "by-hand", processing=processing_of(model)),
    )


@pytest.fixture(scope="module")
def members(release, tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "x.dpsynth"
    release.save(path)
    return members_of(path)


@pytest.mark.parametrize("name", ["x.dpsynth", "folder"])
def test_a_network_comes_back_whole_and_draws_the_same_rows(tmp_path, release, name):
    assert isinstance(release.model, NetworkModel)
    release.save(tmp_path / name)
    again = dpsynth.load(tmp_path / name)
    assert isinstance(again.model, NetworkModel)
    assert again.model.tree == release.model.tree
    for a, b in zip(again.model.tables, release.model.tables, strict=True):
        np.testing.assert_array_equal(a, b)
    for method in ("systematic", "iid"):
        before = release.sample(300, seed=11, method=method)
        assert before.equals(again.sample(300, seed=11, method=method))
    columns = ["smoker", "age", "sex"]
    np.testing.assert_array_equal(release.marginal(columns), again.marginal(columns))
    report = verify(tmp_path / name)
    assert report.passed, str(report)


def test_the_same_network_gives_the_same_bytes(tmp_path, release):
    release.save(tmp_path / "a.dpsynth")
    dpsynth.load(tmp_path / "a.dpsynth").save(tmp_path / "b.dpsynth")
    assert (tmp_path / "a.dpsynth").read_bytes() == (tmp_path / "b.dpsynth").read_bytes()


def test_drawn_rows_follow_the_marginal(release):
    """10,000 rows; the pair is within 0.01 of total variation of what the release tells."""
    frame = release.sample(10_000, seed=3)
    codes = [frame["age"].to_numpy(), frame["sex"].map({"f": 0, "m": 1}).fillna(2).astype(int).to_numpy()]
    told = release.marginal(["age", "sex"])
    found = np.zeros(told.shape)
    np.add.at(found, tuple(codes), 1.0)
    assert np.abs(found / 10_000 - told / told.sum()).sum() / 2 < 0.01


def read(member):
    return np.load(io.BytesIO(member))


def forged(members, tmp_path, changes):
    """A release with other members and hashes that fit."""
    return zipped(rehashed({**members, **changes}), tmp_path / "x.dpsynth")


def clique(members):
    return read(members["model/clique_0.npy"])


@pytest.mark.parametrize(
    "forge",
    [
        lambda t: t * 2,
        lambda t: np.append(t, 0.0),
        lambda t: t[:-1],
        lambda t: np.where(np.arange(t.size) == 0, np.nan, t),
        lambda t: np.where(np.arange(t.size) == 0, -1.0, t),
        lambda t: np.rint(t).astype(np.int64),
    ],
)
def test_a_tampered_table_is_refused_even_with_hashes_that_fit(tmp_path, members, forge):
    path = forged(members, tmp_path, {"model/clique_0.npy": to_npy(forge(clique(members)))})
    with pytest.raises(ReleaseError, match=r"the model is not one|clique_0\.npy"):
        dpsynth.load(path)
    report = verify(path)
    assert "reading the model" in {check.name for check in report.failed}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cliques", [[0, 1, 3]]),
        ("cliques", [[0, 1]]),
        ("cliques", [[2, 1, 0]]),
        ("cliques", [[0, 1, 2], [0, 1, 2]]),
        ("cliques", [[0, 1, 2**62]]),
        ("cliques", [[-1, 0, 1, 2]]),
        ("cliques", [["0", 1, 2]]),
        ("cliques", 3),
        ("cliques", [3]),
        ("parents", [0]),
        ("parents", [-2]),
        ("parents", [None]),
        ("parents", [-1, 0]),
        ("parents", [2**62]),
        ("parents", {}),
        ("model", "tree"),
        ("model", "forest"),
    ],
)
def test_another_tree_is_refused(tmp_path, members, key, value):
    content = edited(members, "model.json", lambda meta: meta.update({key: value}))
    with pytest.raises(ReleaseError):
        dpsynth.load(zipped(rehashed(content), tmp_path / "x.dpsynth"))


@pytest.mark.parametrize("states", [[0, 1, 2**62], [0, 1, -1], [0, 1, 1], [1, 1, 1], [0, 1], [1, 2, 3]])
def test_other_states_are_refused(tmp_path, members, states):
    path = forged(members, tmp_path, {"model/states_1.npy": to_npy(np.array(states))})
    with pytest.raises(ReleaseError, match="the model is not one"):
        dpsynth.load(path)


def test_a_table_changed_without_its_hash_is_told(tmp_path, members):
    table = clique(members)
    forgery = {**members, "model/clique_0.npy": to_npy(table[::-1].copy())}
    path = zipped(forgery, tmp_path / "x.dpsynth")
    with pytest.raises(ReleaseError, match=r"clique_0\.npy was altered"):
        dpsynth.load(path)
    assert "files" in {check.name for check in verify(path).failed}


def test_a_pair_that_was_not_measured_fails_verification(tmp_path, members):
    """The edge's grouping is another than the measurement's; everything else still fits."""
    turn = np.array([1, 0, 2])
    table = read(members["model/estimate_2_table.npy"])[turn]
    changes = {"model/estimate_2_groups_0.npy": to_npy(turn), "model/estimate_2_table.npy": to_npy(table)}
    path = forged(members, tmp_path, changes)
    dpsynth.load(path)
    assert [check.name for check in verify(path).failed] == ["model was measured"]


def test_a_marginal_of_unknown_columns_is_an_input_error(release):
    with pytest.raises(InputError, match="never learned"):
        release.marginal(["key"])
