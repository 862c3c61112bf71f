"""Steps of a BigGAN against their literal definition."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import relu

from pytest_medgan.errors import CheckpointError, DataError, SettingsError, TrainingError
from pytest_medgan.gan.biggan import BigGANGenerator
from pytest_medgan.gan.biggan_settings import BigGANConfig, BigGANSettings
from pytest_medgan.gan.biggan_training import BigGANTrainer
from pytest_medgan.gan.checkpoint import load
from pytest_medgan.gan.distributed import World
from pytest_medgan.gan.latents import Stream, latents
from pytest_medgan.gan.loading import load_generator
from pytest_medgan.gan.loop import RunSettings
from pytest_medgan.gan.losses import hinge_loss
from pytest_medgan.gan.others import from_pool
from pytest_medgan.gan.pool import read_npz
from pytest_medgan.gan.stepping import Eager
from pytest_medgan.gan.training import train
from pytest_medgan.records import ImageSet

CONFIG = BigGANConfig(16, latent=6, generator_width=2, discriminator_width=2)
SETTINGS = BigGANSettings(
    steps=10, batch=8, seed=1, learning_rate=1e-3, discriminator_learning_rate=4e-3, discriminator_steps=2, average=0.9
)
MakeImages = Callable[..., ImageSet]


def trainer(images: ImageSet, settings: BigGANSettings = SETTINGS, dtype: torch.dtype = torch.float64) -> BigGANTrainer:
    return BigGANTrainer(CONFIG, settings, images, world=World(), device=torch.device("cpu"), dtype=dtype)


def test_hinge_loss_counts_logits_up_to_one() -> None:
    logits = torch.tensor([-3.0, 0.0, 0.5, 2.0])
    assert float(hinge_loss(logits, real=True)) == pytest.approx((4 + 1 + 0.5 + 0) / 4)
    assert float(hinge_loss(logits, real=False)) == pytest.approx((0 + 1 + 1.5 + 3) / 4)


@pytest.mark.parametrize("penalty", [0.0, 3.0])
def test_step_is_its_literal_definition(make_images: MakeImages, penalty: float) -> None:
    """Two discriminator updates on images of their own, then the generator against the newest discriminator."""
    settings = replace(SETTINGS, penalty=penalty, penalty_every=2, shift=2)
    made = trainer(make_images(), settings)
    generator, discriminator = deepcopy(made.generator), deepcopy(made.discriminator)
    adams = [
        torch.optim.Adam(network.parameters(), lr=rate, betas=(0.0, 0.999), eps=1e-6)
        for network, rate in ((generator, 1e-3), (discriminator, 4e-3))
    ]
    for step in range(3):
        inputs = {name: rows[0] for name, rows in made.inputs(range(step, step + 1)).items()}
        losses = Eager(made).step(step)
        expected = []
        for turn in range(2):
            drawn = {"moves": inputs["moves"][turn]}
            real = made._augmentation.apply(made._reals(inputs["rows"][turn]), drawn, 0).requires_grad_()
            with torch.no_grad():
                fake = made._augmentation.apply(generator(inputs["latents"][turn].double()), drawn, 1)
            logits = discriminator(torch.cat([real, fake]))
            loss = relu(1 - logits[:8]).mean() + relu(1 + logits[8:]).mean()
            expected.append(float(loss.detach()))
            if penalty and step % 2 == 0:
                (slope,) = torch.autograd.grad(logits[:8].sum(), real, create_graph=True)
                loss = loss + 2 * penalty / 2 * slope.square().sum((1, 2, 3)).mean()
            adams[1].zero_grad()
            loss.backward()
            adams[1].step()
        fake = made._augmentation.apply(generator(inputs["latents"][2].double()), {"moves": inputs["moves"][2]}, 1)
        loss = -discriminator(fake).mean()
        adams[0].zero_grad()
        loss.backward()
        adams[0].step()
        assert float(losses["discriminator"]) == pytest.approx(sum(expected) / 2, rel=1e-9)
        assert float(losses["generator"]) == pytest.approx(float(loss.detach()), rel=1e-9)
    for ours, theirs in ((made.generator, generator), (made.discriminator, discriminator)):
        for name, tensor in theirs.state_dict().items():
            torch.testing.assert_close(ours.state_dict()[name], tensor, rtol=1e-9, atol=1e-12)


def test_every_update_takes_images_and_latents_of_its_own(make_images: MakeImages) -> None:
    """Two real batches a step follow each other in the epoch's order; three batches of latents in their stream."""
    made = trainer(make_images())
    inputs = made.inputs(range(3))
    assert inputs["rows"].shape == (3, 2, 8)
    assert inputs["latents"].shape == (3, 3, 8, 6)
    assert sorted(inputs["rows"].flatten().tolist()[:40]) == list(range(40))
    np.testing.assert_array_equal(inputs["latents"][2, 1], Stream(1, 102, 7).normal(8, 6))
    assert [made.images_seen(step) for step in (0, 1, 5)] == [0, 16, 80]
    for step in range(3):
        for name, of_step in made.inputs(range(step, step + 1)).items():
            assert torch.equal(of_step[0], inputs[name][step])


