"""Where a test ships to."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

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
