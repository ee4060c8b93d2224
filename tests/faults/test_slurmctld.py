"""slurmctld dies, freezes, answers late or refuses while a job is being recovered."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ajrd.daemon import STOP_VARIABLE
from ajrd.model import DecisionState
from ajrd.store.history import JobHistory
from labcluster.cluster import Lab
from labdemo.service import PATIENCE
from tests.faults.labs import CRASHES_WHEN_TOLD, Manners, kill, mend, own_lab, submit_saved
from tests.faults.moments import OF_A_REQUEUE, around
from tests.service import Service, until
from tests.slurm.jobs import REQUEUE

Make = Callable[..., Service]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Instead of the Slurm that all tests share."""
    with own_lab() as lab:
        yield lab


@pytest.fixture(autouse=True)
def mended(lab: Lab, make_service: Make) -> Iterator[None]:
    yield
    mend(lab)


def recovered_once(service: Service, job_id: str) -> None:
    """The job runs its second attempt; nothing was done twice, closed wrongly or left held."""

    def over() -> JobHistory | None:
        history = service.history(job_id)
        decision = history.attempts[0].decision if history and history.attempts else None
        if decision is None or decision.state is DecisionState.OPEN:
            return None
        assert (decision.outcome, decision.detail) == ("successor_started", "")
        return history if history and len(history.attempts) > 1 else None

    history = until("the second attempt", over)
    assert service.state(job_id) == "RUNNING|None|1|"
    states = [a.attempt.state for a in history.attempts]
    assert states in (["REQUEUED", "RUNNING"], ["FAILED", "RUNNING"])
    assert not history.job.closed


def started_twice(service: Service) -> None:
    """The job's script began a second time, and no more."""
    starts = service.folder / "starts"
    until("the second start", lambda: len(starts.read_text().splitlines()) >= 2)
    assert len(starts.read_text().splitlines()) == 2


def submitted(service: Service) -> str:
    """A job that is running and known."""
    job_id = service.submit(CRASHES_WHEN_TOLD, REQUEUE)
    until("the attempt to be known", lambda: (h := service.history(job_id)) and h.attempts)
    return job_id


def crash(service: Service) -> None:
    (service.folder / "crash").touch()


def in_full(*values: Any) -> Any:
    """Parameters of a test that takes long with all of them."""
    return pytest.param(*values, marks=pytest.mark.full)


# slurmctld dies

IN_CI = ("ran:requeue_hold",)
#: From here on the recovery is over, whatever Slurm remembers of it.
AFTER = around("closing decision")


@pytest.mark.parametrize(
    "checkpoint",
    [name if name in IN_CI else in_full(name) for name in OF_A_REQUEUE if name not in AFTER],
)
def test_slurmctld_is_killed(make_service: Make, lab: Lab, checkpoint: str) -> None:
    """It forgets what it did in its last seconds: a kill may have to be repeated."""
    service = make_service(slurm={"timeout": 2})
    job_id = submit_saved(lab, service, REQUEUE)
    service.start(**{STOP_VARIABLE: checkpoint})
    crash(service)
    service.await_stop()
    kill(lab, "slurmctld")
    service.wake()
    service.await_event("unknown")
    lab.start_controller()
    recovered_once(service, job_id)


@pytest.mark.parametrize("checkpoint", [in_full(AFTER[0]), AFTER[1]])
def test_slurmctld_forgets_a_successor_that_runs(
    make_service: Make, lab: Lab, checkpoint: str
) -> None:
    """It takes the successor for the attempt before it; nothing is done to it, and that is told."""
    service = make_service(slurm={"timeout": 2})
    job_id = submit_saved(lab, service, REQUEUE)
    service.start(**{STOP_VARIABLE: checkpoint})
    crash(service)
    service.await_stop()
    started_twice(service)
    kill(lab, "slurmctld")
    service.wake()
    service.await_event("unknown")
    lab.start_controller()
    service.await_state(job_id, "RUNNING|None|0|")

    def told() -> JobHistory | None:
        history = service.history(job_id)
        said = [event.event for event in history.events] if history else []
        return history if "slurm_forgot" in said else None

    history = until("it to be told", told)
    assert not history.job.closed
    assert "UNKNOWN" not in [a.attempt.state for a in history.attempts]
    decision = history.attempts[0].decision
    assert decision is not None
    assert decision.outcome == "successor_started"
    started_twice(service)


@pytest.mark.parametrize("checkpoint", ["commit_after:claiming requeue_hold", "ran:update"])
def test_slurmctld_is_restarted(make_service: Make, lab: Lab, checkpoint: str) -> None:
    """As ``systemctl restart``: it goes on from where it was."""
    service = make_service(slurm={"timeout": 2})
    service.start(**{STOP_VARIABLE: checkpoint})
    job_id = submitted(service)
    crash(service)
    service.await_stop()
    lab.daemon("slurmctld").end(PATIENCE)
    service.wake()
    service.await_event("unknown")
    lab.start_controller()
    recovered_once(service, job_id)
    started_twice(service)


