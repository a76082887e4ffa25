"""Does a release say the truth about itself? Everything is recomputed from its files alone.

What this shows: the files are those the manifest lists; the prices follow from the acts, add up, and stay
within what (epsilon, delta) affords; every measurement was paid for at the noise it states; the model and the
statement speak of the schema's columns; the statement claims no more than the rest supports.

What this cannot show, because the rows are not here: who wrote it, unless it is signed and the key is given;
that the noise was really drawn, and drawn once; that the ledger is the whole of what was asked (whoever
rewrites every file consistently, hashes included, passes); that the schema was public; that the assumptions
hold.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from dpsynth import __version__
from dpsynth.data.layout import Layout
from dpsynth.errors import ReleaseError
from dpsynth.model.structure import Model, processing_of
from dpsynth.privacy.acts import (
    Act,
    DiscreteGaussian,
    DiscreteLaplace,
    ExponentialMechanism,
    RoundedGaussian,
    Thresholded,
    ThresholdedDiscreteGaussian,
    ThresholdedGaussian,
)
from dpsynth.privacy.curator import LARGEST_WEIGHT, Entry, Measurement
from dpsynth.privacy.guarantee import calculus_of, gdp_delta, zcdp_delta
from dpsynth.privacy.sensitivity import of_a_distance, of_counts, of_distances
from dpsynth.release.booked import unsound
from dpsynth.release.bundle import Bundle, domain_of, open_bundle
from dpsynth.release.certificate import WORDED, certificate_of
from dpsynth.release.checks import Check, VerificationReport
from dpsynth.release.documents import parse, shown
from dpsynth.release.provenance import assumptions_of, provenance_of, unit_of
from dpsynth.release.purchases import bought_domains, is_purchase
from dpsynth.release.signature import signature_of
from dpsynth.release.signing import signed_by
from dpsynth.release.statement import Statement
from dpsynth.release.wording import promise_of, text_of
from dpsynth.schema import Schema

__all__ = ["Check", "VerificationReport", "verify"]

_Finding = tuple[bool, str]
_TOLERANCE = 1e-9  # between a figure written for people and its recomputation


def verify(path: str | os.PathLike[str], *, key: str | os.PathLike[str] | None = None) -> VerificationReport:
    """Recompute everything that a release says of itself; read nothing else.

    Args:
        path: A release: a file or a directory.
        key: A public key (a PEM file) that must have signed the release; without one, no signature is asked
            for, and one that is there is checked for its form alone.

    Returns:
        A report of named checks; the module's docstring says what they cannot show.

    Raises:
        MissingFileError: there is nothing at ``path``, or no such key.
        InputError: the key is no Ed25519 public key, or ``cryptography`` is not installed.
        ReleaseError: the files cannot be read as a release at all.
    """
    bundle = open_bundle(path)
    parts: dict[str, Any] = {"bundle": bundle}
    checks = [_run("files", _hashes, parts, ("bundle",))]
    readers: tuple[tuple[str, Callable[..., Any], tuple[str, ...]], ...] = (
        ("schema", Bundle.schema, ("bundle",)),
        ("codes", lambda _, schema: domain_of(schema), ("bundle", "schema")),
        ("layout", Bundle.layout, ("bundle",)),
        ("model", Bundle.model, ("bundle",)),
        ("measurements", Bundle.measurements, ("bundle", "codes")),
        ("statement", Bundle.statement, ("bundle",)),
    )
    for part, reader, needs in readers:
        checks.append(_read(part, reader, parts, needs))
    checks += [_run(name, check, parts, needs) for name, check, needs in _CHECKS]
    passed, detail = _signature(bundle) if key is None else signed_by(bundle, key)
    checks.append(Check(name="signature", passed=passed, detail=detail))
    return VerificationReport(path=os.fspath(path), checks=tuple(checks))


def _read(part: str, reader: Callable[..., Any], parts: dict[str, Any], needs: tuple[str, ...]) -> Check:
    """Read a part into ``parts``, if it can be read."""
    name = f"reading the {part}"
    if absent := [need for need in needs if need not in parts]:
        return Check(name=name, passed=False, detail=f"not checked: there is no readable {absent[0]}")
    try:
        parts[part] = reader(*(parts[need] for need in needs))
    except ReleaseError as error:
        return Check(name=name, passed=False, detail=str(error))
    return Check(name=name, passed=True, detail="it is as the format says")


def _run(name: str, check: Callable[..., _Finding], parts: dict[str, Any], needs: tuple[str, ...]) -> Check:
    if absent := [need for need in needs if need not in parts]:
        return Check(name=name, passed=False, detail=f"not checked: there is no readable {absent[0]}")
    passed, detail = check(*(parts[need] for need in needs))
    return Check(name=name, passed=passed, detail=detail)


def _hashes(bundle: Bundle) -> _Finding:
    if altered := bundle.altered:
        return False, f"{', '.join(altered[:5])}: not what manifest.json says; altered or damaged"
    return True, f"{len(bundle.hashes)} files have the SHA-256 and length that manifest.json states"


def _signature(bundle: Bundle) -> _Finding:
    try:
        signature = signature_of(bundle.members)
    except ReleaseError as error:
        return False, str(error)
    if signature is None:
        return True, "it bears none, and none was asked for"
    return True, f"it says it is by {signature.key}; without that public key, this was not checked"


def _reviewed(schema: Schema) -> _Finding:
    if schema.review:
        return False, f"{len(schema.review)} values still marked !REVIEW may come from private rows"
    return True, "no value is marked !REVIEW"


def _unit(schema: Schema, statement: Statement) -> _Finding:
    unit, rows = unit_of(schema)
    stated = statement.guarantee.unit, statement.guarantee.rows_per_unit
    detail = f"the statement's unit is {shown(stated[0])} with at most {stated[1]} rows"
    if stated != (unit, rows):
        return False, f"{detail}, the schema's is {shown(unit)} with at most {rows}"
    return True, f"{detail}, as the schema's is"


def _noise(statement: Statement) -> _Finding:
    calculus = calculus_of(statement.backend, statement.guarantee.delta)
    kinds: dict[str, tuple[type[Act], ...]] = {
        "gdp": (RoundedGaussian, ThresholdedGaussian),
        "zcdp": (DiscreteGaussian, ThresholdedDiscreteGaussian),
        "pure": (DiscreteLaplace,),
    }
    known = (*kinds[calculus], ExponentialMechanism)
    if statement.calculus != calculus:
        detail = f"at delta {statement.guarantee.delta:g} is accounted in {calculus}"
        return False, f"noise {statement.backend} {detail}, not in {statement.calculus}"
    for entry in statement.entries:
        if not isinstance(entry.act, known):
            what = f"a {type(entry.act).__name__}, not by {statement.backend} in {calculus}"
            return False, f"entry {entry.number} is {what}"
    return True, f"every act is one of the {statement.backend} backend, priced in {calculus}"


def _ledger(schema: Schema, statement: Statement) -> _Finding:
    numbers = [entry.number for entry in statement.entries]
    if not numbers or numbers != list(range(1, len(numbers) + 1)):
        return False, "entries are not numbered 1, 2, 3, ...; one was removed, added or moved"
    known = set(schema.learned)
    for entry in statement.entries:
        if not entry.columns or not known.issuperset(entry.columns) or entry.cells < 1:
            return False, f"entry {entry.number} names no column, or one that is not learned, or no cell"
    return True, f"{len(numbers)} entries, numbered without a gap, all about learned columns"


def _sensitivities(statement: Statement, measurements: tuple[Measurement, ...]) -> _Finding:
    promise, measured = statement.guarantee, {m.entry for m in measurements}
    one = of_a_distance(promise)
    for entry in statement.entries:
        if isinstance(entry.act, ExponentialMechanism):  # weighted scores: so many rows, times the largest
            stated, weight = entry.act.sensitivity, entry.act.sensitivity // one
            due = one * min(max(weight, 1), LARGEST_WEIGHT)
        else:
            counted = entry.number in measured or is_purchase(entry)
            moved = of_counts(promise) if counted else of_distances(promise, entry.cells)
            if isinstance(entry.act, DiscreteLaplace):
                stated, due = entry.act.sensitivity, moved.l1
            else:
                stated, due = entry.act.sensitivity_squared, moved.l2_squared
        rows = promise.rows_per_unit
        if isinstance(entry.act, Thresholded) and entry.act.rows != rows:
            return False, f"entry {entry.number} is priced for {entry.act.rows} rows a unit; {rows} is due"
        if stated != due:
            return False, f"entry {entry.number} is priced for a sensitivity of {stated}; {due} is due"
    how = "added or removed" if promise.sides == 1 else "replaced"
    return True, f"every act is priced for at most {promise.rows_per_unit} rows of a unit, {how}"


def _spending(statement: Statement) -> _Finding:
    spent, budget = statement.spent, statement.budget
    detail = (
        f"prices recomputed from {len(statement.entries)} acts come to {_short(spent)} of {_short(budget)}"
    )
    within = spent <= budget and statement.delta_spent <= statement.delta_aside
    if statement.delta_aside or statement.delta_spent:
        detail += f", deltas to {_short(statement.delta_spent)} of {_short(statement.delta_aside)} set aside"
    return within, detail if within else f"{detail}: overspent"


def _budget(statement: Statement) -> _Finding:
    epsilon, delta = statement.guarantee.epsilon, statement.guarantee.delta
    if statement.calculus == "pure":
        detail = f"a budget of {_short(statement.budget)} epsilon; {epsilon:g} is stated"
        return statement.budget <= Fraction(epsilon) and delta == 0, f"{detail}, and delta {delta:g}"
    budget = float(statement.budget)
    budget = budget if Fraction(budget) >= statement.budget else math.nextafter(budget, math.inf)
    found = (gdp_delta if statement.calculus == "gdp" else zcdp_delta)(budget, epsilon)
    aside = statement.delta_aside
    beside = f" beside the {_short(aside)} set aside" if aside else ""
    at = f"at epsilon {epsilon:g}{beside}"
    detail = f"a budget of {budget:.6g} has delta {found:.3g} {at}; {delta:.3g} is stated"
    return Fraction(found) + aside <= Fraction(delta), detail


def _paid(statement: Statement, measurements: tuple[Measurement, ...], schema: Schema) -> _Finding:
    entries = {entry.number: entry for entry in statement.entries}
    for i, measurement in enumerate(measurements):
        entry = entries.get(measurement.entry)
        if entry is None:
            return False, f"measurement {i} names entry {measurement.entry}, which the ledger has not"
        if problem := _unpaid(measurement, entry, schema.learned):
            return False, f"measurement {i} does not match entry {entry.number} of the ledger: {problem}"
    twice = [number for number, uses in Counter(m.entry for m in measurements).items() if uses > 1]
    if twice:
        return False, f"two measurements were paid by one entry, {twice[0]}"
    return True, f"{len(measurements)} measurements have the noise, columns and size that were paid for"


def _unpaid(measurement: Measurement, entry: Entry, names: tuple[str, ...]) -> str:
    if isinstance(entry.act, (ExponentialMechanism, Thresholded)):
        return "that act measures no table"
    exact = not isinstance(entry.act, DiscreteLaplace)  # its sigma is computed from its scale
    if not math.isclose(entry.act.sigma, measurement.sigma, rel_tol=0 if exact else _TOLERANCE):
        return f"sigma {measurement.sigma!r} against {entry.act.sigma!r}"
    if entry.columns != tuple(names[c] for c in measurement.query.columns):
        return "other columns"
    if entry.cells != measurement.values.size:
        return f"{measurement.values.size} cells against {entry.cells}"
    return ""


def _model(model: Model, domain: object) -> _Finding:
    if model.domain != domain:
        return False, "names, sizes, order or rules of its columns are not those the schema gives"
    return True, f"its {len(model.domain)} columns have the codes that the schema gives them"


def _support(model: Model, measurements: tuple[Measurement, ...]) -> _Finding:
    alone = {m.query.columns[0] for m in measurements if len(m.query.columns) == 1}
    for column, name in enumerate(model.domain.names):
        if column not in alone:
            return False, f"column {shown(name)} has a distribution, but no measurement of its own"
    for estimate in model.estimates:
        wanted = {(c, g.tobytes()) for c, g in zip(estimate.columns, estimate.groups, strict=True)}
        if not any(
            wanted
            <= {
                (c, np.asarray(g, np.int64).tobytes())
                for c, g in zip(m.query.columns, m.query.groups, strict=True)
            }
            for m in measurements
            if set(estimate.columns) <= set(m.query.columns)
        ):
            held = " and ".join(shown(model.domain.names[c]) for c in estimate.columns)
            return False, f"the dependence of {held} was not measured"
    return True, f"each of its {len(model.nodes)} columns and {len(model.estimates)} dependences was measured"


def _layout(layout: Layout, schema: Schema) -> _Finding:
    extra = [name for name, _ in layout.dtypes if name not in schema.columns]
    if extra:
        return False, f"it names {len(extra)} columns that the schema does not have"
    return True, "it names columns of the schema only"


def _provenance(schema: Schema, statement: Statement) -> _Finding:
    bought = {p.name: p.bought for p in statement.provenance if p.bought}
    stated, due = statement.provenance, provenance_of(schema, bought)
    if [(p.name, p.kind, p.treatment) for p in stated] != [(p.name, p.kind, p.treatment) for p in due]:
        return (
            False,
            "the columns of the statement are not those of the schema, or are said to be treated otherwise",
        )
    if statement.version == __version__ and stated != due:
        return False, "what the statement says is known of a column is not what the schema states"
    return True, f"{len(due)} columns, each as the schema has it"


def _processing(model: Model, statement: Statement) -> _Finding:
    due = processing_of(model)
    if missing := [name for name in due if name not in statement.processing]:
        return False, f"the statement does not say that this model needed {', '.join(missing)}"
    return True, f"all {len(due)} steps that a model of this form needs are named"


def _assumptions(schema: Schema, statement: Statement) -> _Finding:
    bought = any(p.bought for p in statement.provenance)
    due = assumptions_of(statement.backend, statement.calculus, schema, bought=bought)
    if missing := [name for name in due if name not in statement.assumptions]:
        return False, f"the statement does not own up to {', '.join(missing)}"
    return True, f"all {len(due)} that this noise and this unit need are named"


def _book(statement: Statement) -> _Finding:
    if statement.book is None:
        return True, "none is named: nothing here counts other releases"
    problem = unsound(statement.book, statement.budget, statement.calculus)
    where = f"record {statement.book.reservation}, data set {shown(statement.book.dataset)}"
    return not problem, problem or f"{where}: what it says is consistent; the book itself was not looked at"


def _figures(bundle: Bundle, statement: Statement) -> _Finding:
    written = parse(bundle.members["statement.json"], "statement.json")
    if differing := _difference(written, statement.to_dict(), "statement"):
        return False, f"{differing} is not what the acts give"
    if bundle.version != statement.version:
        return False, "manifest.json and statement.json name different versions of dpsynth"
    return True, "prices, totals and the epsilon spent are what the acts give"


def _text(bundle: Bundle, statement: Statement) -> _Finding:
    text = bundle.members["STATEMENT.md"].decode("utf-8", "replace")
    if statement.version == __version__:
        same = text.encode() == text_of(statement).encode("utf-8", "backslashreplace")
        return (
            same,
            "it is what statement.json says, word by word" if same else "it is not what statement.json says",
        )
    if promise_of(statement) in text:
        return (
            True,
            f"it makes the same promise; the rest is worded by dpsynth {statement.version}, so not compared",
        )
    return False, "it makes another promise than statement.json"


def _certificate(bundle: Bundle, statement: Statement) -> _Finding:
    try:
        written = parse(bundle.members["certificate.json"], "certificate.json")
    except ReleaseError as error:
        return False, str(error)
    computed = certificate_of(statement, bundle.members)
    if statement.version != __version__:
        computed |= {part: written.get(part) for part in WORDED}
    if differing := _difference(written, computed, "certificate"):
        return False, f"{differing} is not what statement.json and the other files give"
    return True, "it is what statement.json and the other files give, figure by figure"


def _difference(written: object, computed: object, where: str) -> str:
    """Return the place of the first difference, or nothing; numbers may differ in their last digits."""
    if isinstance(written, dict) and isinstance(computed, dict) and written.keys() == computed.keys():
        pairs = ((written[key], computed[key], f"{where}.{key}") for key in written)
    elif isinstance(written, list) and isinstance(computed, list) and len(written) == len(computed):
        pairs = ((a, b, f"{where}.{i}") for i, (a, b) in enumerate(zip(written, computed, strict=True), 1))
    elif isinstance(written, (int, float)) and isinstance(computed, float):
        return "" if math.isclose(written, computed, rel_tol=_TOLERANCE) else where
    else:
        return "" if type(written) is type(computed) and written == computed else where
    return next((found for a, b, place in pairs if (found := _difference(a, b, place))), "")


def _short(value: Fraction) -> str:
    return f"{float(min(value, Fraction(2**1000))):.9g}"


_CHECKS: tuple[tuple[str, Callable[..., _Finding], tuple[str, ...]], ...] = (
    ("schema is reviewed", _reviewed, ("schema",)),
    ("privacy unit", _unit, ("schema", "statement")),
    ("noise", _noise, ("statement",)),
    ("ledger", _ledger, ("schema", "statement")),
    ("sensitivities", _sensitivities, ("statement", "measurements")),
    ("spending", _spending, ("statement",)),
    ("budget", _budget, ("statement",)),
    ("measurements are paid for", _paid, ("statement", "measurements", "schema")),
    ("model's columns", _model, ("model", "codes")),
    ("model was measured", _support, ("model", "measurements")),
    ("layout's columns", _layout, ("layout", "schema")),
    ("columns accounted for", _provenance, ("schema", "statement")),
    ("bought domains", bought_domains, ("statement",)),
    ("processing", _processing, ("model", "statement")),
    ("assumptions", _assumptions, ("schema", "statement")),
    ("budget book", _book, ("statement",)),
    ("figures", _figures, ("bundle", "statement")),
    ("STATEMENT.md", _text, ("bundle", "statement")),
    ("certificate", _certificate, ("bundle", "statement")),
)
