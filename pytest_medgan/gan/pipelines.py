"""Pipelines of diffusers in a folder on disk (extra `diffusers`), read without the network.

They draw without a condition, of a class, or to a prompt (extra `prompt`). Only classes of diffusers itself and of the
text models named here are loaded, and only weights in safetensors, so nothing in the folder is executed.
Every image has a torch.Generator of its own; the pipeline always sees a whole block of them.
"""

from __future__ import annotations

import importlib
import inspect
import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pytest_medgan.errors import CheckpointError, SettingsError
from pytest_medgan.gan.classes import no_such_class
from pytest_medgan.gan.conditions import Conditions
from pytest_medgan.gan.diffusion import describe_scheduler
from pytest_medgan.gan.grey import to_grey
from pytest_medgan.gan.probing import check_repeats, check_shape
from pytest_medgan.gan.sampling import BlockGenerator, choose_device, exact_convolutions
from pytest_medgan.gan.seeding import seed_of, seeded
from pytest_medgan.gan.state_files import digest_weights
from pytest_medgan.ground.digests import digest_file, digest_values
from pytest_medgan.records import Progress, UInt8, no_progress

INDEX = "model_index.json"
KINDS = ("DDPMPipeline", "DDIMPipeline", "LDMPipeline")
OF_A_CLASS = ("DiTPipeline",)
TO_A_PROMPT = ("StableDiffusionPipeline",)
TEXT_MODEL, TOKENIZERS = "CLIPTextModel", ("CLIPTokenizer", "CLIPTokenizerFast")  # of transformers
_LEFT_OUT = ("safety_checker", "feature_extractor")  # a checker of photographs would blacken images
_NOT_PARTS = ("id2label", "requires_safety_checker")  # the names of a DiT's classes; an answer to a warning
GUIDED = 1000  # classes of a DiT that is drawn with guidance: the pipeline takes class 1000 for "none"
_LARGEST = 1 << 20  # bytes of an index
_PROBES = 4  # images that are drawn twice


class PipelineGenerator(BlockGenerator):
    """Draw images with a pipeline of diffusers."""

    identity: str
    size = 8  # a pipeline takes many steps, so little is drawn in vain

    def __init__(
        self, pipeline: Any, steps: int, said: Conditions, *, identity: str, progress: Progress = no_progress
    ) -> None:
        super().__init__(identity=identity, progress=progress)
        self.condition = said.text
        self._pipeline, self._steps, self._said = pipeline, steps, said

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
        n, label = len(numbers), self._said.label
        what: dict[str, Any] = {"batch_size": n}
        if self._said.prompt is not None:
            what = {"prompt": [self._said.prompt] * n}
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
    prompt: str | None = None,
    device: str = "cpu",
    progress: Progress = no_progress,
) -> PipelineGenerator:
    """Return the generator of a folder that `save_pretrained` of a pipeline of diffusers wrote.

    Args:
        path: The folder; it holds model_index.json.
        steps: Steps of sampling; None takes the pipeline's own number, at most the scheduler's steps of training.
        label: The class of every image, for a pipeline that draws images of a class.
        prompt: The words of every image, for a pipeline that draws to a prompt.
        device: "cpu" or "cuda".
        progress: Called while images are drawn.

    Raises:
        CheckpointError: diffusers, or transformers for a prompt, is not installed; the pipeline needs another condition
            or code from elsewhere, has weights that are not safetensors, reads fewer words, or is damaged.
        SettingsError: The scheduler does not take so many steps, or the machine has no such device.
    """
    chosen = choose_device(device)
    kind = _read_kind(path)
    said = Conditions(label, prompt)
    _check_condition(kind, said, path)
    logs = [_import_logs("diffusers", "diffusers", path)]
    without: dict[str, Any] = {}
    if prompt is not None:
        logs.append(_import_logs("transformers", "prompt", path))
        without = {**dict.fromkeys(_LEFT_OUT), "requires_safety_checker": False}
    import diffusers

    try:
        with _without_output(logs), seeded(0, 0):
            pipeline = getattr(diffusers, kind).from_pretrained(
                str(path), local_files_only=True, use_safetensors=True, **without
            )
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
        raise SettingsError(no_such_class("The pipeline", label, classes))
    if prompt is not None:
        _check_length(pipeline.tokenizer, prompt, path)
    condition = () if said.text is None else (said.text,)
    versions = [diffusers.__version__] if prompt is None else [diffusers.__version__, version("transformers")]
    identity = digest_values(kind, found, *versions, *condition, *_describe(pipeline, path))
    generator = PipelineGenerator(pipeline, found, said, identity=identity, progress=progress)
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
    known = (*KINDS, *OF_A_CLASS, *TO_A_PROMPT)
    if kind not in known:
        shown = f"a {kind}" if isinstance(kind, str) else "of a class of its own"
        raise CheckpointError(
            f"The pipeline is {shown}, which is not known to draw images without a condition, of a class or to a "
            f"prompt. Use one of {', '.join(known)}, or wrap it as package.module:name, a function of (count, seed).",
            file=path.name,
        )
    for name, part in content.items():
        if name.startswith("_") or name in _NOT_PARTS or (kind in TO_A_PROMPT and name in _LEFT_OUT):
            continue
        is_text = kind in TO_A_PROMPT and part in [["transformers", each] for each in (TEXT_MODEL, *TOKENIZERS)]
        if not is_text and part != [None, None] and (not isinstance(part, list) or part[:1] != ["diffusers"]):
            raise CheckpointError(
                f"The pipeline's part {name!r} is no class of diffusers, so its code would have to be trusted. Wrap "
                "the pipeline as package.module:name, a function of (count, seed).",
                file=path.name,
            )
        if part == ["transformers", TEXT_MODEL] and not (path / name / "model.safetensors").is_file():
            raise CheckpointError(
                f"The pipeline's part {name!r} has no model.safetensors. Save the pipeline again by "
                "pipeline.save_pretrained(FOLDER).",
                file=path.name,
            )
    return str(kind)


