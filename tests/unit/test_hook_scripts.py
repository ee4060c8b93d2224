"""The hooks under both shells: what they tell, and that nothing makes them fail or wait."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from ajrd.hooks.message import Event, Message, parse

HOOKS = Path(__file__).parents[2] / "slurm" / "hooks"
EVENTS = {
    "epilog": Event.NODE_END,
    "epilog-slurmctld": Event.END,
    "prolog-slurmctld": Event.START,
}
#: Far beyond a hook's own limit; who waits for a hook so long has found a fault.
PATIENCE = 60
#: Longer than anybody waits.
STUCK = "#!/bin/sh\nexec sleep 300\n"

XID = "NVRM: Xid (PCI:0000:3b:00): 79, pid=1, GPU has fallen off the bus."


@pytest.fixture(params=["dash", "bash"])
def shell(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    return name


@pytest.fixture(params=EVENTS)
def hook(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    folder = tmp_path / "spool"
    folder.mkdir()
    return folder


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """Stands before all other programs; the journal has nothing to say."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("journalctl", "dmesg"):
        tool(folder, name, "#!/bin/sh\n")
    return folder


def tool(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def run(shell: str, hook: str | Path, spool: Path, tools: Path, **variables: str) -> None:
    """As Slurm would run it; a status other than 0 would drain a node."""
    env: Mapping[str, str] = {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "AJRD_HOOK_DIR": str(spool),
        "SLURM_JOB_ID": "123",
        **variables,
    }
    assert outcome([shell, HOOKS / hook], env) == (0, b"", b"")


def outcome(argv: list[str | Path], env: Mapping[str, str]) -> tuple[int, bytes, bytes]:
    """Status and output of a hook; what it leaves behind, stuck or not, is ended with it."""
    hook = subprocess.Popen(
        argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        preexec_fn=block_signals,  # noqa: PLW1509 -- it calls nothing that takes a lock
    )  # fmt: skip
    with hook:
        try:
            out, err = hook.communicate(timeout=PATIENCE)
        finally:
            with suppress(ProcessLookupError):  # nothing was left
                os.killpg(hook.pid, signal.SIGKILL)
    return hook.returncode, out, err


def block_signals() -> None:
    """slurmctld starts its scripts so: no child's end is told, and nothing ends them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def impatient(hook: str, folder: Path) -> Path:
    """The hook with a tenth of its limit."""
    text = (HOOKS / hook).read_text()
    assert text.count("\nlimit=2\n") == 1
    (folder / hook).write_text(text.replace("\nlimit=2\n", "\nlimit=0.2\n"))
    return folder / hook


def told(spool: Path) -> list[Message]:
    """All messages; there is nothing else in the folder, and nothing that is no message."""
    messages = [parse(path.read_bytes()) for path in sorted(spool.iterdir())]
    assert None not in messages
    return [message for message in messages if message]


def test_it_tells_which_job(shell: str, hook: str, spool: Path, tools: Path) -> None:
    facts = {
        "SLURM_JOB_RESTART_COUNT": "2",
        "SLURM_JOB_EXIT_CODE2": "0:9",
        "SLURMD_NODENAME": "n-1.x",
    }
    run(shell, hook, spool, tools, **facts)
    assert told(spool) == [Message(EVENTS[hook], "123", 2, "0:9", "n-1.x")]


def test_what_slurm_does_not_tell_stays_open(
    shell: str, hook: str, spool: Path, tools: Path
) -> None:
    run(shell, hook, spool, tools)
    assert told(spool) == [Message(EVENTS[hook], "123")]


@pytest.mark.parametrize("name", ["", "../../7", "7;touch 8", "$(touch 8)", "7 8", "-1"])
def test_what_is_no_number_is_no_job(
    shell: str, hook: str, spool: Path, tools: Path, name: str
) -> None:
    run(shell, hook, spool, tools, SLURM_JOB_ID=name)
    assert not [*spool.iterdir()]


def test_values_with_anything_odd_in_them_are_left_out(
    shell: str, hook: str, spool: Path, tools: Path
) -> None:
    odd = {
        "SLURM_JOB_RESTART_COUNT": "1\njob=9",
        "SLURM_JOB_EXIT_CODE2": "x",
        "SLURMD_NODENAME": "a/b",
    }
    run(shell, hook, spool, tools, **odd)
    assert told(spool) == [Message(EVENTS[hook], "123")]


def test_a_message_is_for_the_folders_group_alone(
    shell: str, hook: str, spool: Path, tools: Path
) -> None:
    spool.chmod(0o3733)
    run(shell, hook, spool, tools)
    assert [path.stat().st_mode & 0o777 for path in spool.iterdir()] == [0o640]
    assert [path.stat().st_gid for path in spool.iterdir()] == [spool.stat().st_gid]


def test_the_folder_may_be_missing(shell: str, hook: str, tmp_path: Path, tools: Path) -> None:
    run(shell, hook, tmp_path / "nowhere", tools)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("thing", ["a fifo", "a file", "a link to nothing"])
def test_something_else_may_be_in_its_place(
    shell: str, hook: str, tmp_path: Path, tools: Path, thing: str
) -> None:
    place = tmp_path / "place"
    if thing == "a fifo":
        os.mkfifo(place)
    elif thing == "a file":
        place.touch()
    else:
        place.symlink_to("/nowhere")
    run(shell, hook, place, tools)


@pytest.fixture
def small(spool: Path) -> Iterator[Path]:
    """A file system that holds three files and one page."""
    options = ["-t", "tmpfs", "-o", "size=4k,nr_inodes=4", "none", str(spool)]
    if subprocess.run(["mount", *options], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    yield spool
    subprocess.run(["umount", str(spool)], check=True)


def test_the_folder_may_be_full(shell: str, hook: str, small: Path, tools: Path) -> None:
    (small / "full").write_bytes(bytes(4096))
    run(shell, hook, small, tools)
    assert [path.name for path in small.iterdir()] == ["full"]


def test_the_folder_may_take_no_file(shell: str, hook: str, small: Path, tools: Path) -> None:
    for number in range(3):
        (small / str(number)).touch()
    run(shell, hook, small, tools)
    assert len([*small.iterdir()]) == 3


def test_the_folder_may_be_read_only(shell: str, hook: str, small: Path, tools: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    run(shell, hook, small, tools)
    assert not [*small.iterdir()]


@pytest.mark.parametrize("stuck", ["mkdir", "cat", "mv"])
def test_a_file_server_that_does_not_answer_is_not_waited_for(
    shell: str, hook: str, spool: Path, tools: Path, tmp_path: Path, stuck: str
) -> None:
    tool(tools, stuck, STUCK)
    run(shell, impatient(hook, tmp_path), spool, tools)


@pytest.mark.parametrize("stuck", ["journalctl", "dmesg"])
def test_an_end_is_told_although_the_journal_does_not_answer(
    shell: str, spool: Path, tools: Path, stuck: str
) -> None:
    """Here the limit is the real one."""
    tool(tools, stuck, STUCK)
    run(shell, "epilog", spool, tools)
    assert [message.event for message in told(spool)] == [Event.NODE_END]


def test_programs_may_be_missing(shell: str, hook: str, spool: Path, tmp_path: Path) -> None:
    path = shutil.which(shell)
    assert path is not None
    env = {"PATH": str(tmp_path), "AJRD_HOOK_DIR": str(spool), "SLURM_JOB_ID": "123"}
    assert outcome([path, HOOKS / hook], env) == (0, b"", b"")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be a user that may do nothing")
@pytest.mark.parametrize("shell", ["dash", pytest.param("bash", marks=pytest.mark.full)])
def test_no_process_may_be_to_be_had(shell: str, hook: str, tmp_path: Path) -> None:
    """A user of its own with no process left; bash tries again for 15 s by itself."""
    script = tmp_path / hook
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == os.geteuid() and parent.stat().st_mode & 0o777 == 0o700:
            parent.chmod(0o711)
    shutil.copy(HOOKS / hook, script)
    script.chmod(0o755)
    limited = ["setpriv", "--reuid=54399", "--regid=54399", "--clear-groups", shell, str(script)]
    env = {"PATH": os.environ["PATH"], "AJRD_HOOK_DIR": "/tmp", "SLURM_JOB_ID": "123"}
    status, _, _ = outcome(["prlimit", "--nproc=1:1", *limited], env)
    assert status == 0


def test_it_adds_what_the_kernel_said(shell: str, spool: Path, tools: Path) -> None:
    tool(
        tools,
        "journalctl",
        "#!/bin/sh\n"
        f'echo "$*" >{spool.parent}/asked\n'
        f"echo '1700000100.250000 host kernel: {XID}'\n"
        "echo '1700000101.000000 host kernel: usb 1-1: new device'\n"
        "echo '1700000050.000000 host kernel: mce: [Hardware Error]: before the job'\n",
    )
    run(shell, "epilog", spool, tools, SLURM_JOB_START_TIME="1700000060", SLURMD_NODENAME="n1")
    (kernel,) = (message for message in told(spool) if message.event is Event.KERNEL)
    assert (kernel.job, kernel.node) == ("123", "n1")
    assert [(line.at, line.text) for line in kernel.lines] == [(1700000100.25, XID)]
    assert "--since=@1700000060" in (spool.parent / "asked").read_text()


def test_it_reads_the_kernels_own_memory_where_no_journal_is(
    shell: str, spool: Path, tools: Path
) -> None:
    tool(tools, "dmesg", f"#!/bin/sh\necho '[  100.500000] {XID}'\n")
    run(shell, "epilog", spool, tools)
    (kernel,) = (message for message in told(spool) if message.event is Event.KERNEL)
    boot = int(Path("/proc/stat").read_text().partition("btime ")[2].split()[0])
    assert [(line.at, line.text) for line in kernel.lines] == [(boot + 100.5, XID)]


def test_a_kernel_that_says_very_much_is_cut_short(shell: str, spool: Path, tools: Path) -> None:
    many = f"echo '1700000100.0 host kernel: {XID}{'x' * 5000}'\n" * 500
    tool(tools, "journalctl", f"#!/bin/sh\n{many}")
    run(shell, "epilog", spool, tools)
    (kernel,) = (path for path in spool.iterdir() if path.name.endswith(".kernel"))
    assert kernel.stat().st_size < 100_000


def test_the_two_hooks_of_the_controller_differ_in_the_event_alone() -> None:
    one, other = ((HOOKS / name).read_text().splitlines() for name in list(EVENTS)[1:])
    assert [a for a, b in zip(one, other, strict=True) if a != b and a[0] != "#"] == ["event=end"]
