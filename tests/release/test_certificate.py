"""The certificate: derived, complete, of the published form, and never believed."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import shutil
import subprocess
from fractions import Fraction

import jsonschema
import pytest

from dpsynth.accountant.reference import BookReference, Earlier
from dpsynth.errors import ReleaseError
from dpsynth.release.bundle import load
from dpsynth.release.certificate import LIMITS, WORDED, certificate_of, fingerprints
from dpsynth.release.explanation import explain
from dpsynth.release.published import certificate_schema
from dpsynth.release.software import versions
from dpsynth.release.statement import Statement
from dpsynth.release.verify import verify
from dpsynth.release.wording import ASSUMPTIONS, promise_of
from tests.conftest import ROOT
from tests.release.building import UNIT, edited, hashed, members_of, rehashed, restated, tiny, zipped
from tests.release.test_golden import GOLDEN

CHECKER = jsonschema.Draft202012Validator(certificate_schema())


def certificate(members) -> dict:
    return json.loads(members["certificate.json"])


def failed(members, path) -> set[str]:
    return {check.name for check in verify(zipped(members, path)).failed}


def test_the_published_form_is_current_and_a_json_schema():
    published = json.loads((ROOT / "docs" / "certificate.schema.json").read_text(encoding="utf-8"))
    assert published == certificate_schema(), "write certificate_schema() to docs/certificate.schema.json"
    jsonschema.Draft202012Validator.check_schema(published)


@pytest.mark.parametrize(("text", "backend"), [(None, "exact"), (UNIT, "exact"), (UNIT, "opendp")])
def test_every_certificate_has_the_published_form(tmp_path, text, backend):
    release = tiny(text, backend=backend) if text else tiny()
    release.save(tmp_path / "x.dpsynth")
    CHECKER.validate(certificate(members_of(tmp_path / "x.dpsynth")))


@pytest.mark.parametrize("promise", [{"delta": 0.0}, {"adjacency": "replace-one"}])
def test_other_promises_have_it_too(members, promise):
    found = certificate_of(tiny(UNIT, **promise).statement, members)
    CHECKER.validate(found)
    assert found["summary"]["adjacency"] == promise.get("adjacency", "add-remove")
    told = next(i["how"] for i in found["guidance"]["items"] if i["topic"].startswith("delta"))
    assert ("delta is 0" in told) == ("delta" in promise)


def test_earlier_releases_of_a_budget_book_have_it_too(members):
    before = Earlier(
        number=3,
        at="2026-01-02T03:04:05.000000Z",
        epsilon=1.0,
        delta=1e-9,
        cost=Fraction(1, 30),
        state="released",
    )
    book = BookReference(
        book="0" * 32,
        dataset="visits",
        reservation=9,
        head="0" * 64,
        epsilon=3.0,
        delta=1e-8,
        calculus="gdp",
        budget=Fraction(3, 10),
        cost=Fraction(1, 30),
        earlier=(before,),
    )
    found = certificate_of(dataclasses.replace(tiny().statement, book=book), members)
    CHECKER.validate(found)
    assert found["statement"]["book"]["earlier"][0]["number"] == 3
    told = next(i for i in found["guidance"]["items"] if i["topic"].startswith("other releases"))
    assert (told["addressed"], told["evidence"]) == ("yes", "statement.book")


def test_the_golden_certificate_has_it_too():
    CHECKER.validate(certificate(members_of(GOLDEN)))


def test_a_delta_set_aside_and_a_hopeless_price_have_it_too(members):
    CHECKER.validate(certificate_of(tiny(delta_aside=Fraction(1, 4_000_000)).statement, members))
    statement = tiny().statement
    hopeless = dataclasses.replace(statement.entries[0], price=Fraction(10**400))
    found = certificate_of(dataclasses.replace(statement, entries=(hopeless,)), members)
    assert found["summary"]["mu_spent"] is found["explanation"]["spent"]["rho"] is None
    CHECKER.validate(json.loads(json.dumps(found, allow_nan=False)))


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.pop("limits"),
        lambda c: c.update(more=1),
        lambda c: c["summary"].update(unit_bound="trust me"),
        lambda c: c["files"].update({"model.json": "0"}),
        lambda c: c["explanation"]["spent"]["membership"].update(advantage=2),
        lambda c: c["guidance"]["items"][0].update(addressed="fully"),
        lambda c: c["statement"]["ledger"][0].pop("price"),
    ],
)
def test_what_has_another_form_is_not_of_the_published_one(members, change):
    content = copy.deepcopy(certificate(members))
    change(content)
    assert not CHECKER.is_valid(content)


def test_it_says_all_that_an_officer_asks(release, members):
    found, statement = certificate(members), release.statement
    assert found["statement"] == statement.to_dict() == json.loads(members["statement.json"])
    explained = explain(release).to_dict()
    assert found["explanation"] == {key: explained[key] for key in ("promised", "spent")}
    summary = found["summary"]
    assert summary["promise"] == promise_of(statement)
    assert summary["unit_bound"] == "asserted by the steward, not enforced"
    assert summary["adjacency"] == "add-remove"
    assert summary["epsilon_spent"] == statement.epsilon_spent
    assert summary["columns"] == {"measured": 3, "regenerated": 1}
    assert summary["columns_bought_from"] == 0
    bought = [
        dataclasses.replace(p, bought=("lower",) if p.name == "age" else ()) for p in statement.provenance
    ]
    told = certificate_of(dataclasses.replace(statement, provenance=tuple(bought)), members)
    assert told["summary"]["columns_bought_from"] == 1
    CHECKER.validate(told)
    assert found["statement"]["row_count"] == "estimated from noisy measurements"
    assert found["meanings"]["assumptions"] == {a: ASSUMPTIONS[a] for a in statement.assumptions}
    assert found["limits"] == LIMITS
    assert {"side-channels", "floating-point"} <= found["limits"].keys()
    assert found["statement"]["software"].keys() >= {"python", "numpy", "scipy", "mpmath"}


def test_opendp_is_named_where_it_draws_and_a_unit_where_it_is_enforced(members):
    assert "opendp" in dict(versions("opendp"))
    assert "opendp" not in dict(versions("exact"))
    found = certificate_of(tiny(UNIT, backend="opendp").statement, members)
    assert found["summary"]["unit_bound"] == "enforced before counting"
    assert "mu_promised" not in found["summary"]
    items = {item["topic"]: item for item in found["guidance"]["items"]}
    assert items["unit of privacy"]["addressed"] == "yes"
    assert "OpenDP" in items["algorithms and correctness"]["how"]
    assert items["other releases about the same people"]["addressed"] == "no"
    assert {item["layer"] for item in items.values()} == {"top", "middle", "bottom"}
    assert {item["addressed"] for item in items.values()} == {"yes", "in part", "no"}


def test_where_evidence_stands_there_is_some(release, members, saved):
    """Every file that an item points to exists, and every key, limit and check too."""
    found = certificate(members)
    checks = {check.name for check in verify(saved).checks}
    for item in found["guidance"]["items"]:
        for place in item["evidence"].split("; "):
            name, _, rest = place.partition(": ")
            if name == "limits":
                assert rest in found["limits"]
            elif name == "verify":
                assert set(rest.split(", ")) <= checks
            elif name == "statement.assumptions" and rest:
                assert rest in found["statement"]["assumptions"]
            elif name.startswith("Release."):
                assert hasattr(release, name.removeprefix("Release."))
            elif name.split(".")[0] in found:
                part = found
                for key in name.split("."):
                    part = part[key]
            else:
                assert (ROOT / name).exists(), place


def test_its_hashes_are_those_of_ordinary_tools(release, members, tmp_path):
    if shutil.which("sha256sum") is None:
        pytest.skip("sha256sum is not installed")
    release.save(tmp_path / "x")
    found = certificate(members)
    for folder in ("model", "measurements"):
        command = f"LC_ALL=C; export LC_ALL; sha256sum {folder}/*.npy | sha256sum"
        done = subprocess.run(
            ["sh", "-c", command], cwd=tmp_path / "x", capture_output=True, text=True, check=True
        )
        assert done.stdout.split()[0] == found["folders"][folder]["sha256"]
    for name, digest in found["files"].items():
        assert hashlib.sha256(members[name]).hexdigest() == digest
    assert set(found["files"]) == {n for n in members if "/" not in n} - {"certificate.json", "manifest.json"}
    assert fingerprints(members)["files"] == found["files"]


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["summary"].update(epsilon_spent=0.1),
        lambda c: c["summary"].update(unit_bound="enforced before counting"),
        lambda c: c["statement"]["ledger"].pop(),
        lambda c: c["statement"]["guarantee"].update(epsilon=0.1),
        lambda c: c["explanation"]["spent"]["guessing"][0].update(success=0.01),
        lambda c: c["files"].update({"model.json": "0" * 64}),
        lambda c: c["folders"]["model"].update(files=1),
        lambda c: c["limits"].clear(),
        lambda c: c["guidance"]["items"][3].update(addressed="no"),
        lambda c: c.pop("explanation"),
        lambda c: c.update(more=1),
    ],
)
def test_a_certificate_that_says_something_else_is_caught(members, tmp_path, change):
    forged = hashed(edited(members, "certificate.json", change))
    assert failed(forged, tmp_path / "x.dpsynth") == {"certificate"}


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"a": 1, "a": 2}', b"\xff", b"[" * 100_000])
def test_a_certificate_that_is_none_is_a_failed_check(members, tmp_path, content):
    path = tmp_path / "x.dpsynth"
    assert failed(hashed({**members, "certificate.json": content}), path) == {"certificate"}
    load(path)  # nothing is read from a certificate


def test_a_certificate_of_other_files_is_caught(members, tmp_path):
    """Every file that it covers: a change with a fitting manifest still breaks the certificate."""
    other = {**members, "model/node_0.npy": members["model/node_0.npy"][:-1] + b"\x00"}
    assert "certificate" in failed(hashed(other), tmp_path / "x.dpsynth")
    spaced = {**members, "layout.json": members["layout.json"] + b" "}
    assert failed(hashed(spaced), tmp_path / "y.dpsynth") == {"certificate"}


def test_another_versions_words_are_left_alone_but_not_its_figures(members, tmp_path):
    former = restated(edited(members, "statement.json", lambda c: c.update(version="0.1.0a0")))
    former["manifest.json"] = former["manifest.json"].replace(b'"0.1.0"', b'"0.1.0a0"')
    former = rehashed(former)
    worded = edited(former, "certificate.json", lambda c: c.update({key: {} for key in WORDED}))
    assert failed(hashed(worded), tmp_path / "x.dpsynth") == set()
    less = edited(worded, "certificate.json", lambda c: c["summary"].update(acts=1))
    assert failed(hashed(less), tmp_path / "y.dpsynth") == {"certificate"}


@pytest.mark.parametrize(
    ("software", "message"),
    [
        ({"numpy": 2}, "version that is not a text"),
        ({"Num Py": "2"}, "each with a version"),
        ({"numpy": "2\n"}, "each with a version"),
        ({f"n{i}": "1" for i in range(65)}, "at most 64 names"),
    ],
)
def test_software_that_is_none_is_refused(release, software, message):
    content = {**release.statement.to_dict(), "software": software}
    with pytest.raises(ReleaseError, match=message):
        Statement.from_dict(content)


def test_a_statement_without_software_is_read_as_it_is(release):
    content = release.statement.to_dict()
    del content["software"]
    assert Statement.from_dict(content).to_dict() == content
