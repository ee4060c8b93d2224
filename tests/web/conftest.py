"""The pages over an empty store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from tests.web.place import Place, a_place


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """Who asks is an operator, until the test says otherwise."""
    async with a_place(tmp_path) as made:
        yield made


@pytest.fixture
async def client(place: Place) -> AsyncIterator[TestClient[Any, Any]]:
    """A browser without scripts."""
    async with TestClient(TestServer(place.application())) as made:
        yield made
