"""Fine-tuning learns visible classes, is reproducible, and ends the same after a kill."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from pytest_medgan.embedding import load_extractor
from pytest_medgan.embedding.finetune import EpochReport, FinetuneSettings, class_counts, finetune, rate_at, run_key
from pytest_medgan.embedding.finetune_files import FINISHED, UNFINISHED, RunState, load_run, save_run
from pytest_medgan.embedding.finetune_shares import RowDropout
from pytest_medgan.embedding.two_classes import head_names, starting_network
from pytest_medgan.errors import ExtractorError, TrainingError
from pytest_medgan.records import ImageSet
from tests.embedding.finetune_worker import discs

MakeImages = Callable[..., ImageSet]
WORKER = Path(__file__).with_name("finetune_worker.py")
SHORT = FinetuneSettings(weights="random", epochs=1, batch=2, seed=3)


def test_images_of_one_class_are_an_error(make_images: MakeImages, tmp_path: Path) -> None:
    images = make_images(4, size=16)
    survivors = replace(images, labels=np.zeros(4, np.int8))
    with pytest.raises(TrainingError, match="4 are of survivors, 0 of deceased"):
        finetune(SHORT, survivors, tmp_path)
    with pytest.raises(TrainingError, match="4 without label"):
        finetune(SHORT, replace(images, labels=None), tmp_path)


def test_patient_trained_on_and_held_out_is_an_error(make_images: MakeImages, tmp_path: Path) -> None:
    images = make_images(8, size=16)
    with pytest.raises(TrainingError, match="1 patients are both"):
        finetune(SHORT, images, tmp_path, held_out=images.take(slice(0, 4)))


def test_batch_of_one_image_is_an_error(make_images: MakeImages, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="batch norm needs"):
        finetune(replace(SHORT, batch=1), make_images(4, size=16), tmp_path)


def test_class_counts_include_images_without_label(make_images: MakeImages) -> None:
    images = replace(make_images(6, size=16), labels=np.array([0, 1, 1, 1, -1, -1], np.int8))
    assert class_counts(images) == (1, 3, 2)


def test_network_started_from_a_file_has_new_heads_alone(
    network: nn.Module, make_images: MakeImages, tmp_path: Path
) -> None:
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    torch.save(state, tmp_path / "a.pth")
    started, name = starting_network(str(tmp_path / "a.pth"), make_images(2), 0, "symmetric")
    ours = started.state_dict()
    assert name.startswith("file:")
    assert all(torch.equal(ours[key], value) for key, value in state.items() if not key.startswith("fc."))
    assert not torch.equal(ours["fc.weight"], state["fc.weight"])
    assert ours["AuxLogits.fc.weight"].shape == (2, 768)
    again, _ = starting_network(str(tmp_path / "a.pth"), make_images(2), 0, "symmetric")
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in ours.items())
    torch.save({"conv.weight": torch.ones(1)}, tmp_path / "b.pth")
    with pytest.raises(ExtractorError, match="do not fit"):
        starting_network(str(tmp_path / "b.pth"), make_images(2), 0, "symmetric")


def test_stored_run_is_found_by_its_key(tmp_path: Path) -> None:
    state = RunState("key", 3, (0.1, 0.2), {"a": torch.arange(4.0)}, {"a": torch.ones(4)})
    save_run(tmp_path, state)
    back = load_run(tmp_path, "key")
    assert back is not None
    assert (back.step, back.losses) == (3, (0.1, 0.2))
    assert torch.equal(back.network["a"], torch.arange(4.0))
    assert torch.equal(back.momenta["a"], torch.ones(4))
    with pytest.raises(TrainingError, match="other settings"):
        load_run(tmp_path, "another key")
    (tmp_path / UNFINISHED).write_bytes(b"garbage")
    with pytest.raises(TrainingError, match="cannot be read"):
        load_run(tmp_path, "key")
    assert load_run(tmp_path / "nowhere", "key") is None


def test_finished_network_is_a_feature_space_that_names_its_patients(make_images: MakeImages, tmp_path: Path) -> None:
    """Two steps: the heads stay as initialised, and everything else moves."""
    images = make_images(4)
    before, _ = starting_network("random", images, SHORT.seed, "symmetric")
    start = {key: value.clone() for key, value in before.state_dict().items()}
    artefact = finetune(SHORT, images, tmp_path)
    after = load_file(artefact)
    heads = head_names(before)
    for name, _ in before.named_parameters():
        if not name.startswith("AuxLogits."):
            assert torch.equal(start[name], after[name]) == (name in heads), name
    with safe_open(artefact, framework="pt") as reader:
        about = reader.metadata()
    assert json.loads(about["patients"]) == sorted(set(images.groups.tolist()))
    assert json.loads(about["counts"]) == [2, 2]
    extractor = load_extractor(f"inception_v3,weights={artefact},engine=folded")
    assert getattr(extractor, "trained_on", None) == set(images.groups.tolist())
    with pytest.raises(ExtractorError, match="normalisation=symmetric"):
        load_extractor(f"inception_v3,weights={artefact},engine=folded,normalisation=imagenet")


def test_second_tuning_keeps_the_patients_of_the_first(make_images: MakeImages, tmp_path: Path) -> None:
    labels = np.array([0, 1, 0, 1], np.int8)
    first = replace(make_images(4, size=16), groups=np.array(list("abcd")), labels=labels)
    later = replace(make_images(5, size=16), groups=np.array(list("cdefu")), labels=np.append(labels, np.int8(-1)))
    unlabelled = replace(first, groups=np.array(list("wxyz")), labels=np.full(4, -1, np.int8))
    settings = replace(SHORT, batch=4)
    file = finetune(settings, first, tmp_path / "first", held_out=unlabelled)
    again = finetune(replace(settings, weights=str(file)), later, tmp_path / "again")
    with safe_open(again, framework="pt") as reader:
        seen = set(json.loads(reader.metadata()["patients"]))
    assert seen == set("abcdef")
    with pytest.raises(TrainingError, match="Continue it by --resume"):
        finetune(settings, first, tmp_path / "first")


class Tiny(nn.Module):
    """A network of InceptionV3's outputs whose heads of zeros never decide; it records the grey of its images."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.dropout, self.fc = nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2)
        self.AuxLogits = nn.ModuleDict({"fc": nn.Linear(4, 2)})
        for head in (self.fc, self.AuxLogits["fc"]):
            for values in head.parameters():
                nn.init.zeros_(values)
        self.seen: list[int] = []

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.seen += ((x[:, 0].mean((1, 2)) + 1) * 127.5).round().int().tolist()
        hidden = self.layer(x.mean((2, 3)))
        return self.fc(self.dropout(hidden)), self.AuxLogits["fc"](hidden)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Tiny:
    network = Tiny()
    monkeypatch.setattr("pytest_medgan.embedding.finetune.starting_network", lambda *_: (network, "tiny"))
    return network


