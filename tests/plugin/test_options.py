"""Precedence (marker, override, command line, ini) and options that cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_medgan.evaluate.settings import parse_runs
from pytest_medgan.plugin.markers import marker_values
from pytest_medgan.session.places import located, located_runs

SHOW = """
import pytest

def show(settings):
    print("SEEN", settings.samples, settings.seeds, settings.generator)

def test_plain(medgan_settings):
    show(medgan_settings)

@pytest.mark.medgan(samples=48, seeds=(9,), generator="toy:marked")
def test_marked(medgan_settings):
    show(medgan_settings)
"""


def seen(result: pytest.RunResult) -> list[str]:
    return [line.split("SEEN ")[1] for line in result.outlines if "SEEN" in line]


def test_marker_overrides_command_line_overrides_ini(project: pytest.Pytester) -> None:
    project.makepyfile(test_gate=SHOW)
    ini = (project.path / "pytest.ini").read_text()
    (project.path / "pytest.ini").write_text(ini + "\nmedgan_samples = 64\nmedgan_seeds = 4 5\n")
    marked = "48 (9,) toy:marked"
    assert seen(project.runpytest("-s")) == ["64 (4, 5) toy:model", marked]
    line = ("--medgan-samples=32", "--medgan-seeds=7", "--medgan-generator=toy:line")
    assert seen(project.runpytest("-s", *line)) == ["32 (7,) toy:line", marked]


OVERRIDE = """
import pytest
import toy

@pytest.fixture(scope="session")
def medgan_generator():
    def overridden(count, seed):
        print("DRAWN by the override")
        return toy.blobs(count, seed)
    return overridden

def test_override(medgan_scores):
    medgan_scores.at(medgan_scores.counts[0])

@pytest.mark.medgan(generator="toy:model")
def test_marker(medgan_scores):
    medgan_scores.at(medgan_scores.counts[0])
