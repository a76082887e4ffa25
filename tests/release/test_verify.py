"""A release that lies about itself is caught, and by the check that should catch it."""

from __future__ import annotations

import json

import numpy as np
import pytest

import dpsynth
from dpsynth.errors import MissingFileError, ReleaseError, VerificationError
from dpsynth.release.arrays import to_npy
from dpsynth.release.verify import verify
from tests.release.building import (
    UNIT,
    edited,
    half,
    members_of,
    rehashed,
    restated,
    tiny,
    unpacked,
    zipped,
)


def failed(members, path, *, restate=False) -> set[str]:
    changed = rehashed(restated(members) if restate else members)
    return {check.name for check in verify(zipped(changed, path)).failed}


@pytest.mark.parametrize(("text", "backend"), [(None, "exact"), (UNIT, "exact"), (UNIT, "opendp")])
def test_an_honest_release_passes(tmp_path, text, backend):
    release = tiny(text, backend=backend) if text else tiny()
    for name in ("x.dpsynth", "x"):
        release.save(tmp_path / name)
        report = dpsynth.verify(tmp_path / name)
        assert report.passed, str(report)
        assert len(report.checks) >= 20
        report.require_passed()


def test_the_report_says_what_was_compared(saved):
    report = verify(saved)
    assert report.to_dict()["passed"] is True
    assert report.to_dict()["path"] == str(saved)
    json.dumps(report.to_dict())
    text = str(report)
    assert "FAIL" not in text
    assert text.endswith(f"all checks passed ({len(report.checks)} made)")
    assert all(check.detail and check.name in text for check in report.checks)
    assert len({check.name for check in report.checks}) == len(report.checks)


def test_a_failed_report_can_be_made_an_error(tmp_path, members):
    path = zipped(rehashed({**members, "STATEMENT.md": b"Perfectly private."}), tmp_path / "x.dpsynth")
    report = verify(path)
    assert not report.passed
    assert "FAIL  STATEMENT.md" in str(report)
    assert str(report).endswith(f"1 checks failed ({len(report.checks)} made)")
    with pytest.raises(
        VerificationError, match=r"1 of [0-9]+ checks failed: STATEMENT.md: it is not"
    ) as caught:
        report.require_passed()
    assert caught.value.exit_code == 4


def test_what_cannot_be_read_at_all_is_an_error(tmp_path, members):
    with pytest.raises(MissingFileError):
        verify(tmp_path / "none.dpsynth")
    (tmp_path / "x.dpsynth").write_bytes(b"no")
    with pytest.raises(ReleaseError, match="too short"):
        verify(tmp_path / "x.dpsynth")


@pytest.mark.parametrize("packed", [True, False])
def test_an_altered_file_is_named(tmp_path, members, packed):
    changed = {**members, "model/node_0.npy": to_npy(np.full(10, 0.1))}
    path = zipped(changed, tmp_path / "x.zip") if packed else unpacked(changed, tmp_path / "x")
    report = verify(path)
    assert {check.name for check in report.failed} >= {"files"}
    assert "model/node_0.npy" in report.failed[0].detail


def act(c, i=0):
    return c["ledger"][i]["act"]


