"""A synthetic run: drawn slices of a thorax, features that show their shapes, and models of known faults."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from pytest_medgan.catalogue import METRICS
from pytest_medgan.evaluate.pictures import with_pictures
from pytest_medgan.records import (
    Entry,
    Evidence,
    Fingerprint,
    ImageSet,
    Margin,
    Outcome,
    Row,
    Score,
    Scores,
    Verdict,
)
from pytest_medgan.report import Comparison, HistoryPoint, ModelRecord, ReportRun
from pytest_medgan.report.evidence_file import without_real
from tests.browser import browser, visit  # noqa: F401

Pixels = npt.NDArray[np.uint8]

# value, standard error of an accepted model, after the paper's PGGAN
ACCEPTED = {
    "inception_score": (1.180, 0.004),
    "fid": (6.79, 0.20),
    "kid": (0.00210, 0.00010),
    "precision": (0.991, 0.003),
    "recall": (0.989, 0.003),
    "improved_precision": (0.705, 0.006),
    "improved_recall": (0.873, 0.006),
    "density": (0.550, 0.009),
    "coverage": (0.589, 0.008),
    "authenticity": (0.620, 0.008),
    "copy_rate": (0.0010, 0.0004),
    "duplicate_rate": (0.0005, 0.0003),
    "intensity_distance": (1.20, 0.10),
    "ms_ssim": (0.310, 0.004),
    "anomaly_rate": (0.052, 0.006),
    "memorised_rate": (0.007, 0.002),
    "implausible_rate": (0.031, 0.005),
}
REAL = {
    "inception_score": 1.30,
    "fid": 2.05,
    "kid": 0.0,
    "precision": 0.997,
    "recall": 0.997,
    "improved_precision": 0.987,
    "improved_recall": 0.987,
    "density": 1.0,
    "coverage": 0.969,
    "authenticity": 0.640,
    "copy_rate": 0.0,
    "duplicate_rate": 0.0,
    "intensity_distance": 0.20,
    "ms_ssim": 0.290,
    "anomaly_rate": 0.024,
    "memorised_rate": 0.007,
    "implausible_rate": 0.022,
}


def worse_by(metric: str, errors: float) -> float:
    """Return the accepted value made worse by a number of its standard errors."""
    value, se = ACCEPTED[metric]
    return value - errors * se if METRICS[metric].higher_is_better else value + errors * se


def score(mean: float, se: float, spread: float = 0.5) -> Score:
    values = (mean - spread * se, mean, mean + spread * se)
    return Score(mean, se, spread * se, 1.4 * se, 3, values)


def row(name: str, values: dict[str, tuple[float, float]], kind: str = "measured", origin: str = "") -> Row:
    entries = {
        metric: Entry({n: Score(value, se * (480 / n) ** 0.5, se, 1.4 * se, 3) for n in (60, 120, 240, 480)}, Margin())
        for metric, (value, se) in values.items()
    }
    return Row(name, entries, origin or "baselines/phantom.yaml:30", kind=kind)


def verdict(metric: str, measured: Score, n_fake: int) -> Verdict:
    """Return the verdict on a score against ACCEPTED, with a margin of four standard errors."""
    limit, se = ACCEPTED[metric]
    gap = limit - measured.mean if METRICS[metric].higher_is_better else measured.mean - limit
    loss_se = math.hypot(se, measured.se)
    failed = gap > 4 * se
    return Verdict(
        metric=METRICS[metric],
        outcome=Outcome.FAIL if failed else Outcome.PASS,
        measured=measured,
        n_fake=n_fake,
        limit=limit,
        margin=4 * se,
        origin="baselines/phantom.yaml:31",
        row="PGGAN",
        loss=gap,
        loss_se=loss_se,
        critical=3.1,
        reason=f"{gap / loss_se:.1f} standard errors worse" if failed else "",
        looks=(60, 120, n_fake),
        real=REAL[metric],
    )


@pytest.fixture
def make_model() -> Callable[..., ModelRecord]:
    """Make a model whose metrics are the given numbers of standard errors worse than the accepted row."""

    def make(
        name: str = "PGGAN", *, judged: bool = True, past: bool = True, without: tuple[str, ...] = (), **errors: float
    ) -> ModelRecord:
        looks = []
        for n in (60, 120, 480):
            metrics = {
                metric: score(worse_by(metric, errors.get(metric, 0.3)), ACCEPTED[metric][1] * (480 / n) ** 0.5)
                for metric in ACCEPTED
                if metric not in without
            }
            unmeasured = dict.fromkeys(without, "the generator's training set is not known")
            looks.append(Scores(520, n, ("0", "1", "2"), metrics, unmeasured))
        comparisons = [Comparison(verdict(m, s, 480), f"test_gate.py::test_{m}") for m, s in looks[-1].metrics.items()]
        history = [
            HistoryPoint(
                f"2026-0{month}-01",
                {m: Score(v * (1.3 - 0.05 * month), se, se) for m, (v, se) in ACCEPTED.items()},
                reason="more training",
            )
            for month in range(1, 6)
        ]
        return ModelRecord(
            name=name,
            row="PGGAN",
            looks=tuple(looks),
            full_count=480,
            comparisons=tuple(comparisons) if judged else (),
            real=row("Real", {m: (v, ACCEPTED[m][1]) for m, v in REAL.items()}, origin="the Real row of this run"),
            baseline=row("PGGAN", ACCEPTED),
            published=row("PGGAN", {"fid": (6.79, 0.354)}, "published", "baselines/nsclc_radiomics_jang2022.yaml:20"),
            fingerprint=Fingerprint({"extractor": "inception_v3:9f2c", "seeds": "0,1,2", "split": "patient"}),
            window=(-1000.0, 400.0),
            history=tuple(history) if past else (),
            accept="medgan baseline accept medgan-report/candidate-PGGAN.yaml --row PGGAN",
        )

    return make


@pytest.fixture
def make_run(make_model: Callable[..., ModelRecord]) -> Callable[..., ReportRun]:
    """Make a run of one model, as `make_model` makes it."""

    def make(name: str = "PGGAN", **errors: float) -> ReportRun:
        return ReportRun(
            models=(make_model(name, **errors),),
            facts={
                "data": "phantom",
                "split": "patient",
                "extractor": "inception_v3, weights=random",
                "real images": 520,
            },
            warnings=("random Inception weights: scores compare only with scores of the same weights",),
            created="2026-11-23T06:00:00Z",
        )

    return make


def slices(count: int, seed: int, *, kinds: int = 12, shade: float = 0.0) -> Pixels:
    """Return slices [N,1,128,128] of a body, two lungs and a tumour in `kinds` shapes; few kinds are a collapse."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1:1:128j, -1:1:128j]
    shapes = np.random.default_rng(99).uniform(-1, 1, (kinds, 6))
    images = np.empty((count, 1, 128, 128), np.uint8)
    for i in range(count):
        a = shapes[rng.integers(kinds)] + rng.normal(0, 0.12, 6)
        body = (x / (0.9 + 0.05 * a[0])) ** 2 + (y / (0.7 + 0.05 * a[1])) ** 2 < 1
        lungs = ((abs(x) - 0.42) / (0.3 + 0.04 * a[2])) ** 2 + ((y - 0.05 * a[3]) / (0.48 + 0.05 * a[2])) ** 2 < 1
        tumour = (x - 0.4 - 0.1 * a[4]) ** 2 + (y - 0.2 * a[5]) ** 2 < (0.1 + 0.03 * a[4]) ** 2
        picture = 10 + 170 * body - 130 * (lungs & body) + 120 * tumour + shade
        images[i, 0] = np.clip(picture + rng.normal(0, 9, picture.shape), 0, 255)
    return images


