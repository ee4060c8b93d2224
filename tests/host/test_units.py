"""The delivered units under a real systemd, with a Slurm as sites have it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ajrd.daemon import STOP_VARIABLE
from tests.host.installed import CONFIG, QUICK, SERVICE, UNITS, WATCHDOG, Ajrd, install
from tests.host.machine import PATIENCE, Machine
from tests.host.site import USER, add_slurm
from tests.packaging.debian import ROOT
from tests.service import until

#: CAP_SETGID and CAP_SETUID (capabilities(7)).
SET_IDS = f"{1 << 6 | 1 << 7:016x}"
#: As docs/operations.md wants it.
ADMINISTRATOR = ("account=root", "adminlevel=Administrator")
PASSWORD = "s3cret-of-the-store"
#: Prints what each attempt to write came to, and what else was let through.
PROBE = """#!/bin/sh
for folder in FOLDERS; do
    if touch $folder/probe; then echo "$folder: written"; else echo "$folder: refused"; fi
done 2>/dev/null
unshare --user true 2>/dev/null && echo "a user namespace"
mount -t tmpfs none /mnt 2>/dev/null && echo "a mount"
exit 0
"""
FOLDERS = ("/etc", "/usr", "/boot", "/home", "/root", "/var", "/tmp", "/opt")
REFUSED = [f"{folder}: refused" for folder in FOLDERS]
WRITTEN = [f"{folder}: written" for folder in FOLDERS]


@pytest.fixture(scope="module")
def installed(make_machine: Callable[[], Machine], package: Path) -> Ajrd:
    machine = make_machine()
    add_slurm(machine, accounting=True)
    install(machine, package)
    return Ajrd(machine)


@pytest.fixture
def ajrd(installed: Ajrd) -> Iterator[Ajrd]:
    """Not running, as delivered."""
    try:
        yield installed
    finally:
        installed.reset()


@pytest.fixture
def acting(ajrd: Ajrd) -> Iterator[Ajrd]:
    """Runs, may act on everybody's jobs, and does."""
    ajrd.configure(QUICK)
    ajrd.machine("sacctmgr", "-i", "add", "user", "ajrd", *ADMINISTRATOR)
    try:
        ajrd.machine("systemctl", "start", SERVICE)
        yield ajrd
    finally:
        ajrd.machine("sacctmgr", "-i", "delete", "user", "ajrd")


def test_both_start_as_their_user_with_the_capabilities_that_they_need(ajrd: Ajrd) -> None:
    ajrd.machine("systemctl", "start", *UNITS)
    for unit in UNITS:
        assert ajrd.machine.unit(unit, "ActiveState", "SubState", "User", "Result") == {
            "ActiveState": "active", "SubState": "running", "User": "ajrd", "Result": "success"
        }  # fmt: skip
    number = ajrd.machine("id", "--user", "ajrd").strip()
    service, watchdog = ajrd.process(SERVICE), ajrd.process(WATCHDOG)
    for process in (service, watchdog):
        assert process["Uid"].split() == [number] * 4
        assert process["NoNewPrivs"] == "1"
        assert process["CapAmb"] == "0" * 16, "no command that it starts gets any"
    assert [service[key] for key in ("CapEff", "CapBnd")] == [SET_IDS] * 2
    assert [watchdog[key] for key in ("CapEff", "CapBnd")] == ["0" * 16] * 2


def test_when_systemd_says_that_it_is_started_its_status_line_is_true(ajrd: Ajrd) -> None:
    ajrd.machine("systemctl", "start", SERVICE)
    status = ajrd.show("StatusText")
    assert re.fullmatch(r"leads \(observe\): \d+ jobs watched, 0 recovering", status)


def test_systemd_rates_them_as_documented(ajrd: Ajrd) -> None:
    said = ajrd.machine("systemd-analyze", "security", "--no-pager", *UNITS)
    rated = dict(re.findall(r"^(ajrd\S*\.service)\s+(\S+)", said, re.MULTILINE))
    words = " ".join((ROOT / "docs/operations.md").read_text().split())
    documented = f"says {rated[SERVICE]} for {SERVICE} and {rated[WATCHDOG]} for {WATCHDOG}"
    assert documented in words


