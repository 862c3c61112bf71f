"""Pipelines of diffusers in a folder on disk (extra `diffusers`), of a class or without one, read without the network.

Only classes of diffusers itself are loaded, and only weights in safetensors, so nothing in the folder is executed.
Every image has a torch.Generator of its own; the pipeline always sees a whole block of them.
"""

from __future__ import annotations

import inspect
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pytest_medgan.errors import CheckpointError, SettingsError
from pytest_medgan.gan.conditions import Conditions
from pytest_medgan.gan.diffusion import describe_scheduler
from pytest_medgan.gan.grey import to_grey
from pytest_medgan.gan.probing import check_repeats, check_shape
from pytest_medgan.gan.sampling import BlockGenerator, choose_device, exact_convolutions
from pytest_medgan.gan.seeding import seed_of, seeded
from pytest_medgan.gan.state_files import digest_weights
from pytest_medgan.ground.digests import digest_values
from pytest_medgan.records import Progress, UInt8, no_progress

INDEX = "model_index.json"
KINDS = ("DDPMPipeline", "DDIMPipeline", "LDMPipeline")
OF_A_CLASS = ("DiTPipeline",)
GUIDED = 1000  # classes of a DiT that is drawn with guidance: the pipeline takes class 1000 for "none"
_LARGEST = 1 << 20  # bytes of an index
_PROBES = 4  # images that are drawn twice


class PipelineGenerator(BlockGenerator):
    """Draw images with a pipeline of diffusers."""

    identity: str
    size = 8  # a pipeline takes many steps, so little is drawn in vain

    def __init__(
        self, pipeline: Any, steps: int, label: int | None, *, identity: str, progress: Progress = no_progress
    ) -> None:
        super().__init__(identity=identity, progress=progress)
        self.condition = Conditions(label).text
        self._pipeline, self._steps, self._label = pipeline, steps, label

    def draw_block(self, seed: int, block: int) -> UInt8:
        """Return one block of images, uint8 [size,C,H,W].

        Raises:
            SettingsError: The seed is negative.
            CheckpointError: The pipeline drew pixels that are not finite.
        """
        if seed < 0:
            raise SettingsError(f"seed {seed} is negative. Choose 0 or more.")
        return to_grey(self.draw(seed, range(block * self.size, (block + 1) * self.size)))

    def draw(self, seed: int, numbers: range) -> Tensor:
        """Return the images of a seed that have some numbers, float32 [n,C,H,W] in -1..1."""
        generators = [torch.Generator().manual_seed(seed_of(seed, number)) for number in numbers]
        n, label = len(numbers), self._label
        what: dict[str, Any] = {"batch_size": n}
        if label is not None:
            what = {"class_labels": [label] * n}
            if _classes(self._pipeline) != GUIDED:
                what["guidance_scale"] = 1.0
        with seeded(seed, numbers.start), torch.inference_mode(), exact_convolutions():
            answer = self._pipeline(**what, generator=generators, num_inference_steps=self._steps, output_type="np")
        images = torch.from_numpy(np.ascontiguousarray(np.asarray(answer.images, np.float32).transpose(0, 3, 1, 2)))
        return images * 2.0 - 1.0


def from_pipeline(
    path: Path,
    *,
    steps: int | None = None,
    label: int | None = None,
    device: str = "cpu",
    progress: Progress = no_progress,
) -> PipelineGenerator:
    """Return the generator of a folder that `save_pretrained` of a pipeline of diffusers wrote.

    Args:
        path: The folder; it holds model_index.json.
        steps: Steps of sampling; None takes the pipeline's own number, at most the scheduler's steps of training.
        label: The class of every image, for a pipeline that draws images of a class.
        device: "cpu" or "cuda".
        progress: Called while images are drawn.

    Raises:
        CheckpointError: diffusers is not installed; the pipeline needs another condition or code from elsewhere, has
            weights that are not safetensors, or is damaged.
        SettingsError: The scheduler does not take so many steps, or the machine has no such device.
    """
    chosen = choose_device(device)
    kind = _read_kind(path)
    if (kind in OF_A_CLASS) != (label is not None):
        action = "draws images of a class. Add class=NUMBER" if label is None else "takes no class. Leave class= out"
        raise CheckpointError(f"The pipeline is a {kind}, which {action}.", file=path.name)
    try:
        import diffusers
    except ImportError:
        raise CheckpointError(
            "A pipeline needs the package diffusers. Install it by pip install 'pytest-medgan[diffusers]'.",
            file=path.name,
        ) from None
    try:
        with _without_output(diffusers), seeded(0, 0):
            pipeline = getattr(diffusers, kind).from_pretrained(str(path), local_files_only=True, use_safetensors=True)
            pipeline.to(chosen)
            pipeline.set_progress_bar_config(disable=True)
    except Exception as error:  # of diffusers, safetensors, huggingface_hub and torch
        raise CheckpointError(
            "The pipeline cannot be loaded; a file may be missing or damaged, or its weights are not safetensors. Save "
            "it again by pipeline.save_pretrained(FOLDER).",
            file=path.name,
        ) from error
    trained = int(pipeline.scheduler.config.num_train_timesteps)
    if steps is not None and steps > trained:
        raise SettingsError(
            f"The scheduler does not take {steps} steps; it was trained with {trained}. Correct steps=."
        )
    usual = inspect.signature(type(pipeline).__call__).parameters["num_inference_steps"].default
    found = steps or min(int(usual), trained)
    classes = _classes(pipeline)
    if label is not None and classes is not None and label >= classes:
        raise SettingsError(f"The pipeline knows {classes} classes, from 0, and class={label} is none. Correct class=.")
    condition = () if label is None else (Conditions(label).text,)
    identity = digest_values(kind, found, diffusers.__version__, *condition, *_describe(pipeline))
    generator = PipelineGenerator(pipeline, found, label, identity=identity, progress=progress)
    _check(generator, path)
    return generator


