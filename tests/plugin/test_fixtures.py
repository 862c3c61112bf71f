"""Fixtures that a user builds on: training in the test itself, features of any images, metrics of a project's own."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from pytest_medgan.report import read_run

TRAIN = """
import pytest
from pytest_medgan.gan import DCGANConfig, DCGANSettings

@pytest.fixture
def medgan_generator(medgan_train):
    config = DCGANConfig(size=32, generator_width=4, discriminator_width=4)
    return medgan_train(config, DCGANSettings(steps=3, batch=16, tolerance=0))

def test_it(medgan_generator, medgan_scores, medgan_real):
    assert medgan_generator.training_recipe == medgan_real.training.recipe
    assert medgan_scores.at(16)["fid"].mean > 0
    print("IDENTITY", medgan_generator.identity)
"""


def test_medgan_train_trains_once_and_loads_afterwards(project: pytest.Pytester) -> None:
    project.makepyfile(test_gate=TRAIN)
    seen = []
    for _ in range(2):
        result = project.runpytest("-s")
        result.assert_outcomes(passed=1)
        seen += [line.split("IDENTITY ")[1] for line in result.outlines if "IDENTITY" in line]
    assert len(seen) == 2
    assert seen[0] == seen[1]
    assert len(list((project.path / ".medgan" / "trained").iterdir())) == 1


def test_medgan_embed_takes_any_images(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_gate="""
        def test_it(medgan_embed, medgan_real):
            embedded = medgan_embed(medgan_real.held_out)
            assert embedded.features.shape == (len(medgan_real.held_out), 16)
            assert list(embedded.groups) == list(medgan_real.held_out.groups)
        """
    )
    project.runpytest().assert_outcomes(passed=1)


def test_custom_metric_is_measured_and_gated(project: pytest.Pytester) -> None:
    project.makeconftest(
        """
        from pytest_medgan.catalogue import Metric
        from pytest_medgan.metrics import CustomMetric

        def gap(*, real, fake):
            return float(((real.mean(0) - fake.mean(0)) ** 2).sum() ** 0.5)

        def pytest_medgan_metrics():
            return [CustomMetric(Metric("gap", "Gap", False, 0.0, float("inf"), "ours", True), gap)]
        """
    )
    project.makepyfile(
        test_gate="""
        from pytest_medgan import assert_metric

        def test_within(medgan_scores):
            assert_metric(medgan_scores, "gap", 10.0)

        def test_beyond(medgan_scores):
            assert_metric(medgan_scores, "gap", 1e-9)
        """
    )
    result = project.runpytest()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*gap*lower is better*FAIL*"])


def test_custom_metric_with_a_taken_name_is_refused(project: pytest.Pytester) -> None:
    project.makeconftest(
        """
        from pytest_medgan.catalogue import METRICS
        from pytest_medgan.metrics import CustomMetric

        def pytest_medgan_metrics():
            return [CustomMetric(METRICS["fid"], lambda *, real, fake: 0.0)]
        """
    )
    result = project.runpytest("-k", "fid")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*medgan: pytest_medgan_metrics registers 'fid', which is taken*"])


def test_reports_are_written_at_the_end_of_the_run(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = project.path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    project.runpytest("--medgan-report=html,md,json")
    written = {path.name for path in (project.path / "medgan-report").iterdir()}
    assert {"report.html", "report.md", "scores.json", "candidate-model.yaml"} <= written
    assert sum(name.startswith("evidence-") for name in written) == 1
    assert "# medgan report" in summary.read_text()
    assert str(project.path) not in (project.path / "medgan-report" / "report.html").read_text()


@pytest.mark.parametrize(("formats", "drawn"), [("html", True), ("json", False)])
def test_k_sweep_is_measured_only_where_it_is_shown(project: pytest.Pytester, formats: str, drawn: bool) -> None:
    project.runpytest(f"--medgan-report={formats}", "-o", "medgan_metrics=fid improved_precision improved_recall")
    found = read_run(project.path / "medgan-report").evidence["model"]
    assert found.ks is not None
    assert (len(found.ks) > 1) is drawn
    assert set(found.sweep) >= {"improved_precision", "improved_recall", "density", "coverage"}
    assert ("real:coverage" in found.sweep) is drawn
    page = project.path / "medgan-report" / "report.html"
    for label in ("Improved Precision", "Improved Recall", "Density", "Coverage"):
        assert (page.exists() and f'alt="{label} against k. this run: ' in page.read_text()) or not drawn


def test_report_shows_the_accepted_models_samples(
    project: pytest.Pytester, accept: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = project.path / "medgan-report" / "report.html"
    project.runpytest("--medgan-full", "--medgan-report=html")
    assert "There is no baseline yet whose samples" in page.read_text()
    accepted = read_run(project.path / "medgan-report").evidence["model"].thumbnails_fake
    assert accept() == 0

    project.runpytest("--medgan-report=html")
    assert "measured on this same model, so its samples are the same" in page.read_text()
    assert "<figcaption>Baseline" not in page.read_text()

    monkeypatch.setenv("TOY_SPREAD", "3")
    project.runpytest("--medgan-report=html")
    found = read_run(project.path / "medgan-report").evidence["model"]
    assert (found.thumbnails_baseline == accepted[:48]).all()
    assert (found.thumbnails_baseline[:16] != found.thumbnails_fake[:16]).any()
    assert "<figcaption>Baseline" in page.read_text()

    shutil.rmtree(project.path / ".medgan" / "samples")
    project.runpytest("--medgan-report=html")
    assert "<figcaption>Baseline" not in page.read_text()
    assert "The samples of the baseline are not available" in page.read_text()


def test_report_of_an_earlier_run_is_removed_when_every_test_errors(project: pytest.Pytester) -> None:
    project.runpytest("--medgan-report=html,md,json")
    folder = project.path / "medgan-report"
    assert (folder / "report.html").exists()
    (folder / "notes.txt").write_text("", encoding="utf-8")
    project.makepyfile(
        test_gate="""
        import pytest

        @pytest.fixture
        def broken():
            raise RuntimeError("no data today")

        def test_it(broken, medgan_scores):
            pass
        """
    )
    project.runpytest("--medgan-report=html,md,json", "--collect-only")
    assert (folder / "report.html").exists()
    project.runpytest("--medgan-report=html,md,json").assert_outcomes(errors=1)
    left = {path.name for path in folder.iterdir()}
    assert left == {"notes.txt"}


def test_parametrised_generator_fixture_gates_each_model(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_gate="""
        import pytest
        import toy
        from pytest_medgan import assert_fid_below

        @pytest.fixture(params=[12.0, 0.5], ids=["wide", "narrow"])
        def medgan_generator(request):
            def blobs(count, seed):
                return toy.blobs(count, seed, spread=request.param)

            blobs.identity = f"blobs {request.param}"
            return blobs

        def test_gate(medgan_scores):
            assert_fid_below(medgan_scores, 0.15)
        """
    )
    result = project.runpytest("-v")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*test_gate?wide? PASSED*", "*test_gate?narrow? FAILED*"])


SPACES = """
import pytest
import toy
from dataclasses import replace
from pathlib import Path
from pytest_medgan.embedding import resolve_extractor
from pytest_medgan.evaluate.settings import parse_data
from pytest_medgan.evaluate.sources import load_real

