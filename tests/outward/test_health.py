"""What the metrics are told of hand-off and webhooks."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from unittest.mock import AsyncMock

import pytest

from ajrd.errors import SlurmRejected, SlurmUnavailable
from ajrd.hardware import handoff as handing
from ajrd.hardware.handoff import Handoff
from ajrd.hardware.health import HandoffHealth
from ajrd.model import Verb
from ajrd.notify.sender import PAGE
from ajrd.slurm.base import Refusal
from tests.outward.receiver import BROKEN, DENIED, HANG, HUGE, Receiver, Reply, said
from tests.outward.test_handoff import DRAINS_ONLY, REPORTS_ONLY, scene, store
from tests.outward.test_webhooks import Post, post
from tests.outward.world import LIMITS, Scene, node

__all__ = ["post", "scene", "store"]


# webhooks


async def test_each_try_counts_once_by_what_came_of_it(post: Post) -> None:
    sender = post.sender()
    await sender.turn()
    await post.over("7")
    await post.over("8")
    post.receiver.replies.extend([BROKEN, HANG, Reply(), Reply(422), Reply(422), Reply(422)])
    for _ in range(5):
        await sender.turn()
    wanted = {"refused": 3, "unavailable": 1, "delivered": 1, "given_up": 1}
    assert sender.health.tries == wanted
    assert len(post.receiver.sent) == sum(wanted.values())


async def test_the_lag_is_the_age_of_the_oldest_event_that_waits(post: Post) -> None:
    sender = post.sender()
    await sender.turn()
    assert sender.health.lag(post.clock()) == 0.0
    await post.over("7")
    await post.over("8")
    post.receiver.replies.extend([BROKEN, Reply(), BROKEN])
    await sender.turn()
    post.clock.pass_by(60)
    assert sender.health.lag(post.clock()) == 60.0
    await sender.turn()
    assert sender.health.lag(post.clock()) == 60.0, "the second one waits as long"
    await sender.turn()
    assert sender.health.lag(post.clock()) == 0.0


async def test_what_nobody_wants_to_hear_waits_for_nobody(post: Post) -> None:
    sender = post.sender(partitions=frozenset({"gpu"}))
    await sender.turn()
    await post.over("7")
    post.receiver.usual = BROKEN
    await sender.turn()
    post.clock.pass_by(60)
    assert sender.health.lag(post.clock()) == 0.0


async def test_an_event_waits_also_for_whoever_may_not_send_it(post: Post) -> None:
    sender = post.sender()
    await sender.turn()
    await post.over("7", Verb.STOP)
    post.may_act = False
    await sender.turn()
    post.clock.pass_by(9)
    assert sender.health.lag(post.clock()) == 9.0


async def test_a_backlog_of_several_pages_waits_until_the_last(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert PAGE > 5
    monkeypatch.setattr("ajrd.notify.sender.PAGE", 5)
    sender = post.sender()
    await sender.turn()
    await post.over("7")
    await post.over("8", Verb.STOP)
    await post.over("9")
    post.clock.pass_by(30)
    lags = []
    while await sender.turn() == 0.0:
        lags.append(sender.health.lag(post.clock()))
    assert set(lags) == {30.0}
    assert sender.health.lag(post.clock()) == 0.0


# the hardware service


def asked(health: HandoffHealth) -> Mapping[str, int]:
    return {f"{kind} {reply}": count for (kind, reply), count in health.requests.items()}


async def test_reports_and_verdicts_count_by_what_came_of_them(
    scene: Scene, receiver: Receiver
) -> None:
    await scene.suspect("n1")
    handoff = scene.handoff(REPORTS_ONLY, timeout=0.5)
    replies = [BROKEN, HANG, said({"id": "R1"}), DENIED, HUGE, said({"state": "ok"})]
    receiver.replies.extend(replies)
    for _ in replies:
        handoff.patience.answered()
        scene.clock.pass_by(61)
        await handoff.turn()
    assert asked(handoff.health) == {
        "report refused": 1,
        "report unavailable": 1,
        "report answered": 1,
        "verdict refused": 1,
        "verdict unavailable": 1,
        "verdict answered": 1,
    }


async def test_a_service_fails_from_its_first_failure_until_it_answers(
    scene: Scene, receiver: Receiver
) -> None:
    await scene.suspect("n1")
    handoff = scene.handoff(REPORTS_ONLY)
    receiver.replies.extend([BROKEN, BROKEN, said({"id": "R1"})])
    assert (handoff.health.open, handoff.health.failing(scene.clock())) == (0, 0.0)
    await handoff.turn()
    scene.clock.pass_by(10)
    handoff.patience.answered()
    await handoff.turn()
    assert (handoff.health.open, handoff.health.failing(scene.clock())) == (1, 10.0)
    handoff.patience.answered()
    await handoff.turn()
    assert (handoff.health.open, handoff.health.failing(scene.clock())) == (1, 0.0)


async def test_a_service_that_nobody_needs_any_more_does_not_fail(
    scene: Scene, receiver: Receiver
) -> None:
    """A report that it will never take is over: there is nothing to be mended by waiting."""
    await scene.suspect("n1")
    handoff = scene.handoff(REPORTS_ONLY)
    receiver.replies.append(Reply(422))
    await handoff.turn()
    scene.clock.pass_by(3600)
    assert (handoff.health.open, handoff.health.failing(scene.clock())) == (0, 0.0)
    assert asked(handoff.health) == {"report refused": 1}


# drains


async def drains(handoff: Handoff) -> Mapping[str, int]:
    """What a turn counts."""
    with suppress(SlurmUnavailable):
        await handoff.turn()
    return {how.value: count for how, count in handoff.health.drains.items()}


async def test_a_drained_node_is_counted_and_seen(scene: Scene) -> None:
    await scene.suspect("n1")
    handoff = scene.handoff(DRAINS_ONLY)
    assert await drains(handoff) == {"drained": 1}
    assert (handoff.health.drained, handoff.health.budget) == (1, LIMITS.max_nodes)


async def test_a_drain_that_slurm_refuses_has_failed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = AsyncMock(side_effect=SlurmRejected("no", Refusal.NOT_PERMITTED))
    monkeypatch.setattr(scene.slurm, "drain", refusal)
    await scene.suspect("n1")
    assert await drains(scene.handoff(DRAINS_ONLY)) == {"failed": 1}


async def test_a_drain_that_nobody_saw_work_is_unclear(scene: Scene) -> None:
    await scene.suspect("n1")
    scene.slurm.deaf = True
    handoff = scene.handoff(DRAINS_ONLY)
    assert await drains(handoff) == {}
    scene.slurm.resume("n1")
    scene.clock.pass_by(301)
    assert await drains(handoff) == {"unclear": 1}


async def test_what_must_not_be_drained_is_told_from_what_the_budget_kept(scene: Scene) -> None:
    scene.slurm.seen["n3"] = node("n3", "idle+drain", "ajrd: before")
    scene.slurm.seen["n4"] = node("n4", "idle+drain", "ticket 4711")
    await scene.suspect("n4")
    await scene.suspect("n1", job_id="8")
    handoff = scene.handoff(replace(DRAINS_ONLY, drain=replace(LIMITS, max_nodes=1)))
    assert await drains(handoff) == {"left": 1}
    scene.clock.pass_by(3601)
    assert await drains(handoff) == {"left": 1, "late": 1}
    assert scene.slurm.drained == []


async def test_a_node_that_people_have_resumed_is_counted_no_more_after_a_while(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.slurm.seen["n1"] = node("n1", "idle+drain", "ajrd: before")
    handoff = scene.handoff(DRAINS_ONLY)
    await handoff.turn()
    scene.slurm.resume("n1")
    await handoff.turn()
    assert handoff.health.drained == 1
    monkeypatch.setattr(handing, "COUNT_EVERY", 0.0)
    await handoff.turn()
    assert handoff.health.drained == 0


async def test_a_slurm_that_is_away_is_not_asked_at_every_turn_for_a_number(scene: Scene) -> None:
    scene.slurm.away = True
    handoff = scene.handoff(DRAINS_ONLY)
    with pytest.raises(SlurmUnavailable):
        await handoff.turn()
    await handoff.turn()


async def test_each_part_tells_only_of_itself(scene: Scene) -> None:
    assert scene.handoff(REPORTS_ONLY).health.budget is None
    scene.url = ""
    assert scene.handoff(DRAINS_ONLY).health == HandoffHealth(reports=False, budget=2)
