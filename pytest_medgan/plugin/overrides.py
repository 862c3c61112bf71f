"""Whether a project replaces a fixture of the plugin by one of its own."""

from __future__ import annotations

import pytest

HOME = "pytest_medgan.plugin.fixtures"  # the module of the plugin's own fixtures


def is_replaced(item: pytest.Item, fixture: str) -> bool:
    """Return whether a test gets the project's own fixture of this name, and that one does not use the plugin's.

    Args:
        item: The test.
        fixture: The name of a fixture of the plugin.

    Returns:
        False also for a fixture that the test does not use, and for items that are no test functions.
    """
    known = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    for definition in reversed(known.get(fixture, ())):
        if definition.func.__module__ == HOME:
            return False
        if fixture not in definition.argnames:
            return True
    return False


def fixtures_being_made(request: pytest.FixtureRequest) -> set[str]:
    """Return the names of a fixture and of those that requested it, none of which has a value yet.

    Args:
        request: The request of the fixture.
    """
    names: set[str] = set()
    asking: pytest.FixtureRequest | None = request
    while asking is not None:
        names |= {asking.fixturename} if asking.fixturename else set()
        asking = getattr(asking, "_parent_request", None)
    return names
