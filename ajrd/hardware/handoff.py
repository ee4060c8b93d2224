"""The loop of a leader that hands suspected nodes to Slurm and to a hardware-recovery service.

Level-triggered: what is to be done is asked of the store at every turn, so nothing has to be told
and a crash forgets nothing. Recovery waits for none of this and is told one thing alone, what is
known of nodes (:attr:`Handoff.known`), which it reads from memory.

A drain is claimed before its command runs, and recorded after it. A claim whose command is not
seen to have worked is made again within :data:`AGAIN`, later it is UNCLEAR: somebody may have
resumed the node, and that is never undone. A report has a key that any crash leaves the same, so
it is simply sent again until its answer was recorded.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from ajrd.errors import RemoteUnavailable, SlurmRejected, SlurmUnavailable, StoreUnavailable
from ajrd.hardware.api import HardwareApi, Told
from ajrd.hardware.drain import Answer, Limits, judge
from ajrd.hardware.health import Drained, HandoffHealth, Question
from ajrd.outbound import pause
from ajrd.policy.nodes import Health, Known, Opinion, Validity, known_of
from ajrd.recovery.settings import Clock, no_checkpoint
from ajrd.slurm.nodes import NodeInfo
from ajrd.store.handoffs import (
    DrainState,
    ReportState,
    Suspect,
    given,
    last_drain,
    suspect,
    unfinished,
    verdicts,
)
from ajrd.store.rows import moment
from ajrd.store.store import Store

log = structlog.get_logger("ajrd.hardware")

#: Seconds between two turns.
EVERY = 5.0
#: The nodes that ajrd has drained are counted so often, seconds.
COUNT_EVERY = 60.0
#: Suspicions that one turn looks at.
MOST = 200
#: For so long a claimed drain that shows no effect is made again.
AGAIN = timedelta(minutes=5)
#: What the service answers to a report that it will never take, however often it is sent.
_NEVER = frozenset({400, 409, 410, 413, 415, 422})
#: The states of a report in which something is still to come.
_WAITING = (ReportState.OPEN, ReportState.TOLD)


class Nodes(Protocol):
    """Slurm's nodes: :class:`~ajrd.slurm.nodes.SlurmNodes`, or what a test says."""

    async def nodes(self) -> list[NodeInfo]:
        """Every node."""

    async def drain(self, node: str, why: str) -> None:
        """Lets no new job start on one."""


class MayAct(Protocol):
    """Whoever knows whether the lease lasts for a command."""

    def may_act(self) -> bool:
        """Is there time for one?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is handed off. ``drain`` None: no node is drained; ``poll``, ``max_age`` in seconds.

    What is not done ``max_age`` after a suspicion is not done any more.
    """

    drain: Limits | None
    report_kinds: frozenset[str]
    poll: float
    max_age: float
    validity: Validity


@dataclass(slots=True)
class Patience:
    """When the service is asked again that has failed."""

    luck: Callable[[], float] = random.random
    failures: int = 0
    until: float = float("-inf")

    def failed(self, now: float, asked: float) -> float:
        """Waits; the seconds."""
        self.failures += 1
        seconds = pause(self.failures, self.luck(), asked)
        self.until = now + seconds
        return seconds

    def answered(self) -> None:
        """Waits no more."""
        self.failures, self.until = 0, float("-inf")


