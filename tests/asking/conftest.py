"""A host on which nothing was set up yet, and what was found on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ajrd.setup.answers import Answers
from ajrd.setup.facts import Facts, SlurmFacts
from ajrd.setup.host import Host
from ajrd.setup.job import Job, Secrets
from tests.loki.conftest import double

__all__ = ["double"]

SLURM = SlurmFacts(
    version="22.05.8",
    cluster="c",
    conf="/etc/slurm/slurm.conf",
    user="root",
    partitions=("main", "other"),
    accounting=False,
    here=True,
)
MakeJob = Callable[..., Job]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """The root of the host, in which no test that only asks may leave anything."""
    folder = tmp_path / "root"
    conf = folder / "etc/slurm/slurm.conf"
    conf.parent.mkdir(parents=True)
    conf.write_text("ClusterName=c\n")
    (folder / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (folder / "etc/group").write_text("root:x:0:\n")
    before = sorted(folder.rglob("*"))
    yield folder
    assert sorted(folder.rglob("*")) == before, "something was made that nobody has agreed to"


@pytest.fixture
def job(root: Path) -> MakeJob:
    """What a run goes by, with these answers."""

    def make(found: SlurmFacts = SLURM, socket: str = "", **answers: Any) -> Job:
        facts = Facts("head", "/usr/bin/ajrd", found, socket)
        return Job(Host(root), facts, Answers.model_validate(answers), Secrets())

    return make
