"""Webhooks: what is told, to whom, in which order, and what failures and crashes change."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest
from sqlalchemy import text

from ajrd.errors import NotLeader, StoreUnavailable
from ajrd.model import DecisionState, Occasion, Verb
from ajrd.notify.sender import FILLS, Endpoint, Sender
from ajrd.notify.signature import signature
from ajrd.outbound import Place
from ajrd.recovery.settings import no_checkpoint
from ajrd.store.queries import Query
from ajrd.store.records import Suspicion
from ajrd.store.store import Store
from tests.outward.receiver import (
    BROKEN,
    BUSY,
    DENIED,
    ELSEWHERE,
    HANG,
    HUGE,
    Receiver,
    Reply,
)
from tests.outward.world import imported, over
from tests.unit.recovery_world import Clock

DOCS = Path(__file__).parents[2] / "docs" / "webhooks.md"


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Post:
    """A store, an endpoint, and senders to it."""

    store: Store
    receiver: Receiver
    secret_file: Path
    clock: Clock = field(default_factory=Clock)
    may_act: bool = True
    made: list[Sender] = field(default_factory=list)

    def sender(
        self, checkpoint: Callable[[str], None] = no_checkpoint, name: str = "ops", **changes: Any
    ) -> Sender:
        """As a leader that has just begun."""
        values = {
            "url": f"{self.receiver.url}/{name}",
            "secret_file": str(self.secret_file),
            **changes,
        }
        place = Place(what=f"webhook {name}", section="notify.webhooks", timeout=0.5)
        made = Sender(
            Endpoint(name=name, **values),
            place,
            self.store,
            lambda: self.may_act,
            self.clock,
            checkpoint,
            lambda: 0.5,
        )
        self.made.append(made)
        return made

    async def over(self, job_id: str, verb: Verb = Verb.REQUEUE, **changes: Any) -> None:
        await over(self.store, self.clock(), job_id, verb, **changes)

    def told(self) -> list[tuple[str, str]]:
        """(event, job) of each delivery as it came."""
        return [(sent.json["event"], sent.json["job"]["id"]) for sent in self.receiver.sent]

    async def dead(self) -> list[str]:
        query = Query("SELECT message FROM events WHERE event = 'webhook_dead'")
        return [row["message"] for row in await self.store.look_up(query)]


@pytest.fixture
async def post(tmp_path: Path, receiver: Receiver, secret_file: Path) -> AsyncIterator[Post]:
    store = await Store.open(f"sqlite:///{tmp_path}/ajrd.sqlite")
    post = Post(store, receiver, secret_file)
    yield post
    for sender in post.made:
        await sender._outbound.close()
    await store.close()


async def test_each_occasion_is_told_in_order(post: Post) -> None:
    sender = post.sender()
    await sender.turn()
    await post.over("7", suspects=[Suspicion("n1", "HARDWARE", "xid", True)])
    await post.over("8", Verb.STOP)
    await post.over("9", state=DecisionState.ABANDONED)
    await post.over("10", Verb.CHAIN)
    await sender.turn()
    assert post.told() == [
        ("node.suspected", "7"),
        ("job.recovered", "7"),
        ("job.given_up", "8"),
        ("job.given_up", "9"),
        ("job.recovered", "10"),
    ]
    body = post.receiver.sent[1].json
    assert body["version"] == 1
    assert body["job"] == {"id": "7", "name": "train", "user": "ada", "partition": "main"}
    assert body["decision"]["outcome"] == "successor_started"
    assert body["nodes"] == [{"node": "n1", "kind": "HARDWARE", "cause": "xid", "excluded": True}]


async def test_what_was_carried_out_without_the_database_is_told(post: Post) -> None:
    sender = post.sender()
    await sender.turn()
    await imported(post.store, post.clock(), "7")
    await sender.turn()
    assert post.told() == [("job.recovered", "7")]


async def test_a_new_endpoint_is_told_nothing_of_the_past(post: Post) -> None:
    await post.over("7")
    sender = post.sender()
    await sender.turn()
    await post.over("8")
    await sender.turn()
    assert post.told() == [("job.recovered", "8")]


async def test_filters_choose_by_event_partition_and_user(post: Post) -> None:
    senders = [
        post.sender(name="a", occasions=frozenset({Occasion.GIVEN_UP})),
        post.sender(name="b", partitions=frozenset({"gpu"})),
        post.sender(name="c", users=frozenset({"bob"})),
    ]
    for sender in senders:
        await sender.turn()
    await post.over("7", Verb.STOP)
    await post.over("8", partition="gpu")
    await post.over("9", user="bob")
    for sender in senders:
        await sender.turn()
    paths = [(sent.path, sent.json["job"]["id"]) for sent in post.receiver.sent]
    assert paths == [("/a", "7"), ("/b", "8"), ("/c", "9")]


async def test_the_receiver_of_the_documentation_accepts_it_and_nothing_else(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = post.sender()
    await sender.turn()
    await post.over("7")
    await sender.turn()
    (sent,) = post.receiver.sent
    header = sent.headers["x-ajrd-signature"]
    code = re.search(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code[1], names)  # noqa: S102 -- of our own documentation
    verified = names["verified"]
    now = post.clock().timestamp()
    monkeypatch.setattr(time, "time", lambda: now)
    assert verified(b"s3cret", header, sent.body)
    assert not verified(b"other", header, sent.body)
    assert not verified(b"s3cret", header, sent.body + b" ")
    assert not verified(b"s3cret", header.replace("t=1", "t=2"), sent.body)
    assert not verified(b"s3cret", "", sent.body)
    monkeypatch.setattr(time, "time", lambda: now + 301)
    assert not verified(b"s3cret", header, sent.body)


def test_the_signature_is_the_hmac_of_time_and_body() -> None:
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in b"k".ljust(64, b"\0")) + b"5.body").digest()
    outer = hashlib.sha256(bytes(b ^ 0x5C for b in b"k".ljust(64, b"\0")) + inner).hexdigest()
    assert signature(b"k", 5, b"body") == f"t=5,v1={outer}"


@pytest.mark.parametrize(
    "reply",
    [BROKEN, DENIED, ELSEWHERE, HANG, HUGE, Reply(404)],
    ids=["500", "401", "redirect", "hanging", "huge", "404"],
)
async def test_what_is_not_taken_is_sent_again_before_anything_else(
    post: Post, reply: Reply
) -> None:
    sender = post.sender()
    await sender.turn()
    await post.over("7")
    await post.over("8")
    post.receiver.replies.append(reply)
    assert await sender.turn() == 2.0
    assert post.told() == [("job.recovered", "7")]
    await sender.turn()
    assert post.told()[1:] == [("job.recovered", "7"), ("job.recovered", "8")]
    first, again, _ = (sent.json["id"] for sent in post.receiver.sent)
    assert first == again


async def test_pauses_grow_and_a_receiver_may_ask_for_longer_ones(post: Post) -> None:
    sender = post.sender()
    await sender.turn()
    await post.over("7")
    post.receiver.replies.extend([BROKEN, BROKEN, BROKEN, BUSY])
    assert [await sender.turn() for _ in range(4)] == [2.0, 4.0, 8.0, 77.0]


async def test_one_endpoint_does_not_wait_for_another(post: Post) -> None:
    slow, good = post.sender(name="slow"), post.sender(name="good")
    for sender in (slow, good):
        await sender.turn()
    await post.over("7")
    post.receiver.replies.append(BROKEN)
    await slow.turn()
    await good.turn()
    assert [sent.path for sent in post.receiver.sent] == ["/slow", "/good"]


async def test_a_message_is_dead_in_the_end_and_the_next_one_goes_out(post: Post) -> None:
    sender = post.sender()
    await sender.turn()
    await post.over("7")
    post.receiver.usual = BROKEN
    await sender.turn()
    post.clock.pass_by(86401)
    await post.over("8")
    await sender.turn()
    assert await post.dead() == []
    post.receiver.replies.extend([BROKEN])
    post.receiver.usual = Reply()
    await sender.turn()
    assert post.told()[-1] == ("job.recovered", "8")
    (message,) = await post.dead()
    assert message.startswith("webhook ops was not told of job.recovered, id ")
    assert "HTTP 500" in message
    await post.sender().turn()
    assert post.told()[-1] == ("job.recovered", "8")


async def test_a_body_that_is_refused_holds_up_the_others_for_three_tries_only(post: Post) -> None:
    sender = post.sender()
    await sender.turn()
    await post.over("7")
    await post.over("8")
    post.receiver.replies.extend([Reply(422)] * 3)
    for _ in range(3):
        await sender.turn()
    assert [job_id for _, job_id in post.told()] == ["7", "7", "7", "8"]
    assert len(await post.dead()) == 1


async def test_an_outage_that_ajrd_did_not_see_kills_no_message_at_once(post: Post) -> None:
    await post.sender().turn()
    await post.over("7")
    post.clock.pass_by(2 * 86400)
    post.receiver.replies.append(BROKEN)
    sender = post.sender()
    await sender.turn()
    await sender.turn()
    assert await post.dead() == []
    assert len(post.told()) == 2


async def test_a_kill_behind_a_delivery_repeats_it_with_the_same_id(post: Post) -> None:
    await post.sender().turn()
    await post.over("7")

    def die(name: str) -> None:
        if name == "webhook_delivered":
            raise Killed

    with pytest.raises(Killed):
        await post.sender(die).turn()
    await post.sender().turn()
    await post.sender().turn()
    first, second = (sent.json["id"] for sent in post.receiver.sent)
    assert first == second


async def test_a_database_that_is_away_loses_nothing(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = post.sender()
    await sender.turn()
    await post.over("7")
    with monkeypatch.context() as patched:
        patched.setattr(post.store, "move_cursor", AsyncMock(side_effect=StoreUnavailable("away")))
        with pytest.raises(StoreUnavailable):
            await sender.turn()
    await post.over("8")
    await sender.turn()
    assert post.told() == [("job.recovered", "7"), ("job.recovered", "8")]
    assert await post.store.cursor("webhook@ops") == sender._cursor


async def test_who_has_no_time_left_on_the_lease_sends_nothing(post: Post) -> None:
    sender = post.sender()
    await sender.turn()
    await post.over("7")
    post.may_act = False
    await sender.turn()
    assert post.told() == []
    post.may_act = True
    await sender.turn()
    assert len(post.told()) == 1


async def test_a_leader_that_was_replaced_stops_at_its_first_record(
    post: Post, tmp_path: Path
) -> None:
    assert await post.store.acquire_lease("old", "h1", 1, 60.0)
    sender = post.sender()
    await sender.turn()
    await post.over("7")
    await post.over("8")
    other = await Store.open(f"sqlite:///{tmp_path}/ajrd.sqlite")
    assert await other.acquire_lease("new", "h2", 2, 60.0, dead="old")
    with pytest.raises(NotLeader):
        await sender.turn()
    assert len(post.told()) == 1
    post.store, old = other, post.store
    await post.sender().turn()
    assert post.told()[1:] == [("job.recovered", "7"), ("job.recovered", "8")]
    await other.close()
    post.store = old


async def test_an_endpoint_without_a_secret_is_told_nothing(post: Post) -> None:
    sender = post.sender(secret_file=None)
    await sender.turn()
    await post.over("7")
    assert await sender.turn() == 2.0
    assert post.receiver.sent == []


async def test_a_gap_in_the_trail_is_waited_for(post: Post) -> None:
    """Its event may only not be visible yet: numbers are given before they are kept."""
    sender = post.sender()
    await sender.turn()
    await post.over("7")
    async with post.store._transaction("hiding an event") as db:
        await db.execute(text("UPDATE events SET id = id + 5 WHERE event = 'outcome'"))
    await sender.turn()
    assert post.told() == []
    post.clock.pass_by(FILLS)
    await sender.turn()
    assert post.told() == [("job.recovered", "7")]


async def test_texts_of_users_stay_data(post: Post) -> None:
    sender = post.sender()
    await sender.turn()
    name = '"},"version":2,{"\n\u202e'
    await post.over("7", name=name)
    await sender.turn()
    (sent,) = post.receiver.sent
    assert sent.json["version"] == 1
    assert sent.json["job"]["name"] == name
