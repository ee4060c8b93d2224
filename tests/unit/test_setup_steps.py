"""Each step of a setup: what it finds, what it takes over, and what it leaves to people."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

import pytest

from ajrd import share
from ajrd.errors import AjrdError, SetupError
from ajrd.hooks.install import source
from ajrd.setup import wanted
from ajrd.setup.answers import Answers
from ajrd.setup.book import BOOK
from ajrd.setup.job import Secrets
from ajrd.setup.run import carry_out, preview
from tests.unit.setup_world import SLURM_CONF, HeadNode, everything

UNIT = "/etc/systemd/system/ajrd.service"


@pytest.fixture
def node(tmp_path: Path, quick_disk: None) -> HeadNode:
    return HeadNode.make(tmp_path)


def answers(**sections: Any) -> Answers:
    return Answers.model_validate(sections)


def write(node: HeadNode, name: str, text: str) -> Path:
    path = node.host.path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def failing(node: HeadNode, given: Answers) -> str:
    with pytest.raises(AjrdError) as caught:
        node.set_up(given)
    return str(caught.value)


def changes(node: HeadNode, given: Answers, step: str) -> str:
    planned = {each.step: each.changes for each in preview(node.job(given))}
    return "\n".join(planned.get(step, ()))


# Configuration


def test_what_people_have_written_is_not_overwritten(node: HeadNode) -> None:
    node.set_up(answers())
    write(node, wanted.CONFIG, "recovery: {mode: observe, settle: 5}\n")
    act = answers(recovery={"partitions": ["main"]})
    with pytest.raises(SetupError, match=r"somebody has changed it.*--replace-config"):
        preview(node.job(act))
    assert "settle: 5" in node.read(wanted.CONFIG)


def test_it_is_overwritten_where_that_is_asked_for_and_a_copy_kept(node: HeadNode) -> None:
    node.set_up(answers())
    write(node, wanted.CONFIG, "recovery: {mode: observe, settle: 5}\n").chmod(0o640)
    act = answers(recovery={"partitions": ["main"]})
    carry_out(node.job(act), lambda _said: None, replace_config=True)
    assert "partitions: [main]" in node.read(wanted.CONFIG)
    (copy,) = node.host.path(wanted.HOME).glob("config.yaml.before-setup-*")
    assert "settle: 5" in copy.read_text()
    assert preview(node.job(act)) == []


def test_the_example_of_a_package_is_replaced_and_comes_back(node: HeadNode) -> None:
    example = share.path("etc/ajrd/config.yaml").read_text()
    write(node, wanted.CONFIG, example).chmod(0o640)
    before = node.tree()
    node.set_up(answers())
    assert node.read(wanted.CONFIG) != example
    node.take_off()
    assert node.tree() == before


def test_a_new_answer_changes_what_setup_has_written(node: HeadNode) -> None:
    before = node.tree()
    node.set_up(answers())
    act = answers(recovery={"partitions": ["main"]})
    assert "\n+  partitions: [main]" in changes(node, act, "configuration")
    node.set_up(act)
    assert "partitions: [main]" in node.read(wanted.CONFIG)
    node.take_off()
    assert node.tree() == before


def test_answers_that_make_no_configuration_are_refused_before_anything(node: HeadNode) -> None:
    before = node.tree()
    with pytest.raises(AjrdError, match=r"loki.url: is not http"):
        preview(node.job(answers(loki={"url": "ftp://loki"})))
    assert node.tree() == before


def test_a_book_that_cannot_be_written_stops_a_setup_before_anything_is_made(
    node: HeadNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = node.tree()
    monkeypatch.setattr("ajrd.setup.host.Host.write", full)
    assert f"cannot write {BOOK}: No space left on device" in failing(node, answers())
    assert node.tree() == before


@pytest.mark.parametrize("closed", ["/root", "/root/ca.pem"])
def test_certificates_must_be_readable_for_the_service(node: HeadNode, closed: str) -> None:
    ca = write(node, "/root/ca.pem", "certificate")
    given = answers(loki={"url": "https://loki", "ca": "/root/ca.pem"})
    give_to_nobody(node, closed)
    with pytest.raises(SetupError, match=f"user ajrd, because of {closed}: "):
        preview(node.job(given))
    node.host.path(closed).chmod(0o755)
    preview(node.job(given))
    ca.unlink()
    preview(node.job(given))


def give_to_nobody(node: HeadNode, name: str) -> None:
    """Only its owner gets in, and that the service's user is not yet."""
    node.host.path(name).chmod(0o700)


