"""A machine is a host of its own, and nothing of it is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.host.base import NAME
from tests.host.machine import Machine
from tests.packaging.debian import run

CGROUPS = "mount -t cgroup2 cgroup2 /mnt && find /mnt -name"


def test_it_is_a_host_of_its_own(make_machine: Callable[[], Machine], debian_base: Path) -> None:
    machine = make_machine()
    assert machine("hostname").strip() == NAME
    assert machine("cat", "/proc/1/comm").strip() == "systemd"
    assert machine("whoami", user="munge").strip() == "munge"
    assert "MUNGE" in machine.shell("munge -n", user="munge")
    interfaces = machine("cat", "/proc/net/dev").splitlines()[2:]
    assert [line.split(":")[0].strip() for line in interfaces] == ["lo"]
    assert machine.tries("sysctl", "kernel.pid_max=4194304").returncode != 0, "it is the host's"
    machine.write("/srv/new/file", "text", 0o600, "munge:munge")
    assert machine("stat", "--format=%a %U", "/srv/new/file").split() == ["600", "munge"]
    assert not (debian_base / "srv/new").exists()


def test_its_tree_tells_what_has_changed(make_machine: Callable[[], Machine]) -> None:
    machine = make_machine()
    before = machine.tree()
    machine("systemctl", "restart", "mariadb", "munge")
    machine.write("/etc/made", "")
    machine("chmod", "0600", "/etc/hosts")
    machine("rm", "/etc/issue")
    after = machine.tree()
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed == {"/etc/made", "/etc/hosts", "/etc/issue"}


def test_nothing_is_left_of_it(debian_base: Path, tmp_path: Path) -> None:
    machine = Machine(debian_base, tmp_path)
    machine.boot()
    try:
        machine.shell("sleep 1000 >/dev/null 2>&1 &")
        first = Path(f"/proc/{machine.pid}")
        listing = ("unshare", "--mount", "sh", "-c", f"{CGROUPS} '*-{tmp_path.name}'")
        assert run(*listing) != ""
    finally:
        machine.stop()
    assert not first.exists()
    assert run(*listing) == ""
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    assert list((tmp_path / "root").iterdir()) == []
