"""Convert a network of another project into an exported program, in a process of its own without network access.

The file and the code beside it run there with the rights of the user: they can read and write what the user can, and
reach no network. What they leave is untrusted too, and is read as every exported file is.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_medgan.errors import CheckpointError, SettingsError
from pytest_medgan.gan.conversion_process import ANSWER, ORDER, TORCHSCRIPT
from pytest_medgan.ground.digests import digest_file
from pytest_medgan.ground.files import write_bytes

SECONDS = 600.0
_LONGEST = 1 << 20  # bytes of an answer
_SUFFIXES = (".pt2", TORCHSCRIPT)
_CHECKPOINTS = (".pth", ".pt", ".ckpt", ".bin")  # torch.save's, where NVlabs write .pkl


@dataclass(frozen=True)
class ConversionOrder:
    """Which network to convert, and how it is to draw."""

    network: Path  # NVlabs' .pkl, or a checkpoint of PyTorch-StudioGAN
    code: Path  # folder of the project's source
    out: Path  # .pt2 for torch.export, .pt for TorchScript
    config: Path | None = None  # of PyTorch-StudioGAN, which its checkpoints need
    label: int | None = None  # class to draw
    truncation: float | None = None
    grey: bool = False  # whether channels become their mean
    seconds: float = SECONDS  # that the process may take
    allow_network: bool = False  # whether to go on where the network cannot be taken away


@dataclass(frozen=True)
class Conversion:
    """What was converted."""

    latent: int  # numbers of a latent
    shape: tuple[int, int, int]  # channels, height and width of an image
    values: tuple[float, float]  # least and greatest of five images, before they are clipped to -1..1
    difference: float  # greatest, between values of the network and of the exported program
    isolation: str | None  # how the network was taken away: "seccomp", "namespace", or None for not at all


def convert(order: ConversionOrder, *, trusted: bool) -> Conversion:
    """Run a network's code in a process of its own, and write the exported program.

    Args:
        order: The network and how it is to draw.
        trusted: The user trusts the file and the code; nothing runs otherwise.

    Returns:
        What was converted.

    Raises:
        SettingsError: It was not trusted, an option does not fit, or the machine cannot take the network away.
        CheckpointError: The file holds no generator, or the process failed, ended or took too long.
        OutputError: The program cannot be written.
    """
    _check(order)
    if not trusted:
        raise SettingsError(
            "The conversion runs code that the network's file and --code hold, and nothing was run. Add --trust if you "
            "trust both; they run in a process of their own without network access."
        )
    with tempfile.TemporaryDirectory(prefix="medgan-convert-") as name:
        folder = Path(name)
        conversion = _read_answer(_run(order, folder), order)
        content = _read_program(folder / order.out.name, order)
        write_bytes(order.out, content)
    return conversion


def _check(order: ConversionOrder) -> None:
    """Raise SettingsError where an order cannot be carried out."""
    file = order.network.name
    if not order.network.is_file():
        raise SettingsError("The network to convert does not exist. Correct its name.", file=file)
    if not order.code.is_dir():
        raise SettingsError("--code is no folder. Name the folder of the source that the network was trained with.")
    if order.out.suffix not in _SUFFIXES:
        raise SettingsError(
            "--out has no suffix that names a format. End it in .pt2 (torch.export) or .pt (TorchScript)."
        )
    if order.out.exists() and order.out.samefile(order.network):
        raise SettingsError("--out is the network itself, which would be lost. Name another file.")
    if order.config is not None and not order.config.is_file():
        raise SettingsError("--config is no file. Name the .yaml that the network was trained with.")
    if order.config is None and order.network.suffix in _CHECKPOINTS:
        raise SettingsError(
            "A checkpoint of PyTorch-StudioGAN does not say how its network is built. Add --config FILE.yaml.",
            file=file,
        )
    if order.truncation is not None and not 0.0 < order.truncation < math.inf:
        raise SettingsError(f"--truncation {order.truncation:g} is not above 0. Give a number such as 0.7.")
    if not 1.0 <= order.seconds < math.inf:
        raise SettingsError(f"--seconds {order.seconds:g} is too short. Give at least 1.")


def _run(order: ConversionOrder, folder: Path) -> dict[str, Any]:
    """Return the answer of the process; raise CheckpointError where it gives none."""
    plain = {
        "network": str(order.network.resolve()),
        "code": str(order.code.resolve()),
        "config": None if order.config is None else str(order.config.resolve()),
        "label": order.label,
        "truncation": order.truncation,
        "grey": order.grey,
        "out": order.out.name,
        "source": digest_file(order.network),
        "allow_network": order.allow_network,
    }
    (folder / ORDER).write_text(json.dumps(plain), encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "pytest_medgan.gan.conversion_process", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # so that what it starts can be ended with it
    )
    try:
        process.wait(order.seconds)
    except subprocess.TimeoutExpired as error:
        raise CheckpointError(
            f"The conversion took longer than {order.seconds:g} seconds and was stopped. Allow more with --seconds.",
            file=order.network.name,
        ) from error
    finally:
        _end(process)
    path, answer = folder / ANSWER, None
    with suppress(OSError, ValueError, RecursionError):
        if path.is_file() and path.stat().st_size < _LONGEST:  # not a pipe, which would wait for a writer
            answer = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(answer, dict):
        raise CheckpointError(
            "The code of the network ended its process and left no answer. Try the network in its own project first.",
            file=order.network.name,
        )
    return answer


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process, and what it has started where the system keeps account of that."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _read_answer(answer: dict[str, Any], order: ConversionOrder) -> Conversion:
    """Return what the process says, none of it trusted."""
    if answer.get("network") is True:
        raise SettingsError(
            "This machine cannot refuse network access to a process, so nothing was run. Convert on Linux, or where no "
            "network is, and add --allow-network there."
        )
    if "problem" in answer:
        raise CheckpointError(str(answer["problem"])[:1000], file=order.network.name)
    try:
        channels, height, width = map(int, answer["shape"])
        isolation = answer["isolation"]
        return Conversion(
            latent=int(answer["latent"]),
            shape=(channels, height, width),
            values=(float(answer["low"]), float(answer["high"])),
            difference=float(answer["differs"]),
            isolation=None if isolation is None else str(isolation)[:20],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            "The code of the network left an answer that cannot be read. Try the network in its own project first.",
            file=order.network.name,
        ) from error


def _read_program(path: Path, order: ConversionOrder) -> bytes:
    """Return the exported program's bytes after the gate's own reader has drawn images with it."""
    from pytest_medgan.gan.apart import from_model_file

    if path.is_symlink() or not path.is_file():
        raise CheckpointError("The code of the network left no program. Convert again.", file=order.network.name)
    from_model_file(path, seconds=order.seconds)
    return path.read_bytes()
