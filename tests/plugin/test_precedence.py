"""Of competing settings the one from the higher level holds: a good model must never be measured in place of a bad one.

Every test has good models and a bad one, and asks for the bad one at the higher level: the gate must be red.
"""

from __future__ import annotations

from pathlib import Path

import pytest

GENERATORS = """
import toy

def make(name, spread, seed=0):
    def draw(count, latent):
        print("DRAWN", name)
        return toy.blobs(count, latent + seed, spread=spread)
    draw.identity = name
    return draw

good, good_too, bad = make("good", 12.0), make("good_too", 12.0, 50), make("bad", 0.5, 90)
"""

GATE = """
import pytest
from pytest_medgan import assert_fid_below

{mark}
def test_gate(medgan_scores):
    print("MEASURED", medgan_scores.name)
    assert_fid_below(medgan_scores, 0.15)
"""

RUNS = "gens:good gens:good_too"
OVERRIDE = """
import gens
import pytest

@pytest.fixture
def medgan_generator({arguments}):
    {body}
"""


@pytest.fixture
def gate(project: pytest.Pytester) -> pytest.Pytester:
    """The toy project with good and bad models and no model named in its ini file."""
    project.makepyfile(gens=GENERATORS, test_gate=GATE.format(mark=""))
    write_ini(project)
    return project


def write_ini(project: pytest.Pytester, *lines: str) -> None:
    """Write the ini file without a generator, with these lines at its end."""
    path = project.path / "pytest.ini"
    kept = [line for line in path.read_text().splitlines() if not line.startswith("medgan_generator")]
    path.write_text("\n".join([*kept, *lines]) + "\n")


def drawn(result: pytest.RunResult) -> set[str]:
    return {line.split("DRAWN ")[1] for line in result.outlines if "DRAWN " in line}


def check_bad_is_red(result: pytest.RunResult) -> None:
    result.assert_outcomes(failed=1)
    assert drawn(result) == {"bad"}
    result.stdout.fnmatch_lines(["*FID*FAIL at*"])


def check_good_runs_are_green(result: pytest.RunResult) -> None:
    result.assert_outcomes(passed=1)
    assert drawn(result) == {"good", "good_too"}


def test_runs_of_the_ini_file_are_measured_where_nothing_else_is_named(gate: pytest.Pytester) -> None:
    write_ini(gate, f"medgan_runs = {RUNS}")
    check_good_runs_are_green(gate.runpytest("-s"))


def test_generator_of_the_command_line_precedes_runs_of_the_ini_file(gate: pytest.Pytester) -> None:
    write_ini(gate, f"medgan_runs = {RUNS}")
    check_bad_is_red(gate.runpytest("-s", "--medgan-generator=gens:bad"))


def test_generator_of_the_command_line_precedes_runs_set_as_ini_key(gate: pytest.Pytester) -> None:
    check_bad_is_red(gate.runpytest("-s", "-o", f"medgan_runs={RUNS}", "--medgan-generator=gens:bad"))


def test_ini_key_on_the_command_line_precedes_the_ini_file(gate: pytest.Pytester) -> None:
    write_ini(gate, f"medgan_runs = {RUNS}")
    check_bad_is_red(gate.runpytest("-s", "-o", "medgan_generator=gens:bad"))
    write_ini(gate, "medgan_generator = gens:bad")
    (gate.path / "pytest.ini").write_text((gate.path / "pytest.ini").read_text().replace("medgan_runs", "# "))
    check_good_runs_are_green(gate.runpytest("-s", "-o", f"medgan_runs={RUNS}"))


@pytest.mark.parametrize("lower", ["ini", "line"])
def test_generator_of_a_marker_precedes_runs(gate: pytest.Pytester, lower: str) -> None:
    gate.makepyfile(test_gate=GATE.format(mark="@pytest.mark.medgan(generator='gens:bad')"))
    if lower == "ini":
        write_ini(gate, f"medgan_runs = {RUNS}")
    check_bad_is_red(gate.runpytest("-s", *([] if lower == "ini" else [f"--medgan-runs={RUNS}"])))


@pytest.mark.parametrize("lower", ["ini", "line"])
def test_overridden_fixture_precedes_runs(gate: pytest.Pytester, lower: str) -> None:
    gate.makeconftest(OVERRIDE.format(arguments="", body="return gens.bad"))
    if lower == "ini":
        write_ini(gate, f"medgan_runs = {RUNS}")
    check_bad_is_red(gate.runpytest("-s", *([] if lower == "ini" else [f"--medgan-runs={RUNS}"])))


def test_parametrised_argument_precedes_runs(gate: pytest.Pytester) -> None:
    write_ini(gate, f"medgan_runs = {RUNS}")
    mark = "import gens\n@pytest.mark.parametrize('medgan_generator', [gens.bad])"
    gate.makepyfile(test_gate=GATE.format(mark=mark).replace("(medgan_scores)", "(medgan_generator, medgan_scores)"))
    check_bad_is_red(gate.runpytest("-s"))


