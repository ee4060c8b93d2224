"""Slurm: is it there, may ajrd act on it, and do its settings let a recovery succeed?"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ajrd.config import Backend, Config, Mode
from ajrd.doctor.check import (
    QUESTION,
    Check,
    Finding,
    Group,
    Level,
    Look,
    NotAsked,
    fail,
    ok,
    skip,
    warn,
)
from ajrd.doctor.tools import Account, in_thread, service_account
from ajrd.errors import SlurmUnavailable
from ajrd.slurm.native import native_available
from ajrd.slurm.process import Finished, environment, run

#: What recovery cannot do without, and what reports and checks use.
NEEDED, USED = ("scontrol", "squeue", "scancel"), ("sacct", "sacctmgr")
#: The oldest and the newest line of Slurm that the tests have run on.
OLDEST, NEWEST = (22, 5), (25, 11)
#: Seconds: a slow answer; clocks that differ; MUNGE's own limit (munged(8), TTL).
SLOW, SKEW, MUNGE_TTL = 1.0, 2.0, 300.0
#: Looks at all jobs for which Slurm must remember a job that is over.
LOOKS = 5
#: Seconds after which a dead node is found late.
LATE = 900


@dataclass(frozen=True, slots=True)
class Answer:
    """``scontrol show config``: its values, how long it took, by how much clocks differ (s)."""

    values: Mapping[str, str]
    seconds: float
    skew: float | None

    def __getitem__(self, key: str) -> str:
        value = self.values.get(key, "")
        return "" if value in ("(null)", "N/A") else value

    def number(self, key: str) -> int | None:
        """The number that a value begins with."""
        found = re.match(r"\d+", self[key])
        return int(found[0]) if found else None

    @property
    def conf(self) -> str:
        """The path of slurm.conf, for a shell."""
        return shlex.quote(self["SLURM_CONF"] or "slurm.conf")

    def set(self, line: str) -> str:
        """How a setting is changed; the same key further up loses."""
        return f"echo {shlex.quote(line)} >>{self.conf} && scontrol reconfigure"


async def command(look: Look, *argv: str) -> Finished:
    """Runs one of Slurm's commands; raises SlurmUnavailable also for one that fails."""
    section = look.config.slurm
    path = os.path.join(section.bin_dir, argv[0]) if section.bin_dir else argv[0]
    limit = min(section.timeout, QUESTION)
    done = await run((path, *argv[1:]), environment(os.environ, section.conf), limit)
    if done.code:
        said = (done.err or done.out).strip().splitlines()[-1:] or [f"exit code {done.code}"]
        raise SlurmUnavailable(f"{' '.join(argv)}: {said[0]}"[:300])
    return done


async def asked(look: Look) -> Answer:
    """The controller's settings; raises SlurmUnavailable."""
    began, before = time.monotonic(), time.time()
    done = await command(look, "scontrol", "show", "config")
    return parse_answer(done.out, before, time.time(), time.monotonic() - began)


def parse_answer(text: str, before: float, after: float, seconds: float) -> Answer:
    """The listing, and its head: the controller's time in whole seconds (``proc_req.c``)."""
    values = dict(re.findall(r"^([\w\[\]]+)\s*= (.*?)\s*$", text, re.MULTILINE))
    head = re.match(r"Configuration data as of (\d+)$", text, re.MULTILINE)
    skew = None
    if head is not None:
        there = int(head[1])
        skew = min(there + 1 - before, 0.0) or max(there - after, 0.0)
    return Answer(values, seconds, skew)


async def answer(look: Look) -> Answer:
    """As :func:`asked`, for checks that have nothing to say while Slurm is away."""
    try:
        return await look.once(asked)
    except SlurmUnavailable:
        raise NotAsked("not looked at: slurmctld does not answer") from None


async def commands(look: Look) -> frozenset[str]:
    """The commands that are there."""
    folder = look.config.slurm.bin_dir
    names = (*NEEDED, *USED)
    return frozenset(
        await in_thread(lambda: [name for name in names if shutil.which(name, path=folder)])
    )


