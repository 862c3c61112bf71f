"""What a user wants drawn: images of a class, to a prompt or to masks, and how a model is given it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan.classes import no_such_class
from pytest_medgan.gan.latents import Stream
from pytest_medgan.ground.digests import digest_array
from pytest_medgan.records import UInt8

# parameters of a model's method that take each condition, in the order of choice
CLASS_PARAMETERS = ("class_labels", "class_label", "labels", "label", "classes", "class_idx", "y", "c")
_PROMPT = ("prompt", "prompts", "text", "texts")
_MASKS = ("masks", "mask", "seg", "segmentation", "label_map")


@dataclass(frozen=True, eq=False)
class Conditions:
    """The conditions behind a generator's name; None where none was said."""

    label: int | None = None  # the class of every image
    prompt: str | None = None  # the words for every image
    masks: UInt8 | None = None  # [M,1,H,W]; image i of a seed has one of them, in a random order of that seed

    @property
    def text(self) -> str | None:
        """Return what names the conditions; None where there are none."""
        parts = []
        if self.label is not None:
            parts.append(f"class={self.label}")
        if self.prompt is not None:
            parts.append(f"prompt={self.prompt}")
        if self.masks is not None:
            parts.append(f"masks={digest_array(self.masks)[:16]}")
        return ", ".join(parts) or None

    def fit(self, built: Any, call: Callable[..., Any], name: str) -> Fitted:
        """Return which parameters of a model's method take the conditions.

        Args:
            built: The model, whose `c_dim`, `num_class_embeds` or `label_nc` say how many classes it knows.
            call: The method that draws.
            name: What names the model, for errors.

        Raises:
            CheckpointError: No parameter takes one of them, or the class is beyond those that the model knows.
        """
        known = _parameters(call)
        chosen: dict[str, str] = {}
        for what, said, names in (
            ("class", self.label, CLASS_PARAMETERS),
            ("prompt", self.prompt, _PROMPT),
            ("masks", self.masks, _MASKS),
        ):
            if said is None:
                continue
            found = next((each for each in names if each in known), None)
            if found is None:
                raise CheckpointError(
                    f"The generator {name!r} takes no {what}: its method has none of the parameters "
                    f"{', '.join(names)}. Name one so, or leave {what}= out."
                )
            chosen[what] = found
        classes = _count(built, "c_dim") or _count(built, "num_class_embeds")
        if self.label is not None and classes is not None and self.label >= classes:
            raise CheckpointError(no_such_class(f"The generator {name!r}", self.label, classes))
        return Fitted(self, chosen, _count(built, "c_dim"), _count(built, "label_nc"))


@dataclass(frozen=True, eq=False)
class Fitted:
    """Conditions as the arguments of a model's method."""

    conditions: Conditions
    parameters: dict[str, str] = field(default_factory=dict)  # "class", "prompt" or "masks" -> the parameter's name
    one_hot: int | None = None  # classes of a model that takes float32 [N,classes], as StyleGAN does; None: int64 [N]
    labels: int | None = None  # labels of a mask that is taken as float32 [N,labels,H,W]; None: grey levels [N,1,H,W]

    def bind(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return a method whose conditions need not be given, to ask what else it takes."""
        return partial(call, **dict.fromkeys(self.parameters.values())) if self.parameters else call

    def arguments(self, seed: int, numbers: range, device: torch.device) -> dict[str, Any]:
        """Return the arguments of the images of a seed that have some numbers."""
        n, said = len(numbers), self.conditions
        found: dict[str, Any] = {}
        if said.label is not None:
            label = torch.full((n,), said.label, device=device)
            whole = None if self.one_hot is None else torch.nn.functional.one_hot(label, self.one_hot).float()
            found[self.parameters["class"]] = label if whole is None else whole
        if said.prompt is not None:
            found[self.parameters["prompt"]] = [said.prompt] * n
        if said.masks is not None:
            found[self.parameters["masks"]] = self._masks(said.masks, seed, numbers).to(device)
        return found

    def _masks(self, masks: UInt8, seed: int, numbers: range) -> Tensor:
        """Return the masks of some images, float32."""
        order = Stream(seed).permutation(len(masks))
        chosen = torch.from_numpy(masks[order[np.asarray(numbers) % len(masks)]])
        if self.labels is None:
            return chosen.float()
        if int(chosen.max()) >= self.labels:
            raise CheckpointError(
                f"The masks hold the label {int(chosen.max())}, and the model knows {self.labels} labels, from 0. Save "
                "the masks as numbers of labels."
            )
        return torch.nn.functional.one_hot(chosen[:, 0].long(), self.labels).permute(0, 3, 1, 2).float()


NONE = Conditions()


def find_missing(call: Callable[..., Any]) -> tuple[str, str] | None:
    """Return the option and the parameter's name of a condition that a method requires, or None."""
    try:
        parameters = inspect.signature(getattr(call, "forward", call)).parameters.values()
    except (TypeError, ValueError):
        return None
    needed = [each.name for each in parameters if each.default is inspect.Parameter.empty]
    options = {"class=NUMBER": CLASS_PARAMETERS, 'prompt="WORDS"': _PROMPT, "masks=FOLDER": _MASKS}
    found = ((option, name) for option, names in options.items() for name in needed if name in names)
    return next(found, None)


def _parameters(call: Callable[..., Any]) -> frozenset[str]:
    """Return the names of a method's parameters; none where they are not known."""
    try:
        return frozenset(inspect.signature(getattr(call, "forward", call)).parameters)
    except (TypeError, ValueError):
        return frozenset()


def _count(built: Any, name: str) -> int | None:
    """Return a model's number of classes or labels; None where it says none."""
    value = getattr(built, name, None)
    return value if isinstance(value, int) and value > 0 else None
