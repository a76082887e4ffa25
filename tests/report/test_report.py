"""Reports of audits: complete, safe to open whoever wrote the audit, and parted by what may leave."""

from __future__ import annotations

import dataclasses
import math
import re
import stat
from html.parser import HTMLParser
from itertools import product
from xml.etree import ElementTree as ET

import pytest

from dpsynth.audit.finding import Audit, Level, Verdict
from dpsynth.errors import InputError
from dpsynth.report import page
from dpsynth.report.axis import draw
from dpsynth.report.folder import FILES, write_audit
from dpsynth.report.markdown import to_markdown
from dpsynth.report.page import to_html
from dpsynth.report.wording import CONFIDENTIAL, numbers_of, span
from tests.audit.test_finding import audit, finding, secret

HOSTILE = "<script>alert(1)</script> **b** | [x](http://x.example) `c` & <img src=//x.example>"
VOID = {"meta", "link", "br", "img"}


class Outline(HTMLParser):
    """Collects tags and text, and fails on tags that are not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def outline(text):
    found = Outline()
    found.feed(text)
    found.close()
    assert found.open == []
    return found


def whole(**changed):
    findings = (
        finding(check="replay.sensitivity", level=Level.unit, interval=None, details={"pairs": 26}),
        finding(verdict=Verdict.violation, seconds=12.34),
        finding(check="blackbox.mu", verdict=Verdict.inconclusive, value=None, interval=None, trials=0),
    )
    return dataclasses.replace(audit(*findings), **changed)


@pytest.mark.parametrize("write", [to_html, to_markdown])
def test_everything_is_said(write):
    made = whole()
    text = write(made)
    said = outline(text).text if write is to_html else text
    for part in ("mst", "VIOLATION", "CONSISTENT", "INCONCLUSIVE", "0.46", "at least 0.38", "4,000", "12.3"):
        assert part in said
    for one in made.findings:
        assert one.check in said
        assert one.summary in said
        for name, value in numbers_of(one):
            assert name in said
            assert value in said
    assert '"pairs": 26' in said
    assert "It never proves one kept" in said


def test_an_empty_audit_and_one_of_nothing_known():
    made = dataclasses.replace(audit(), subject={}, levels=())
    assert "No check was run" in outline(to_html(made)).text
    assert "Levels run: none" in to_markdown(made)


def test_a_page_needs_nothing_else_and_runs_nothing():
    text = to_html(whole())
    found = outline(text)
    assert {"script", "link", "iframe", "object", "img"} & {tag for tag, _ in found.tags} == set()
    for _, attributes in found.tags:
        assert not any(name.startswith("on") or name in {"src", "srcset", "data"} for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")
    assert "://" not in text
    assert "@import" not in text
    assert "url(" not in text
    assert "default-src 'none'" in text


def test_a_page_can_be_read_without_eyes_or_colours():
    text = to_html(whole())
    tags = outline(text).tags
    assert ("html", {"lang": "en"}) in tags
    assert [tag for tag, _ in tags if re.fullmatch("h[1-3]", tag)][:2] == ["h1", "h2"]
    pictures = [attributes for tag, attributes in tags if tag == "svg"]
    assert len(pictures) == 2  # of what has a number
    assert all(a["role"] == "img" and "found 0.41" in (a["aria-label"] or "") for a in pictures)
    assert "VIOLATION" in text  # the word stands beside the colour
    targets = {a["id"] for _, a in tags if "id" in a}
    assert {a["href"].removeprefix("#") for tag, a in tags if tag == "a"} == targets


def _luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_every_colour_of_a_text_can_be_told_from_its_ground(theme):
    sheets = re.findall(r":root \{([^}]*)\}", page._STYLE.read_text(encoding="utf-8"))
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", sheets[theme]))
    for ink, ground in product(("ink", "soft", "bad", "good", "open", "mark"), ("ground", "card")):
        bright, dark = sorted((_luminance(colours[ink]), _luminance(colours[ground])), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)


def test_a_hostile_audit_stays_text():
    subject = {
        "mechanism": HOSTILE + "\x1b[2K",
        "guarantee": {"unit": HOSTILE, "epsilon": [HOSTILE], "adjacency": {"a": HOSTILE}},
        "noise": True,
        "version": 10**40,
    }
    bad = finding(check=HOSTILE, summary=HOSTILE, unit=HOSTILE, details={HOSTILE: [HOSTILE, "\u202e"]})
    made = Audit(subject=subject, levels=(Level.unit,), made=HOSTILE, seconds=0.0, findings=(bad,))
    text = to_html(made)
    tags = {tag for tag, _ in outline(text).tags}
    assert not {"script", "img"} & tags
    assert "\x1b" not in text
    assert "\u202e" not in text
    written = to_markdown(made)
    prose = "\n".join(line for line in written.splitlines() if not line.startswith("    "))
    assert not re.search(r"(?<!\\)[<`\[]|(?<!\\)\*\*b", prose)
    rows = [line for line in prose.splitlines() if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", row)) in {3, 4, 8} for row in rows)


def test_long_details_are_cut_in_markdown():
    text = to_markdown(audit(finding(details={"numbers": list(range(5000))})))
    assert len(text) < 10_000
    assert "all of it is in audit.json" in text


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        (None, "—"),
        ((0.1, 0.2), "0.1 to 0.2"),
        ((0.1, math.inf), "at least 0.1"),
        ((-math.inf, 0.2), "at most 0.2"),
        ((-math.inf, math.inf), "-∞ to ∞"),
    ],
)
def test_intervals_in_words(interval, said):
    assert span(finding(interval=interval)) == said


def test_a_verdict_without_an_interval_has_its_confidence():
    assert ("confidence", "95 %") in numbers_of(finding(interval=None))
    assert ("confidence", "99.9999 %") in numbers_of(finding(interval=None, confidence=1 - 1e-6))
    assert "confidence" not in dict(numbers_of(finding()))


def parts(picture):
    found: dict[str, list[dict[str, str]]] = {}
    for element in ET.fromstring(picture).iter():
        found.setdefault(f"{element.tag}.{element.get('class')}", []).append(dict(element.attrib))
    return found


def test_places_are_in_order():
    found = parts(draw(finding(value=1.9, interval=(1.6, math.inf), ceiling=1.0, limit=4.0, baseline=0.0)))
    value = float(found["circle.value"][0]["cx"])
    ceiling, limit, baseline = (float(found[f"line.{k}"][0]["x1"]) for k in ("ceiling", "limit", "baseline"))
    bar = found["line.interval"][0]
    low, high = float(bar["x1"]), float(bar["x2"])
    assert baseline < ceiling < low < value < limit <= high
    assert len(found["polygon.interval"]) == 1  # an arrow to the right
    # places are in proportion: ceiling 1, limit 4, baseline 0
    assert (limit - baseline) / (ceiling - baseline) == pytest.approx(4, rel=0.01)


def test_an_interval_with_no_lower_end_and_a_closed_one():
    left = parts(draw(finding(interval=(-math.inf, 0.44))))["polygon.interval"][0]["points"].split()
    assert float(left[1].split(",")[0]) < float(left[0].split(",")[0])
    assert "polygon.interval" not in parts(draw(finding(interval=(0.4, 0.44))))
    assert "line.interval" not in parts(draw(finding(interval=None)))


def test_scales():
    wide = draw(finding(value=1e-7, interval=(1e-8, 0.3), unit="p-value"))
    assert "log scale" in wide
    found = parts(wide)
    assert 190 < float(found["circle.value"][0]["cx"]) < 570
    negative = parts(draw(finding(value=-0.02, interval=(-0.05, 0.01), ceiling=0.0)))
    assert float(negative["circle.value"][0]["cx"]) < float(negative["line.ceiling"][0]["x1"])
    assert draw(finding(value=0.0, interval=None, ceiling=0.0)).count('class="tick"') >= 3
    below = draw(finding(value=-3.0, interval=None, ceiling=None))
    assert ">-3<" in below
    assert "…" in draw(finding(unit="a unit with a name that is too long to stand there"))


@pytest.mark.parametrize(
    "value", [1e-300, 5e-324, 1.0, 0.3, 7.0, 123456.0, 1e300, -1e300, 1.7976931348623157e308]
)
def test_any_number_can_be_drawn(value):
    for ceiling in (None, 0.0, 1.0, value, -value):
        for element in ET.fromstring(draw(finding(value=value, interval=None, ceiling=ceiling))).iter():
            for key in ("x", "x1", "cx"):
                assert 0 <= float(element.get(key, 0)) <= 720


def test_no_picture_without_a_number():
    assert draw(finding(value=None, interval=None, verdict=Verdict.inconclusive)) == ""


def test_what_is_confidential_stands_apart(tmp_path):
    kept = secret(check="mamamia.auc", summary="Seen in real rows.", value=0.777)
    made = audit(finding(), kept)
    made = dataclasses.replace(made, levels=(Level.mechanism, Level.data))
    written = write_audit(made, tmp_path / "out")
    names = [str(path.relative_to(tmp_path / "out")) for path in written]
    assert names == [*FILES, *(f"confidential/{name}" for name in FILES)]
    for path in written[:3]:
        text = path.read_text(encoding="utf-8")
        assert "mamamia" not in text
        assert "0.777" not in text
        assert "confidential" not in re.sub(r"\.confidential|Confidential", "", text).lower()
    for path in written[3:]:
        text = path.read_text(encoding="utf-8")
        assert "mamamia.auc" in text
        assert "whitebox.mu" not in text
        assert path.suffix == ".json" or CONFIDENTIAL in text
    assert stat.S_IMODE((tmp_path / "out" / "confidential").stat().st_mode) == 0o700
    assert Audit.load(written[0]).findings == (finding(),)
    assert Audit.load(written[3]).findings == (kept,)


def test_a_new_audit_leaves_nothing_of_an_old_annex(tmp_path):
    write_audit(audit(finding(), secret()), tmp_path)
    assert len(write_audit(audit(finding()), tmp_path)) == 3
    assert not (tmp_path / "confidential").exists()
    write_audit(audit(finding(), secret()), tmp_path)
    (tmp_path / "confidential" / "mine.txt").write_text("kept")
    write_audit(audit(finding()), tmp_path)
    assert [p.name for p in (tmp_path / "confidential").iterdir()] == ["mine.txt"]


def test_confidential_files_are_their_owners_alone(tmp_path):
    annex = tmp_path / "confidential"
    annex.mkdir()
    (annex / "audit.json").write_text("of an earlier audit, for everybody to read")
    (annex / "audit.json").chmod(0o666)
    written = write_audit(audit(finding(), secret()), tmp_path)
    assert {stat.S_IMODE(path.stat().st_mode) for path in written[3:]} == {0o600}
    assert Audit.load(written[3]).findings == (secret(),)


def test_what_is_confidential_does_not_follow_a_link(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "audit.json").write_text("another's")
    out = tmp_path / "out"
    out.mkdir()
    (out / "confidential").symlink_to(shared)
    with pytest.raises(InputError, match="this is a link"):
        write_audit(audit(finding(), secret()), out)
    write_audit(audit(finding()), out)
    assert (shared / "audit.json").read_text() == "another's"


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_audit(audit(finding()), tmp_path / "file")
