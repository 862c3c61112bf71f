"""Generators that `package.module:name` names: functions of (count, seed), and models that are adapted to it.

A model is an object, a class that is made without arguments, or a function that builds one. It is a torch module, or an
object with `sample(count)` or `decode(z)`. Its images may be grey levels, uint8, or numbers in the range that `range=`
says; whatever it draws from torch's, numpy's or Python's own random numbers is named by the seed as well.
"""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pytest_medgan.errors import CheckpointError, DataError, SettingsError
from pytest_medgan.gan.builders import (
    COUNTS,
    METHODS,
    is_drawable,
    is_function,
    make_model,
    options_of_models,
    refuse_missing,
    without_conditions,
)
from pytest_medgan.gan.conditions import Conditions
from pytest_medgan.gan.diffusion import Diffusion, combine_parts
from pytest_medgan.gan.models import Model, ModelGenerator, check_model, to_tensor
from pytest_medgan.gan.others import CheckedCallable, accepts, find_named, from_callable
from pytest_medgan.gan.pool import read_folder
from pytest_medgan.gan.probing import USUAL_LATENTS, try_latents
from pytest_medgan.gan.sampling import choose_device
from pytest_medgan.gan.seeding import seeded
from pytest_medgan.gan.state_files import digest_weights, load_state
from pytest_medgan.gan.time_limits import SECONDS, TimeLimit
from pytest_medgan.ground.digests import digest_values
from pytest_medgan.ground.user_code import calling, describe
from pytest_medgan.records import Progress, no_progress


def from_named(
    name: str, options: Mapping[str, Any], *, device: str = "cpu", progress: Progress = no_progress
) -> CheckedCallable | ModelGenerator:
    """Return the generator that `package.module:name` names.

    Args:
        name: What names it.
        options: `latent`, the shape of a latent; `range`, the values of black and white; `weights`, the file of a state
            dict; `method`, which draws; `steps` of a diffusion model; `class`, `prompt` and `masks`, a folder, which
            a parameter of the method takes; `seconds`, the time that opening it and each block of images may take. All
            may be left out.
        device: "cpu" or "cuda"; a function of (count, seed) chooses its own.
        progress: Called while images are drawn; a function of (count, seed) does not tell.

    Raises:
        CheckpointError: The object does not exist or is no generator, its weights do not fit, or it draws images in
            another range, or other images each time, or takes too long.
    """
    limit = TimeLimit(name, options.get("seconds", SECONDS))
    with limit.opening():
        return _open(name, options, limit, device, progress)


def _open(
    name: str, options: Mapping[str, Any], limit: TimeLimit, device: str, progress: Progress
) -> CheckedCallable | ModelGenerator:
    """Return the generator that a name names (see `from_named`)."""
    target = find_named(name)
    if not callable(target) and not is_drawable(target):
        raise CheckpointError(
            f"The generator {name!r} is of type {type(target).__name__}. Name a callable that takes (count, seed), or "
            "a model with sample, decode or forward."
        )
    conditions = _conditions(options)
    built = make_model(target, name, options, conditions)
    if is_function(built, conditions):
        if others := options_of_models(options):
            raise SettingsError(
                f"The generator {name!r} takes (count, seed) and has no such options. Leave {', '.join(others)}= out."
            )
        return _from_function(built, name, conditions, limit)
    chosen = choose_device(device)
    if isinstance(built, tuple):
        built = combine_parts(built, options.get("steps"))
        if "latent" not in options:
            raise CheckpointError(
                f"The generator {name!r} is a diffusion model and does not say the shape of its noise. Put "
                "latent=CxHxW behind its name, such as latent=1x32x32."
            )
    elif "steps" in options:
        raise CheckpointError(f"The generator {name!r} is no diffusion model of MONAI. Leave steps= out.")
    if isinstance(built, nn.Module):
        if "weights" in options:
            load_state(built.network if isinstance(built, Diffusion) else built, options["weights"])
        built.eval().to(chosen)
    elif "weights" in options:
        raise CheckpointError(f"The generator {name!r} is no torch module. Leave weights= out.")
    model = _adapt(built, name, options, chosen, conditions)
    with calling(name, f"The generator {name!r}", "while it draws", "call it", CheckpointError):
        shape = check_model(model, options.get("range"), takes_volumes=True)
    model = replace(model, draws_volumes=shape is not None)
    identity = _identity(name, target, built, model)
    return ModelGenerator(model, built, identity=identity, progress=progress, volume_shape=shape, limit=limit)


# -------------------------------------------------------------------------------------------------- from name to object


def _conditions(options: Mapping[str, Any]) -> Conditions:
    """Return the conditions among the options."""
    folder: Path | None = options.get("masks")
    if folder is not None and not folder.is_dir():
        raise CheckpointError("The folder of masks does not exist. Correct masks=.", file=folder.name)
    try:
        masks = None if folder is None else read_folder(folder).pixels
        if masks is not None and masks.shape[1] != 1:
            raise DataError(
                "The masks are in colour. Save them in grey, as numbers of labels.", file=str(options["masks"].name)
            )
    except DataError as error:
        raise CheckpointError(str(error), file=error.file) from error
    return Conditions(options.get("class"), options.get("prompt"), masks)