@pytest.fixture
def medgan_real():
    return load_real(parse_data("images.npz,size=32,crop_size=32,seed=9"), cache_dir=Path("other"))

@pytest.fixture
def medgan_extractor(medgan_extractor):
    return {space}
"""
SPACE_TEST = """
import pytest

{mark}
def test_it(medgan_embed, medgan_real):
    print("SPACE", medgan_embed(medgan_real.reference).extractor)
"""


def test_extractor_that_a_fixture_changes_is_never_replaced_silently(project: pytest.Pytester) -> None:
    """The marker's data= makes the plugin's extractor anew, but the change is the project's own."""
    mark = "@pytest.mark.medgan(data='images.npz,size=32,crop_size=32,seed=5')"
    project.makeconftest(SPACES.format(space="replace(resolve_extractor(medgan_extractor), identity='changed')"))
    project.makepyfile(test_gate=SPACE_TEST.format(mark=""))
    result = project.runpytest("-s")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*SPACE changed*"])
    project.makepyfile(test_gate=SPACE_TEST.format(mark=mark))
    result = project.runpytest("-s")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*data= replaces the images of*medgan_real*medgan_extractor changes*Leave data= out*"])
    project.makeconftest(SPACES.format(space="medgan_extractor"))
    result = project.runpytest("-s")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*SPACE toy projections*"])


RELEASED = """
import gc
import weakref
from pytest_medgan.evaluate.workbench import MODELS
import pytest

SEEN = []

@pytest.mark.parametrize("n", range(MODELS + 3))
def test_scores(medgan_scores, n, request):
    SEEN.append(weakref.ref(medgan_scores))

def test_those_of_the_first_tests_are_gone():
    gc.collect()
    alive = [seen() is not None for seen in SEEN]
    assert alive == [False] * 3 + [True] * MODELS

@pytest.fixture
def medgan_generator(n):
    import toy
    def draw(count, seed):
        return toy.draw(count, seed)
    draw.identity = f"model {n}"
    return draw
"""


def test_a_long_session_releases_the_models_of_its_first_tests(project: pytest.Pytester) -> None:
    """pytest keeps every test until the session ends; images and features of its model must not stay with it."""
    project.makepyfile(test_gate=RELEASED)
    assert project.runpytest("-q").ret == 0