def test_a_program_that_the_service_cannot_run_is_named(node: HeadNode) -> None:
    write(node, "/root/venv/bin/ajrd", "#!/bin/sh\n").chmod(0o755)
    give_to_nobody(node, "/root")
    job = node.job(answers())
    job = replace(job, facts=replace(job.facts, program="/root/venv/bin/ajrd"))
    with pytest.raises(SetupError, match=r"the program .* because of /root: "):
        preview(job)


# Secrets


def test_secrets_are_readable_for_the_service_alone_and_shown_nowhere(node: HeadNode) -> None:
    given = answers(loki={"url": "https://loki", "user": "ajrd"}, hardware={"url": "https://hw"})
    given = given.model_copy(
        update={"hardware": given.hardware.model_copy(update={"token_file": "/root/token"})}
    )
    secrets = Secrets(loki="sesame", hardware="open")
    planned = preview(node.job(given, secrets))
    assert "sesame" not in f"{planned}"
    said = node.set_up(given, secrets)
    assert "sesame" not in f"{said}{node.told()}{node.read(wanted.ANSWERS)}"
    for path, secret in ((wanted.LOKI_PASSWORD, "sesame"), (wanted.HARDWARE_TOKEN, "open")):
        assert node.read(path) == f"{secret}\n"
        assert stat.S_IMODE(node.host.path(path).stat().st_mode) == 0o640
    assert stat.S_IMODE(node.host.path(wanted.CREDENTIALS).stat().st_mode) == 0o750


def test_a_secret_that_is_not_given_again_stays_and_one_not_named_any_more_goes(
    node: HeadNode,
) -> None:
    given = answers(loki={"url": "https://loki", "user": "ajrd"})
    node.set_up(given, Secrets(loki="sesame"))
    assert preview(node.job(given)) == []
    node.set_up(answers())
    assert not node.host.path(wanted.LOKI_PASSWORD).exists()


# The user


def test_a_user_with_another_number_is_not_taken_over(node: HeadNode) -> None:
    write(node, "/etc/passwd", "ajrd:x:4711:4711::/:/bin/sh\n")
    assert "is there with number 4711" in failing(node, answers(host={"uid": 990}))


def test_a_user_from_before_is_used_and_stays(node: HeadNode) -> None:
    passwd = node.read("/etc/passwd")
    uid, gid = passwd.split(":")[2:4]
    write(node, "/etc/passwd", f"{passwd}ajrd:x:{uid}:{gid}::/home/ajrd:/bin/bash\n")
    write(node, "/etc/group", f"ajrd:x:{gid}:\n")
    before = node.tree()
    node.set_up(answers())
    assert not node.host.path("/etc/sysusers.d/ajrd.conf").exists()
    node.take_off()
    assert node.tree() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users")
def test_what_belonged_to_the_service_belongs_to_its_next_user(node: HeadNode) -> None:
    for name, number in (("slurm", 4711), ("ajrd", 4712)):
        for file, line in (
            ("passwd", f"{name}:x:{number}:{number}::/:/bin/sh\n"),
            ("group", f"{name}:x:{number}:\n"),
        ):
            old = node.read(f"/etc/{file}").replace("slurm:x:0", "old:x:0")
            write(node, f"/etc/{file}", old + line)
    before = node.tree()
    hooks = {"shared_dir": "/shared/ajrd"}
    node.set_up(answers(hooks=hooks))
    node.set_up(answers(hooks=hooks, slurm={"rights": "slurm-user"}))
    for path, mode in ((wanted.CREDENTIALS, 0o750), (wanted.CONFIG, 0o640)):
        seen = node.host.path(path).stat()
        assert (seen.st_uid, seen.st_gid, stat.S_IMODE(seen.st_mode)) == (0, 4711, mode)
    seen = node.host.path("/shared/ajrd/messages").stat()
    assert (seen.st_uid, seen.st_gid, stat.S_IMODE(seen.st_mode)) == (4711, 4711, 0o3733)
    node.take_off()
    assert node.tree() == before


