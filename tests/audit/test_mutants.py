"""The runner of planted bugs: who saw what, what survived, and what a clean run says."""

from __future__ import annotations

import json
import sys
import types

import pytest

from dpsynth.audit.finding import Finding, Level, Verdict
from dpsynth.audit.mutant import LAYERS, Mutant, Setting
from dpsynth.audit.mutants import Sight, clean_runs, kill_matrix, load_mutants, main
from dpsynth.errors import InputError
from tests.audit.mutants import MUTANTS
from tests.audit.mutants.planting import change, planted


def bindings():
    """What every name of dpsynth's modules and classes is bound to."""
    found = {}
    for module in [m for name, m in sys.modules.items() if name.split(".")[0] == "dpsynth"]:
        for name, value in vars(module).items():
            found[module.__name__, name] = id(value)
            if isinstance(value, dict) and not name.startswith("__"):
                found |= {(module.__name__, name, key): id(v) for key, v in value.items()}
            if isinstance(value, type) and value.__module__ == module.__name__:
                found |= {(module.__name__, name, key): id(v) for key, v in vars(value).items()}
    return found


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_a_mutant_changes_the_real_code_and_leaves_nothing_behind(mutant):
    before = bindings()
    with mutant.plant():
        during = bindings()
    after = bindings()
    assert {k for k in before if during.get(k) != before[k]}
    assert {k for k in before if after.get(k) != before[k]} == set()


def test_the_mutants_are_many_and_well_described():
    assert sum(not m.harmless for m in MUTANTS) >= 22
    assert sum(m.harmless for m in MUTANTS) >= 4
    for mutant in MUTANTS:
        assert mutant.breaks.startswith("nothing") == mutant.harmless
        assert mutant.precedent
        assert set(mutant.killers) <= set(LAYERS)


# ---- the runner, with layers of the test's own --------------------------------------------------------

SWITCH = types.SimpleNamespace(value=0)


def mutant(name, value, killers=("first",)):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dpsynth.audit.mutant.LAYERS", ("first", "second"))
        return Mutant(
            name=name,
            breaks="nothing" if not killers else "all",
            precedent="none",
            killers=killers,
            plant=planted(change(SWITCH, "value", value)),
        )


def finding(check, verdict):
    value = None if verdict is Verdict.inconclusive else 1.0
    return Finding(check=check, level=Level.unit, summary=".", verdict=verdict, value=value, unit="none")


def first(setting, seed):
    return [finding("first.one", Verdict.violation if SWITCH.value == 1 else Verdict.consistent)] * 2


def second(setting, seed):
    if SWITCH.value == 3:
        raise KeyError("secret")
    verdict = {1: Verdict.inconclusive, 2: Verdict.violation}.get(SWITCH.value, Verdict.consistent)
    return [finding("second.one", Verdict.consistent), finding("second.two", verdict)]


OWN = {"first": first, "second": second}


def test_the_matrix_says_who_saw_what():
    mutants = [mutant("a", 1), mutant("b", 2), mutant("c", 3), mutant("d", 2, ()), mutant("e", 0, ())]
    told = []
    matrix = kill_matrix(mutants, layers=OWN, progress=told.append)
    assert SWITCH.value == 0
    assert matrix.cells["a", "first"].checks == ("first.one",)
    assert [matrix.cells["a", n].sight for n in OWN] == [Sight.violation, Sight.inconclusive]
    assert [matrix.cells["b", n].sight for n in OWN] == [Sight.nothing, Sight.violation]
    assert [matrix.cells["c", n].sight for n in OWN] == [Sight.nothing, Sight.failed]
    assert matrix.cells["c", "second"].error == "KeyError"
    assert matrix.survivors == ("c",)
    assert matrix.alarmed == ("d",)
    assert matrix.blind == (("b", "first"), ("c", "first"))
    assert told[:2] == ["a: first", "a: second"]
    report = matrix.to_dict()
    assert (report["planted"], report["killed"], report["harmless"]) == (3, 2, 2)
    assert report["mutants"][2]["layers"]["second"]["error"] == "KeyError"
    assert json.loads(json.dumps(report)) == report
    text = str(matrix)
    assert "2 of 3 planted bugs were found; 1 of 2 harmless changes raised an alarm." in text
    lines = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line}
    assert lines["a"] == ["killed", "?"]
    assert lines["c"] == ["-", "error", "SURVIVED"]
    assert lines["d"] == ["-", "killed", "FALSE", "ALARM"]
    assert lines["e"] == ["-", "-", "harmless"]


