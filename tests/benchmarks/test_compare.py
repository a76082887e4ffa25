"""A program that succeeds, crashes, hangs, dies or writes nonsense is recorded as what it did."""

from __future__ import annotations

import itertools
import json
import re
import sys

import numpy as np
import pandas as pd
import pytest

from benchmarks import compare
from benchmarks.__main__ import main
from benchmarks.compare import SUITES, Run, measure, planned, reason, with_choices
from benchmarks.environments import EnvironmentFailed
from benchmarks.methods import METHODS, PEERS, Method, Peer, chosen
from benchmarks.tables import Table

FAKE = """
import json, os, shutil, signal, sys, time
table, domain, out = sys.argv[1:4]
mechanism = sys.argv[sys.argv.index("--mechanism") + 1]
if mechanism == "crashes":
    raise RuntimeError(f"cannot open {out}: too bad")
if mechanism == "hangs":
    if os.fork() == 0:
        time.sleep(60)
    time.sleep(60)
while mechanism == "spins":
    pass
if mechanism == "dies":
    os.kill(os.getpid(), signal.SIGKILL)
if mechanism == "eats":
    eaten = bytearray(200_000_000)
    for i in range(0, len(eaten), 4096):
        eaten[i] = 1
lines = open(table).read().splitlines()
writes = {
    "exceeds": [*lines[:-1], "9,0,0"],
    "fractions": [*lines[:-1], "0.5,0,0"],
    "forgets": ["x,b,c", *lines[1:]],
    "nothing": lines[:1],
    "words": [*lines[:-1], "one,0,0"],
}
if mechanism != "silent":
    open(out, "w").write("\\n".join(writes.get(mechanism, lines)))
if mechanism == "mumbles":
    print("all is well")
else:
    print("noise before")
    said = {"import_seconds": 0.5, "fit_seconds": 2.0, "sample_seconds": 1.0, "rows": len(lines) - 1}
    told = sys.argv[sys.argv.index("--ways") + 1] if "--ways" in sys.argv else None
    print(json.dumps({**said, "versions": {"fake": "1"}, "notes": [f"told {told}"]}))
"""


@pytest.fixture
def table(tmp_path):
    """A coded table in a folder, as a user would bring one."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({c: rng.integers(0, s, 50) for c, s in (("a", 2), ("b", 3), ("c", 4))})
    place = tmp_path / "mine"
    place.mkdir()
    frame.to_csv(place / "data.csv", index=False)
    (place / "domain.json").write_text(json.dumps({"a": 2, "b": 3, "c": 4}))
    return Table.load(str(place))


@pytest.fixture
def tried(tmp_path, table):
    """Return a function that has the made-up program do something, and returns the record."""
    (tmp_path / "fake.py").write_text(FAKE)
    peer = Peer("fake", "fake")

    def go(mechanism, seconds=30.0, ways=None, cpus=()):
        method = Method(peer, mechanism, adaptive=ways is not None)
        task = Run(method, table.name, 1.0, 1e-9, ways, 0)
        work = tmp_path / "mine"
        return measure(
            task, table, work, python=sys.executable, seconds=seconds, cpus=cpus, adapters=tmp_path
        )

    return go


def test_a_success_has_errors_times_and_conditions(tried):
    record = tried("fine")
    assert record["status"] == "done"
    assert [record[f"tvd{k}"] for k in (1, 2, 3)] == [0, 0, 0]
    assert record["workload_error"] == 0
    assert (record["seconds"], record["import_seconds"], record["rows_out"]) == (3.0, 0.5, 50)
    assert record["cpu_seconds"] > 0
    assert record["wall_seconds"] < 30
    assert 3 < record["peak_mb"] < 100
    assert (record["table"], record["method"]) == ("mine", "fake:fine")
    assert (record["epsilon"], record["trial"]) == (1.0, 0)
    assert (record["rows"], record["columns"], record["versions"]["fake"]) == (50, 3, "1")
    assert record["notes"] == ["told None"]


def test_a_workload_reaches_who_takes_one(tried):
    assert tried("fine", ways=3)["notes"] == ["told 3"]


def test_memory_is_the_program_s_own(tried):
    """The benchmark's own process, which is larger, is not counted; what the program touches is."""
    own = bytearray(300_000_000)
    own[::4096] = b"x" * len(own[::4096])
    assert tried("fine")["peak_mb"] < 100
    assert 200 < tried("eats")["peak_mb"] < 300


