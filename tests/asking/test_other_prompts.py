"""Answers about Slurm, pages, hooks and this host, each given wrongly once."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ajrd.doctor import web
from ajrd.logs.mounts import Mounts
from ajrd.setup import trying
from ajrd.setup.console import Tone
from ajrd.setup.host import Host
from ajrd.setup.job import Job
from ajrd.setup.questions import Group
from ajrd.setup.wizard import ask_group
from tests.asking.conftest import SLURM, MakeJob
from tests.asking.scripted import Scripted
from tests.outward.receiver import receiving, said

RIGHT, PARTITIONS = "Right to act", "Partitions in which"
LISTEN, OPERATORS = "ADDRESS:PORT", "Users who may see"
SHARED, LINES = "Folder shared", "Put the lines"


def test_a_partition_that_slurm_does_not_know(job: MakeJob) -> None:
    console = Scripted({PARTITIONS: ["main, mian", "main, other"]})
    found = ask_group(console, Group.RECOVERY, job())
    assert console.fault == (
        "recovery.partitions: Slurm knows no partition mian; there are: main, other"
    )
    assert found.answers.recovery.partitions == ("main", "other")


def test_rights_by_an_accounting_that_is_not_there(job: MakeJob) -> None:
    console = Scripted({"Mode": ["act"], RIGHT: ["accounting", "slurm-user"]})
    ask_group(console, Group.RECOVERY, job())
    assert console.fault.startswith("slurm.rights: accounting gives no rights here: slurmdbd does")


def test_a_slurm_user_that_this_host_does_not_know(job: MakeJob) -> None:
    console = Scripted({"Mode": ["act"], RIGHT: ["slurm-user", "given"]})
    ask_group(console, Group.RECOVERY, job(found=replace(SLURM, user="nobody-here")))
    assert console.fault == ("slurm.rights: this host has no user nobody-here, which is SlurmUser")


def test_a_service_that_would_be_root_is_a_doubt(job: MakeJob) -> None:
    console = Scripted({"Mode": ["act"], RIGHT: ["slurm-user"]})
    ask_group(console, Group.RECOVERY, job())
    assert console.said(Tone.DOUBT) == ["SlurmUser is root, and so will be the service"]


def test_who_acts_needs_a_right(job: MakeJob) -> None:
    console = Scripted({"Mode": ["act"], RIGHT: ["none", "given"]})
    ask_group(console, Group.RECOVERY, job())
    assert console.fault.startswith("slurm.rights: to act it needs a right")


@pytest.fixture
def taken() -> Iterator[str]:
    """A place at which another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield f"127.0.0.1:{other.getsockname()[1]}"


def test_a_port_that_is_taken(job: MakeJob, taken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "QUESTION", 0.3)
    console = Scripted({LISTEN: [taken, "none"]})
    ask_group(console, Group.WEB, job())
    assert console.fault.startswith(f"web.listen: cannot listen on web.listen {taken}: another")


def test_a_port_at_which_ajrd_listens_already(job: MakeJob) -> None:
    with receiving() as receiver:
        receiver.usual = said({"alive": True})
        console = Scripted({LISTEN: [f"127.0.0.1:{receiver.port}"]})
        ask_group(console, Group.WEB, job())
    assert console.said(Tone.FAULT) == []


@pytest.mark.parametrize(
    ("listen", "words"),
    [
        ("8080", "is not ADDRESS:PORT"),
        ("0.0.0.0:80", "only root may listen on a port below 1024"),
        ("192.0.2.1:8080", "Cannot assign requested address"),
    ],
)
def test_a_place_where_it_cannot_listen(job: MakeJob, listen: str, words: str) -> None:
    console = Scripted({LISTEN: [listen, "none"]})
    ask_group(console, Group.WEB, job())
    assert console.fault.startswith("web.listen: ")
    assert words in console.fault


def test_an_operator_whom_this_host_does_not_know(job: MakeJob) -> None:
    console = Scripted({OPERATORS: ["root, nobody-here", "root"]})
    ask_group(console, Group.WEB, job())
    assert console.fault == "web.operators: this host has no user nobody-here"