def test_clean_runs_are_counted_over_settings_and_seeds():
    seen = []

    def layer(setting, seed):
        seen.append((setting.mechanism, seed))
        return first(setting, seed)

    settings = [Setting(), Setting(mechanism="aim")]
    found = clean_runs(5, settings, layers={"own": layer}, seed=10)
    assert seen == [("mst", 10), ("aim", 11), ("mst", 12), ("aim", 13), ("mst", 14)]
    assert found["own"] | {"seconds": 0} == {"runs": 5, "alarms": 0, "failed": 0, "checks": [], "seconds": 0}
    with planted(change(SWITCH, "value", 1))():
        found = clean_runs(3, settings, layers=OWN)
    assert (found["first"]["alarms"], found["first"]["checks"]) == (3, ["first.one"])
    with planted(change(SWITCH, "value", 3))():
        assert clean_runs(3, settings, layers=OWN)["second"]["failed"] == 3


# ---- the command --------------------------------------------------------------------------------------


@pytest.fixture
def planted_module(monkeypatch):
    def make(mutants):
        module = types.ModuleType("own_mutants")
        module.MUTANTS = mutants
        monkeypatch.setitem(sys.modules, "own_mutants", module)
        monkeypatch.setattr("dpsynth.audit.mutants.LAYERS", OWN)
        return ["--mutants", "own_mutants"]

    return make


def test_the_command_prints_writes_and_ends_with_what_it_found(planted_module, capsys, tmp_path):
    out = tmp_path / "matrix.json"
    named = planted_module((mutant("a", 1), mutant("e", 0, ())))
    assert main([*named, "--clean", "2", "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert "1 of 1 planted bugs were found" in said.out
    assert "first: 0 alarms in 2 runs without a defect" in said.out
    assert "a: first" in said.err
    assert json.loads(out.read_text())["clean"]["second"]["runs"] == 2
    assert main([*named, "--quiet", "--only", "a", "--layers", "second"]) == 4  # nobody looks
    said = capsys.readouterr()
    assert "SURVIVED" in said.out
    assert said.err == ""
    with planted(change(SWITCH, "value", 1))():
        assert main([*named, "--quiet", "--only", "a", "--clean", "1"]) == 4  # an alarm without a defect


def test_a_module_that_is_not_there_is_said_to_be_absent(capsys):
    assert main(["--mutants", "no.such.module"]) == 2
    assert "run this in a checkout of dpsynth" in capsys.readouterr().err


def test_bad_input_is_refused(planted_module, capsys, monkeypatch):
    named = planted_module((mutant("a", 1),))
    assert main([*named, "--only", "z"]) == 2
    assert "there is no mutant 'z'; there are a" in capsys.readouterr().err
    assert main([*named, "--clean", "-1"]) == 2
    assert "--clean -1" in capsys.readouterr().err
    for wrong in ((), [mutant("a", 1)], ("a",), None):
        planted_module(wrong)
        with pytest.raises(InputError, match="has no MUTANTS"):
            load_mutants("own_mutants")
    planted_module((mutant("a", 1), mutant("a", 2)))
    with pytest.raises(InputError, match="two mutants called 'a'"):
        load_mutants("own_mutants")
    with pytest.raises(InputError, match="has no MUTANTS"):
        load_mutants("json")
    with pytest.raises(ValueError, match="names no layer of the audit: 'nose'"):
        Mutant(name="a", breaks="b", precedent="c", killers=("nose",), plant=planted())


def test_a_mistake_inside_the_module_is_not_its_absence(tmp_path, monkeypatch):
    (tmp_path / "half_mutants.py").write_text("import nothing_of_that_name\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="nothing_of_that_name"):
        load_mutants("half_mutants")


def test_a_setting_says_what_is_audited():
    assert str(Setting()) == "mst, epsilon 8, delta 1e-05"
    full = Setting(
        mechanism="aim", delta=0.0, adjacency="replace-one", rows_per_unit=3, noise="opendp", bought=True
    )
    assert str(full) == ("aim, epsilon 8, delta 0, replace-one, 3 rows a unit, opendp noise, bought domain")
