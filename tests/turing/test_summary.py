from __future__ import annotations

import math

from pytest_medgan.turing import ReaderScore, TuringScore, summary_lines

READER_ONE = ReaderScore("one", 4, 8, 0.5, (0.157, 0.843), 0.25, 0.75, math.nan, 3.25)


def test_single_reader_has_one_line_and_no_agreement() -> None:
    lines = summary_lines(TuringScore((READER_ONE,), READER_ONE, math.nan, {}))
    assert len(lines) == 3
    assert lines[1].split() == ["one", "0.500", "0.157", "to", "0.843", "0.250", "0.750", "–", "8", "3.2"]
    assert lines[2].startswith("Sensitivity: generated images called generated")


def test_columns_are_aligned_with_their_headings() -> None:
    head, row, _ = summary_lines(TuringScore((READER_ONE,), READER_ONE, math.nan, {}))
    assert head.index("sensitivity") + len("sensitivity") == row.index("0.250") + len("0.250")
    assert head.index("specificity") + len("specificity") == row.index("0.750") + len("0.750")
    assert len(head) == len(row)


def test_several_readers_have_a_pooled_line_and_agreement() -> None:
    reader_two = ReaderScore("two", 6, 8, 0.75, (0.35, 0.97), 0.5, 1.0, 0.8, 2.0)
    pooled = ReaderScore("all readers", 10, 16, 0.625, (0.38, 0.82), 0.4, 0.9, 0.7, 2.5)
    lines = summary_lines(TuringScore((READER_ONE, reader_two), pooled, 0.3, {("one", "two"): -0.2}))
    assert lines[3].startswith("all readers")
    assert lines[4] == "agreement of all readers (Fleiss' kappa): 0.300"
    assert lines[5] == "agreement of one and two (Cohen's kappa): -0.200"