def recovers(ajrd: Ajrd) -> None:
    """A private log in a closed home; the limit of the job is one requeue."""
    job = ajrd.submit()
    second = ajrd.await_attempt(job, 1)
    first = ajrd.attempts(job)[0]
    causes = [anomaly["cause"] for anomaly in first["anomalies"] if anomaly["role"] == "root"]
    assert (first["state"], causes) == ("REQUEUED", ["segfault"])
    (source,) = {a["source"] for a in first["anomalies"] if a["cause"] == "segfault"}
    modes = ajrd.machine("stat", "--format=%U %a", f"/home/{USER}", source).split("\n")[:-1]
    assert modes == [f"{USER} 700", f"{USER} 600"]
    assert second["state"] == "RUNNING"


def test_a_job_recovers_with_an_administrator_of_accounting(acting: Ajrd) -> None:
    recovers(acting)


def test_a_user_who_may_not_read_the_configuration_is_told_of_his_own_jobs(acting: Ajrd) -> None:
    job = acting.submit()
    acting.await_attempt(job, 1)
    said = acting.machine("ajrd", "explain", job, user=USER)
    assert "its owner asks for: requeue, at most once" in said
    unknown = acting.machine.tries("ajrd", "status", "4711", user=USER)
    assert unknown.returncode == 1
    assert "job 4711 is known neither to ajrd nor to Slurm" in unknown.stderr


def test_a_job_recovers_with_the_drop_in_for_a_cluster_without_accounting(ajrd: Ajrd) -> None:
    machine = ajrd.machine
    ajrd.configure(QUICK)
    machine("chgrp", "slurm", CONFIG)
    for unit in UNITS:
        source, folder = "/usr/share/ajrd/systemd/slurm-user.conf", f"/etc/systemd/system/{unit}.d"
        machine("install", "-D", "-m", "0644", source, f"{folder}/slurm-user.conf")
    machine("systemctl", "daemon-reload")
    machine("systemctl", "start", *UNITS)
    assert [ajrd.show("User", unit) for unit in UNITS] == ["slurm", "slurm"]
    assert ajrd.process()["CapEff"] == SET_IDS
    recovers(ajrd)
    machine("dpkg", "--install", "/tmp/ajrd.deb")
    assert [ajrd.show("ActiveState", unit) for unit in UNITS] == ["active", "active"]


def test_killed_with_a_job_running_it_is_started_anew_and_recovers_it(acting: Ajrd) -> None:
    job = acting.submit(seconds=8)
    acting.await_attempt(job, 0)
    old = acting.pid()
    acting.machine("kill", "-KILL", old)
    acting.await_new_process(old)
    assert acting.show("NRestarts") == "1"
    assert acting.await_attempt(job, 1)["state"] == "RUNNING"


def test_frozen_it_is_ended_by_systemds_watchdog_and_started_anew(acting: Ajrd) -> None:
    acting.drop_in("quick", "WatchdogSec=2")
    acting.machine("systemctl", "restart", SERVICE)
    old = acting.pid()
    acting.machine("kill", "-STOP", old)
    acting.await_new_process(old)
    assert "Failed with result 'watchdog'" in acting.journal()
    recovers(acting)


def test_a_reload_takes_what_is_right_and_refuses_what_is_wrong(acting: Ajrd) -> None:
    pid = acting.pid()
    acting.configure({**QUICK, "recovery": {"mode": "observe"}})
    acting.machine("systemctl", "reload", SERVICE)
    observes = "leads (observe): "
    until("the new mode", lambda: acting.show("StatusText").startswith(observes), PATIENCE)
    acting.configure({"recovery": {"mode": "obsreve"}})
    acting.machine("systemctl", "reload", SERVICE)
    refused = "the configuration was refused, the old one is in use"
    until("the refusal", lambda: refused in acting.show("StatusText"), PATIENCE)
    assert acting.show("StatusText").startswith(observes)
    grave = ("journalctl", "--boot", "--unit", SERVICE, "--priority=err", "--output=cat", "-q")
    assert "reload_refused" in acting.machine(*grave)
    assert (acting.show("ActiveState"), acting.pid()) == ("active", pid)


def test_a_wrong_configuration_at_a_start_is_told_and_not_tried_again(ajrd: Ajrd) -> None:
    ajrd.configure({"recovery": {"mode": "obsreve"}})
    assert ajrd.machine.tries("systemctl", "start", SERVICE).returncode == 1
    found = ajrd.machine.unit(SERVICE, "ActiveState", "SubState", "ExecMainStatus", "NRestarts")
    assert found == {
        "ActiveState": "failed", "SubState": "failed", "ExecMainStatus": "2", "NRestarts": "0"
    }  # fmt: skip
    status = ajrd.machine.tries("systemctl", "status", SERVICE).stdout
    assert f"{CONFIG}:2: recovery.mode: Input should be 'observe' or 'act'" in status
    ajrd.configure({})
    ajrd.machine("systemctl", "start", SERVICE)


