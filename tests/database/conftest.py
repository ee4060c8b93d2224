"""A store of each kind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ajrd.store.address import Address
from ajrd.store.store import Store
from tests.database.server import Schema


@pytest.fixture(params=["sqlite", "mariadb"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Address:
    """Where an empty database is: a SQLite file, then one of the MariaDB server."""
    if request.param == "sqlite":
        return Address(f"sqlite:///{tmp_path}/ajrd.sqlite")
    schema: Schema = request.getfixturevalue("mysql")
    return schema.address()


@pytest.fixture
async def store(address: Address) -> AsyncIterator[Store]:
    """A store with its tables."""
    store = await Store.open(address)
    yield store
    await store.close()