def test_runs_precede_a_generator_of_a_lower_level(gate: pytest.Pytester) -> None:
    write_ini(gate, "medgan_generator = gens:bad")
    check_good_runs_are_green(gate.runpytest("-s", f"--medgan-runs={RUNS}"))
    gate.makepyfile(test_gate=GATE.format(mark=f"@pytest.mark.medgan(runs={RUNS.split()})"))
    check_good_runs_are_green(gate.runpytest("-s", "--medgan-generator=gens:bad"))


def test_runs_of_a_marker_precede_an_overridden_fixture(gate: pytest.Pytester) -> None:
    gate.makeconftest(OVERRIDE.format(arguments="", body="return gens.bad"))
    gate.makepyfile(test_gate=GATE.format(mark=f"@pytest.mark.medgan(runs={RUNS!r})"))
    check_good_runs_are_green(gate.runpytest("-s"))


WRAPPED = 'print("WRAPPED"); return lambda count, seed: gens.bad(count, seed) if medgan_generator else None'


def test_fixture_that_changes_the_named_model_is_measured(gate: pytest.Pytester) -> None:
    gate.makeconftest(OVERRIDE.format(arguments="medgan_generator", body=WRAPPED))
    check_bad_is_red(gate.runpytest("-s", "--medgan-generator=gens:good"))
    gate.makepyfile(test_gate=GATE.format(mark="@pytest.mark.medgan(generator='gens:good')"))
    check_bad_is_red(gate.runpytest("-s"))


def test_fixture_that_changes_one_of_several_runs_is_refused(gate: pytest.Pytester) -> None:
    gate.makeconftest(OVERRIDE.format(arguments="medgan_generator", body=WRAPPED))
    result = gate.runpytest("-s", f"--medgan-runs={RUNS}")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*medgan_generator is overridden and changes the model*Leave the runs out*"])
    gate.makeconftest(OVERRIDE.format(arguments="medgan_generator", body="return medgan_generator"))
    check_good_runs_are_green(gate.runpytest("-s", f"--medgan-runs={RUNS}"))


@pytest.mark.parametrize(
    ("ini", "line", "mark", "message"),
    [
        (("medgan_generator = gens:bad", f"medgan_runs = {RUNS}"), (), "", "*The ini keys*"),
        ((), ("--medgan-generator=gens:bad", f"--medgan-runs={RUNS}"), "", "*--medgan-generator and*"),
        ((f'addopts = "--medgan-runs={RUNS}"',), ("--medgan-generator=gens:bad",), "", "*--medgan-generator and*"),
        ((), (), f"@pytest.mark.medgan(generator='gens:bad', runs={RUNS!r})", "*The marker's generator= and*"),
    ],
)  # fmt: skip
def test_generator_and_runs_at_one_level_are_refused(
    gate: pytest.Pytester, ini: tuple[str, ...], line: tuple[str, ...], mark: str, message: str
) -> None:
    write_ini(gate, *ini)
    gate.makepyfile(test_gate=GATE.format(mark=mark))
    result = gate.runpytest("-s", *line)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"{message}contradict one another*Leave one out*"])
    assert not drawn(result)


def test_both_in_the_ini_file_do_not_hinder_a_higher_level(gate: pytest.Pytester) -> None:
    write_ini(gate, "medgan_generator = gens:good", f"medgan_runs = {RUNS}")
    check_bad_is_red(gate.runpytest("-s", "--medgan-generator=gens:bad"))


BAD, GOOD = "@pytest.mark.medgan(generator='gens:bad')", "@pytest.mark.medgan(generator='gens:good')"
GOOD_RUNS = f"@pytest.mark.medgan(runs={RUNS!r})"
CLOSEST = {
    "class": "{good}\nclass TestIt:\n    {bad}\n    def test_it(self, medgan_scores): check(medgan_scores)",
    "derived class": "class Base:\n    def test_it(self, medgan_scores): check(medgan_scores)\n"
    "Base = pytest.mark.medgan(**{words})(Base)\n{bad}\nclass TestIt(Base): pass",
    "parameter set": "{good}\n@pytest.mark.parametrize('x', [pytest.param(1, marks={plain})])\n"
    "def test_it(x, medgan_scores): check(medgan_scores)",
    "module": "pytestmark = {good_plain}\n{bad}\ndef test_it(medgan_scores): check(medgan_scores)",
}


@pytest.mark.parametrize("farther", ["generator", "runs"])
@pytest.mark.parametrize("place", list(CLOSEST))
def test_closest_marker_names_the_model(gate: pytest.Pytester, place: str, farther: str) -> None:
    """pytest itself puts a decorator before the mark of a parameter set, and a base class before the class."""
    good, words = (GOOD, {"generator": "gens:good"}) if farther == "generator" else (GOOD_RUNS, {"runs": RUNS})
    body = CLOSEST[place].format(good=good, bad=BAD, plain=BAD[1:], good_plain=good[1:], words=words)
    gate.makepyfile(
        test_gate="import pytest\nfrom pytest_medgan import assert_fid_below\n"
        f"def check(scores): assert_fid_below(scores, 0.15)\n{body}\n"
    )
    check_bad_is_red(gate.runpytest("-s"))


