"""Options of the command line are the described fields of every architecture."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pytest_medgan.errors import SettingsError
from pytest_medgan.gan.described import check_between, check_size, described, plain_values
from pytest_medgan.gan.options import Offered, _merged, offered_options


def option(name: str) -> Offered:
    return next(one for one in sum(offered_options(), ()) if one.name == name)


def test_field_of_all_architectures_shows_each_default() -> None:
    width = option("generator_width")
    assert width.option == "--generator-width"
    assert width.architectures[:2] == ("dcgan", "pggan")
    assert "dcgan 64, pggan 512" in width.help
    assert option("size").help == "pixels a side, a power of two from 8 (default 128)"


def test_field_of_one_architecture_names_it() -> None:
    assert option("fading").architectures == ("pggan",)
    assert option("fading").help.endswith("(default pggan 800000)")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("batch", "12", 12),
        ("learning_rate", "2e-4", 2e-4),
        ("discriminator_learning_rate", "0.5", 0.5),
        ("precision", "bfloat16", "bfloat16"),
        ("batches", "4:128,8:64", ((4, 128), (8, 64))),
    ],
)
def test_value_is_read_by_the_type_of_its_field(name: str, text: str, value: object) -> None:
    assert option(name).read(text) == value


@pytest.mark.parametrize(("name", "text"), [("batch", "1.5"), ("learning_rate", "x"), ("batches", "4"), ("steps", "")])
def test_value_of_another_type_is_refused(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        option(name).read(text)


def test_field_without_a_text_is_no_option() -> None:
    assert "channels" not in {one.name for one in offered_options()[0]}
    assert {one.name for one in offered_options()[0]} >= {"size", "latent", "full_until"}


@dataclass(frozen=True)
class Small:
    """Settings of three described fields."""

    share: float = described(0.5, "share, 100% at most")
    pairs: tuple[tuple[int, int], ...] = described(((4, 1),), "by resolution")
    nothing: float | None = described(None, "may be left out")
    hidden: int = 3


def test_percent_sign_survives_the_help() -> None:
    share, pairs, nothing = _merged({"small": Small})
    assert share.help % {} == "share, 100% at most (default 0.5)"
    assert pairs.metavar == "R:N,..."
    assert nothing.help == "may be left out (default none)"


def test_plain_values_are_those_of_json() -> None:
    assert plain_values(Small()) == {"share": 0.5, "pairs": [[4, 1]], "nothing": None, "hidden": 3}


@pytest.mark.parametrize("size", [0, 4, 12, 2048])
def test_size_that_is_no_power_of_two_is_refused(size: int) -> None:
    with pytest.raises(SettingsError, match=f"size {size} is not possible"):
        check_size(size)


def test_range_includes_its_ends() -> None:
    check_between(0, 1, a=0, b=1)
    for value in (-0.1, 1.1, float("nan")):
        with pytest.raises(SettingsError, match=r"share .* is out of range\. Choose 0 to 1\."):
            check_between(0, 1, share=value)