def test_slurmctld_is_away_before_the_crash_and_at_the_start(make_service: Make, lab: Lab) -> None:
    service = make_service(slurm={"timeout": 2})
    service.start()
    job_id = submitted(service)
    lab.daemon("slurmctld").end(PATIENCE)
    service.await_event("unknown")
    crash(service)
    until(
        "the crash to be read", lambda: (h := service.history(job_id)) and h.attempts[0].anomalies
    )
    lab.start_controller()
    recovered_once(service, job_id)
    started_twice(service)


def test_slurmctld_is_reconfigured_all_the_time(make_service: Make, lab: Lab) -> None:
    service = make_service()
    service.start()
    job_id = submitted(service)
    crash(service)

    def successor() -> bool:
        service.slurm("scontrol", "reconfigure")
        return service.state(job_id) == "RUNNING|None|1|"

    until("the successor", successor)
    recovered_once(service, job_id)
    started_twice(service)


# slurmctld freezes

COMMANDS = {
    "announce": "update*AdminComment*",
    "requeue_hold": "requeuehold*",
    "update": "update*StartTime*",
    "release": "release*",
}


@pytest.mark.parametrize("command", list(COMMANDS))
def test_slurmctld_is_frozen(make_service: Make, lab: Lab, tmp_path: Path, command: str) -> None:
    """The command stays in its queue when the client is killed, and is carried out after all."""
    manners = Manners(tmp_path)
    controller = lab.daemon("slurmctld")
    manners.once(COMMANDS[command], f"kill -STOP {controller.pid}")
    service = make_service(slurm={"timeout": 2, "bin_dir": str(manners.bin_dir)})
    service.start()
    job_id = submitted(service)
    crash(service)
    service.await_event("recovery_waits")
    service.await_event("unknown")
    controller.tell(signal.SIGCONT)
    recovered_once(service, job_id)
    started_twice(service)


# slurmctld is slow


@pytest.mark.parametrize("ran", [False, True], ids=["command lost", "answer lost"])
@pytest.mark.parametrize(
    "command", ["requeue_hold", "release", in_full("announce"), in_full("update")]
)
def test_one_answer_takes_too_long(
    make_service: Make, tmp_path: Path, command: str, ran: bool
) -> None:
    manners = Manners(tmp_path)
    first = '"$real" "$@";' if ran else ""
    manners.once(COMMANDS[command], f"{first} exec sleep 60")
    service = make_service(slurm={"timeout": 1, "bin_dir": str(manners.bin_dir)})
    service.start()
    job_id = submitted(service)
    crash(service)
    service.await_event("recovery_waits")
    recovered_once(service, job_id)
    started_twice(service)


@pytest.mark.parametrize("seconds", [0.7, in_full(30)])
def test_every_answer_takes_its_time(make_service: Make, tmp_path: Path, seconds: float) -> None:
    manners = Manners(tmp_path)
    service = make_service(slurm={"timeout": seconds + 10, "bin_dir": str(manners.bin_dir)})
    service.start()
    job_id = submitted(service)
    manners.be(f"sleep {seconds}")
    crash(service)
    until("it to run again", lambda: service.state(job_id) == "RUNNING|None|1|", 40 * seconds + 60)
    manners.be("")
    recovered_once(service, job_id)
    started_twice(service)


# slurmctld refuses

WORDS = {
    "transport": "Transport endpoint is not connected",
    "nothing said": "Zero Bytes were transmitted or received",
    "standby": "slurm_update error: Slurm backup controller in standby mode",
    "permission": "Access/permission denied",
}


@pytest.mark.parametrize(
    ("words", "ran"),
    [
        ("transport", False),
        ("nothing said", True),
        ("permission", False),
        *(in_full(*case) for case in (("transport", True), ("nothing said", False))),
        *(in_full("standby", ran) for ran in (False, True)),
    ],
)
def test_every_command_is_refused_three_times(
    make_service: Make, tmp_path: Path, words: str, ran: bool
) -> None:
    """Whether the command was carried out before Slurm said so, or not."""
    manners = Manners(tmp_path)
    first = '"$real" "$@";' if ran else ""
    refuse = f'[ $(wc -l <"$said") -gt 3 ] || {{ {first} echo "{WORDS[words]}" >&2; exit 1; }}'
    manners.be(f'case $1 in update|requeuehold|release) echo >>"$said"; {refuse};; esac')
    service = make_service(slurm={"bin_dir": str(manners.bin_dir)})
    service.start()
    job_id = submitted(service)
    crash(service)
    recovered_once(service, job_id)
    started_twice(service)


@pytest.mark.parametrize("words", ["Connection reset by peer", in_full("no such words before")])
def test_every_question_is_refused_three_times(
    make_service: Make, tmp_path: Path, words: str
) -> None:
    """ajrd lives on, and knows nothing new."""
    manners = Manners(tmp_path)
    service = make_service(slurm={"bin_dir": str(manners.bin_dir)})
    service.start()
    job_id = submitted(service)
    say = f'echo "slurm_load_jobs error: {words}" >&2'
    refuse = f'[ $(wc -l <"$said") -gt 3 ] || {{ {say}; exit 1; }}'
    manners.be(f'case $0 in */squeue) echo >>"$said"; {refuse};; esac')
    crash(service)
    recovered_once(service, job_id)
    started_twice(service)
