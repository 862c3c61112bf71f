"""Strings from a command line become Settings, or one line that says why not."""

from __future__ import annotations

import pytest

from pytest_medgan.catalogue import NAMES
from pytest_medgan.errors import SettingsError
from pytest_medgan.evaluate.looks import looks
from pytest_medgan.evaluate.settings import parse_data, parse_metrics, parse_runs, parse_samples, parse_seeds


def test_source_alone_keeps_every_default() -> None:
    assert parse_data("studies").source == "studies"
    assert parse_data("studies").split == "patient"


def test_parse_data_reads_every_key() -> None:
    text = "a,b/c,split=slice,slices=all,window=-1000:400,fractions=0.6:0.2:0.2,patients=7,crop=image"
    text += ",crop_size=96,size=64,seed=5"
    data = parse_data(text)
    assert (data.source, data.split, data.slices, data.window) == ("a,b/c", "slice", None, (-1000.0, 400.0))
    assert (data.fractions, data.patients, data.crop) == ((0.6, 0.2, 0.2), 7, "image")
    assert (data.crop_size, data.size, data.seed) == (96, 64, 5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x,window=400", "window= takes two Hounsfield units such as -1000:400, not '400'"),
        ("x,split=half", "split= takes patient or slice, not 'half'"),
        ("x,slices=few", "slices= takes a whole number or all, not 'few'"),
        ("x,crop_size=1.5", "crop_size= takes a whole number of pixels, not '1.5'"),
        ("x,colour=red", r"--medgan-data has no option 'colour'\. It takes channels, crop, crop_size"),
    ],
)
def test_parse_data_names_the_key_it_cannot_read(text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        parse_data(text)


@pytest.mark.parametrize(("text", "seeds"), [("0,1,2", (0, 1, 2)), ("7", (7,)), ("3 1", (3, 1))])
def test_parse_seeds_keeps_the_order(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "1,1", "-1", "a"])
def test_parse_seeds_refuses_wrong_text(text: str) -> None:
    with pytest.raises(SettingsError, match="medgan-seeds"):
        parse_seeds(text)


@pytest.mark.parametrize("text", ["a 'b c", 'a "b'])
def test_quote_that_is_not_closed_is_named(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^--medgan-runs has a quote that is not closed"):
        parse_runs(text)


def test_parse_metrics_returns_the_catalogue_order() -> None:
    assert parse_metrics("improved_recall, fid") == ("fid", "improved_recall")
    assert parse_metrics("all") == NAMES
    with pytest.raises(SettingsError, match="fidd"):
        parse_metrics("fidd")


@pytest.mark.parametrize("text", ["0", "-5", "many", "15"])
def test_parse_samples_refuses_too_few(text: str) -> None:
    with pytest.raises(SettingsError, match="at least 16"):
        parse_samples(text)


@pytest.mark.parametrize(
    ("full", "counts"), [(6080, (760, 1520, 3040, 6080)), (240, (30, 60, 120, 240)), (64, (16, 32, 64)), (20, (20,))]
)
def test_looks_are_an_eighth_a_quarter_a_half_and_all(full: int, counts: tuple[int, ...]) -> None:
    assert looks(full) == counts


@pytest.mark.parametrize("text", ["histologies=", "histologies=adenocarcinoma:", "histologies=:", "roi=", "roi= "])
def test_parse_data_empty_names_are_refused(text: str) -> None:
    """An empty histology would choose the patients of whom none is known."""
    with pytest.raises(SettingsError, match=text.partition("=")[0]):
        parse_data(f"studies,{text}")


def test_parse_data_names_have_no_spaces_around_them() -> None:
    data = parse_data("studies,histologies=adenocarcinoma : squamous cell carcinoma,roi= GTV-1 ")
    assert (data.histologies, data.roi) == (("adenocarcinoma", "squamous cell carcinoma"), "GTV-1")
