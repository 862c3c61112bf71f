from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

import pytest_medgan
from pytest_medgan.errors import DataError
from pytest_medgan.turing import SCHEMA, SCHEMA_VERSION, assert_turing_accuracy_below, read_key, turing_accuracy
from pytest_medgan.turing.seal import seal

PAGE = "0123456789abcdef"
KEY = tuple(i % 2 == 0 for i in range(40))  # real, generated, real, ...
Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes an answer file: `calls` says of each image whether it was called real."""

    def saved(reader: str, calls: Sequence[bool | None], *, sealed: bool = True, **changes: object) -> Path:
        answers = [
            {"image": i, "answer": "real" if call else "generated", "confidence": 3, "seconds": 2.0 + i}
            for i, call in enumerate(calls)
            if call is not None
        ]
        data = {
            "schema": SCHEMA,
            "schema_version": SCHEMA_VERSION,
            "page": PAGE,
            "count": len(KEY),
            "check": seal(KEY, PAGE) if sealed else "",
            "reader": reader,
            "answers": answers,
            "started": "2026-11-23T06:00:00Z",
        } | changes
        path = tmp_path / f"{reader}.json"
        path.write_text(json.dumps(data), encoding="utf-8")
        return path

    return saved


def test_a_reader_who_calls_everything_real(save: Save) -> None:
    (reader,) = turing_accuracy([save("A", [True] * 40)]).readers
    assert (reader.right, reader.answered, reader.accuracy) == (20, 40, 0.5)
    assert (reader.sensitivity, reader.specificity) == (0.0, 1.0)
    assert reader.area == 0.5
    assert reader.interval == pytest.approx((0.338, 0.662), abs=1e-3)  # Clopper-Pearson, 20 of 40
    assert reader.seconds == 21.5


def test_generated_is_what_is_to_be_found(save: Save) -> None:
    """Every generated image found, and five real ones taken for generated."""
    calls = [is_real and i >= 10 for i, is_real in enumerate(KEY)]
    (reader,) = turing_accuracy([save("A", calls)]).readers
    assert (reader.sensitivity, reader.specificity) == (1.0, 0.75)
    assert reader.accuracy == 35 / 40


def test_an_unfinished_file_counts_what_it_has(save: Save) -> None:
    (reader,) = turing_accuracy([save("A", [True, False, None, *[None] * 37])]).readers
    assert (reader.right, reader.answered) == (2, 2)


def test_readers_together(save: Save) -> None:
    perfect = save("A", KEY)
    blind = save("B", [True] * 20 + [False] * 20)
    score = turing_accuracy([perfect, blind])
    assert [r.reader for r in score.readers] == ["A", "B"]
    assert score.pooled.accuracy == 0.75
    assert score.cohen == {("A", "B"): 0.0}
    assert score.fleiss == pytest.approx(0.0, abs=1e-12)
    low, high = score.pooled.interval
    assert low < 0.75 < high


def test_agreement_is_over_images_that_all_answered(save: Save) -> None:
    score = turing_accuracy([save("A", KEY), save("B", [*KEY[:10], *[None] * 30])])
    assert score.fleiss == 1
    assert score.cohen == {("A", "B"): 1.0}
    apart = turing_accuracy([save("A", [*KEY[:5], *[None] * 35]), save("B", [*[None] * 5, *KEY[5:]])])
    assert math.isnan(apart.fleiss)
    assert apart.cohen == {}


def test_one_reader_has_nobody_to_agree_with(save: Save) -> None:
    score = turing_accuracy([save("A", KEY)])
    assert math.isnan(score.fleiss)
    assert score.pooled.interval == score.readers[0].interval


def test_a_key_kept_apart(save: Save, tmp_path: Path) -> None:
    answers = save("A", KEY, sealed=False)
    with pytest.raises(DataError, match="made without its key"):
        turing_accuracy([answers])
    key = tmp_path / "key.json"
    key.write_text(json.dumps({"page": PAGE, "images": ["real" if k else "generated" for k in KEY]}), encoding="utf-8")
    assert turing_accuracy([answers], keys=read_key(key)).pooled.accuracy == 1
    key.write_text("[]", encoding="utf-8")
    with pytest.raises(DataError, match="the key cannot be read"):
        read_key(key)


def test_the_gate(save: Save) -> None:
    rng = np.random.default_rng(0)
    guessing = [save(f"G{r}", [bool(c) for c in np.roll(KEY, r % 2) ^ (rng.permutation(40) < 20)]) for r in range(8)]
    score = assert_turing_accuracy_below(guessing, 0.65)
    assert score.pooled.answered == 320
    with pytest.raises(AssertionError, match=r"readers were right in 40 of 40 answers, 1.000 .*they can tell real"):
        assert_turing_accuracy_below([save("A", KEY)], 0.65)


def test_too_few_answers_are_never_green(save: Save) -> None:
    with pytest.raises(AssertionError, match="more answers, or a better generator"):
        assert_turing_accuracy_below([save("A", [True] * 40)], 0.6)


def test_files_may_be_named_by_strings_and_the_package_exports_the_helper(save: Save) -> None:
    score = pytest_medgan.assert_turing_accuracy_below([str(save("A", [True] * 40))], 0.7)
    assert score.pooled.accuracy == 0.5


def test_a_gate_on_readers_fails_in_the_test_that_asked(save: Save, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        f"""
        from pytest_medgan import assert_turing_accuracy_below

        def test_readers_cannot_tell():
            assert_turing_accuracy_below([{str(save("A", KEY))!r}], 0.6)
        """
    )
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*readers were right in 40 of 40 answers*they can tell real from generated*"])
    result.stdout.no_fnmatch_line("*score.py*")


def test_readers_who_name_them_the_wrong_way_round_can_tell(save: Save) -> None:
    with pytest.raises(AssertionError, match="they can tell real from generated"):
        assert_turing_accuracy_below([save("A", [not k for k in KEY])], 0.65)


@pytest.mark.parametrize("limit", [0.5, 0.3, 1.2])
def test_a_limit_must_make_sense(save: Save, limit: float) -> None:
    with pytest.raises(DataError, match=r"above 0\.5"):
        assert_turing_accuracy_below([save("A", KEY)], limit)


def entry(image: int = 0, answer: str = "real", confidence: int = 3) -> dict[str, object]:
    return {"image": image, "answer": answer, "confidence": confidence, "seconds": 1.0}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": "other"}, "no answer file"),
        ({"schema_version": 2}, "no answer file"),
        ({"answers": [entry(), entry()]}, "twice"),
        ({"answers": [entry(image=40)]}, "not on the page"),
        ({"answers": [entry(answer="both")]}, "neither real nor generated"),
        ({"answers": [entry(confidence=6)]}, "not 1 to 5"),
        ({"answers": []}, "no answer to score"),
        ({"check": "AAAA"}, "does not fit"),
    ],
)
def test_a_file_that_cannot_be_scored(save: Save, changes: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        turing_accuracy([save("A", KEY, **changes)])


def test_what_does_not_fit_in_the_file_is_named(save: Save) -> None:
    with pytest.raises(DataError, match=r"answers\.count must be a int, not str; save the answers from the page again"):
        turing_accuracy([save("A", KEY, count="40")])


def test_one_reader_twice_on_one_page(save: Save, tmp_path: Path) -> None:
    first = save("A", KEY)
    second = tmp_path / "again.json"
    second.write_text(first.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(DataError, match="two answer files of reader 'A'"):
        turing_accuracy([first, second])


def test_nothing_to_score() -> None:
    with pytest.raises(DataError, match="no answer to score"):
        turing_accuracy([])


def test_an_unreadable_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be read") as caught:
        turing_accuracy([path])
    assert caught.value.file == "a.json"
