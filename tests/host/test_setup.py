"""A host from nothing to a recovered job by ``ajrd setup``, and back by ``ajrd uninstall``.

The host is a Debian with systemd, Slurm and MariaDB; it is compared before and after, file by file
and right by right.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ajrd.daemon import STOP_VARIABLE
from tests.host.installed import CONFIG, SERVICE, Ajrd, install
from tests.host.machine import PATIENCE, Machine
from tests.host.setting_up import WANTED, Administrator, differences, everything
from tests.host.site import USER, add_slurm
from tests.service import until

ANSWERS = "/etc/ajrd/setup-answers.yaml"
#: With all that one head node can have.
WHOLE = {
    "slurm": {"rights": "accounting"},
    "recovery": {"mode": "act"},
    "database": {"kind": "mysql", "socket": "/run/mysqld/mysqld.sock", "reader": "grafana"},
    "web": {"operators": ["root", "munge"]},
    "hooks": {"controller": True, "edit_slurm_conf": True},
}
#: The clock of this host may be nobody's business; none of the machine's is.
OF_THE_HOST = {"host/time-sync", "host/memory", "database/room"}


@pytest.fixture(scope="module")
def head(make_machine: Callable[[], Machine], package: Path) -> Administrator:
    """With Slurm's accounting and the package, which has not been set up."""
    machine = make_machine()
    add_slurm(machine, accounting=True)
    install(machine, package)
    return Administrator(machine)


def recovers(machine: Machine) -> str:
    """The number of a job of somebody who lets nobody look, which has broken and runs again."""
    ajrd = Ajrd(machine)
    job = ajrd.submit()
    assert ajrd.await_attempt(job, 1)["state"] == "RUNNING"
    return job


def select(machine: Machine, user: str, sql: str) -> str:
    """What a user of the database is told, with the password that setup keeps."""
    name = {"ajrd": "db-password", "grafana": "grafana-password"}[user]
    command = f'MYSQL_PWD=$(cat /etc/ajrd/credentials/{name}) mysql -u {user} ajrd -e "{sql}" 2>&1'
    return machine.tries("sh", "-c", command).stdout


def test_from_nothing_to_a_recovered_job_and_back(head: Administrator) -> None:
    machine = head.machine
    head.wants(WHOLE)
    before = everything(machine)
    head.set_up("--dry-run")
    assert differences(before, everything(machine)) == {}, "a dry run changes nothing"

    said = head.set_up()
    assert head.states() == ["active", "active"]
    assert re.search(r"^\d+ ok, \d warn, 0 fail, \d+ skip$", said, re.MULTILINE)
    wrong = {n: e for n, e in Ajrd(machine).doctor().items() if e["level"] in ("warn", "fail")}
    assert not wrong.keys() - OF_THE_HOST, wrong

    tested = head("hooks", "test").splitlines()
    assert {line.split()[1] for line in tested} == {"well"}, tested
    spool = machine.path("/var/spool/ajrd/hooks")
    until("their messages to be read", lambda: not list(spool.iterdir()), PATIENCE)

    job = recovers(machine)
    machine("scancel", job, user=USER)
    count = "SELECT COUNT(*) FROM job_efficiency_records"
    assert select(machine, "grafana", count).startswith("COUNT(*)\n")
    for sql in ("SELECT * FROM jobs", "SELECT * FROM mysql.user", "DELETE FROM attempts"):
        assert "denied" in select(machine, "grafana", sql), sql
    assert "denied" in select(machine, "grafana", "DELETE FROM job_efficiency_records")
    for sql in ("SELECT * FROM mysql.user", "CREATE DATABASE other", "GRANT ALL ON ajrd.* TO a@b"):
        assert "denied" in select(machine, "ajrd", sql), sql

    pids, between = head.pids(), everything(machine)
    again = head.set_up(answers=ANSWERS)
    assert "none: everything is as it is wanted" in again
    assert (head.pids(), differences(between, everything(machine))) == (pids, {})

    head.purge()
    assert differences(before, everything(machine)) == {}


def test_with_the_package_gone_the_host_is_what_it_was_before_that(
    make_machine: Callable[[], Machine], package: Path
) -> None:
    """Setup and uninstall leave the package as dpkg unpacked it."""
    machine = make_machine()
    add_slurm(machine)
    head = Administrator(machine)
    head.wants({"slurm": {"rights": "slurm-user"}, "recovery": {"mode": "act"}})
    before = everything(machine)
    install(machine, package)
    head.set_up()
    recovers(machine)
    machine("scancel", f"--user={USER}")
    head.purge()
    machine("dpkg", "--purge", "ajrd")
    assert differences(before, everything(machine)) == {}


@pytest.fixture(scope="module")
def bare(make_machine: Callable[[], Machine], package: Path) -> Administrator:
    """Without accounting; ajrd lies in /opt, and no package has put anything anywhere."""
    machine = make_machine()
    add_slurm(machine)
    shutil.copy(package, machine.path("/tmp/ajrd.deb"))
    machine("dpkg-deb", "--extract", "/tmp/ajrd.deb", "/tmp/ajrd")
    machine.shell("mv /tmp/ajrd/usr/lib/ajrd /opt/ajrd && mv /tmp/ajrd/usr/bin/ajrd /opt/ajrd/bin/")
    machine("sed", "-i", "1s,/usr/lib/ajrd,/opt/ajrd,", "/opt/ajrd/bin/ajrd")
    return Administrator(machine, "/opt/ajrd/bin/ajrd")


