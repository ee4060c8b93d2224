"""Two services on one database: one acts, and the other goes on when it cannot any more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from ajrd.daemon import FAULT_VARIABLE, STOP_VARIABLE
from tests.database.proxy import Proxy
from tests.database.server import Schema
from tests.faults.proof import (
    assert_recovered,
    assert_stopped_for_good,
    breaks,
    second_attempt,
)
from tests.service import Service, until
from tests.slurm.jobs import REQUEUE

Make = Callable[..., Service]

#: Seconds: a lease that is soon over, and one that no test could wait for.
SHORT, ENDLESS = 5, 3000
#: A holder on another host, of whom nobody can prove that he is dead.
FOREIGN = "0123456789abcdef.4026531836.4711.99"
FREEZES = (
    "looked:requeue_hold",
    "commit_after:finishing requeue_hold",
    "commit_before:claiming requeue_hold",
)
OTHER_FREEZES = (
    "commit_before:recording evidence",
    "commit_before:writing a decision",
    "commit_after:writing a decision",
    "commit_after:claiming requeue_hold",
    "ran:requeue_hold",
    "looked:update",
    "looked:release",
    "ran:release",
    "commit_before:closing decision",
    "commit_before:renewing the lease",
)


@pytest.fixture
def make(make_service: Make, mysql: Schema) -> Make:
    """Makes services on one database; they are quick to find out that something is away."""

    def made(port: int | None = None, **options: object) -> Service:
        quick = {"slurm": {"timeout": 2}, "lease": SHORT, **options}
        return make_service(database=mysql.section(port, timeout=1), **quick)

    return made


@pytest.fixture
def proxy(mysql: Schema) -> Iterator[Proxy]:
    with Proxy(mysql.server.port) as proxy:
        yield proxy


def await_lead(service: Service, times: int = 1) -> None:
    """Waits until the service has taken the lease, so many times in all."""
    until("the service to lead", lambda: len(service.said("leading")) >= times)


def role(service: Service) -> str:
    """What it became when it started."""
    return str(service.said("started")[0]["role"])


def leader_pid(service: Service) -> str:
    """What ``ajrd status --service`` tells of the leader."""
    return service.ajrd("status", "--service").stdout.partition(" pid ")[2].partition(",")[0]


def kills(*services: Service) -> int:
    """How many requeues the services say they have done."""
    return sum(len(each.said("action_done", step="requeue_hold")) for each in services)


def test_of_two_that_race_one_acts(make: Make) -> None:
    both = [make(), make()]
    with ThreadPoolExecutor() as at_once:
        list(at_once.map(lambda service: service.start(), both))
    leader, other = sorted(both, key=role)
    assert [role(leader), role(other)] == ["leader", "standby"]
    assert leader.process is not None
    assert leader_pid(other) == str(leader.process.pid)
    assert_recovered(leader, leader.submit(breaks(), REQUEUE))
    assert other.said("attempt_started") == other.said("action_done") == []


def test_a_leader_that_was_killed_is_replaced_at_once(make: Make) -> None:
    """With the job held; its lease would last for the better part of an hour."""
    leader, other = make(lease=ENDLESS), make(lease=ENDLESS)
    leader.start(**{FAULT_VARIABLE: "commit_after:finishing requeue_hold"})
    other.start()
    job_id = leader.submit(breaks(), REQUEUE)
    leader.wait()
    await_lead(other)
    assert_recovered(other, job_id)
    assert other.process is not None
    assert leader_pid(other) == str(other.process.pid)


def test_a_leader_that_stops_hands_over_at_once(make: Make) -> None:
    leader, other = make(lease=ENDLESS), make(lease=ENDLESS)
    leader.start()
    other.start()
    assert leader.stop() == 0
    await_lead(other)
    assert_recovered(other, other.submit(breaks(), REQUEUE))


def test_a_holder_who_may_be_alive_is_waited_for(make: Make, mysql: Schema) -> None:
    leader, other = make(), make()
    leader.start(**{FAULT_VARIABLE: "commit_after:finishing requeue_hold"})
    job_id = leader.submit(breaks(), REQUEUE)
    leader.wait()
    end = f"UTC_TIMESTAMP(6) + INTERVAL {SHORT} SECOND"
    mysql.query(f"UPDATE leases SET holder = '{FOREIGN}', expires_at = {end}")  # noqa: S608 -- ours
    until_then = mysql.query("SELECT expires_at FROM leases").strip()
    other.start()
    assert role(other) == "standby"
    await_lead(other)
    assert mysql.query("SELECT acquired_at FROM leases").strip() >= until_then
    assert_recovered(other, job_id)


@pytest.mark.parametrize(
    "moment", [*FREEZES, *(pytest.param(each, marks=pytest.mark.full) for each in OTHER_FREEZES)]
)
def test_a_leader_that_froze_and_wakes_up_does_no_harm(make: Make, moment: str) -> None:
    """Nobody could know whether it still lives; afterwards it waits, and can lead again."""
    leader, other = make(), make()
    again = leader.folder / "again"
    leader.start(**{STOP_VARIABLE: moment})
    other.start()
    assert role(other) == "standby"
    job_id = leader.submit(breaks(again), REQUEUE)
    leader.await_stop()
    await_lead(other)
    assert_recovered(other, job_id)
    leader.wake()
    until("it to notice", lambda: leader.said("replaced"))
    until("it to wait", lambda: leader.said("standby"))
    until("it to let go of the logs", lambda: not leader.reads())
    assert_recovered(other, job_id)
    assert kills(leader, other) <= 1
    assert other.stop() == 0
    await_lead(leader, 2)
    again.touch()
    assert_stopped_for_good(leader, job_id)


@pytest.mark.full
def test_a_leader_that_froze_without_the_database_does_no_harm(make: Make, proxy: Proxy) -> None:
    """Without it there is no lease to be asked: only its last look at the job keeps it back."""
    leader, other = make(proxy.port, store_grace=0), make()
    gate = leader.folder / "gate"
    leader.start(**{STOP_VARIABLE: "looked:requeue_hold"})
    job_id = leader.submit(breaks(first=gate), REQUEUE)
    until("its log to be followed", lambda: _followed(leader, job_id))
    proxy.stall()
    gate.touch()
    leader.await_stop()
    other.start()
    await_lead(other)
    assert_recovered(other, job_id)
    proxy.resume()
    leader.wake()
    until("it to notice", lambda: leader.said("replaced"))
    until("it to wait", lambda: leader.said("standby"))
    assert kills(leader, other) == 1
    assert_recovered(other, job_id)


@pytest.mark.parametrize("crash", ["before the other leads", "after it"])
def test_a_leader_that_is_cut_off_does_not_act_beside_the_other(
    make: Make, proxy: Proxy, crash: str
) -> None:
    """It could act without the database, and has waited long enough for that."""
    leader, other = make(proxy.port, store_grace=2), make(store_grace=2)
    gate, again = leader.folder / "gate", leader.folder / "again"
    leader.start()
    other.start()
    job_id = leader.submit(breaks(again, first=gate), REQUEUE)
    until("its log to be followed", lambda: _followed(leader, job_id))
    proxy.stall()
    if crash == "before the other leads":
        gate.touch()
    await_lead(other)
    gate.touch()
    other.await_state(job_id, "RUNNING|None|1|")
    until("the cut off to see that", lambda: leader.said("attempt_started", attempt=1))
    proxy.resume()
    until("it to notice", lambda: leader.said("replaced"))
    until("it to wait", lambda: leader.said("standby"))
    assert kills(leader, other) == 1
    assert other.state(job_id) == "RUNNING|None|1|"
    until("its log to be followed", lambda: second_attempt(other, job_id, lambda it: it.sources))
    again.touch()
    assert_stopped_for_good(other, job_id)


def _followed(service: Service, job_id: str) -> bool:
    history = service.history(job_id)
    return bool(history and history.attempts and history.attempts[0].sources)