def test_a_crash_is_recorded_with_its_reason_and_no_path(tried, tmp_path):
    record = tried("crashes")
    assert record["status"] == "failed"
    assert record["error"] == "RuntimeError: cannot open synthetic.csv: too bad"
    assert "tvd1" not in record
    assert str(tmp_path) not in json.dumps(record)


def test_a_program_that_hangs_is_ended_with_all_it_started(tried):
    record = tried("hangs", seconds=0.5)
    assert record["status"] == "time limit"
    assert 1.5 <= record["wall_seconds"] < 15
    assert record["limit_seconds"] == 0.5


def test_a_program_that_computes_for_too_long_is_ended(tried):
    record = tried("spins", seconds=1.0, cpus=(0,))
    assert record["status"] == "time limit"
    assert 0.5 <= record["cpu_seconds"] < 2.5


def test_a_killed_program_is_recorded(tried):
    assert tried("dies")["error"] == "ended by signal 9"


@pytest.mark.parametrize(
    ("mechanism", "error"),
    [
        ("exceeds", "column 'a' has 1 values outside 0..1"),
        ("fractions", "column 'a' has 1 values outside 0..1"),
        ("words", "column 'a' has 1 values outside 0..1"),
        ("forgets", "column 'a' is absent"),
        ("nothing", "the table has no rows"),
        ("silent", "no table could be read: FileNotFoundError"),
        ("mumbles", "the adapter's report could not be read"),
    ],
)
def test_a_broken_table_is_recorded_as_such(tried, mechanism, error):
    record = tried(mechanism)
    assert (record["status"], record["error"]) == ("broken output", error)


def test_an_earlier_table_is_not_taken_for_a_later_one(tried):
    assert tried("fine")["status"] == "done"
    assert tried("silent")["status"] == "broken output"


@pytest.mark.skipif(not hasattr(__import__("os"), "sched_getaffinity"), reason="this platform cannot pin")
def test_a_run_is_held_to_the_processors_it_is_given(tried):
    assert tried("fine", cpus=(0,))["machine"]["cores_used"] == 1


@pytest.mark.parametrize(
    ("stderr", "said"),
    [
        ("Traceback\n  File x\nValueError: no\n", "ValueError: no"),
        ("warning: a\nmbi.SomeError: /home/me/x/y.py is bad\nbye", "mbi.SomeError: y.py is bad"),
        ('opendp.mod.OpenDPException: \n  FailedFunction("no budget")\n")\n', 'FailedFunction("no budget")'),
        (r"OSError: C:\Users\me\a.csv", "OSError: a.csv"),
        ("", "it said nothing"),
        ("just a line", "just a line"),
    ],
)  # fmt: skip
def test_the_reason_is_the_telling_line_without_paths(stderr, said):
    assert reason(stderr) == said


@pytest.fixture
def harness(tmp_path, monkeypatch, table):
    """The whole harness with the made-up program for the real ones; gives ``run`` and what it ran."""
    (tmp_path / "fake.py").write_text(FAKE)
    peer = Peer("fake", "fake")
    methods = [Method(peer, "fine"), Method(peer, "crashes"), Method(peer, "told", adaptive=True)]
    ran = []

    def spy(task, *args, **options):
        ran.append(task)
        return measure(task, *args, **options, adapters=tmp_path)

    monkeypatch.setattr(compare, "measure", spy)
    suite = with_choices(SUITES["quick"], tables=(str(tmp_path / "mine"),), ways=(2, 3))

    def go(**options):
        return compare.run(suite, methods, out=tmp_path / "out", environments=tmp_path, **options)

    return go, ran, tmp_path / "out"


