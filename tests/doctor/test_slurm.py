"""Slurm as it is, as it should be, and when it does not answer."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ajrd.config import Backend, Config, Mode, RecoverySection, SlurmSection
from ajrd.doctor import slurm
from ajrd.doctor.check import Finding, Group, Level
from ajrd.doctor.slurm import Answer, Rights, parse_answer
from ajrd.doctor.table import CHECKS
from ajrd.doctor.tools import Account
from labcluster.cluster import Lab
from tests.conftest import Cluster
from tests.doctor.conftest import Examined

NAMES = [check.name for check in CHECKS if check.group is Group.SLURM]
ACT = Config(recovery=RecoverySection(mode=Mode.ACT))
ADA = Account(1000, "ada", frozenset(), "by ajrd.service")


def answer(skew: float | None = 0.0, seconds: float = 0.01, **values: str) -> Answer:
    return Answer({"SLURM_CONF": "/etc/slurm/slurm.conf", **values}, seconds, skew)


@pytest.mark.parametrize(
    ("found", "level", "words"),
    [
        (slurm.judge_commands(frozenset(slurm.NEEDED + slurm.USED), Config()), "ok", "PATH"),
        (slurm.judge_commands(frozenset(slurm.NEEDED), Config()), "warn", "sacct, sacctmgr not"),
        (slurm.judge_commands(frozenset(), Config()), "fail", "scontrol, squeue, scancel"),
        (slurm.judge_controller(answer(), Config()), "ok", "0.01 s"),
        (slurm.judge_controller(answer(seconds=4.0), Config()), "warn", "4.00 s"),
        (slurm.judge_version(answer(SLURM_VERSION="22.05.8"), Config()), "ok", "22.05.8"),
        (slurm.judge_version(answer(SLURM_VERSION="21.08.8-2"), Config()), "fail", "22.05 or"),
        (slurm.judge_version(answer(SLURM_VERSION="26.05.0"), Config()), "warn", "up to 25.11"),
        (slurm.judge_version(answer(SLURM_VERSION="\x1b[31m"), Config()), "fail", "no version"),
        (slurm.judge_clock(answer(1.0), Config()), "ok", "+1.0 s"),
        (slurm.judge_clock(answer(-30.0), Config()), "warn", "-30.0 s"),
        (slurm.judge_clock(answer(301.0), Config()), "fail", "+301.0 s"),
        (slurm.judge_clock(answer(None), Config()), "skip", "does not tell"),
        (slurm.judge_requeue(answer(JobRequeue="1"), Config()), "ok", "JobRequeue=1"),
        (slurm.judge_requeue(answer(JobRequeue="0"), Config()), "warn", "--requeue"),
        (slurm.judge_min_job_age(answer(MinJobAge="300 sec"), Config()), "ok", "300 s"),
        (slurm.judge_min_job_age(answer(MinJobAge="0 sec"), Config()), "ok", "never"),
        (slurm.judge_min_job_age(answer(MinJobAge="4 sec"), Config()), "warn", "4 s"),
        (slurm.judge_min_job_age(answer(), Config()), "skip", "MinJobAge"),
        (slurm.judge_job_comment(answer(), Config()), "skip", "no accounting"),
        (slurm.judge_requeue_exit(answer(RequeueExit="(null)"), Config()), "ok", "nothing"),
        (slurm.judge_requeue_exit(answer(RequeueExit="1-9"), Config()), "warn", "RequeueExit=1-9"),
        (slurm.judge_preemption(answer(PreemptMode="GANG,REQUEUE"), Config()), "ok", "requeued by"),
        (slurm.judge_slurmd_timeout(answer(SlurmdTimeout="300 sec"), Config()), "ok", "300 s"),
        (slurm.judge_slurmd_timeout(answer(SlurmdTimeout="0 sec"), Config()), "warn", "never"),
        (slurm.judge_slurmd_timeout(answer(SlurmdTimeout="3600 sec"), Config()), "warn", "3600"),
        (slurm.judge_federation("No federations", Config()), "ok", "no federation"),
        (slurm.judge_federation("Federation: fed1\n", Config()), "warn", "fed1"),
        (slurm.judge_accounting("", Config()), "ok", "knows"),
        (slurm.judge_accounting("a;b", Config()), "fail", "no cluster a;b"),
        (slurm.judge_pyslurm(None, Config()), "ok", "is used"),
        (slurm.judge_pyslurm("does not fit", Config()), "ok", "commands are used"),
    ],
)  # fmt: skip
def test_how_settings_are_judged(found: Finding, level: str, words: str) -> None:
    assert (found.level.value, words in found.found) == (level, True), found
    assert bool(found.mend) is (level in ("warn", "fail"))


def test_a_flag_is_added_to_those_that_are_there() -> None:
    def stored(flags: str) -> Answer:
        dbd = "accounting_storage/slurmdbd"
        return answer(AccountingStorageType=dbd, AccountingStoreFlags=flags)

    found = slurm.judge_job_comment(stored("job_env"), Config())
    assert found.mend == (
        "echo AccountingStoreFlags=job_env,job_comment >>/etc/slurm/slurm.conf"
        " && scontrol reconfigure"
    )
    found = slurm.judge_job_comment(stored("job_comment,job_env"), Config())
    assert found.level is Level.OK


def test_a_hostile_name_is_quoted_in_the_command_that_mends() -> None:
    assert slurm.judge_accounting("a;b", Config()).mend == "sacctmgr -i add cluster 'a;b'"


def test_who_demands_pyslurm_fails_without_it() -> None:
    config = Config(slurm=SlurmSection(backend=Backend.PYSLURM))
    assert slurm.judge_pyslurm("does not fit", config).level is Level.FAIL


@pytest.mark.parametrize(
    ("rights", "config", "level", "mend"),
    [
        (Rights(Account(0, "root", frozenset(), "x"), 64030, "", False), ACT, "ok", ""),
        (Rights(ADA, 1000, "", False), ACT, "ok", ""),
        (Rights(ADA, 64030, "Operator", True), ACT, "ok", ""),
        (Rights(ADA, 64030, "None", True), ACT, "fail", "sacctmgr -i modify user ada"),
        (Rights(ADA, 64030, "", True), ACT, "fail", "sacctmgr -i add user ada"),
        (Rights(ADA, 64030, "", False), ACT, "fail", "systemctl edit ajrd"),
        (Rights(ADA, None, "None", True), Config(), "warn", "sacctmgr -i modify user ada"),
    ],
)
def test_who_may_act_on_jobs_of_others(
    rights: Rights, config: Config, level: str, mend: str
) -> None:
    found = slurm.judge_rights(rights, config)
    assert (found.level.value, found.mend.startswith(mend)) == (level, True), found


@pytest.mark.parametrize(
    ("there", "skew"),
    [(1000, 0.0), (1001, 0.0), (1003, 1.5), (990, -9.2), (999, -0.2)],
)
def test_whole_seconds_of_the_controller_are_no_skew(there: int, skew: float) -> None:
    found = parse_answer(f"Configuration data as of {there}\nA = b\n", 1000.2, 1001.5, 1.3)
    assert found.skew == pytest.approx(skew)
    assert found["A"] == "b"


async def test_a_real_slurm_is_well(lab: Cluster, examined: Examined) -> None:
    found = await examined(*NAMES, slurm={"conf": str(lab.conf)})
    wrong = {name: each for name, each in found.items() if each.level.value in ("warn", "fail")}
    assert not wrong
    assert found["cluster"].found == "lab"
    assert found["clock"].level is Level.OK
    assert "all 2 partitions" in found["partitions"].found


async def test_partitions_that_slurm_does_not_know(lab: Cluster, examined: Examined) -> None:
    sections = {"slurm": {"conf": str(lab.conf)}, "recovery": {"partitions": ["main", "gone"]}}
    found = (await examined("partitions", **sections))["partitions"]
    assert found.level is Level.FAIL
    assert "names gone, which" in found.found


async def test_without_slurm_one_check_fails_and_says_why(
    examined: Examined, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "QUESTION", 1.0)
    found = await examined(*NAMES, slurm={"conf": str(tmp_path / "none.conf")})
    failed = [name for name, each in found.items() if each.level is Level.FAIL]
    assert failed == ["controller"]
    assert found["controller"].found.startswith("scontrol ")
    assert found["controller"].mend == "scontrol ping"
    assert found["rights"].found == "not looked at: slurmctld does not answer"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exec sleep 1000", "no answer within"),
        ("echo rubbish; printf '\\033[2J\\377'", "is no version of Slurm"),
        ("exit 3", "exit code 3"),
    ],
)
async def test_commands_that_hang_fail_or_answer_rubbish(
    examined: Examined, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    monkeypatch.setattr(slurm, "QUESTION", 0.5)
    for name in (*slurm.NEEDED, *slurm.USED):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    found = await examined(*NAMES, slurm={"bin_dir": str(tmp_path)})
    assert any(words in each.found for each in found.values() if each.level is Level.FAIL), found
    odd = [each for each in found.values() if "cannot be looked at" in each.found]
    assert not odd


@pytest.fixture(scope="module")
def counted() -> Iterator[Lab]:
    """A Slurm with accounting that other users reach, too."""
    with tempfile.TemporaryDirectory(prefix="ajrd-counted-") as folder:
        Path(folder).chmod(0o755)
        cluster = Lab(Path(folder) / "lab")
        cluster.up(nodes=1, accounting=True)
        (cluster.root / "munge").chmod(0o711)
        (cluster.root / "munge" / "socket").chmod(0o777)
        yield cluster
        cluster.down()


@pytest.mark.full
async def test_rights_and_clusters_of_a_real_accounting(
    counted: Lab, examined: Examined, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = Account(1, "daemon", frozenset(), "by ajrd.service")

    async def account(_look: object) -> Account:
        return daemon

    monkeypatch.setattr(slurm, "service_account", account)
    sections: dict[str, Any] = {
        "slurm": {"conf": str(counted.conf)},
        "recovery": {"mode": "act"},
        "hardware": {"drain": {"enabled": True}},
    }
    names = ("accounting", "rights", "job-comment")
    found = await examined(*names, **sections)
    assert [found[name].level.value for name in names] == ["ok", "fail", "ok"]
    assert found["rights"].mend.startswith("sacctmgr -i add user daemon")
    counted.command("sacctmgr", "-i", "add", "account", "root_of_tests")
    counted.command("sacctmgr", "-i", "add", "user", "daemon", "account=root_of_tests")
    found = await examined("rights", **sections)
    assert found["rights"].level is Level.FAIL
    counted.command(*found["rights"].mend.split())
    assert (await examined("rights", **sections))["rights"].level is Level.OK
    found = await examined("drain-rights", **sections)
    assert (drains_as_daemon(counted), found["drain-rights"].level) == (False, Level.FAIL)
    counted.command(*found["drain-rights"].mend.split())
    found = await examined("drain-rights", **sections)
    assert (drains_as_daemon(counted), found["drain-rights"].level) == (True, Level.OK)


def drains_as_daemon(cluster: Lab) -> bool:
    """Does Slurm let the user daemon drain a node?"""
    [name] = cluster.command("sinfo", "-h", "-N", "-p", "main", "-o", "%N").split()
    argv = ("scontrol", "update", f"NodeName={name}", "State=DRAIN", "Reason=test")
    done = subprocess.run(argv, env=cluster.env, user="daemon", capture_output=True, timeout=60)
    return done.returncode == 0
