"""Values in `compact` on a processor with other vector instructions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pytest_medgan.gan import load_generator

FIXTURES = Path(__file__).parents[2] / "fixtures"
COUNT = 300
METRICS = ("inception_score", "fid", "kid", "improved_precision", "improved_recall", "density", "coverage")
CHILD = """
import json, sys
import numpy as np
from pytest_medgan.embedding import load_extractor
from pytest_medgan.metrics import measure, prepare_reference
drawn = np.load(sys.argv[1])
space = load_extractor("compact,engine=folded")
real, _ = space.embed(drawn["real"])
fake, probabilities = space.embed(drawn["fake"])
found = measure(prepare_reference(real), fake=fake, probabilities=probabilities, metrics=sys.argv[2].split(","))
values = {name: estimate.value for name, estimate in found.estimates.items()}
print(json.dumps({"values": values, "first": fake[:4].tolist()}))
"""


def measured_under(environment: dict[str, str], drawn: Path) -> dict[str, object]:
    command = [sys.executable, "-c", CHILD, str(drawn), ",".join(METRICS)]
    out = subprocess.run(command, env=os.environ | environment, check=False, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    answer: dict[str, object] = json.loads(out.stdout.splitlines()[-1])
    return answer


@pytest.mark.slow
def test_values_in_compact_are_the_same_on_another_processor_path(tmp_path: Path) -> None:
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    drawn = tmp_path / "drawn.npz"
    generator = load_generator(str(FIXTURES / "dcgan_phantom.safetensors"))
    np.savez(drawn, real=generator(COUNT, 0), fake=generator(COUNT, 1))
    present = " ".join(name for name in __cpu_dispatch__ if __cpu_features__.get(name))
    environment = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "NPY_DISABLE_CPU_FEATURES": present}
    usual, plain = measured_under({}, drawn), measured_under(environment, drawn)
    assert usual["first"] != plain["first"], "both ran on the same path, so nothing was compared"
    np.testing.assert_allclose(np.array(plain["first"]), np.array(usual["first"]), rtol=0, atol=1e-3)  # signs, order
    assert plain["values"] == pytest.approx(usual["values"], rel=1e-4, abs=0)