def test_records_are_kept_and_what_is_done_is_not_done_again(harness):
    go, ran, out = harness
    made = go()
    assert [(t.method.mechanism, t.ways) for t in ran] == [
        ("fine", None), ("crashes", None), ("told", 2), ("told", 3),
    ]  # fmt: skip
    assert compare.kept(out) == made
    assert go() == []
    assert len(ran) == 4
    again = go(fresh=True)
    assert len(ran) == 8
    assert compare.kept(out) == again


def test_a_stop_keeps_what_was_done(harness, monkeypatch):
    go, ran, out = harness
    spy = compare.measure

    def stopped(task, *args, **options):
        if len(ran) == 2:
            raise KeyboardInterrupt
        return spy(task, *args, **options)

    monkeypatch.setattr(compare, "measure", stopped)
    with pytest.raises(KeyboardInterrupt):
        go()
    assert len(compare.kept(out)) == 2
    monkeypatch.setattr(compare, "measure", spy)
    go()
    assert len(compare.kept(out)) == len(ran) == 4


def test_a_program_that_cannot_run_here_is_left_out_and_named(harness, monkeypatch, capsys):
    go, ran, _ = harness

    def nowhere(peer, folder):
        raise EnvironmentFailed("needs Python 3.99")

    monkeypatch.setattr(compare, "python_of", nowhere)
    assert go() == []
    assert not ran
    assert "fake is not run: needs Python 3.99" in capsys.readouterr().out


def test_every_method_has_an_adapter_and_a_trial_is_done_everywhere_before_the_next():
    for peer in PEERS.values():
        assert (compare.HERE / "peers" / f"{peer.adapter}.py").is_file()
    runs = planned(SUITES["full"], list(METHODS.values()), "t")
    assert len({r.key for r in runs}) == len(runs)
    assert [r.trial for r in runs] == sorted(r.trial for r in runs)
    told = [r.ways for r in runs if r.method.name == "private-pgm:aim" and r.trial == 0]
    assert told == [2, 3] * 3


def test_methods_are_chosen_by_name_or_program():
    assert [m.name for m in chosen(["dpmm", "dpsynth:mst"])] == [
        "dpmm:aim", "dpmm:mst", "dpmm:privbayes", "dpsynth:mst",
    ]  # fmt: skip
    assert chosen([]) == list(METHODS.values())
    with pytest.raises(SystemExit, match=r"no method is called 'aim'; there are .*dpsynth:oneshot"):
        chosen(["aim"])


def test_the_command_line_measures_dpsynth_itself(tmp_path, table, capsys):
    """Adapter, environment and evaluator together, on a folder given by its path."""
    main(["run", "--tables", str(tmp_path / "mine"), "--methods", "dpsynth:independent", "--epsilons", "100",
          "--out", str(tmp_path / "out"), "--time-limit", "120"])  # fmt: skip
    (record,) = compare.kept(tmp_path / "out")
    assert record["status"] == "done", record
    assert record["tvd1"] < 0.05
    assert record["method"] == "dpsynth:independent"
    assert re.search(r"mine +100 dpsynth:independent +done 0\.0", capsys.readouterr().out)


@pytest.mark.parametrize("choice", [["--suite", "huge"], ["--ways", "7"]])
def test_unknown_choices_are_refused(choice, capsys):
    with pytest.raises(SystemExit):
        main(["run", *choice])
    assert "invalid choice" in capsys.readouterr().err


def test_suites_name_known_tables():
    known = {*compare.TABLES, *compare.RAW}
    assert set(itertools.chain.from_iterable(s.tables for s in SUITES.values())) <= known
