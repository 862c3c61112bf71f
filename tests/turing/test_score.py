from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import pytest_medgan
from pytest_medgan.errors import DataError, SettingsError
from pytest_medgan.turing import assert_turing_accuracy_below, turing_accuracy, write_key
from tests.turing.conftest import KEY, Save

TRUTH = KEY.is_real  # real, generated, real, ...


def test_reader_who_calls_all_images_real_scores_half(save: Save) -> None:
    (reader,) = turing_accuracy([save("A", [True] * 40)]).readers
    assert (reader.right, reader.answered, reader.accuracy) == (20, 40, 0.5)
    assert (reader.sensitivity, reader.specificity) == (0.0, 1.0)
    assert reader.area == 0.5
    assert reader.interval == pytest.approx((0.338, 0.662), abs=1e-3)  # Clopper-Pearson, 20 of 40
    assert reader.seconds == 21.5


def test_sensitivity_is_of_generated_images(save: Save) -> None:
    """All generated images found, and five of twenty real ones called generated."""
    calls = [is_real and i >= 10 for i, is_real in enumerate(TRUTH)]
    (reader,) = turing_accuracy([save("A", calls)]).readers
    assert (reader.sensitivity, reader.specificity) == (1.0, 0.75)
    assert reader.accuracy == 35 / 40


def test_unfinished_file_counts_its_answers_only(save: Save) -> None:
    (reader,) = turing_accuracy([save("A", [True, False, None, *[None] * 37])]).readers
    assert (reader.right, reader.answered) == (2, 2)


def test_side_without_answers_gives_nan(save: Save) -> None:
    only_real = [True if is_real else None for is_real in TRUTH]
    (reader,) = turing_accuracy([save("A", only_real)]).readers
    assert math.isnan(reader.sensitivity)
    assert reader.specificity == 1.0
    assert math.isnan(reader.area)


def test_confidence_raises_the_area(save: Save) -> None:
    """Two right answers given with certainty and two wrong ones given as guesses: three of four pairs in order."""
    answers = [
        {"image": 0, "answer": "real", "confidence": 5, "seconds": 1.0},
        {"image": 1, "answer": "generated", "confidence": 5, "seconds": 1.0},
        {"image": 2, "answer": "generated", "confidence": 1, "seconds": 1.0},
        {"image": 3, "answer": "real", "confidence": 1, "seconds": 1.0},
    ]
    (reader,) = turing_accuracy([save("A", [], answers=answers)]).readers
    assert reader.accuracy == 0.5
    assert reader.area == 0.75


def test_pooled_score_is_over_all_readers(save: Save) -> None:
    perfect = save("A", TRUTH)
    guessing = save("B", [True] * 20 + [False] * 20)
    score = turing_accuracy([perfect, guessing])
    assert [r.reader for r in score.readers] == ["A", "B"]
    assert (score.pooled.reader, score.pooled.answered, score.pooled.accuracy) == ("all readers", 80, 0.75)
    assert score.cohen == {("A", "B"): 0.0}
    assert score.fleiss == pytest.approx(0.0, abs=1e-12)


def test_pooled_interval_takes_agreeing_readers_as_one(save: Save) -> None:
    """Four readers with equal answers know no more than one: the interval must not shrink to half its width."""
    calls = [is_real if i % 4 < 3 else not is_real for i, is_real in enumerate(TRUTH)]  # 30 of 40 right
    one = turing_accuracy([save("A", calls)]).pooled.interval
    four = turing_accuracy([save(name, calls) for name in "ABCD"]).pooled
    assert four.answered == 160
    assert four.interval[1] - four.interval[0] > 0.9 * (one[1] - one[0])


def test_agreement_is_over_images_that_both_readers_answered(save: Save) -> None:
    score = turing_accuracy([save("A", TRUTH), save("B", [*TRUTH[:10], *[None] * 30])])
    assert score.fleiss == 1
    assert score.cohen == {("A", "B"): 1.0}


def test_readers_without_common_images_have_no_agreement(save: Save) -> None:
    score = turing_accuracy([save("A", [*TRUTH[:5], *[None] * 35]), save("B", [*[None] * 5, *TRUTH[5:]])])
    assert math.isnan(score.fleiss)
    assert score.cohen == {}


def test_single_reader_has_no_agreement(save: Save) -> None:
    score = turing_accuracy([save("A", TRUTH)])
    assert math.isnan(score.fleiss)
    assert score.cohen == {}
    assert score.pooled.interval == score.readers[0].interval


def test_reader_with_two_pages_is_one_reader(save: Save, tmp_path: Path) -> None:
    other = replace(KEY, page="1" * 16)
    write_key(tmp_path / "other.key.json", other)
    first = save("A", TRUTH)
    first.rename(tmp_path / "first.json")
    second = save("A", TRUTH, page=other.page, commitment=other.commitment)
    (reader,) = turing_accuracy([tmp_path / "first.json", second]).readers
    assert (reader.right, reader.answered) == (80, 80)


def test_key_may_lie_in_another_folder(save: Save, tmp_path: Path) -> None:
    answers = save("A", TRUTH)
    (tmp_path / "keys").mkdir()
    hidden = tmp_path / "keys" / "k.json"
    (tmp_path / "page.key.json").rename(hidden)
    with pytest.raises(DataError, match="key of the answers' page was not found") as caught:
        turing_accuracy([answers])
    assert caught.value.file == "A.json"
    assert turing_accuracy([answers], keys=[str(hidden)]).pooled.accuracy == 1


