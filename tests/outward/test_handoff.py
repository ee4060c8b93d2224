"""Suspected nodes: what is drained and reported, what comes back, and what a crash leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ajrd.errors import NotLeader, SlurmUnavailable, StoreUnavailable
from ajrd.store.store import Store
from tests.outward.receiver import (
    BROKEN,
    BUSY,
    DENIED,
    ELSEWHERE,
    HANG,
    HUGE,
    TRICKLE,
    Receiver,
    Reply,
    said,
)
from tests.outward.world import LIMITS, PLAN, Scene, node

DRAINS_ONLY = replace(PLAN, report_kinds=frozenset())
COOL = replace(DRAINS_ONLY, drain=replace(LIMITS, cool_down=600.0))
REPORTS_ONLY = replace(PLAN, drain=None)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(f"sqlite:///{tmp_path}/ajrd.sqlite")
    yield store
    await store.close()


@pytest.fixture
async def scene(store: Store, receiver: Receiver) -> AsyncIterator[Scene]:
    scene = Scene(store, receiver.url)
    yield scene
    await scene.close()


class Killed(BaseException):
    """The process ends here."""


def dies_at(moment: str) -> Callable[[str], None]:
    def checkpoint(name: str) -> None:
        if name == moment:
            raise Killed

    return checkpoint


# draining


async def test_a_suspected_node_is_drained_once(scene: Scene) -> None:
    await scene.suspect("n2")
    handoff = scene.handoff(DRAINS_ONLY)
    await handoff.turn()
    await handoff.turn()
    assert scene.slurm.drained == ["n2"]
    assert scene.slurm.seen["n2"].reason == "ajrd: HARDWARE xid, job 7 attempt 0"
    assert [row["drain"] for row in await scene.rows()] == ["drained"]
    assert "node_drained" in await scene.trail()


async def test_nothing_is_drained_in_observe_mode(scene: Scene) -> None:
    scene.act = False
    await scene.suspect("n2")
    await scene.handoff(DRAINS_ONLY).turn()
    assert scene.slurm.drained == []


async def test_a_node_that_somebody_resumed_is_not_drained_again(scene: Scene) -> None:
    await scene.suspect("n2")
    await scene.handoff(DRAINS_ONLY).turn()
    scene.slurm.resume("n2")
    await scene.handoff(DRAINS_ONLY).turn()
    assert scene.slurm.drained == ["n2"]
    await scene.suspect("n2", job_id="8")
    await scene.handoff(DRAINS_ONLY).turn()
    assert scene.slurm.drained == ["n2", "n2"]


async def test_a_node_that_somebody_else_drained_keeps_its_reason(scene: Scene) -> None:
    scene.slurm.seen["n2"] = node("n2", "idle+drain", "ticket 4711")
    await scene.suspect("n2")
    await scene.handoff(DRAINS_ONLY).turn()
    assert scene.slurm.drained == []
    assert scene.slurm.seen["n2"].reason == "ticket 4711"
    assert [row["drain_note"] for row in await scene.rows()] == [
        "it is drained already: ticket 4711"
    ]


async def test_what_the_budget_does_not_allow_waits_until_people_resume(scene: Scene) -> None:
    one = replace(DRAINS_ONLY, drain=replace(LIMITS, max_nodes=1))
    await scene.suspect("n1")
    await scene.suspect("n2", job_id="8")
    handoff = scene.handoff(one)
    for _ in range(3):
        await handoff.turn()
    assert scene.slurm.drained == ["n1"]
    scene.slurm.resume("n1")
    await handoff.turn()
    assert scene.slurm.drained == ["n1", "n2"]


async def test_two_nodes_are_drained_a_cool_down_apart_also_by_another_leader(scene: Scene) -> None:
    await scene.suspect("n1")
    await scene.suspect("n2", job_id="8")
    await scene.handoff(COOL).turn()
    await scene.handoff(COOL).turn()
    assert scene.slurm.drained == ["n1"]
    scene.clock.pass_by(601)
    await scene.handoff(COOL).turn()
    assert scene.slurm.drained == ["n1", "n2"]


async def test_an_old_suspicion_drains_nothing(scene: Scene) -> None:
    await scene.suspect("n1")
    scene.clock.pass_by(3601)
    await scene.handoff(DRAINS_ONLY).turn()
    assert scene.slurm.drained == []
    assert [row["drain"] for row in await scene.rows()] == ["left"]


@pytest.mark.parametrize("name", ["ALL", "n[1-4]", "n1,n2", "-h", "n1 State=DOWN", "../n1", ""])
async def test_a_hostile_name_never_becomes_an_argument(scene: Scene, name: str) -> None:
    scene.slurm.seen[name] = node(name)
    await scene.suspect(name)
    await scene.handoff(DRAINS_ONLY).turn()
    assert scene.slurm.drained == []
    assert [row["drain"] for row in await scene.rows()] == ["left"]


async def test_a_killed_ajrd_goes_on_with_the_drain(scene: Scene) -> None:
    await scene.suspect("n1")
    with pytest.raises(Killed):
        await scene.handoff(COOL, dies_at("drain_claimed")).turn()
    assert scene.slurm.drained == []
    await scene.handoff(COOL).turn()
    assert scene.slurm.drained == ["n1"]


async def test_a_drain_whose_record_was_lost_is_recorded_and_not_repeated(scene: Scene) -> None:
    await scene.suspect("n1")
    with pytest.raises(Killed):
        await scene.handoff(DRAINS_ONLY, dies_at("drain_done")).turn()
    await scene.handoff(DRAINS_ONLY).turn()
    assert scene.slurm.drained == ["n1"]
    assert [row["drain"] for row in await scene.rows()] == ["drained"]


async def test_an_old_claim_without_effect_is_left_to_people(scene: Scene) -> None:
    await scene.suspect("n1")
    with pytest.raises(Killed):
        await scene.handoff(DRAINS_ONLY, dies_at("drain_claimed")).turn()
    scene.clock.pass_by(301)
    await scene.handoff(DRAINS_ONLY).turn()
    assert scene.slurm.drained == []
    assert [row["drain"] for row in await scene.rows()] == ["unclear"]


async def test_a_lost_answer_of_slurmctld_is_looked_up(scene: Scene) -> None:
    await scene.suspect("n1")
    scene.slurm.deaf = True
    handoff = scene.handoff(DRAINS_ONLY)
    with pytest.raises(SlurmUnavailable):
        await handoff.turn()
    await handoff.turn()
    assert scene.slurm.drained == ["n1"]
    assert [row["drain"] for row in await scene.rows()] == ["drained"]


async def test_nobody_drains_without_time_left_on_the_lease(scene: Scene) -> None:
    await scene.suspect("n1")
    scene.lease.good = False
    await scene.handoff(DRAINS_ONLY).turn()
    assert scene.slurm.drained == []


async def test_a_leader_that_was_replaced_drains_nothing(scene: Scene, tmp_path: Path) -> None:
    await scene.suspect("n1")
    assert await scene.store.acquire_lease("old", "h1", 1, 60.0)
    handoff = scene.handoff(DRAINS_ONLY)
    other = await Store.open(f"sqlite:///{tmp_path}/ajrd.sqlite")
    assert await other.acquire_lease("new", "h2", 2, 60.0, dead="old")
    with pytest.raises(NotLeader):
        await handoff.turn()
    assert scene.slurm.drained == []
    await replace_store(scene, other).handoff(DRAINS_ONLY).turn()
    assert scene.slurm.drained == ["n1"]
    await other.close()


async def test_a_leader_whose_lease_has_run_out_drains_nothing(scene: Scene) -> None:
    await scene.suspect("n1")
    assert await scene.store.acquire_lease("old", "h1", 1, -1.0)
    with pytest.raises(StoreUnavailable, match="lease"):
        await scene.handoff(DRAINS_ONLY).turn()
    assert scene.slurm.drained == []


def replace_store(scene: Scene, store: Store) -> Scene:
    scene.store = store
    return scene


# the hardware service


async def test_a_report_says_what_the_template_asks_for(
    scene: Scene, receiver: Receiver, secret_file: Path
) -> None:
    scene.token_file = secret_file
    await scene.suspect("n1")
    receiver.replies.append(said({"id": 42}))
    await scene.handoff(REPORTS_ONLY).turn()
    (sent,) = receiver.sent
    assert (sent.method, sent.path) == ("POST", "/nodes/n1")
    assert sent.json == {"node": "n1", "why": ["HARDWARE xid"]}
    assert sent.headers["authorization"] == "Bearer s3cret"
    assert [(row["report"], row["reference"]) for row in await scene.rows()] == [("told", "42")]


async def test_a_report_is_sent_once_and_asked_about_at_its_interval(
    scene: Scene, receiver: Receiver
) -> None:
    receiver.usual = said({"id": "a/b..", "state": "testing"})
    await scene.suspect("n1")
    handoff = scene.handoff(REPORTS_ONLY)
    for _ in range(3):
        await handoff.turn()
    scene.clock.pass_by(61)
    await handoff.turn()
    assert [sent.method for sent in receiver.sent] == ["POST", "GET"]
    assert receiver.sent[1].path == "/reports/a%2Fb%2E%2E"


@pytest.mark.parametrize(("word", "verdict"), [("BROKEN", "faulty"), ("ok", "healthy")])
async def test_a_verdict_is_kept_and_known(
    scene: Scene, receiver: Receiver, word: str, verdict: str
) -> None:
    receiver.usual = said({"id": 1, "state": word})
    await scene.suspect("n1")
    handoff = scene.handoff(REPORTS_ONLY)
    await handoff.turn()
    assert [(row["verdict"], row["report"]) for row in await scene.rows()] == [
        (verdict, "answered")
    ]
    assert "node_verdict" in await scene.trail()
    assert ("n1" in handoff.known.faulty) == (verdict == "faulty")
    assert ("n1" in handoff.known.healthy) == (verdict == "healthy")


async def test_what_is_known_survives_a_restart_and_ends(scene: Scene, receiver: Receiver) -> None:
    receiver.usual = said({"id": 1, "state": "broken"})
    await scene.suspect("n1")
    await scene.handoff(REPORTS_ONLY).turn()
    later = scene.handoff(REPORTS_ONLY)
    await later.turn()
    assert list(later.known.faulty) == ["n1"]
    scene.clock.pass_by(7 * 86400 + 1)
    await later.turn()
    assert list(later.known.faulty) == []


async def test_a_faulty_node_that_slurm_has_forgotten_is_not_named(
    scene: Scene, receiver: Receiver
) -> None:
    receiver.usual = said({"state": "broken"})
    await scene.suspect("n1")
    del scene.slurm.seen["n1"]
    handoff = scene.handoff(REPORTS_ONLY)
    await handoff.turn()
    assert handoff.known.faulty == ()


async def test_a_kill_between_report_and_record_sends_the_same_key(
    scene: Scene, receiver: Receiver
) -> None:
    await scene.suspect("n1")
    with pytest.raises(Killed):
        await scene.handoff(REPORTS_ONLY, dies_at("hardware_reported")).turn()
    await scene.handoff(REPORTS_ONLY).turn()
    first, second = (sent.headers["idempotency-key"] for sent in receiver.sent)
    assert first == second
    assert first


async def test_each_suspicion_has_a_key_of_its_own(scene: Scene, receiver: Receiver) -> None:
    await scene.suspect("n1")
    await scene.suspect("n1", job_id="8")
    await scene.handoff(REPORTS_ONLY).turn()
    assert len({sent.headers["idempotency-key"] for sent in receiver.sent}) == 2


@pytest.mark.parametrize(
    "reply",
    [BROKEN, DENIED, ELSEWHERE, HANG, HUGE, TRICKLE, Reply(404)],
    ids=["500", "401", "redirect", "hanging", "huge", "endless", "404"],
)
async def test_a_service_that_fails_is_asked_again_later(
    scene: Scene, receiver: Receiver, reply: Reply
) -> None:
    receiver.replies.append(reply)
    await scene.suspect("n1")
    await scene.suspect("n2", job_id="8")
    handoff = scene.handoff(REPORTS_ONLY, timeout=0.5)
    await handoff.turn()
    assert len(receiver.sent) == 1
    assert [row["report"] for row in await scene.rows()] == [None, None]
    assert handoff.patience.failures == 1
    handoff.patience.until = 0.0
    await handoff.turn()
    assert [row["report"] for row in await scene.rows()] == ["told", "told"]
    assert handoff.patience.failures == 0


async def test_the_pause_that_a_service_asks_for_is_kept(scene: Scene, receiver: Receiver) -> None:
    receiver.replies.append(BUSY)
    await scene.suspect("n1")
    handoff = scene.handoff(REPORTS_ONLY)
    began = asyncio.get_running_loop().time()
    await handoff.turn()
    assert handoff.patience.until >= began + 77


async def test_a_report_that_will_never_be_taken_is_given_up(
    scene: Scene, receiver: Receiver
) -> None:
    receiver.usual = Reply(422, b"no such field")
    await scene.suspect("n1")
    await scene.handoff(REPORTS_ONLY).turn()
    assert [row["report"] for row in await scene.rows()] == ["failed"]
    assert "node_report_failed" in await scene.trail()


async def test_a_report_is_given_up_in_the_end(scene: Scene, receiver: Receiver) -> None:
    receiver.usual = BROKEN
    await scene.suspect("n1")
    handoff = scene.handoff(REPORTS_ONLY)
    await handoff.turn()
    scene.clock.pass_by(86401)
    await handoff.turn()
    (row,) = await scene.rows()
    assert row["report"] == "failed"
    assert row["report_note"] == "the hardware service: HTTP 500: boom \\x1b[31m"


async def test_an_answer_that_is_no_json_is_a_report_that_was_taken(
    scene: Scene, receiver: Receiver
) -> None:
    receiver.usual = Reply(202, b"thanks")
    await scene.suspect("n1")
    await scene.handoff(REPORTS_ONLY).turn()
    assert [row["report"] for row in await scene.rows()] == ["told"]


async def test_a_word_that_nobody_knows_is_no_verdict(scene: Scene, receiver: Receiver) -> None:
    receiver.usual = said({"state": "perhaps"})
    await scene.suspect("n1")
    handoff = scene.handoff(REPORTS_ONLY)
    await handoff.turn()
    assert [row["verdict"] for row in await scene.rows()] == ["pending"]
    assert handoff.known.faulty == ()


async def test_hostile_names_stay_data_in_json_and_in_the_url(
    scene: Scene, receiver: Receiver
) -> None:
    name = '../{key}"},{"node":"n2\n'
    await scene.suspect(name, cause='"}{kind}')
    await scene.handoff(REPORTS_ONLY).turn()
    (sent,) = receiver.sent
    assert sent.json["node"] == name
    assert sent.json["why"] == ['HARDWARE "}{kind}']
    assert sent.path.startswith("/nodes/%2E%2E%2F%7Bkey%7D%22%7D")
    assert "/" not in sent.path.removeprefix("/nodes/")


async def test_kinds_that_are_not_configured_are_not_reported(
    scene: Scene, receiver: Receiver
) -> None:
    await scene.suspect("n1", kind="NETWORK")
    await scene.handoff(REPORTS_ONLY).turn()
    assert receiver.sent == []
    assert [row["report"] for row in await scene.rows()] == ["left"]


async def test_reports_go_out_while_slurm_is_away(scene: Scene, receiver: Receiver) -> None:
    scene.slurm.away = True
    await scene.suspect("n1")
    with pytest.raises(SlurmUnavailable):
        await scene.handoff().turn()
    assert len(receiver.sent) == 1


async def test_a_service_without_verdicts_is_told_once_and_asked_nothing(
    scene: Scene, receiver: Receiver
) -> None:
    """A question to nowhere would fail, and what fails keeps all other reports waiting."""
    await scene.suspect("n1")
    handoff = scene.handoff(REPORTS_ONLY, verdict_url="")
    for _ in range(3):
        await handoff.turn()
        scene.clock.pass_by(61)
    assert [sent.path for sent in receiver.sent] == ["/nodes/n1"]
    assert handoff.patience.failures == 0
    assert [(row["report"], row["verdict"]) for row in await scene.rows()] == [("answered", "")]
    assert await scene.trail() == ["node_suspected", "node_reported"]
