from __future__ import annotations

import pytest

from pytest_medgan.report.privacy import scrub, scrub_plain


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("/home/u/project/baselines/phantom.yaml:31", "phantom.yaml:31"),
        ("see /data for it", "see [path] for it"),
        ("../shared/data/NSCLC/LUNG1-001/x.dcm is bad", "[path] is bad"),
        (r"C:\Users\Jo Doe\x.dcm", "[path]"),
        (r"\\pacs\share\patient", "[path]"),
        ("file:///home/u/x.html", "[path]"),
        ("key=/mnt/x", "key=[path]"),
        ("path:/srv/pacs/x", "path:[path]"),
        ("~/data/patient", "[path]"),
        ("'/mnt/scans/LUNG1-001': no files", "'[path]': no files"),
        ("/home/John Smith/data/x.npz", "[path]"),
        ("(0010,0010) is absent", "[tag] is absent"),
        ("(3006, 0020) is absent", "[tag] is absent"),
        ("series 1.2.840.10008.5.1.4.1.1.2", "series [uid]"),
    ],
)
def test_paths_tags_and_uids_are_removed(text: str, kept: str) -> None:
    assert scrub(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        "baselines/phantom.yaml:31",
        "fixtures/dcgan.safetensors",
        "tests/test_gate.py::test_fid[PGGAN]",
        "</script><script>alert(1)</script>",
        "looks at 1/8, 1/4 and/or 1/2",
        "precision / recall",
        "https://example.org/a/b",
        "shape (1000, 6080)",
        "torch 2.15.0",
        "0.9 * row.fid at test_gate.py:12",
    ],
)
def test_other_text_stays(text: str) -> None:
    assert scrub(text) == text


def test_control_characters_are_escaped() -> None:
    assert scrub("model\x1b]0;title\x07\nsecond line") == "model\\x1b]0;title\\x07\nsecond line"


def test_plain_data_is_scrubbed_at_every_depth() -> None:
    data = {"a": ["/home/u/x", {"/home/u/y": 1}], "b": 2.5, "c": None}
    assert scrub_plain(data) == {"a": ["[path]", {"[path]": 1}], "b": 2.5, "c": None}