def test_loss_adds_the_auxiliary_classifier_at_its_weight(tiny: Tiny, make_images: MakeImages, tmp_path: Path) -> None:
    """Each head that does not decide between two classes has a cross-entropy of ln 2."""
    reports: list[EpochReport] = []
    finetune(replace(SHORT, auxiliary=0.25), make_images(4, size=16), tmp_path, on_epoch=reports.append)
    assert reports[0].loss == pytest.approx(1.25 * np.log(2))


def test_epochs_take_every_image_once_in_another_order(tiny: Tiny, make_images: MakeImages, tmp_path: Path) -> None:
    greys = np.arange(10, 130, 20, dtype=np.uint8)
    pixels = np.broadcast_to(greys[:, None, None, None], (6, 1, 16, 16)).copy()
    finetune(replace(SHORT, epochs=3), replace(make_images(6, size=16), pixels=pixels), tmp_path)
    orders = np.array(tiny.seen).reshape(3, 6)
    assert np.sort(orders).tolist() == [greys.tolist()] * 3
    assert len({tuple(order) for order in orders.tolist()}) == 3


def test_run_key_differs_between_subsets_of_one_recipe(make_images: MakeImages) -> None:
    images = make_images(8, size=16)
    first, second = images.take(slice(0, 4)), images.take(slice(4, 8))
    assert first.recipe == second.recipe
    keys = [run_key(SHORT, given, "start") for given in (first, second, first)]
    assert keys[0] == keys[2] != keys[1]
    assert images.labels is not None
    turned = replace(first, labels=1 - images.labels[:4])
    assert (
        len({keys[0], run_key(SHORT, turned, "start"), run_key(SHORT, replace(first, pixels=~first.pixels), "start")})
        == 3
    )


def test_learning_rate_falls_linearly() -> None:
    rates = [rate_at(SHORT, step, 4) / SHORT.learning_rate for step in range(4)]
    assert rates == pytest.approx([1.0, 0.75, 0.5, 0.25])


