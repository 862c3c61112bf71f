"""python -m pytest_medgan, which torchrun needs."""

from pytest_medgan.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
