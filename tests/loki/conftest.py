"""A Loki for each test: the double, or a real one if ``AJRD_TEST_LOKI_URL`` names it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.loki.double import Double
from tests.loki.shipping import Shipper


@dataclass(frozen=True)
class Place:
    """A Loki, and a name that makes what one test ships its own."""

    url: str
    name: str = field(default_factory=lambda: f"t{secrets.token_hex(6)}")

    @property
    def selector(self) -> str:
        """The streams of this test."""
        return f'{{job="{self.name}"}}'

    def labels(self, **more: str) -> dict[str, str]:
        """Those of a stream of this test."""
        return {"job": self.name, **more}

    @property
    def shipper(self) -> Shipper:
        """Ships to it."""
        return Shipper(self.url)


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