def image_set(pixels: Pixels) -> ImageSet:
    """Return images with three images of each patient."""
    groups = np.array([f"patient {i // 3:02d}" for i in range(len(pixels))])
    return ImageSet(pixels, groups, "recipe", window=(-1000.0, 400.0))


def features(pixels: Pixels) -> npt.NDArray[np.float32]:
    """Return features [N,64]: means of 8 x 8 parts, which show the shapes."""
    return (
        pixels.reshape(len(pixels), 8, 16, 8, 16)
        .mean((2, 4), dtype=np.float64)
        .reshape(len(pixels), 64)
        .astype(np.float32)
    )


def distances(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    return np.sqrt(((a[:, None, :].astype(float) - b[None, :, :]) ** 2).sum(-1))


def measured_evidence(real: Pixels, fake: Pixels) -> Evidence:
    """Return what the metrics gather from these images, from their definitions."""
    r, f = features(real), features(fake)
    rr, rf, ff = distances(r, r), distances(r, f), distances(f, f)
    ks = np.array([1, 3, 5, 10, 20, 50])
    sweep: dict[str, list[float]] = {}
    for k in ks:
        real_radius, fake_radius = np.sort(rr, 1)[:, k], np.sort(ff, 1)[:, k]
        inside = rf <= real_radius[:, None]
        for metric, value in (
            ("improved_precision", inside.any(0).mean()),
            ("improved_recall", (rf <= fake_radius[None, :]).any(1).mean()),
            ("density", inside.sum(0).mean() / k),
            ("coverage", inside.any(1).mean()),
        ):
            sweep.setdefault(metric, []).append(float(value))
            sweep.setdefault(f"real:{metric}", []).append(1.0)
    radius = np.sort(rr, 1)[:, 3]
    angle = np.linspace(0.01, np.pi / 2 - 0.01, 101)
    np.fill_diagonal(ff, np.inf)
    twins = np.argwhere(np.triu(ff < np.quantile(ff, 0.0005), 1))[:6]
    return Evidence(
        fake_in_real=(rf <= radius[:, None]).any(0),
        real_in_fake=(rf <= np.sort(ff, 1)[:, 3][None, :]).any(1),
        nearest_real=rf.argmin(0),
        nearest_real_distance=rf.min(0).astype(np.float32),
        realism=(radius[:, None] / rf).max(0).astype(np.float32),
        nearest_train=rf.argmin(0),
        nearest_train_distance=rf.min(0).astype(np.float32),
        copies=np.array([[3, 5], [17, 40]]),
        duplicates=twins,
        ks=ks,
        sweep={name: np.array(curve) for name, curve in sweep.items()},
        prd_curve=np.stack([0.95 * np.sin(angle) ** 0.4, 0.9 * np.cos(angle) ** 0.4], 1),
        histogram_real=np.bincount(real.ravel(), minlength=256),
        histogram_fake=np.bincount(fake.ravel(), minlength=256),
        window=(-1000.0, 400.0),
        ties=0,
    )


@pytest.fixture(scope="session")
def images() -> dict[str, Pixels]:
    """Real slices, those of a fair model, and those of a collapsed and brighter one."""
    return {"real": slices(72, 1), "fair": slices(72, 2), "broken": slices(72, 3, kinds=2, shade=12.0)}


@pytest.fixture(scope="session")
def evidence(images: dict[str, Pixels]) -> Evidence:
    """Evidence of the fair model, without pictures."""
    return measured_evidence(images["real"], images["fair"])


@pytest.fixture(scope="session")
def broken_evidence(images: dict[str, Pixels]) -> Evidence:
    return replace(measured_evidence(images["real"], images["broken"]), copies=np.empty((0, 2), np.int64))


@pytest.fixture(scope="session")
def draw(images: dict[str, Pixels]) -> Callable[..., Evidence]:
    """Make the evidence with pictures of a kind of images, once."""
    known: dict[str, Evidence] = {}

    def drawn(kind: str, *, include_real: bool = False) -> Evidence:
        if kind not in known:
            real, fake = images["real"], images[kind]
            known[kind] = with_pictures(
                measured_evidence(real, fake),
                real=image_set(real),
                fake=image_set(fake),
                real_features=features(real),
                fake_features=features(fake),
                train=image_set(real),
                include_real=True,
            )
        return known[kind] if include_real else without_real(known[kind])

    return drawn