def test_average_follows_weights_batch_moments_and_singular_vectors(make_images: MakeImages) -> None:
    made = trainer(make_images())
    expected = {name: tensor.clone() for name, tensor in made.averaged.state_dict().items()}
    for step in range(3):
        Eager(made).step(step)
        for name, tensor in made.generator.state_dict().items():
            expected[name] = 0.9 * expected[name] + 0.1 * tensor if tensor.is_floating_point() else tensor.clone()
    assert {name.rpartition(".")[2] for name in expected} >= {"weight", "vector", "running_mean", "strength"}
    for name, tensor in made.averaged.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-9, atol=1e-12)


def test_run_resumed_at_any_checkpoint_ends_as_if_it_had_not_stopped(make_images: MakeImages, tmp_path: Path) -> None:
    """Batch moments, singular vectors and average are part of the state."""
    images = make_images()
    run = RunSettings(checkpoint_every=3, log_every=3, grid_every=0, keep=9)
    whole = train(CONFIG, SETTINGS, images, tmp_path / "whole", run=run)
    files = sorted((tmp_path / "whole").glob("checkpoint-*"))
    assert [load(path).step for path in files] == [3, 6, 9, 10]
    assert "discriminator.score.vector" in load(files[0]).tensors
    for path in files[:-1]:
        folder = tmp_path / path.stem
        folder.mkdir()
        (folder / path.name).write_bytes(path.read_bytes())
        assert train(CONFIG, SETTINGS, images, folder, run=run, resume=True).identity == whole.identity
        ours, theirs = (load(where / files[-1].name) for where in (folder, tmp_path / "whole"))
        assert [n for n in theirs.tensors if not torch.equal(ours.tensors[n], theirs.tensors[n])] == []
    again = load_generator(str(tmp_path / "whole"))
    np.testing.assert_array_equal(again.sample_range(30, 40, 3), whole(40, 3)[30:])


def test_bfloat16_forward_passes_stay_near_float32(make_images: MakeImages) -> None:
    images, losses = make_images(), {}
    for precision in ("float32", "bfloat16"):
        made = trainer(images, replace(SETTINGS, precision=precision), torch.float32)
        losses[precision] = [Eager(made).step(step) for step in range(4)][-1]
        assert {tensor.dtype for tensor in made.generator.parameters()} == {torch.float32}
    for name in ("discriminator", "generator"):
        value = float(losses["float32"][name])
        assert float(losses["bfloat16"][name]) == pytest.approx(value, rel=0.1, abs=0.05)
        assert float(losses["bfloat16"][name]) != value


# ------------------------------------------------------------------------------------------------------------- classes


