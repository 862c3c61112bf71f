"""What the plugin costs a project that has no medgan test: no torch, no pydicom, under 0.1 s of collection.

The cost is the median difference over alternating runs with and without the plugin, in processor time, since other work
on the machine is not the plugin's. Prints it; exits 1 over the limit: 0.1 s, or on a machine so slow that pytest itself
takes more than a second, a tenth of what it takes.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS = 9
LIMIT = 0.1
HEAVY = ("torch", "pydicom", "numpy", "scipy", "sklearn", "matplotlib")
TEST = f"""
import sys

def test_nothing_heavy_was_imported():
    assert [name for name in {HEAVY!r} if name in sys.modules] == []
"""


def seconds(folder: Path, *arguments: str) -> float:
    """Processor time of one collection."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_plain.py").write_text(TEST)
        subprocess.run([sys.executable, "-m", "pytest", "-q"], cwd=folder, check=True)
        seconds(folder)  # the first run compiles
        pairs = [(seconds(folder), seconds(folder, "-p", "no:medgan")) for _ in range(ROUNDS)]
    cost = statistics.median(with_it - without for with_it, without in pairs)
    alone = statistics.median(without for _, without in pairs)
    limit = max(LIMIT, LIMIT * alone)
    print(f"the plugin adds {cost:.3f} s to the {alone:.3f} s of pytest --collect-only (limit {limit:.3f} s)")
    return int(cost >= limit)


if __name__ == "__main__":
    raise SystemExit(main())
