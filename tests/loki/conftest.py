"""A Loki for each test: the double, or a real one if ``AJRD_TEST_LOKI_URL`` names it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from ajrd.store.store import Store
from tests.loki.double import Double
from tests.loki.place import Place
from tests.loki.world import World


@pytest.fixture
def double() -> Iterator[Double]:
    """A double of its own for what no real Loki does when asked."""
    made = Double()
    yield made
    made.close()


@pytest.fixture
def loki(request: pytest.FixtureRequest) -> Place:
    """A Loki of either kind."""
    url = os.environ.get("AJRD_TEST_LOKI_URL")
    return Place(url or request.getfixturevalue("double").url)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """An empty store."""
    store = await Store.open(f"sqlite:///{tmp_path}/ajrd.sqlite")
    yield World(store)
    await store.close()