def labelled(images: ImageSet, labels: list[int]) -> ImageSet:
    return replace(images, labels=np.array(labels, np.int8))


def test_classes_are_trained_with_the_labels_of_their_images(make_images: MakeImages) -> None:
    """The discriminator sees the labels of real images, and the drawn classes of generated ones."""
    labels = [0] * 30 + [1] * 10
    made = BigGANTrainer(
        replace(CONFIG, latent=7, classes=2, embedding=3),
        SETTINGS,
        labelled(make_images(), labels),
        world=World(),
        device=torch.device("cpu"),
    )
    torch.testing.assert_close(made.generator.classes.bounds, torch.tensor([0.75]))
    seen: list[torch.Tensor] = []
    made.discriminator.register_forward_hook(lambda network, inputs, out: seen.append(inputs[1]))
    inputs = {name: rows[0] for name, rows in made.inputs(range(1)).items()}
    made.update(0, inputs)
    drawn = [made.generator.classes.draw(z) for z in inputs["latents"]]
    for turn in range(2):
        of_real = torch.tensor([labels[row] for row in inputs["rows"][turn]])
        assert torch.equal(seen[turn], torch.cat([of_real, drawn[turn]]))
    assert torch.equal(seen[2], drawn[2])
    assert made.generator.classes.vectors.weight.grad.abs().sum() > 0
    assert made.discriminator.classes.weight.grad.abs().sum() > 0


def test_class_in_the_string_draws_that_class_alone(make_images: MakeImages, tmp_path: Path) -> None:
    config = replace(CONFIG, latent=7, classes=2, embedding=3)
    images = labelled(make_images(), [0, 1] * 20)
    whole = train(config, SETTINGS, images, tmp_path, run=RunSettings(grid_every=0))
    each = [load_generator(f"{tmp_path / 'generator.safetensors'},class={label}") for label in (0, 1)]
    drawn = BigGANGenerator(config).classes
    drawn.bounds.fill_(0.5)
    classes = drawn.draw(torch.from_numpy(latents(0, 32, 4, 7)))
    assert set(classes.tolist()) == {0, 1}
    expected = np.stack([each[int(label)](32, 4)[n] for n, label in enumerate(classes)])
    np.testing.assert_array_equal(whole(32, 4), expected)
    assert len({one.identity for one in (whole, *each)}) == 3
    assert len({one.run_recipe for one in (whole, *each)}) == 3
    with pytest.raises(CheckpointError, match="no class 2"):
        load_generator(f"{tmp_path / 'generator.safetensors'},class=2")


def test_class_of_another_architecture_is_refused(finished_run: Path) -> None:
    with pytest.raises(CheckpointError, match="A DCGAN has no classes"):
        load_generator(f"{finished_run / 'generator.safetensors'},class=0")


@pytest.mark.parametrize("labels", [None, [0, 2] * 20, [0, -1] * 20])
def test_images_without_a_label_for_each_are_refused(make_images: MakeImages, labels: list[int] | None) -> None:
    images = make_images() if labels is None else labelled(make_images(), labels)
    with pytest.raises(TrainingError, match="do not all have a label that is a whole number of 0 to 1"):
        BigGANTrainer(replace(CONFIG, latent=7, classes=2), SETTINGS, images, world=World(), device=torch.device("cpu"))


@pytest.mark.parametrize(("labels", "words"), [([0, 1] * 20, "class 2 and 1 more"), ([0, 1, 3, 1] * 10, "class 2")])
def test_class_without_an_image_is_refused(make_images: MakeImages, labels: list[int], words: str) -> None:
    """`class=2` would be drawn by weights that were never trained."""
    images, config = labelled(make_images(), labels), replace(CONFIG, latent=7, classes=4)
    made = BigGANTrainer(config, SETTINGS, images, world=World(), device=torch.device("cpu"))
    with pytest.raises(TrainingError, match=rf"hold none of {words}\. .* --limit"):
        made.inputs(range(1))
    assert made.inputs(range(1, 2))["latents"].shape == (1, 3, 8, 7)


