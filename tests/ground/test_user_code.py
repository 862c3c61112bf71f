"""What a user's own code raises: one line with the place in that code, and nothing of the exception's text."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_medgan.errors import CheckpointError
from pytest_medgan.gan import load_generator
from pytest_medgan.ground.user_code import describe

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return what writes modules into a folder of the Python path: name -> source."""
    monkeypatch.syspath_prepend(tmp_path)

    def files(**sources: str) -> None:
        for name, source in sources.items():
            (tmp_path / f"{name}.py").write_text(source)
            monkeypatch.delitem(sys.modules, name, raising=False)

    return files


def message(name: str) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_generator(name)
    assert "\n" not in str(caught.value)
    assert "/" not in str(caught.value)
    return str(caught.value)


# --------------------------------------------------------------------------------------------------------------- import


def test_error_on_import_is_named_with_its_place(write: Write) -> None:
    write(mine="import numpy as np\n\nX = np.no_such_function([1])\n\ndef draw(count, seed):\n    pass\n")
    assert message("mine:draw") == (
        "The module of the generator 'mine:draw' raises AttributeError ('no_such_function') on import (mine.py, line "
        "3). Correct it there, or import it in Python to see the traceback."
    )


def test_place_is_that_of_the_users_innermost_file(write: Write) -> None:
    write(
        mine="from layers_of_mine import make\nmake()\n",
        layers_of_mine="import json\n\ndef make():\n    json.loads('{')\n",
    )
    assert "raises JSONDecodeError on import (layers_of_mine.py, line 4)" in message("mine:draw")


def test_text_of_an_error_stays_out_of_the_message(write: Write) -> None:
    write(mine="raise FileNotFoundError('no data of Miller_Anna')\n")
    assert "Miller" not in message("mine:draw")


@pytest.mark.parametrize(
    "source", ["def draw(count, seed:\n", "import sys\nsys.exit(3)\n", "1 / 0\n", "raise Exception\n"]
)
def test_whatever_a_module_raises_on_import_is_one_line(source: str, write: Write) -> None:
    write(mine=source)
    assert "on import (mine.py, line " in message("mine:draw")


def test_missing_package_is_told_from_a_missing_module(write: Write) -> None:
    write(mine="from no_such_package.layers import rearrange\n")
    assert message("mine:draw") == (
        "The module of the generator 'mine:draw' needs the Python module 'no_such_package', which is not installed. "
        "Install it, or put its folder on the Python path."
    )
    assert "'no_such_mine:draw' cannot be imported" in message("no_such_mine:draw")
    assert "'no_such_mine.inner:draw' cannot be imported" in message("no_such_mine.inner:draw")
    assert "'mine2.inner:draw' cannot be imported" in (write(mine2=""), message("mine2.inner:draw"))[1]


def test_name_that_a_package_does_not_hold_is_an_error_on_import(write: Write) -> None:
    write(mine="from json import no_such_name\n")
    assert "raises ImportError on import (mine.py, line 1)" in message("mine:draw")


# ------------------------------------------------------------------------------------------------------- build and draw

MODELS = """
import torch
from torch import nn

class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(16, 64)

class Buggy(Base):
    def forward(self, z):
        return torch.tanh(self.lawyer(z)).reshape(-1, 1, 8, 8)

class Pairs(Base):
    def forward(self, z):
        return torch.tanh(self.layer(z)).reshape(2, 1, 8, 8)

class Samples:
    def sample(self, count):
        raise KeyError("/data/Miller_Anna")

def build():
    return {}["/data/Miller_Anna"]

def lacks():
    import no_such_package
"""


def test_error_of_a_builder_is_named_with_its_place(write: Write) -> None:
    write(mine=MODELS)
    assert message("mine:build") == (
        "The generator 'mine:build' raises KeyError while it is built (mine.py, line 23). Correct it there, or call it "
        "in Python to see the traceback."
    )
    assert "needs the Python module 'no_such_package'" in message("mine:lacks")


def test_error_in_forward_is_named_with_its_place(write: Write) -> None:
    write(mine=MODELS)
    said = message("mine:Buggy,latent=16")
    assert "fails on latents of 16 numbers (AttributeError ('lawyer') in mine.py, line 12)" in said
    assert "(AttributeError ('lawyer') in mine.py, line 12)" in message("mine:Buggy")


@pytest.mark.parametrize(("name", "line"), [("Pairs,latent=16", 16), ("Samples", 20)])
def test_error_while_some_images_are_tried_is_named_with_its_place(name: str, line: int, write: Write) -> None:
    write(mine=MODELS)
    assert f"while it draws (mine.py, line {line})" in message(f"mine:{name}")


def test_place_inside_an_installed_package_is_shown_where_the_package_was_named() -> None:
    with pytest.raises(ValueError, match="property name") as caught:
        json.loads("{")
    assert "decoder.py" in describe(caught.value, "json")
    assert "test_user_code.py" in describe(caught.value)
