"""A real node is suspected, drained, reported and avoided, and webhooks tell of it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ajrd.daemon import FAULT_VARIABLE, STOP_VARIABLE
from tests.conftest import Cluster
from tests.database.server import Schema
from tests.outward.receiver import Receiver, Sent, receiving, said
from tests.service import Service, until
from tests.slurm.jobs import CRASHING, REQUEUE
from tests.web.recovered import numbers
from tests.web.test_metrics_of_service import get

Make = Callable[..., Service]

#: Its first attempt ends by a GPU of its own node.
BAD_GPU = """#!/bin/bash
[ $SLURM_RESTART_COUNT ] ||
    echo "Jan  1 12:00:00 $SLURMD_NODENAME kernel: NVRM: Xid (PCI:0000:61:00): 79, pid=1, lost"
sleep 300
"""
#: What is counted of it.
ONE_NODE = {
    'ajrd_webhook_deliveries_total{endpoint="ops",outcome="delivered"}': 2,
    'ajrd_webhook_lag_seconds{endpoint="ops"}': 0,
    'ajrd_hardware_requests_total{kind="report",outcome="answered"}': 1,
    "ajrd_hardware_reports_open": 0,
    "ajrd_hardware_failing_seconds": 0,
    'ajrd_drains_total{outcome="drained"}': 1,
    "ajrd_nodes_drained": 1,
    "ajrd_drain_budget_nodes": 2,
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        receiver.usual = said({"id": "r1", "state": "faulty"})
        yield receiver


@pytest.fixture
def make(make_service: Make, receiver: Receiver, tmp_path: Path) -> Iterator[Make]:
    """Services that hand off; the nodes are resumed at the end."""
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    secret.chmod(0o600)
    made: list[Service] = []

    def make(*, drain: bool = True, **options: Any) -> Service:
        service = make_service(**options)
        service.values["hardware"] = {
            "drain": {"enabled": drain},
            "api": {"url": f"{receiver.url}/nodes/{{node}}", "token_file": str(secret)},
        }
        webhook = {"name": "ops", "url": f"{receiver.url}/hook", "secret_file": str(secret)}
        service.values["notify"] = {"webhooks": [webhook]}
        service.config.write_text(yaml.safe_dump(service.values))
        made.append(service)
        return service

    yield make
    for name in drained(made[0]):
        made[0].slurm("scontrol", "update", f"NodeName={name}", "State=RESUME")


def drained(service: Service) -> list[str]:
    shown = service.slurm("sinfo", "-h", "-N", "-p", "main", "-t", "drain", "-o", "%N")
    return shown.split()


def told(receiver: Receiver, path: str) -> list[Sent]:
    return [sent for sent in receiver.sent if sent.path.startswith(path)]


def hooks(receiver: Receiver) -> list[tuple[str, str]]:
    return [(sent.json["event"], sent.json["id"]) for sent in told(receiver, "/hook")]


def counted(socket: Path) -> dict[str, float]:
    """What metrics say of one node and its two webhooks, as far as they say so already."""
    seen = numbers(get(socket, "/metrics")[1])
    return {name: seen[name] for name in ONE_NODE}


def test_a_bad_node_is_drained_reported_and_avoided_until_people_resume_it(
    make: Make, receiver: Receiver, tmp_path: Path
) -> None:
    service = make(web={"socket": str(tmp_path / "socket")})
    service.start()
    job_id = service.submit(BAD_GPU, REQUEUE)
    service.await_state(job_id, "RUNNING|None|1|")
    [node] = until("the node to be drained", lambda: drained(service))
    why = service.slurm("sinfo", "-h", "-N", "-p", "main", "-n", node, "-O", "Reason:100")
    assert why == f"ajrd: HARDWARE gpu_lost, job {job_id} attempt 0"
    report = until("the report", lambda: told(receiver, f"/nodes/{node}"))[0]
    assert report.json["cause"] == "gpu_lost"
    assert report.headers["authorization"] == "Bearer s3cret"
    until("two webhooks", lambda: len(hooks(receiver)) == 2)
    assert [event for event, _ in hooks(receiver)] == ["node.suspected", "job.recovered"]
    until("the verdict", lambda: service.said("node_verdict", node=node))
    until("all to be counted", lambda: counted(tmp_path / "socket") == ONE_NODE)
    other = service.submit(CRASHING, REQUEUE)
    service.await_state(other, "RUNNING|None|1|")
    assert service.slurm("squeue", "-h", "-j", other, "-o", "%x") == node
    service.slurm("scontrol", "update", f"NodeName={node}", "State=RESUME")
    until("another turn", lambda: len(hooks(receiver)) >= 3)
    assert drained(service) == []
    assert "faulty" in service.ajrd("nodes").stdout


@pytest.mark.parametrize(
    "moment",
    [
        "hardware_reported",
        *(
            pytest.param(moment, marks=pytest.mark.full)
            for moment in ("drain_claimed", "drain_done", "webhook_delivered")
        ),
    ],
)
def test_a_kill_in_the_middle_repeats_nothing_under_another_name(
    make: Make, receiver: Receiver, moment: str
) -> None:
    service = make()
    service.start(**{FAULT_VARIABLE: moment})
    job_id = service.submit(BAD_GPU, REQUEUE)
    assert service.wait() == -signal.SIGKILL
    service.start()
    service.await_state(job_id, "RUNNING|None|1|")
    until("the node to be drained", lambda: len(drained(service)) == 1)
    until("the verdict", lambda: service.said("node_verdict"))
    until("the recovery to be told", lambda: "job.recovered" in dict(hooks(receiver)))
    keys = {sent.headers["idempotency-key"] for sent in told(receiver, "/nodes/")}
    assert len(keys) == 1
    assert len(set(hooks(receiver))) == 2
    if moment == "hardware_reported":
        assert len(told(receiver, "/nodes/")) == 2
    if moment == "webhook_delivered":
        assert len(hooks(receiver)) == 3


@pytest.mark.full
def test_a_leader_that_froze_behind_a_delivery_sends_nothing_more(
    make: Make, receiver: Receiver, mysql: Schema
) -> None:
    options: dict[str, Any] = {
        "database": mysql.section(timeout=1), "slurm": {"timeout": 2}, "lease": 5, "drain": False,
    }  # fmt: skip
    first, second = make(**options), make(**options)
    first.start(**{STOP_VARIABLE: "webhook_delivered"})
    second.start()
    job_id = first.submit(BAD_GPU, REQUEUE)
    first.await_stop()
    second.await_state(job_id, "RUNNING|None|1|")
    until("the other one to tell", lambda: "job.recovered" in dict(hooks(receiver)))
    before = hooks(receiver)
    first.wake()
    first.await_event("standby")
    assert hooks(receiver) == before
    assert len(set(before)) == 2


@pytest.mark.full
def test_in_observe_mode_no_node_is_drained(make: Make, receiver: Receiver, lab: Cluster) -> None:
    service = make(mode="observe")
    service.start()
    service.submit(BAD_GPU, REQUEUE)
    until("the report", lambda: told(receiver, "/nodes/"))
    until("the webhook", lambda: hooks(receiver))
    until("the verdict", lambda: service.said("node_verdict"))
    assert drained(service) == []