def test_run_begun_with_a_class_without_images_is_resumed(
    make_images: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, config = labelled(make_images(), [0, 1] * 20), replace(CONFIG, latent=7, classes=3)
    run = RunSettings(grid_every=0, checkpoint_every=2)
    with pytest.raises(TrainingError, match="hold none of class 2"):
        train(config, SETTINGS, images, tmp_path, run=run)
    with monkeypatch.context() as patched:
        patched.setattr("pytest_medgan.gan.biggan_training._check_classes", lambda counts: None)
        train(config, replace(SETTINGS, steps=4), images, tmp_path, run=run)
    train(config, SETTINGS, images, tmp_path, run=run, resume=True)
    assert load(tmp_path / "generator.safetensors").step == 10


@pytest.mark.parametrize(
    ("labels", "kept"),
    [
        (np.array([0.0, 1.0, np.nan, 1.0]), [0, 1, -1, 1]),  # as pandas writes a column with an unknown one
        (np.array([True, False, True, True]), [1, 0, 1, 1]),
        (np.array([0, 127, -1, 3], np.int64), [0, 127, -1, 3]),
        (np.array(["0", "1", "nan", "-1"]), [0, 1, -1, -1]),
        (np.array([b"0", b"1", b"1", b"12"]), [0, 1, 1, 12]),
    ],
)
def test_labels_of_a_file_are_read_as_whole_numbers(labels: Any, kept: list[int], tmp_path: Path) -> None:
    np.savez(tmp_path / "images.npz", pixels=np.zeros((4, 16, 16), np.uint8), labels=labels)
    found = read_npz(tmp_path / "images.npz").labels
    assert found is not None
    assert found.tolist() == kept


@pytest.mark.parametrize(
    "labels",
    [
        np.array([0, 1, 256, 257]),
        np.array([0.0, 0.9, 1.9, 1.0]),
        np.array(list("abca")),
        np.array([0, 1, -2, 1]),
        np.array([0, 1, 1, 255], np.uint8),
        np.array([0, 1, 1, np.inf]),
        np.array(["0", "1", "1", ""]),
        np.array([0, 1, 1, 1], complex),
    ],
)
def test_labels_that_would_become_others_are_refused_where_classes_are_trained(labels: Any, tmp_path: Path) -> None:
    """256 would be class 0. A training without classes, and a set of generated images, need no labels."""
    np.savez(tmp_path / "images.npz", pixels=np.zeros((4, 16, 16), np.uint8), labels=labels)
    images = read_npz(tmp_path / "images.npz")
    trainer(images)
    for classes, last in ((2, 1), (200, 127)):
        config = replace(CONFIG, latent=7, classes=classes)
        with pytest.raises(TrainingError, match=f"whole number of 0 to {last}. .* or leave --classes out"):
            BigGANTrainer(config, SETTINGS, images, world=World(), device=torch.device("cpu"))
    assert from_pool(tmp_path / "images.npz")(4, 0).shape == (4, 1, 16, 16)


@pytest.mark.parametrize("key", ["groups", "patient", "patients", "patient_id"])
def test_patients_of_a_file_have_the_names_that_studies_have(key: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "images.npz", pixels=np.zeros((4, 16, 16), np.uint8), **{key: np.array(list("aabb"))})
    assert read_npz(tmp_path / "images.npz").groups.tolist() == list("aabb")


def test_list_of_patients_is_not_taken_as_the_patient_of_each_image(tmp_path: Path) -> None:
    pixels = np.zeros((4, 16, 16), np.uint8)
    np.savez(tmp_path / "images.npz", pixels=pixels, patients=np.array(["a", "b"]))
    assert read_npz(tmp_path / "images.npz").groups.tolist() == list("0123")
    np.savez(tmp_path / "images.npz", pixels=pixels, patients=np.array(["a", "b"]), patient_id=np.array(list("aabb")))
    assert read_npz(tmp_path / "images.npz").groups.tolist() == list("aabb")
    np.savez(tmp_path / "images.npz", pixels=pixels, groups=np.array(["a", "b"]))
    with pytest.raises(DataError, match="groups or labels of another length"):
        read_npz(tmp_path / "images.npz")


def test_numbers_of_patients_are_no_seeds_of_generated_images(tmp_path: Path) -> None:
    pixels = np.arange(60, dtype=np.uint8)[:, None, None] + np.zeros((60, 4, 4), np.uint8)
    for key in ("patient_id", "patients"):
        np.savez(tmp_path / "images.npz", pixels=pixels, **{key: np.arange(60) // 6})
        dealt = from_pool(tmp_path / "images.npz").dealt([0, 1, 2])
        drawn = [dealt(20, seed)[:, 0, 0, 0].tolist() for seed in (0, 1, 2)]
        assert sorted(np.concatenate(drawn)) == list(range(60))
    np.savez(tmp_path / "images.npz", pixels=pixels, groups=np.arange(60) // 20)
    assert from_pool(tmp_path / "images.npz")(20, 1)[:, 0, 0, 0].tolist() == list(range(20, 40))


def test_file_with_other_labels_is_another_training_set(tmp_path: Path, make_images: MakeImages) -> None:
    pixels, recipes = make_images().pixels, []
    for labels in ([0, 1] * 20, [1, 0] * 20):
        np.savez(tmp_path / "images.npz", pixels=pixels, labels=np.array(labels))
        recipes.append(read_npz(tmp_path / "images.npz").recipe)
    assert recipes[0] != recipes[1]


def test_training_set_keeps_its_name_where_labels_were_wrapped_before(tmp_path: Path, make_images: MakeImages) -> None:
    """A training without classes that was begun with them can be resumed."""
    pixels, recipes = make_images().pixels, []
    for labels in (np.array([0, 255] * 20, np.uint8), np.array([0, -1] * 20, np.int8)):
        np.savez(tmp_path / "images.npz", pixels=pixels, labels=labels)
        recipes.append(read_npz(tmp_path / "images.npz").recipe)
    assert recipes[0] == recipes[1]


@pytest.mark.slow
def test_training_approaches_mean_and_spread_of_real_images(make_images: MakeImages) -> None:
    """After 600 steps the mean picture is close to the real one, and pictures vary as real ones do."""
    images = make_images(200)
    settings = BigGANSettings(batch=16, learning_rate=5e-4, discriminator_learning_rate=2e-3, average=0.98)
    config = replace(CONFIG, generator_width=8, discriminator_width=8, latent=12)
    made = BigGANTrainer(config, settings, images, world=World(), device=torch.device("cpu"))
    for step in range(600):
        Eager(made).step(step)
    made.averaged.eval()
    with torch.no_grad():
        z = torch.randn(256, 12, generator=torch.Generator().manual_seed(0))
        drawn = (made.averaged(z) * 127.5 + 127.5).numpy()
    real = images.pixels.astype(float)
    assert np.abs(drawn.mean(0) - real.mean(0)).mean() < 20
    assert 0.5 < drawn.std(0).mean() / real.std(0).mean() < 1.5


@pytest.mark.parametrize(
    "changes",
    [{"steps": 0}, {"batch": 1}, {"discriminator_steps": 0}, {"average": 1.0}, {"precision": "float8"}, {"beta1": 1.0}],
)
def test_settings_out_of_range_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        replace(SETTINGS, **changes)


def test_shift_beyond_the_image_is_refused(make_images: MakeImages) -> None:
    with pytest.raises(SettingsError, match="shift 16 is not possible for images of 16 pixels"):
        trainer(make_images(), replace(SETTINGS, shift=16))
