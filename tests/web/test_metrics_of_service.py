"""The running service on a real Slurm tells of a recovery, as leader and as standby."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from labcluster.cluster import Lab
from tests.database.server import Schema
from tests.faults.labs import own_lab
from tests.service import Service, until
from tests.slurm.jobs import REQUEUE
from tests.web.prometheus import promtool
from tests.web.recovered import faults_of, numbers
from tests.web.test_service import OverSocket

MakeService = Callable[..., Service]
#: Its first attempt says so, and hangs.
CRASHES_ONCE = """#!/bin/bash
[ $SLURM_RESTART_COUNT ] || echo 'Rank0: (1) segmentation fault: artificial segfault'
echo running
sleep 300
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """One in which no job of another test has ended, which would be counted, too."""
    with own_lab(1) as lab:
        yield lab


def get(path: Path, target: str) -> tuple[int, str]:
    connection = OverSocket(path)
    connection.request("GET", target)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_one_recovery_is_told_step_by_step_and_the_standby_claims_none_of_it(
    make_service: MakeService, mysql: Schema, tmp_path: Path
) -> None:
    leader, standby = tmp_path / "one", tmp_path / "two"
    services = [
        make_service(database=mysql.section(), web={"socket": str(path)})
        for path in (leader, standby)
    ]
    for service in services:
        service.start()
    job_id = services[0].submit(CRASHES_ONCE, REQUEUE)
    services[0].await_state(job_id, "RUNNING|None|1|")
    until("nothing to be left out", lambda: not faults_of(get(leader, "/metrics")[1]), 20)
    assert promtool("check", "metrics", text=get(leader, "/metrics")[1]).stderr == ""
    seen = numbers(get(standby, "/metrics")[1])
    assert (seen["ajrd_leader"], seen["ajrd_attempts_started_total"]) == (0, 0)
    assert "ajrd_holds" not in seen
    for path, role in ((leader, "leader"), (standby, "standby")):
        status, text = get(path, "/readyz")
        assert status == HTTPStatus.OK, text
        assert json.loads(text) == {"ready": True, "role": role, "reasons": []}
        assert get(path, "/healthz")[0] == HTTPStatus.OK
    assert [service.stop() for service in services] == [0, 0]


def test_a_refused_reload_is_told(make_service: MakeService, tmp_path: Path) -> None:
    service = make_service(web={"socket": str(tmp_path / "one")})
    service.start()
    service.config.write_text("recovery: {mode: perhaps}\n")
    service.reload()

    def told() -> bool:
        text = get(tmp_path / "one", "/metrics")[1]
        return numbers(text)["ajrd_config_last_reload_successful"] == 0

    until("the refusal to be told", told)
    troubles = json.loads(get(tmp_path / "one", "/api/v1/service")[1])
    assert "reload_refused" in json.dumps(troubles)
    assert service.stop() == 0
