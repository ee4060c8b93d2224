"""The files that a lab's daemons read: slurm.conf, cgroup.conf, slurmdbd.conf."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

#: CgroupPlugin=disabled is known from here on. Before, slurmd looks for a plugin although nothing
#: uses it, and only that for v1 starts where no cgroups are mounted (a container, a chroot).
CGROUP_DISABLED = (23, 2)


@dataclass(frozen=True)
class Layout:
    """Where everything of one lab lies, on which ports it listens; ``cpus`` are those of a node."""

    root: Path
    nodes: int
    controller_port: int
    node_port: int
    cpus: int = 1
    accounting_port: int | None = None
    database_port: int | None = None

    @property
    def conf(self) -> Path:
        """slurm.conf: this path alone selects the cluster."""
        return self.root / "slurm.conf"

    @property
    def logs(self) -> Path:
        """One log a daemon."""
        return self.root / "log"

    @property
    def node_names(self) -> list[str]:
        """``n1`` …, in the order of their ports."""
        return [f"n{number}" for number in range(1, self.nodes + 1)]

    def folders(self) -> list[Path]:
        """What must exist before the daemons start."""
        return [self.root / name for name in ("log", "munge", "state", "spool", "run")]


def slurm_conf(layout: Layout, extra: Mapping[str, str]) -> str:
    """The text of slurm.conf; ``extra`` replaces and adds keys."""
    root, user = layout.root, getpass.getuser()
    last = layout.node_port + layout.nodes - 1
    values = {
        "ClusterName": "lab",
        "SlurmctldHost": f"{socket.gethostname()}(127.0.0.1)",
        "SlurmUser": user,
        "SlurmdUser": user,
        "AuthType": "auth/munge",
        "AuthInfo": f"socket={root}/munge/socket",
        "SlurmctldPort": str(layout.controller_port),
        "StateSaveLocation": f"{root}/state",
        "SlurmdSpoolDir": f"{root}/spool/%n",
        "SlurmctldPidFile": f"{root}/run/slurmctld.pid",
        "SlurmdPidFile": f"{root}/run/%n.pid",
        "SlurmctldLogFile": f"{root}/log/slurmctld.log",
        "SlurmdLogFile": f"{root}/log/%n.log",
        "ProctrackType": "proctrack/linuxproc",
        "TaskPlugin": "task/none",
        "MpiDefault": "none",
        "MailProg": "/bin/true",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_CPU",
        "SchedulerParameters": "batch_sched_delay=0,bf_interval=1",
        "SlurmdParameters": "config_overrides",
        "PropagateResourceLimits": "NONE",
        "ReturnToService": "2",
        "KillWait": "2",
        "MessageTimeout": "10",
        **_accounting(layout),
        **extra,
    }
    lines = [f"{key}={value}" for key, value in values.items()]
    nodes = f"n[1-{layout.nodes}]" if layout.nodes > 1 else "n1"
    ports = f"[{layout.node_port}-{last}]" if layout.nodes > 1 else str(layout.node_port)
    where = f"NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports}"
    lines += [
        f"NodeName={nodes} {where} CPUs={layout.cpus}",
        f"PartitionName=main Nodes={nodes} Default=YES MaxTime=INFINITE State=UP",
        f"PartitionName=other Nodes={nodes} Default=NO MaxTime=INFINITE State=UP",
    ]
    return "\n".join(lines) + "\n"


def _accounting(layout: Layout) -> dict[str, str]:
    if layout.accounting_port is None:
        return {}
    return {
        "AccountingStorageType": "accounting_storage/slurmdbd",
        "AccountingStorageHost": "127.0.0.1",
        "AccountingStoragePort": str(layout.accounting_port),
        "AccountingStoragePass": f"{layout.root}/munge/socket",
        "AccountingStoreFlags": "job_comment",
    }


def slurmdbd_conf(layout: Layout, password: str) -> str:
    """The text of slurmdbd.conf; the file must be 0600."""
    values = {
        "AuthType": "auth/munge",
        "AuthInfo": f"socket={layout.root}/munge/socket",
        "DbdHost": "localhost",
        "DbdAddr": "127.0.0.1",
        "DbdPort": str(layout.accounting_port),
        "SlurmUser": getpass.getuser(),
        "LogFile": f"{layout.root}/log/slurmdbd.log",
        "PidFile": f"{layout.root}/run/slurmdbd.pid",
        "StorageType": "accounting_storage/mysql",
        "StorageHost": "127.0.0.1",
        "StoragePort": str(layout.database_port),
        "StorageUser": "slurm",
        "StoragePass": password,
        "StorageLoc": "slurm_acct_db",
    }
    return "".join(f"{key}={value}\n" for key, value in values.items())