def test_dropout_depends_on_seed_step_and_row_alone() -> None:
    x = torch.ones(4, 2048, 1, 1)

    def dropped(rank: int, size: int, step: int = 3, seed: int = 5) -> torch.Tensor:
        layer = RowDropout(0.5, seed, rank, size)
        layer.step, layer.rows = step, 4
        result: torch.Tensor = layer(x[rank::size])
        return result

    whole = dropped(0, 1)
    assert torch.equal(torch.unique(whole), torch.tensor([0.0, 2.0]))
    assert float(whole.mean()) == pytest.approx(1, abs=0.05)
    for rank in (0, 1):
        assert torch.equal(dropped(rank, 2), whole[rank::2])
    assert not torch.equal(dropped(0, 1, step=4), whole)
    assert not torch.equal(dropped(0, 1, seed=6), whole)
    assert torch.equal(RowDropout(0.5, 5, 0, 1).eval()(x), x)


# -------------------------------------------------------------------------------------------------------------- slow


def train_apart(folder: Path, *, kill_after: int | None = None) -> None:
    """One run in a process of its own, resumed if the folder holds one; killed once it stored `kill_after` times."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    worker = subprocess.Popen(
        [sys.executable, str(WORKER), str(folder), "2", "2"], env=environment, stderr=subprocess.PIPE
    )
    seen: set[int] = set()
    while kill_after is not None and worker.poll() is None:
        if (folder / UNFINISHED).exists():
            seen.add((folder / UNFINISHED).stat().st_mtime_ns)
        if len(seen) >= kill_after:
            worker.send_signal(signal.SIGKILL)
            break
        time.sleep(0.02)
    _, errors = worker.communicate(timeout=900)
    assert worker.returncode == (0 if kill_after is None else -signal.SIGKILL), errors.decode()


@pytest.mark.slow
def test_killed_run_and_second_run_end_with_equal_weights(tmp_path: Path) -> None:
    for name in ("first", "second"):
        train_apart(tmp_path / name)
    train_apart(tmp_path / "killed", kill_after=2)
    assert not (tmp_path / "killed" / FINISHED).exists()
    train_apart(tmp_path / "killed")
    first, second, killed = (load_file(tmp_path / name / FINISHED) for name in ("first", "second", "killed"))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert all(torch.equal(first[key], killed[key]) for key in first)


def train_together(size: int, *arguments: str) -> str:
    """The worker on `size` processes, as torchrun would start them, and what the first of them prints."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if size > 1:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(size)}
    workers = [
        subprocess.Popen(
            [sys.executable, str(WORKER), *arguments],
            env={**environment, **({"RANK": str(rank), "LOCAL_RANK": str(rank)} if size > 1 else {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    outputs = [worker.communicate(timeout=1800) for worker in workers]
    for worker, (_, errors) in zip(workers, outputs, strict=True):
        assert worker.returncode == 0, errors
    return outputs[0][0]


def test_two_processes_take_the_steps_of_one() -> None:
    """Against torch's own batch norm, in double precision: losses, weights and running statistics."""
    one, two = (np.array(train_together(size, "small").split(), float) for size in (1, 2))
    assert len(one) > 800
    np.testing.assert_allclose(two, one, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_two_processes_tune_inception_as_one_does(tmp_path: Path) -> None:
    """A step of InceptionV3: what moved, moved alike but for rounding; the confusion is that of all held-out images."""
    for name, size in (("one", 1), ("two", 2)):
        train_together(size, str(tmp_path / name), "4", "1", "shared")
    one, two = (load_file(tmp_path / name / FINISHED) for name in ("one", "two"))
    start, _ = starting_network("random", discs(6, "P"), 0, "symmetric")
    before = start.state_dict()
    names = [name for name in one if one[name].is_floating_point() and not torch.equal(one[name], before[name])]
    assert len(names) > 300
    moved = torch.cat([(one[name] - before[name]).flatten().double() for name in names])
    apart = torch.cat([(one[name] - two[name]).flatten().double() for name in names])
    assert float(apart.norm() / moved.norm()) < 1e-2
    reports = [(tmp_path / name / "told").read_text().split(maxsplit=1) for name in ("one", "two")]
    assert float(reports[0][0]) == pytest.approx(float(reports[1][0]), rel=1e-4)
    assert reports[0][1].rpartition("loss")[0] == reports[1][1].rpartition("loss")[0]


@pytest.mark.slow
def test_visible_classes_are_learned(make_images: MakeImages, tmp_path: Path) -> None:
    """Twelve steps of the recipe, from random weights, judged on other patients."""
    reports: list[EpochReport] = []
    settings = FinetuneSettings(weights="random", epochs=2)
    finetune(settings, make_images(48), tmp_path, held_out=make_images(24, seed=9), on_epoch=reports.append)
    judged = reports[-1].held_out
    assert judged is not None
    assert judged.count == 24
    assert judged.area > 0.8
