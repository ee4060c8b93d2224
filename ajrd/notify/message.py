"""From a line of the audit trail to the body of a webhook: version 1, see docs/webhooks.md."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ajrd.model import DecisionState, Occasion, Verb
from ajrd.store.rows import Row, column

#: Changes when a receiver that understands the one before would be wrong.
VERSION = 1
#: Characters of a reason, and nodes, in one message.
_REASON, _NODES = 2000, 200


@dataclass(frozen=True, slots=True)
class Message:
    """One delivery; ``id`` is the same whenever the same thing is told again."""

    number: int
    id: str
    occasion: Occasion
    at: datetime
    user: str
    partition: str
    body: bytes


def occasion(row: Row) -> Occasion | None:
    """What an event of :func:`~ajrd.store.outbox.behind` is to webhooks; None: nothing.

    A decision that was carried out without the database has no event of its outcome.
    """
    event = row["event"]
    if row["attempt"] is None:
        return None
    if event == "node_suspected":
        return Occasion.SUSPECTED
    over = event == "outcome" or (event == "decision" and bool(row["degraded"]))
    if not over or row["verb"] in (None, Verb.LEAVE):
        return None
    if row["state"] == DecisionState.ABANDONED or row["verb"] == Verb.STOP:
        return Occasion.GIVEN_UP
    return Occasion.RECOVERED if row["state"] == DecisionState.CONVERGED else None


def message(row: Row, nodes: Iterable[Row]) -> Message | None:
    """The message that an event makes, with the nodes that its attempt points at."""
    what = occasion(row)
    if what is None:
        return None
    at = column(row, "at")
    name = _identity(row, what)
    content = {
        "version": VERSION,
        "id": name,
        "event": what.value,
        "at": at.isoformat(),
        "cluster": row["cluster"],
        "job": {
            "id": row["job_id"],
            "name": row["job_name"],
            "user": row["job_user"],
            "partition": row["job_partition"],
        },
        "attempt": row["attempt_idx"],
        "decision": _decision(row),
        "nodes": [_node(each) for each in nodes][:_NODES],
    }
    body = json.dumps(content, separators=(",", ":")).encode()
    return Message(row["id"], name, what, at, row["job_user"], row["job_partition"], body)


def _decision(row: Row) -> Mapping[str, Any] | None:
    if row["verb"] is None:
        return None
    return {
        "verb": row["verb"],
        "state": row["state"],
        "outcome": row["outcome"],
        "kind": row["kind"] or "",
        "cause": row["cause"],
        "reason": row["reason"][:_REASON],
        "requeues": row["used"],
    }


def _node(row: Row) -> Mapping[str, Any]:
    return {
        "node": row["node"],
        "kind": row["kind"],
        "cause": row["cause"],
        "excluded": bool(row["excluded"]),
    }


def _identity(row: Row, what: Occasion) -> str:
    """Such a thing happens to an attempt once, also if the trail says it twice."""
    submitted = column(row, "submitted_at").isoformat()
    parts = (row["cluster"], row["job_id"], submitted, str(row["attempt_idx"]), what.value)
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:32]
