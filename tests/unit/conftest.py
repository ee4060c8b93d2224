"""A world of one ajrd with the Slurm in memory, for the tests that want no other one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ajrd.judgement import Judgement
from tests.unit.recovery_world import FailingStore, World


@pytest.fixture(scope="module")
def judgement() -> Judgement:
    return Judgement([])


@pytest.fixture
async def world(tmp_path: Path, judgement: Judgement) -> AsyncIterator[World]:
    store = await FailingStore.open(f"sqlite+aiosqlite:///{tmp_path}/ajrd.sqlite")
    assert isinstance(store, FailingStore)
    world = World(store, judgement)
    yield world
    world.kill()
    await store.close()