def test_a_configuration_that_it_may_not_read_is_told_with_what_helps(ajrd: Ajrd) -> None:
    ajrd.machine("chgrp", "root", CONFIG)
    assert ajrd.machine.tries("systemctl", "start", SERVICE).returncode == 1
    status = ajrd.machine.tries("systemctl", "status", SERVICE).stdout
    assert f"cannot read the configuration {CONFIG}" in status
    mend = ajrd.doctor()["configuration/config-readable"]["mend"]
    ajrd.machine.shell(mend)
    ajrd.machine("systemctl", "start", SERVICE)


def test_it_stops_cleanly_while_a_job_runs(acting: Ajrd) -> None:
    acting.await_attempt(acting.submit(seconds=300), 0)
    acting.machine("systemctl", "stop", SERVICE)
    assert acting.show("ActiveState") == "inactive"
    assert acting.journal().split("\n")[:-1][-3:-1] == [
        f"{SERVICE}: Deactivated successfully.",
        f"Stopped {SERVICE} - {acting.show('Description')}.",
    ]


def test_neither_it_nor_a_root_in_its_place_can_write_outside(ajrd: Ajrd) -> None:
    """A command before the start runs in the sandbox of the unit; with ``!`` as root in it."""
    machine = ajrd.machine
    machine.write("/usr/local/bin/probe", PROBE.replace("FOLDERS", " ".join(FOLDERS)), 0o755)
    outside = machine("/usr/local/bin/probe").split("\n")[:-1]
    machine("rm", "-f", *(f"{folder}/probe" for folder in FOLDERS))
    machine("umount", "/mnt")
    assert outside == [*WRITTEN, "a user namespace", "a mount"], "the probe can tell"
    ajrd.drop_in("probe", "ExecStartPre=/usr/local/bin/probe", "ExecStartPre=!/usr/local/bin/probe")
    machine("systemctl", "start", SERVICE)
    said = ajrd.journal().split("\n")
    assert [line for line in said if line.startswith(("/", "a "))] == REFUSED * 2


def test_the_watchdog_unit_releases_what_a_frozen_ajrd_holds(acting: Ajrd) -> None:
    recovery = {**QUICK["recovery"], "hold_limit": 2}
    acting.configure({**QUICK, "recovery": recovery})
    acting.drop_in("freeze", f'Environment="{STOP_VARIABLE}=commit_after:finishing requeue_hold"')
    quick = "ExecStart=/usr/bin/ajrd watchdog --grace 1 --interval 0.5"
    acting.drop_in("quick", "ExecStart=", quick, units=(WATCHDOG,))
    acting.machine("systemctl", "restart", *UNITS)
    job = acting.submit()
    listing = ("squeue", "--noheader", f"--jobs={job}", "--Format=State:|,RestartCnt:|")
    released = "RUNNING|1|"
    until("the job to be released", lambda: acting.machine(*listing).strip() == released, PATIENCE)
    state = acting.process()["State"]
    assert state.startswith("T"), "ajrd itself stands still"


def test_with_hooks_it_is_told_of_what_it_would_look_for_later(acting: Ajrd) -> None:
    """It looks at Slurm every ten minutes; the epilogue of slurmctld tells of the end."""
    machine = acting.machine
    machine("ajrd", "hooks", "install", "--edit")
    machine("scontrol", "reconfigure")
    try:
        hooks = {"dirs": ["/var/spool/ajrd/hooks"], "owners": ["root", "slurm"]}
        acting.configure({**QUICK, "slurm": {"poll": 600}, "hooks": hooks})
        job = acting.submit(seconds=900)
        listing = ("squeue", "--noheader", f"--jobs={job}", "--Format=State:|")
        until("the job to run", lambda: machine(*listing).strip() == "RUNNING|", PATIENCE)
        machine("systemctl", "restart", SERVICE)
        tested = machine("ajrd", "hooks", "test").splitlines()
        assert [line.split()[1] for line in tested] == ["well"] * 3
        assert acting.await_attempt(job, 0)["state"] == "RUNNING"
        machine("scancel", job, user=USER)
        until("the end", lambda: acting.attempts(job)[0]["state"] == "CANCELLED", PATIENCE)
        assert "hooks_refused" not in acting.journal()
        spool = machine.path("/var/spool/ajrd/hooks")
        until("the messages to be read", lambda: not list(spool.iterdir()), PATIENCE)
    finally:
        machine("ajrd", "hooks", "remove", "--edit")
        machine("scontrol", "reconfigure")
        machine("ajrd", "hooks", "remove")