"""


def test_marker_overrides_fixture_overrides_command_line(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = project.path / "drawn.txt"
    monkeypatch.setenv("TOY_LOG", str(log))
    project.makepyfile(test_gate=OVERRIDE)
    result = project.runpytest("-s", "--medgan-generator=toy:model", "-k", "override")
    assert any("DRAWN by the override" in line for line in result.outlines)
    assert not log.exists()
    result = project.runpytest("-s", "-k", "marker")
    assert not any("DRAWN" in line for line in result.outlines)
    assert log.exists()


def test_marker_closest_to_the_test_wins(pytester: pytest.Pytester) -> None:
    item = pytester.getitem(
        """
        import pytest

        pytestmark = pytest.mark.medgan(name="of the module", seeds=(7,))

        @pytest.mark.medgan(name="of the test", metrics="fid")
        def test_it():
            pass
        """,
        "test_it",
    )
    assert marker_values(item) == {"name": "of the test", "seeds": (7,), "metrics": "fid"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--medgan-gpu",), "*--medgan-gpu needs a CUDA device*"),
        (("--medgan-gpu", "--medgan-device=cpu"), "*contradict one another*"),
        (("--medgan-report=pdf",), "*--medgan-report takes html, md and json, not 'pdf'*"),
    ],
)
def test_wrong_session_option_is_a_usage_error(
    project: pytest.Pytester, arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    result = project.runpytest(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--medgan-samples=few",), "--medgan-samples takes a whole number of at least 16"),
        (("--medgan-seeds=1,1",), "--medgan-seeds takes different whole numbers"),
        (("--medgan-metrics=fidd",), "--medgan-metrics knows no metric 'fidd'"),
        (("--medgan-data=nowhere",), "nowhere"),
        (("--medgan-generator=toy:nothing",), "nothing"),
    ],
)
def test_wrong_option_is_one_line(project: pytest.Pytester, arguments: tuple[str, ...], message: str) -> None:
    result = project.runpytest("-k", "fid", *arguments)
    assert result.ret == 1
    assert any(message in line for line in result.outlines)
    assert not any("Traceback" in line for line in result.outlines)


def test_value_taken_for_a_test_path_is_a_usage_error(project: pytest.Pytester) -> None:
    """After a space, pytest takes the path for a test path and misses the ini file next to the tests."""
    elsewhere = project.mkdir("elsewhere")
    inner = project.mkdir("inner")
    (project.path / "pytest.ini").rename(inner / "pytest.ini")
    (project.path / "test_gate.py").rename(inner / "test_gate.py")
    project.chdir()
    import os

    os.chdir(inner)
    apart = project.runpytest("--medgan-data", str(elsewhere))
    assert apart.ret == pytest.ExitCode.USAGE_ERROR
    apart.stderr.fnmatch_lines(["*missed pytest.ini. Write --medgan-data=*elsewhere*"])
    together = project.runpytest(f"--medgan-data={elsewhere}")
    together.stdout.fnmatch_lines(["configfile: pytest.ini"])


def test_marker_with_an_unknown_word_is_an_error(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_gate="""
        import pytest

        @pytest.mark.medgan(genrator="x")
        def test_it(medgan_settings):
            pass
        """
    )
    result = project.runpytest()
    result.stdout.fnmatch_lines(["*The marker medgan takes *not 'genrator'*"])
    assert result.ret == 1


def test_marker_with_an_object_where_text_belongs_is_one_line(project: pytest.Pytester) -> None:
    """A function as generator= is what many try first."""
    project.makepyfile(
        test_gate="""
        import pytest

        def draw(count, seed):
            raise SystemError

        CASES = [("generator", draw), ("extractor", object()), ("baseline", 5), ("data", 5), ("runs", 5),
                 ("seeds", 0.5)]

        @pytest.mark.parametrize("case", [pytest.param(name, marks=pytest.mark.medgan(**{name: value}), id=name)
                                          for name, value in CASES])
        def test_it(case, medgan_settings):
            pass
        """
    )
    result = project.runpytest()
    result.assert_outcomes(errors=6)
    result.stdout.fnmatch_lines_random(
        [
            "*takes generator= as text, not function. *or override the fixture medgan_generator.*",
            "*takes extractor= as text, not object. *or override the fixture medgan_extractor.*",
            "*takes baseline= as text, not int. Write it as on the command line.*",
            "*takes data= as text or DataSettings, not int.*",
            "*takes runs= as text or a list, not int.*",
            "*--medgan-seeds takes whole numbers such as 0,1,2, not '0.5'.*",
        ]
    )
    result.stdout.no_fnmatch_line("*TypeError*")


@pytest.mark.parametrize("name", ["m-?.bin", "m-[12].bin", "m-*.bin"])
def test_pattern_of_runs_is_resolved_from_where_it_was_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of the ini file may have brackets in its name, and so may a model."""
    root = tmp_path / "project [3]"
    (root / "tests").mkdir(parents=True)
    for model in ("m-1.bin", "m-2.bin", "m[3].bin"):
        (root / model).touch()
    monkeypatch.chdir(root / "tests")
    found = parse_runs(located_runs([name, "m[3].bin"], root))
    assert [Path(one).resolve() for one in found] == [root / "m-1.bin", root / "m-2.bin", root / "m[3].bin"]


@pytest.mark.parametrize(("given", "effective"), [("load", "loadgroup"), ("worksteal", "loadgroup"), ("each", "each")])
def test_gpu_tests_are_kept_on_one_worker(project: pytest.Pytester, given: str, effective: str) -> None:
    project.makeconftest(
        """
        import torch

        torch.cuda.is_available = lambda: True

        def pytest_report_header(config):
            return f"DIST {config.option.dist}"
        """
    )
    result = project.runpytest_subprocess("--medgan-gpu", "-n2", f"--dist={given}", "--collect-only")
    result.stdout.fnmatch_lines([f"DIST {effective}"])


def test_gpu_tests_without_the_option_are_skipped_with_a_reason(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_gate="""
        import pytest

        @pytest.mark.medgan_gpu
        def test_it():
            raise SystemError
        """
    )
    result = project.runpytest("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*needs a GPU: run with --medgan-gpu*"])


