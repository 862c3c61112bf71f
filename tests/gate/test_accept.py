"""Accepting: what it changes, what it leaves alone, and what it refuses."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_medgan.catalogue import METRICS, NAMES
from pytest_medgan.errors import BaselineError
from pytest_medgan.gate import baseline, canonical
from pytest_medgan.gate.accept import accept, reformat, toothless
from pytest_medgan.gate.decision import Question, look
from pytest_medgan.gate.document import REAL, Count, Document, MetricRecord, RowRecord
from pytest_medgan.records import Fingerprint, Limit, LimitValue, Margin, MetricScore, Scores

WORDS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
NAMES_OF_ROWS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=32)
ERRORS = st.floats(0, 1e6)
SCALARS = st.one_of(WORDS, st.integers(-(10**12), 10**12), FLOATS, st.booleans(), st.none())
FACTS = st.dictionaries(WORDS, SCALARS, max_size=4)


@st.composite
def rows(draw):
    counts = draw(st.lists(st.integers(1, 10_000), min_size=1, max_size=3, unique=True))
    groups = draw(st.integers(1, 4))
    metrics = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    kept = st.just(()) | st.tuples(*[FLOATS] * groups)
    values = st.builds(LimitValue, FLOATS, ERRORS, ERRORS, ERRORS, st.just(groups), kept)
    kinds = st.sampled_from(["absolute", "relative", "toward_real", "auto"])
    margins = st.none() | st.builds(Margin, kinds, st.floats(0, 1e6))
    return RowRecord(
        {n: Count(draw(st.integers(1, 9999)), groups) for n in counts},
        {m: MetricRecord({n: draw(values) for n in counts}, draw(margins)) for m in metrics},
        note=draw(WORDS),
        provenance=draw(FACTS),
        sweeps=draw(st.just({}) | st.just({"fid": {3: (0.5, 0.25)}})),
    )


@st.composite
def documents(draw):
    fingerprint = Fingerprint(draw(FACTS), tuple(draw(st.lists(FLOATS, max_size=20))) or None, draw(st.floats(0, 1)))
    names = draw(st.lists(NAMES_OF_ROWS, min_size=1, max_size=4, unique=True))
    return Document(draw(WORDS), note=draw(WORDS), fingerprint=fingerprint, rows={name: draw(rows()) for name in names})


@settings(max_examples=150, deadline=None)
@given(documents())
def test_what_is_written_reads_back_and_is_canonical(document):
    text = canonical.text(document)
    assert canonical.text(baseline.parse(text, "base.yaml")) == text


def outside(text: str, row: str) -> tuple[list[str], list[str]]:
    """The lines before and after a row, found by indentation alone."""
    lines = text.splitlines(keepends=True)
    start = next(i for i, line in enumerate(lines) if i > lines.index("rows:\n") and line == f"  {row}:\n")
    stop = next((i for i in range(start + 1, len(lines)) if not lines[i].startswith("    ")), len(lines))
    return lines[:start], lines[stop:]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(documents(), rows(), st.data())
def test_every_byte_outside_the_replaced_row_is_unchanged(tmp_path, document, new, data):
    name = data.draw(st.sampled_from(sorted(document.rows)))
    renamed = {("target" if key == name else key): row for key, row in document.rows.items()}
    document = replace(document, rows=renamed)
    path, candidate = tmp_path / "base.yaml", tmp_path / "candidate.yaml"
    path.write_bytes(canonical.text(document).encode())
    before = path.read_bytes().decode()
    kept = {key: fact for key, fact in new.provenance.items() if key != "dirty"}
    offered = replace(document, complete=True, rows={"target": replace(new, provenance=kept)})
    candidate.write_bytes(canonical.text(offered).encode())
    accept(candidate, row="target", into=path, reason="the new one is wanted")
    after = path.read_bytes().decode()
    assert outside(after, "target") == outside(before, "target")
    assert after != before
    accepted = baseline.load(path).document.rows["target"]
    assert set(accepted.metrics) == set(new.metrics)
    assert accepted.provenance["reason"] == "the new one is wanted"
    assert accepted.note == renamed["target"].note


def test_the_first_acceptance_creates_the_file_with_the_real_row(candidate, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = accept(candidate(), reason="first")
    assert done.created
    loaded = baseline.load("base.yaml")
    assert loaded.rows == (REAL, "model")
    margin = loaded.row("model").fid.margin
    assert margin.kind == "auto"
    assert margin.amount > 0
    assert loaded.row("model").fid.real[1024].value == 2.0


def test_a_second_model_is_added_beside_the_first(candidate, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    accept(candidate(), reason="first")
    done = accept(candidate("other.yaml", row="Other"), reason="second")
    assert done.before is None
    assert baseline.load("base.yaml").rows == (REAL, "Other", "model")


def test_the_row_may_be_given_another_name(candidate, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    accept(candidate(), row="PGGAN", reason="first")
    assert baseline.load("base.yaml").rows == (REAL, "PGGAN")


def test_a_margin_chosen_by_hand_survives_and_auto_is_computed_anew(candidate, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    accept(candidate(), reason="first", margins={"fid": Margin("relative", 0.05)})
    accept(candidate(fid=30.0), reason="again")
    row = baseline.load("base.yaml").row("model")
    assert row.fid.margin == Margin("relative", 0.05)
    assert row.fid.values[1024].value == 30.0
    assert row.improved_recall.margin.kind == "auto"


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_an_empty_reason_is_refused(candidate, tmp_path, monkeypatch, reason):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BaselineError, match="reason"):
        accept(candidate(), reason=reason)
    assert not Path("base.yaml").exists()


@pytest.mark.parametrize("variable", [("CI", "true"), ("CI", "1"), ("BUILD_NUMBER", "7")])
def test_under_ci_nothing_is_written(candidate, tmp_path, monkeypatch, variable):
    monkeypatch.chdir(tmp_path)
    path = candidate()
    monkeypatch.setenv(*variable)
    with pytest.raises(BaselineError, match="under CI"):
        accept(path, reason="first")
    assert not Path("base.yaml").exists()
    Path("base.yaml").write_text("format: 1\n")
    with pytest.raises(BaselineError, match="under CI"):
        reformat(Path("base.yaml"))


def test_an_incomplete_candidate_is_refused_with_the_way_out(candidate, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BaselineError, match="pytest --medgan-full"):
        accept(candidate(complete=False), reason="first")


def test_a_baseline_is_no_candidate(candidate, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    accept(candidate(), reason="first")
    with pytest.raises(BaselineError, match="not a candidate"):
        accept(Path("base.yaml"), reason="again", into=Path("other.yaml"))
    with pytest.raises(BaselineError, match="no such candidate"):
        accept(Path("none.yaml"), reason="again")


def test_a_dirty_tree_is_refused_unless_overridden_and_recorded(candidate, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BaselineError, match="dirty tree"):
        accept(candidate(dirty=True), reason="first")
    done = accept(candidate(dirty=True), reason="first", overrides=["dirty"])
    assert done.overridden == ("measured on a dirty tree",)
    assert baseline.load("base.yaml").row("model").provenance["override_1"] == "measured on a dirty tree"


def test_another_fingerprint_is_refused_unless_overridden_and_recorded(candidate, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    accept(candidate(), reason="first")
    before = Path("base.yaml").read_text()
    other = Fingerprint({"crop": "tumour", "size": 128}, tuple(float(i) for i in range(128)), 1e-3)
    path = candidate("other.yaml", row="Other", fingerprint=other)
    with pytest.raises(BaselineError, match="crop: tumour != image"):
        accept(path, reason="second")
    assert Path("base.yaml").read_text() == before
    accept(path, reason="second", overrides=["fingerprint"])
    loaded = baseline.load("base.yaml")
    assert "crop: tumour != image" in loaded.row("Other").provenance["override_1"]
    assert loaded.row("Other").fingerprint.inputs == {"crop": "tumour", "size": 128}
    assert not loaded.row("Other").fingerprint.differences(other)  # a row compares with what it was measured under
    assert loaded.row("model").fingerprint.inputs == {"crop": "image", "size": 128}
    assert loaded.row("Other").fid.real is None  # the Real row was measured under other conditions


def test_an_unknown_override_is_refused(candidate, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BaselineError, match="no such override: force"):
        accept(candidate(), reason="first", overrides=["force"])


def test_remarks_are_refused_and_format_moves_them_into_notes(candidate, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    accept(candidate(), reason="first")
    plain = Path("base.yaml").read_text()
    Path("base.yaml").write_text("# ours\n" + plain.replace("      fid:\n", "      fid:  # look here\n"))
    with pytest.raises(BaselineError, match=r"medgan baseline format base\.yaml"):
        accept(candidate(fid=30.0), reason="again")
    assert reformat(Path("base.yaml"))
    assert not reformat(Path("base.yaml"))
    document = baseline.load("base.yaml").document
    assert document.note == "ours"
    assert document.rows["model"].note == "look here"
    accept(candidate(fid=30.0), reason="again")
    assert baseline.load("base.yaml").document.rows["model"].note == "look here"


def test_crlf_is_a_layout_of_its_own(candidate, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    accept(candidate(), reason="first")
    text = Path("base.yaml").read_bytes()
    Path("base.yaml").write_bytes(text.replace(b"\n", b"\r\n"))
    with pytest.raises(BaselineError, match="medgan baseline format"):
        accept(candidate(), reason="again")
    reformat(Path("base.yaml"))
    assert Path("base.yaml").read_bytes() == text


def test_published_figures_are_not_replaced(candidate, tmp_path):
    path = tmp_path / "published.yaml"
    path.write_text(baseline.read(baseline.find("nsclc_radiomics_jang2022")))
    with pytest.raises(BaselineError, match="published"):
        accept(candidate(), reason="first", into=path)


def test_the_real_row_is_renewed_only_when_asked_for(candidate, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    accept(candidate(), reason="first")
    before = Path("base.yaml").read_text()
    done = accept(candidate(fid=30.0), row=REAL, reason="more held-out images")
    assert done.row == REAL
    assert outside(before, "Real") == outside(Path("base.yaml").read_text(), "Real")


def test_a_margin_for_a_metric_that_was_not_measured_is_refused(candidate, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BaselineError, match="kid"):
        accept(candidate(), reason="first", margins={"kid": Margin("absolute", 1.0)})


def test_numbers_that_yaml_would_take_for_text():
    for value in (1e-5, 1e22, 0.1, 5.0, math.inf, -math.inf, 3e-310):
        document = baseline.parse(
            f"format: 1\nkind: measured\nrows:\n  a:\n    provenance:\n      x: {canonical.number(value)}\n"
            "    counts: {}\n    metrics: {}\n",
            "b",
        )
        assert document.rows["a"].provenance["x"] == pytest.approx(value, rel=1e-8)


@pytest.mark.parametrize("amount", [0.39, 0.4, 0.41, 0.43, 0.434, 0.6])
def test_a_limit_is_called_toothless_where_the_worst_model_passes_and_only_there(amount):
    """At 0.43 the worst is within the margin and yet within chance of it, which is red at the full count."""
    metric, margin = METRICS["improved_recall"], Margin("absolute", amount)
    values = {n: LimitValue(0.4, 0.01, groups=3) for n in (256, 512)}
    collapsed = Scores(1000, 512, ("0", "1", "2"), {metric.name: MetricScore(metric, (0.0,) * 3, 0.0, 0.0, 0.0, 0.0)})
    verdict = look(Question(metric, Limit(metric.name, values, "b:1", margin), (256, 512)), collapsed)
    lines = toothless(RowRecord({}, {metric.name: MetricRecord(values, margin)}))
    assert bool(lines) is verdict.outcome.green is (amount > 0.4323)


def test_a_limit_that_an_early_look_can_exceed_is_not_called_toothless():
    values = {256: LimitValue(0.9, 0.01, groups=3), 512: LimitValue(0.4, 0.01, groups=3)}
    assert not toothless(RowRecord({}, {"improved_recall": MetricRecord(values, Margin("absolute", 0.6))}))