@pytest.fixture
def with_database(ajrd: Ajrd) -> Iterator[Ajrd]:
    """Its store is on the machine's MariaDB; the password is root's and comes as a credential."""
    rights = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES"
    sql = (
        "CREATE DATABASE ajrd CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        f"CREATE USER ajrd@localhost IDENTIFIED BY '{PASSWORD}'",
        f"GRANT {rights} ON ajrd.* TO ajrd@localhost",
    )
    ajrd.machine("mysql", "--execute", ";".join(sql))
    ajrd.machine.write("/etc/ajrd/db-password", f"{PASSWORD}\n", 0o600)
    ajrd.drop_in("password", "LoadCredential=ajrd-db-password:/etc/ajrd/db-password")
    url = "mysql://ajrd@localhost/ajrd?unix_socket=/run/mysqld/mysqld.sock"
    ajrd.configure({**QUICK, "database": {"url": url}})
    try:
        yield ajrd
    finally:
        ajrd.machine("systemctl", "stop", SERVICE)
        ajrd.machine("mysql", "--execute", "DROP DATABASE ajrd; DROP USER ajrd@localhost")
        ajrd.machine("rm", "/etc/ajrd/db-password")


def test_the_password_of_the_database_comes_to_it_alone(with_database: Ajrd) -> None:
    machine = with_database.machine
    machine("systemctl", "start", SERVICE)
    assert with_database.show("StatusText").startswith("leads (act): ")
    assert machine.tries("cat", "/etc/ajrd/db-password", user="ajrd").returncode != 0
    credential = f"/run/credentials/{SERVICE}/ajrd-db-password"
    assert machine.tries("cat", credential, user=USER).returncode != 0
    assert PASSWORD not in machine("ps", "axeww")
    assert PASSWORD not in with_database.journal()
    machine("ajrd", "db", "check")
    wrong = faults(with_database)
    assert not [name for name in wrong if name.startswith("database/")], wrong


#: The clock of this host may be nobody's business; none of the machine's is.
OF_THE_HOST = ("host/time-sync", "host/memory", "database/room")


def faults(ajrd: Ajrd) -> dict[str, str]:
    """What the doctor finds wrong with the machine, and with which words."""
    found = {name: each for name, each in ajrd.doctor().items() if name not in OF_THE_HOST}
    wrong = {name: each for name, each in found.items() if each["level"] in ("warn", "fail")}
    return {name: f"{each['found']} -> {each['mend']}" for name, each in wrong.items()}


def test_the_doctor_finds_nothing_wrong_with_it(acting: Ajrd) -> None:
    acting.machine("systemctl", "start", WATCHDOG)
    acting.await_attempt(acting.submit(), 1)
    assert faults(acting) == {}


def test_what_the_doctor_says_before_the_first_start_mends_it(ajrd: Ajrd) -> None:
    ajrd.configure(QUICK)
    while wrong := {name: each for name, each in ajrd.doctor().items() if each["level"] == "fail"}:
        name, found = wrong.popitem()
        done = ajrd.machine.tries("sh", "-c", found["mend"])
        again = ajrd.doctor()[name]
        assert again["level"] != "fail", (name, found, done, again)
    ajrd.machine("sacctmgr", "-i", "delete", "user", "ajrd")


def test_it_comes_with_the_host_after_everything_that_it_needs(
    make_machine: Callable[[], Machine], package: Path
) -> None:
    machine = make_machine()
    add_slurm(machine)
    install(machine, package)
    machine("systemctl", "enable", "--now", "slurmctld", "slurmd", *UNITS)
    machine.stop()
    machine.boot()
    ajrd = Ajrd(machine)
    assert [ajrd.show("ActiveState", unit) for unit in UNITS] == ["active", "active"]
    assert ajrd.show("StatusText") == "leads (observe): 0 jobs watched, 0 recovering"
    grave = ("journalctl", f"--unit={SERVICE}", "--priority=warning", "--output=cat", "--quiet")
    assert machine(*grave) == "", "everything was there"


def test_after_the_purge_the_host_is_what_it_was(
    make_machine: Callable[[], Machine], package: Path
) -> None:
    """Both units are enabled and run; the package is told of neither."""
    machine = make_machine()
    add_slurm(machine)
    before = machine.tree()
    install(machine, package)
    machine("systemctl", "enable", "--now", *UNITS)
    machine("dpkg", "--purge", "ajrd")
    states = machine.shell(f"systemctl list-units --all --no-legend {' '.join(UNITS)}")
    assert states == ""
    assert machine.tree() == before