def test_a_group_of_operators_that_this_host_does_not_know(job: MakeJob) -> None:
    console = Scripted({"Groups whose": ["root"]})
    ask_group(console, Group.WEB, job(web={"operator_groups": ["nobody-here"]}))
    assert console.fault == "web.operator_groups: this host has no group nobody-here"


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("ajrd.sock", "is not an absolute path"),
        ("/" + "x" * 120, "of at most 107 bytes"),
        ("/etc/slurm/slurm.conf", "is there already and is no socket"),
        ("/nowhere/ajrd.sock", "there is no folder /nowhere"),
    ],
    ids=["relative", "long", "file", "no-folder"],
)
def test_a_socket_where_none_can_be(job: MakeJob, where: str, words: str) -> None:
    console = Scripted({"UNIX socket": ["/run/ajrd/ajrd.sock"]})
    ask_group(console, Group.WEB, job(web={"socket": where}))
    assert console.fault.startswith("web.socket: ")
    assert words in console.fault


def test_a_shared_folder_that_is_not_there(job: MakeJob) -> None:
    console = Scripted({SHARED: ["/shared", "none"]})
    ask_group(console, Group.HOOKS, job())
    assert console.fault == "hooks.shared_dir: there is no folder /shared"


def test_a_shared_folder_on_a_disk_of_this_host_is_a_doubt(
    job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = Scripted({SHARED: ["/etc"]})
    ask_group(console, Group.HOOKS, job())
    (doubt,) = console.said(Tone.DOUBT)
    assert doubt.startswith("/etc lies on a disk of this host")
    monkeypatch.setattr(trying, "Mounts", lambda: Mounts(lambda: "1 1 0:1 / / rw - nfs4 s:/ rw\n"))
    console = Scripted({SHARED: ["/etc"]})
    ask_group(console, Group.HOOKS, job())
    assert console.said(Tone.DOUBT) == []


def test_a_hook_that_the_site_has_already(job: MakeJob, root: Path) -> None:
    conf = root / "etc/slurm/slurm.conf"
    conf.write_text("ClusterName=c\nEpilogSlurmctld=/site/epilog\n")
    console = Scripted({LINES: ["y", "n"]})
    ask_group(console, Group.HOOKS, job(hooks={"controller": True}))
    assert console.fault.startswith(
        "hooks.edit_slurm_conf: slurm.conf says already: EpilogSlurmctld=/site/epilog"
    )


def test_a_slurm_conf_that_is_not_on_this_host(job: MakeJob) -> None:
    console = Scripted({LINES: ["y", "n"]})
    elsewhere = replace(SLURM, conf="/run/slurm/conf/slurm.conf")
    ask_group(console, Group.HOOKS, job(found=elsewhere, hooks={"controller": True}))
    assert console.fault.startswith("hooks.edit_slurm_conf: cannot read ")


def test_hooks_of_slurmctld_are_not_asked_for_where_it_does_not_run(job: MakeJob) -> None:
    console = Scripted()
    ask_group(console, Group.HOOKS, job(found=replace(SLURM, here=False)))
    assert len(console.asked) == 1


def test_a_host_without_systemd_is_told(job: MakeJob) -> None:
    console = Scripted()
    found: Job = ask_group(console, Group.HOST, job())
    assert console.said(Tone.DOUBT) == ["systemd does not run here: nothing can be started by it"]
    assert found.answers.host.start


def test_what_hangs_is_given_up(job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder on a mount whose server is silent, say."""
    silent = threading.Event()
    monkeypatch.setattr(trying, "LIMIT", 0.2)
    monkeypatch.setattr(trying, "Mounts", lambda: silent.wait(60))
    console = Scripted({SHARED: ["/etc", "none"]})
    ask_group(console, Group.HOOKS, job())
    silent.set()
    assert console.fault == "hooks.shared_dir: there was no answer within 0.2 s"


def test_a_shared_folder_into_which_anybody_writes(job: MakeJob, root: Path) -> None:
    """Root of every node would run what lies there."""
    open_to_all = root / "etc/slurm"
    open_to_all.chmod(0o777)
    console = Scripted({SHARED: ["/etc/slurm", "none"]})
    ask_group(console, Group.HOOKS, job())
    assert console.fault.startswith("hooks.shared_dir: /etc/slurm can be written by others")


def test_a_program_that_others_can_replace_is_a_doubt(job: MakeJob, tmp_path: Path) -> None:
    """Whoever could would get the rights of the unit, which may become every user."""
    venv = tmp_path / "opt/ajrd/bin"
    venv.mkdir(parents=True)
    (venv / "ajrd").write_text("#!/bin/sh\n")
    venv.chmod(0o777)
    made = job()
    made = replace(
        made, host=Host(tmp_path), facts=replace(made.facts, program="/opt/ajrd/bin/ajrd")
    )
    console = Scripted()
    ask_group(console, Group.HOST, made)
    assert any("others than root may write /opt/ajrd/bin" in s for s in console.said(Tone.DOUBT))
