"""The Debian package: built, and in a clean Debian installed, used, removed, purged."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.debian import DEBIAN, ROOT, Clean, build, release, run

#: Some of what it puts into /usr/share.
SHARED = (
    "bash-completion/completions/ajrd",
    "doc/ajrd/changelog.Debian.gz",
    "doc/ajrd/changelog.gz",
    "doc/ajrd/copyright",
    "fish/vendor_completions.d/ajrd.fish",
    "man/man1/ajrd-db-check.1.gz",
    "man/man1/ajrd.1.gz",
    "zsh/vendor-completions/_ajrd",
)
#: What is still there after a removal: the site's words, the history, what a start is quicker with.
KEPT = ("/etc/ajrd", "/var/lib/ajrd", "/var/cache/ajrd", "/var/spool/ajrd")
#: Says what it was told, as a systemd does that has ajrd.service running.
SYSTEMCTL = '#!/bin/sh\necho "$*" >>/tmp/told\n'

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("debootstrap"), reason="needs root and debootstrap"
)


@pytest.fixture(scope="module")
def deb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("deb"))


@pytest.fixture(scope="module")
def debian(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clean]:
    root = tmp_path_factory.mktemp("debian")
    depends = run("dpkg-deb", "--field", deb, "Depends").strip().split(", ")
    include = ",".join(["systemd", *(name.split()[0] for name in depends)])
    run("debootstrap", "--variant=minbase", f"--include={include}", release(), root)
    shutil.copy(deb, root / "root/ajrd.deb")
    try:
        yield Clean(root)
    finally:
        shutil.rmtree(root, ignore_errors=True)


@pytest.mark.full
def test_the_package_says_what_it_needs_and_holds_nothing_of_where_it_was_built(
    deb: Path, tmp_path: Path
) -> None:
    told = run("dpkg-deb", "--info", deb)
    assert re.search(r"^ Depends: python3\.\d+, libc6 \(>= [\d.]+\), libstdc\+\+6$", told, re.M)
    run("dpkg-deb", "--raw-extract", deb, tmp_path)
    control = (tmp_path / "DEBIAN/conffiles").read_text()
    assert control == "/etc/ajrd/config.yaml\n"
    built_in = re.compile(rb"/tmp/tmp\.\w+|" + re.escape(os.fsencode(ROOT)))
    files = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path for path in files if built_in.search(path.read_bytes())] == []


@pytest.mark.full
def test_its_files_belong_to_root_and_lie_where_they_belong(deb: Path) -> None:
    lines = run("dpkg-deb", "--contents", deb).splitlines()
    entries = {line.split()[5].removeprefix("."): line.split()[:2] for line in lines}
    assert {owner for _, owner in entries.values()} == {"root/root"}
    assert entries["/etc/ajrd/config.yaml"][0] == "-rw-r-----"
    modes = [mode for mode, _ in entries.values() if not mode.startswith("l")]
    assert [mode for mode in modes if mode[8] == "w" or "s" in mode] == []
    tops = ("/etc/ajrd/", "/lib/systemd/system/", "/usr/bin/ajrd", "/usr/lib/", "/usr/share/")
    assert [n for n in entries if not n.startswith(tops) and not n.endswith("/")] == []
    for unit in (ROOT / "systemd").glob("*.service"):
        assert f"/lib/systemd/system/{unit.name}" in entries
    assert entries["/usr/share/ajrd"][0].startswith("l"), "what ajrd.share finds, for people"
    assert {f"/usr/share/{name}" for name in SHARED} <= entries.keys()


@pytest.mark.full
@needs_root
def test_a_clean_debian_is_after_the_purge_what_it_was_before_the_installation(
    debian: Clean,
) -> None:
    before = debian.tree()
    debian("dpkg", "--install", "/root/ajrd.deb")
    assert re.fullmatch(r"ajrd, version [\d.]+\n", debian("ajrd", "--version"))
    assert "right; mode observe" in debian("ajrd", "config", "check")
    assert "right; digest" in debian("ajrd", "rules", "check")
    debian("mkdir", "-p", "/var/lib/ajrd", "/var/cache/ajrd")  # as systemd does for the unit
    debian("ajrd", "db", "upgrade")
    assert "/var/lib/ajrd/ajrd.sqlite" in debian.tree(), "a store, for the purge to drop"
    debian("dpkg", "--remove", "ajrd")
    left = debian.tree().keys() - before.keys()
    assert "/etc/ajrd/config.yaml" in left
    assert not [name for name in left if not name.startswith(KEPT)]
    debian("dpkg", "--purge", "ajrd")
    assert debian.tree() == before


@pytest.mark.full
@needs_root
def test_an_upgrade_keeps_the_configuration_of_the_site_and_what_it_put_beside(
    debian: Clean,
) -> None:
    debian("dpkg", "--install", "/root/ajrd.deb")
    config, foreign = debian.root / "etc/ajrd/config.yaml", debian.root / "etc/ajrd/db-password"
    config.write_text("recovery: {mode: act}\n")
    foreign.write_text("secret")
    debian("dpkg", "--install", "/root/ajrd.deb")
    assert "right; mode act" in debian("ajrd", "config", "check")
    debian("dpkg", "--purge", "ajrd")
    assert not config.exists()
    assert foreign.read_text() == "secret"
    foreign.unlink()
    foreign.parent.rmdir()


@pytest.mark.full
@needs_root
def test_who_removes_the_package_before_an_uninstall_is_told_what_stays(debian: Clean) -> None:
    debian("dpkg", "--install", "/root/ajrd.deb")
    assert "ajrd uninstall" not in debian("sh", "-c", "dpkg --remove ajrd 2>&1")
    debian("dpkg", "--install", "/root/ajrd.deb")
    made = debian.root / "etc/ajrd/setup-made.json"
    made.write_text("{}")
    said = debian("sh", "-c", "dpkg --purge ajrd 2>&1")
    assert "`ajrd uninstall [--purge]' takes it away, and wants to be" in said
    assert made.exists(), "the package installed again can take away what setup has made"
    made.unlink()
    made.parent.rmdir()


@pytest.mark.full
@needs_root
def test_nothing_is_started_that_did_not_run_and_what_runs_is_ended_before_it_goes(
    debian: Clean,
) -> None:
    (debian.root / "run/systemd/system").mkdir(parents=True)
    real, told = debian.root / "usr/bin/systemctl", debian.root / "tmp/told"
    real.rename(real.with_name("systemctl.real"))
    real.write_text(SYSTEMCTL)
    real.chmod(0o755)
    try:
        assert _told(debian, told, "--install", "/root/ajrd.deb") == ["--system daemon-reload"]
        assert "try-restart ajrd.service ajrd-watchdog.service" in _told(
            debian, told, "--install", "/root/ajrd.deb"
        )
        assert _told(debian, told, "--remove", "ajrd") == [
            "stop ajrd.service",
            "stop ajrd-watchdog.service",
            "--quiet disable ajrd.service ajrd-watchdog.service",
            "--system daemon-reload",
        ]
        _told(debian, told, "--purge", "ajrd")
    finally:
        real.with_name("systemctl.real").rename(real)
        (debian.root / "run/systemd/system").rmdir()


def _told(debian: Clean, told: Path, *argv: str) -> list[str]:
    """What the package's scripts have told systemd during a call of dpkg."""
    told.write_text("")
    debian("dpkg", *argv)
    return told.read_text().splitlines()


@pytest.mark.skipif(not shutil.which("dash"), reason="needs dash")
@pytest.mark.parametrize("script", ["build", "postinst", "prerm", "postrm"])
def test_the_scripts_need_no_more_than_the_shell_of_debian(script: str) -> None:
    run("dash", "-n", DEBIAN / script)


@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm"])
def test_a_script_of_the_package_leaves_alone_what_it_does_not_know(script: str) -> None:
    """Dpkg calls them with other words when something has failed, and may call them twice."""
    for word in ("abort-upgrade", "failed-upgrade", "abort-install"):
        run("sh", DEBIAN / script, word, "0.1.0-1", PATH="/usr/bin:/bin")
