"""A running service on the lab Slurm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cluster
from tests.service import Service


@pytest.fixture
def make_service(lab: Cluster, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Makes services that are not started yet; all of them and their jobs are ended."""
    made: list[Service] = []

    def make(**options: Any) -> Service:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Service(lab, folder, **options))
        return made[-1]

    yield make
    for service in made:
        if service.running:
            service.kill()
        service.cancel_all()


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    """A service in ``act`` mode, started."""
    made = make_service()
    made.start()
    return made