# Units


def test_units_of_a_package_are_not_written_a_second_time(node: HeadNode) -> None:
    facts = node.job(answers()).facts
    for name in (wanted.SERVICE, wanted.WATCHDOG):
        write(node, f"/lib/systemd/system/{name}", wanted.unit(name, facts))
    for kind, text in (
        ("sysusers", wanted.sysusers(None)),
        ("tmpfiles", wanted.tmpfiles("ajrd", "ajrd")),
    ):
        write(node, f"/usr/lib/{kind}.d/ajrd.conf", text)
    before = node.tree()
    node.set_up(answers())
    for path in (UNIT, "/etc/sysusers.d/ajrd.conf", "/etc/tmpfiles.d/ajrd.conf"):
        assert not node.host.path(path).exists()
    node.take_off()
    assert node.tree() == before


def test_a_unit_that_is_masked_is_named(node: HeadNode) -> None:
    node.host.path(UNIT).symlink_to("/dev/null")
    assert f"{UNIT} is no plain file (masked?)" in failing(node, answers())


def test_what_runs_is_started_anew_with_what_it_learns_only_then(node: HeadNode) -> None:
    node.set_up(answers())
    node.told()
    act = answers(slurm={"rights": "slurm-user"}, recovery={"mode": "act"})
    assert "systemctl restart ajrd.service" in changes(node, act, "start")
    node.set_up(act)
    assert node.told()[-3:] == [
        "systemctl daemon-reload",
        "systemctl restart ajrd-watchdog.service",
        "systemctl restart ajrd.service",
    ]
    assert preview(node.job(act)) == []


def test_a_drop_in_goes_when_nothing_is_to_be_said_any_more(node: HeadNode) -> None:
    node.set_up(answers(slurm={"rights": "slurm-user"}))
    assert "User=slurm" in node.read(f"{UNIT}.d/10-setup.conf")
    assert "take back: file /etc/systemd" in changes(node, answers(), "units")
    node.set_up(answers())
    assert not node.host.path(f"{UNIT}.d/10-setup.conf").exists()


def test_a_service_that_does_not_start_is_told_with_its_last_words_and_disabled(
    node: HeadNode,
) -> None:
    (node.state.parent / "bin/systemctl").write_text(
        (node.state.parent / "bin/systemctl").read_text().replace(
            'restart) :', 'restart) [ "$2" = ajrd-watchdog.service ] || exit 1; :'
        )
    )  # fmt: skip
    said = failing(node, answers())
    assert "step start: ajrd.service does not start" in said
    assert "ajrd: the database is away" in said
    assert list((node.state / "units").iterdir()) == []


def test_nothing_is_started_where_that_is_not_wanted(node: HeadNode) -> None:
    node.set_up(answers(host={"start": False}))
    assert list((node.state / "units").iterdir()) == []


