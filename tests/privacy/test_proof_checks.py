"""The claims that a machine can check, checked; and checks that could fail."""

from __future__ import annotations

from fractions import Fraction
from importlib import import_module

import pytest

from dpsynth.privacy.guarantee import Guarantee
from dpsynth.privacy.ledger import Ledger
from dpsynth.privacy.sensitivity import Sensitivity
from proofs import pins as proofs
from proofs.__main__ import checks, main
from proofs.checks import bounded_range, composition, databases, pure

OTHERS = {"proofs.checks.thresholding"}  # run where thresholds are tested


def test_every_check_is_run() -> None:
    assert set(checks()) == OTHERS | {
        f"proofs.checks.{name}" for name in ("bounded_range", "composition", "pure")
    }


@pytest.mark.parametrize("check", sorted(set(checks()) - OTHERS))
def test_the_claims_hold(check: str) -> None:
    said = import_module(check).run()
    assert said
    assert all(any(c.isdigit() and c != "0" for c in line) for line in said)


def test_the_command_runs_them(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("proofs.__main__.checks", lambda: ("proofs.checks.composition",))
    assert main(["run"]) == 0
    assert "none overspent" in capsys.readouterr().out


def test_neighbours_are_all_there() -> None:
    """By hand: of no other rows and units of one row, four cells come, four go, and one pair is equal."""
    added = set(databases.neighbours(1, 1, most=0))
    assert added == {((), ())} | {((), (c,)) for c in range(4)} | {((c,), ()) for c in range(4)}
    replaced = set(databases.neighbours(1, 2, most=0))
    assert replaced == added | {((a,), (b,)) for a in range(4) for b in range(4)}
    assert max(len(one) for one, _ in databases.neighbours(2, 2)) == 4


@pytest.mark.parametrize(
    ("l1", "match"), [(1, "more than the code says"), (5, "is over-booked")], ids=["too low", "too high"]
)
def test_a_sensitivity_booked_wrongly_is_noticed(
    monkeypatch: pytest.MonkeyPatch, l1: int, match: str
) -> None:
    monkeypatch.setattr(pure, "of_counts", lambda promise: Sensitivity(l1=l1, l2_squared=l1))
    with pytest.raises(AssertionError, match=match):
        pure.run()


@pytest.mark.parametrize(
    ("module", "factor", "match"),
    [
        (pure, Fraction(999, 1000), "more than the code says"),
        (pure, Fraction(1001, 1000), "over-priced"),
        (bounded_range, Fraction(999, 1000), "more than the code says"),
        (bounded_range, Fraction(1001, 1000), "over-priced"),
    ],
)
def test_a_price_in_gdp_that_is_off_is_noticed(
    monkeypatch: pytest.MonkeyPatch, module: object, factor: Fraction, match: str
) -> None:
    plain = pure.price

    def wrong(act: object, calculus: str) -> Fraction:
        found = plain(act, calculus)  # type: ignore[arg-type]
        return found * factor if calculus == "gdp" else found

    monkeypatch.setattr(module, "price", wrong)
    with pytest.raises(AssertionError, match=match):
        module.run()  # type: ignore[attr-defined]


def test_a_choice_that_forgets_its_weights_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_range, "_WEIGHTS", (1, 5, 1))
    monkeypatch.setattr(bounded_range, "of_a_distance", lambda promise: Fraction(1, 5))
    with pytest.raises(AssertionError, match="more than the code says"):
        bounded_range.run()


def test_an_overspent_ledger_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Generous(Ledger):
        @property
        def budget(self) -> Fraction:
            return super().budget / 2

    monkeypatch.setattr(composition, "Ledger", Generous)
    with pytest.raises(AssertionError, match="more than the code says"):
        composition.run()


def test_the_greatest_loss_is_the_l1_distance() -> None:
    assert pure.greatest_loss((0, 3), (2, 3)) == 2
    assert pure.greatest_loss((1, 0), (0, 2)) == 3
    assert sum(bounded_range.law((3, 1, -2))) == 1
    assert Guarantee(epsilon=1.0, delta=0.0).sides == 1


@pytest.mark.parametrize("page", proofs.pages(), ids=lambda p: p.stem)
def test_a_page_says_its_status_and_who_reviewed_it(page: object) -> None:
    said = proofs.notes(page)  # type: ignore[arg-type]
    assert set(said) == {"status", "reviewed"}
    assert said["status"].startswith(("proved", "cited"))
    index = (proofs.ROOT / "proofs" / "README.md").read_text(encoding="utf-8")
    (line,) = [row for row in index.splitlines() if row.startswith(f"| [{page.stem}](")]  # type: ignore[attr-defined]
    assert line.split("|")[3].strip() == said["status"]
