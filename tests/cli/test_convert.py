"""medgan convert, called with command lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_medgan.cli import main
from pytest_medgan.gan import conversion
from pytest_medgan.gan.conversion import Conversion, ConversionOrder


@pytest.fixture
def network(tmp_path: Path) -> Path:
    (tmp_path / "code").mkdir()
    path = tmp_path / "network.pkl"
    path.write_bytes(b"cos\nabort\n(tR.")  # ends the process that unpickles it
    return path


def test_without_trust_the_command_says_in_one_line_what_to_do(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", str(network), "--code", str(tmp_path / "code"), "--out", str(tmp_path / "G.pt2")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "nothing was run. Add --trust" in error
    assert not (tmp_path / "G.pt2").exists()


def test_options_reach_the_conversion_and_its_numbers_are_printed(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[tuple[ConversionOrder, bool]] = []
    isolation: list[str | None] = ["seccomp", None]

    def convert(order: ConversionOrder, *, trusted: bool) -> Conversion:
        seen.append((order, trusted))
        return Conversion(64, (3, 32, 48), (-1.25, 1.5), 2.5e-06, isolation[len(seen) - 1])

    monkeypatch.setattr(conversion, "convert", convert)
    code, out, config = tmp_path / "code", tmp_path / "G.pt2", tmp_path / "c.yaml"
    line = f"convert {network} --code {code} --out {out} --trust --config {config} --class 2 --truncation 0.5 --grey"
    arguments = [*line.split(), "--seconds", "30", "--allow-network"]
    assert main(arguments) == 0
    expected = ConversionOrder(network, code, out, config, 2, 0.5, grey=True, seconds=30.0, allow_network=True)
    assert seen == [(expected, True)]
    printed = capsys.readouterr().out
    assert "32x48 RGB, latent 64, values -1.25 to 1.50" in printed
    assert "at most 2.5e-06" in printed
    assert "WITH network access" not in printed
    assert f"--medgan-generator={out}" in printed
    assert main(arguments) == 0
    assert "WITH network access" in capsys.readouterr().out
