"""Accepting: what it changes, what it leaves alone, what it refuses, anchors and simultaneous acceptances."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_medgan.catalogue import NAMES
from pytest_medgan.errors import BaselineError
from pytest_medgan.gate import baseline, canonical
from pytest_medgan.gate.accept import Request, accept
from pytest_medgan.gate.document import REAL, Document
from pytest_medgan.gate.seal import sealed
from pytest_medgan.records import (
    Anchor,
    Count,
    Entry,
    Fingerprint,
    Margin,
    Row,
    Score,
    Seal,
    TrainingRun,
    mean_of_runs,
)

WORDS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
NAMES_OF_ROWS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=32)
ERRORS = st.floats(0, 1e6)
SCALARS = st.one_of(WORDS, st.integers(-(10**12), 10**12), FLOATS, st.booleans(), st.none())
FACTS = st.dictionaries(WORDS, SCALARS, max_size=4)


@st.composite
def rows(draw, fingerprint):
    counts = draw(st.lists(st.integers(1, 10_000), min_size=1, max_size=3, unique=True))
    groups, runs = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    metrics = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    kept = st.just(()) | st.tuples(*[FLOATS] * groups)
    single = st.builds(
        Score, FLOATS, ERRORS, ERRORS | st.just(float("nan")), ERRORS, st.just(groups), kept, st.floats(1, 1e6)
    )
    score = single if runs == 1 else st.lists(single, min_size=runs, max_size=runs).map(mean_of_runs)
    kinds = st.sampled_from(["absolute", "relative", "toward_real"])
    margins = st.none() | st.just(Margin()) | st.builds(Margin, kinds, st.floats(0, 1e6))
    anchors = st.none() | st.builds(
        Anchor, WORDS, st.integers(1, 9), st.fixed_dictionaries(dict.fromkeys(counts, single))
    )
    real = st.none() | FLOATS
    entry = st.builds(Entry, st.fixed_dictionaries(dict.fromkeys(counts, score)), margins, anchors, WORDS, real)
    made = st.builds(TrainingRun, st.none() | WORDS, st.none() | WORDS, FACTS)
    row = Row(
        "row",
        {metric: draw(entry) for metric in metrics},
        "b:1",
        fingerprint=fingerprint,
        runs=tuple(draw(made) for _ in range(runs)),
        family=draw(st.integers(0, 20)),
        counts={n: Count(draw(st.integers(1, 9999)), groups) for n in counts},
        note=draw(WORDS),
        provenance=draw(FACTS),
        sweeps=draw(st.just({}) | st.just({"fid": {3: (0.5, 0.25)}})),
    )
    facts = [{k: v for k, v in run.facts.items() if k not in ("checkpoint", "recipe")} for run in row.runs]
    return replace(row, runs=tuple(replace(run, facts=fact) for run, fact in zip(row.runs, facts, strict=True)))


@st.composite
def documents(draw):
    fingerprint = Fingerprint(draw(FACTS), tuple(draw(st.lists(FLOATS, min_size=1, max_size=20))))
    names = draw(st.lists(NAMES_OF_ROWS, min_size=1, max_size=4, unique=True))
    made = {name: sealed(replace(draw(rows(fingerprint)), name=name)) for name in names}
    return Document(draw(WORDS), note=draw(WORDS), fingerprint=fingerprint, rows=made)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(documents())
def test_what_is_written_reads_back_is_canonical_and_keeps_its_seals(document):
    text = canonical.text(document)
    loaded = baseline.parse(text, "base.yaml")
    assert canonical.text(loaded) == text
    assert {row.seal for row in loaded.rows.values()} == {Seal.VALID}


def outside(text: str, row: str) -> tuple[list[str], list[str]]:
    """Return the lines before and after a row, found by indentation alone."""
    lines = text.splitlines(keepends=True)
    start = next(i for i, line in enumerate(lines) if i > lines.index("rows:\n") and line == f"  {row}:\n")
    stop = next((i for i in range(start + 1, len(lines)) if not lines[i].startswith("    ")), len(lines))
    return lines[:start], lines[stop:]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(documents(), st.data())
def test_every_byte_outside_the_replaced_row_is_unchanged(tmp_path, document, data):
    name = data.draw(st.sampled_from(sorted(document.rows)))
    rest = {key: row for key, row in document.rows.items() if key != name}
    target = sealed(replace(document.rows[name], name="target"))
    document = replace(document, rows={**rest, "target": target})
    path, candidate = tmp_path / "base.yaml", tmp_path / "candidate.yaml"
    path.write_bytes(canonical.text(document).encode())
    before = path.read_bytes().decode()
    new = data.draw(rows(document.fingerprint))
    runs = tuple(TrainingRun(str(i)) for i in range(len(new.runs)))
    offered = replace(new, name="target", runs=runs, provenance={}, note="")
    candidate.write_bytes(canonical.text(replace(document, complete=True, rows={"target": offered})).encode())
    accept(Request((candidate,), "the new one is wanted", "target", path, frozenset({"drift"})))
    after = path.read_bytes().decode()
    assert outside(after, "target") == outside(before, "target")
    assert after != before
    accepted = baseline.load(path).document.rows["target"]
    assert set(accepted.entries) == set(new.entries)
    assert accepted.provenance["reason"] == "the new one is wanted"
    assert accepted.note == target.note
    assert accepted.seal is Seal.VALID


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def take(*candidates: Path, reason: str = "wanted", **more):
    overrides = frozenset(more.pop("overrides", ()))
    return accept(Request(candidates, reason, overrides=overrides, **more))


def load(name: str = "model"):
    return baseline.load("base.yaml").row(name)


def test_the_first_acceptance_creates_a_sealed_file_with_the_real_row(candidate, here):
    done = take(candidate(), reason="first")
    assert done.created
    assert baseline.load("base.yaml").rows == (REAL, "model")
    row = load()
    assert row.fid.margin == Margin()
    assert row.seal is load(REAL).seal is Seal.VALID
    assert (row.family, row.fid.entry.real, row.fid.entry.revision) == (len(NAMES), 2.0, "1")
    assert row.fid.entry.anchor is None
    assert load(REAL).fid.margin is None
    assert row.provenance["reason"] == "first"


def test_three_candidates_make_one_row_of_three_runs(candidate, here):
    paths = [candidate(f"c{i}.yaml", fid=fid) for i, fid in enumerate((20.0, 21.0, 25.0))]
    take(*paths)
    row = load()
    assert [run.checkpoint for run in row.runs] == ["c0.yaml", "c1.yaml", "c2.yaml"]
    assert row.fid.values[1024].mean == 22.0
    assert [run.mean for run in row.fid.values[1024].runs] == [20.0, 21.0, 25.0]


def test_a_second_model_is_added_beside_the_first(candidate, here):
    take(candidate())
    done = take(candidate("other.yaml", row="Other"))
    assert done.before is None
    assert baseline.load("base.yaml").rows == (REAL, "Other", "model")
    assert {load(name).seal for name in (REAL, "Other", "model")} == {Seal.VALID}


def test_the_row_may_be_given_another_name(candidate, here):
    take(candidate(), row="PGGAN")
    assert baseline.load("base.yaml").rows == (REAL, "PGGAN")
    assert load("PGGAN").seal is Seal.VALID


def test_a_margin_chosen_by_hand_survives_and_new_metrics_get_auto(candidate, here):
    take(candidate(), margins={"fid": Margin("relative", 0.05)})
    take(candidate(fid=20.1))
    assert load().fid.margin == Margin("relative", 0.05)
    assert load().fid.values[1024].mean == 20.1
    assert load().improved_recall.margin == Margin()


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_an_empty_reason_is_refused(candidate, here, reason):
    with pytest.raises(BaselineError, match="reason"):
        take(candidate(), reason=reason)
    assert not Path("base.yaml").exists()


@pytest.mark.parametrize("variable", [("CI", "true"), ("CI", "1"), ("BUILD_NUMBER", "7")])
def test_under_ci_nothing_is_written(candidate, here, monkeypatch, variable):
    path = candidate()
    monkeypatch.setenv(*variable)
    with pytest.raises(BaselineError, match="Under CI"):
        take(path)
    assert not Path("base.yaml").exists()


def test_an_incomplete_candidate_is_refused_with_the_way_out(candidate, here):
    with pytest.raises(BaselineError, match="pytest --medgan-full"):
        take(candidate(complete=False))
    with pytest.raises(BaselineError, match="pytest --medgan-full"):
        take(candidate(), candidate("late.yaml", complete=False))


def test_a_baseline_is_no_candidate(candidate, here):
    take(candidate())
    with pytest.raises(BaselineError, match="no candidate"):
        take(Path("base.yaml"), into=Path("other.yaml"))
    with pytest.raises(BaselineError, match="no such candidate"):
        take(Path("none.yaml"))


def test_a_dirty_tree_is_refused_unless_overridden_and_recorded(candidate, here):
    with pytest.raises(BaselineError, match="dirty tree"):
        take(candidate(dirty=True))
    done = take(candidate(dirty=True), overrides=["dirty"])
    assert done.overridden == ("measured on a dirty tree",)
    assert load().provenance["override_1"] == "measured on a dirty tree"


def other_fingerprint(fingerprint):
    inputs = {**fingerprint.inputs, "crop": "tumour"}
    return replace(fingerprint, inputs=inputs, canary=tuple(2 * x for x in fingerprint.canary))


def test_another_fingerprint_is_refused_unless_overridden_and_recorded(candidate, here):
    take(candidate())
    before, other = Path("base.yaml").read_text(), other_fingerprint(load().fingerprint)
    path = candidate("other.yaml", row="Other", fingerprint=other)
    with pytest.raises(BaselineError, match="crop: tumour != image"):
        take(path)
    assert Path("base.yaml").read_text() == before
    take(path, overrides=["fingerprint"])
    row = load("Other")
    assert "crop: tumour != image" in row.provenance["override_1"]
    assert row.fingerprint.inputs["crop"] == "tumour"
    assert not row.fingerprint.differences(other)  # a row compares with what it was measured under
    assert row.seal is load().seal is Seal.VALID
    assert load().fingerprint.inputs["crop"] == "image"
    assert row.real is None  # the Real row was measured under other conditions


def test_an_unknown_override_is_refused(candidate, here):
    with pytest.raises(BaselineError, match="no override force"):
        take(candidate(), overrides=["force"])


def test_crlf_and_remarks_are_a_layout_of_their_own(candidate, here):
    take(candidate())
    text = Path("base.yaml").read_bytes()
    for changed in (text.replace(b"\n", b"\r\n"), b"# ours\n" + text):
        Path("base.yaml").write_bytes(changed)
        with pytest.raises(BaselineError, match=r"medgan baseline format base\.yaml"):
            take(candidate(fid=20.1))


def test_published_figures_are_not_replaced(candidate, here):
    path = here / "published.yaml"
    path.write_text(baseline.read(baseline.find("nsclc_radiomics_jang2022")))
    with pytest.raises(BaselineError, match="published"):
        take(candidate(), into=path)


def test_the_real_row_is_renewed_only_when_asked_for(candidate, here):
    take(candidate())
    before = Path("base.yaml").read_text()
    done = take(candidate(fid=30.0), row=REAL)
    assert done.row == REAL
    assert outside(before, "Real") == outside(Path("base.yaml").read_text(), "Real")


def test_a_margin_for_a_metric_that_was_not_measured_is_refused(candidate, here):
    with pytest.raises(BaselineError, match="kid"):
        take(candidate(), margins={"kid": Margin("absolute", 1.0)})


def test_a_loss_is_refused_unless_overridden_and_recorded(candidate, here):
    take(candidate())
    with pytest.raises(BaselineError, match=r"fid ↓: 20\.000 -> 21\.000.*--override drift"):
        take(candidate("worse.yaml", fid=21.0))
    assert load().fid.values[1024].mean == 20.0
    done = take(candidate("worse.yaml", fid=21.0), overrides=["drift"])
    assert done.overridden[0].startswith("drift: fid")
    assert load().fid.values[1024].mean == 21.0
    assert load().fid.entry.anchor is None  # the loss was accepted: the new row is the anchor


def test_small_losses_move_the_anchor_little_and_are_stopped(candidate, here):
    """The error of a row is 0.05; each candidate is worse than the last by 0.15."""
    take(candidate())
    fid, accepted = 20.0, 0
    for step in range(24):
        try:
            take(candidate(f"c{step}.yaml", fid=fid + 0.15))
        except BaselineError:
            continue
        fid, accepted = fid + 0.15, accepted + 1
    assert 1 <= accepted <= 3
    anchor = load().fid.entry.anchor
    assert anchor.rows == accepted + 1
    assert 20.0 < anchor.at[1024].mean < 20.0 + 0.1 * accepted


def test_the_same_run_accepted_again_leaves_the_anchor_alone(candidate, here):
    take(candidate("c0.yaml", checkpoint="one"))
    take(candidate("c1.yaml", checkpoint="one"))
    assert load().fid.entry.anchor is None
    take(candidate("c2.yaml", checkpoint="two", fid=20.05))
    anchor = load().fid.entry.anchor
    take(candidate("c3.yaml", checkpoint="two", fid=20.05))
    assert load().fid.entry.anchor == anchor


def test_a_gain_beyond_chance_becomes_the_anchor(candidate, here):
    take(candidate())
    take(candidate("a.yaml", fid=20.05))
    assert load().fid.entry.anchor.rows == 2
    take(candidate("b.yaml", fid=19.0))
    assert load().fid.entry.anchor is None
    with pytest.raises(BaselineError, match="drift"):
        take(candidate("c.yaml", fid=20.0))


def test_a_row_that_was_changed_by_hand_is_not_replaced_unseen(candidate, here):
    take(candidate())
    text = Path("base.yaml").read_text()
    Path("base.yaml").write_text(text.replace("value: 20.0,", "value: 30.0,"))
    with pytest.raises(BaselineError, match="medgan baseline seal"):
        take(candidate(fid=29.0))
    Path("base.yaml").write_text("\n".join(line for line in text.split("\n") if "seal:" not in line))
    with pytest.raises(BaselineError, match="no seal"):
        take(candidate())


def test_the_best_of_several_must_be_measured_on_fresh_latent_seeds(candidate, here):
    take(candidate())
    with pytest.raises(BaselineError, match="Measure it again with other seeds"):
        take(candidate("best.yaml"), selected_from=5)
    inputs = {**load().fingerprint.inputs, "seeds": "7,8,9"}
    fresh = replace(load().fingerprint, inputs=inputs)
    take(candidate("best.yaml", fingerprint=fresh), selected_from=5)
    assert load().selected_from == 5
    assert load().fingerprint.inputs["seeds"] == "7,8,9"
    assert load().seal is Seal.VALID


def test_all_of_several_runs_are_no_selection(candidate, here):
    paths = [candidate(f"c{i}.yaml", fid=20.0 + i) for i in range(3)]
    take(*paths, selected_from=3)
    assert load().selected_from == 0
    with pytest.raises(BaselineError, match="less than the 3 runs"):
        take(*paths, selected_from=2)


def test_what_would_be_blind_is_said_at_once(candidate, here):
    done = take(candidate(se=0.2))
    assert [line.split()[0] for line in done.warnings] == ["improved_recall"]
    assert "images a sample group would be enough" in done.warnings[0]
    assert not take(candidate("sharp.yaml", row="Sharp", se=0.01)).warnings


def accept_one(place: int, folder: Path, path: Path) -> None:
    """Accept a candidate as a row of its own, in a process of its own."""
    accept(Request((path,), "wanted", f"row {place}", folder / "base.yaml"))


@pytest.mark.parametrize("pairs", [3])
def test_two_processes_that_accept_at_once_keep_both_rows(candidate, here, pairs):
    context = multiprocessing.get_context("fork")
    paths = [candidate(f"c{i}.yaml") for i in range(2 * pairs)]
    for pair in range(pairs):
        both = [context.Process(target=accept_one, args=(i, here, paths[i])) for i in (2 * pair, 2 * pair + 1)]
        for process in both:
            process.start()
        for process in both:
            process.join()
        assert [process.exitcode for process in both] == [0, 0]
    assert set(baseline.load(here / "base.yaml").rows) == {REAL, *(f"row {i}" for i in range(2 * pairs))}


def test_candidates_of_several_rows_are_not_made_one_unasked(candidate, here):
    """`accept medgan-report/candidate-*.yaml` finds those of every model; foreign models name no recipe."""
    paths = [candidate("a.yaml", row="DCGAN", fid=20.0), candidate("b.yaml", row="PGGAN", fid=90.0)]
    with pytest.raises(BaselineError, match=r"of 2 rows \(DCGAN, PGGAN\), and one acceptance makes one row"):
        take(*paths)
    assert not Path("base.yaml").exists()
    take(*paths, row="GAN")
    assert len(load("GAN").runs) == 2


def test_candidates_of_several_baselines_need_one_that_is_named(candidate, here):
    paths = [candidate("a.yaml", fid=20.0), candidate("b.yaml", fid=21.0, baseline="other.yaml")]
    with pytest.raises(BaselineError, match=r"meant for other baselines \(base.yaml, other.yaml\)"):
        take(*paths)
    take(*paths, into=Path("other.yaml"))
    assert not Path("base.yaml").exists()
