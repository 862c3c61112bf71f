"""From the object that `package.module:name` names to a function of (count, seed), or to a model."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan.conditions import Conditions, find_missing
from pytest_medgan.gan.others import accepts
from pytest_medgan.gan.seeding import seeded
from pytest_medgan.ground.user_code import calling

METHODS = ("sample", "decode_forward", "decode", "forward")  # in the order of choice
CONDITIONS = ("class", "prompt", "masks")  # options that say what is drawn
COUNTS = frozenset(("batch_size", "count", "n", "n_images", "n_samples", "num", "num_images", "num_samples", "number"))


def is_function(target: Any, conditions: Conditions) -> bool:
    """Return whether an object is a function of (count, seed); a torch module takes anything and is none."""
    if not callable(target) or isinstance(target, type | nn.Module):
        return False
    return accepts(target, 1, 0) or (
        conditions.text is not None and accepts(without_conditions(target, conditions), 1, 0)
    )


def without_conditions(call: Callable[..., Any], conditions: Conditions) -> Callable[..., Any]:
    """Return a method whose conditions need not be given; itself where it takes none."""
    try:
        return conditions.fit(None, call, "").bind(call)
    except CheckpointError:
        return call


def refuse_missing(call: Callable[..., Any], name: str, what: str) -> None:
    """Raise CheckpointError where a call cannot do without a condition that was not given."""
    if (missing := find_missing(call)) is not None:
        option, parameter = missing
        raise CheckpointError(
            f"The generator {name!r} draws with a condition: {what} takes {parameter!r}. Put {option} behind its name."
        )


def options_of_models(options: Mapping[str, Any]) -> list[str]:
    """Return the names of those options that a function of (count, seed) does not take."""
    return [option for option in options if option not in (*CONDITIONS, "seconds")]


def make_model(target: Any, name: str, options: Mapping[str, Any], conditions: Conditions) -> Any:
    """Return the function of (count, seed), or the model, that a target is or makes.

    Raises:
        CheckpointError: It is neither, or raises something while it makes one.
    """
    if not is_function(target, conditions):
        return _build(target, name)
    if not _may_build(target, options):
        return target
    try:
        built = _build(target, name)
    except CheckpointError:
        if options_of_models(options):
            raise
        return target  # a function that draws may need its arguments although they have defaults
    return built if is_drawable(built) or is_function(built, conditions) else target


def _may_build(target: Callable[..., Any], options: Mapping[str, Any]) -> bool:
    """Return whether a function of two arguments may be a builder: both have defaults and names of something else.

    One whose second argument is a seed draws images, unless an option that only models take is given.
    """
    try:
        first, second, *_ = inspect.signature(target).parameters.values()
    except ValueError:  # it takes fewer by name, or they are not known
        return False
    takes_seed = "seed" in second.name or second.name == "random_state"
    if takes_seed and (first.name in COUNTS or not options_of_models(options)):
        return False
    return inspect.Parameter.empty not in (first.default, second.default) and accepts(target)


def is_drawable(built: Any) -> bool:
    """Return whether an object is a model or, in a tuple, the parts of one."""
    if isinstance(built, tuple):
        return any(isinstance(part, nn.Module) for part in built)
    return any(callable(getattr(built, method, None)) for method in METHODS)


def _build(target: Any, name: str) -> Any:
    """Return the model that a class or a function makes, or the object itself where it is a model.

    Raises:
        CheckpointError: It cannot be made without arguments, is a function of other arguments, or raises something.
    """
    is_class = isinstance(target, type)
    if not is_class and is_drawable(target):
        return target
    if not accepts(target):
        if not is_class and accepts(target, 1, 0, None):
            refuse_missing(target, name, "it")
        action = "Name an object of it, or a function that builds one" if is_class else "Make it take these two"
        problem = "is a class that needs arguments" if is_class else "cannot be called with (count, seed)"
        raise CheckpointError(f"The generator {name!r} {problem}. {action}.")
    # random weights are then the same each time
    with seeded(0, 0), calling(name, f"The generator {name!r}", "while it is built", "call it", CheckpointError):
        return target()
