"""A gate that cannot be judged never passes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

DRAW = 'return blobs(count, seed, spread=float(os.environ.get("TOY_SPREAD", 7)))'


@pytest.fixture
def accepted(project: pytest.Pytester, accept: Callable[..., int]) -> pytest.Pytester:
    """The project with an accepted baseline."""
    project.runpytest()
    assert accept() == 0
    return project


def test_absent_row_is_missing(accepted: pytest.Pytester) -> None:
    path = accepted.path / "medgan-baseline.yaml"
    path.write_text(path.read_text().replace("TOY", "OTHER"))
    result = accepted.runpytest("-k", "fid")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*MISSING*"])


@pytest.mark.parametrize(
    ("arguments", "what"),
    [(("--medgan-seeds=3,4,5",), "seeds"), (("--medgan-data=images.npz,size=32,crop_size=32,seed=9",), "split_seed"),
     (("--medgan-samples=64",), "samples")],
)  # fmt: skip
def test_other_fingerprint_is_incomparable_before_anything_is_drawn(
    accepted: pytest.Pytester, arguments: tuple[str, ...], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = accepted.path / "drawn.txt"
    monkeypatch.setenv("TOY_LOG", str(log))
    result = accepted.runpytest(*arguments)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*INCOMPARABLE*", "*= medgan =*", "*FID*INCOMPARABLE*"])
    assert any(what in line for line in result.outlines)
    assert not log.exists()
    assert not list((accepted.path / "medgan-report").glob("candidate-*")), "an older run's must not be accepted for it"


def test_changed_feature_space_is_caught_by_the_canary(accepted: pytest.Pytester) -> None:
    module = accepted.path / "toy.py"
    module.write_text(module.read_text().replace("default_rng(5)", "default_rng(6)"))
    result = accepted.runpytest("-k", "fid")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*INCOMPARABLE*", "*canary*"])


def test_nonfinite_features_are_an_error(accepted: pytest.Pytester) -> None:
    module = accepted.path / "toy.py"
    module.write_text(module.read_text().replace("(flat @ matrix)", "(flat @ matrix / 0)"))
    result = accepted.runpytest("-k", "fid", "-W", "ignore")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*medgan: *NaN*"])


def test_unmeasured_metric_does_not_pass(accepted: pytest.Pytester) -> None:
    result = accepted.runpytest("-k", "coverage", "--medgan-metrics=fid")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*not measured*"])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return blobs(count - 1, seed)", "*The generator returned 127 images instead of 128*"),
        ("return blobs(count, seed) / 255.0", "*he generator returned*float64*uint8*"),
        ("return blobs(count, seed)[:, :, :16]", "*he generator returned*"),
        ("return blobs(count, seed)[:, :, ::2, ::2]", "*Model 'model': The generator returned images of 16x16 pixels*"),
    ],
)
def test_generator_that_breaks_its_contract_is_one_line(accepted: pytest.Pytester, body: str, message: str) -> None:
    module = accepted.path / "toy.py"
    module.write_text(module.read_text().replace(DRAW, body))
    result = accepted.runpytest("-k", "fid")
    assert result.ret == 1
    result.stdout.fnmatch_lines([message])


def test_unreadable_baseline_names_its_line(accepted: pytest.Pytester) -> None:
    path = accepted.path / "medgan-baseline.yaml"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:4], "\tx: 1", *lines[4:]]))
    result = accepted.runpytest("-k", "fid")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*medgan: medgan-baseline.yaml:5: a tab*"])


def test_file_name_reaches_the_terminal_and_no_report(project: pytest.Pytester) -> None:
    (project.path / "images.npz").rename(project.path / "JANE-DOE.npz")
    result = project.runpytest("-k", "fid", "--medgan-data=JANE-DOE.npz,crop_size=500", "--junitxml=junit.xml")
    assert result.ret == 1
    assert any("JANE-DOE.npz" in line for line in result.outlines)
    junit = (project.path / "junit.xml").read_text()
    assert "JANE-DOE" not in junit
    assert "smaller than crop_size=500" in junit


def test_junit_has_one_property_per_metric(accepted: pytest.Pytester) -> None:
    accepted.runpytest("--junitxml=junit.xml").assert_outcomes(passed=3)
    junit = (accepted.path / "junit.xml").read_text()
    assert 'name="medgan.fid"' in junit
    assert 'name="medgan.fid.verdict" value="PASS"' in junit
    assert "canary" not in junit


def test_limit_relative_to_the_real_row(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_gate="""
        from pytest_medgan import assert_fid_below

        def test_loose(medgan_scores, medgan_real_row):
            assert_fid_below(medgan_scores, 1000 * medgan_real_row.fid)

        def test_strict(medgan_scores, medgan_real_row):
            assert_fid_below(medgan_scores, 1e-6 * medgan_real_row.fid)
        """
    )
    project.runpytest().assert_outcomes(passed=1, failed=1)
