"""Where a decision is written down: in the store, or in memory while the store is away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from ajrd.model import ActionState, DecisionState, Step
from ajrd.store.records import (
    RESULT_SEEN,
    ActionRecord,
    AttemptRecord,
    DecisionRecord,
    Suspicion,
)


class Book(Protocol):
    """What carrying out a decision needs of the store; raises StoreUnavailable."""

    async def decision(self, attempt: int) -> DecisionRecord | None:
        """The decision on an attempt with its actions."""

    async def claim(self, action: ActionRecord, now: datetime, target: str) -> None:
        """Says that the command is about to run."""

    async def finish(
        self,
        action: ActionRecord,
        attempt: AttemptRecord,
        state: ActionState,
        result: str,
        now: datetime,
    ) -> None:
        """Says what became of a command."""

    async def close_decision(
        self,
        record: DecisionRecord,
        attempt: AttemptRecord,
        state: DecisionState,
        outcome: str,
        detail: str,
        now: datetime,
    ) -> None:
        """Ends a decision with its outcome."""


class Notebook:
    """One decision in memory, to be written into the store when that is back.

    ``suspects`` are the nodes that it implicates, as far as the store does not know them.
    """

    def __init__(self, decision: DecisionRecord, suspects: Sequence[Suspicion] = ()) -> None:
        self.record = replace(decision, degraded=True)
        self.suspects = suspects

    @classmethod
    def begun(
        cls,
        decision: DecisionRecord,
        target: str,
        steps: Sequence[Step],
        suspects: Sequence[Suspicion] = (),
    ) -> Notebook:
        """A decision that the store has never seen."""
        actions = tuple(_intended(decision, step, target) for step in steps)
        return cls(replace(decision, actions=actions), suspects)

    @classmethod
    def continuing(cls, decision: DecisionRecord) -> Notebook:
        """An open decision whose store went away; it is announced anew, for the contest."""
        anew = {"state": ActionState.INTENDED, "finished_at": None}
        actions = tuple(
            replace(a, **anew) if a.step is Step.ANNOUNCE else a  # type: ignore[arg-type]
            for a in decision.actions
        )
        return cls(replace(decision, actions=actions))

    @property
    def closed(self) -> bool:
        """Is the decision over?"""
        return self.record.state is not DecisionState.OPEN

    async def decision(self, attempt: int) -> DecisionRecord | None:
        """The decision as it stands."""
        return self.record

    async def claim(self, action: ActionRecord, now: datetime, target: str) -> None:
        """Says that the command is about to run."""
        actions = claimed(self.record.actions, action, now, target)
        self.record = replace(self.record, actions=actions)

    async def finish(
        self,
        action: ActionRecord,
        attempt: AttemptRecord,
        state: ActionState,
        result: str,
        now: datetime,
    ) -> None:
        """Says what became of a command."""
        self._change(action, state=state, result=result, finished_at=now)

    async def close_decision(
        self,
        record: DecisionRecord,
        attempt: AttemptRecord,
        state: DecisionState,
        outcome: str,
        detail: str,
        now: datetime,
    ) -> None:
        """Ends the decision, as the store does: what it did not need is skipped."""
        for action in self.record.actions:
            if action.state is ActionState.INTENDED:
                self._change(action, state=ActionState.SKIPPED, finished_at=now)
            elif action.state is ActionState.CLAIMED and state is DecisionState.CONVERGED:
                done = {"state": ActionState.DONE, "result": RESULT_SEEN, "finished_at": now}
                self._change(action, **done)
        ended = {"state": state, "outcome": outcome, "detail": detail, "closed_at": now}
        self.record = replace(self.record, **ended)  # type: ignore[arg-type]

    def _change(self, action: ActionRecord, **values: Any) -> None:
        self.record = replace(self.record, actions=_changed(self.record.actions, action, **values))


def claimed(
    actions: Sequence[ActionRecord], action: ActionRecord, now: datetime, target: str
) -> tuple[ActionRecord, ...]:
    """The actions, of which this one is about to run once more."""
    tries, state = action.tries + 1, ActionState.CLAIMED
    return _changed(actions, action, state=state, tries=tries, claimed_at=now, target=target)


def _changed(
    actions: Sequence[ActionRecord], action: ActionRecord, **values: Any
) -> tuple[ActionRecord, ...]:
    """The actions with new values in the one of the same step."""
    return tuple(replace(a, **values) if a.step is action.step else a for a in actions)


def _intended(decision: DecisionRecord, step: Step, target: str) -> ActionRecord:
    return ActionRecord(
        id=0,
        decision=0,
        step=step,
        key="",
        target=target,
        state=ActionState.INTENDED,
        tries=0,
        result="",
        intended_at=decision.created_at,
        claimed_at=None,
        finished_at=None,
    )
