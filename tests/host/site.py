"""Slurm on a machine as a site has it: Debian's units, MUNGE, a user, and accounting if wanted."""

from __future__ import annotations

from tests.host.base import NAME
from tests.host.machine import PATIENCE, Machine
from tests.service import until

#: A user whose home nobody else may enter.
USER = "ada"
#: Read by everybody, as Slurm's commands must. What a job needs of the kernel is left out: nothing
#: here is about limits of jobs.
SLURM_CONF = f"""\
ClusterName=site
SlurmctldHost={NAME}
SlurmUser=slurm
StateSaveLocation=/var/lib/slurm/slurmctld
SlurmdSpoolDir=/var/lib/slurm/slurmd
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,bf_interval=1
SlurmdParameters=config_overrides
KillWait=2
MailProg=/bin/true
NodeName={NAME} CPUs=8
PartitionName=main Nodes={NAME} Default=YES MaxTime=INFINITE State=UP
"""
ACCOUNTING = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStoreFlags=job_comment
"""
SLURMDBD_CONF = """\
AuthType=auth/munge
DbdHost=localhost
SlurmUser=slurm
LogFile=/var/log/slurm/slurmdbd.log
StorageType=accounting_storage/mysql
StorageUser=slurm
StoragePass=of-accounting
"""
#: slurmd looks for the plugin although nothing uses it, and that of version 2 wants controllers.
CGROUP_CONF = "CgroupPlugin=cgroup/v1\n"


def add_slurm(machine: Machine, *, accounting: bool = False, extra: str = "") -> None:
    """From a machine with Slurm's packages to an idle node; ``extra`` are lines of slurm.conf."""
    machine("useradd", "--create-home", USER)
    machine("chmod", "0700", f"/home/{USER}")
    machine.write("/etc/slurm/cgroup.conf", CGROUP_CONF)
    conf = SLURM_CONF + (ACCOUNTING if accounting else "") + extra
    machine.write("/etc/slurm/slurm.conf", conf)
    if accounting:
        _add_accounting(machine)
    machine("systemctl", "restart", "slurmctld", "slurmd")
    until("the node to be idle", lambda: nodes(machine) == "idle", PATIENCE)


def _add_accounting(machine: Machine) -> None:
    sql = (
        "CREATE DATABASE slurm_acct_db",
        "CREATE USER slurm@localhost IDENTIFIED BY 'of-accounting'",
        "GRANT ALL ON slurm_acct_db.* TO slurm@localhost",
    )
    machine("mysql", "--execute", ";".join(sql))
    machine.write("/etc/slurm/slurmdbd.conf", SLURMDBD_CONF, 0o600, "slurm:slurm")
    machine("systemctl", "restart", "slurmdbd")
    show = ("sacctmgr", "--noheader", "show", "cluster")
    until("slurmdbd to answer", lambda: machine.tries(*show).returncode == 0, PATIENCE)
    machine("sacctmgr", "--immediate", "add", "cluster", "site")


def nodes(machine: Machine) -> str:
    """The states of the nodes."""
    return machine.tries("sinfo", "--noheader", "--format=%T").stdout.strip()
