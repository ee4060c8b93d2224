"""The hooks on a real Slurm that runs them, and a service that listens."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ajrd.store.history import AttemptHistory
from labcluster.cluster import Lab
from tests.service import Service, until
from tests.slurm.jobs import REQUEUE

HOOKS = Path(__file__).parents[2] / "slurm" / "hooks"
XID = "NVRM: Xid (PCI:0000:3b:00): 79, pid=1, GPU has fallen off the bus."
#: Nobody waits for the next look at Slurm that is not hurried, seconds.
SELDOM = 600.0
JOB = "#!/bin/bash\nsleep 300\n"


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ajrd-hooks-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def spool(place: Path) -> Path:
    folder = place / "spool"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def hooked(place: Path, spool: Path) -> Iterator[Lab]:
    """A Slurm whose hooks write to ``spool``, and whose kernel speaks of a GPU at each end."""
    tools = place / "tools"
    tools.mkdir()
    journal = tools / "journalctl"
    journal.write_text(f'#!/bin/sh\necho "$(date +%s).5 host kernel: {XID}"\n')
    journal.chmod(0o755)
    keys = {}
    hooks = {"Epilog": "epilog", "EpilogSlurmctld": "epilog-slurmctld"}
    for key, name in {**hooks, "PrologSlurmctld": "prolog-slurmctld"}.items():
        wrapper = place / name
        wrapper.write_text(
            f"#!/bin/sh\nexport AJRD_HOOK_DIR={spool} PATH={tools}:{os.environ['PATH']}\n"
            f"exec {HOOKS / name}\n"
        )
        wrapper.chmod(0o755)
        keys[key] = str(wrapper)
    lab = Lab(place / "lab")
    lab.up(nodes=2, extra=keys)
    try:
        yield lab
    finally:
        lab.down()


@pytest.fixture
def service(hooked: Lab, tmp_path: Path) -> Iterator[Service]:
    service = Service(hooked, tmp_path, slurm={"poll": SELDOM}, mode="observe")
    yield service
    if service.running:
        service.stop()
    service.cancel_all()


def listen(service: Service, *folders: Path) -> None:
    """Starts the service with these folders of hooks."""
    lines = "".join(f"  - {folder}\n" for folder in folders)
    service.config.write_text(f"{service.config.read_text()}hooks:\n  dirs:\n{lines}")
    service.start()


def attempt(service: Service, job_id: str) -> AttemptHistory | None:
    """The newest one that the store knows."""
    history = service.history(job_id)
    return history.attempts[-1] if history and history.attempts else None


def test_an_end_is_seen_without_waiting_for_the_next_look(service: Service, spool: Path) -> None:
    job_id = service.submit(JOB, REQUEUE)
    service.await_state(job_id, "RUNNING")
    listen(service, spool)
    until("the attempt to be known", lambda: service.said("attempt_started", job=job_id))
    service.slurm("scancel", job_id)
    until("the end to be seen", lambda: service.said("attempt_ended", job=job_id))


def test_what_the_kernel_said_is_evidence_on_the_attempt(service: Service, spool: Path) -> None:
    job_id = service.submit(JOB, REQUEUE)
    service.await_state(job_id, "RUNNING")
    listen(service, spool)
    until("the attempt to be known", lambda: service.said("attempt_started", job=job_id))
    node = service.slurm("squeue", "-h", "-j", job_id, "-o", "%N")
    service.slurm("scancel", job_id)

    def evidence() -> list[tuple[str, str]]:
        found = attempt(service, job_id)
        anomalies = found.anomalies if found else []
        seen = [record.anomaly for record in anomalies]
        return [(a.source, a.finding.text) for a in seen if a.source.startswith("epilog:")]

    assert until("the Xid", evidence) == [(f"epilog:{node}", XID)]
    until("the messages to be deleted", lambda: not [*spool.glob("[!.]*")])


def test_slurm_is_well_without_the_folder(service: Service, hooked: Lab, spool: Path) -> None:
    """No service, no harm: jobs end and no node is drained."""
    aside = spool.rename(spool.with_name("aside"))
    try:
        job_id = service.submit("#!/bin/sh\ntrue\n")
        service.await_state(job_id, "COMPLETED")
        until("the nodes to be idle", lambda: states_of_nodes(hooked) == {"idle"})
    finally:
        aside.rename(spool)


def states_of_nodes(lab: Lab) -> set[str]:
    return set(lab.command("sinfo", "-h", "-N", "-o", "%T").split())