def test_a_host_without_systemd_can_be_set_up_and_left_again(
    node: HeadNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = node.tree()
    monkeypatch.setattr("ajrd.setup.host.Host.has", lambda _self, _program: False)
    assert "this host has no systemd to start the service with" in failing(node, answers())
    node.set_up(answers(host={"start": False}))
    node.take_off()
    assert node.tree() == before


def test_without_a_running_systemd_units_are_enabled_only(tmp_path: Path) -> None:
    node = HeadNode.make(tmp_path / "other", systemd=False)
    node.set_up(answers())
    units = sorted(path.name for path in (node.state / "units").iterdir())
    assert units == ["ajrd-watchdog.service.enabled", "ajrd.service.enabled"]


# Slurm


def test_a_key_that_the_site_uses_is_left_to_it(node: HeadNode) -> None:
    conf = write(node, "/etc/slurm/slurm.conf", f"{SLURM_CONF}\nEpilogSlurmctld=/site/epilog\n")
    given = answers(hooks={"controller": True, "edit_slurm_conf": True})
    with pytest.raises(SetupError, match="says already: EpilogSlurmctld=/site/epilog"):
        preview(node.job(given))
    assert "ajrd" not in conf.read_text()


def test_a_slurm_conf_behind_a_link_stays_there(node: HeadNode) -> None:
    real = write(node, "/shared/slurm.conf", SLURM_CONF)
    link = node.host.path("/etc/slurm/slurm.conf")
    link.unlink()
    link.symlink_to("../../shared/slurm.conf")
    before = node.tree()
    node.set_up(answers(hooks={"controller": True, "edit_slurm_conf": True}))
    assert link.is_symlink()
    assert "EpilogSlurmctld=/etc/ajrd/hooks/epilog-slurmctld\n" in real.read_text()
    node.take_off()
    assert node.tree() == before


def test_a_copy_that_a_dead_run_has_made_is_known_to_the_next_one_in_the_same_second(
    node: HeadNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    class Stopped(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Stopped:
            return cls(2026, 11, 26, tzinfo=UTC)

    before = node.tree()
    monkeypatch.setattr("ajrd.setup.run.datetime", Stopped)
    with monkeypatch.context() as patch:
        patch.setattr("ajrd.setup.making.Work.roll_back", lambda _self: [])
        patch.setattr("ajrd.setup.steps.hooks.rewrite", dies)
        with pytest.raises(KeyboardInterrupt):
            node.set_up(everything())
    node.set_up(everything())
    node.take_off()
    assert node.tree() == before


def test_hooks_that_are_not_wanted_any_more_go_after_their_lines(node: HeadNode) -> None:
    node.set_up(everything())
    node.told()
    fewer = everything().model_copy(
        update={"hooks": everything().hooks.model_copy(update={"shared_dir": None})}
    )
    node.set_up(fewer)
    assert "Epilog=/shared" not in node.read("/etc/slurm/slurm.conf")
    assert not node.host.path("/shared/ajrd/hooks/epilog").exists()
    assert node.host.path(f"{wanted.HOOKS}/epilog-slurmctld").exists()
    assert "scontrol reconfigure" in node.told()
    node.set_up(answers())
    assert node.read("/etc/slurm/slurm.conf") == SLURM_CONF
    assert not node.host.path(f"{wanted.HOOKS}/epilog-slurmctld").exists()


def test_a_file_of_others_in_the_place_of_a_hook_is_left_alone(node: HeadNode) -> None:
    theirs = write(node, f"{wanted.HOOKS}/epilog-slurmctld", "#!/bin/sh\necho site\n")
    given = answers(hooks={"controller": True})
    assert "is not ajrd's: move it away" in failing(node, given)
    assert theirs.read_text() == "#!/bin/sh\necho site\n"


def test_hooks_lie_only_where_root_alone_can_put_them(node: HeadNode) -> None:
    node.host.path("/shared").chmod(0o777)
    with pytest.raises(SetupError, match="/shared can be written by others than root"):
        preview(node.job(everything()))


def test_a_hook_tells_into_the_folder_of_this_host(node: HeadNode) -> None:
    node.set_up(answers(hooks={"controller": True}))
    assert node.read(f"{wanted.HOOKS}/epilog-slurmctld") == source("epilog-slurmctld")


def test_rights_that_are_not_wanted_any_more_are_taken_back(node: HeadNode) -> None:
    node.set_up(answers(slurm={"rights": "accounting"}))
    assert (node.state / "level").read_text() == "ajrd|Administrator\n"
    node.set_up(answers())
    assert (node.state / "level").read_text() == ""


def test_an_administrator_from_before_stays_one(node: HeadNode) -> None:
    (node.state / "level").write_text("ajrd|Administrator\n")
    before = node.tree()
    node.set_up(answers(slurm={"rights": "accounting"}))
    node.take_off()
    assert node.tree() == before


CONTROLLER = {"controller": True, "edit_slurm_conf": False}
PROLOG = f"{wanted.HOOKS}/prolog-slurmctld"


def test_hooks_in_lines_of_people_stay_until_those_have_gone(node: HeadNode) -> None:
    """No job starts whose prolog is missing, and a node is drained whose epilog is."""
    node.set_up(answers(hooks=CONTROLLER))
    conf = write(node, "/etc/slurm/slurm.conf", f"{SLURM_CONF}\nPrologSlurmctld={PROLOG}\n")
    with pytest.raises(SetupError, match=f"still names {PROLOG}"):
        node.set_up(answers())
    assert node.host.path(PROLOG).exists()
    conf.write_text(f"{SLURM_CONF}\n#PrologSlurmctld={PROLOG}\n")
    node.set_up(answers())
    assert not node.host.path(PROLOG).exists()


def test_a_hook_that_the_running_slurm_has_read_stays(node: HeadNode) -> None:
    """It may come from an Include, or slurm.conf was changed and nobody has told Slurm."""
    node.set_up(answers(hooks=CONTROLLER))
    scontrol = node.state.parent / "bin/scontrol"
    scontrol.write_text(f"#!/bin/sh\necho 'PrologSlurmctld         = {PROLOG}'\n")
    with pytest.raises(SetupError, match=f"still names {PROLOG}"):
        node.set_up(answers())
    assert node.host.path(PROLOG).exists()


@pytest.mark.parametrize("path", ["/shared/ajrd", "/shared/ajrd/hooks"])
@pytest.mark.parametrize("mode", [0o777, 0o1777], ids=["open", "sticky"])
def test_nobody_else_can_be_the_first_in_the_folder_of_the_hooks(
    node: HeadNode, path: str, mode: int
) -> None:
    folder = node.host.path(path)
    folder.mkdir(parents=True)
    folder.chmod(mode)
    with pytest.raises(SetupError, match=f"{path} can be written by others than root"):
        preview(node.job(everything()))


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to another user")
def test_a_folder_of_hooks_that_another_user_has_made_is_not_used(node: HeadNode) -> None:
    node.host.path("/shared/ajrd/hooks").mkdir(parents=True)
    os.chown(node.host.path("/shared/ajrd/hooks"), 4711, 4711)
    with pytest.raises(SetupError, match="/shared/ajrd/hooks can be written by others than root"):
        preview(node.job(everything()))


def test_a_folder_of_hooks_is_looked_at_where_a_link_leads(node: HeadNode) -> None:
    open_to_all = node.host.path("/var/scratch")
    (open_to_all / "ajrd").mkdir(parents=True)
    open_to_all.chmod(0o777)
    node.host.path("/shared/ajrd").symlink_to("../var/scratch/ajrd")
    with pytest.raises(SetupError, match="/var/scratch can be written by others than root"):
        preview(node.job(everything()))


def test_no_record_is_written_that_could_not_be_read_again(node: HeadNode) -> None:
    before = node.tree()
    given = answers(hooks={"shared_dir": "/shared/../shared/ajrd"})
    assert "without .. in it" in failing(node, given)
    node.set_up(answers())
    node.take_off()
    assert node.tree() == before


def test_every_byte_of_slurm_conf_comes_back(node: HeadNode) -> None:
    text = b"ClusterName=lab\r\n# M\xfcnchen\r\nNodeName=n1\r\n"
    conf = node.host.path("/etc/slurm/slurm.conf")
    conf.write_bytes(text)
    node.set_up(everything())
    (copy,) = conf.parent.glob("slurm.conf.before-ajrd-*")
    assert copy.read_bytes() == text
    assert conf.read_bytes().startswith(text)
    node.take_off()
    assert conf.read_bytes() == text


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users")
def test_the_folders_of_a_package_count_again_when_the_service_is_ajrd_again(
    node: HeadNode,
) -> None:
    write(node, "/usr/lib/tmpfiles.d/ajrd.conf", wanted.tmpfiles("ajrd", "ajrd"))
    node.set_up(answers(slurm={"rights": "slurm-user"}))
    own = node.host.path("/etc/tmpfiles.d/ajrd.conf")
    assert f"{wanted.MESSAGES} 3733 slurm" in own.read_text()
    node.told()
    node.set_up(answers())
    assert not own.exists()
    told = [line.split()[:2] for line in node.told() if line.startswith("systemd-tmpfiles")]
    assert told == [["systemd-tmpfiles", "--create"]]
