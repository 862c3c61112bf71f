"""State dicts in the files of other tools: names in front of all, several networks in one file, moving averages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan.state_files import load_state, read_state

State = dict[str, Tensor]


def network(value: float = 0.0) -> nn.Module:
    """A small network whose weights all have one value."""
    made = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    with torch.no_grad():
        for weight in made.parameters():
            weight.fill_(value)
    return made


def state(value: float = 5.0, front: str = "") -> State:
    return {f"{front}{name}": weight for name, weight in network(value).state_dict().items()}


def other(front: str = "") -> State:
    """Of another network with the same names."""
    return {f"{front}{name}": torch.zeros(7) for name in state()}


def forms() -> dict[str, Any]:
    """What tools write, by the tool or the practice."""
    return {
        "plain": state(),
        "parallel": state(front="module."),
        "compiled": state(front="_orig_mod."),
        "both": state(front="module._orig_mod."),
        "half": {name: weight.half() for name, weight in state().items()},
        "Lightning": {"state_dict": {**state(front="generator."), **other("discriminator.")}, "epoch": 3},
        "several": {"G": state(), "D": other(), "step": 3, "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}}},
        "MONAI": {"model": state(), "optimizer": {"state": {}}},
        "average": AveragedModel(network(5.0)).state_dict(),
        "partly wrapped": {f"module.{n}" if n.startswith("0.") else n: w for n, w in state().items()},
        "moments": {"G": state(), "opt": {"exp_avg": state(0.1), "exp_avg_sq": state(0.2)}},
        "named optimiser": {"G": state(), "optimizer_G": {"m": state(0.1)}},
        "without counters": {name: w for name, w in state().items() if not name.endswith("num_batches_tracked")},
    }


@pytest.mark.parametrize("form", forms())
def test_weights_are_found_in_the_files_of_other_tools(form: str, tmp_path: Path) -> None:
    torch.save(forms()[form], tmp_path / "weights.pt")
    made = network()
    load_state(made, tmp_path / "weights.pt")
    assert all(bool((weight == 5).all()) for weight in made.parameters())


def test_safetensors_may_hold_other_networks_too(tmp_path: Path) -> None:
    save_file({**state(front="gen."), **other("dis.")}, tmp_path / "weights.safetensors")
    made = network()
    load_state(made, tmp_path / "weights.safetensors")
    assert all(bool((weight == 5).all()) for weight in made.parameters())


@pytest.mark.parametrize(
    "content",
    [
        {"G": state(), "G_ema": state(6)},
        {"state_dict": {**state(front="G."), **state(6, front="G_ema.")}},
    ],
)
def test_weights_and_their_moving_average_are_not_chosen_between(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(CheckpointError, match=r"several sets of weights of this network: '.*G', '.*G_ema'"):
        load_state(network(), tmp_path / "weights.pt")


@pytest.mark.parametrize(
    ("content", "suffix"),
    [
        ({"g": state(), "g_ema": state(6)}, ".pt"),
        ({"nets": {"g": state(), "g_ema": state(6)}, "opt": {"exp_avg": state(), 0: {"step": torch.ones(1)}}}, ".pt"),
        ({"state_dict": {**state(front="g."), **state(6, front="g_ema.")}}, ".pt"),
        ({**state(front="g."), **state(6, front="g_ema.")}, ".safetensors"),
    ],
)
def test_message_shows_the_line_that_saves_one_set_of_weights(
    content: Any, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"weights{suffix}"
    (torch.save if suffix == ".pt" else save_file)(content, path)
    with pytest.raises(CheckpointError) as caught:
        load_state(network(), path)
    assert "exp_avg" not in str(caught.value)
    monkeypatch.chdir(tmp_path)
    exec(str(caught.value).partition("for example: ")[2], {})
    made = network()
    load_state(made, tmp_path / "alone.pt")
    assert all(bool((weight == 6).all()) for weight in made.parameters())


def test_optimiser_alone_holds_no_weights(tmp_path: Path) -> None:
    torch.save({"opt": {"exp_avg": state(0.1)}}, tmp_path / "weights.pt")
    with pytest.raises(CheckpointError, match="holds no state dict"):
        load_state(network(), tmp_path / "weights.pt")


def test_part_that_is_named_module_keeps_its_name(tmp_path: Path) -> None:
    """The names of a wrapper of the user's own belong to the network."""

    class Wrapper(nn.Module):
        def __init__(self, value: float) -> None:
            super().__init__()
            self.module, self.scale = network(value), nn.Parameter(torch.full((), value))

    torch.save(Wrapper(5.0).state_dict(), tmp_path / "weights.pt")
    made = Wrapper(0.0)
    load_state(made, tmp_path / "weights.pt")
    assert all(bool((weight == 5).all()) for weight in made.parameters())
    assert "scale" in read_state(tmp_path / "weights.pt")
    assert "module.0.weight" in read_state(tmp_path / "weights.pt")


def test_weights_of_another_network_are_refused_as_before(tmp_path: Path) -> None:
    for content, words in (
        (other(), "another shape"),
        ({"G": other()}, "holds no state dict"),
        ({**state(), "more": torch.ones(1)}, "has besides 'more'"),
        ({"0.weight": state()["0.weight"]}, "lacks"),
    ):
        torch.save(content, tmp_path / "weights.pt")
        with pytest.raises(CheckpointError, match=words):
            load_state(network(), tmp_path / "weights.pt")