# What the forger edits in statement.json, whether the rest is then made to fit, and which checks catch it.
_STATEMENT = {
    "sigma of an act": (
        lambda c: act(c).update(sigma=2 * act(c)["sigma"]),
        False,
        {"measurements are paid for", "figures", "STATEMENT.md"},
    ),
    "sigma of an act, figures made to fit": (
        lambda c: act(c).update(sigma=2 * act(c)["sigma"]),
        True,
        {"measurements are paid for"},
    ),
    "entry removed": (
        lambda c: c["ledger"].pop(0),
        True,
        {"ledger", "measurements are paid for"},
    ),
    "entry moved": (lambda c: c["ledger"].reverse(), True, {"ledger"}),
    "ledger emptied": (
        lambda c: c.update(ledger=[]),
        True,
        {"ledger", "measurements are paid for"},
    ),
    "epsilon": (lambda c: c["guarantee"].update(epsilon=0.1), True, {"budget"}),
    "epsilon, nothing else": (
        lambda c: c["guarantee"].update(epsilon=0.1),
        False,
        {"budget", "STATEMENT.md"},
    ),
    "epsilon and budget": (
        lambda c: c.update(guarantee={**c["guarantee"], "epsilon": 0.6}, budget=half(half(c["budget"]))),
        True,
        {"spending"},
    ),
    "delta": (lambda c: c["guarantee"].update(delta=1e-12), True, {"budget"}),
    "total over budget": (lambda c: c.update(budget=half(half(c["budget"]))), True, {"spending"}),
    "unknown act": (
        lambda c: act(c).update(act="Magic"),
        False,
        {"reading the statement"},
    ),
    "sensitivity of a score": (
        lambda c: act(c, 3).update(sensitivity_squared=1),
        True,
        {"sensitivities"},
    ),
    "sensitivity of a measurement": (
        lambda c: act(c).update(sensitivity_squared=2),
        True,
        {"sensitivities"},
    ),
    "sensitivity of a choice, no multiple of three rows": (
        lambda c: (c["guarantee"].update(unit="household", rows_per_unit=3), act(c, 4).update(sensitivity=4)),
        True,
        {"privacy unit", "sensitivities"},
    ),
    "sensitivity of a choice, beyond any weight": (
        lambda c: act(c, 4).update(sensitivity=2**32 + 1),
        True,
        {"sensitivities"},
    ),
    "cells": (lambda c: c["ledger"][0].update(cells=9), True, {"measurements are paid for"}),
    "columns": (
        lambda c: c["ledger"][0].update(columns=["sex"]),
        True,
        {"measurements are paid for"},
    ),
    "columns that are not learned": (
        lambda c: c["ledger"][3].update(columns=["key"]),
        True,
        {"ledger"},
    ),
    "kind of an act": (
        lambda c: c["ledger"][0].update(
            act={"act": "ExponentialMechanism", "epsilon": 0.1, "sensitivity": 1, "candidates": 2}
        ),
        True,
        {"measurements are paid for"},
    ),
    "another person": (
        lambda c: c["guarantee"].update(unit="household", rows_per_unit=5),
        True,
        {"privacy unit", "sensitivities"},
    ),
    "backend": (
        lambda c: c.update(backend="opendp"),
        True,
        {"noise", "assumptions"},
    ),
    "calculus": (lambda c: c.update(calculus="zcdp"), True, {"noise"}),
    "assumption forgotten": (
        lambda c: c["assumptions"].remove("one-row-per-person"),
        True,
        {"assumptions"},
    ),
    "processing forgotten": (lambda c: c["processing"].remove("low-rank"), True, {"processing"}),
    "column forgotten": (lambda c: c["columns"].pop(1), True, {"columns accounted for"}),
    "column said to be unread": (
        lambda c: c["columns"][1].update(treatment="regenerated"),
        True,
        {"columns accounted for"},
    ),
    "knowledge misstated": (
        lambda c: c["columns"][1].update(known="nothing"),
        True,
        {"columns accounted for"},
    ),
    "a price for people": (
        lambda c: c["ledger"][0].update(price=1e-9),
        False,
        {"figures"},
    ),
    "the total for people": (lambda c: c["spent"].update(decimal=1e-9), False, {"figures"}),
    "the epsilon for people": (lambda c: c.update(epsilon_spent=0.01), False, {"figures"}),
    "no epsilon for people": (lambda c: c.update(epsilon_spent=None), False, {"figures"}),
    "version": (
        lambda c: c.update(version="0.0.1"),
        True,
        {"figures"},
    ),
}


@pytest.mark.parametrize("lie", _STATEMENT)
def test_a_lie_in_the_statement_is_caught(tmp_path, members, lie):
    edit, restate, expected = _STATEMENT[lie]
    changed = edited(members, "statement.json", edit)
    found = failed(changed, tmp_path / "x.dpsynth", restate=restate)
    assert expected <= found, found
    if restate and lie != "backend":
        assert "files" not in found
        assert "STATEMENT.md" not in found


def test_a_noise_of_the_other_backend_is_caught(tmp_path):
    tiny(UNIT, backend="opendp").save(tmp_path / "x.dpsynth")
    members = members_of(tmp_path / "x.dpsynth")
    changed = edited(members, "statement.json", lambda c: act(c).update(act="RoundedGaussian"))
    assert "noise" in failed(changed, tmp_path / "y.dpsynth", restate=True)


def test_unread_parts_are_failures_not_passes(tmp_path, members):
    report = verify(
        zipped(rehashed({**members, "statement.json": b"{}", "schema.yaml": b"{"}), tmp_path / "x.dpsynth")
    )
    details = {check.name: check.detail for check in report.failed}
    assert details["spending"] == "not checked: there is no readable statement"
    assert details["reading the codes"] == "not checked: there is no readable schema"
    assert details["reading the measurements"] == "not checked: there is no readable codes"
    honest = {check.name for check in verify(zipped(members, tmp_path / "y.dpsynth")).checks}
    assert {check.name for check in report.checks} == honest


def test_a_measurement_with_less_noise_than_was_paid_is_caught(tmp_path, members):
    changed = edited(members, "measurements.json", lambda c: c["measurements"][0].update(sigma=0.01))
    assert failed(changed, tmp_path / "x.dpsynth") == {"measurements are paid for"}


