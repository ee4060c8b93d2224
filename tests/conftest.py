"""What every kind of test shares: the private Slurm, and the options of a run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import hypothesis
import pytest

from labcluster.cluster import Lab

pytest.register_assert_rewrite("tests.faults.proof")
#: No time is asserted in a test: the machines are shared.
hypothesis.settings.register_profile("ajrd", deadline=None)
hypothesis.settings.load_profile("ajrd")

pytest_plugins = ["tests.service_fixtures", "tests.database.server", "tests.unit.setup_world"]


class Cluster(Protocol):
    """A Slurm for tests: ``conf`` selects it, ``env`` is what its commands run in."""

    @property
    def conf(self) -> Path:
        """slurm.conf."""

    @property
    def env(self) -> dict[str, str]:
        """The environment of Slurm's commands."""


@dataclass(frozen=True)
class OtherCluster:
    """A cluster that runs already, named by ``--slurm-conf``."""

    conf: Path

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "SLURM_CONF": str(self.conf)}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("ajrd")
    group.addoption("--full", action="store_true", help="also what takes minutes")
    group.addoption(
        "--slurm-conf", type=Path, help="use the test cluster of this slurm.conf, not a private lab"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--full"):
        for item in items:
            if item.get_closest_marker("full"):
                item.add_marker(pytest.mark.skip(reason="minutes long; run with --full"))


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A Slurm of 8 nodes, one for each worker of the test run."""
    other: Path | None = request.config.getoption("--slurm-conf")
    if other is not None:
        yield OtherCluster(other.resolve())
        return
    with tempfile.TemporaryDirectory(prefix="ajrd-lab-") as folder:
        cluster = Lab(Path(folder))
        cluster.up(nodes=8)
        try:
            yield cluster
        finally:
            cluster.down()
