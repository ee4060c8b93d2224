"""The story of one job as the API tells it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from ajrd.store import queries, requests, rows
from ajrd.store import story as store
from ajrd.store.engine import Database
from ajrd.web.models import (
    Action,
    AttemptFacts,
    AttemptStory,
    DecisionFacts,
    DecisionStory,
    EventOfJob,
    Evidence,
    Job,
    JobStory,
    Request,
    Source,
)

#: Characters of a line of a log.
_LINE = 4000


async def tell(database: Database, job: rows.Row, lists: str) -> JobStory:
    """All that is known of a job (its row); ``lists`` is where the API's lists are."""
    number, job_id = job["id"], job["job_id"]
    attempts = list(await database.all(store.attempts(number)))
    more = _too_many(attempts, store.ATTEMPTS, f"{lists}/attempts?job={job_id}")
    decisions = {row["attempt"]: row for row in await database.all(store.decisions(number))}
    actions = _by("decision", await database.all(store.actions(number)))
    sources = _by("attempt", await database.all(store.sources(number)))
    told = []
    for attempt in reversed(attempts):
        found = list(await database.all(store.anomalies(attempt["id"])))
        more += _too_many(found, store.ANOMALIES, f"{lists}/anomalies?job={job_id}")
        decision = decisions.get(attempt["id"])
        told.append(
            AttemptStory(
                **_facts(AttemptFacts, attempt),
                anomalies=[_evidence(row) for row in found],
                sources=[Source(**_facts(Source, row)) for row in sources[attempt["id"]]],
                decision=_decision(decision, actions[decision["id"]]) if decision else None,
            )
        )
    asked = await database.all(requests.requests_of(number))
    events = list(await database.all(queries.events_of(number, store.EVENTS + 1)))
    more += _too_many(events, store.EVENTS, f"{lists}/events?job={job_id}")
    return JobStory(
        **_facts(Job, job),
        comment=job["comment"],
        attempts=told,
        requests=[request({**row, "job_id": job_id}) for row in reversed(asked)],
        events=[EventOfJob(**_facts(EventOfJob, row)) for row in reversed(events)],
        more=sorted(set(more)),
    )


def request(row: rows.Row) -> Request:
    """A row of ``requests`` with the id of its job."""
    return Request.model_validate(rows.plain(row))


def _facts(model: type[Any], row: rows.Row) -> dict[str, Any]:
    plain = rows.plain(row)
    return {name: plain[name] for name in model.model_fields}


def _decision(row: rows.Row, actions: Iterable[rows.Row]) -> DecisionStory:
    commands = [Action(**_facts(Action, each)) for each in actions]
    return DecisionStory(**_facts(DecisionFacts, row), actions=commands)


def _evidence(row: rows.Row) -> Evidence:
    facts = _facts(Evidence, row)
    facts |= {name: [line[:_LINE] for line in facts[name]] for name in ("before", "after")}
    return Evidence(**facts | {"text": facts["text"][:_LINE]})


def _by(name: str, found: Iterable[rows.Row]) -> dict[int, list[rows.Row]]:
    groups: dict[int, list[rows.Row]] = defaultdict(list)
    for row in found:
        groups[row[name]].append(row)
    return groups


def _too_many(found: list[rows.Row], most: int, where: str) -> list[str]:
    """Cuts what is too much; where all of it is."""
    cut = len(found) > most
    del found[most:]
    return [where] if cut else []
