from __future__ import annotations

import json

from pytest_medgan.ground.pages import script_json


def test_script_json_cannot_end_the_script_element() -> None:
    text = script_json({"note": "</script><!-- & -->"})
    assert "<" not in text
    assert json.loads(text) == {"note": "</script><!-- & -->"}
