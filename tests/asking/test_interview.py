"""A whole interview, on a real Slurm and on one that is not well."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import click
import pytest

from ajrd.doctor import slurm
from ajrd.errors import SetupError
from ajrd.setup import facts
from ajrd.setup.answers import Answers
from ajrd.setup.console import Tone
from ajrd.setup.host import Host
from ajrd.setup.questions import Group
from ajrd.setup.run import preview
from ajrd.setup.wizard import ask_group, examine_all, interview
from tests.asking.conftest import MakeJob
from tests.asking.scripted import END, Scripted
from tests.conftest import Cluster
from tests.loki.double import Double

PROGRAM = "/usr/bin/ajrd"


def of(lab: Cluster, **sections: object) -> Answers:
    """Answers for this Slurm."""
    return Answers.model_validate({"slurm": {"conf": str(lab.conf)}, **sections})


def test_enter_is_enough_on_a_simple_host(lab: Cluster, root: Path) -> None:
    console = Scripted()
    job = interview(console, Host(root), PROGRAM, of(lab))
    assert console.said(Tone.FAULT) == []
    assert len(console.asked) <= 11
    assert console.hidden == []
    assert (job.facts.slurm.cluster, job.facts.slurm.partitions) == ("lab", ("main", "other"))
    assert (job.facts.slurm.here, job.facts.slurm.accounting) == (True, False)
    assert job.facts.slurm.conf == str(lab.conf)
    assert job.answers == of(lab)


def test_a_slurm_that_is_not_found_is_asked_for(
    lab: Cluster, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "QUESTION", 2.0)
    dead = tmp_path / "dead.conf"
    dead.write_text("ClusterName=x\nSlurmctldHost=localhost\nSlurmctldPort=1\n")
    console = Scripted({
        "Path of slurm.conf": ["/none.conf", str(dead), str(lab.conf), str(lab.conf)],
        "Folder of": ["", "", "/none", "none"],
    })  # fmt: skip
    before = Answers.model_validate({"slurm": {"conf": "/nowhere.conf"}})
    job = interview(console, Host(root), PROGRAM, before)
    first, second, third, fourth = console.said(Tone.FAULT)
    assert first == "slurm.conf: there is no file /nowhere.conf"
    assert second == "slurm.conf: there is no file /none.conf"
    assert third.startswith("slurm.conf: scontrol ")
    assert fourth.startswith("slurm.bin_dir: scontrol, squeue, scancel not in /none")
    assert job.facts.slurm.cluster == "lab"


def test_where_slurm_was_found_is_kept_on_a_host_that_was_never_set_up(
    lab: Cluster, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = shutil.which("scontrol", path=lab.env["PATH"])
    assert found is not None
    monkeypatch.setenv("SLURM_CONF", str(lab.conf))
    monkeypatch.setenv("PATH", str(tmp_path))
    folder = str(Path(found).parent)
    console = Scripted({"Folder of Slurm's commands": [folder]})
    job = interview(console, Host(root), PROGRAM, None)
    assert console.fault.startswith("slurm.bin_dir: scontrol, squeue, scancel not in PATH")
    assert job.answers.slurm.bin_dir == folder
    assert job.answers.hooks.controller, "slurmctld runs here: that is suggested"


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """Commands of a Slurm in which a recovery would not succeed."""
    folder = tmp_path / "bin"
    folder.mkdir()
    settings = "ClusterName = c\nJobRequeue = 0\nMinJobAge = 2 sec\nSLURM_VERSION = 22.05.8\n"
    settings += "SlurmctldHost[0] = elsewhere\nSlurmUser = slurm(64030)\nSLURM_CONF = /s.conf\n"
    script = f"#!/bin/sh\ncase $* in *config) printf '{settings}';; *) echo PartitionName=p;; esac"
    for name in (*slurm.NEEDED, *slurm.USED):
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    return folder


def test_settings_that_keep_jobs_from_coming_back_are_told_with_what_mends_them(
    odd: Path, root: Path
) -> None:
    before = Answers.model_validate({"slurm": {"bin_dir": str(odd)}})
    console = Scripted({"Mode": [END]})
    with pytest.raises(click.Abort):
        interview(console, Host(root), PROGRAM, before)
    doubts = "\n".join(console.said(Tone.DOUBT))
    assert "JobRequeue=0: only jobs with --requeue can be requeued" in doubts
    assert "-> echo MinJobAge=300 >>/s.conf && scontrol reconfigure" in doubts
    assert "cluster c, slurmctld on another host" in console.said(Tone.GOOD)[0]


def test_a_question_mark_explains_and_asks_again(job: MakeJob) -> None:
    console = Scripted({"Mode": ["?", "act"], "Right": ["?", "given"]})
    ask_group(console, Group.RECOVERY, job())
    plain = "\n".join(console.said(Tone.PLAIN))
    assert "To observe is to write down what would be done, and to touch no job" in plain
    assert "slurm-user: the service runs as SlurmUser" in plain


def test_control_characters_are_not_taken(job: MakeJob) -> None:
    console = Scripted({"URL of Loki": ["http://loki\x1b[A", "none"]})
    ask_group(console, Group.LOKI, job())
    assert console.fault == "control characters and invisible ones are not taken"


def test_the_end_of_the_input_is_the_end(job: MakeJob) -> None:
    with pytest.raises(click.Abort):
        ask_group(Scripted({"Kind": [END]}), Group.DATABASE, job())


def test_a_token_that_was_typed_is_named_by_the_file_it_will_be_in(
    lab: Cluster, root: Path, double: Double
) -> None:
    double.secret = "Bearer right"
    console = Scripted({"URL of Loki": [double.url], "Or a bearer": ["right"]})
    made = interview(console, Host(root), PROGRAM, of(lab, host={"start": False}))
    assert made.secrets.loki == "right"
    kept = "/etc/ajrd/credentials/loki-token"
    changes = [change for step in preview(made) for change in step.changes]
    assert any(change.startswith(f"write {kept} (0640") for change in changes)
    assert any(f"+    token_file: {kept}" in change for change in changes)


# unattended


def test_answers_of_a_file_are_tried_and_every_fault_is_named(lab: Cluster, root: Path) -> None:
    wrong = of(
        lab,
        recovery={"partitions": ["gone"]},
        loki={"url": "http://127.0.0.1:1", "token_file": "/none"},
        hardware={"url": "http://127.0.0.1:1/nodes"},
        web={"listen": "127.0.0.1:80"},
        hooks={"shared_dir": "/none"},
    )
    console = Scripted()
    assert examine_all(console, Host(root), PROGRAM, wrong) is None
    faults = [each.partition(":")[0] for each in console.said(Tone.FAULT)]
    assert faults == [
        "recovery.partitions", "loki.token_file", "hardware.url", "web.listen", "hooks.shared_dir",
    ]  # fmt: skip
    assert console.asked == console.hidden == []


def test_answers_of_a_file_that_work_are_what_a_run_goes_by(
    lab: Cluster, root: Path, double: Double, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("right\n")
    token.chmod(0o600)
    double.secret = "Bearer right"
    right = of(lab, loki={"url": double.url, "token_file": str(token)})
    job = examine_all(Scripted(), Host(root), PROGRAM, right)
    assert job is not None
    assert (job.answers, job.secrets.loki) == (right, "right")


def test_a_slurm_that_does_not_answer_is_the_only_fault(root: Path) -> None:
    console = Scripted()
    wrong = Answers.model_validate({"slurm": {"conf": "/none.conf"}, "web": {"listen": "x:1"}})
    assert examine_all(console, Host(root), PROGRAM, wrong) is None
    assert console.fault == "slurm.conf: there is no file /none.conf"


# the program


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_program_that_the_service_could_not_start_is_refused(tmp_path: Path) -> None:
    hidden = tmp_path / "ajrd"
    hidden.write_text("#!/bin/sh\n")
    hidden.chmod(0o700)
    with pytest.raises(SetupError, match="cannot be started by a user without rights"):
        facts.program(Host(tmp_path, {"PATH": os.environ["PATH"]}), [str(hidden)])


def test_without_any_program_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no program ajrd is installed"):
        facts.program(Host(tmp_path, {"PATH": str(tmp_path)}), ["/x/__main__.py"])


@pytest.mark.parametrize("folder", ["a b", "100%h", "$HOME"])
def test_a_program_whose_path_a_unit_would_misread_is_refused(tmp_path: Path, folder: str) -> None:
    odd = tmp_path / folder / "ajrd"
    odd.parent.mkdir()
    odd.write_text("#!/bin/sh\n")
    odd.chmod(0o755)
    with pytest.raises(SetupError, match="cannot stand in a unit"):
        facts.program(Host(tmp_path, {"PATH": os.environ["PATH"]}), [str(odd)])
