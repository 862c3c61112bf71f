"""Images a second and start-up of every engine, beside plain eager torchvision and the Inception of two peers.

    python benchmarks/embedding_speed.py [--rounds 6] [--images 16] [--threads 2] [--device cpu]

All contestants stand in one process and take turns for a number of rounds; the best round counts, which
is what a machine that also does other work can be compared by. The peers' networks are the TensorFlow port, which is
another one: they are timed only, with whatever weights their constructors leave. Peers: torch-fidelity, pytorch-fid.
They take all images as one batch; our engines take them in the batches that suit each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from pytest_medgan.embedding import random_weights
from pytest_medgan.embedding.canned import canned_images
from pytest_medgan.embedding.engines import make_engine
from pytest_medgan.embedding.inception import inception_network, maps, prepare, to_three_channels
from pytest_medgan.embedding.spec import ExtractorSpec
from pytest_medgan.errors import ExtractorError

OURS = (
    ("folded", "float32"),
    ("onnxruntime", "float32"),
    ("compiled", "float32"),
    ("graph", "float32"),
    ("graph", "tf32"),
    ("folded", "bfloat16"),
    ("compiled", "bfloat16"),
    ("graph", "bfloat16"),
)
Contestant = tuple[str, float, Callable[[], Tensor]]  # name, seconds to make it, one batch


@contextmanager
def untrained(module: str) -> Iterator[None]:
    """Constructors of the module that would fetch weights get none."""
    with (
        mock.patch(f"{module}.load_state_dict_from_url", return_value={}),
        mock.patch.object(nn.Module, "load_state_dict", return_value=None),
    ):
        yield


def peers(pixels: Tensor, device: str) -> Iterator[Contestant]:
    """torch-fidelity and pytorch-fid, each given what it takes."""
    three = pixels.expand(-1, 3, -1, -1).contiguous().to(device)
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError:
        print("torch-fidelity is not installed and left out")
    else:
        start = time.perf_counter()
        with untrained("torch_fidelity.feature_extractor_inceptionv3"):
            first = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"]).to(device)
        yield "torch-fidelity", time.perf_counter() - start, lambda: first(three)[0]
    try:
        from pytorch_fid.inception import InceptionV3
    except ImportError:
        print("pytorch-fid is not installed and left out")
    else:
        start = time.perf_counter()
        with untrained("pytorch_fid.inception"):
            second = InceptionV3([3]).eval().to(device)
        yield "pytorch-fid", time.perf_counter() - start, lambda: second(three.float() / 255)[0]


def contestants(pixels: Tensor, device: str, compiled: bool) -> Iterator[Contestant]:
    """Plain eager torchvision, the peers, and every engine of ours that runs here."""
    network = random_weights.draw(0)
    random_weights.calibrate(network, pixels[:8].numpy(), "symmetric")
    plain = network.to(device).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    yield (
        "torchvision eager",
        0.0,
        lambda: maps(plain, to_three_channels(prepare(pixels.to(device)), "symmetric").contiguous()).mean((2, 3)).cpu(),
    )
    yield from peers(pixels, device)
    on_cpu = random_weights.draw(0)
    random_weights.calibrate(on_cpu, pixels[:8].numpy(), "symmetric")
    for name, precision in OURS:
        if name == "compiled" and not compiled:
            continue
        spec = replace(ExtractorSpec("inception_v3"), engine=name, precision=precision)
        start = time.perf_counter()
        try:
            engine = make_engine(inception_network(on_cpu, "symmetric"), spec, device)
        except ExtractorError:
            continue
        list(engine.stream(pixels, engine.batch))  # the first batch compiles, captures, allocates
        took = time.perf_counter() - start
        yield f"ours {name} {precision}", took, lambda engine=engine: torch.cat([*engine.stream(pixels, engine.batch)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--images", type=int, default=16, help="of a turn")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--cpu-clock",
        action="store_true",
        help="count processor time instead of time; with --threads 1, fair on a machine that others keep busy",
    )
    parser.add_argument("--compiled", action="store_true", help="torch.compile too, which takes a minute to start")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    clock = time.process_time if arguments.cpu_clock else time.perf_counter
    noise = np.random.default_rng(0).integers(0, 30, (arguments.images, 1, 128, 128), dtype=np.uint8)
    pixels = torch.from_numpy(np.minimum(np.resize(canned_images(), noise.shape), 225) + noise)
    with torch.inference_mode():
        running = list(contestants(pixels, arguments.device, arguments.compiled))
        best = dict.fromkeys((name for name, _, _ in running), float("inf"))
        answers: dict[str, Tensor] = {}
        for _ in range(arguments.rounds):
            for name, _, batch in running:
                start = clock()
                answers[name] = batch()
                if arguments.device != "cpu":
                    torch.cuda.synchronize()
                best[name] = min(best[name], clock() - start)
    right = answers["torchvision eager"]
    fastest = min(t for name, t in best.items() if not name.startswith("ours"))
    print(
        f"batch {arguments.images}, {arguments.threads} threads, torch {torch.__version__}, best of {arguments.rounds}"
    )
    print(f"{'':28}{'images/s':>9}{'start s':>9}{'x fastest peer':>16}{'relative gap':>14}")
    for name, took, _ in running:
        gap = ""
        if name.startswith("ours"):
            apart = torch.linalg.vector_norm(answers[name] - right, dim=1) / torch.linalg.vector_norm(right, dim=1)
            gap = f"{float(apart.max()):.1e}"
        speed = arguments.images / best[name]
        print(f"{name:28}{speed:9.1f}{took:9.1f}{fastest / best[name]:16.2f}{gap:>14}")


if __name__ == "__main__":
    main()