@dataclass(slots=True)
class Handoff:
    """One leader's. ``act`` tells whether Slurm may be touched (``recovery.mode``)."""

    plan: Plan
    store: Store
    slurm: Nodes
    api: HardwareApi | None
    leads: MayAct
    act: Callable[[], bool]
    clock: Clock
    checkpoint: Callable[[str], None] = no_checkpoint
    patience: Patience = field(default_factory=Patience)
    known: Known = field(default_factory=Known)
    health: HandoffHealth = field(init=False)
    _counted: float = float("-inf")
    _due: dict[int, datetime] = field(default_factory=dict)
    _said: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        drain = self.plan.drain
        self.health = HandoffHealth(self.api is not None, drain.max_nodes if drain else None)

    async def run(self) -> None:
        """Turns until cancelled, or until another ajrd leads."""
        try:
            while True:
                try:
                    await self.turn()
                except (StoreUnavailable, SlurmUnavailable) as error:
                    log.warning("unknown", doing="hardware", why=str(error))
                await asyncio.sleep(EVERY)
        finally:
            if self.api is not None:
                await self.api.close()

    async def turn(self) -> None:
        """One look at every suspicion that is not done with, and at what is known of nodes."""
        plan, now = self.plan, self.clock()
        drains = plan.drain is not None and self.act()
        since = now - timedelta(seconds=plan.max_age * 1.05)
        query = unfinished(since, MOST, drain=drains, report=self.api is not None)
        suspects = [suspect(row) for row in await self.store.look_up(query)]
        self._forget({each.id for each in suspects})
        if self.api is not None:
            suspects = [await self._speak_of(self.api, each) for each in suspects]
            self.health.waits(sum(each.report in _WAITING for each in suspects))
        if drains and suspects:
            await self._drain(suspects)
        await self._learn()
        if plan.drain is not None:
            await self._count()

    def _forget(self, ids: set[int]) -> None:
        self._due = {number: due for number, due in self._due.items() if number in ids}
        self._said = {number: said for number, said in self._said.items() if number in ids}

    def _older(self, one: Suspect, seconds: float) -> bool:
        return (self.clock() - one.at).total_seconds() > seconds

    async def _keep(self, one: Suspect, event: str = "", message: str = "") -> Suspect:
        await self.store.save_handoff(one, self.clock(), event, message)
        if event:
            log.info(event, node=one.node, why=message)
        return one

    # the hardware service

    async def _speak_of(self, api: HardwareApi, one: Suspect) -> Suspect:
        """Reports a node, or asks for its verdict, if it is time for that."""
        if one.report is ReportState.OPEN and one.kind not in self.plan.report_kinds:
            note = f"{one.kind} is not among hardware.api.kinds"
            return await self._keep(replace(one, report=ReportState.LEFT, report_note=note))
        if one.report not in _WAITING:
            return one
        if one.report is ReportState.TOLD and not api.judges:
            return await self._keep(replace(one, report=ReportState.ANSWERED, verdict=""))
        if self._older(one, self.plan.max_age):
            return await self._given_up(one, self._said.get(one.id, "no verdict has come"))
        if one.report is ReportState.TOLD and self.clock() < self._due.get(one.id, self.clock()):
            return one
        if asyncio.get_running_loop().time() < self.patience.until:
            return one
        question = Question.VERDICT if one.report is ReportState.TOLD else Question.REPORT
        try:
            return await self._ask(api, one, question)
        except RemoteUnavailable as error:
            self.health.failed(question, error, self.clock())
            return await self._failed(one, error)

    async def _ask(self, api: HardwareApi, one: Suspect, question: Question) -> Suspect:
        if question is Question.VERDICT:
            told = await api.verdict(one)
        else:
            told = await api.report(one)
            self.checkpoint("hardware_reported")
            one = replace(one, reference=told.reference)
        self.patience.answered()
        self.health.answered(question)
        self._due[one.id] = self.clock() + timedelta(seconds=self.plan.poll)
        return await self._answered(one, told)

    async def _answered(self, one: Suspect, told: Told) -> Suspect:
        """Keeps what is new in an answer."""
        said = f"{one.node}: the hardware service says {told.word or 'nothing'}"
        if told.health in (Health.HEALTHY, Health.FAULTY):
            done = replace(
                one,
                report=ReportState.ANSWERED,
                report_note=told.word,
                verdict=told.health.value,
                verdict_at=self.clock(),
            )
            return await self._keep(done, "node_verdict", f"{said}: {told.health}")
        if told.word and told.health is None and self._said.get(one.id) != said:
            self._said[one.id] = said
            log.warning("unknown_verdict", node=one.node, word=told.word)
        pending = Health.PENDING.value
        waiting = replace(one, report=ReportState.TOLD, report_note=told.word, verdict=pending)
        if one.report is ReportState.OPEN:
            return await self._keep(waiting, "node_reported", said)
        return waiting

    async def _failed(self, one: Suspect, error: RemoteUnavailable) -> Suspect:
        """A report that is refused for good is over; all else waits, for every node alike."""
        self._said[one.id] = str(error)
        if one.report is ReportState.OPEN and error.status in _NEVER:
            return await self._given_up(one, str(error))
        seconds = self.patience.failed(asyncio.get_running_loop().time(), error.pause)
        log.warning("hardware_unavailable", node=one.node, why=str(error), again=round(seconds, 1))
        return one

    async def _given_up(self, one: Suspect, why: str) -> Suspect:
        failed = replace(one, report=ReportState.FAILED, report_note=why)
        return await self._keep(failed, "node_report_failed", f"{one.node}: {why}")

    # draining

    async def _drain(self, suspects: Sequence[Suspect]) -> None:
        """Drains at most one node a turn: what the next may be depends on what Slurm then shows."""
        limits = self.plan.drain
        assert limits is not None
        nodes = await self._nodes()
        last = await self._drained_last(limits)
        for suspected in suspects:
            one = suspected
            if one.drain is DrainState.CLAIMED:
                one = await self._look_again(one, nodes)
            if one.drain is not DrainState.OPEN:
                continue
            if self._older(one, limits.fresh):
                note = self._said.get(one.id, "it could not be drained in time")
                await self._left(one, note, Drained.LATE)
                continue
            answer, why = judge(one.node, one.kind, nodes, limits, last, self.clock())
            if answer is Answer.NEVER:
                await self._left(one, why, Drained.LEFT)
            elif answer is Answer.LATER:
                self._later(one, why)
            elif self.leads.may_act():
                await self._drain_one(one)
                return

    async def _left(self, one: Suspect, why: str, how: Drained) -> None:
        await self._keep(replace(one, drain=DrainState.LEFT, drain_note=why))
        self.health.drains[how] += 1

    async def _drained_last(self, limits: Limits) -> datetime | None:
        """When ajrd drained a node before, this one or another."""
        since = self.clock() - timedelta(seconds=limits.cool_down + limits.fresh)
        found = await self.store.look_up(last_drain(since))
        return moment(found[0]["updated_at"])

    def _later(self, one: Suspect, why: str) -> None:
        if self._said.get(one.id) != why:
            self._said[one.id] = why
            log.info("drain_put_off", node=one.node, why=why)

    async def _look_again(self, one: Suspect, nodes: Sequence[NodeInfo]) -> Suspect:
        """What became of a command whose answer is not known."""
        if any(each.name == one.node and each.drained_by_ajrd for each in nodes):
            return await self._drained(one)
        if one.updated_at is not None and self.clock() - one.updated_at < AGAIN:
            return replace(one, drain=DrainState.OPEN)
        note = "it may have been drained, and resumed by somebody: left to people"
        unclear = replace(one, drain=DrainState.UNCLEAR, drain_note=note)
        kept = await self._keep(unclear, "node_drain_failed", f"{one.node}: {note}")
        self.health.drains[Drained.UNCLEAR] += 1
        return kept

    async def _drain_one(self, one: Suspect) -> None:
        one = await self._keep(replace(one, drain=DrainState.CLAIMED))
        self.checkpoint("drain_claimed")
        why = f"{one.kind} {one.cause}, job {one.job_id} attempt {one.attempt_idx}"
        try:
            await self.slurm.drain(one.node, why)
        except SlurmRejected as error:
            failed = replace(one, drain=DrainState.FAILED, drain_note=str(error))
            await self._keep(failed, "node_drain_failed", f"{one.node}: {error}")
            self.health.drains[Drained.FAILED] += 1
            return
        self.checkpoint("drain_done")
        self._counted = float("-inf")
        await self._drained(one)

    async def _drained(self, one: Suspect) -> Suspect:
        done = replace(one, drain=DrainState.DRAINED)
        kept = await self._keep(done, "node_drained", f"{one.node}: {one.kind} {one.cause}")
        self.health.drains[Drained.DRAINED] += 1
        return kept

    # what is known

    async def _learn(self) -> None:
        """What holds of nodes now; one that Slurm has forgotten must not be named to it."""
        validity, now = self.plan.validity, self.clock()
        since = now - timedelta(seconds=max(validity.faulty, validity.healthy))
        rows = await self.store.look_up(verdicts(since))
        opinions = [Opinion(g.node, Health(g.verdict), g.at) for g in given(rows)]
        known = known_of(opinions, now, validity)
        if known.faulty:
            there = {each.name for each in await self._nodes()}
            known = replace(known, faulty=tuple(n for n in known.faulty if n in there))
        self.known = known

    # for metrics

    async def _nodes(self) -> list[NodeInfo]:
        nodes = await self.slurm.nodes()
        self._counted = asyncio.get_running_loop().time()
        self.health.see(nodes)
        return nodes

    async def _count(self) -> None:
        """Looks at the nodes if nobody has for a while, or one was drained.

        A Slurm that is away is not asked at every turn for a mere number.
        """
        now = asyncio.get_running_loop().time()
        if now - self._counted >= COUNT_EVERY:
            self._counted = now
            await self._nodes()