def _read_kind(path: Path) -> str:
    """Return the class of a pipeline, its parts being classes of diffusers.

    Raises:
        CheckpointError: The index is damaged, or names another class, or code from elsewhere.
    """
    index = path / INDEX
    try:
        content = json.loads(index.read_bytes()) if index.stat().st_size <= _LARGEST else None
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged_index(path) from error
    if not isinstance(content, dict):
        raise _damaged_index(path)
    kind = content.get("_class_name")
    if kind not in (*KINDS, *OF_A_CLASS):
        shown = f"a {kind}" if isinstance(kind, str) else "of a class of its own"
        raise CheckpointError(
            f"The pipeline is {shown}, which is not known to draw images without a condition or of a class. "
            f"Use one of {', '.join((*KINDS, *OF_A_CLASS))}, or wrap it as package.module:name, a function of (count, "
            "seed).",
            file=path.name,
        )
    for name, part in content.items():
        is_part = not name.startswith("_") and name != "id2label"  # of DiT: the names of its classes
        if is_part and (not isinstance(part, list) or part[:1] != ["diffusers"]):
            raise CheckpointError(
                f"The pipeline's part {name!r} is no class of diffusers, so its code would have to be trusted. Wrap "
                "the pipeline as package.module:name, a function of (count, seed).",
                file=path.name,
            )
    return str(kind)


def _classes(pipeline: Any) -> int | None:
    """Return how many classes a pipeline knows; None where it says nothing."""
    classes = getattr(getattr(pipeline, "transformer", pipeline).config, "num_embeds_ada_norm", None)
    return classes if isinstance(classes, int) else None


def _damaged_index(path: Path) -> CheckpointError:
    """Return the error of an index that cannot be read."""
    return CheckpointError(
        f"The pipeline's {INDEX} cannot be read. Save the pipeline again by pipeline.save_pretrained(FOLDER).",
        file=path.name,
    )


def _describe(pipeline: Any) -> Iterator[object]:
    """Yield the names, settings and weights of a pipeline's parts."""
    for name, part in sorted(pipeline.components.items()):
        settings = {key: value for key, value in dict(part.config).items() if not key.startswith("_")}
        yield name, type(part).__name__, sorted((key, repr(value)) for key, value in settings.items())
        yield digest_weights(part) if isinstance(part, nn.Module) else describe_scheduler(part)


def _check(generator: PipelineGenerator, path: Path) -> None:
    """Draw some images twice; raise CheckpointError where the pipeline fails, or they are no images or differ."""
    try:
        first, again = (generator.draw(0, range(_PROBES)) for _ in range(2))
    except Exception as error:  # whatever diffusers raises where parts do not fit together
        raise CheckpointError(
            "The pipeline fails when it draws. Call it in Python to see what it says.", file=path.name
        ) from error
    check_shape(first, _PROBES, file=path.name)
    to_grey(first)
    check_repeats(first, again, file=path.name)


@contextmanager
def _without_output(diffusers: Any) -> Iterator[None]:
    """Keep diffusers from writing to the terminal in the body."""
    logging = diffusers.utils.logging
    level, shows_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a later version will no longer take
            yield
    finally:
        logging.set_verbosity(level)
        if shows_bars:
            logging.enable_progress_bar()
