"""The primary slurmctld dies in the middle of a recovery, and the backup takes over.

Two controllers run on one host when they listen on addresses of their own (NoCtldInAddrAny) and
the second one has a host name of its own, in name spaces of its own.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from ajrd.daemon import STOP_VARIABLE
from labcluster.cluster import MARK, Lab
from labcluster.processes import Daemon, start
from labcluster.tools import find
from tests.faults.labs import kill, own_lab, submit_saved
from tests.faults.test_slurmctld import crash, recovered_once
from tests.service import Service, until
from tests.slurm.jobs import REQUEUE

Make = Callable[..., Service]

TWO_CONTROLLERS = {
    "SlurmctldHost": f"{socket.gethostname()}(127.0.0.1)\nSlurmctldHost=backup(127.0.0.2)",
    "CommunicationParameters": "NoCtldInAddrAny",
    "SlurmctldTimeout": "3",
}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A lab with a second controller."""
    with own_lab(2, **TWO_CONTROLLERS) as lab:
        backup = start_backup(lab)
        yield lab
        backup.end()


def start_backup(lab: Lab) -> Daemon:
    """The second controller; it shares the saved state, and has files of its own besides."""
    conf, hosts = lab.root / "backup.conf", lab.root / "hosts"
    text = lab.conf.read_text()
    for file in ("run/slurmctld.pid", "log/slurmctld.log"):
        text = text.replace(file, file.replace("slurmctld", "backup"))
    conf.write_text(text)
    hosts.write_text("127.0.0.1 localhost\n127.0.0.2 backup\n")
    script = f"mount --bind {hosts} /etc/hosts && hostname backup && exec {find('slurmctld')} -D"
    argv = [find("unshare"), "--uts", "--mount", "sh", "-c", script]
    env = {**lab.env, "SLURM_CONF": str(conf), MARK: str(lab.root)}
    backup = start("backup", argv, lab.root / "log" / "backup.out", env)
    until("the backup", lambda: pings(lab).count(" is UP") == 2)
    return backup


def pings(lab: Lab) -> str:
    return lab.command("scontrol", "ping")


@pytest.mark.parametrize("checkpoint", ["ran:requeue_hold"])
def test_a_backup_takes_over(make_service: Make, lab: Lab, checkpoint: str) -> None:
    service = make_service(slurm={"timeout": 2})
    job_id = submit_saved(lab, service, REQUEUE)
    service.start(**{STOP_VARIABLE: checkpoint})
    crash(service)
    service.await_stop()
    kill(lab, "slurmctld")
    service.wake()
    recovered_once(service, job_id)
    assert pings(lab).count(" is DOWN") == 1