def test_a_measurement_paid_twice_or_not_at_all_is_caught(tmp_path, members):
    def twice(content):
        content["measurements"].append(content["measurements"][0])

    changed = edited(members, "measurements.json", twice)
    changed["measurements/values_4.npy"] = changed["measurements/values_0.npy"]
    assert failed(changed, tmp_path / "x.dpsynth") == {"measurements are paid for"}
    unpaid = edited(members, "measurements.json", lambda c: c["measurements"][0].update(entry=99))
    assert "measurements are paid for" in failed(unpaid, tmp_path / "x.dpsynth")


def test_a_model_of_what_was_not_measured_is_caught(tmp_path, members):
    def forget_last(content):
        content["measurements"].pop()

    changed = edited(members, "measurements.json", forget_last)
    del changed["measurements/values_3.npy"]
    assert failed(changed, tmp_path / "x.dpsynth") >= {"model was measured"}

    def forget_first(content):
        content["measurements"].pop(0)

    changed = edited(members, "measurements.json", forget_first)
    for i in range(3):
        changed[f"measurements/values_{i}.npy"] = changed[f"measurements/values_{i + 1}.npy"]
    del changed["measurements/values_3.npy"]
    assert failed(changed, tmp_path / "x.dpsynth") >= {"model was measured"}


def test_an_edge_finer_than_was_measured_is_caught(tmp_path, members):
    """The forger splits a group: a dependence at a resolution that nobody paid for."""
    groups = np.arange(10) // 4
    finer = np.where(groups == 2, 2 + (np.arange(10) == 9), groups)
    nodes = [np.frombuffer(members[f"model/node_{i}.npy"][-8 * n :]) for i, n in ((0, 10), (1, 3))]
    table = np.outer(np.bincount(finer, nodes[0]), nodes[1])
    changed = {
        **members,
        "model/estimate_0_groups_0.npy": to_npy(finer),
        "model/estimate_0_table.npy": to_npy(table),
    }
    assert failed(changed, tmp_path / "x.dpsynth") == {"model was measured"}


def test_a_schema_with_review_marks_is_caught(tmp_path, members):
    text = members["schema.yaml"].decode()
    assert "upper: 9" in text
    marked = {**members, "schema.yaml": text.replace("upper: 9", "upper: !REVIEW 9").encode()}
    assert failed(marked, tmp_path / "x.dpsynth") == {"schema is reviewed"}


def test_another_schema_is_caught(tmp_path, members):
    text = members["schema.yaml"].decode()
    wider = {**members, "schema.yaml": text.replace("upper: 9", "upper: 19").encode()}
    found = failed(wider, tmp_path / "x.dpsynth")
    assert {"model's columns", "columns accounted for"} <= found
    renamed = {**members, "schema.yaml": text.replace("age:", "years:").encode()}
    assert {"model's columns", "ledger", "layout's columns"} <= failed(renamed, tmp_path / "x.dpsynth")
    bounded = text.replace("privacy_unit: row", "privacy_unit: {column: household, max_rows: 3}")
    assert bounded != text
    found = failed({**members, "schema.yaml": bounded.encode()}, tmp_path / "x.dpsynth")
    assert {"privacy unit", "assumptions"} <= found


def test_a_layout_that_names_other_columns_is_caught(tmp_path, members):
    changed = edited(members, "layout.json", lambda c: c["dtypes"].append(["diagnosis", "int64"]))
    assert failed(changed, tmp_path / "x.dpsynth") == {"layout's columns"}


def test_the_text_of_another_version_is_held_to_its_promise(tmp_path, members):
    def older(content):
        content["version"] = "0.0.1"

    changed = edited(
        edited(members, "statement.json", older), "manifest.json", lambda m: m.update(dpsynth="0.0.1")
    )
    text = members["STATEMENT.md"]
    assert failed(changed, tmp_path / "x.dpsynth") == set()
    softer = {**changed, "STATEMENT.md": text.replace(b"(1, 1e-06)", b"(0.1, 1e-09)")}
    assert failed(softer, tmp_path / "x.dpsynth") == {"STATEMENT.md"}


def test_what_no_check_can_show_without_a_signature(tmp_path, members):
    """Whoever rewrites everything consistently passes. The documentation says so; this keeps it honest."""
    changed = edited(members, "statement.json", lambda c: act(c).update(sigma=2 * act(c)["sigma"]))
    changed = edited(
        changed,
        "measurements.json",
        lambda c: c["measurements"][0].update(sigma=2 * c["measurements"][0]["sigma"]),
    )
    assert failed(changed, tmp_path / "x.dpsynth", restate=True) == set()