def test_project_without_medgan_tests_loads_nothing_heavy(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_gate="""
        import sys

        def test_it():
            heavy = {"torch", "pydicom", "numpy", "scipy", "yaml", "matplotlib"}
            assert not heavy & set(sys.modules)
        """
    )
    project.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_paired_with_takes_any_generator_string(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_gate="""
        import pytest

        def test_plain(medgan_settings):
            print("SEEN", medgan_settings.paired_with)

        @pytest.mark.medgan(paired_with="toy:marked")
        def test_marked(medgan_settings):
            print("SEEN", medgan_settings.paired_with)
        """
    )
    assert seen(project.runpytest("-s")) == ["None", "toy:marked"]
    assert seen(project.runpytest("-s", "--medgan-paired-with=toy:line")) == ["toy:line", "toy:marked"]


@pytest.mark.parametrize("option", ["--medgan-generator=gone.safetensors", "--medgan-paired-with=gone.safetensors"])
def test_absent_checkpoint_is_an_error_before_images_are_read(project: pytest.Pytester, option: str) -> None:
    (project.path / "images.npz").unlink()
    result = project.runpytest("-k", "fid", option)
    assert result.ret == 1
    assert any("The generator does not exist" in line for line in result.outlines)
    assert any("gone.safetensors" in line for line in result.outlines)
    assert not any("images.npz" in line for line in result.outlines)


def test_cache_limit_removes_the_oldest_features(project: pytest.Pytester) -> None:
    """The command line precedes the ini file; a value that is not a size is a usage error."""
    project.makepyfile(
        test_gate="""
        def test_limit(request, medgan_embed, medgan_real):
            from pytest_medgan.plugin.state import state_of
            medgan_embed(medgan_real.reference)
            print("SEEN", state_of(request.config).bench.cache().limit)
        """
    )
    assert seen(project.runpytest("-s")) == ["4000000000"]
    ini = (project.path / "pytest.ini").read_text()
    (project.path / "pytest.ini").write_text(ini + "\nmedgan_cache_limit = 2M\n")
    assert seen(project.runpytest("-s")) == ["2000000"]
    assert list(project.path.glob(".medgan/features/*/*.block"))
    assert seen(project.runpytest("-s", "--medgan-cache-limit=1k")) == ["1000"]
    result = project.runpytest("--medgan-cache-limit=much")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--medgan-cache-limit takes a size such as 500M*"])


def test_gate_without_a_feature_store_passes_with_a_warning(
    project: pytest.Pytester, accept: Callable[..., int]
) -> None:
    project.runpytest()
    assert accept() == 0
    (project.path / "cache").mkdir()
    (project.path / "cache" / "features").write_text("a file in the way")
    result = project.runpytest("--medgan-cache-dir=cache")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*warning: Features are not stored (*give another --medgan-cache-dir."])


def test_gate_without_a_cache_folder_passes_with_a_warning(
    project: pytest.Pytester, accept: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    project.runpytest()
    assert accept() == 0
    (project.path / "cache").write_text("a file in the way")
    scratch = project.mkdir("scratch")
    monkeypatch.setenv("TMPDIR", str(scratch))
    result = project.runpytest_subprocess("--medgan-cache-dir=cache")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*warning: Nothing is kept: *Give another --medgan-cache-dir."])
    assert list(scratch.glob("medgan-*")) == []


def test_paths_in_a_string_are_found_from_where_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("project/vit", "project/masks", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    base = tmp_path / "project"
    assert located("timm:./vit", base, "extractor") == "timm:./../project/vit"
    assert located("timm:vit_small", base, "extractor") == "timm:vit_small"
    assert (
        located("models:Paints,masks=masks,class=3", base, "generator")
        == "models:Paints,masks=../project/masks,class=3"
    )
    assert located('models:Writes,prompt="masks, lung"', base, "generator") == 'models:Writes,prompt="masks, lung"'
    assert located("models:Writes,prompt=masks", base, "generator") == "models:Writes,prompt=masks"