def test_without_a_package_it_writes_the_units_and_finds_again_what_it_has_left(
    bare: Administrator,
) -> None:
    machine = bare.machine
    bare.wants({"slurm": {"rights": "slurm-user"}, "hooks": {"controller": True}})
    before = everything(machine)
    bare.set_up()
    assert bare.states() == ["active", "active"]
    assert machine.unit(SERVICE, "User", "FragmentPath") == {
        "User": "slurm", "FragmentPath": f"/etc/systemd/system/{SERVICE}"
    }  # fmt: skip
    assert "/opt/ajrd/bin/ajrd run" in machine.unit(SERVICE, "ExecStart")["ExecStart"]
    ajrd = Ajrd(machine, bare.program)
    job = ajrd.submit()
    until("a decision", lambda: "observed" in str(ajrd.attempts(job)), PATIENCE)
    machine("scancel", job)

    bare("uninstall", "--yes")
    assert bare.states() == ["inactive", "inactive"]
    left = differences(before, everything(machine)).keys()
    assert left == {
        "/etc/ajrd", ANSWERS, CONFIG, "/etc/ajrd/credentials", "/etc/ajrd/rules.d",
        "/etc/ajrd/setup-made.json", "/var/cache/ajrd", "/var/lib/ajrd", "/var/spool/ajrd",
        *(name for name in left if name.startswith(("/var/cache/", "/var/lib/", "/var/spool/"))),
    }  # fmt: skip

    bare.set_up(answers=ANSWERS)
    assert bare.states() == ["active", "active"]
    assert "observed" in str(ajrd.attempts(job)), "its history"
    bare.purge()
    assert differences(before, everything(machine)) == {}


def test_a_service_that_does_not_start_is_told_with_its_last_words(bare: Administrator) -> None:
    """Something of the site's keeps it from its configuration."""
    machine = bare.machine
    bare.wants({})
    before = everything(machine)
    hidden = f"[Service]\nInaccessiblePaths={CONFIG}\n"
    machine.write(f"/etc/systemd/system/{SERVICE}.d/site.conf", hidden)
    failed = bare.tries("setup", "--answers", WANTED)
    said = " ".join((failed.stdout + failed.stderr).split())
    assert failed.returncode == 3, said
    assert f"step start: {SERVICE} does not start" in said
    assert f"cannot read the configuration {CONFIG}" in said
    assert bare.states()[0] != "active"
    wants = machine.path("/etc/systemd/system/multi-user.target.wants")
    assert not list(wants.glob("ajrd*")), "nothing of that step stays"
    assert bare.pids() == ["0", "0"]

    machine("rm", "-r", f"/etc/systemd/system/{SERVICE}.d")
    bare.set_up()
    assert bare.states() == ["active", "active"]
    bare.purge()
    assert differences(before, everything(machine)) == {}


#: Files that a setup makes, one after the other.
MOMENTS = (
    "/etc/ajrd/setup-made.json",
    "/etc/ajrd/credentials/db-password",
    "/etc/ajrd/credentials/grafana-password",
    "/etc/ajrd/hooks/epilog-slurmctld",
    ANSWERS,
    f"/etc/systemd/system/multi-user.target.wants/{SERVICE}",
)


def kill_at(head: Administrator, name: str) -> None:
    there = head.machine.path(name)
    assert head.kill_setup(lambda: os.path.lexists(there)), f"it was over before {name} was there"


def test_killed_again_and_again_it_goes_on_where_it_was(head: Administrator) -> None:
    head.wants(WHOLE)
    before = everything(head.machine)
    for name in MOMENTS:
        kill_at(head, name)
    head.set_up()
    assert head.states() == ["active", "active"]
    head.purge()
    assert differences(before, everything(head.machine)) == {}


@pytest.mark.parametrize("name", MOMENTS)
def test_what_a_killed_one_has_made_is_taken_back(head: Administrator, name: str) -> None:
    head.wants(WHOLE)
    before = everything(head.machine)
    kill_at(head, name)
    head.purge()
    assert differences(before, everything(head.machine)) == {}


def test_no_job_is_left_held_by_an_uninstall(head: Administrator) -> None:
    """It stands still in the middle of a recovery, and is killed when it is to stop."""
    machine = head.machine
    head.wants(WHOLE)
    before = everything(machine)
    head.set_up()
    ajrd = Ajrd(machine)
    freeze = f'Environment="{STOP_VARIABLE}=commit_after:finishing requeue_hold"'
    ajrd.drop_in("site", freeze, "KillSignal=SIGKILL")
    machine("systemctl", "restart", SERVICE)
    job = ajrd.submit()
    shown = "--Format=State:|,RestartCnt:|,PriorityLong:|"
    listing = ("squeue", "--noheader", f"--jobs={job}", shown)
    held = "PENDING|1|0|"
    until("ajrd to hold the job", lambda: machine(*listing).strip() == held, PATIENCE)
    machine("rm", "-r", f"/etc/systemd/system/{SERVICE}.d")
    head.purge()
    runs = "RUNNING|1|"
    until("the job to run again", lambda: machine(*listing).startswith(runs), PATIENCE)
    machine("scancel", job)
    assert differences(before, everything(machine)) == {}


def test_a_person_at_a_terminal_who_presses_enter_alone(bare: Administrator) -> None:
    machine = bare.machine
    before = everything(machine)
    with bare.on_terminal("setup") as person:
        while "Carry this out" not in person.screen:
            person.await_words("]: ")
            person.type("")
        assert person.end() == 0, person.screen
    assert bare.states() == ["active", "active"]
    assert bare.service_says().startswith("leads (observe): ")
    with bare.on_terminal("uninstall", "--purge") as person:
        person.await_words("Remove this? [y/N]: ")
        person.type("y")
        assert person.end() == 0, person.screen
    assert differences(before, everything(machine)) == {}
