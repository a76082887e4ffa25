"""Tables by name, by path and from raw files; environments; the rendered comparison."""

from __future__ import annotations

import json
import sys

import pandas as pd
import pytest

from benchmarks import environments
from benchmarks.environments import EnvironmentFailed, interpreter, python_of
from benchmarks.methods import PEERS, Peer
from benchmarks.peers_table import comparison, summary
from benchmarks.tables import Table


def test_an_unknown_table_is_answered_with_the_known_ones():
    with pytest.raises(SystemExit, match=r"no table is called 'adlt'; there are adult_coded14, .*, msnbc"):
        Table.load("adlt")


def test_a_folder_needs_both_files(tmp_path):
    (tmp_path / "data.csv").write_text("a\n0\n")
    with pytest.raises(SystemExit, match=r"has not both data\.csv and domain\.json"):
        Table.load(str(tmp_path))


@pytest.mark.parametrize(
    ("rows", "domain", "message"),
    [
        ("a\n0\n2\n", {"a": 2}, r"column 'a' has values that are not codes 0\.\.1"),
        ("a\n0\n0.5\n", {"a": 2}, r"not codes 0\.\.1"),
        ("a\n0\n", {"b": 2}, "name different columns"),
    ],
)
def test_files_that_disagree_are_refused(tmp_path, rows, domain, message):
    (tmp_path / "data.csv").write_text(rows)
    (tmp_path / "domain.json").write_text(json.dumps(domain))
    with pytest.raises(SystemExit, match=message):
        Table.load(str(tmp_path))


def test_a_raw_table_is_coded_by_the_codec():
    frame = pd.DataFrame({"age": [20, 30, 25, 90] * 5, "sex": ["f", "m", None, "f"] * 5})
    table = Table.encode("raw", frame)
    assert list(table.frame) == ["age", "sex"]
    assert table.frame["sex"].nunique() == 3
    assert "age" in table.ordered
    assert "sex" not in table.ordered
    for column, size in zip(table.frame, table.sizes, strict=True):
        assert table.frame[column].between(0, size - 1).all()


def test_the_tables_of_the_benchmark_load(real_data):
    real_data("titanic/data.csv")
    table = Table.load("titanic")
    assert (len(table.frame), len(table.sizes)) == (1304, 9)
    assert table.ordered == [c for c in table.frame if c in ("Age", "SibSp", "Parch", "Fare")]


def test_dpsynth_runs_where_the_benchmark_runs(tmp_path):
    assert python_of(PEERS["dpsynth"], tmp_path) == sys.executable


def test_a_checkout_must_be_named_and_be_there(tmp_path, monkeypatch):
    peer = PEERS["private-pgm"]
    monkeypatch.delenv("DPSYNTH_PRIVATE_PGM", raising=False)
    with pytest.raises(EnvironmentFailed, match=r"set DPSYNTH_PRIVATE_PGM to a checkout of github\.com/ryan"):
        python_of(peer, tmp_path)
    monkeypatch.setenv("DPSYNTH_PRIVATE_PGM", str(tmp_path / "nowhere"))
    with pytest.raises(EnvironmentFailed, match="DPSYNTH_PRIVATE_PGM names no folder"):
        python_of(peer, tmp_path)


def test_an_environment_is_made_once_and_again_when_its_needs_change(tmp_path, monkeypatch):
    calls = []

    def call(command):
        calls.append(command)
        if "venv" in command:
            python = tmp_path / "a-b" / "bin"
            python.mkdir(parents=True, exist_ok=True)
            (python / "python").touch()

    monkeypatch.setattr(environments, "_call", call)
    monkeypatch.setattr(sys, "platform", "linux")
    for requirements in (("x==1",), ("x==1",), ("x==2",)):
        python_of(Peer("a/b", "a", requirements), tmp_path)
    assert [c[-1] for c in calls] == [str(tmp_path / "a-b"), "x==1", str(tmp_path / "a-b"), "x==2"]


def test_what_pip_complains_of_is_passed_on():
    code = "import sys; sys.exit('a\\nERROR: No matching distribution\\nb')"
    with pytest.raises(EnvironmentFailed, match=r"^ERROR: No matching distribution$"):
        environments._call([sys.executable, "-c", code])


def test_a_python_new_enough_is_found_or_asked_for(tmp_path, monkeypatch):
    assert interpreter((3, 11)) == sys.executable
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    with pytest.raises(EnvironmentFailed, match=r"needs Python 3\.90 or newer"):
        interpreter((3, 90))


