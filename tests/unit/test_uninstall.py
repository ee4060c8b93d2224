"""``ajrd uninstall``: what it shows, what it leaves, and what it never touches."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from ajrd import share
from ajrd.cli.main import cli
from ajrd.errors import SetupError
from ajrd.setup import wanted
from ajrd.setup.answers import Answers
from ajrd.setup.book import BOOK, Book
from ajrd.setup.remove import removal
from tests.unit.setup_world import SLURM_CONF, HeadNode, Tree, everything

Run = Callable[..., Result]


@pytest.fixture
def node(tmp_path: Path, quick_disk: None) -> HeadNode:
    return HeadNode.make(tmp_path)


@pytest.fixture
def uninstall(node: HeadNode, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr("ajrd.cli.uninstall.Host", lambda: node.host)
    monkeypatch.setattr("ajrd.cli.uninstall._is_root", lambda: True)

    def run(*argv: str, says: str = "") -> Result:
        return CliRunner().invoke(cli, ["uninstall", *argv], input=says)

    return run


def write(node: HeadNode, name: str, text: str) -> Path:
    path = node.host.path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_it_shows_what_goes_and_what_stays_and_changes_nothing(
    node: HeadNode, uninstall: Run
) -> None:
    node.set_up(everything())
    before = node.tree()
    said = uninstall("--dry-run").output
    goes, _, stays = said.partition("This stays:")
    assert "start of ajrd.service with the host" in goes
    assert "ajrd's lines in /etc/slurm/slurm.conf; scontrol reconfigure" in goes
    assert "file /etc/systemd/system/ajrd.service" in goes
    assert "user ajrd in Slurm's accounting" in goes
    assert "file /etc/ajrd/config.yaml (configuration: --purge)" in stays
    assert "system user ajrd (history and its owner: --purge)" in stays
    assert node.tree() == before


def test_a_no_is_a_no(node: HeadNode, uninstall: Run) -> None:
    node.set_up(everything())
    before = node.tree()
    assert uninstall(says="n\n").exit_code == 1
    assert node.tree() == before


def test_without_a_purge_the_site_keeps_its_words_and_its_history(
    node: HeadNode, uninstall: Run
) -> None:
    node.set_up(everything())
    history = write(node, "/var/lib/ajrd/ajrd.sqlite", "history")
    config = node.read(wanted.CONFIG)
    assert uninstall("--yes").exit_code == 0
    assert node.read(wanted.CONFIG) == config
    assert history.read_text() == "history"
    assert node.host.user("ajrd")
    assert not node.host.path("/etc/systemd/system/ajrd.service").exists()
    assert not node.host.path(wanted.HOOKS).exists()
    assert node.read("/etc/slurm/slurm.conf") == SLURM_CONF
    assert not list((node.state / "units").iterdir())


def test_a_purge_may_come_later(node: HeadNode, uninstall: Run) -> None:
    before = node.tree()
    node.set_up(everything())
    uninstall("--yes")
    assert uninstall("--purge", says="y\n").exit_code == 0
    assert node.tree() == before


def test_what_was_taken_off_can_be_set_up_again(node: HeadNode, uninstall: Run) -> None:
    before = node.tree()
    node.set_up(everything())
    whole = node.tree()
    uninstall("--yes")
    node.set_up(everything())
    assert without_copies(node.tree()) == without_copies(whole)
    uninstall("--yes", "--purge")
    assert node.tree() == before


def without_copies(tree: Tree) -> Tree:
    """The copy of slurm.conf is called after the time at which it was made; so is its record."""
    odd = (".before-ajrd-", BOOK)
    return {name: looks for name, looks in tree.items() if not any(o in f"/{name}" for o in odd)}


def test_the_watchdog_ends_last_and_no_job_stays_held(node: HeadNode, uninstall: Run) -> None:
    node.set_up(everything())
    node.told()
    uninstall("--yes")
    assert node.told()[:4] == [
        "systemctl stop ajrd.service",
        "ajrd watchdog --once --hold-limit 0 --grace 0",
        "systemctl stop ajrd-watchdog.service",
        "systemctl disable ajrd.service",
    ]


def test_where_slurm_is_silent_the_watchdog_lives_on(node: HeadNode, uninstall: Run) -> None:
    node.set_up(everything())
    (node.state.parent / "bin/ajrd").write_text("#!/bin/sh\nexit 3\n")
    failed = uninstall("--yes").exception
    assert isinstance(failed, SetupError)
    assert "nobody knows whether a job is held" in str(failed)
    assert (node.state / "units/ajrd-watchdog.service.active").exists()
    assert node.host.path(wanted.HOOKS).exists()


def as_one_of_a_pair(node: HeadNode) -> None:
    kept = yaml.safe_load(node.read(wanted.ANSWERS))
    more = {"host": {"pair": True}, "database": {"kind": "mysql"}}
    write(node, wanted.ANSWERS, yaml.safe_dump({**kept, **more}))


def test_on_a_pair_the_holds_are_the_other_nodes(node: HeadNode, uninstall: Run) -> None:
    node.set_up(everything())
    as_one_of_a_pair(node)
    node.told()
    uninstall("--yes")
    assert not [line for line in node.told() if line.startswith("ajrd watchdog")]


def test_on_a_pair_what_the_other_node_needs_stays_without_a_purge(
    node: HeadNode, uninstall: Run
) -> None:
    before = node.tree()
    node.set_up(everything())
    as_one_of_a_pair(node)
    said = uninstall("--yes").output
    assert "user ajrd in Slurm's accounting (the other head node needs it: --purge)" in said
    assert "Epilog=/shared/ajrd/hooks/epilog\n" in node.read("/etc/slurm/slurm.conf")
    for path in (f"{wanted.HOOKS}/prolog-slurmctld", "/shared/ajrd/hooks/epilog"):
        assert node.host.path(path).exists()
    assert not node.host.path("/etc/systemd/system/ajrd.service").exists()
    uninstall("--yes", "--purge")
    assert node.tree() == before


def test_hooks_are_deleted_only_after_slurm_has_forgotten_them(
    node: HeadNode, uninstall: Run
) -> None:
    """Slurm drains a node whose epilog is missing."""
    node.set_up(everything())
    (node.state.parent / "bin/scontrol").write_text("#!/bin/sh\necho away; exit 1\n")
    assert "away" in str(uninstall("--yes").exception)
    assert node.host.path("/shared/ajrd/hooks/epilog").exists()


def test_files_of_others_stay_and_are_named(node: HeadNode, uninstall: Run) -> None:
    node.set_up(everything())
    rule = write(node, f"{wanted.RULES}/site.yaml", "rules of the site")
    drop_in = write(node, "/etc/systemd/system/ajrd.service.d/site.conf", "[Service]\n")
    other = write(node, "/etc/ajrd/webhook-ops", "secret")
    said = uninstall("--yes", "--purge").output
    for path in ("rules.d/site.yaml", "webhook-ops"):
        assert f"/etc/ajrd/{path} (not made by setup)" in said
    assert (rule.read_text(), drop_in.exists()) == ("rules of the site", True)
    assert other.read_text() == "secret"
    assert not node.host.path(BOOK).exists()


def test_what_people_have_changed_is_named_and_goes_with_a_purge_alone(
    node: HeadNode, uninstall: Run
) -> None:
    node.set_up(everything())
    unit = write(node, "/etc/systemd/system/ajrd.service", "[Service]\n# ours\n")
    said = uninstall("--yes").output
    assert "file /etc/systemd/system/ajrd.service (changed by somebody since: --purge)" in said
    assert unit.exists()
    said = uninstall("--yes", "--purge").output
    assert "ajrd.service (changed by somebody since)" in said
    assert not unit.exists()


def test_a_link_that_somebody_has_put_in_a_files_place_goes_and_its_target_stays(
    node: HeadNode, uninstall: Run
) -> None:
    before = node.tree()
    node.set_up(everything())
    theirs = write(node, "/shared/config.yaml", "recovery: {mode: observe}\n")
    node.host.path(wanted.CONFIG).unlink()
    node.host.path(wanted.CONFIG).symlink_to(theirs)
    said = uninstall("--yes", "--purge").output
    assert "file /etc/ajrd/config.yaml (changed by somebody since)" in said
    theirs.unlink()
    assert node.tree() == before


def test_a_file_that_stays_is_not_said_to_be_put_back(node: HeadNode, uninstall: Run) -> None:
    write(node, wanted.CONFIG, share.path("etc/ajrd/config.yaml").read_text())
    node.set_up(everything())
    line = f"file {wanted.CONFIG}"
    assert f"  {line} (configuration: --purge)\n" in uninstall("--dry-run").output
    purged = uninstall("--purge", "--keep-database", "--dry-run").output
    assert f"  {line}: back to what it was\n" in purged


def test_what_was_there_before_is_put_back(node: HeadNode, uninstall: Run) -> None:
    unit = write(node, "/etc/systemd/system/ajrd.service", "[Service]\n# by hand\n")
    unit.chmod(0o600)
    before = node.tree()
    node.set_up(everything())
    assert "by hand" not in unit.read_text()
    uninstall("--yes", "--purge")
    assert node.tree() == before


def test_history_from_before_setup_is_nobodys_to_delete(node: HeadNode, uninstall: Run) -> None:
    old = write(node, "/var/lib/ajrd/.made-user", "")
    before = node.tree()
    node.set_up(everything())
    write(node, "/var/lib/ajrd/ajrd.sqlite", "history")
    write(node, "/var/lib/ajrd/kept/a/b", "history")
    uninstall("--yes", "--purge")
    assert old.exists()
    assert node.tree() == before


def test_links_in_folders_of_the_service_lead_nowhere(
    node: HeadNode, uninstall: Run, tmp_path: Path
) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("ten years of work")
    node.set_up(everything())
    state = node.host.path("/var/lib/ajrd")
    state.mkdir()
    (state / "link").symlink_to(foreign)
    (state / "below").mkdir()
    (state / "below/link").symlink_to(foreign)
    messages = node.host.path(wanted.MESSAGES)
    messages.rmdir()
    messages.symlink_to(foreign)
    uninstall("--yes", "--purge")
    assert not state.exists()
    assert not messages.is_symlink()
    assert (foreign / "thesis.tex").read_text() == "ten years of work"


def test_a_level_in_slurm_from_before_is_given_back(node: HeadNode, uninstall: Run) -> None:
    (node.state / "level").write_text("ajrd|Operator\n")
    node.set_up(everything())
    assert (node.state / "level").read_text() == "ajrd|Administrator\n"
    uninstall("--yes")
    assert (node.state / "level").read_text() == "ajrd|Operator\n"


def test_where_setup_has_made_nothing_it_says_how_a_package_goes(
    node: HeadNode, uninstall: Run
) -> None:
    failed = uninstall("--yes").exception
    assert isinstance(failed, SetupError)
    assert "setup has made nothing on this host" in str(failed)
    assert "apt-get purge ajrd" in str(failed)


def test_only_root_may(uninstall: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ajrd.cli.uninstall._is_root", lambda: False)
    assert "only root" in str(uninstall("--yes").exception)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"version": 2, "restart": false, "made": []}',
        '{"version": 1, "restart": false, "made": [{"kind": "moon", "path": "/"}]}',
        '{"version": 1, "restart": false, "made": [{"kind": "folder", "path": "/a", "more": 1}]}',
        '{"version": 1, "restart": false, "made": [{"kind": "folder", "path": "etc"}]}',
        '{"version": 1, "restart": false, "made": [{"kind": "folder", "path": "/a/../etc"}]}',
    ],
)
def test_a_book_that_is_not_understood_stops_everything(
    node: HeadNode, uninstall: Run, text: str
) -> None:
    write(node, BOOK, text)
    before = node.tree()
    for command in (lambda: uninstall("--yes"), lambda: node.set_up(Answers())):
        try:
            failed: object = command()
        except SetupError as error:
            failed = error
        failed = failed.exception if isinstance(failed, Result) else failed
        assert isinstance(failed, SetupError)
        assert "nothing was touched" in str(failed)
    assert node.tree() == before


def test_a_book_that_others_may_write_is_not_believed(node: HeadNode, uninstall: Run) -> None:
    node.set_up(everything())
    node.host.path("/etc/ajrd").chmod(0o777)
    assert "must belong to root" in str(uninstall("--yes").exception)


def test_a_book_comes_back_as_it_was_written(node: HeadNode) -> None:
    node.host.path("/etc/systemd/system/ajrd.service").write_bytes(b"\x00 \xff\n")
    node.set_up(everything())
    records = Book.read(node.host).records
    again = Book.read(node.host)
    again.mark(restart=not again.restart)
    assert Book.read(node.host).records == records
    assert json.loads(node.read(BOOK))["version"] == 1
    assert removal(node.host, purge=True).goes


def test_hooks_in_lines_of_people_stop_it_before_anything_is_gone(
    node: HeadNode, uninstall: Run
) -> None:
    node.set_up(Answers.model_validate({"hooks": {"controller": True}}))
    line = f"PrologSlurmctld={wanted.HOOKS}/prolog-slurmctld\n"
    conf = write(node, "/etc/slurm/slurm.conf", f"{SLURM_CONF}\n{line}")
    before = node.tree()
    for words in (["--yes"], ["--yes", "--purge"]):
        assert "prolog-slurmctld: without that file" in str(uninstall(*words).exception)
        assert node.tree() == before
    conf.write_text(SLURM_CONF)
    assert uninstall("--yes").exit_code == 0


def test_without_a_watchdog_the_holds_of_the_service_end_all_the_same(
    node: HeadNode, uninstall: Run
) -> None:
    node.set_up(everything())
    (node.state / "units/ajrd-watchdog.service.active").unlink()
    node.told()
    uninstall("--yes")
    assert node.told()[:2] == [
        "systemctl stop ajrd.service",
        "ajrd watchdog --once --hold-limit 0 --grace 0",
    ]


def test_without_a_watchdog_a_silent_slurm_is_told_and_stops_nothing(
    node: HeadNode, uninstall: Run
) -> None:
    node.set_up(everything())
    (node.state / "units/ajrd-watchdog.service.active").unlink()
    (node.state.parent / "bin/ajrd").write_text("#!/bin/sh\nexit 3\n")
    done = uninstall("--yes")
    assert done.exit_code == 0
    assert "Look for jobs that ajrd holds" in done.output


def test_answers_that_are_not_understood_stop_it_for_there_may_be_a_pair(
    node: HeadNode, uninstall: Run
) -> None:
    node.set_up(everything())
    write(node, wanted.ANSWERS, "host: {pair: true, of_a_newer_ajrd: 1}\n")
    before = node.tree()
    assert "another head node needs" in str(uninstall("--yes").exception)
    assert node.tree() == before
    node.host.path(wanted.ANSWERS).unlink()
    assert uninstall("--yes", "--purge").exit_code == 0


def test_where_slurm_is_off_the_host_the_rest_goes_all_the_same(
    node: HeadNode, uninstall: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.set_up(everything())
    gone = {"sacctmgr", "scontrol"}
    monkeypatch.setattr("ajrd.setup.host.Host.has", lambda _host, name: Path(name).name not in gone)
    done = uninstall("--yes", "--purge")
    assert "where there is one: sacctmgr delete user name=ajrd)" in done.output
    assert done.exit_code == 0
    assert node.read("/etc/slurm/slurm.conf") == SLURM_CONF
    assert node.host.user("ajrd") is None


def test_what_belongs_to_a_history_from_before_stays_with_it(
    node: HeadNode, uninstall: Run
) -> None:
    write(node, "/var/lib/ajrd/ajrd.sqlite", "history")
    node.set_up(everything())
    log = write(node, "/var/lib/ajrd/ajrd.sqlite-wal", "its last words")
    other = write(node, "/var/lib/ajrd/ajrd.sqlite2", "new")
    uninstall("--yes", "--purge")
    assert log.exists()
    assert not other.exists()


def test_a_watchdog_that_was_masked_stops_nothing(node: HeadNode, uninstall: Run) -> None:
    facts = node.job(Answers()).facts
    for name in (wanted.SERVICE, wanted.WATCHDOG):
        write(node, f"/lib/systemd/system/{name}", wanted.unit(name, facts))
    before = node.tree()
    node.set_up(everything())
    (node.state / "units/ajrd-watchdog.service.active").unlink()
    mask = node.host.path(f"/etc/systemd/system/{wanted.WATCHDOG}")
    mask.symlink_to("/dev/null")
    node.told()
    assert uninstall("--yes", "--purge").exit_code == 0
    assert "ajrd watchdog --once --hold-limit 0 --grace 0" in node.told()
    mask.unlink()
    assert node.tree() == before