def test_exchanged_key_is_refused(save: Save, tmp_path: Path) -> None:
    """A key changed after the answers no longer has the commitment that they carry."""
    answers = save("A", TRUTH)
    images = tuple("generated" if kind == "real" else "real" for kind in KEY.images)
    write_key(tmp_path / "page.key.json", replace(KEY, images=images))
    with pytest.raises(DataError, match="not the one that the page was made with"):
        turing_accuracy([answers])


def test_key_of_another_length_is_refused(save: Save) -> None:
    with pytest.raises(DataError, match="not the one that the page was made with"):
        turing_accuracy([save("A", TRUTH, count=41)])


def test_two_files_of_one_reader_and_page_are_refused(save: Save, tmp_path: Path) -> None:
    first = save("A", TRUTH)
    second = tmp_path / "again.json"
    second.write_text(first.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(DataError, match="Reader 'A' has two answer files") as caught:
        turing_accuracy([first, second])
    assert caught.value.file == "again.json"


def test_no_answer_is_refused(save: Save) -> None:
    for files in ([], [save("A", [])]):
        with pytest.raises(DataError, match="no answer to score"):
            turing_accuracy(files)


def test_reader_without_answers_is_left_out(save: Save) -> None:
    score = turing_accuracy([save("A", TRUTH), save("B", [])])
    assert [r.reader for r in score.readers] == ["A"]
    assert math.isnan(score.fleiss)


def test_gate_passes_readers_who_guess(save: Save) -> None:
    rng = np.random.default_rng(0)
    guessing = [save(f"G{r}", [bool(c) for c in np.roll(TRUTH, r % 2) ^ (rng.permutation(40) < 20)]) for r in range(8)]
    score = assert_turing_accuracy_below(guessing, 0.65)
    assert score.pooled.answered == 320


def test_gate_fails_readers_who_recognise_generated_images(save: Save) -> None:
    with pytest.raises(AssertionError, match=r"readers were right in 40 of 40 answers, 1.000 .*Readers can tell real"):
        assert_turing_accuracy_below([save("A", TRUTH)], 0.65)


def test_gate_fails_readers_who_exchange_the_names(save: Save) -> None:
    with pytest.raises(AssertionError, match="Readers can tell real from generated"):
        assert_turing_accuracy_below([save("A", [not is_real for is_real in TRUTH])], 0.65)


def test_gate_fails_on_too_few_answers(save: Save) -> None:
    with pytest.raises(AssertionError, match="Collect more answers or improve the generator"):
        assert_turing_accuracy_below([save("A", [True] * 40)], 0.6)


@pytest.mark.parametrize(("right", "passes"), [(20, True), (23, False), (17, False)])
def test_gate_needs_both_ends_of_the_interval(save: Save, right: int, passes: bool) -> None:
    """The exact interval of 20 of 40 is 0.338 to 0.662, of 23 of 40 reaches 0.73 and of 17 of 40 begins at 0.27."""
    calls = [is_real if i < right else not is_real for i, is_real in enumerate(TRUTH)]
    answers = [save("A", calls)]
    if passes:
        assert assert_turing_accuracy_below(answers, 0.67).pooled.right == right
    else:
        with pytest.raises(AssertionError, match=r"does not lie within 0\.330 to 0\.670"):
            assert_turing_accuracy_below(answers, 0.67)


def test_gate_accepts_a_score(save: Save) -> None:
    score = turing_accuracy([save("A", [True] * 40)])
    assert assert_turing_accuracy_below(score, 0.7) is score


@pytest.mark.parametrize("limit", [0.5, 0.3, 1.2])
def test_gate_refuses_limit_outside_half_to_one(save: Save, limit: float) -> None:
    with pytest.raises(SettingsError, match=r"above 0\.5"):
        assert_turing_accuracy_below([save("A", TRUTH)], limit)


def test_package_exports_the_gate(save: Save) -> None:
    score = pytest_medgan.assert_turing_accuracy_below([str(save("A", [True] * 40))], 0.7)
    assert score.pooled.accuracy == 0.5


def test_gate_fails_in_the_test_that_calls_it(save: Save, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        f"""
        from pytest_medgan import assert_turing_accuracy_below

        def test_readers_cannot_tell():
            assert_turing_accuracy_below([{str(save("A", TRUTH))!r}], 0.6)
        """
    )
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*readers were right in 40 of 40 answers*Readers can tell real from generated*"])
    result.stdout.no_fnmatch_line("*turing/score.py*")


def test_one_path_is_one_file_and_not_its_characters(save: Save, tmp_path: Path) -> None:
    path, key = save("A", [True] * 40), tmp_path / "page.key.json"
    for answers, keys in ((path, key), (str(path), str(key)), ([path], [key]), (iter([str(path)]), iter([str(key)]))):
        assert turing_accuracy(answers, keys=keys).pooled.answered == 40
    with pytest.raises(AssertionError, match="20 of 40"):
        assert_turing_accuracy_below(str(path), keys=str(key))
