"""Networks of other projects become exported programs, and their code runs in a process of its own alone."""

from __future__ import annotations

import json
import math
import os
import pickle
import re
import select
import socket
import subprocess
import sys
import time
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pytest_medgan.errors import CheckpointError, MedganError, SettingsError
from pytest_medgan.gan import conversion, conversion_process, foreign_networks, load_generator
from pytest_medgan.gan.conversion import ConversionOrder, convert
from pytest_medgan.gan.description import ENTRY
from pytest_medgan.gan.grey import to_grey
from pytest_medgan.gan.latents import BLOCK, latents
from pytest_medgan.gan.sampling import noise_block
from tests.gan.stand_in import Project

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the network is cut on Linux alone")

WITNESS = """
import json, os, socket
try:
    socket.create_connection(("127.0.0.1", {port}), 2).close()
    reached = True
except OSError:
    reached = False
with open({witness!r}, "w") as stream:
    json.dump({{"pid": os.getpid(), "reached": reached}}, stream)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return Project(tmp_path, monkeypatch)


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a conversion run in this process, and leave this process as it was."""
    monkeypatch.setattr(foreign_networks, "_prepare", lambda code: monkeypatch.syspath_prepend(str(code)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def order_here(network: Path, project: Project, **options: Any) -> tuple[dict[str, Any], Path]:
    """Return the answer to an order that is carried out in this process, and what it wrote."""
    out = project.folder / options.pop("out", "G.pt2")
    order = {
        "network": str(network),
        "code": str(project.code),
        "config": None,
        "label": None,
        "truncation": None,
        "grey": False,
        "source": "digest",
        **options,
    }
    return conversion_process._answer(order, out), out


LATENT = 6 + 16 * 16  # z, and the noise of the stand-in's only layer


def joined(count: int) -> Tensor:
    """Return latents and noise as the gate draws them for seed 3."""
    noise = torch.cat([noise_block(3, block, LATENT - 6) for block in range(-(-count // BLOCK))])
    return torch.cat([torch.from_numpy(latents(0, count, 3, 6)), noise[:count]], 1)


def draw(network: nn.Module, count: int, c_dim: int = 0, label: int = 0, **options: Any) -> Tensor:
    """Return images as NVlabs draw them, one by one, each with noise of its own."""
    drawn = joined(count)
    c = torch.nn.functional.one_hot(torch.full((count,), label), max(c_dim, 1))[:, :c_dim].float()
    images: list[Tensor] = []
    with torch.no_grad():
        for numbers, classes in zip(drawn, c, strict=True):
            network.synthesis.noise_const = numbers[6:].reshape(16, 16)
            images.append(network(numbers[None, :6], classes[None], noise_mode="const", force_fp32=True, **options))
    return torch.cat(images)


# ------------------------------------------------------------------------------------------------------ trust, process


def test_nothing_runs_without_trust(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    witness = tmp_path / "witness"
    network, _ = project.pickle(before=f"open({str(witness)!r}, 'w')\n")
    monkeypatch.setattr(conversion.subprocess, "Popen", lambda *_, **__: pytest.fail("a process was started"))
    with pytest.raises(SettingsError, match="nothing was run") as caught:
        convert(ConversionOrder(network, project.code, tmp_path / "G.pt2"), trusted=False)
    assert "--trust" in str(caught.value)
    assert not witness.exists()
    assert not (tmp_path / "G.pt2").exists()


@linux
def test_trusted_code_runs_in_another_process_without_network(project: Project, tmp_path: Path, port: int) -> None:
    witness, out = tmp_path / "witness.json", tmp_path / "new" / "G.pt2"
    payload = WITNESS.format(port=port, witness=str(witness))
    network, original = project.pickle(before=payload, classes=3)
    exec(payload, {})
    assert json.loads(witness.read_text()) == {"pid": os.getpid(), "reached": True}
    done = convert(ConversionOrder(network, project.code, out, label=2, truncation=0.7), trusted=True)
    seen = json.loads(witness.read_text())
    assert seen["pid"] != os.getpid()
    assert not seen["reached"]
    assert done.isolation in ("seccomp", "namespace")
    assert (done.latent, done.shape) == (LATENT, (1, 16, 16))
    assert done.difference < 1e-5
    witness.unlink()
    generator = load_generator(str(out))
    images = generator(40, seed=3)
    expected = to_grey(draw(original, 40, 3, 2, truncation_psi=0.7))
    assert np.abs(images.astype(int) - expected).max() <= 1  # rounding
    assert (images == expected).mean() > 0.999
    np.testing.assert_array_equal(load_generator(str(out))(40, seed=3), images)
    assert not witness.exists()  # the exported program holds no code of the pickle


@linux
def test_process_that_takes_too_long_is_stopped(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []
    popen = conversion.subprocess.Popen
    monkeypatch.setattr(conversion.subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[0])
    network, _ = project.pickle(before="while True: pass\n")
    with pytest.raises(CheckpointError, match="longer than 1 seconds and was stopped"):
        convert(ConversionOrder(network, project.code, tmp_path / "G.pt2", seconds=1.0), trusted=True)
    assert started[0].returncode == -9
    assert not (tmp_path / "G.pt2").exists()


@linux
@pytest.mark.slow
def test_what_a_stopped_process_has_started_is_stopped_too(project: Project, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    child = f"import time, os\nwhile True: open({str(witness)!r}, 'w').write(str(time.time())); time.sleep(0.05)"
    network, _ = project.pickle(
        before=f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {child!r}])\nwhile True: pass\n"
    )
    with pytest.raises(CheckpointError, match="was stopped"):
        convert(ConversionOrder(network, project.code, tmp_path / "G.pt2", seconds=20.0), trusted=True)
    last = witness.stat().st_mtime_ns
    time.sleep(0.5)
    assert witness.stat().st_mtime_ns == last


@linux
def test_what_an_ended_process_has_started_ends_with_it() -> None:
    command = ["sh", "-c", "sleep 30 & echo started; wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        conversion._end(process)
        closed, _, _ = select.select([process.stdout], [], [], 10.0)
        assert closed  # nobody holds the pipe any more


ENDS = "import os\nos.kill(os.getpid(), 9)\n"
PIPE = "import os, sys\nos.mkfifo(os.path.join(sys.argv[1], 'answer.json'))\nos._exit(0)\n"

LIST = "import os, sys\nopen(os.path.join(sys.argv[1], 'answer.json'), 'w').write('[1]')\nos._exit(0)\n"


@linux
@pytest.mark.parametrize("before", [ENDS, PIPE, LIST])
def test_process_that_leaves_no_answer_is_one_line(project: Project, tmp_path: Path, before: str) -> None:
    network, _ = project.pickle(before=before)
    with pytest.raises(CheckpointError, match="left no answer") as caught:
        convert(ConversionOrder(network, project.code, tmp_path / "G.pt2"), trusted=True)
    assert caught.value.file == "network.pkl"
    assert not (tmp_path / "G.pt2").exists()


def answer_with(monkeypatch: pytest.MonkeyPatch, answer: Any, program: bytes | None = None) -> None:
    """Let the process leave this answer and program."""

    def run(order: ConversionOrder, folder: Path) -> Any:
        if program is not None:
            (folder / order.out.name).write_bytes(program)
        return answer

    monkeypatch.setattr(conversion, "_run", run)


SOUND = {"latent": 6, "shape": [1, 16, 16], "low": -1.0, "high": 1.0, "differs": 0.0, "isolation": None}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"network": True}, "cannot refuse network access"),
        ({"problem": "The subject has a problem. Act."}, "has a problem"),
        ({}, "cannot be read"),
        ({**SOUND, "shape": [1, 16]}, "cannot be read"),
        ({**SOUND, "latent": "many"}, "cannot be read"),
        (SOUND, "left no program"),
    ],
)
def test_answer_of_the_process_is_not_trusted(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Any, words: str
) -> None:
    network, _ = project.pickle()
    answer_with(monkeypatch, answer)
    with pytest.raises(MedganError, match=words):
        convert(ConversionOrder(network, project.code, tmp_path / "G.pt2"), trusted=True)
    assert not (tmp_path / "G.pt2").exists()


def test_program_that_the_gate_would_refuse_is_not_written(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, _ = project.pickle()
    answer_with(monkeypatch, SOUND, pickle.dumps([1]))
    with pytest.raises(CheckpointError, match="is a pickle"):
        convert(ConversionOrder(network, project.code, tmp_path / "G.pt2"), trusted=True)
    assert not (tmp_path / "G.pt2").exists()


def test_link_in_place_of_the_program_is_not_followed(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, _ = project.pickle()
    (tmp_path / "other.pt2").write_bytes(b"another file")

    def run(order: ConversionOrder, folder: Path) -> Any:
        (folder / order.out.name).symlink_to(tmp_path / "other.pt2")
        return SOUND

    monkeypatch.setattr(conversion, "_run", run)
    with pytest.raises(CheckpointError, match="left no program"):
        convert(ConversionOrder(network, project.code, tmp_path / "G.pt2"), trusted=True)


def test_machine_that_cannot_cut_the_network_runs_nothing(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion_process, "cut_network", lambda: None)
    monkeypatch.setattr(conversion_process, "end_with_parent", lambda: None)
    monkeypatch.setattr(conversion_process, "_answer", lambda *_: pytest.fail("it ran"))
    (tmp_path / conversion_process.ORDER).write_text(json.dumps({"allow_network": False, "out": "G.pt2"}))
    conversion_process.main(tmp_path)
    assert json.loads((tmp_path / conversion_process.ANSWER).read_text()) == {"network": True}
    (tmp_path / conversion_process.ORDER).write_text(json.dumps({"allow_network": True, "out": "G.pt2"}))
    monkeypatch.setattr(conversion_process, "_answer", lambda *_: {"latent": 6})
    conversion_process.main(tmp_path)
    assert json.loads((tmp_path / conversion_process.ANSWER).read_text()) == {"latent": 6, "isolation": None}


@linux
def test_network_is_cut_before_torch_or_numpy_start_threads(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom pytest_medgan.gan import conversion_process as p\n"
        "def cut():\n    print(sorted({'torch', 'numpy'} & set(sys.modules)), len(os.listdir('/proc/self/task')))\n"
        "p.cut_network = cut\np._answer = lambda *_: {}\nfrom pathlib import Path\np.main(Path(sys.argv[1]))"
    )
    (tmp_path / conversion_process.ORDER).write_text(json.dumps({"allow_network": True, "out": "G.pt2"}))
    answer = conversion.subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert answer.stdout.strip() == "[] 1"


# -------------------------------------------------------------------------------------------------------------- orders


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"network": "absent.pkl"}, "does not exist"),
        ({"code": "absent"}, "--code is no folder"),
        ({"out": "G.onnx"}, "names a format"),
        ({"out": "same.pt"}, "is the network itself"),
        ({"config": "absent.yaml"}, "--config is no file"),
        ({"network": "same.pt"}, "does not say how its network is built"),
        ({"truncation": 0.0}, "--truncation 0 is not above 0"),
        ({"truncation": math.nan}, "--truncation nan"),
        ({"seconds": 0.5}, "--seconds 0.5 is too short"),
    ],
)
def test_order_that_does_not_fit_is_refused(
    project: Project, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    project.pickle()
    (tmp_path / "same.pt").write_bytes(b"")
    if change == {"out": "same.pt"}:
        change = {**change, "network": "same.pt", "config": "same.pt"}
    chosen: dict[str, Any] = {"network": "network.pkl", "code": "code", "out": "G.pt2", **change}
    places = {name: tmp_path / value for name, value in chosen.items() if isinstance(value, str)}
    with pytest.raises(SettingsError, match=words):
        convert(ConversionOrder(**{**chosen, **places}), trusted=True)


# -------------------------------------------------------------------------------------------------------------- NVlabs


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("grey", [False, True])
def test_program_draws_as_the_network(project: Project, grey: bool) -> None:
    network, original = project.pickle(channels=3)
    answer, path = order_here(network, project, grey=grey)
    assert answer["shape"] == [1 if grey else 3, 16, 16]
    assert answer["high"] > 1.0  # clipped when drawn
    expected = draw(original, 7)
    expected = (expected.mean(1, keepdim=True) if grey else expected).clamp(-1, 1)
    extra = {ENTRY: ""}
    program = torch.export.load(path, extra_files=extra).module()
    torch.testing.assert_close(program(joined(7)), expected, atol=1e-5, rtol=0)
    assert json.loads(extra[ENTRY]) == {
        "latent": LATENT, "noise": LATENT - 6, "range": [-1.0, 1.0], "class": None, "truncation": None, "grey": grey,
        "source": "digest",
    }  # fmt: skip


@pytest.mark.usefixtures("here")
def test_exported_program_holds_no_path_of_this_machine(project: Project) -> None:
    network, _ = project.pickle()
    answer, out = order_here(network, project)
    assert "problem" not in answer
    with zipfile.ZipFile(out) as archive:
        content = b"".join(archive.read(name) for name in archive.namelist())
    for path in (project.folder, Path(conversion.__file__).parent):
        assert str(path).encode() not in content


@pytest.mark.usefixtures("here")
def test_format_that_fixes_the_number_of_images_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign_networks, "_NOISE", "no noise")  # as a StyleGAN3
    network, _ = project.pickle()
    answer, _ = order_here(network, project, out="G.pt")
    assert "draws other images than the network" in answer["problem"]
    assert "--out G.pt2" in answer["problem"]


@pytest.mark.usefixtures("here")
def test_format_without_noise_for_each_image_is_refused(project: Project) -> None:
    network, _ = project.pickle()
    answer, _ = order_here(network, project, out="G.pt")
    assert "Name the other format, --out G.pt2" in answer["problem"]


@pytest.mark.usefixtures("here")
def test_noise_is_never_offered_in_the_format_that_cannot_hold_it(project: Project) -> None:
    """Code that looks at its own numbers cannot be exported, and TorchScript cannot hold the noise."""
    network, _ = project.pickle(
        change=("x = self.start", "open('/dev/null') if w.sum() > 1e9 else None; x = self.start")
    )
    answer, _ = order_here(network, project)
    assert "torch cannot follow the network's code" in answer["problem"]
    assert "Draw its images in a function of (count, seed) of your own." in answer["problem"]


@pytest.mark.usefixtures("here")
def test_equal_latents_with_other_noise_give_other_images(project: Project) -> None:
    network, _ = project.pickle()
    _, out = order_here(network, project)
    program = torch.export.load(out).module()
    z = joined(2)
    z[1, :6] = z[0, :6]
    first, second = program(z)
    assert not torch.isclose(first, second).all()
    z[1] = z[0]
    first, second = program(z)
    torch.testing.assert_close(first, second)


@pytest.mark.usefixtures("here")
def test_classes_give_other_files_and_the_same_class_the_same_bytes(project: Project) -> None:
    network, original = project.pickle(classes=3)
    contents = [order_here(network, project, label=label, out=f"G{label}.pt2")[1].read_bytes() for label in (0, 1)]
    again = order_here(network, project, label=1, out="again.pt2")[1].read_bytes()
    assert contents[0] != contents[1] == again
    assert str(project.folder).encode() not in again
    program = torch.export.load(project.folder / "G1.pt2").module()
    torch.testing.assert_close(program(joined(5)), draw(original, 5, 3, 1).clamp(-1, 1), atol=1e-5, rtol=0)


class Returns(nn.Module):
    """A network that returns something else than images."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.z_dim, self.c_dim, self.value = 6, 0, value

    def forward(self, z: Tensor, c: Tensor) -> Any:
        return self.value


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ({"G": 1}, {}, "no generator under G_ema"),
        ({"G_ema": 1}, {}, "no generator under G_ema"),
        ([], {}, "no generator under G_ema"),
        ({"G_ema": nn.Linear(2, 2)}, {}, "no number 'z_dim'"),
        ({"G_ema": Returns({"images": 1})}, {}, "no images"),
        ({"G_ema": Returns(torch.zeros(5, 1, 4, 4, dtype=torch.uint8))}, {}, "no images"),
        ({"G_ema": Returns(torch.zeros(5, 16))}, {}, r"returns \[5, 16\]"),
        ({"G_ema": Returns(torch.zeros(5, 1, 4, 4, 4))}, {}, "volumes"),
        ({"G_ema": Returns(torch.full((5, 1, 4, 4), math.nan))}, {}, "NaN"),
        ({"G_ema": Returns(torch.full((5, 1, 4, 4), 200.0))}, {}, "200 to 200"),
        ({"G_ema": Returns(torch.zeros(5, 1, 4, 4))}, {"label": 1}, "has no classes"),
        ({"G_ema": Returns(torch.zeros(5, 1, 4, 4))}, {"truncation": 0.5}, "takes no truncation"),
        (None, {"label": 3}, "has no class 3. Choose --class 0 to --class 2"),
        (None, {}, "draws one of 3 classes at a time. Choose --class 0 to --class 2"),
    ],
)
def test_network_that_cannot_be_converted_is_named(
    project: Project, content: Any, options: dict[str, Any], words: str
) -> None:
    network, _ = project.pickle(content, classes=3)
    answer, out = order_here(network, project, **options)
    assert list(answer) == ["problem"]
    assert re.search(words, answer["problem"])
    assert not out.exists()


@pytest.mark.usefixtures("here")
def test_missing_code_is_named(project: Project) -> None:
    network, _ = project.pickle()
    project.monkeypatch.delitem(sys.modules, "torch_utils.persistence")
    project.monkeypatch.delitem(sys.modules, "torch_utils")
    (project.code / "torch_utils" / "persistence.py").unlink()
    answer, _ = order_here(network, project)
    assert "needs the Python module 'torch_utils.persistence', which is neither in --code" in answer["problem"]


@pytest.mark.usefixtures("here")
def test_failing_code_is_quoted_without_its_folder(project: Project) -> None:
    network, _ = project.pickle(before=f"raise ValueError({str(project.code)!r} + ' is odd')\n")
    answer, _ = order_here(network, project)
    assert "fails (CODE is odd)" in answer["problem"]


@pytest.mark.usefixtures("here")
def test_network_with_random_noise_is_refused(project: Project) -> None:
    network, _ = project.pickle(change=('noise_mode == "const"', "False"))
    answer, _ = order_here(network, project)
    assert "draws other images than the network" in answer["problem"]


# ----------------------------------------------------------------------------------------------------------- StudioGAN


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("out", ["G.pt2", "G.pt"])
def test_checkpoint_of_studiogan_draws_its_class(project: Project, out: str) -> None:
    weights, config, original = project.checkpoint()
    answer, path = order_here(weights, project, config=str(config), label=3, out=out)
    assert answer["shape"] == [3, 8, 8]
    assert answer["differs"] < 1e-6
    with torch.no_grad():
        z = torch.from_numpy(latents(0, 7, 3, 6))
        expected = original(z, torch.full((7,), 3), eval=True)
        program = torch.jit.load(path) if out.endswith(".pt") else torch.export.load(path).module()
        torch.testing.assert_close(program(z), expected, atol=1e-6, rtol=0)


@pytest.mark.usefixtures("here")
def test_latents_are_truncated_and_uniform_as_studiogan_draws_them(project: Project) -> None:
    z = torch.linspace(-4, 4, 2001).reshape(-1, 1)
    choice = foreign_networks.Choice(truncation=0.5)
    truncated = foreign_networks.ClassDrawing(nn.Identity(), 1, 0, False, choice)._prior(z)
    uniform = foreign_networks.ClassDrawing(nn.Identity(), 1, 0, True, foreign_networks.Choice())._prior(z)
    from scipy.stats import norm, truncnorm

    quantile = norm.cdf(z.double().numpy())
    np.testing.assert_allclose(uniform.numpy(), 2 * quantile - 1, atol=1e-6)
    np.testing.assert_allclose(truncated.numpy(), truncnorm.ppf(quantile, -0.5, 0.5), atol=1e-5)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("lines", "options", "words"),
    [
        ([], {}, "draws one of 4 classes"),
        (["g_cond_mtd: W/O"], {"label": 0}, "has no classes"),
        (["backbone: stylegan2"], {}, "are not converted"),
        (["info_type: discrete"], {}, "are not converted"),
        (["z_prior: uniform"], {"label": 0, "truncation": 1.0}, "latents are uniform"),
    ],
)
def test_configuration_that_does_not_fit_is_named(
    project: Project, lines: list[str], options: dict[str, Any], words: str
) -> None:
    weights, config, _ = project.checkpoint(*lines)
    answer, _ = order_here(weights, project, config=str(config), **options)
    assert words in answer["problem"]


@pytest.mark.usefixtures("here")
def test_checkpoint_with_more_than_tensors_or_other_weights_is_refused(project: Project) -> None:
    weights, config, _ = project.checkpoint()
    torch.save({"state_dict": {"linear.weight": torch.zeros(2)}}, weights)
    answer, _ = order_here(weights, project, config=str(config), label=0)
    assert "are not those of the configuration's generator" in answer["problem"]
    torch.save({"state_dict": {}, "other": Project}, weights)
    answer, _ = order_here(weights, project, config=str(config), label=0)
    assert "holds more than tensors" in answer["problem"]