def judge_commands(found: frozenset[str], config: Config) -> Finding:
    """All of those that it needs, and those that it uses."""
    where = config.slurm.bin_dir or "PATH"
    missing = [name for name in (*NEEDED, *USED) if name not in found]
    if not missing:
        return ok(f"{', '.join((*NEEDED, *USED))} are in {where}")
    said, mend = f"{', '.join(missing)} not in {where}", "apt-get install slurm-client"
    return fail(said, mend) if set(missing) & set(NEEDED) else warn(said, mend)


def judge_controller(found: Answer, _config: Config) -> Finding:
    """It answers, and quickly."""
    said = f"slurmctld answers in {found.seconds:.2f} s"
    return warn(said, "sdiag") if found.seconds > SLOW else ok(said)


def judge_version(found: Answer, _config: Config) -> Finding:
    """Within the lines that the tests have run on."""
    words = found["SLURM_VERSION"]
    numbers = re.match(r"(\d+)\.(\d+)", words)
    if numbers is None:
        return fail(f"{words!r} is no version of Slurm", "scontrol --version")
    line = int(numbers[1]), int(numbers[2])
    if line < OLDEST:
        return fail(f"{words}; ajrd needs 22.05 or newer", "apt-get install slurm-wlm")
    if line > NEWEST:
        return warn(f"{words}; tried up to 25.11", "ajrd --version")
    return ok(words)


def judge_clock(found: Answer, _config: Config) -> Finding:
    """MUNGE refuses clocks that differ by minutes, and starts of successors are by this one."""
    if found.skew is None:
        return skip("scontrol does not tell the controller's time")
    said = f"the controller's clock differs from this host's by {found.skew:+.1f} s"
    if abs(found.skew) > MUNGE_TTL:
        return fail(said, "timedatectl set-ntp true")
    return warn(said, "timedatectl set-ntp true") if abs(found.skew) > SKEW else ok(said)


def judge_name(found: Answer, _config: Config) -> Finding:
    """Its name stands in every record."""
    return ok(found["ClusterName"])


def judge_requeue(found: Answer, _config: Config) -> Finding:
    """Without it jobs must ask for it by ``sbatch --requeue``."""
    if found["JobRequeue"] == "1":
        return ok("JobRequeue=1")
    return warn("JobRequeue=0: only jobs with --requeue can be requeued", found.set("JobRequeue=1"))


def judge_min_job_age(found: Answer, config: Config) -> Finding:
    """What Slurm forgets between two looks ends without a word."""
    age, least = found.number("MinJobAge"), LOOKS * config.slurm.poll
    if age is None:
        return skip("Slurm does not tell MinJobAge")
    said = f"a job that is over is remembered for {age} s, and looked for every"
    said = f"{said} {config.slurm.poll:g} s" if age else "MinJobAge=0: jobs are never forgotten"
    if age and age < least:
        return warn(said, found.set("MinJobAge=300"))
    return ok(said)


def judge_job_comment(found: Answer, _config: Config) -> Finding:
    """With it accounting keeps the directive of each job."""
    if "slurmdbd" not in found["AccountingStorageType"]:
        return skip(f"no slurmdbd ({found['AccountingStorageType'] or 'no accounting'})")
    flags = found["AccountingStoreFlags"]
    if "job_comment" in flags.split(","):
        return ok(f"AccountingStoreFlags={flags}")
    line = f"AccountingStoreFlags={','.join(filter(None, [flags, 'job_comment']))}"
    return warn("job_comment is not stored: sacct shows no directive", found.set(line))


def judge_completion(found: Answer, _config: Config) -> Finding:
    """Whatever is chosen is right; support wants to know."""
    return ok(f"{found['JobCompType'] or 'jobcomp/none'}, {found['JobAcctGatherType']}")


async def accounting(look: Look) -> str:
    """The clusters that slurmdbd knows."""
    settings = await answer(look)
    if "slurmdbd" not in settings["AccountingStorageType"]:
        raise NotAsked("no slurmdbd: delays in the queue are not reckoned")
    done = await command(look, "sacctmgr", "-n", "-P", "show", "cluster", "format=cluster")
    name = settings["ClusterName"]
    return "" if name.lower() in done.out.lower().split("\n") else name