EXTRACTOR = """
import numpy as np
import pytest
import toy

class Blind:
    identity = "sees nothing"
    numeric_class = "float32"
    def embed(self, pixels, progress=lambda *a: None):
        print("EMBEDDED by the override")
        rows = [np.random.default_rng(int(image.sum())).normal(size=4) for image in pixels]
        return np.stack(rows).astype(np.float32) / 100, None

@pytest.fixture
def medgan_extractor():
    return Blind()
"""


def test_extractor_of_a_marker_precedes_an_overridden_fixture(gate: pytest.Pytester) -> None:
    gate.makeconftest(EXTRACTOR)
    line = ("-s", "--medgan-generator=gens:bad")
    result = gate.runpytest(*line, "--medgan-extractor=toy:Features")
    result.assert_outcomes(passed=1)
    assert any("EMBEDDED" in text for text in result.outlines)
    gate.makepyfile(
        test_gate=GATE.format(mark="@pytest.mark.medgan(extractor='toy:Features')")
        + "\n@pytest.mark.medgan(extractor='toy:Features')\ndef test_embed(medgan_embed, medgan_real):\n"
        "    assert medgan_embed(medgan_real.reference).features.shape[1] == 16\n"
    )
    result = gate.runpytest(*line)
    result.assert_outcomes(failed=1, passed=1)
    assert not any("EMBEDDED" in text for text in result.outlines)


def test_data_of_a_marker_precede_an_overridden_fixture(gate: pytest.Pytester) -> None:
    gate.makeconftest(
        """
        import pytest
        from pathlib import Path
        from pytest_medgan.evaluate.settings import parse_data
        from pytest_medgan.evaluate.sources import load_real

        @pytest.fixture
        def medgan_real():
            return load_real(parse_data("images.npz,size=32,crop_size=32,seed=9"), cache_dir=Path("other"))
        """
    )
    test = "\ndef test_gate(medgan_scores):\n    print('SEEN', medgan_scores.fingerprint.inputs['split_seed'])\n"
    mark = "@pytest.mark.medgan(data='images.npz,size=32,crop_size=32,seed=5')"
    seen = []
    for text in (test, f"import pytest\n{mark}{test}"):
        gate.makepyfile(test_gate=text)
        result = gate.runpytest("-s", "--medgan-generator=gens:good")
        result.assert_outcomes(passed=1)
        seen += [line.split("SEEN ")[1] for line in result.outlines if "SEEN" in line]
    assert seen == ["9", "5"]


@pytest.mark.parametrize("order", ["medgan_scores, medgan_baseline", "medgan_baseline, medgan_scores"])
@pytest.mark.parametrize(
    ("argument", "value", "is_honoured"),
    [
        ("medgan_baseline", "medgan_baseline", True),
        ("medgan_settings", "load(medgan_settings.baseline)", True),
        ("", "load('strict.yaml')", True),
        ("", "load('loose.yaml')", False),
        ("", "{'TOY': 1.0}", False),
        ("medgan_scores", "load('loose.yaml')", False),
        ("medgan_real_row", "load('loose.yaml')", False),
    ],
)
def test_baseline_of_a_marker_that_an_overridden_fixture_ignores_is_refused(
    gate: pytest.Pytester, argument: str, value: str, is_honoured: bool, order: str
) -> None:
    gate.makeconftest(
        "import pytest\nfrom pytest_medgan.gate.baseline import load\n"
        f"@pytest.fixture\ndef medgan_baseline({argument}):\n    return {value}\n"
    )
    gate.makepyfile(
        test_gate="import pytest\n@pytest.mark.medgan(baseline='strict.yaml')\n"
        f"def test_gate({order}):\n    print('SEEN', medgan_baseline.shown)\n"
    )
    result = gate.runpytest("-s", "--medgan-generator=gens:good")
    if is_honoured:
        result.assert_outcomes(passed=1)
        result.stdout.fnmatch_lines(["*SEEN strict.yaml*"])
    else:
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines(["*baseline= does not reach the fixture medgan_baseline*Leave one out*"])


def test_setting_without_a_path_is_not_looked_up(gate: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders that happen to be named like a metric, a kind of change or a value stay without effect."""
    for name in ("fid", "recipe", "patient", "toy", "32", "0"):
        (gate.path / name).mkdir()
    write_ini(gate, "medgan_change = recipe", "medgan_seeds = 0")
    path = gate.path / "pytest.ini"
    path.write_text(
        path.read_text().replace("medgan_metrics = fid improved_precision coverage", "medgan_metrics = fid")
    )
    path.write_text(path.read_text().replace("crop_size=32", "crop_size=32,split=patient"))
    (gate.path / "toy").rmdir()
    inner = gate.mkdir("inner")
    (gate.path / "test_gate.py").rename(inner / "test_gate.py")
    monkeypatch.chdir(inner)
    result = gate.runpytest("-s", "--medgan-generator=gens:good", str(Path("test_gate.py")))
    result.assert_outcomes(passed=1)