def _from_function(
    function: Callable[..., Any], name: str, conditions: Conditions, limit: TimeLimit
) -> CheckedCallable:
    """Return the generator of a function of (count, seed), which may take conditions as well."""
    if conditions.text is None:
        return from_callable(function, limit)
    fitted = conditions.fit(function, function, name)

    def draw(count: int, seed: int) -> object:
        return function(count, seed, **fitted.arguments(seed, range(count), torch.device("cpu")))

    for fact in ("groups", "volume_shape"):
        setattr(draw, fact, getattr(function, fact, None))
    generator = from_callable(draw, limit)
    for fact in ("training_recipe", "run_recipe", "training_seed", "window"):
        setattr(generator, fact, getattr(function, fact, None))
    said = getattr(function, "identity", None)
    generator.identity = None if said is None else digest_values(said, conditions.text)
    generator.condition = conditions.text
    return generator


# ----------------------------------------------------------------------------------------------- from object to images


def _adapt(built: Any, name: str, options: Mapping[str, Any], device: torch.device, conditions: Conditions) -> Model:
    """Return how a model is called, its latent found.

    Raises:
        CheckpointError: It has no method that draws, takes another latent, or returns no images.
    """
    method = _choose_method(built, name, options.get("method"), conditions)
    call = built if method == "forward" and isinstance(built, nn.Module) else getattr(built, method)
    values = options.get("range")
    fitted = conditions.fit(built.network if isinstance(built, Diffusion) else built, call, name)
    free = fitted.bind(call)
    if method == "sample" and _takes_count(free):
        if "latent" in options:
            raise CheckpointError(f"The generator {name!r} draws by sample(count). Leave latent= out, or add method=.")
        if accepts(free, 1):
            return Model(lambda n, _, **given: to_tensor(call(n, **given)), method, None, values, device, fitted)
        return Model(lambda n, seed, **given: to_tensor(call(n, seed, **given)), method, None, values, device, fitted)
    said: tuple[int, ...] | None = options.get("latent")

    def network(z: Tensor, **given: Any) -> Tensor:
        return to_tensor(call(z.reshape(len(z), *said) if said else z, **given))

    def trial(z: Tensor) -> Tensor:
        return network(z, **fitted.arguments(0, range(len(z)), device))

    candidates = (math.prod(said),) if said else USUAL_LATENTS
    explain = partial(describe, package=name.partition(":")[0].partition(".")[0])
    with seeded(0, 0):
        found, images = try_latents(trial, candidates, device=str(device), explain=explain)
    return Model(network, method, said or (found,), values, device, fitted, draws_volumes=images.ndim == 5)


def _choose_method(built: Any, name: str, said: str | None, conditions: Conditions) -> str:
    """Return the name of the method that draws.

    Raises:
        CheckpointError: There is none.
    """
    for method in (said,) if said else METHODS:
        found = getattr(built, method, None)
        if callable(found):
            found = without_conditions(found, conditions)
        if callable(found) and (said or (_takes_count(found) if method == "sample" else accepts(found, None))):
            return method
    for method in (said,) if said else METHODS:
        call = getattr(built, method, None)
        if callable(call):
            refuse_missing(without_conditions(call, conditions), name, f"its method {method}")
    action = f"It has no method {said!r}. Correct method=" if said else "Give it one, or name the method by method="
    raise CheckpointError(
        f"The generator {name!r} is neither a function of (count, seed) nor a model with sample(count), decode(z) or "
        f"forward(z). {action}."
    )


def _takes_count(sample: Callable[..., Any]) -> bool:
    """Return whether a method `sample` takes the number of images and nothing more, or a seed as well."""
    try:
        first, *others = inspect.signature(sample).parameters.values()
    except ValueError:  # it takes nothing, or its parameters are not known
        return False
    takes_both = bool(others) and others[0].name == "seed" and accepts(sample, 1, 0)
    return (accepts(sample, 1) or takes_both) and (first.name in COUNTS or first.annotation in (int, "int"))


# -------------------------------------------------------------------------------------------- what is checked and named


def _identity(name: str, target: Any, built: Any, model: Model) -> str | None:
    """Return a digest of code, weights and options; None where the weights or the code cannot be known."""
    how = (name, model.method, model.shape, model.values or (-1.0, 1.0), model.conditions.conditions.text)
    said = getattr(built, "identity", None) or getattr(target, "identity", None)
    if isinstance(said, str):
        return digest_values(*how, said, digest_weights(built) if isinstance(built, nn.Module) else None)
    if not isinstance(built, nn.Module):
        return None
    kinds = sorted({kind for each in built.modules() for kind in type(each).__mro__ if _is_foreign(kind)}, key=_name)
    try:
        sources = [inspect.getsource(importlib.import_module(name.partition(":")[0])), *map(inspect.getsource, kinds)]
    except (OSError, TypeError):  # made in a session, or compiled
        return None
    return digest_values(*how, sources, repr(built), digest_weights(built))


def _is_foreign(kind: type) -> bool:
    """Return whether a class is neither torch's nor Python's own."""
    return kind.__module__.partition(".")[0] not in ("torch", "builtins", "typing")


def _name(kind: type) -> str:
    """Return the full name of a class."""
    return f"{kind.__module__}.{kind.__qualname__}"