def _check_condition(kind: str, said: Conditions, path: Path) -> None:
    """Raise CheckpointError where a pipeline needs another condition than what was said."""
    for kinds, value, draws, what, option in (
        (OF_A_CLASS, said.label, "draws images of a class", "class", "class=NUMBER"),
        (TO_A_PROMPT, said.prompt, "draws to a prompt", "prompt", 'prompt="WORDS"'),
    ):
        if (kind in kinds) != (value is not None):
            action = f"{draws}. Add {option}" if value is None else f"takes no {what}. Leave {what}= out"
            raise CheckpointError(f"The pipeline is a {kind}, which {action}.", file=path.name)


def _import_logs(package: str, extra: str, path: Path) -> Any:
    """Return the logs of a package that a pipeline needs; raise CheckpointError where it is not installed."""
    try:
        return importlib.import_module(package).utils.logging
    except ImportError:
        raise CheckpointError(
            f"A pipeline{' with a prompt' if extra == 'prompt' else ''} needs the package {package}. Install it by "
            f"pip install 'pytest-medgan[{extra}]'.",
            file=path.name,
        ) from None


def _check_length(tokenizer: Any, prompt: str, path: Path) -> None:
    """Raise CheckpointError where a pipeline would read the beginning of a prompt alone."""
    most = int(tokenizer.model_max_length)
    tokens = len(tokenizer(prompt, truncation=False, verbose=False).input_ids)
    if tokens > most:
        raise CheckpointError(
            f"The prompt has {tokens} tokens, and the pipeline reads {most}. Shorten prompt=.", file=path.name
        )


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


def _describe(pipeline: Any, path: Path) -> Iterator[object]:
    """Yield the names, settings and weights of a pipeline's parts."""
    for name, part in sorted(pipeline.components.items()):
        if part is None:
            continue
        config = getattr(part, "config", None)
        if config is None:  # a tokenizer
            yield name, type(part).__name__, [digest_file(file) for file in sorted((path / name).glob("*.*"))]
            continue
        whole = config.to_dict() if hasattr(config, "to_dict") else dict(config)
        settings = {key: value for key, value in whole.items() if not key.startswith("_")}
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
def _without_output(logs: Sequence[Any]) -> Iterator[None]:
    """Keep packages from writing to the terminal in the body.

    Args:
        logs: Their modules `utils.logging`.
    """
    before = [(log, log.get_verbosity(), log.is_progress_bar_enabled()) for log in logs]
    for log in logs:
        log.set_verbosity(log.CRITICAL)
        log.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a later version will no longer take
            yield
    finally:
        for log, level, shows_bars in before:
            log.set_verbosity(level)
            if shows_bars:
                log.enable_progress_bar()
