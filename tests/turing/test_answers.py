from __future__ import annotations

from pathlib import Path

import pytest

from pytest_medgan.errors import DataError
from pytest_medgan.turing import read_answers
from tests.turing.conftest import KEY, Save


def entry(image: int = 0, answer: str = "real", confidence: int = 3) -> dict[str, object]:
    return {"image": image, "answer": answer, "confidence": confidence, "seconds": 1.0}


def test_answer_file_is_read_field_by_field(save: Save) -> None:
    file = read_answers(save("A", KEY.is_real))
    assert (file.reader, file.page, file.count, file.commitment) == ("A", KEY.page, 40, KEY.commitment)
    second = file.answers[1]
    assert (second.image, second.answer, second.confidence, second.seconds) == (1, "generated", 3, 3.0)
    assert len(file.answers) == 40


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"schema": "other"}, "not an answer file of this version"),
        ({"schema_version": 1}, "not an answer file of this version"),
        ({"answers": [entry(), entry()]}, "one image twice"),
        ({"answers": [entry(image=40)]}, "not on the page"),
        ({"answers": [entry(image=-1)]}, "not on the page"),
        ({"answers": [entry(answer="both")]}, 'neither "real" nor "generated"'),
        ({"answers": [entry(confidence=6)]}, "not 1 to 5"),
        ({"answers": [entry(confidence=0)]}, "not 1 to 5"),
        ({"count": "40"}, r"answers\.count must be a whole number and is text"),
        ({"answers": 3}, r"answers\.answers must be a list and is a whole number"),
    ],
)
def test_answer_file_that_contradicts_itself_is_refused(save: Save, changes: dict[str, object], problem: str) -> None:
    with pytest.raises(DataError, match=f"{problem}.*Save the answers from the page again") as caught:
        read_answers(save("A", KEY.is_real, **changes))
    assert caught.value.file == "A.json"


@pytest.mark.parametrize("confidence", [1, 5])
def test_confidence_at_the_ends_is_accepted(save: Save, confidence: int) -> None:
    assert read_answers(save("A", [], answers=[entry(39, confidence=confidence)])).answers[0].confidence == confidence


@pytest.mark.parametrize("text", ["{", "[1]", ""])
def test_file_that_is_not_a_json_object_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="answer file") as caught:
        read_answers(path)
    assert caught.value.file == "a.json"