@pytest.mark.parametrize(
    ("platform", "variables", "end"),
    [
        ("linux", {"XDG_CACHE_HOME": "/c"}, "/c/dpsynth-benchmarks"),
        ("darwin", {}, "Library/Caches/dpsynth-benchmarks"),
        ("win32", {"LOCALAPPDATA": "/l"}, "/l/dpsynth-benchmarks"),
    ],
)
def test_environments_are_kept_out_of_the_project(monkeypatch, platform, variables, end):
    monkeypatch.setattr(sys, "platform", platform)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert environments.cache().as_posix().endswith(end)


def record(method, *, ways=None, trial=0, status="done", **values):
    base = {
        "table": "t", "epsilon": 1.0, "delta": 1e-9, "method": method, "ways": ways, "trial": trial,
        "rows": 1000, "columns": 5, "limit_seconds": 600.0, "status": status, "wall_seconds": 7.0,
        "cpu_seconds": 6.0, "peak_mb": 1500.0,
    }  # fmt: skip
    if status == "done":
        base |= {"tvd1": 0.01, "tvd2": 0.02, "tvd3": 0.04, "workload_error": 0.08}
        base |= {"seconds": 2.0, "import_seconds": 0.5, "versions": {"x": "1"}, "notes": []}
    return {**base, **values}


def test_the_comparison_shows_means_ratios_failures_and_caveats():
    text = comparison(
        [
            record("dpsynth:oneshot"),
            record("dpsynth:oneshot", trial=1, tvd2=0.04, seconds=4.0),
            record(
                "google/dpsynth:aim",
                ways=2,
                tvd2=0.06,
                seconds=300.0,
                cpu_seconds=60.0,
                notes=["it was mended"],
            ),
            record("dpmm:aim", ways=2, status="time limit"),
            record("opendp:mst", status="failed", error="Oops | no"),
        ]
    )
    lines = text.splitlines()
    assert "**t**, 1,000 rows, 5 columns, epsilon 1, delta 1e-09" in lines
    assert (
        "| dpsynth `oneshot`, 2 runs | 0.0100 | 0.0300 | 0.0400 | 0.080 | 3.0 | 6.0 | 0.5 | 1,500 MB |"
        in lines
    )
    assert (
        "| google/dpsynth `aim` [1] | 0.0100 | 0.0600 (2.00x) | 0.0400 (1.00x) | 0.080 | 300.0 "
        "| 60.0 (10x) | 0.5 | 1,500 MB |" in lines
    )
    assert (
        "| dpmm `aim` [2] | not done when ended after 0.1 minutes of processor time |  |  |  |  | 6.0 |  "
        "| 1,500 MB |" in lines
    )
    assert "| opendp `mst` | failed: Oops / no |  |  |  |  | 6.0 |  | 1,500 MB |" in lines
    assert any(line.startswith("- [1] its selection treats the score as monotone") for line in lines)
    assert "- google/dpsynth: it was mended." in lines
    order = [text.index(name) for name in ("dpsynth `oneshot`", "google/dpsynth `aim`", "dpmm `aim`")]
    assert order == sorted(order)


def test_a_mechanism_without_a_workload_stands_beside_every_workload():
    text = comparison([record("dpsynth:mst"), record("dpmm:aim", ways=2), record("dpmm:aim", ways=3)])
    pairs, triples = text.split("### Workload: all triples")
    assert "dpsynth `mst`" in pairs
    assert "dpsynth `mst`" in triples.split("What a program spends")[0]


def test_a_table_where_nobody_was_told_a_workload_stands_once():
    text = comparison([record("dpsynth:mst", table="alone"), *(record("dpmm:aim", ways=k) for k in (2, 3))])
    assert text.count("**alone**") == 1
    assert text.index("**alone**") < text.index("### Workload: all triples")


def test_every_revision_that_was_measured_is_named():
    runs = [record("dpsynth:mst", trial=i, versions={"revision": v}) for i, v in enumerate("abb")]
    assert "Versions: dpsynth (revision a and b)." in comparison(runs)


def test_a_run_that_failed_among_others_is_counted():
    failed = record("dpmm:mst", trial=2, status="failed", error="x")
    text = summary([record("dpmm:mst"), record("dpmm:mst", trial=1), failed], "t")
    assert "dpmm `mst` [2], 2 of 3 runs" in text


def test_without_results_the_page_says_how_to_get_some():
    assert "python -m benchmarks run" in comparison([])
    assert "python -m benchmarks run" in summary([])
