"""What a user's own code raises, in one line: the kind of error and the place in that code.

The text of a foreign error may hold a path or a patient's name, so messages leave it out.
"""

from __future__ import annotations

import importlib
import os
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_medgan.errors import MedganError

_OTHERS = tuple(
    f"{folder}{os.sep}"
    for folder in (Path(__file__).parents[1], sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
)
_INSTALLED = frozenset(("site-packages", "dist-packages"))


def find_place(error: BaseException, package: str = "") -> str | None:
    """Return file name and line of the innermost call of a user's code that an error left, such as "net.py, line 3".

    Args:
        error: The error.
        package: A package that counts as the user's code although it is installed; empty for none.

    Returns:
        The place; None where no code of the user's was called.
    """
    if isinstance(error, SyntaxError) and error.filename and _is_own(error.filename):  # of a file that never ran
        return f"{Path(error.filename).name}, line {error.lineno or 1}"
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        file, module = frame.f_code.co_filename, str(frame.f_globals.get("__name__"))
        if _is_own(file) or (package and module.partition(".")[0] == package):
            return f"{Path(file).name}, line {line}"
    return None


def _is_own(file: str) -> bool:
    """Return whether a file of source belongs to neither Python, an installed package nor this one."""
    return not (file.startswith(("<", *_OTHERS)) or _INSTALLED.intersection(Path(file).parts))


def name_kind(error: BaseException) -> str:
    """Return the kind of an error, with the name that it misses, such as "AttributeError ('layer')"."""
    missed = error.name if isinstance(error, AttributeError | NameError) else None
    is_name = isinstance(missed, str) and missed.isidentifier()  # code may put any text there
    return f"{type(error).__name__} ({missed!r})" if is_name else type(error).__name__


def describe(error: BaseException, package: str = "") -> str:
    """Return the kind and the place of an error, such as "KeyError in net.py, line 3" (see `find_place`)."""
    place = find_place(error, package)
    return name_kind(error) if place is None else f"{name_kind(error)} in {place}"


def find_named(spec: str, subject: str, kind: type[MedganError]) -> Any:
    """Return the object that `package.module:name` names.

    Args:
        spec: The string.
        subject: What it stands for, as messages call it, such as "generator".
        kind: The class of the errors.

    Raises:
        MedganError: The module or the name does not exist, or the module cannot be imported; of class `kind`.
    """
    module, _, path = spec.partition(":")
    target = _import(module, spec, subject, kind)
    with calling(spec, f"The {subject} {spec!r}", "when it is looked up", "import it", kind):
        for name in path.split("."):
            try:
                target = getattr(target, name)
            except AttributeError as error:
                raise kind(f"The module of the {subject} {spec!r} has no such name. Correct the name.") from error
    return target


def _import(module: str, spec: str, subject: str, kind: type[MedganError]) -> Any:
    """Return a user's module; raise `kind` where it does not exist, needs another, or raises anything on import."""
    with calling(spec, f"The module of the {subject} {spec!r}", "on import", "import it", kind):
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise
            raise kind(
                f"The {subject} {spec!r} cannot be imported ({error}). Put its folder on the Python path."
            ) from error


@contextmanager
def calling(spec: str, subject: str, when: str, action: str, kind: type[MedganError]) -> Iterator[None]:
    """Raise an error that names kind and place where the user's code in the body raises anything.

    Args:
        spec: `package.module:name`.
        subject: What raises, in words.
        when: At what time, in words.
        action: What shows the whole error, in words.
        kind: The class of the error.
    """
    package = spec.partition(":")[0].partition(".")[0]
    try:
        yield
    except MedganError:
        raise
    except (Exception, SystemExit) as error:  # a script that reads its arguments on import exits
        if isinstance(error, ModuleNotFoundError) and error.name:
            raise kind(
                f"{subject} needs the Python module {error.name!r}, which is not installed. Install it, or put its "
                "folder on the Python path."
            ) from error
        place = find_place(error, package)
        where = "" if place is None else f" ({place})"
        raise kind(
            f"{subject} raises {name_kind(error)} {when}{where}. Correct it there, or {action} in Python "
            "to see the traceback."
        ) from error
