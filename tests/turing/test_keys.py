from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_medgan.errors import DataError
from pytest_medgan.turing import PageKey, read_key, write_key
from pytest_medgan.turing.keys import keys_in_folders_of, read_keys

KEY = PageKey("00aa", "ff" * 32, ("real", "generated", "real"))


def test_written_key_is_read_back(tmp_path: Path) -> None:
    write_key(tmp_path / "a.key.json", KEY)
    assert read_key(tmp_path / "a.key.json") == KEY


def test_is_real_agrees_with_images() -> None:
    assert KEY.is_real == (True, False, True)


def test_commitment_is_sha256_of_page_nonce_and_kinds() -> None:
    text = "00aa\n" + "ff" * 32 + "\nreal\ngenerated\nreal"
    assert KEY.commitment == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "other",
    [replace(KEY, page="00ab"), replace(KEY, nonce="fe" * 32), replace(KEY, images=("real", "real", "generated"))],
)
def test_commitment_changes_with_every_field(other: PageKey) -> None:
    assert other.commitment != KEY.commitment


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"schema": "medgan-turing-key", "schema_version": 2, "page": "a", "nonce": "b", "images": []}',
        '{"schema": "medgan-turing", "schema_version": 1, "page": "a", "nonce": "b", "images": []}',
        '{"schema": "medgan-turing-key", "schema_version": 1, "page": "a", "nonce": "b"}',
        '{"schema": "medgan-turing-key", "schema_version": 1, "page": "a", "nonce": "b", "images": ["fake"]}',
    ],
)
def test_other_file_is_refused_as_key(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.key.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="key file cannot be read") as caught:
        read_key(path)
    assert caught.value.file == "a.key.json"


def test_two_keys_of_one_page_are_refused(tmp_path: Path) -> None:
    write_key(tmp_path / "a.key.json", KEY)
    write_key(tmp_path / "b.key.json", replace(KEY, nonce="00" * 32))
    with pytest.raises(DataError, match="different keys of one page") as caught:
        keys_in_folders_of([tmp_path / "answers.json"])
    assert caught.value.file == "b.key.json"


def test_one_key_in_two_files_is_accepted(tmp_path: Path) -> None:
    write_key(tmp_path / "a.key.json", KEY)
    write_key(tmp_path / "b.key.json", KEY)
    assert read_keys([tmp_path / "a.key.json", tmp_path / "b.key.json"]) == {KEY.page: KEY}


def test_keys_are_found_in_folder_of_each_answer_file(tmp_path: Path) -> None:
    other = replace(KEY, page="00bb")
    for name, key in (("one", KEY), ("two", other)):
        (tmp_path / name).mkdir()
        write_key(tmp_path / name / "page.key.json", key)
    (tmp_path / "one" / "answers.json").write_text(json.dumps({}), encoding="utf-8")
    found = keys_in_folders_of([tmp_path / "one" / "answers.json", tmp_path / "two" / "answers.json"])
    assert found == {"00aa": KEY, "00bb": other}
    assert keys_in_folders_of([tmp_path / "answers.json"]) == {}
