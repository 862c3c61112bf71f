"""The pipeline on images and features small enough to check by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pytest_medgan.catalogue import METRICS
from pytest_medgan.embedding import resolve_extractor
from pytest_medgan.errors import CheckpointError, DataError
from pytest_medgan.evaluate import (
    ModelEvaluation,
    RunsEvaluation,
    Settings,
    Subject,
    Workbench,
    real_row,
    with_real_sweep,
)
from pytest_medgan.evaluate.combining import combine_groups, gather_scores, row_of
from pytest_medgan.evaluate.drawing import checked_images, look_order
from pytest_medgan.evaluate.real import held_out_source, real_evaluation
from pytest_medgan.evaluate.workbench import swept
from pytest_medgan.ground.plain import from_plain, to_plain
from pytest_medgan.metrics import frechet_distance, improved_precision_recall
from pytest_medgan.records import (
    DataSettings,
    Estimate,
    Evidence,
    Fingerprint,
    Float32,
    ImageSet,
    Progress,
    RealSets,
    Score,
    Scores,
    UInt8,
    no_progress,
)


class Projections:
    """A feature space that counts what it embeds."""

    identity = "fixed projections"
    numeric_class = "float32"

    def __init__(self) -> None:
        self.embedded = 0

    def embed(self, pixels: UInt8, progress: Progress = no_progress) -> tuple[Float32, None]:
        self.embedded += len(pixels)
        matrix = np.random.default_rng(5).normal(size=(pixels[0].size, 12)) / 16
        return (pixels.reshape(len(pixels), -1) / 255.0 @ matrix).astype(np.float32), None


class Noise:
    """A generator that can draw any stretch of its sequence, and remembers which were asked for."""

    identity = "noise"

    def __init__(self) -> None:
        self.asked: list[tuple[int, int, int]] = []

    def __call__(self, count: int, seed: int) -> UInt8:
        return self.sample_range(0, count, seed)

    def sample_range(self, start: int, stop: int, seed: int) -> UInt8:
        self.asked.append((start, stop, seed))
        rows = [np.random.default_rng([seed, i]).integers(40, 200, (1, 16, 16)) for i in range(start, stop)]
        return np.array(rows, dtype=np.uint8)


def images(count: int, seed: int, recipe: str) -> ImageSet:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 1, 16, 16), dtype=np.uint8)
    return ImageSet(pixels, np.repeat([f"p{seed}{i}" for i in range(4)], count // 4), recipe, window=(-1000.0, 400.0))


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    real = RealSets(images(64, 1, "train"), images(64, 2, "ref"), images(64, 3, "held"), DataSettings("x"), "digest")
    settings = Settings(metrics=("fid", "improved_precision", "improved_recall"), seeds=(0, 1, 2))
    return Subject(real, resolve_extractor(Projections()), settings, Workbench(tmp_path))


def test_scores_are_the_metrics_of_the_features(subject: Subject) -> None:
    evaluation = ModelEvaluation("noise", Noise(), subject)
    scores = evaluation.at(32)
    real, _ = subject.extractor.embed(subject.real.reference.pixels)
    fakes = [subject.extractor.embed(Noise()(32, seed))[0] for seed in (0, 1, 2)]
    assert scores["fid"].values == pytest.approx([frechet_distance(real=real, fake=fake) for fake in fakes], rel=1e-9)
    pairs = [improved_precision_recall(real=real, fake=fake, k=3) for fake in fakes]
    assert scores["improved_precision"].values == tuple(p for p, _ in pairs)
    assert scores["improved_recall"].values == tuple(r for _, r in pairs)
    assert (scores.n_real, scores.n_fake, scores.groups) == (64, 32, ("0", "1", "2"))


def test_later_look_draws_and_embeds_only_new_images(subject: Subject) -> None:
    generator, extractor = Noise(), Projections()
    evaluation = ModelEvaluation("noise", generator, replace(subject, extractor=resolve_extractor(extractor)))
    assert evaluation.counts == (16, 32, 64)
    evaluation.at(16)
    before = extractor.embedded
    evaluation.at(32)
    evaluation.at(32)
    assert generator.asked == [(0, 16, s) for s in range(3)] + [(16, 32, s) for s in range(3)]
    assert extractor.embedded - before == 3 * 16


def test_images_of_a_range_keep_their_order_over_several_looks(subject: Subject) -> None:
    evaluation = ModelEvaluation("noise", Noise(), subject)
    evaluation.images(1, 16)
    assert (evaluation.images(1, 64).pixels == Noise()(64, 1)).all()


def test_callable_without_ranges_draws_all_images_of_a_seed_at_once(subject: Subject) -> None:
    calls: list[tuple[int, int]] = []

    def generator(count: int, seed: int) -> UInt8:
        calls.append((count, seed))
        return Noise()(count, seed)

    evaluation = ModelEvaluation("plain", generator, subject)
    for n in evaluation.counts:
        evaluation.at(n)
    repeated = [(4, 0), (4, 0)]  # whether equal requests give equal images
    assert calls == [*repeated, (64, 0), (64, 1), (64, 2)]


def late_black(count: int, seed: int) -> UInt8:
    """Good images first, black ones from the 17th on."""
    pixels = Noise()(count, seed)
    pixels[16:] = 0
    return pixels


def test_early_look_sees_images_from_the_end(subject: Subject) -> None:
    look = ModelEvaluation("late", late_black, subject).images(0, 16).pixels
    black = int((look.reshape(16, -1).max(1) == 0).sum())
    assert 8 <= black < 16  # 48 of the 64 images are black
    assert (look == late_black(64, 0)[look_order(0, 64)[:16]]).all()


def test_larger_look_begins_with_the_smaller_one(subject: Subject) -> None:
    evaluation = ModelEvaluation("late", late_black, subject)
    assert (evaluation.images(1, 64).pixels[:16] == evaluation.images(1, 16).pixels).all()
    assert sorted(look_order(1, 64)) == list(range(64))
    assert (look_order(1, 64) != look_order(2, 64)).any()


def whole_noise(count: int, seed: int) -> UInt8:
    """The images of Noise from a function that cannot draw ranges."""
    return Noise()(count, seed)


def test_pair_takes_the_same_positions_of_both_models(subject: Subject) -> None:
    """One model can draw ranges and the other cannot; images at equal positions come from equal latents."""
    evaluation = ModelEvaluation("pair", whole_noise, subject, accepted=Noise())
    assert evaluation._accepted is not None
    assert (evaluation.images(2, 16).pixels == evaluation._accepted.images(2, 16).pixels).all()
    pair = evaluation.paired(16)
    assert pair is not None
    for name, ours in pair.ours.items():
        assert all((a.units == b.units).all() for a, b in zip(ours, pair.theirs[name], strict=True)), name


def test_real_row_scores_the_held_out_images_as_generated(subject: Subject) -> None:
    row = real_row(subject)
    real, _ = subject.extractor.embed(subject.real.reference.pixels)
    fake, _ = subject.extractor.embed(subject.real.held_out.pixels)
    assert row.fid.values[64].mean == pytest.approx(frechet_distance(real=real, fake=fake), rel=1e-9)
    assert row.fid.fingerprint == ModelEvaluation("x", Noise(), subject).fingerprint


def test_count_that_is_no_look_is_refused(subject: Subject) -> None:
    with pytest.raises(ValueError, match="16, 32, 64"):
        ModelEvaluation("noise", Noise(), subject).at(20)


def test_too_few_held_out_images_are_an_error(subject: Subject) -> None:
    with pytest.raises(DataError, match="65 held-out real images were asked for and there are 64"):
        held_out_source(subject.real.held_out, 0).draw(65, 0)


def test_fingerprint_difference_names_the_changed_setting(subject: Subject) -> None:

    ours = ModelEvaluation("x", Noise(), subject).fingerprint
    other = replace(subject, settings=replace(subject.settings, seeds=(5,)))
    theirs = ModelEvaluation("x", Noise(), other).fingerprint
    assert ours.differences(ours) == ()
    assert ours.differences(theirs) == ("seeds: 0,1,2 != 5",)


def test_scores_survive_strict_json(subject: Subject) -> None:
    scores = ModelEvaluation("noise", Noise(), subject).at(16)
    assert from_plain(Scores, json.loads(json.dumps(to_plain(scores), allow_nan=False))) == scores


def test_combine_groups_takes_groups_as_independent_given_the_reference() -> None:
    score = combine_groups([Estimate(value, 0.3, 0.5, 31.0) for value in (1.0, 2.0, 3.0)])
    assert (score.mean, score.groups, score.values) == (2.0, 3, (1.0, 2.0, 3.0))
    assert score.freedom == pytest.approx(3 * 31.0)
    assert score.sd == pytest.approx(1.0)
    assert score.se == pytest.approx(0.3 / math.sqrt(3))
    assert score.se_total == pytest.approx(math.sqrt(0.5**2 - 0.3**2 + 0.3**2 / 3))


def test_checked_images_refuses_other_types_and_shapes() -> None:
    good = np.zeros((4, 1, 8, 8), np.uint8)
    np.testing.assert_array_equal(checked_images(good, 4, (1, 8, 8)), good)
    for bad in (good[:3], good.astype(np.float32), good[:, 0], good[..., :4]):
        with pytest.raises(CheckpointError, match="The generator returned"):
            checked_images(bad, 4, (1, 8, 8))


class Small(Noise):
    """A generator whose images have another size than the real ones."""

    identity = "small"

    def sample_range(self, start: int, stop: int, seed: int) -> UInt8:
        return super().sample_range(start, stop, seed)[:, :, ::2, ::2]


SMALL = (
    "Model '{}': The generator returned images of 8x8 pixels, and the real images have 16x16. Make it draw 16x16, or "
    "set size=8 in --medgan-data or --data."
)


def test_images_of_another_size_are_an_error_after_the_first_ones(subject: Subject) -> None:
    extractor, generator = Projections(), Small()
    evaluation = ModelEvaluation("b", generator, replace(subject, extractor=resolve_extractor(extractor)))
    with pytest.raises(CheckpointError) as caught:
        evaluation.at(64)
    assert str(caught.value) == SMALL.format("b")
    assert generator.asked == [(0, 32, 0)]
    assert extractor.embedded == 0


def test_images_of_another_shape_have_no_size_to_set(subject: Subject) -> None:
    for cut in (np.s_[:, :, :8], np.s_[:, :1, ..., :8]):
        with pytest.raises(CheckpointError) as caught:
            ModelEvaluation("b", lambda count, seed, cut=cut: Noise()(count, seed)[cut], subject).at(16)
        assert "Make it draw 16x16." in str(caught.value)


def test_first_images_are_drawn_once_and_kept_in_their_order(subject: Subject) -> None:
    generator = Noise()
    evaluation = ModelEvaluation("noise", generator, subject)
    evaluation.check_images(64)
    assert (evaluation.images(0, 64).pixels == Noise()(64, 0)).all()
    assert generator.asked == [(0, 32, 0), (32, 64, 0)]


@pytest.mark.parametrize("wrong", ["accepted", "run"])
def test_images_of_another_size_of_a_second_model_are_an_error_before_the_first_is_embedded(
    wrong: str, subject: Subject
) -> None:
    extractor = Projections()
    subject = replace(subject, extractor=resolve_extractor(extractor))
    if wrong == "run":
        runs = [ModelEvaluation(f"m, run {i}", one, subject) for i, one in enumerate((Noise(), Small()), start=1)]
        look, name = RunsEvaluation("m", runs).at, "m, run 2"
    else:
        look, name = ModelEvaluation("m", Noise(), subject, accepted=Small()).at, "m, the accepted model"
    with pytest.raises(CheckpointError) as caught:
        look(16)
    assert str(caught.value) == SMALL.format(name)
    assert extractor.embedded == 0


def test_sweep_leaves_the_scores_unchanged(subject: Subject) -> None:
    plain = ModelEvaluation("noise", Noise(), subject)
    bench = replace(subject.bench, sweep=True, _kept={})
    swept_over = ModelEvaluation("noise", Noise(), replace(subject, bench=bench))
    assert swept_over.at(32) == plain.at(32)
    assert plain.evidence().ks.tolist() == [3]
    found = swept_over.evidence()
    assert found.ks.tolist() == [1, 2, 3, 5, 7, 10, 15, 20, 30]
    precision, recall = improved_precision_recall(
        real=subject.extractor.embed(subject.real.reference.pixels)[0],
        fake=subject.extractor.embed(Noise()(32, 0))[0],
        k=found.ks.tolist(),
    )
    assert (found.sweep["improved_precision"] == precision).all()
    assert (found.sweep["improved_recall"] == recall).all()


def test_evidence_is_gathered_with_the_scores_for_a_report(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    late = ModelEvaluation("noise", Noise(), replace(subject, bench=replace(subject.bench, sweep=True, _kept={})))
    bench = replace(subject.bench, evidence=True, sweep=True, _kept={})
    early = ModelEvaluation("noise", Noise(), replace(subject, bench=bench))
    assert early.at(32) == late.at(32)
    expected = late.evidence()
    monkeypatch.setattr(early, "_measure", None)  # nothing is measured again
    found = early.evidence()
    assert (found.ks == expected.ks).all()
    assert all((found.sweep[name] == curve).all() for name, curve in expected.sweep.items())
    assert (found.realism == expected.realism).all()


def test_real_row_has_a_sweep_where_enough_is_held_out(subject: Subject) -> None:
    subject = replace(subject, bench=replace(subject.bench, sweep=True, _kept={}))
    beside = with_real_sweep(ModelEvaluation("noise", Noise(), subject).evidence(32), subject, 32)
    held_out = subject.extractor.embed(real_evaluation(subject).images(0, 32).pixels)[0]
    precision, _ = improved_precision_recall(
        real=subject.extractor.embed(subject.real.reference.pixels)[0], fake=held_out, k=beside.ks.tolist()
    )
    assert (beside.sweep["real:improved_precision"] == precision).all()
    few = replace(subject, real=replace(subject.real, held_out=images(8, 3, "held")))
    assert not any(name.startswith("real:") for name in with_real_sweep(beside_less(beside), few, 32).sweep)


def beside_less(evidence: Evidence) -> Evidence:
    return replace(evidence, sweep={n: c for n, c in evidence.sweep.items() if not n.startswith("real:")})


@pytest.mark.parametrize(
    ("count", "ks"), [(6080, (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100)), (9, (1, 2, 3, 5, 7, 8)), (2, (1,)), (1, ())]
)
def test_sweep_ends_with_the_last_possible_neighbour(count: int, ks: tuple[int, ...]) -> None:
    assert swept(count) == ks


def test_generators_without_identity_have_different_keys(subject: Subject) -> None:
    def plain(count: int, seed: int) -> UInt8:
        return Noise()(count, seed)

    def inverted(count: int, seed: int) -> UInt8:
        return 255 - Noise()(count, seed)

    one, other = (ModelEvaluation("model", generator, subject) for generator in (plain, inverted))
    assert one.key != other.key
    assert one.images(0, 2).recipe != other.images(0, 2).recipe
    assert one.key == ModelEvaluation("model", plain, subject).key


def test_extractor_fine_tuned_on_reference_patients_is_a_warning(subject: Subject) -> None:
    assert subject.warnings == ()
    extractor = Projections()
    extractor.trained_on = ("p20", "p11", "p23")  # type: ignore[attr-defined]
    (warning,) = replace(subject, extractor=resolve_extractor(extractor)).warnings
    assert "2 of the 4 reference patients" in warning
    assert "p20" not in warning


@pytest.mark.parametrize(("reference", "held_out", "full"), [(64, 64, 64), (64, 60, 56), (64, 24, 64), (60, 64, 56)])
def test_full_count_leaves_enough_held_out_images(subject: Subject, reference: int, held_out: int, full: int) -> None:
    real = replace(subject.real, reference=images(reference, 2, "ref"), held_out=images(held_out, 3, "held"))
    evaluation = ModelEvaluation("noise", Noise(), replace(subject, real=real))
    assert evaluation.counts[-1] == full


def test_real_row_errors_take_patients_as_blocks(subject: Subject) -> None:
    """Four patients of sixteen equal images: as many independent images as patients, not as slices."""
    held_out = subject.real.held_out
    repeated = replace(held_out, pixels=np.repeat(held_out.pixels[::16], 16, axis=0))
    blocks = replace(subject, real=replace(subject.real, held_out=repeated, digest="blocks"))
    by_patient = real_evaluation(blocks).at(64)["fid"].se
    assert real_evaluation(blocks)._drawn_images.groups(0, 64) is not None
    alone = replace(held_out_source(repeated, 0), groups=None)
    by_slice = ModelEvaluation("slices", alone, blocks).at(64)["fid"].se
    assert by_patient > 2 * by_slice


def test_fingerprint_holds_the_revisions_of_measured_metrics(subject: Subject) -> None:
    fingerprint = ModelEvaluation("x", Noise(), subject).fingerprint
    assert dict(fingerprint.revisions) == {name: METRICS[name].revision for name in subject.settings.metrics}


def test_changed_revision_concerns_its_metric_alone() -> None:
    ours, theirs = Fingerprint({}, revisions={"fid": 1, "kid": 1}), Fingerprint({}, revisions={"fid": 2, "kid": 1})
    assert ours.differences(theirs) == ()  # the gate refuses the metric whose revision differs, and no other


def test_metric_measured_on_some_groups_only_is_unmeasured() -> None:
    measured = SimpleNamespace(
        estimates={"fid": Estimate(1.0, 0.1, 0.2), "kid": Estimate(2.0, 0.1, 0.2)}, unmeasured={}
    )
    partly = SimpleNamespace(estimates={"kid": Estimate(4.0, 0.1, 0.2)}, unmeasured={"fid": "too few images"})
    settings = Settings(metrics=("fid", "kid"), seeds=(0, 1))
    scores = gather_scores([measured, partly], settings, 64, 32)  # type: ignore[list-item]
    assert dict(scores.unmeasured) == {"fid": "too few images"}
    assert scores["kid"].values == (2.0, 4.0)


def test_row_of_keeps_each_error_apart() -> None:
    score = Score(2.0, 0.5, 1.4, 0.75, 2, (1.0, 3.0))
    scores = Scores(64, 32, ("0", "1"), {"fid": score})
    value = row_of("Real", [scores], Fingerprint({}), "here").fid.values[32]
    assert (value.mean, value.se, value.sd, value.se_total, value.groups) == (2.0, 0.5, 1.4, 0.75, 2)


def test_reference_with_training_images_is_prepared_apart(subject: Subject) -> None:
    bench, metrics = subject.bench, ("authenticity",)
    without = bench.reference(subject.extractor, subject.real, metrics, None)
    assert bench.reference(subject.extractor, subject.real, metrics, subject.real.training.recipe) is not without
    assert bench.reference(subject.extractor, subject.real, metrics, None) is without