def judge_accounting(missing: str, _config: Config) -> Finding:
    """It answers, and knows this cluster."""
    if not missing:
        return ok("slurmdbd answers and knows the cluster")
    mend = f"sacctmgr -i add cluster {shlex.quote(missing)}"
    return fail(f"slurmdbd knows no cluster {missing}", mend)


@dataclass(frozen=True, slots=True)
class Rights:
    """Who the service is to Slurm; ``level`` is of accounting, "" without it."""

    who: Account
    slurm_user: int | None
    level: str
    accounts: bool


async def rights(look: Look) -> Rights:
    """Asks accounting for nobody who needs no rights from there."""
    settings, who = await answer(look), await look.once(service_account)
    number = re.search(r"\((\d+)\)", settings["SlurmUser"])
    owner = int(number[1]) if number else None
    accounts = "slurmdbd" in settings["AccountingStorageType"]
    level = ""
    if accounts and who.uid not in (0, owner):
        show = ("show", "user", f"name={who.name}", "format=adminlevel")
        level = (await command(look, "sacctmgr", "-n", "-P", *show)).out.strip()
    return Rights(who, owner, level, accounts)


def judge_rights(found: Rights, config: Config) -> Finding:
    """root, SlurmUser and operators may requeue, update and release jobs of others."""
    finding = entitled(found, "act on jobs of others", "Operator", "Administrator")
    act = config.recovery.mode is Mode.ACT
    return finding if act or finding.level is Level.OK else replace(finding, level=Level.WARN)


def entitled(found: Rights, what: str, *levels: str) -> Finding:
    """May the service do ``what``, for which one of these levels is needed, the least first?"""
    who = f"{found.who.name} ({found.who.why})"
    if found.who.uid == 0 or found.who.uid == found.slurm_user:
        return ok(f"{who} is {'root' if found.who.uid == 0 else 'SlurmUser'}")
    if found.level in levels:
        return ok(f"{who} is {found.level} in accounting")
    name, least = shlex.quote(found.who.name), levels[0]
    mend = f"sacctmgr -i add user {name} account=root adminlevel={least}"
    if found.level:
        mend = f"sacctmgr -i modify user {name} set adminlevel={least}"
    if not found.accounts:
        mend = "systemctl edit ajrd  # [Service] User=root, or that of SlurmUser"
    return fail(f"{who} may not {what}", mend)


async def partitions(look: Look) -> frozenset[str]:
    """The names of all partitions."""
    await answer(look)
    done = await command(look, "scontrol", "-o", "-a", "show", "partition")
    return frozenset(re.findall(r"^PartitionName=(\S+)", done.out, re.MULTILINE))


def judge_partitions(found: frozenset[str], config: Config) -> Finding:
    """Those of the configuration are there."""
    wanted, mode = config.recovery.partitions, config.recovery.mode.value
    unknown = sorted(set(wanted) - found)
    if unknown:
        said = f"recovery.partitions names {', '.join(unknown)}, which Slurm does not know"
        return fail(said, "scontrol -o show partition  # then correct recovery.partitions")
    return ok(f"mode {mode} in {', '.join(wanted) or f'all {len(found)} partitions'}")


def judge_requeue_exit(found: Answer, _config: Config) -> Finding:
    """Slurm's own requeues by exit code win over ajrd's, and have no budget."""
    keys = ("RequeueExit", "RequeueExitHold")
    given = [f"{key}={found[key]}" for key in keys if found[key]]
    if not given:
        return ok("Slurm requeues nothing by exit code")
    said = f"{', '.join(given)}: such jobs are requeued or held by Slurm, not by ajrd"
    return warn(said, f"sed -i '/^RequeueExit/Id' {found.conf} && scontrol reconfigure")


