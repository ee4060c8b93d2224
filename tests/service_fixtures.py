"""A running service on the lab Slurm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cluster
from tests.nursery import Nursery
from tests.service import Service

#: Lines of a service's own log that are shown with a test that failed.
SHOWN = 60


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Where the services of this test worker come from."""
    made = Nursery()
    yield made
    made.close()


@pytest.fixture
def make_service(
    lab: Cluster, nursery: Nursery, tmp_path: Path
) -> Iterator[Callable[..., Service]]:
    """Makes services that are not started yet; all of them and their jobs are ended.

    pytest shows what is printed here for a test that failed, and only then.
    """
    made: list[Service] = []

    def make(**options: Any) -> Service:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Service(lab, folder, nursery=nursery, **options))
        return made[-1]

    yield make
    for service in made:
        if service.running:
            service.kill()
        service.cancel_all()
        print(f"the end of {service.log}:", *service.last_words(SHOWN), sep="\n")  # noqa: T201 -- pytest keeps it


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    """A service in ``act`` mode, started."""
    made = make_service()
    made.start()
    return made
