"""A store with a suspected node, a Slurm that knows nodes, and a hand-off made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from ajrd.errors import SlurmUnavailable
from ajrd.hardware.api import HardwareApi, Terms
from ajrd.hardware.drain import Limits
from ajrd.hardware.handoff import Handoff, Patience, Plan
from ajrd.model import DecisionState, Verb
from ajrd.outbound import Place
from ajrd.policy.nodes import Health, Validity
from ajrd.recovery.settings import no_checkpoint
from ajrd.recovery.tracking import new_job, opened
from ajrd.slurm.nodes import NodeInfo, reason
from ajrd.store.queries import Query
from ajrd.store.records import AttemptRecord, DecisionRecord, JobRecord, Suspicion
from ajrd.store.rows import Row
from ajrd.store.store import Store
from tests.database.samples import a_decision
from tests.unit.recovery_world import Clock
from tests.unit.samples import job

STATES = {"ok": Health.HEALTHY, "broken": Health.FAULTY, "testing": Health.PENDING}
LIMITS = Limits(
    kinds=frozenset({"HARDWARE"}),
    max_nodes=2,
    max_share=0.5,
    keep_nodes=1,
    cool_down=0.0,
    fresh=3600.0,
)
PLAN = Plan(
    drain=LIMITS,
    report_kinds=frozenset({"HARDWARE", "NODE"}),
    poll=60.0,
    max_age=86400.0,
    validity=Validity(faulty=7 * 86400.0, healthy=3600.0),
)


def node(name: str, state: str = "idle", why: str = "none", *partitions: str) -> NodeInfo:
    """A node of the partition main."""
    return NodeInfo(name, partitions or ("main",), frozenset(state.split("+")), why)


@dataclass
class MemoryNodes:
    """Nodes in memory; ``away``: slurmctld does not answer, ``deaf``: it only seems not to."""

    seen: dict[str, NodeInfo] = field(default_factory=dict)
    drained: list[str] = field(default_factory=list)
    away: bool = False
    deaf: bool = False

    async def nodes(self) -> list[NodeInfo]:
        self._reach()
        return list(self.seen.values())

    async def drain(self, name: str, why: str) -> None:
        self._reach()
        self.drained.append(name)
        state = self.seen[name].state | {"drain"}
        self.seen[name] = replace(self.seen[name], state=state, reason=reason(why))
        if self.deaf:
            raise SlurmUnavailable("the answer was lost")

    def resume(self, name: str) -> None:
        self.seen[name] = node(name)

    def _reach(self) -> None:
        if self.away:
            raise SlurmUnavailable("slurmctld is away")


@dataclass
class Lease:
    """Whether there is time for a command."""

    good: bool = True

    def may_act(self) -> bool:
        return self.good


@dataclass
class Scene:
    """One leader with a store and four nodes."""

    store: Store
    url: str
    token_file: Path | None = None
    clock: Clock = field(default_factory=Clock)
    slurm: MemoryNodes = field(default_factory=MemoryNodes)
    lease: Lease = field(default_factory=Lease)
    act: bool = True
    made: list[Handoff] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.slurm.seen = {name: node(name) for name in ("n1", "n2", "n3", "n4")}

    def handoff(
        self,
        plan: Plan = PLAN,
        checkpoint: Callable[[str], None] = no_checkpoint,
        timeout: float = 5.0,
        **terms: Any,
    ) -> Handoff:
        """As a leader that has just begun."""
        values: dict[str, Any] = {
            "url": f"{self.url}/nodes/{{node}}",
            "body": {"node": "{node}", "why": ["{kind} {cause}"]},
            "verdict_url": f"{self.url}/reports/{{reference}}",
            "states": STATES,
            "token_file": str(self.token_file) if self.token_file else None,
        }
        place = Place(what="the hardware service", section="hardware.api", timeout=timeout)
        api = HardwareApi(Terms(**values | terms), place) if self.url else None
        made = Handoff(
            plan,
            self.store,
            self.slurm,
            api,
            self.lease,
            lambda: self.act,
            self.clock,
            checkpoint,
            Patience(luck=lambda: 0.5),
        )
        self.made.append(made)
        return made

    async def close(self) -> None:
        """Lets go of all connections."""
        for made in self.made:
            if made.api is not None:
                await made.api.close()

    async def suspect(
        self, name: str, kind: str = "HARDWARE", cause: str = "xid", job_id: str = "7"
    ) -> AttemptRecord:
        """A decision that blames a node, just now."""
        _job, attempt, _decision = await decided(
            self.store, self.clock(), job_id, suspects=[Suspicion(name, kind, cause, True)]
        )
        return attempt

    async def rows(self) -> list[Row]:
        """Each suspicion with its hand-off, as the database has them."""
        query = Query(
            "SELECT s.node, s.verdict, h.drain, h.drain_note, h.report, h.report_note, h.reference"
            " FROM node_suspicions s LEFT JOIN node_handoffs h ON h.suspicion = s.id ORDER BY s.id"
        )
        return list(await self.store.look_up(query))

    async def trail(self) -> list[str]:
        """The events about nodes."""
        found = await self.store.look_up(Query("SELECT event FROM events ORDER BY id"))
        return [row["event"] for row in found if row["event"].startswith("node_")]


async def decided(
    store: Store,
    now: datetime,
    job_id: str = "7",
    verb: Verb = Verb.REQUEUE,
    suspects: list[Suspicion] | None = None,
    **changes: Any,
) -> tuple[JobRecord, AttemptRecord, DecisionRecord]:
    """A job whose running attempt a decision is about."""
    seen = job(job_id=job_id, raw_id=int(job_id), **changes)
    record = await store.add_job(new_job(seen, "c", managed=True, note="", now=now), "seen")
    attempt = await store.save_attempt(opened(record, seen, now), now, "attempt_started")
    wanted = replace(a_decision(attempt, verb), created_at=now, cause="xid")
    written = await store.write_decision(wanted, record, attempt, [], suspects or [])
    assert written is not None
    return record, attempt, written


async def over(
    store: Store,
    now: datetime,
    job_id: str = "7",
    verb: Verb = Verb.REQUEUE,
    state: DecisionState = DecisionState.CONVERGED,
    suspects: list[Suspicion] | None = None,
    **changes: Any,
) -> None:
    """The same with its outcome."""
    _job, attempt, decision = await decided(store, now, job_id, verb, suspects, **changes)
    await store.close_decision(decision, attempt, state, "successor_started", "", now)


async def imported(store: Store, now: datetime, job_id: str) -> None:
    """A decision that was carried out while the database was away."""
    seen = job(job_id=job_id, raw_id=int(job_id))
    record = await store.add_job(new_job(seen, "c", managed=True, note="", now=now), "seen")
    attempt = await store.save_attempt(opened(record, seen, now), now, "attempt_started")
    note = replace(
        a_decision(attempt),
        state=DecisionState.CONVERGED,
        outcome="successor_started",
        created_at=now,
        closed_at=now,
        degraded=True,
    )
    await store.import_decision(note, record, attempt)