def judge_preemption(found: Answer, _config: Config) -> Finding:
    """A preempted job is requeued or cancelled by Slurm; ajrd leaves both alone."""
    mode = found["PreemptMode"] or "OFF"
    parts = {"REQUEUE": "requeued by Slurm", "CANCEL": "cancelled by Slurm"}
    said = next((text for word, text in parts.items() if word in mode), "not ended by Slurm")
    return ok(f"PreemptMode={mode}: preempted jobs are {said}")


def judge_slurmd_timeout(found: Answer, _config: Config) -> Finding:
    """How long a dead node keeps its jobs."""
    seconds = found.number("SlurmdTimeout")
    if seconds is None:
        return skip("Slurm does not tell SlurmdTimeout")
    mend = found.set("SlurmdTimeout=300")
    if seconds == 0:
        return warn("SlurmdTimeout=0: Slurm never takes a node for dead", mend)
    said = f"a node that is silent for {seconds} s is down"
    return warn(said, mend) if seconds > LATE else ok(said)


async def federation(look: Look) -> str:
    """What ``scontrol show federation`` prints."""
    await answer(look)
    return (await command(look, "scontrol", "show", "federation")).out.strip()


def judge_federation(found: str, _config: Config) -> Finding:
    """Each cluster of one needs an ajrd of its own."""
    name = re.search(r"^Federation:\s*(\S+)", found, re.MULTILINE)
    if name is None:
        return ok("no federation")
    said = f"in the federation {name[1]}: jobs that move to another cluster are lost sight of"
    return warn(said, "scontrol show federation  # run an ajrd on each of them")


async def pyslurm(look: Look) -> str | None:
    """Why pyslurm cannot be used; None: it can."""
    section = look.config.slurm
    if section.backend is Backend.CLI:
        raise NotAsked("slurm.backend is cli")
    settings = await answer(look)
    numbers = [int(part) for part in re.findall(r"\d+", settings["SLURM_VERSION"])[:3]]
    major, minor, micro = [*numbers, 0, 0, 0][:3]
    return await native_available((major, minor, micro), section.conf)


def judge_pyslurm(obstacle: str | None, config: Config) -> Finding:
    """It is used where it fits; elsewhere the commands are as good."""
    if obstacle is None:
        return ok("pyslurm fits the controller and is used")
    if config.slurm.backend is Backend.PYSLURM:
        return fail(obstacle, "pip install 'ajrd[pyslurm]'  # or set slurm.backend: auto")
    return ok(f"Slurm's commands are used: {obstacle}")


_G, _PING = Group.SLURM, "scontrol ping"
CHECKS: tuple[Check[Any], ...] = (
    Check("commands", _G, "Slurm's commands", commands, judge_commands, _PING),
    Check("controller", _G, "does slurmctld answer, how fast", asked, judge_controller, _PING),
    Check("version", _G, "Slurm's version", answer, judge_version, _PING),
    Check("clock", _G, "clocks of this host and slurmctld", answer, judge_clock, _PING),
    Check("cluster", _G, "the cluster's name", answer, judge_name, _PING),
    Check("job-requeue", _G, "JobRequeue", answer, judge_requeue, _PING),
    Check("min-job-age", _G, "MinJobAge", answer, judge_min_job_age, _PING),
    Check("job-comment", _G, "AccountingStoreFlags", answer, judge_job_comment, _PING),
    Check("completion", _G, "JobCompType, JobAcctGatherType", answer, judge_completion, _PING),
    Check("accounting", _G, "slurmdbd", accounting, judge_accounting, "systemctl status slurmdbd"),
    Check("rights", _G, "may the service act on jobs of others", rights, judge_rights, _PING),
    Check("partitions", _G, "recovery.partitions", partitions, judge_partitions, _PING),
    Check("requeue-exit", _G, "RequeueExit, RequeueExitHold", answer, judge_requeue_exit, _PING),
    Check("preemption", _G, "PreemptMode", answer, judge_preemption, _PING),
    Check("slurmd-timeout", _G, "SlurmdTimeout", answer, judge_slurmd_timeout, _PING),
    Check("federation", _G, "is the cluster in one", federation, judge_federation, _PING),
    Check("pyslurm", _G, "pyslurm, and does it fit", pyslurm, judge_pyslurm, _PING),
)
